//! The cluster's feature level: what all nodes may write.

use kv::Transaction;
use schema::keys::node::FeatureLevelKey;
use schema::records::node as records;
use schema::{Key, Record};

use crate::situation::live_in;
use crate::{Error, Leases, Node};

/// The level of a store in which none was ever set.
pub const FIRST_LEVEL: u32 = schema::level::FIRST;

/// The level and how far it could be raised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Levels {
    /// The cluster's.
    pub current: u32,
    /// The highest that every node with a lease supports.
    pub supported: u32,
}

/// The cluster's feature level, for a transaction that writes by it: its raise conflicts with the write, so that whatever is
/// committed after the raise was written by the new level, and whatever was written by the new level is committed after the
/// raise, which in turn comes after the last node that does not know it. Nothing that a node keeps in memory could say
/// so: one that sleeps, and whose lease was revoked, would still write as it did.
///
/// A point read: made beside another that the transaction makes anyway, it costs no time of its own.
///
/// # Errors
/// The store's.
pub async fn level_in(txn: &Transaction) -> Result<u32, Error> {
    let value = txn.get(&FeatureLevelKey.encode()).await?;
    let record = value.map(|value| records::FeatureLevel::from_bytes(&value)).transpose()?;
    Ok(record.map_or(FIRST_LEVEL, |record| record.level))
}

/// Fails unless the level is that high. Who writes what came with a level asks in the transaction that writes it, so that no node
/// that does not know it can have joined meanwhile.
pub(crate) async fn need_in(txn: &Transaction, needs: u32) -> Result<(), Error> {
    let level = level_in(txn).await?;
    if level < needs { Err(Error::Level { level, needs }) } else { Ok(()) }
}

/// The first node of a new store decides at which level that begins: there is nothing that an older program would not know, and
/// none has been there that might come back.
pub(crate) fn begin_in(txn: &Transaction, node: &Node, now: i64) {
    if node.level_max > FIRST_LEVEL {
        let record = records::FeatureLevel { level: node.level_max, raised: now };
        txn.set_bytes(FeatureLevelKey.encode(), record.to_bytes());
    }
}

/// Fails unless the node can write by the level.
pub(crate) fn admit(level: u32, node: &Node) -> Result<(), Error> {
    if node.level_max < level {
        return Err(Error::TooOld { level, supports: node.level_max });
    }
    if node.level_min > level {
        return Err(Error::TooNew { level, needs: node.level_min });
    }
    Ok(())
}

impl Leases {
    /// The level, and how far the nodes that have a lease would let it be raised.
    ///
    /// # Errors
    /// The store's.
    pub async fn levels(&self) -> Result<Levels, Error> {
        self.db
            .read("leases.levels", |txn| async move {
                let current = level_in(&txn).await?;
                let live = live_in(&txn).await?;
                let supported = live.values().map(|live| live.node.level_max).min();
                Ok(Levels { current, supported: supported.unwrap_or(current) })
            })
            .await
    }

    /// Raises the level. From then on nodes that do not support it cannot join; a node that joins meanwhile conflicts.
    ///
    /// # Errors
    /// [`Error::Unsupported`] names a node that has a lease and does not support it; [`Error::LevelGoesUp`]; else the store's.
    pub async fn raise_level(&self, to: u32) -> Result<(), Error> {
        let raised = self.clock.now().millis();
        self.db
            .transact("leases.raise_level", |txn| async move {
                let current = level_in(&txn).await?;
                if to <= current {
                    return Err(Error::LevelGoesUp(current));
                }
                for (node, live) in live_in(&txn).await? {
                    if live.node.level_max < to {
                        return Err(Error::Unsupported { node, supports: live.node.level_max });
                    }
                }
                let record = records::FeatureLevel { level: to, raised };
                txn.set_bytes(FeatureLevelKey.encode(), record.to_bytes());
                Ok(())
            })
            .await
    }
}
