//! Patches (RFC 8620 §5.3): what of a record is to be another, by pointer.

use serde_json::Value;

use crate::{Object, SetError, limits, pointer};

/// A `PatchObject` whose rules have been checked, except those that need the record.
#[derive(Debug, Clone, PartialEq)]
pub struct Patch {
    /// Pointers in order, and what is to be there; null for what is to go, or to be as it is by default.
    changes: Vec<(Vec<String>, Value)>,
}

impl Patch {
    /// Reads a patch.
    ///
    /// # Errors
    /// `invalidPatch`: what is no pointer, or a pointer that begins another.
    pub fn parse(members: Object) -> Result<Patch, SetError> {
        if members.len() > limits::PATCHES {
            return Err(SetError::invalid_patch().describe("too many changes in one patch"));
        }
        let mut changes = Vec::with_capacity(members.len());
        for (path, value) in members {
            // The leading slash is implicit.
            let tokens = pointer::parse(&format!("/{path}"));
            let tokens = tokens.ok_or_else(|| SetError::invalid_patch().describe("not a JSON pointer"))?;
            changes.push((tokens, value));
        }
        changes.sort_by(|a, b| a.0.cmp(&b.0));
        // In this order a pointer stands right before one that it begins.
        if changes.windows(2).any(|pair| matches!(pair, [a, b] if b.0.starts_with(&a.0))) {
            return Err(SetError::invalid_patch().describe("one pointer begins another"));
        }
        Ok(Patch { changes })
    }

    /// The properties of the record that it touches, each once.
    pub fn properties(&self) -> impl Iterator<Item = &str> {
        let mut last = None;
        self.changes.iter().filter_map(move |(tokens, _)| {
            let first = tokens.first().map(String::as_str);
            if first == last {
                return None;
            }
            last = first;
            first
        })
    }

    /// What it says of a property: a value for the whole of it, or changes within.
    pub fn changes_of<'a>(&'a self, property: &'a str) -> impl Iterator<Item = (&'a [String], &'a Value)> {
        let of = move |tokens: &'a [String]| tokens.split_first().filter(|(first, _)| *first == property);
        self.changes.iter().filter_map(move |(tokens, value)| Some((of(tokens)?.1, value)))
    }

    /// Whether nothing is to change.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// Makes the changes.
    ///
    /// # Errors
    /// `invalidPatch`: all but the last token must be there already, and be objects (arrays are changed as a whole).
    pub fn apply(&self, record: &mut Object) -> Result<(), SetError> {
        for (tokens, value) in &self.changes {
            let missing = || SetError::invalid_patch().describe("a part of the pointer is not there");
            let (last, above) = tokens.split_last().ok_or_else(missing)?;
            let mut object = &mut *record;
            for token in above {
                let Some(Value::Object(inner)) = object.get_mut(token) else { return Err(missing()) };
                object = inner;
            }
            if value.is_null() {
                object.remove(last);
            } else {
                object.insert(last.clone(), value.clone());
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn object(value: Value) -> Object {
        let Value::Object(object) = value else { panic!("an object") };
        object
    }

    fn patched(patch: Value, record: Value) -> Option<Value> {
        let mut record = object(record);
        Patch::parse(object(patch)).ok()?.apply(&mut record).ok()?;
        Some(Value::Object(record))
    }

    #[test]
    fn values_are_set_and_removed() {
        let record = json!({"keywords": {"$seen": true}, "name": "a", "x/y": 1});
        let patch = json!({"keywords/$flagged": true, "keywords/$seen": null, "name": "b", "x~1y": 2});
        let after = json!({"keywords": {"$flagged": true}, "name": "b", "x/y": 2});
        assert_eq!(patched(patch, record), Some(after));
        assert_eq!(patched(json!({}), json!({"a": 1})), Some(json!({"a": 1})));
        assert_eq!(patched(json!({"a": null}), json!({})), Some(json!({})));
    }

    #[test]
    fn rules_of_pointers() {
        for (patch, record) in [
            (json!({"a": 1, "a/b": 2}), json!({"a": {}})),
            (json!({"a/b": 1, "a/b/c": 2, "a/bc": 1}), json!({"a": {"b": {}}})),
            (json!({"a/0": 1}), json!({"a": [1]})),
            (json!({"a/b/c": 1}), json!({"a": {}})),
            (json!({"a~2": 1}), json!({})),
        ] {
            assert_eq!(patched(patch.clone(), record), None, "{patch}");
        }
        assert!(patched(json!({"a/b": 1, "ab": 2}), json!({"a": {}})).is_some());
    }

    #[test]
    fn properties_are_told() {
        let patch = json!({"keywords/$a": true, "keywords/$b": null, "mailboxIds": {"M1": true}});
        let patch = Patch::parse(object(patch)).unwrap();
        assert_eq!(patch.properties().collect::<Vec<_>>(), ["keywords", "mailboxIds"]);
        assert_eq!(patch.changes_of("keywords").count(), 2);
        let whole: Vec<_> = patch.changes_of("mailboxIds").collect();
        assert!(matches!(whole.as_slice(), [([], Value::Object(_))]));
    }
}
