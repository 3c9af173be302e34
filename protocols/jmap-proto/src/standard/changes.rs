//! `/changes` (RFC 8620 §5.2).

use crate::id::Id;
use crate::standard::ids;
use crate::{Arguments, MethodError, Object};

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changes {
    /// Whose.
    pub account: Id,
    /// Since when.
    pub since: String,
    /// Most ids that the client wants to be told.
    pub max: Option<usize>,
}

impl Changes {
    /// Reads them.
    ///
    /// # Errors
    /// [`MethodError::InvalidArguments`]; `maxChanges` is above zero.
    pub fn read(arguments: &mut Arguments) -> Result<Changes, MethodError> {
        let account = arguments.id("accountId")?;
        let since = arguments.text("sinceState")?;
        let max = arguments.opt_uint("maxChanges")?;
        if max == Some(0) {
            return Err(MethodError::invalid("maxChanges", "above zero, or absent"));
        }
        Ok(Changes { account, since, max: max.map(|max| usize::try_from(max).unwrap_or(usize::MAX)) })
    }
}

/// What is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangesAnswer {
    /// Whose.
    pub account: Id,
    /// Since when.
    pub old_state: String,
    /// Up to when.
    pub new_state: String,
    /// Whether there is more after that.
    pub more: bool,
    /// What came into being.
    pub created: Vec<Id>,
    /// What became another.
    pub updated: Vec<Id>,
    /// What went.
    pub destroyed: Vec<Id>,
}

impl ChangesAnswer {
    /// The arguments of the answer.
    pub fn into_object(self) -> Object {
        let mut object = Object::new();
        object.insert("accountId".to_owned(), self.account.into_string().into());
        object.insert("oldState".to_owned(), self.old_state.into());
        object.insert("newState".to_owned(), self.new_state.into());
        object.insert("hasMoreChanges".to_owned(), self.more.into());
        object.insert("created".to_owned(), ids(&self.created));
        object.insert("updated".to_owned(), ids(&self.updated));
        object.insert("destroyed".to_owned(), ids(&self.destroyed));
        object
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn read(value: Value) -> Result<Changes, MethodError> {
        let Value::Object(object) = value else { panic!("an object") };
        Changes::read(&mut Arguments::new(object))
    }

    #[test]
    fn arguments() {
        let changes = read(json!({"accountId": "A1", "sinceState": "s", "maxChanges": 5})).unwrap();
        assert_eq!((changes.since.as_str(), changes.max), ("s", Some(5)));
        for bad in
            [json!({"accountId": "A1"}), json!({"accountId": "A1", "sinceState": "s", "maxChanges": 0})]
        {
            assert!(matches!(read(bad), Err(MethodError::InvalidArguments { .. })));
        }
    }

    #[test]
    fn an_answer() {
        let answer = ChangesAnswer {
            account: Id::new("A1").unwrap(),
            old_state: "1".into(),
            new_state: "2".into(),
            more: false,
            created: vec![Id::new("f1").unwrap()],
            updated: vec![],
            destroyed: vec![],
        };
        let told = json!({"accountId": "A1", "oldState": "1", "newState": "2", "hasMoreChanges": false,
            "created": ["f1"], "updated": [], "destroyed": []});
        assert_eq!(Value::Object(answer.into_object()), told);
    }
}
