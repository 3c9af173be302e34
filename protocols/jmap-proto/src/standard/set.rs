//! `/set` (RFC 8620 §5.3).

use std::collections::BTreeMap;

use serde_json::Value;

use crate::id::{Id, IdRef};
use crate::limits::Limits;
use crate::patch::Patch;
use crate::{Arguments, MethodError, Object, SetError};

/// What is asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct Set {
    /// Whose.
    pub account: Id,
    /// Nothing is done in another state.
    pub if_in_state: Option<String>,
    /// What is to be made, by creation id.
    pub create: BTreeMap<Id, Object>,
    /// What is to be changed, each with its patch or what is wrong with that.
    pub update: BTreeMap<IdRef, Result<Patch, SetError>>,
    /// What is to go.
    pub destroy: Vec<IdRef>,
}

/// What is asked for of records that belong to no account (RFC 8620 §7.2.2).
#[derive(Debug, Clone, PartialEq)]
pub struct Edits {
    /// What is to be made, by creation id.
    pub create: BTreeMap<Id, Object>,
    /// What is to be changed, each with its patch or what is wrong with that.
    pub update: BTreeMap<IdRef, Result<Patch, SetError>>,
    /// What is to go.
    pub destroy: Vec<IdRef>,
}

impl Set {
    /// Reads them; what a method has of its own stays in `arguments`.
    ///
    /// # Errors
    /// [`MethodError::InvalidArguments`], [`MethodError::RequestTooLarge`].
    pub fn read(arguments: &mut Arguments, limits: &Limits) -> Result<Set, MethodError> {
        let account = arguments.id("accountId")?;
        let if_in_state = arguments.opt_text("ifInState")?;
        let Edits { create, update, destroy } = Edits::read(arguments, limits)?;
        Ok(Set { account, if_in_state, create, update, destroy })
    }
}

impl Edits {
    /// Reads them; what a method has of its own stays in `arguments`.
    ///
    /// # Errors
    /// [`MethodError::InvalidArguments`], [`MethodError::RequestTooLarge`].
    pub fn read(arguments: &mut Arguments, limits: &Limits) -> Result<Edits, MethodError> {
        let create = arguments.opt_object("create")?.unwrap_or_default();
        let update = arguments.opt_object("update")?.unwrap_or_default();
        let mut destroy = arguments.opt_id_refs("destroy")?.unwrap_or_default();
        if create.len() + update.len() + destroy.len() > limits.objects_in_set {
            return Err(MethodError::RequestTooLarge);
        }
        let create = create.into_iter().map(|(id, value)| Some((Id::new(&id)?, object(value)?)));
        let create: Option<_> = create.collect();
        let create = create.ok_or_else(|| MethodError::invalid("create", "objects by creation id"))?;
        let update =
            update.into_iter().map(|(id, value)| Some((IdRef::new(&id)?, Patch::parse(object(value)?))));
        let update: Option<_> = update.collect();
        let update = update.ok_or_else(|| MethodError::invalid("update", "patches by id"))?;
        destroy.sort();
        destroy.dedup();
        Ok(Edits { create, update, destroy })
    }
}

fn object(value: Value) -> Option<Object> {
    match value {
        Value::Object(object) => Some(object),
        _ => None,
    }
}

/// What is told.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct SetAnswer {
    /// Whose.
    pub account: Option<Id>,
    /// The state before.
    pub old_state: Option<String>,
    /// The state after.
    pub new_state: String,
    /// What was made: its id, and what the client does not know of it.
    pub created: BTreeMap<Id, Object>,
    /// What was changed: what of it changed besides what the client asked for.
    pub updated: BTreeMap<Id, Option<Object>>,
    /// What is gone.
    pub destroyed: Vec<Id>,
    /// What was not made.
    pub not_created: BTreeMap<Id, SetError>,
    /// What was not changed.
    pub not_updated: BTreeMap<String, SetError>,
    /// What is not gone.
    pub not_destroyed: BTreeMap<String, SetError>,
}

