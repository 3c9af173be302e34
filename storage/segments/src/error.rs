//! What can go wrong with the published index, and who must act.

use kv::TransactError;

/// What can go wrong with the published index.
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
    /// A file of the index.
    #[error(transparent)]
    Blob(#[from] blob::Error),
    /// The lease: what was about to be published is void.
    #[error(transparent)]
    Lease(leases::Error),
    /// Nodes that do not know the index may be there: the operator must raise the feature level.
    #[error("the cluster is at feature level {0}, an index takes {needs}", needs = schema::level::SEARCH)]
    Level(u32),
    /// The edition is not there any more, or was published by somebody else: look again.
    #[error("the index of shard {0} is another one by now")]
    Moved(u32),
    /// The store's accounts are spread over another number of shards: the node must be started again.
    #[error("there are {stored} shards in the store, this node began with {own}")]
    Shards {
        /// In the store.
        stored: u32,
        /// What the node goes by.
        own: u32,
    },
    /// There is no such shard.
    #[error("there is no shard {0}")]
    NoShard(u32),
}

impl Error {
    /// Whether the shard is another node's.
    pub fn is_fenced(&self) -> bool {
        matches!(self, Error::Lease(leases::Error::Fenced { .. }))
    }
}

impl From<leases::Error> for Error {
    fn from(error: leases::Error) -> Self {
        match error {
            leases::Error::Kv(error) => Error::Kv(error),
            other => Error::Lease(other),
        }
    }
}

impl TransactError for Error {
    fn as_kv(&self) -> Option<&kv::Error> {
        match self {
            Error::Kv(error) => Some(error),
            Error::Blob(error) => error.as_kv(),
            Error::Lease(error) => error.as_kv(),
            _ => None,
        }
    }
}
