//! What can go wrong with a body, and who must act.

use kv::TransactError;
use schema::BlobHash;
use std::io;
use std::path::Path;
use std::time::Duration;

/// What can go wrong with a body.
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
    /// Nothing is known of such a body.
    #[error("there is no body {0}")]
    NotFound(BlobHash),
    /// What is stored is not what was stored: the operator must restore it.
    #[error("body {hash} is damaged: {what}")]
    Corrupt {
        /// The body.
        hash: BlobHash,
        /// What does not fit.
        what: &'static str,
    },
    /// No room on the disk: the operator must make some; until then senders are told to come back
    /// (SMTP 452, RFC 5321 §4.2.2).
    #[error("no space is left for bodies")]
    Full,
    /// Any other failure of the file system or object store; trying again may help.
    #[error("{action} {object}: {source}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file, folder or object.
        object: String,
        /// The system's word.
        source: io::Error,
    },
    /// The object store did not answer several times and is not asked for a while; trying again later helps.
    #[error("the object store does not answer")]
    Unavailable,
    /// The configuration names another place than the one where this store's bodies lie: the operator must change it
    /// back, or move them.
    #[error(
        "larger bodies of this store lie in {recorded}, and the configuration says {configured}: they would not be found"
    )]
    AnotherPlace {
        /// Where they lie.
        recorded: String,
        /// Where they are said to lie.
        configured: String,
    },
    /// A staged body was kept too long before a transaction referenced it; it must be staged again.
    #[error("a body was staged more than {0:?} ago and must be staged again")]
    StagedTooLongAgo(Duration),
    /// A [`crate::Writer`] was used after one of its calls failed or was cancelled.
    #[error("the body's writer has failed before")]
    WriterBroken,
}

impl Error {
    /// From the file system's error, which keeps "disk full" apart.
    pub fn io(action: &'static str, object: &Path, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Error::Full,
            _ => Error::Io { action, object: object.display().to_string(), source },
        }
    }

    /// Whether there is no room left for what is written.
    pub fn is_full(&self) -> bool {
        matches!(self, Error::Full) || self.as_kv().is_some_and(kv::Error::is_out_of_space)
    }

    /// Whether a file system or object store failed.
    pub(crate) fn is_io(&self) -> bool {
        matches!(self, Error::Io { .. })
    }

    /// Whether the file or object ends too early.
    pub(crate) fn is_cut(&self) -> bool {
        matches!(self, Error::Io { source, .. } if source.kind() == io::ErrorKind::UnexpectedEof)
    }

    /// Whether the file or object is not there.
    pub fn is_absent(&self) -> bool {
        matches!(self, Error::Io { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }
}

impl TransactError for Error {
    fn as_kv(&self) -> Option<&kv::Error> {
        match self {
            Error::Kv(error) => Some(error),
            _ => None,
        }
    }
}

/// Runs blocking file work off the async workers.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => {
            Err(Error::Io { action: "file work", object: "task".to_owned(), source: io::Error::other(error) })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_told_apart() {
        let full = Error::io("write", Path::new("x"), io::Error::from_raw_os_error(28));
        assert!(matches!(full, Error::Full));
        let quota = Error::io("write", Path::new("x"), io::Error::from_raw_os_error(122));
        assert!(matches!(quota, Error::Full));
        let other = Error::io("write", Path::new("x"), io::Error::from_raw_os_error(5));
        assert!(matches!(other, Error::Io { .. }));
        let absent = Error::io("open", Path::new("x"), io::Error::from_raw_os_error(2));
        assert!(absent.is_absent() && !full.is_absent());
    }
}
