//! Rights to mailboxes as clients know them (RFC 8621 §2 `myRights`, RFC 9670 §4 `shareWith`), and as RFC 4314 does.

use std::collections::BTreeMap;

use accounts::Rights;
use jmap_proto::patch::Patch;
use jmap_proto::{Object, SetError};
use mail::{Lists, ShareEdit};
use schema::{AccountId, MailboxId};
use serde_json::Value;

use crate::access::Access;
use crate::call::Call;
use crate::fail::Fail;
use crate::principal::{self, PRINCIPALS};

/// The property that says who else may do what.
pub(super) const SHARE_WITH: &str = "shareWith";

/// What is the right to see and to change that.
const MAY_SHARE: &str = "mayShare";

/// Rights, and the letters that they are.
const NAMES: [(&str, Rights); 10] = [
    ("mayReadItems", Rights::LOOKUP.with(Rights::READ)),
    ("mayAddItems", Rights::INSERT),
    ("mayRemoveItems", Rights::DELETE_MESSAGES.with(Rights::EXPUNGE)),
    ("maySetSeen", Rights::SEEN),
    ("maySetKeywords", Rights::WRITE),
    ("mayCreateChild", Rights::CREATE),
    ("mayRename", Rights::DELETE_MAILBOX),
    ("mayDelete", Rights::DELETE_MAILBOX),
    ("maySubmit", Rights::POST),
    (MAY_SHARE, Rights::ADMINISTER),
];

/// Rights as they are told. `shares` says whether whoever asks knows of sharing; `fixed`, whether the mailbox is one that stays.
pub(crate) fn told(rights: Rights, shares: bool, fixed: bool) -> Value {
    let movable = |name: &str| !(fixed && ["mayRename", "mayDelete"].contains(&name));
    let known = NAMES.iter().filter(|(name, _)| shares || *name != MAY_SHARE);
    let one = |(name, letters): &(&str, Rights)| {
        ((*name).to_owned(), Value::Bool(rights.contain(*letters) && movable(name)))
    };
    Value::Object(known.map(one).collect())
}

/// Rights as a client gives them: those that are not named are not given. None for what are none, or cannot be given: to
/// rename and to delete is one right.
fn given(map: &Object) -> Option<Rights> {
    let set = |name: &str| map.get(name).is_some_and(|value| *value == Value::Bool(true));
    let known =
        |(name, value): (&String, &Value)| value.is_boolean() && NAMES.iter().any(|(one, _)| one == name);
    if !map.iter().all(known) || set("mayRename") != set("mayDelete") {
        return None;
    }
    let held = NAMES.iter().filter(|(name, _)| set(name));
    let rights = held.fold(Rights::NONE, |all, (_, letters)| all | *letters);
    // What may not be read can be used without being seen in lists by nobody here.
    Some(if rights == Rights::NONE { rights } else { rights | Rights::LOOKUP })
}

/// What is known of who may use the mailboxes of an account.
pub(super) struct Sharing {
    /// Whether whoever asks uses the capability.
    pub(super) used: bool,
    lists: Lists,
}

impl Sharing {
    /// Nothing.
    pub(super) fn unused() -> Self {
        Sharing { used: false, lists: Lists::new() }
    }

    /// Reads the lists, if they are to be told.
    pub(super) async fn read(call: &Call, access: &Access, wanted: bool) -> Result<Self, Fail> {
        let used = is_used(call);
        let lists = match used && wanted && access.may_somewhere(Rights::ADMINISTER) {
            true => call.services().mail.lists(access.account).await?,
            false => Lists::new(),
        };
        Ok(Sharing { used, lists })
    }

    /// RFC 9670 §4: null to who may not change it.
    pub(super) fn share_with(&self, access: &Access, mailbox: MailboxId) -> Value {
        let list = self.lists.get(&mailbox).filter(|_| access.may_in(mailbox, Rights::ADMINISTER));
        let one =
            |(principal, rights): (&AccountId, &Rights)| (principal.to_string(), told(*rights, true, false));
        list.map_or(Value::Null, |list| Value::Object(list.iter().map(one).collect()))
    }
}

/// Whether whoever asks knows of sharing: properties of a capability are there for those alone who use it (RFC 8620 §3.3).
pub(super) fn is_used(call: &Call) -> bool {
    call.using.iter().any(|urn| urn == PRINCIPALS)
}

fn wrong() -> SetError {
    SetError::invalid_properties([SHARE_WITH])
}

/// The list that a new mailbox is to have.
pub(super) async fn of_new(call: &Call, value: &Value) -> Result<Result<ShareEdit, SetError>, Fail> {
    let none = BTreeMap::new();
    Ok(match whole(call, value) {
        Ok(edit) => checked(call, edit, &none).await?,
        Err(error) => Err(error),
    })
}

