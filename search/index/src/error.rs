//! Why the index can not do it.

/// Why the index can not do it: it is to be built anew, or its files could not be read just now.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file could not be read: trying again may help.
    #[error("a file of the index could not be read: {0}")]
    Io(#[from] std::io::Error),
    /// Tantivy says no: mostly that files are not what they should be.
    #[error("index: {0}")]
    Tantivy(#[from] tantivy::TantivyError),
    /// What a file holds is no index of ours.
    #[error("a file of the index is damaged: {0}")]
    Damaged(&'static str),
}
