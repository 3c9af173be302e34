//! What is published of the index of mail: which files make it up, and up to where each account is in it.
//!
//! Accounts are spread over shards. Of each shard there is an *edition* that answers, and perhaps one that is being made
//! to take its place. An edition has a [`Manifest`], which names its files, and a cursor for each account
//! ([`Indexed`]). What is in the files nobody here knows.
//!
//! # What holds, whoever crashes or sleeps when
//! - Manifest and cursors change in one transaction, which asserts the shard's fence: of two writers one can publish.
//! - Every file that a manifest names is held for its edition; what it names no longer is let go in the same
//!   transaction, and deleted after the grace period of bodies, so that who reads an older manifest finds its files.
//! - An account's cursor says that all its changes so far are in the manifest of that generation and in all later ones
//!   of the edition.
//! - Nothing is written below the feature level that knows it.

mod due;
mod edition;
mod error;
mod publish;
#[cfg(test)]
mod tests;
mod verify;

pub use due::Due;
pub use edition::{Edition, View};
pub use error::Error;
pub use publish::{Cursor, Publication};
pub use schema::records::search::{Body, File, Filling, Indexed, Manifest, Segment, Shard};
pub use verify::{anew_in, check_row_in, mend_in};

use kv::{Database, Transaction};
use runtime::SharedClock;
use schema::keys::search::ShardsKey;
use schema::records::search::Shards;
use schema::{AccountId, Key, Record};

/// Shards of a store in which no number was written yet: a divisor of [`schema::keys::system::CHANGE_SLOTS`].
pub const SHARDS: u32 = 16;

/// The published index. A cheap handle.
#[derive(Clone)]
pub struct Segments {
    db: Database,
    blobs: blob::Store,
    clock: SharedClock,
    shards: u32,
}

impl Segments {
    /// That of a store; reads how many shards it has.
    ///
    /// # Errors
    /// The store's.
    pub async fn open(db: Database, blobs: blob::Store, clock: SharedClock) -> Result<Self, Error> {
        let shards = shards_of(&db).await?;
        Ok(Segments::new(db, blobs, clock, shards))
    }

    /// That of a store which has so many shards.
    pub fn new(db: Database, blobs: blob::Store, clock: SharedClock, shards: u32) -> Self {
        Segments { db, blobs, clock, shards }
    }

    /// How many shards there are.
    pub fn shards(&self) -> u32 {
        self.shards
    }

    /// The shard that an account is in.
    pub fn shard_of(&self, account: AccountId) -> u32 {
        account.0 % self.shards
    }

    /// Where the files are.
    pub fn blobs(&self) -> &blob::Store {
        &self.blobs
    }

    /// The store.
    pub fn database(&self) -> &Database {
        &self.db
    }
}

/// How many shards a store has, or will have.
///
/// # Errors
/// The store's.
pub async fn shards_of(db: &Database) -> Result<u32, Error> {
    let stored = db.read("segments.shards", |txn| async move { shards_in(&txn).await }).await?;
    Ok(stored.unwrap_or(SHARDS))
}

async fn shards_in(txn: &Transaction) -> Result<Option<u32>, Error> {
    let value = txn.get(&ShardsKey.encode()).await?;
    Ok(value.map(|value| Shards::from_bytes(&value)).transpose()?.map(|shards| shards.count.max(1)))
}
