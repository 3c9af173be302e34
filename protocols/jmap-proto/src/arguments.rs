//! Reading arguments: each is taken once, by its kind, and what is left over at the end is one too many.

use serde_json::Value;

use crate::id::{Id, IdRef};
use crate::{MethodError, Object};

/// The largest number that JSON is sure to carry (RFC 8620 §1.3).
pub const MAX_INT: i64 = (1 << 53) - 1;

/// Arguments that are being read.
#[derive(Debug, Clone)]
pub struct Arguments(Object);

impl Arguments {
    /// Of a call, references resolved.
    pub fn new(arguments: Object) -> Self {
        Arguments(arguments)
    }

    /// Whatever is there; none if nothing or null is.
    pub fn value(&mut self, name: &str) -> Option<Value> {
        self.0.remove(name).filter(|value| !value.is_null())
    }

    fn read<T>(
        &mut self,
        name: &str,
        kind: &'static str,
        read: impl FnOnce(Value) -> Option<T>,
    ) -> Result<Option<T>, MethodError> {
        match self.value(name) {
            None => Ok(None),
            Some(value) => read(value).map(Some).ok_or_else(|| MethodError::invalid(name, kind)),
        }
    }

    /// An id.
    ///
    /// # Errors
    /// [`MethodError::InvalidArguments`], as for all that follow.
    pub fn id(&mut self, name: &str) -> Result<Id, MethodError> {
        let id = self.read(name, "an id is wanted", |value| value.as_str().and_then(Id::new))?;
        id.ok_or_else(|| MethodError::invalid(name, "an id is wanted"))
    }

    /// An id, if there is one.
    ///
    /// # Errors
    /// As [`Arguments::id`].
    pub fn opt_id(&mut self, name: &str) -> Result<Option<Id>, MethodError> {
        self.read(name, "an id is wanted", |value| value.as_str().and_then(Id::new))
    }

    /// Ids, which may be of what is made by the same request; none for null.
    ///
    /// # Errors
    /// As [`Arguments::id`].
    pub fn opt_id_refs(&mut self, name: &str) -> Result<Option<Vec<IdRef>>, MethodError> {
        self.read(name, "a list of ids is wanted", |value| match value {
            Value::Array(items) => items.iter().map(|item| item.as_str().and_then(IdRef::new)).collect(),
            _ => None,
        })
    }

    /// A text, if there is one.
    ///
    /// # Errors
    /// As [`Arguments::id`].
    pub fn opt_text(&mut self, name: &str) -> Result<Option<String>, MethodError> {
        self.read(name, "a text is wanted", |value| match value {
            Value::String(text) => Some(text),
            _ => None,
        })
    }

    /// A text.
    ///
    /// # Errors
    /// As [`Arguments::id`].
    pub fn text(&mut self, name: &str) -> Result<String, MethodError> {
        self.opt_text(name)?.ok_or_else(|| MethodError::invalid(name, "a text is wanted"))
    }

    /// Texts; none for null.
    ///
    /// # Errors
    /// As [`Arguments::id`].
    pub fn opt_texts(&mut self, name: &str) -> Result<Option<Vec<String>>, MethodError> {
        self.read(name, "a list of texts is wanted", texts)
    }

    /// Yes or no; no if absent.
    ///
    /// # Errors
    /// As [`Arguments::id`].
    pub fn flag(&mut self, name: &str) -> Result<bool, MethodError> {
        Ok(self.read(name, "true or false is wanted", |value| value.as_bool())?.unwrap_or(false))
    }

    /// A number, if there is one.
    ///
    /// # Errors
    /// As [`Arguments::id`].
    pub fn opt_int(&mut self, name: &str) -> Result<Option<i64>, MethodError> {
        self.read(name, "a whole number is wanted", |value| int(&value))
    }

    /// A number that is not negative, if there is one.
    ///
    /// # Errors
    /// As [`Arguments::id`].
    pub fn opt_uint(&mut self, name: &str) -> Result<Option<u64>, MethodError> {
        self.read(name, "a whole number that is not negative is wanted", |value| {
            int(&value).and_then(|number| u64::try_from(number).ok())
        })
    }

    /// An object, if there is one.
    ///
    /// # Errors
    /// As [`Arguments::id`].
    pub fn opt_object(&mut self, name: &str) -> Result<Option<Object>, MethodError> {
        self.read(name, "an object is wanted", |value| match value {
            Value::Object(object) => Some(object),
            _ => None,
        })
    }

    /// All were read.
    ///
    /// # Errors
    /// [`MethodError::InvalidArguments`] that names those that were not.
    pub fn end(self) -> Result<(), MethodError> {
        if self.0.is_empty() {
            return Ok(());
        }
        let arguments = self.0.into_iter().map(|(name, _)| name).collect();
        Err(MethodError::InvalidArguments { arguments, description: "there are no such arguments" })
    }
}

/// A list of texts.
pub fn texts(value: Value) -> Option<Vec<String>> {
    let Value::Array(items) = value else { return None };
    let text = |item: Value| match item {
        Value::String(text) => Some(text),
        _ => None,
    };
    items.into_iter().map(text).collect()
}

/// An `Int` (RFC 8620 §1.3): a whole number of at most 53 bits; `1.0` is one.
pub fn int(value: &Value) -> Option<i64> {
    let number = match value.as_i64() {
        Some(number) => number,
        None => value.as_f64().filter(|f| f.fract() == 0.0 && f.abs() <= MAX_INT as f64)? as i64,
    };
    (number.abs() <= MAX_INT).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn arguments(value: Value) -> Arguments {
        let Value::Object(object) = value else { panic!("an object") };
        Arguments::new(object)
    }

    #[test]
    fn kinds_are_checked() {
        let mut read = arguments(json!({
            "accountId": "A1", "ids": ["a", "#b"], "n": -5, "u": 7.0, "text": "x", "texts": ["a"], "on": true, "none": null
        }));
        assert_eq!(read.id("accountId").unwrap().as_str(), "A1");
        assert_eq!(read.opt_id_refs("ids").unwrap().unwrap().len(), 2);
        assert_eq!((read.opt_int("n").unwrap(), read.opt_uint("u").unwrap()), (Some(-5), Some(7)));
        assert_eq!(
            (read.text("text").unwrap(), read.opt_texts("texts").unwrap()),
            ("x".into(), Some(vec!["a".into()]))
        );
        assert!(read.flag("on").unwrap() && !read.flag("off").unwrap());
        assert_eq!(read.opt_text("none").unwrap(), None);
        read.end().unwrap();
    }

    #[test]
    fn wrong_ones_are_named() {
        let bad = json!({"id": "a b", "ids": [1], "n": 1.5, "u": -1, "big": 1u64 << 53, "flag": 1});
        let mut read = arguments(bad);
        for error in [
            read.id("id").map(drop),
            read.opt_id_refs("ids").map(drop),
            read.opt_int("n").map(drop),
            read.opt_uint("u").map(drop),
            read.opt_int("big").map(drop),
            read.flag("flag").map(drop),
            read.id("missing").map(drop),
        ] {
            assert!(matches!(error, Err(MethodError::InvalidArguments { .. })), "{error:?}");
        }
        let error = arguments(json!({"more": 1})).end();
        assert!(
            matches!(error, Err(MethodError::InvalidArguments { arguments, .. }) if arguments == ["more"])
        );
    }
}
