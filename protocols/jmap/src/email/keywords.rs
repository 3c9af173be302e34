//! Keywords (RFC 8621 §4.1.1) and flags, and the mailboxes of an email.

use std::collections::BTreeSet;

use jmap_proto::mail::keyword;
use jmap_proto::{Object, SetError};
use schema::{Flags, Keyword, MailboxId, SystemFlags};
use serde_json::Value;

use crate::call::Call;

const SYSTEM: [(&str, SystemFlags); 4] = [
    ("$seen", SystemFlags::SEEN),
    ("$draft", SystemFlags::DRAFT),
    ("$flagged", SystemFlags::FLAGGED),
    ("$answered", SystemFlags::ANSWERED),
];

/// Flags as they are told.
pub(crate) fn to_object(flags: &Flags) -> Object {
    let system = SYSTEM.iter().filter(|(_, flag)| flags.has(*flag)).map(|(name, _)| (*name).to_owned());
    let keywords = flags.keywords.iter().map(|keyword| keyword.as_str().to_lowercase());
    system.chain(keywords).map(|name| (name, Value::Bool(true))).collect()
}

/// The flag of a keyword; none for what is no keyword.
pub(crate) fn flag(name: &str) -> Option<Flags> {
    let name = keyword::parse(name)?;
    let mut flags = Flags::none();
    match SYSTEM.iter().find(|(known, _)| *known == name) {
        Some((_, flag)) => flags.system = *flag,
        None => {
            flags.keywords.insert(Keyword::new(&name).ok()?);
        }
    }
    Some(flags)
}

/// The flags of `keywords` as a client gives them: each true.
pub(crate) fn of_object(value: &Value) -> Result<Flags, SetError> {
    let wrong = || SetError::invalid_properties(["keywords"]);
    let object = value.as_object().ok_or_else(wrong)?;
    object.iter().try_fold(Flags::none(), |all, (name, value)| match value {
        Value::Bool(true) => Ok(all.union(&flag(name).ok_or_else(wrong)?)),
        _ => Err(wrong()),
    })
}

/// The mailboxes of `mailboxIds` as a client gives them: each true. One that is not there is not told apart here.
pub(crate) fn mailboxes(call: &Call, value: &Value) -> Result<BTreeSet<MailboxId>, SetError> {
    let wrong = || SetError::invalid_properties(["mailboxIds"]);
    let object = value.as_object().filter(|object| !object.is_empty()).ok_or_else(wrong)?;
    object
        .iter()
        .map(|(name, value)| {
            let id = Some(name).filter(|_| *value == Value::Bool(true)).and_then(|name| mailbox(call, name));
            id.ok_or_else(wrong)
        })
        .collect()
}

/// The mailbox of an id.
pub(crate) fn mailbox(call: &Call, text: &str) -> Option<MailboxId> {
    call.created.resolve_text(text)?.as_str().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn there_and_back() {
        let given = json!({"$Seen": true, "$forwarded": true});
        let flags = of_object(&given).unwrap();
        assert!(flags.has(SystemFlags::SEEN));
        assert_eq!(Value::Object(to_object(&flags)), json!({"$seen": true, "$forwarded": true}));
        for bad in [json!({"a b": true}), json!({"$seen": false}), json!([]), json!({"\\Deleted": true})] {
            assert!(of_object(&bad).is_err(), "{bad}");
        }
    }
}
