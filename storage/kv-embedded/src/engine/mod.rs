//! The lower floor: an ordered map on disk that is written in durable batches and read in snapshots.
//!
//! # Files in the store's folder
//!
//! - `log-N` (N in hexadecimal, ascending): segments of the write-ahead log, which is at the same time the home
//!   of large values: a value of [`LARGE`] bytes or more is written here once and never again, everything else
//!   keeps a pointer to it. Format: [`group`].
//! - `index`: a redb file with every key, its small value or its pointer, the log position up to which it is
//!   complete, and the bytes in use of each segment ([`index`]).
//! - `LOCK`: keeps a second process out.
//!
//! # The way of a write
//!
//! [`Engine::apply`] writes a group of batches with one write and one fdatasync ([`log`]), then puts it into
//! the memory table and publishes its last version; only then can a snapshot see it. When the memory table or
//! the log behind the index has grown, the table is frozen, and a thread applies it to the index in one durable
//! transaction together with the new log position ([`checkpoint`]). Then segments without values are removed,
//! and the space of dead values is given back once no snapshot can see them ([`reclaim`]).
//!
//! # Crash points
//!
//! | the process or the machine stops | on opening |
//! |---|---|
//! | while a group is written, or before its fdatasync ends | The group is whole (then it counts; nobody was told otherwise) or it fails its checksum and nothing valid follows: the torn tail is cut off. |
//! | after its fdatasync | The group is read back from the log. |
//! | while a new store is made | The index is absent or whole: it gets its name when it is complete. |
//! | while a segment is begun | The segment is absent, empty or has a header and no group: it is made anew. |
//! | while the index is written | redb's old root stands, with the old log position: the log from there is read again. |
//! | between the index commit and the reclaiming | The index lists what is dead: reclaiming goes on from it. |
//! | while a hole is punched | A dead range is a hole or not; nothing points there. |
//!
//! What fails its checksum and has valid groups behind it is damage and not a torn tail, since a group is written
//! only after the one before it is durable: opening fails and says where. Nothing is ever skipped.
//!
//! A failed fsync is never retried (the kernel may have dropped the pages): the engine stops for good and, by
//! default, takes the process with it ([`health`]). A full disk is no such failure: [`log`] cuts the unfinished
//! group off, its caller gets [`Error::OutOfSpace`], and the index waits for space in the background.

mod checkpoint;
pub mod disk;
mod group;
mod health;
mod index;
mod log;
mod memtable;
mod reclaim;
mod recovery;
mod segment;
mod store;
mod tombstones;
mod value;
mod view;

#[cfg(any(test, feature = "simulation"))]
pub(crate) mod simdisk;
#[cfg(test)]
pub(crate) mod tests;

use crate::Error;
use bytes::Bytes;
use kv::{RangePage, RangeRequest};
use std::sync::Arc;

pub use health::Fatality;
pub use store::{LogEngine, Settings};
pub use value::{LARGE, Value};

/// What the transaction layer needs of an engine.
pub trait Engine: Send + Sync + 'static {
    /// All that is durable and published at this moment.
    fn snapshot(&self) -> Arc<dyn Snapshot>;

    /// Applies `batches` in order, with ascending versions, all or none; durable on return. One caller at a time.
    fn apply(&self, batches: &[Batch]) -> Result<(), Error>;

    /// Version of the last batch, over restarts.
    fn last_version(&self) -> u64;

    /// Bytes of batches that one call of [`Engine::apply`] should not exceed.
    fn batch_target(&self) -> usize;

    /// Called from time to time while nobody writes, by the thread that calls [`Engine::apply`]: gives memory
    /// back. Whether there is more to give, later.
    fn rest(&self) -> bool;

    /// Fails if the engine has stopped.
    fn check(&self) -> Result<(), Error>;

    /// Stops for good: a thread that it needs is gone.
    fn fail(&self, why: &str);

    /// Leaves everything in its place for a fast opening. What is called afterwards fails.
    fn close(&self) -> Result<(), Error>;
}

/// One moment of an [`Engine`]. Reads never wait for writes.
pub trait Snapshot: Send + Sync {
    /// Version of the last batch in it.
    fn version(&self) -> u64;
    /// The value of `key`.
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, Error>;
    /// The first rows of a range, in its direction.
    fn scan(&self, request: &RangeRequest) -> Result<RangePage, Error>;
}

/// The writes of one commit, in order.
#[derive(Clone, Debug)]
pub struct Batch {
    /// Its version: above that of every batch before.
    pub version: u64,
    /// The writes.
    pub ops: Vec<Op>,
}

/// A write.
#[derive(Clone, Debug)]
pub enum Op {
    /// Sets a key.
    Set(Bytes, Value),
    /// Clears a key.
    Clear(Bytes),
    /// Clears each key from the first on and below the second.
    ClearRange(Bytes, Bytes),
}
