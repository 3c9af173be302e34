//! What a message is asked for.

use std::ops::Range;

use mail::UidSet;
use schema::{EmailId, Keyword, SystemFlags, ThreadId};

use crate::Needle;

/// A condition on a message.
#[derive(Debug, Clone)]
pub enum Filter {
    /// Every message.
    All,
    /// All of these.
    And(Vec<Filter>),
    /// Any of these.
    Or(Vec<Filter>),
    /// Not this.
    Not(Box<Filter>),
    /// The UID is in the set.
    Uids(UidSet),
    /// Every one of these flags is set.
    System(SystemFlags),
    /// The keyword is set.
    Keyword(Keyword),
    /// Put into the mailbox's order at this time (INTERNALDATE), in seconds since 1970.
    Arrived(Range<i64>),
    /// The day of the Date header as written there, zone disregarded (RFC 9051 §6.4.4 SENTON), as seconds
    /// since 1970; the internal date for a message without one.
    Sent(Range<i64>),
    /// Saved to this mailbox at this time (RFC 8514), in seconds since 1970.
    Saved(Range<i64>),
    /// Larger than this, in bytes.
    Larger(u64),
    /// Smaller than this, in bytes.
    Smaller(u64),
    /// A header field contains the text.
    Header(Field, Needle),
    /// The body contains the text.
    Body(Needle),
    /// The header or the body contains the text.
    Text(Needle),
    /// The body contains the text, or an attribute of its HTML that is meant for people does (RFC 8621 §4.4.1).
    BodyOrHint(Needle),
    /// The header, the body or such an attribute contains the text.
    TextOrHint(Needle),
    /// Fits these words, in any of their forms, or matches as it would without them (RFC 6203 §3).
    Fuzzy(String, Box<Filter>),
    /// Changed at this mod-sequence or later (RFC 7162 §3.1.5).
    ModSeq(u64),
    /// The email is this one (RFC 8474 §6).
    Email(EmailId),
    /// The email is in this thread (RFC 8474 §6).
    Thread(ThreadId),
}

impl Filter {
    /// No message at all.
    pub fn none() -> Filter {
        Filter::Not(Box::new(Filter::All))
    }

    /// The opposite.
    #[must_use]
    pub fn negated(self) -> Filter {
        Filter::Not(Box::new(self))
    }
}

/// Which header field is searched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Field {
    /// From: names and addresses.
    From,
    /// To: names and addresses.
    To,
    /// Cc: names and addresses.
    Cc,
    /// Bcc: names and addresses.
    Bcc,
    /// Subject.
    Subject,
    /// Any other, by its name.
    Named(String),
}
