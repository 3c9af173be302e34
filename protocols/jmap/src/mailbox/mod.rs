//! Mailboxes (RFC 8621 §2).

mod changes;
mod get;
mod query;
mod set;

use std::collections::BTreeSet;

use accounts::Rights;
use jmap_proto::Object;
use mail::{Mailbox, Role, Tally};
use serde_json::{Value, json};

use crate::access::Access;
use crate::registry::Method;

/// The methods of the type.
pub(crate) const METHODS: &[Method] = &[
    ("Mailbox/get", get::get),
    ("Mailbox/changes", changes::changes),
    ("Mailbox/query", query::query),
    ("Mailbox/queryChanges", query::query_changes),
    ("Mailbox/set", set::set),
];

/// All properties (RFC 8621 §2).
const PROPERTIES: [&str; 11] = [
    "id",
    "name",
    "parentId",
    "role",
    "sortOrder",
    "totalEmails",
    "unreadEmails",
    "totalThreads",
    "unreadThreads",
    "myRights",
    "isSubscribed",
];

/// Those that change with the emails in it.
const COUNTS: [&str; 4] = ["totalEmails", "unreadEmails", "totalThreads", "unreadThreads"];

const ROLES: [(Role, &str); 9] = [
    (Role::Inbox, "inbox"),
    (Role::Archive, "archive"),
    (Role::Drafts, "drafts"),
    (Role::Junk, "junk"),
    (Role::Sent, "sent"),
    (Role::Trash, "trash"),
    (Role::All, "all"),
    (Role::Flagged, "flagged"),
    (Role::Important, "important"),
];

/// A role as RFC 8621 §2 names it.
fn role_name(role: Role) -> &'static str {
    ROLES.into_iter().find(|(one, _)| *one == role).map_or("", |(_, name)| name)
}

fn role_of(name: &str) -> Option<Role> {
    ROLES.into_iter().find(|(_, one)| *one == name).map(|(role, _)| role)
}

/// A mailbox as it is told; counts only where they are known.
fn object(
    mailbox: &Mailbox,
    access: &Access,
    subscribed: &BTreeSet<String>,
    tally: Option<&Tally>,
    wanted: &dyn Fn(&str) -> bool,
) -> Object {
    let mut all = Object::new();
    let mut put = |name: &str, value: Value| {
        if name == "id" || wanted(name) {
            all.insert(name.to_owned(), value);
        }
    };
    put("id", mailbox.id.to_string().into());
    put("name", mailbox.name.as_str().into());
    put("parentId", mailbox.parent.map_or(Value::Null, |parent| parent.to_string().into()));
    put("role", mailbox.role.map_or(Value::Null, |role| role_name(role).into()));
    put("sortOrder", mailbox.sort_order.into());
    put("myRights", rights(mailbox, access));
    put("isSubscribed", subscribed.contains(&mailbox.path.to_string()).into());
    if let Some(tally) = tally {
        put("totalEmails", tally.emails.into());
        put("unreadEmails", tally.unread_emails.into());
        put("totalThreads", tally.threads.into());
        put("unreadThreads", tally.unread_threads.into());
    }
    all
}

/// RFC 8621 §2 `myRights`, from those of RFC 4314.
fn rights(mailbox: &Mailbox, access: &Access) -> Value {
    let may = |rights| access.may(rights);
    let fixed = mailbox.path.is_inbox();
    json!({
        "mayReadItems": may(Rights::READ),
        "mayAddItems": may(Rights::INSERT),
        "mayRemoveItems": may(Rights::DELETE_MESSAGES | Rights::EXPUNGE),
        "maySetSeen": may(Rights::SEEN),
        "maySetKeywords": may(Rights::WRITE),
        "mayCreateChild": may(Rights::CREATE),
        "mayRename": may(Rights::DELETE_MAILBOX) && !fixed,
        "mayDelete": may(Rights::DELETE_MAILBOX) && !fixed,
        "maySubmit": may(Rights::POST),
    })
}
