//! Content-addressed bodies: small ones in the store, larger ones in files, in an object store, or in chunks.
//!
//! A body is known by its BLAKE3 hash. It is **staged** first ([`Writer`], [`Store::stage`]): hashed while it
//! comes in, in memory or in a spill file, and made durable if it is large. A transaction then **references** it
//! ([`Store::reference_in`]): a small body is written in that very transaction, a large one is pointed at. What
//! holds a body is an [`BlobOwner`]; there is one row per (body, owner) and no counter that writers would fight
//! over.
//!
//! Bytes are stored in blocks: each says whether it is compressed, and has a checksum, so that
//! a range of a body is checked without the rest. Where larger bodies lie is a [`Place`]. An object store may be away:
//! then larger bodies can be neither taken in nor read ([`Error::Io`], soon [`Error::Unavailable`]) and small ones go
//! on; nothing is acknowledged that is not durable.
//!
//! # Deletion, in two phases
//!
//! 1. The transaction that takes the last reference away leaves a *candidate* row with the time.
//! 2. After the grace period the collector ([`Store::collect`]) looks again, in a transaction: still without a
//!    reference since that very time → the rows go, and after the commit the file.
//!
//! Why no interleaving leaves a reference to nothing, or a body for ever:
//!
//! - A re-user reads the body's meta row, the collector clears it: of the two one commits first and the other
//!   conflicts and looks again.
//! - A re-user writes a reference row, the collector has read the range of them: the same.
//! - The file is deleted after the collector's commit, when somebody may have staged the same bytes anew: each
//!   staging makes an object of its own (hash, time, nonce), the meta row names the one that counts, and only the
//!   object named in the cleared row is deleted.
//! - An object whose transaction never committed, or lost to an equal body, and one whose deletion was cut short
//!   by a crash, is named by no meta row: [`Store::sweep`] deletes such objects once they are older than the
//!   grace period. A staged body may only be referenced during the first half of that time, so that the sweep
//!   never takes what a transaction is about to name.

mod block;
mod carry;
mod chunks;
mod collect;
mod error;
mod guard;
mod local;
pub mod memory;
mod object;
mod place;
mod placed;
mod read;
mod reference;
mod remote;
mod spill;
mod stage;
mod store;
mod verify;

#[cfg(test)]
mod simulation;

pub use carry::carry;
pub use collect::Collected;
pub use error::Error;
pub use object::{ObjectName, Objects, Pending};
pub use place::{Azblob, Place, S3, Secret};
pub use schema::keys::blob::BlobOwner;
pub use spill::Spill;
pub use stage::{HEAD, SPILL_AFTER, Staged, Writer};
pub use store::{Options, Store};
pub use verify::check_row_in;
