//! What can go wrong, and who must act.

use std::io;
use std::sync::Arc;

/// An error of the embedded store.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Another process has this folder open. The operator stops it.
    #[error("the store's folder is in use by another process")]
    Locked,
    /// A file holds what was never written. The operator restores a backup; nothing was skipped or changed.
    #[error("{file} is damaged at byte {offset}: {what}")]
    Corrupt {
        /// The file's name in the store's folder.
        file: String,
        /// Where in the file.
        offset: u64,
        /// What is wrong there.
        what: &'static str,
    },
    /// The disk is full. Nothing of the commit was kept; reads go on, and commits succeed again as soon as the
    /// operator has freed space.
    #[error("out of disk space")]
    OutOfSpace,
    /// The operating system refused.
    #[error("{what}: {error}")]
    Io {
        /// What was tried.
        what: &'static str,
        /// The answer.
        error: Arc<io::Error>,
    },
    /// The key index (redb) refused.
    #[error("index: {0}")]
    Index(Arc<redb::Error>),
    /// The store has stopped after a failure that cannot be survived (a failed fsync, for one): what is on disk
    /// is not known any more. The process must end; opening again recovers all that was acknowledged.
    #[error("the store has stopped: {0}")]
    Stopped(Arc<str>),
    /// The store was closed.
    #[error("the store is closed")]
    Closed,
}

impl Error {
    pub(crate) fn io(what: &'static str) -> impl FnOnce(io::Error) -> Error {
        move |error| match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Error::OutOfSpace,
            _ => Error::Io { what, error: Arc::new(error) },
        }
    }

    pub(crate) fn index(error: impl Into<redb::Error>) -> Error {
        Error::Index(Arc::new(error.into()))
    }
}

impl From<Error> for kv::Error {
    fn from(error: Error) -> kv::Error {
        match error {
            Error::OutOfSpace => kv::Error::out_of_space(),
            Error::Closed => kv::Error::unavailable(error.to_string()),
            _ => kv::Error::fatal(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_can_be_told_from_a_broken_store() {
        let full = Error::io("write")(io::Error::from(io::ErrorKind::StorageFull));
        let error = kv::Error::from(full);
        assert!(!error.is_retryable() && error.is_out_of_space());
        let broken = kv::Error::from(Error::Stopped("fsync".into()));
        assert!(!broken.is_retryable() && !broken.is_out_of_space());
        assert!(!kv::Error::from(Error::Closed).is_out_of_space());
    }
}
