//! Why something could not be indexed, or not answered from the index.

/// Why something could not be indexed, or not answered from the index.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// What is published.
    #[error(transparent)]
    Segments(#[from] segments::Error),
    /// Mail.
    #[error(transparent)]
    Mail(#[from] mail::Error),
    /// The change log.
    #[error(transparent)]
    Changes(#[from] changes::Error),
    /// Files of the index are not at hand: trying again later helps.
    #[error("files of the index are not at hand: {0}")]
    Away(String),
    /// Files of the index, or its rows, are not what was published: it is to be made anew.
    #[error("files or rows of the index are damaged: {0}")]
    Damaged(String),
    /// A segment could not be made.
    #[error("a segment could not be made: {0}")]
    Build(index::Error),
    /// They are not asked for at this moment.
    #[error("the index is not asked at this moment")]
    NotNow,
    /// What reads them did not know what to make of them.
    #[error("work on a segment panicked")]
    Panicked,
    /// Work off the async threads ended early.
    #[error("work on a segment was cut short")]
    Cut,
}

impl Error {
    /// Whether the shard is another node's.
    pub fn is_fenced(&self) -> bool {
        matches!(self, Error::Segments(error) if error.is_fenced())
    }

    /// Whether nodes may be there that do not know an index.
    pub fn is_level(&self) -> bool {
        matches!(self, Error::Segments(segments::Error::Level(_)))
    }
}

impl From<blob::Error> for Error {
    fn from(error: blob::Error) -> Self {
        Error::Segments(error.into())
    }
}

/// Runs what takes the processor, or waits for files, off the async threads. It begins at once.
pub(crate) fn apart<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> impl Future<Output = Result<T, Error>> + Send {
    let working = tokio::task::spawn_blocking(work);
    async { working.await.map_err(|error| if error.is_panic() { Error::Panicked } else { Error::Cut }) }
}
