//! Queue records: mail that is to be sent on, and every change that can happen to it.
//!
//! An [`Entry`] is one message to the recipients of one destination domain; its domain decides its slot. It waits
//! in the slot's due index, is claimed by the slot's owner, attempted, and then delivered, failed or due again.
//!
//! ```text
//!            enqueue_in                 claim               settle_in
//!   (nothing) ───────▶ waiting ───────────────▶ claimed ───────────────▶ waiting, or gone
//!                        ▲  │ hold                 │ owner died: the next owner's recover
//!                release │  ▼                      ▼
//!                        held                   waiting
//! ```
//!
//! # What holds, whoever crashes when
//! - A slot is a duty: each transition of an entry asserts the owner's fence ([`leases::Fence`]) in its own transaction, so
//!   that once another may work on the slot, the former owner can finish nothing.
//! - A claimed entry is not in the due index, so two runners never attempt it at once; [`Spool::recover`] puts claims
//!   back that were left by whoever worked on the slot before.
//! - [`Spool::begin_attempt`] is committed before the final dot. An entry that comes back with a recipient *in
//!   doubt* may have been delivered by an attempt whose end nobody recorded, since its owner died.
//! - What operators ask for while an entry is worked on happens when that ends, also if its owner dies; a cancelled
//!   entry is not sent any more, and nothing brings it back.
//! - An entry is written as the cluster's feature level says, which is read in the same transaction ([`leases::level_in`]).
//! - The body is held by the entry and let go in the transaction that ends it.

mod admin;
mod backlog;
mod claim;
mod enqueue;
mod entry;
mod error;
#[cfg(test)]
mod level_tests;
mod link;
mod rewrite;
mod settle;
#[cfg(test)]
mod tests;
mod verify;

pub use admin::Listing;
pub use backlog::Backlog;
pub use claim::{Claimed, Due, DueEntry};
pub use enqueue::{NewEntry, NewRecipient};
pub use entry::{BodyType, Entry, Notify, Recipient, RecipientState, Reply, Ret, State};
pub use error::Error;
pub use rewrite::{Rewrite, Step};
pub use settle::{Outcome, Settled};
pub use verify::check_row_in;

use kv::Database;
use runtime::{SharedClock, SharedRng};

/// The queue.
#[derive(Clone)]
pub struct Spool {
    db: Database,
    blobs: blob::Store,
    clock: SharedClock,
    rng: SharedRng,
}

impl Spool {
    /// The queue in a database, its bodies in a blob store.
    pub fn new(db: Database, blobs: blob::Store, clock: SharedClock, rng: SharedRng) -> Self {
        Self { db, blobs, clock, rng }
    }

    /// Where the bodies are.
    pub fn blobs(&self) -> &blob::Store {
        &self.blobs
    }
}
