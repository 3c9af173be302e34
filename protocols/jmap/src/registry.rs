//! Every capability, with what the session says of it and its methods.

use accounts::Rights;
use jmap_proto::mail::{MAIL, SUBMISSION, VACATION};
use jmap_proto::push::VAPID;
use jmap_proto::session::CORE;
use jmap_proto::websocket::WEBSOCKET;
use serde_json::{Value, json};

use crate::access::Access;
use crate::blobs::BLOB;
use crate::call::Run;
use crate::email::SMIME;
use crate::mdn::MDN;
use crate::options::MAILBOXES;
use crate::principal::{OWNER, PRINCIPALS};
use crate::quota::QUOTA;
use crate::{
    Options, blobs, core, email, identity, mailbox, mdn, principal, push, quota, share_notification,
    submission, thread, vacation,
};

/// A method: its name, and the function that it is.
pub(crate) type Method = (&'static str, Run);

/// A capability.
pub(crate) struct Capability {
    /// Its URN.
    pub(crate) urn: &'static str,
    /// What the session says of the server; null if the capability is one of accounts only.
    pub(crate) server: fn(&Options) -> Value,
    /// What the session says of an account; null if the capability is none of accounts.
    pub(crate) account: fn(&Options, &Access) -> Value,
    /// Its methods.
    pub(crate) methods: &'static [&'static [Method]],
}

/// All of them.
pub(crate) const CAPABILITIES: &[Capability] = &[
    Capability {
        urn: CORE,
        server: |options| options.core.to_value(),
        account: |_, _| json!({}),
        methods: &[core::METHODS, blobs::CORE_METHODS, push::METHODS],
    },
    Capability {
        urn: MAIL,
        server: |_| json!({}),
        account: mail_account,
        methods: &[mailbox::METHODS, thread::METHODS, email::METHODS],
    },
    Capability {
        urn: SUBMISSION,
        server: |_| json!({}),
        account: |options, access| of_whole(access, submission::account(options)),
        methods: &[identity::METHODS, submission::METHODS],
    },
    Capability {
        urn: VACATION,
        server: |_| json!({}),
        account: |_, access| of_whole(access, json!({})),
        methods: &[vacation::METHODS],
    },
    Capability {
        urn: MDN,
        server: |_| json!({}),
        account: |_, access| of_whole(access, json!({})),
        methods: &[mdn::METHODS],
    },
    Capability { urn: BLOB, server: |_| json!({}), account: blobs::account, methods: &[blobs::METHODS] },
    Capability {
        urn: QUOTA,
        server: |_| json!({}),
        account: |_, access| of_whole(access, json!({})),
        methods: &[quota::METHODS],
    },
    Capability {
        urn: PRINCIPALS,
        server: |_| json!({}),
        account: principal::account,
        methods: &[principal::METHODS, share_notification::METHODS],
    },
    // RFC 9670 §1.5.2: of accounts only.
    Capability { urn: OWNER, server: |_| Value::Null, account: principal::owner, methods: &[] },
    // RFC 9219 §3
    Capability { urn: SMIME, server: |_| json!({}), account: |_, _| json!({}), methods: &[] },
    Capability {
        urn: VAPID,
        // RFC 9749 §3
        server: |options| json!({"applicationServerKey": options.push_key}),
        account: |_, _| Value::Null,
        methods: &[],
    },
    Capability {
        urn: WEBSOCKET,
        // RFC 8887 §3; where it is depends on where the client has come to.
        server: |_| json!({"supportsPush": true}),
        account: |_, _| Value::Null,
        methods: &[],
    },
];

/// Of an account of which some mailboxes are shared there is nothing but mail: who sees those sends nothing for its owner, nor sees
/// how much there is.
fn of_whole(access: &Access, told: Value) -> Value {
    if access.is_whole() { told } else { Value::Null }
}

/// RFC 8621 §1.3.1
fn mail_account(options: &Options, access: &Access) -> Value {
    json!({
        "maxMailboxesPerEmail": MAILBOXES,
        "maxMailboxDepth": mail::MailboxPath::MAX_DEPTH,
        "maxSizeMailboxName": mail::MailboxPath::MAX_NAME,
        "maxSizeAttachmentsPerEmail": options.core.size_upload,
        "emailQuerySortOptions": email::SORTS,
        "mayCreateTopLevelMailbox": access.may(Rights::CREATE),
    })
}

/// Whether a capability is there.
pub(crate) fn knows(urn: &str) -> bool {
    CAPABILITIES.iter().any(|one| one.urn == urn)
}

/// The method of a name among the capabilities that a request uses.
pub(crate) fn method(name: &str, using: &[String]) -> Option<Run> {
    let used = CAPABILITIES.iter().filter(|one| using.iter().any(|urn| urn == one.urn));
    let mut methods = used.flat_map(|one| one.methods.iter().copied().flatten());
    methods.find(|(known, _)| *known == name).map(|(_, run)| *run)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn a_method_is_there_once_and_needs_its_capability() {
        let names: Vec<_> = CAPABILITIES
            .iter()
            .flat_map(|one| one.methods.iter().copied().flatten())
            .map(|row| row.0)
            .collect();
        assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len());
        let (core, mail) = (vec![CORE.to_owned()], vec![MAIL.to_owned()]);
        assert!(method("Core/echo", &core).is_some() && method("Core/echo", &mail).is_none());
        assert!(method("Mailbox/get", &mail).is_some() && method("Mailbox/get", &core).is_none());
        assert!(method("Mailbox/fetch", &mail).is_none());
    }
}
