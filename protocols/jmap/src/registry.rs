//! Every capability, with what the session says of it and its methods.

use accounts::Rights;
use jmap_proto::mail::MAIL;
use jmap_proto::session::CORE;
use serde_json::{Value, json};

use crate::access::Access;
use crate::call::Run;
use crate::{Options, core, email, mailbox, thread};

/// A method: its name, and the function that it is.
pub(crate) type Method = (&'static str, Run);

/// A capability.
pub(crate) struct Capability {
    /// Its URN.
    pub(crate) urn: &'static str,
    /// What the session says of the server.
    pub(crate) server: fn(&Options) -> Value,
    /// What the session says of an account.
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
        methods: &[core::METHODS],
    },
    Capability {
        urn: MAIL,
        server: |_| json!({}),
        account: mail_account,
        methods: &[mailbox::METHODS, thread::METHODS, email::METHODS],
    },
];

/// RFC 8621 §1.3.1
fn mail_account(options: &Options, access: &Access) -> Value {
    json!({
        "maxMailboxesPerEmail": null,
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
