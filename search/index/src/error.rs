//! Why the index can not do it.

use std::io;

use tantivy::TantivyError;
use tantivy::directory::error::OpenReadError;

/// Why the index can not do it: it is to be built anew, or its files could not be read just now.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file could not be read: trying again may help.
    #[error("a file of the index could not be read: {0}")]
    Io(#[from] io::Error),
    /// Tantivy says no: mostly that files are not what they should be.
    #[error("index: {0}")]
    Tantivy(#[from] TantivyError),
    /// What a file holds is no index of ours.
    #[error("a file of the index is damaged: {0}")]
    Damaged(&'static str),
}

impl Error {
    /// Whether files are not what they should be, rather than out of reach.
    pub fn is_damage(&self) -> bool {
        match self {
            Error::Damaged(_)
            | Error::Tantivy(
                TantivyError::DataCorruption(_)
                | TantivyError::IncompatibleIndex(_)
                | TantivyError::OpenReadError(OpenReadError::IncompatibleIndex(_)),
            ) => true,
            Error::Io(error) => is_odd(error),
            Error::Tantivy(
                TantivyError::IoError(error)
                | TantivyError::OpenReadError(OpenReadError::IoError { io_error: error, .. }),
            ) => is_odd(error),
            Error::Tantivy(_) => false,
        }
    }
}

/// What a file says when it does not fit, and none does that can not be read.
fn is_odd(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof)
}
