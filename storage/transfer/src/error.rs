//! What can go wrong with a copy, and who must act.

use schema::BlobHash;

/// What can go wrong with a copy. Where nothing else is said, the operator acts.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// One of the stores: retried by the retry loop if it can be.
    #[error(transparent)]
    Kv(#[from] kv::Error),
    /// A body could not be carried or read; trying again may help.
    #[error(transparent)]
    Blob(#[from] blob::Error),
    /// A key that this version cannot read.
    #[error(transparent)]
    Key(#[from] schema::KeyError),
    /// A record that this version cannot read.
    #[error(transparent)]
    Record(#[from] schema::RecordError),
    /// The source does not give its rows; trying again may help.
    #[error("the source cannot be read: {0}")]
    Source(String),
    /// Nothing was ever stored in the source.
    #[error("there is nothing to copy: the source has no incarnation, so no node ever ran on it")]
    NoSource,
    /// The destination holds something else.
    #[error("the destination is not empty, and what it holds is no unfinished copy: name an empty store")]
    NotEmpty,
    /// The destination holds the finished copy.
    #[error("the copy is finished already: the destination is a store of its own")]
    Finished,
    /// The destination holds the unfinished copy of another store.
    #[error("the destination holds the unfinished copy of another store: empty it, or name an empty store")]
    OtherSource,
    /// Bodies went elsewhere before.
    #[error(
        "the copy was begun with bodies {was:?}, and now it is {is:?}: let [blob] be as it was, or empty the destination"
    )]
    OtherBodies {
        /// From where to where they went.
        was: String,
        /// From where to where they would go.
        is: String,
    },
    /// The source was sealed for a destination that is finished, or that is to be.
    #[error("another process copies into the destination now; this one has stopped")]
    TakenOver,
    /// The source was written to.
    #[error(
        "somebody has written to the source during the last pass: stop every node that uses it, and finish again"
    )]
    Disturbed,
    /// Both sides were read, and differ after what differed was written.
    #[error("rows from {0:?} on differ again and again: does somebody else write to the destination?")]
    Unsettled(String),
    /// The source's own body cannot be read.
    #[error(
        "the source has lost body {hash}: {why}; mend the source, or let the copy take over what is damaged"
    )]
    Lost {
        /// The body.
        hash: BlobHash,
        /// What was said about it.
        why: String,
    },
    /// Bodies at the destination are not what they should be.
    #[error("{count} bodies are damaged or missing at the destination, the first is {first}")]
    Bodies {
        /// How many.
        count: u64,
        /// Which, and what is wrong with it.
        first: String,
    },
    /// A node asks: this store is not finished.
    #[error(
        "this store is the unfinished copy of another one: no node may use it before `godwit store copy … --finish` \
         has ended well (or `--abandon`, to go on with the other one)"
    )]
    Unfinished,
    /// A node asks: another store serves in the place of this one.
    #[error(
        "this store was sealed when it was copied to {heir}: that one serves in its place, and both must not serve \
         (`godwit store copy … --abandon` makes this one the one that serves, without what was stored in the other \
         one since)"
    )]
    Sealed {
        /// The store that serves.
        heir: String,
    },
    /// A task of the copy ended by itself: a defect.
    #[error("a worker has failed: {0}")]
    Worker(String),
}

impl kv::TransactError for Error {
    fn as_kv(&self) -> Option<&kv::Error> {
        match self {
            Error::Kv(error) => Some(error),
            _ => None,
        }
    }
}
