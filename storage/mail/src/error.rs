//! What can go wrong with mailboxes and messages, and who must act.

use kv::TransactError;

/// What can go wrong.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The store: retried by the retry loop if it can be.
    #[error(transparent)]
    Kv(#[from] kv::Error),
    /// A key that this version cannot read: the operator must look.
    #[error(transparent)]
    Key(#[from] schema::KeyError),
    /// A record that this version cannot read: the operator must look.
    #[error(transparent)]
    Record(#[from] schema::RecordError),
    /// A body.
    #[error(transparent)]
    Blob(#[from] blob::Error),
    /// There is no such mailbox or message, any more.
    #[error("not found")]
    NotFound,
    /// A mailbox of that name exists.
    #[error("a mailbox of that name exists")]
    AlreadyExists,
    /// The mailbox has others below it.
    #[error("the mailbox has others below it")]
    HasChildren,
    /// The mailbox has messages in it.
    #[error("the mailbox has messages in it")]
    HasMessages,
    /// INBOX can be neither made nor removed, nor moved below itself.
    #[error("{0}")]
    Reserved(&'static str),
    /// The client says what cannot be.
    #[error("{0}")]
    Invalid(&'static str),
    /// The account is full.
    #[error("over quota")]
    OverQuota,
    /// A limit of this crate is reached.
    #[error("limit reached: {0}")]
    LimitReached(&'static str),
}

impl From<changes::Error> for Error {
    fn from(error: changes::Error) -> Self {
        match error {
            changes::Error::Kv(error) => Error::Kv(error),
            changes::Error::Key(error) => Error::Key(error),
            changes::Error::Record(error) => Error::Record(error),
            changes::Error::CannotCalculate => Error::Invalid("the log does not reach back to that state"),
        }
    }
}

impl Error {
    /// Whether there is no room left for what is written.
    pub fn is_full(&self) -> bool {
        match self {
            Error::Blob(error) => error.is_full(),
            other => other.as_kv().is_some_and(kv::Error::is_out_of_space),
        }
    }
}

impl TransactError for Error {
    fn as_kv(&self) -> Option<&kv::Error> {
        match self {
            Error::Kv(error) => Some(error),
            Error::Blob(error) => error.as_kv(),
            _ => None,
        }
    }
}
