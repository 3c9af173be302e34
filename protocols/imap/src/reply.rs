//! How a command ends.

use std::borrow::Cow;
use std::io;

use imap_proto::render::{Code, Condition};

/// The tagged answer to a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reply {
    pub(crate) condition: Condition,
    pub(crate) code: Option<Code<'static>>,
    pub(crate) text: Cow<'static, str>,
}

/// Why a command ended early.
#[derive(Debug)]
pub(crate) enum Stop {
    /// With this answer.
    Reply(Reply),
    /// It was answered already, or nobody is left to answer.
    Answered,
    /// The connection is gone.
    Broken(io::Error),
}

/// What a command returns.
pub(crate) type Outcome = Result<Reply, Stop>;

impl Reply {
    pub(crate) fn ok(text: &'static str) -> Reply {
        Reply { condition: Condition::Ok, code: None, text: text.into() }
    }

    pub(crate) fn no(text: &'static str) -> Reply {
        Reply { condition: Condition::No, code: None, text: text.into() }
    }

    pub(crate) fn bad(text: &'static str) -> Reply {
        Reply { condition: Condition::Bad, code: None, text: text.into() }
    }

    #[must_use]
    pub(crate) fn with(mut self, code: Code<'static>) -> Reply {
        self.code = Some(code);
        self
    }
}

impl From<Reply> for Stop {
    fn from(reply: Reply) -> Self {
        Stop::Reply(reply)
    }
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Stop::Broken(error)
    }
}

/// Who must act is in the response code (RFC 5530): the client, the user, the administrator, or time.
impl From<mail::Error> for Stop {
    fn from(error: mail::Error) -> Self {
        use mail::Error;
        let (code, text) = match &error {
            Error::NotFound => (Code::NonExistent, "there is no such mailbox"),
            Error::AlreadyExists => (Code::AlreadyExists, "it exists already"),
            Error::HasChildren => (Code::HasChildren, "it has children"),
            Error::OverQuota => (Code::OverQuota, "the quota is used up"),
            Error::LimitReached(what) => return Reply::no(what).with(Code::Limit).into(),
            Error::Reserved(what) => return Reply::no(what).with(Code::Cannot).into(),
            Error::Invalid(what) => return Reply::no(what).with(Code::Cannot).into(),
            Error::Blob(blob::Error::Corrupt { .. }) => return damaged(&error),
            full if full.is_full() => return no_room(&error),
            _ => return unavailable(&error),
        };
        Reply::no(text).with(code).into()
    }
}

impl From<blob::Error> for Stop {
    fn from(error: blob::Error) -> Self {
        if error.is_full() { no_room(&error) } else { unavailable(&error) }
    }
}

impl From<accounts::Error> for Stop {
    fn from(error: accounts::Error) -> Self {
        unavailable(&error)
    }
}

impl From<query::Error> for Stop {
    fn from(error: query::Error) -> Self {
        match error {
            query::Error::Budget(_) => {
                Reply::no("that would cost too much; narrow it down").with(Code::Limit).into()
            }
            query::Error::Mail(error) => error.into(),
        }
    }
}

impl From<query::BudgetExceeded> for Stop {
    fn from(error: query::BudgetExceeded) -> Self {
        query::Error::from(error).into()
    }
}

/// Trying again will not help; the operator has to.
fn damaged(error: &dyn std::error::Error) -> Stop {
    tracing::error!(%error, "a message is damaged");
    Reply::no("the message is damaged").with(Code::Corruption).into()
}

/// A full disk. RFC 5530 §3: LIMIT, since it is no quota of the user's that is used up (OVERQUOTA), and nothing is down that a
/// client could wait for (UNAVAILABLE): reading goes on.
fn no_room(error: &dyn std::error::Error) -> Stop {
    tracing::warn!(%error, "no room for what an imap command writes");
    Reply::no("there is no room left on the server").with(Code::Limit).into()
}

/// Nothing the client can do but try again; the operator sees why.
fn unavailable(error: &dyn std::error::Error) -> Stop {
    tracing::warn!(%error, "the store could not answer an imap command");
    Reply::no("not available now, try again later").with(Code::Unavailable).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(stop: Stop) -> Option<Code<'static>> {
        match stop {
            Stop::Reply(reply) => reply.code,
            _ => None,
        }
    }

    #[test]
    fn a_full_disk_is_a_limit_and_a_store_that_is_away_is_unavailable() {
        for full in [
            Stop::from(mail::Error::from(kv::Error::out_of_space())),
            Stop::from(mail::Error::from(blob::Error::Full)),
            Stop::from(blob::Error::Full),
            Stop::from(blob::Error::from(kv::Error::out_of_space())),
        ] {
            assert_eq!(code(full), Some(Code::Limit));
        }
        assert_eq!(code(mail::Error::OverQuota.into()), Some(Code::OverQuota));
        assert_eq!(code(mail::Error::from(kv::Error::unavailable("down")).into()), Some(Code::Unavailable));
    }
}
