//! What can go wrong with the change log.

/// An error of the change log.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The state lies before the log's floor: the client must fetch everything anew
    /// (RFC 8620 §5.2 `cannotCalculateChanges`).
    #[error("changes since that state are no longer known")]
    CannotCalculate,
    /// The store failed; retried by the loop where that helps.
    #[error(transparent)]
    Kv(#[from] kv::Error),
    /// The store holds a key that cannot be read: an operator has to look.
    #[error("change log: {0}")]
    Key(#[from] schema::KeyError),
    /// The store holds a record that cannot be read: an operator has to look.
    #[error("change log: {0}")]
    Record(#[from] schema::RecordError),
}

impl kv::TransactError for Error {
    fn as_kv(&self) -> Option<&kv::Error> {
        match self {
            Error::Kv(error) => Some(error),
            _ => None,
        }
    }
}
