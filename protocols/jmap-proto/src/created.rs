//! Creation ids: what a request has made, under the names that the client gave (RFC 8620 §3.3, §5.3).

use std::collections::BTreeMap;

use serde_json::Value;

use crate::Object;
use crate::id::{Id, IdRef};

/// The ids that were made so far, by creation id. One that is used again stands for what was made last.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CreatedIds(BTreeMap<Id, Id>);

impl CreatedIds {
    /// Reads what a client gives along; none for what is no map of ids.
    pub(crate) fn parse(members: &Object) -> Option<Self> {
        let entry =
            |(name, value): (&String, &Value)| Some((Id::new(name)?, value.as_str().and_then(Id::new)?));
        members.iter().map(entry).collect::<Option<_>>().map(CreatedIds)
    }

    /// Notes what was made.
    pub fn insert(&mut self, creation: Id, made: Id) {
        self.0.insert(creation, made);
    }

    /// The id that is meant; none for a creation id under which nothing was made.
    pub fn resolve(&self, reference: &IdRef) -> Option<Id> {
        match reference {
            IdRef::Id(id) => Some(id.clone()),
            IdRef::Created(creation) => self.0.get(creation).cloned(),
        }
    }

    /// The id that a text means; none as well for what is neither an id nor a reference.
    pub fn resolve_text(&self, text: &str) -> Option<Id> {
        self.resolve(&IdRef::new(text)?)
    }

    /// As it is told.
    pub fn to_value(&self) -> Value {
        let entry = |(creation, made): (&Id, &Id)| (creation.to_string(), Value::from(made.as_str()));
        Value::Object(self.0.iter().map(entry).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_was_made_last_counts() {
        let Value::Object(given) = json!({"a": "M1"}) else { unreachable!() };
        let mut created = CreatedIds::parse(&given).unwrap();
        created.insert(Id::new("a").unwrap(), Id::new("M2").unwrap());
        assert_eq!(created.resolve_text("#a").map(Id::into_string).as_deref(), Some("M2"));
        assert_eq!(created.resolve_text("#b"), None);
        assert_eq!(created.resolve_text("b").map(Id::into_string).as_deref(), Some("b"));
        assert_eq!(created.to_value(), json!({"a": "M2"}));
        let Value::Object(bad) = json!({"a": "no id"}) else { unreachable!() };
        assert_eq!(CreatedIds::parse(&bad), None);
    }
}
