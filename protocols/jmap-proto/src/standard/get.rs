//! `/get` (RFC 8620 §5.1).

use serde_json::Value;

use crate::id::{Id, IdRef};
use crate::limits::Limits;
use crate::{Arguments, MethodError, Object};

/// What is asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct Get {
    /// Whose.
    pub account: Id,
    /// Which, each once; none for all.
    pub ids: Option<Vec<IdRef>>,
    /// What of them; none for all. `id` is always told.
    pub properties: Option<Vec<String>>,
}

impl Get {
    /// Reads them; what a method has of its own stays in `arguments`.
    ///
    /// # Errors
    /// [`MethodError::InvalidArguments`], [`MethodError::RequestTooLarge`].
    pub fn read(arguments: &mut Arguments, limits: &Limits) -> Result<Get, MethodError> {
        let account = arguments.id("accountId")?;
        let mut ids = arguments.opt_id_refs("ids")?;
        if let Some(ids) = &mut ids {
            if ids.len() > limits.objects_in_get {
                return Err(MethodError::RequestTooLarge);
            }
            // RFC 8620 §5.1: one that is asked for twice is told once.
            let mut seen = std::collections::BTreeSet::new();
            ids.retain(|id| seen.insert(id.clone()));
        }
        Ok(Get { account, ids, properties: arguments.opt_texts("properties")? })
    }
}

/// What is told.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct GetAnswer {
    /// Whose.
    pub account: Option<Id>,
    /// The state that all this is of.
    pub state: String,
    /// The records.
    pub list: Vec<Object>,
    /// Ids of which there are none.
    pub not_found: Vec<String>,
}

impl GetAnswer {
    /// The arguments of the answer.
    pub fn into_object(self) -> Object {
        let mut object = Object::new();
        if let Some(account) = self.account {
            object.insert("accountId".to_owned(), account.into_string().into());
        }
        object.insert("state".to_owned(), self.state.into());
        object.insert("list".to_owned(), Value::Array(self.list.into_iter().map(Value::Object).collect()));
        object.insert("notFound".to_owned(), Value::from(self.not_found));
        object
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(value: Value) -> Result<Get, MethodError> {
        let Value::Object(object) = value else { panic!("an object") };
        let mut arguments = Arguments::new(object);
        let get = Get::read(&mut arguments, &Limits { objects_in_get: 2, ..Limits::default() })?;
        arguments.end().map(|()| get)
    }

    #[test]
    fn arguments() {
        let get = read(json!({"accountId": "A1", "ids": ["a", "a"], "properties": ["name"]})).unwrap();
        assert_eq!(get.ids.unwrap().len(), 1);
        assert_eq!(read(json!({"accountId": "A1", "ids": null})).unwrap().ids, None);
        assert_eq!(
            read(json!({"accountId": "A1", "ids": ["a", "b", "c"]})),
            Err(MethodError::RequestTooLarge)
        );
        for bad in [json!({}), json!({"accountId": "A1", "ids": "a"}), json!({"accountId": "A1", "x": 1})] {
            assert!(matches!(read(bad), Err(MethodError::InvalidArguments { .. })));
        }
    }

    #[test]
    fn an_answer() {
        let answer = GetAnswer {
            account: Id::new("A1"),
            state: "s".into(),
            not_found: vec!["x".into()],
            ..GetAnswer::default()
        };
        let told = json!({"accountId": "A1", "state": "s", "list": [], "notFound": ["x"]});
        assert_eq!(Value::Object(answer.into_object()), told);
    }
}