/// What a patch does to the list of a mailbox: all of it, those of one principal, or one right of one.
pub(super) async fn of_patch(
    call: &Call,
    access: &Access,
    mailbox: MailboxId,
    patch: &Patch,
) -> Result<Result<ShareEdit, SetError>, Fail> {
    if !access.may_in(mailbox, Rights::ADMINISTER) {
        return Ok(Err(SetError::forbidden()));
    }
    let before = call.services().mail.lists(access.account).await?.remove(&mailbox).unwrap_or_default();
    let edit = match edit(call, patch, &before) {
        Ok(edit) => edit,
        Err(error) => return Ok(Err(error)),
    };
    checked(call, edit, &before).await
}

fn edit(call: &Call, patch: &Patch, before: &BTreeMap<AccountId, Rights>) -> Result<ShareEdit, SetError> {
    let mut maps: BTreeMap<AccountId, Object> = BTreeMap::new();
    for (within, value) in patch.changes_of(SHARE_WITH) {
        match within {
            [] => return whole(call, value),
            [principal] => {
                maps.insert(id(principal)?, object(value)?);
            }
            [principal, right] => {
                let principal = id(principal)?;
                // RFC 8620 §5.3: all but the last token have to be there.
                let held = before.get(&principal).ok_or_else(SetError::invalid_patch)?;
                let Value::Object(now) = told(*held, true, false) else { return Err(wrong()) };
                let map = maps.entry(principal).or_insert(now);
                let value = if value.is_null() { Value::Bool(false) } else { value.clone() };
                map.insert(right.clone(), value);
            }
            _ => return Err(SetError::invalid_patch()),
        }
    }
    let one = |(id, map): (&AccountId, &Object)| given(map).map(|rights| (*id, rights)).ok_or_else(wrong);
    let rights = maps.iter().map(one).collect::<Result<_, SetError>>()?;
    Ok(ShareEdit { by: call.identity.account, whole: false, rights })
}

fn whole(call: &Call, value: &Value) -> Result<ShareEdit, SetError> {
    let map = object(value)?;
    let one = |(principal, rights): (&String, &Value)| {
        let rights = given(&object(rights)?).ok_or_else(wrong)?;
        Ok::<_, SetError>((id(principal)?, rights))
    };
    let rights = map.iter().map(one).collect::<Result<_, SetError>>()?;
    Ok(ShareEdit { by: call.identity.account, whole: true, rights })
}

/// Null is an empty object.
fn object(value: &Value) -> Result<Object, SetError> {
    match value {
        Value::Null => Ok(Object::new()),
        Value::Object(object) => Ok(object.clone()),
        _ => Err(wrong()),
    }
}

fn id(text: &str) -> Result<AccountId, SetError> {
    text.parse().map_err(|_| wrong())
}

/// Those who get rights have to be principals that the user sees: who may not list others cannot find out who they are by sharing.
async fn checked(
    call: &Call,
    edit: ShareEdit,
    before: &BTreeMap<AccountId, Rights>,
) -> Result<Result<ShareEdit, SetError>, Fail> {
    for principal in edit.rights.keys().filter(|principal| !before.contains_key(principal)) {
        if principal::find(call, *principal).await?.is_none() {
            return Ok(Err(wrong().describe("there is no such principal")));
        }
    }
    Ok(Ok(edit))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn rights(letters: &str) -> Rights {
        Rights::parse(letters).unwrap()
    }

    #[test]
    fn rights_there_and_back() {
        for letters in ["", "lr", "lrswipkxtea", "lrs", "li", "lrte", "lrx"] {
            let Value::Object(map) = told(rights(letters), true, false) else { panic!("a map") };
            assert_eq!(map.len(), 10);
            assert_eq!(given(&map), Some(rights(letters)), "{letters}");
        }
        let Value::Object(map) = told(rights("lrt"), false, true) else { panic!("a map") };
        assert_eq!((map.len(), &map["mayRemoveItems"]), (9, &json!(false)));
        assert_eq!(told(Rights::ALL, true, true)["mayDelete"], false);
    }

    #[test]
    fn rights_that_cannot_be_given() {
        let given = |value: Value| given(&object(&value).unwrap());
        assert_eq!(given(json!({"mayReadItems": true})), Some(rights("lr")));
        assert_eq!(given(json!({"mayAddItems": true, "maySetSeen": false})), Some(rights("li")));
        assert_eq!(given(json!({})), Some(Rights::NONE));
        let bad = [
            json!({"mayRename": true}),
            json!({"mayFly": true}),
            json!({"mayReadItems": 1}),
            json!({"mayDelete": true}),
        ];
        for bad in bad {
            assert_eq!(given(bad.clone()), None, "{bad}");
        }
    }
}
