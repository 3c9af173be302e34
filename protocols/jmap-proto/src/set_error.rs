//! Why one record was not made, changed or removed (RFC 8620 §5.3, §5.4).

use serde_json::Value;

use crate::Object;
use crate::id::Id;

/// A `SetError`.
#[derive(Debug, Clone, PartialEq)]
pub struct SetError {
    kind: &'static str,
    description: Option<String>,
    more: Object,
}

impl SetError {
    /// One of a type that is named by the RFC of its method.
    pub fn new(kind: &'static str) -> Self {
        SetError { kind, description: None, more: Object::new() }
    }

    /// The user may not do that.
    pub fn forbidden() -> Self {
        SetError::new("forbidden")
    }

    /// It would be more than the account may hold.
    pub fn over_quota() -> Self {
        SetError::new("overQuota")
    }

    /// It is too large.
    pub fn too_large() -> Self {
        SetError::new("tooLarge")
    }

    /// Too many were made; try again later.
    pub fn rate_limit() -> Self {
        SetError::new("rateLimit")
    }

    /// There is no such record.
    pub fn not_found() -> Self {
        SetError::new("notFound")
    }

    /// What is given as a patch is none.
    pub fn invalid_patch() -> Self {
        SetError::new("invalidPatch")
    }

    /// It is destroyed by the same call.
    pub fn will_destroy() -> Self {
        SetError::new("willDestroy")
    }

    /// There is one of it only.
    pub fn singleton() -> Self {
        SetError::new("singleton")
    }

    /// These properties are not valid.
    pub fn invalid_properties<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        let names: Vec<Value> = names.into_iter().map(Value::from).collect();
        SetError::new("invalidProperties").with("properties", Value::Array(names))
    }

    /// It is there already (§5.4).
    pub fn already_exists(existing: &Id) -> Self {
        SetError::new("alreadyExists").with("existingId", Value::from(existing.as_str()))
    }

    /// With words for a developer.
    #[must_use]
    pub fn describe(mut self, text: impl Into<String>) -> Self {
        self.description = Some(text.into());
        self
    }

    /// With a further property.
    #[must_use]
    pub fn with(mut self, name: &str, value: Value) -> Self {
        self.more.insert(name.to_owned(), value);
        self
    }

    /// Its type.
    pub fn kind(&self) -> &'static str {
        self.kind
    }

    /// As it is told.
    pub fn to_value(&self) -> Value {
        let mut object = self.more.clone();
        object.insert("type".to_owned(), Value::from(self.kind));
        if let Some(text) = &self.description {
            object.insert("description".to_owned(), Value::from(text.as_str()));
        }
        Value::Object(object)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn errors_are_told() {
        let error = SetError::invalid_properties(["name"]).describe("it is empty");
        let told = json!({"type": "invalidProperties", "properties": ["name"], "description": "it is empty"});
        assert_eq!(error.to_value(), told);
        assert_eq!(SetError::not_found().to_value(), json!({"type": "notFound"}));
    }
}
