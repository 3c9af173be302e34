//! `/copy` (RFC 8620 §5.4).

use std::collections::BTreeMap;

use serde_json::Value;

use crate::id::{Id, IdRef};
use crate::limits::Limits;
use crate::standard::SetAnswer;
use crate::{Arguments, MethodError, Object, SetError};

/// What is asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct Copy {
    /// Where from.
    pub from: Id,
    /// Nothing is done in another state of the account it comes from.
    pub if_from_in_state: Option<String>,
    /// Where to.
    pub account: Id,
    /// Nothing is done in another state of the account it goes to.
    pub if_in_state: Option<String>,
    /// By creation id: which record, and what of the copy is to be another.
    pub create: BTreeMap<Id, (IdRef, Object)>,
    /// Whether the originals are to go.
    pub destroy_original: bool,
    /// Nothing is destroyed in another state.
    pub destroy_from_if_in_state: Option<String>,
}

impl Copy {
    /// Reads them.
    ///
    /// # Errors
    /// [`MethodError::InvalidArguments`], [`MethodError::RequestTooLarge`].
    pub fn read(arguments: &mut Arguments, limits: &Limits) -> Result<Copy, MethodError> {
        let (from, account) = (arguments.id("fromAccountId")?, arguments.id("accountId")?);
        if from == account {
            return Err(MethodError::invalid("fromAccountId", "another account than the target is wanted"));
        }
        let create = arguments.opt_object("create")?;
        let create = create.ok_or_else(|| MethodError::invalid("create", "records to copy are wanted"))?;
        if create.len() > limits.objects_in_set {
            return Err(MethodError::RequestTooLarge);
        }
        let entry = |(creation, value): (String, Value)| {
            let Value::Object(mut object) = value else { return None };
            let id = object.remove("id")?;
            Some((Id::new(&creation)?, (IdRef::new(id.as_str()?)?, object)))
        };
        let create: Option<_> = create.into_iter().map(entry).collect();
        Ok(Copy {
            from,
            account,
            create: create
                .ok_or_else(|| MethodError::invalid("create", "records with their ids are wanted"))?,
            if_from_in_state: arguments.opt_text("ifFromInState")?,
            if_in_state: arguments.opt_text("ifInState")?,
            destroy_original: arguments.flag("onSuccessDestroyOriginal")?,
            destroy_from_if_in_state: arguments.opt_text("destroyFromIfInState")?,
        })
    }
}

/// What is told.
#[derive(Debug, Clone, PartialEq)]
pub struct CopyAnswer {
    /// Where from.
    pub from: Id,
    /// Where to.
    pub account: Id,
    /// The state before.
    pub old_state: Option<String>,
    /// The state after.
    pub new_state: String,
    /// What was made.
    pub created: BTreeMap<Id, Object>,
    /// What was not.
    pub not_created: BTreeMap<Id, SetError>,
}

impl CopyAnswer {
    /// The arguments of the answer.
    pub fn into_object(self) -> Object {
        let set = SetAnswer {
            account: Some(self.account),
            old_state: self.old_state,
            new_state: self.new_state,
            created: self.created,
            not_created: self.not_created,
            ..SetAnswer::default()
        };
        let mut object = set.into_object();
        object.insert("fromAccountId".to_owned(), self.from.into_string().into());
        for other in ["updated", "destroyed", "notUpdated", "notDestroyed"] {
            object.remove(other);
        }
        object
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(value: Value) -> Result<Copy, MethodError> {
        let Value::Object(object) = value else { panic!("an object") };
        Copy::read(&mut Arguments::new(object), &Limits::default())
    }

    #[test]
    fn arguments() {
        let copy = read(json!({
            "fromAccountId": "x", "accountId": "y", "onSuccessDestroyOriginal": true,
            "create": {"k5122": {"id": "a", "mailboxIds": {}}}
        }))
        .unwrap();
        let (id, rest) = &copy.create["k5122"];
        assert_eq!((id.to_string().as_str(), rest.len(), copy.destroy_original), ("a", 1, true));
        for bad in [
            json!({"fromAccountId": "x", "accountId": "x", "create": {}}),
            json!({"fromAccountId": "x", "accountId": "y"}),
            json!({"fromAccountId": "x", "accountId": "y", "create": {"k": {}}}),
        ] {
            assert!(matches!(read(bad), Err(MethodError::InvalidArguments { .. })));
        }
    }

    #[test]
    fn an_answer() {
        let id = |text: &str| Id::new(text).unwrap();
        let answer = CopyAnswer {
            from: id("x"),
            account: id("y"),
            old_state: None,
            new_state: "2".into(),
            created: BTreeMap::from([(id("k"), Object::new())]),
            not_created: BTreeMap::new(),
        };
        let told = json!({"fromAccountId": "x", "accountId": "y", "oldState": null, "newState": "2", "created": {"k": {}},
            "notCreated": null});
        assert_eq!(Value::Object(answer.into_object()), told);
    }
}
