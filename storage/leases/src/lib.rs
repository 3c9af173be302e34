//! Who may act: the nodes of the cluster, their leases, and their claims to duties.
//!
//! A node joins and gets a [`Standing`]: its id and the epoch of its lease. While the lease's row is there with that epoch the
//! node may work; nothing else says so, no clock and no gossip. It renews the lease now and then, which only counts;
//! who has watched for long enough that nothing was counted may [revoke](Leases::revoke) it, in a transaction that
//! fails if the count has moved.
//!
//! What one node at a time may work on is a [`schema::Duty`]. Its claim says which node may, under which lease, and has an epoch of
//! its own that grows with every change. Who has one holds a [`Fence`] and asserts it with [`assert_in`] in each
//! transaction that does the work.
//!
//! # What holds, whoever crashes or sleeps when
//! - At most one fence of a duty passes [`assert_in`] at any version of the store. Taking, handing over, releasing and
//!   revoking write a row that the assertion reads, so that of two that are under way at once one fails.
//! - A fence that failed once never passes again: epochs of claims and leases only grow.
//! - A process that was stopped for longer than others waited finds its lease revoked, whatever it believes: nothing
//!   that it had begun can be committed.
//! - Ids of nodes and epochs of leases are never given out twice. A name belongs to one id for ever; who joins under a
//!   name supersedes the process that had it, whose next renewal says so.
//! - A site of nodes ([`schema::Site`]) that is not to serve is a row that all see with the leases; what its nodes have they
//!   hand over. That asks for no assertion: it says who should work, not who may.
//! - A node that cannot write by the cluster's feature level does not join, and the level is not raised over a node that has a lease.

mod claim;
mod drill;
mod error;
mod lease;
mod level;
mod secrets;
mod site;
mod situation;
#[cfg(test)]
mod tests;
mod verify;

pub use claim::{Fence, assert_in};
pub use error::Error;
pub use lease::{Standing, assert_standing_in};
pub use level::{FIRST_LEVEL, Levels, level_in};
pub use schema::records::node::{Authority, Claim, Drill, GossipKey, Node, Secrets, SiteSetting};
pub use site::{SiteChange, Sites};
pub use situation::{Live, Observation, Situation};
pub use verify::{check_row_in, mend_in};

use kv::{Database, Priority, Transaction, TransactionOptions};
use runtime::SharedClock;
use schema::Key;
use schema::keys::node::GenerationKey;

/// The nodes, their leases and claims.
#[derive(Clone)]
pub struct Leases {
    db: Database,
    clock: SharedClock,
}

impl Leases {
    /// Those of a store. The clock only dates what people read.
    pub fn new(mut db: Database, clock: SharedClock) -> Self {
        // By its lease a node learns that the store is back, and shows that it lives.
        let options = TransactionOptions { holds_out: true, priority: Priority::Vital, ..db.options() };
        db = db.with_options(options);
        Self { db, clock }
    }

    /// The store.
    pub fn database(&self) -> &Database {
        &self.db
    }
}

/// Says that leases, claims or sites have changed. Blind, so that nobody conflicts over it.
fn touch(txn: &Transaction) {
    txn.add_i64(&GenerationKey.encode(), 1);
}
