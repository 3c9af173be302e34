//! Mailboxes (RFC 8621 §2).

mod changes;
mod get;
mod query;
mod set;
pub(crate) mod sharing;
mod update;

use std::collections::BTreeSet;

use jmap_proto::Object;
use mail::{Mailbox, Role, Tally};
use serde_json::Value;
use sharing::{SHARE_WITH, Sharing};

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
const PROPERTIES: [&str; 12] = [
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
    SHARE_WITH,
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
    (subscribed, sharing): (&BTreeSet<String>, &Sharing),
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
    let rights = access.rights_in(mailbox.id);
    put("myRights", sharing::told(rights, sharing.used, mailbox.path.is_inbox()));
    let is_subscribed = match access.is_whole() {
        true => subscribed.contains(&mailbox.path.to_string()),
        // RFC 8621 §2: it is each user's own.
        false => access.is_subscribed(mailbox.id),
    };
    put("isSubscribed", is_subscribed.into());
    if sharing.used {
        put(SHARE_WITH, sharing.share_with(access, mailbox.id));
    }
    if let Some(tally) = tally {
        put("totalEmails", tally.emails.into());
        put("unreadEmails", tally.unread_emails.into());
        put("totalThreads", tally.threads.into());
        put("unreadThreads", tally.unread_threads.into());
    }
    all
}
