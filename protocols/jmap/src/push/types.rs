//! The types whose states are told (RFC 8620 §7.1, RFC 8621 §1.5).

use jmap_proto::push::Wanted;
use schema::keys::mail::ObjectKind;
use schema::records::mail::{ChangeKind, ChangeRecord};

use crate::log;

/// All of them, by name. The place is the number of a bit.
pub(crate) const NAMES: [&str; 8] = [
    "Mailbox",
    "Thread",
    "Email",
    "EmailDelivery",
    "Identity",
    "EmailSubmission",
    "VacationResponse",
    "ShareNotification",
];

/// A set of types.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Types(u8);

impl Types {
    pub(crate) const NONE: Types = Types(0);
    pub(crate) const MAILBOX: Types = Types(1);
    pub(crate) const THREAD: Types = Types(2);
    pub(crate) const EMAIL: Types = Types(4);
    pub(crate) const EMAIL_DELIVERY: Types = Types(8);
    pub(crate) const IDENTITY: Types = Types(16);
    pub(crate) const EMAIL_SUBMISSION: Types = Types(32);
    pub(crate) const VACATION_RESPONSE: Types = Types(64);
    pub(crate) const SHARE_NOTIFICATION: Types = Types(128);
    pub(crate) const ALL: Types = Types(255);
    /// Those that there are where some mailboxes are seen.
    pub(crate) const MAIL: Types = Types(15);

    /// Those that a client wants.
    pub(crate) fn of(wanted: &Wanted) -> Types {
        match wanted {
            Wanted::All => Types::ALL,
            Wanted::Some(names) => NAMES
                .iter()
                .enumerate()
                .filter(|(_, name)| names.iter().any(|wanted| wanted == *name))
                .fold(Types::NONE, |types, (at, _)| types.and(Types(1 << at))),
        }
    }

    /// Those of which an entry of the log tells something. What is not known is of a later version: it may be anything.
    pub(crate) fn of_entry(entry: &ChangeRecord) -> Types {
        let counts = if entry.mailboxes.is_empty() { Types::NONE } else { Types::MAILBOX };
        match log::kind(entry) {
            // RFC 8621 §1.5: EmailDelivery changes when an email is added, and at nothing else.
            Some(ChangeKind::EmailCreated) => {
                Types::EMAIL.and(Types::EMAIL_DELIVERY).and(Types::THREAD).and(counts)
            }
            Some(ChangeKind::EmailDestroyed) => Types::EMAIL.and(Types::THREAD).and(counts),
            Some(ChangeKind::EmailUpdated) => Types::EMAIL.and(counts),
            Some(ChangeKind::MailboxCreated | ChangeKind::MailboxUpdated | ChangeKind::MailboxDestroyed) => {
                Types::MAILBOX
            }
            Some(ChangeKind::ObjectCreated | ChangeKind::ObjectUpdated | ChangeKind::ObjectDestroyed) => {
                Types::of_object(entry.object_kind)
            }
            Some(ChangeKind::MailboxShared) => Types::MAILBOX,
            None => Types::ALL,
        }
    }

    fn of_object(kind: u32) -> Types {
        match u8::try_from(kind).ok().and_then(ObjectKind::from_tag) {
            Some(ObjectKind::Identity) => Types::IDENTITY,
            Some(ObjectKind::Submission) => Types::EMAIL_SUBMISSION,
            Some(ObjectKind::Vacation) => Types::VACATION_RESPONSE,
            Some(ObjectKind::ShareNotification) => Types::SHARE_NOTIFICATION,
            None => Types::ALL,
        }
    }

    pub(crate) fn and(self, other: Types) -> Types {
        Types(self.0 | other.0)
    }

    /// Those that are in both.
    pub(crate) fn among(self, other: Types) -> Types {
        Types(self.0 & other.0)
    }

    /// Those whose places fit.
    pub(crate) fn filter(self, fits: impl Fn(usize) -> bool) -> Types {
        self.places().filter(|at| fits(*at)).fold(Types::NONE, |types, at| types.and(Types(1 << at)))
    }

    pub(crate) fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Their places.
    pub(crate) fn places(self) -> impl Iterator<Item = usize> {
        (0..NAMES.len()).filter(move |at| self.0 & (1 << at) != 0)
    }

    /// Their names.
    pub(crate) fn names(self) -> impl Iterator<Item = &'static str> {
        self.places().filter_map(|at| NAMES.get(at).copied())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_have_names() {
        assert_eq!(Types::of(&Wanted::All), Types::ALL);
        let some = Types::of(&Wanted::Some(vec!["EmailDelivery".into(), "Nothing".into(), "Mailbox".into()]));
        assert_eq!(some, Types::MAILBOX.and(Types::EMAIL_DELIVERY));
        assert_eq!(some.names().collect::<Vec<_>>(), ["Mailbox", "EmailDelivery"]);
        assert_eq!(Types::ALL.names().collect::<Vec<_>>(), NAMES);
        assert!(some.among(Types::EMAIL).is_empty());
    }

    #[test]
    fn entries_tell_of_types() {
        let of = |kind: i32, mailboxes: Vec<u32>| {
            Types::of_entry(&ChangeRecord { kind, mailboxes, ..ChangeRecord::default() })
        };
        let delivered = Types::EMAIL.and(Types::EMAIL_DELIVERY).and(Types::THREAD).and(Types::MAILBOX);
        assert_eq!(of(ChangeKind::EmailCreated as i32, vec![1]), delivered);
        assert_eq!(of(ChangeKind::EmailUpdated as i32, vec![]), Types::EMAIL);
        assert_eq!(of(ChangeKind::EmailUpdated as i32, vec![1]), Types::EMAIL.and(Types::MAILBOX));
        let gone = Types::EMAIL.and(Types::MAILBOX).and(Types::THREAD);
        assert_eq!(of(ChangeKind::EmailDestroyed as i32, vec![1]), gone);
        assert_eq!(of(ChangeKind::MailboxUpdated as i32, vec![1]), Types::MAILBOX);
        assert_eq!(of(99, vec![]), Types::ALL);
        let object = |kind: ObjectKind| {
            let kind = u32::from(kind.tag());
            let made = ChangeKind::ObjectCreated as i32;
            Types::of_entry(&ChangeRecord { kind: made, object_kind: kind, ..ChangeRecord::default() })
        };
        let all = ObjectKind::ALL.map(object);
        let own =
            [Types::IDENTITY, Types::SHARE_NOTIFICATION, Types::EMAIL_SUBMISSION, Types::VACATION_RESPONSE];
        assert_eq!(all, own);
    }
}