impl SetAnswer {
    /// The arguments of the answer. RFC 8620 §5.3: null stands for none of a kind.
    pub fn into_object(self) -> Object {
        let mut object = Object::new();
        if let Some(account) = self.account {
            object.insert("accountId".to_owned(), account.into_string().into());
        }
        object.insert("oldState".to_owned(), self.old_state.map_or(Value::Null, Value::from));
        object.insert("newState".to_owned(), self.new_state.into());
        let created = self.created.into_iter().map(|(id, o)| (id.into_string(), Value::Object(o)));
        object.insert("created".to_owned(), map(created));
        let changed = |change: Option<Object>| change.map_or(Value::Null, Value::Object);
        let updated = self.updated.into_iter().map(|(id, change)| (id.into_string(), changed(change)));
        object.insert("updated".to_owned(), map(updated));
        let destroyed = match self.destroyed.as_slice() {
            [] => Value::Null,
            some => super::ids(some),
        };
        object.insert("destroyed".to_owned(), destroyed);
        let not_created = self.not_created.into_iter().map(|(id, e)| (id.into_string(), e.to_value()));
        object.insert("notCreated".to_owned(), map(not_created));
        let errors = |errors: BTreeMap<String, SetError>| {
            map(errors.into_iter().map(|(id, error)| (id, error.to_value())))
        };
        object.insert("notUpdated".to_owned(), errors(self.not_updated));
        object.insert("notDestroyed".to_owned(), errors(self.not_destroyed));
        object
    }
}

fn map(entries: impl Iterator<Item = (String, Value)>) -> Value {
    let object: Object = entries.collect();
    if object.is_empty() { Value::Null } else { Value::Object(object) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(value: Value) -> Result<Set, MethodError> {
        let Value::Object(object) = value else { panic!("an object") };
        Set::read(&mut Arguments::new(object), &Limits { objects_in_set: 4, ..Limits::default() })
    }

    #[test]
    fn arguments() {
        let set = read(json!({
            "accountId": "A1", "ifInState": "s",
            "create": {"k1": {"name": "a"}},
            "update": {"M1": {"name": "b"}, "#k1": {"a": 1, "a/b": 2}},
            "destroy": ["M2"]
        }))
        .unwrap();
        assert_eq!(set.create.len(), 1);
        assert!(set.update[&IdRef::new("M1").unwrap()].is_ok());
        assert_eq!(set.update[&IdRef::new("#k1").unwrap()].as_ref().unwrap_err().kind(), "invalidPatch");
        assert_eq!(set.destroy, [IdRef::new("M2").unwrap()]);
        let many = json!({"accountId": "A1", "destroy": ["a", "b", "c", "d", "e"]});
        assert_eq!(read(many), Err(MethodError::RequestTooLarge));
        for bad in [
            json!({"accountId": "A1", "create": {"a b": {}}}),
            json!({"accountId": "A1", "create": {"a": 1}}),
            json!({"accountId": "A1", "update": {"a": null}}),
            json!({"accountId": "A1", "destroy": [1]}),
        ] {
            assert!(matches!(read(bad), Err(MethodError::InvalidArguments { .. })));
        }
    }

    #[test]
    fn an_answer() {
        let id = |text: &str| Id::new(text).unwrap();
        let answer = SetAnswer {
            account: Some(id("A1")),
            old_state: Some("1".into()),
            new_state: "2".into(),
            updated: BTreeMap::from([(id("M1"), None)]),
            not_destroyed: BTreeMap::from([("M2".to_owned(), SetError::not_found())]),
            ..SetAnswer::default()
        };
        let told = json!({
            "accountId": "A1", "oldState": "1", "newState": "2", "created": null, "updated": {"M1": null}, "destroyed": null,
            "notCreated": null, "notUpdated": null, "notDestroyed": {"M2": {"type": "notFound"}}
        });
        assert_eq!(Value::Object(answer.into_object()), told);
    }
}
