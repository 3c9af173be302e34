//! Joining, renewing, leaving; and ending the lease of a node that nobody has heard of.

use std::time::Duration;

use kv::{Transaction, TransactionOptions};
use schema::keys::node::{IssuedKey, LeaseKey, NodeKey, NodeNameKey, RenewalKey};
use schema::records::node as records;
use schema::{Key, NodeId, Record};

use crate::level::{FIRST_LEVEL, admit, begin_in, level_in};
use crate::{Error, Leases, Node, touch};

/// How long one renewal is tried. The next one comes soon.
const RENEWAL_TIME: Duration = Duration::from_secs(2);

/// Longest name of a node, in octets.
const MAX_NAME: usize = 255;

/// A node's right to work: its id and the epoch of its lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Standing {
    /// The node.
    pub node: NodeId,
    /// The epoch of its lease.
    pub epoch: u64,
}

impl Leases {
    /// Gives the node a lease, and an id if its name has none. Whoever had a lease under that name has it no longer.
    ///
    /// # Errors
    /// [`Error::TooOld`] and [`Error::TooNew`] if it cannot write by the cluster's feature level, [`Error::Name`]; else the
    /// store's.
    pub async fn join(&self, node: &Node) -> Result<Standing, Error> {
        if node.name.is_empty() || node.name.len() > MAX_NAME {
            return Err(Error::Name);
        }
        let joined = self.clock.now().millis();
        self.db
            .transact("leases.join", |txn| async move {
                let level = level_in(&txn).await?;
                admit(level, node)?;
                let mut issued = issued_in(&txn).await?;
                if issued == records::Issued::default() && level == FIRST_LEVEL {
                    begin_in(&txn, node, joined);
                }
                let name = NodeNameKey { name: node.name.clone() }.encode();
                let id = match txn.get(&name).await? {
                    Some(value) => NodeId(records::NodeName::from_bytes(&value)?.node),
                    None => {
                        issued.node += 1;
                        txn.set_bytes(name, records::NodeName { node: issued.node }.to_bytes());
                        NodeId(issued.node)
                    }
                };
                issued.epoch += 1;
                txn.set_bytes(IssuedKey.encode(), issued.to_bytes());
                let record = Node { joined, left: false, ..node.clone() };
                txn.set_bytes(NodeKey { node: id }.encode(), record.to_bytes());
                let lease = records::Lease { epoch: issued.epoch, draining: false };
                txn.set_bytes(LeaseKey { node: id }.encode(), lease.to_bytes());
                txn.set(&RenewalKey { node: id }.encode(), &0u64.to_le_bytes());
                touch(&txn);
                Ok(Standing { node: id, epoch: issued.epoch })
            })
            .await
    }

    /// Shows that the node is there.
    ///
    /// # Errors
    /// [`Error::Revoked`] and [`Error::Superseded`] if it has no right to be; else the store's.
    pub async fn renew(&self, standing: Standing) -> Result<(), Error> {
        let options = TransactionOptions { timeout: RENEWAL_TIME, ..self.db.options() };
        self.db
            .with_options(options)
            .transact("leases.renew", |txn| async move {
                standing_in(&txn, standing).await?;
                txn.add_i64(&RenewalKey { node: standing.node }.encode(), 1);
                Ok(())
            })
            .await
    }

    /// From now on nothing is given to the node.
    ///
    /// # Errors
    /// As [`Leases::renew`].
    pub async fn drain(&self, standing: Standing) -> Result<(), Error> {
        self.db
            .transact("leases.drain", |txn| async move {
                let lease = standing_in(&txn, standing).await?;
                let lease = records::Lease { draining: true, ..lease };
                txn.set_bytes(LeaseKey { node: standing.node }.encode(), lease.to_bytes());
                touch(&txn);
                Ok(())
            })
            .await
    }

    /// Ends the node's own lease; all that it still had may be taken at once. No error if it has none any more.
    ///
    /// # Errors
    /// The store's.
    pub async fn leave(&self, standing: Standing) -> Result<(), Error> {
        self.db
            .transact("leases.leave", |txn| async move {
                match standing_in(&txn, standing).await {
                    Ok(_) => {
                        let key = NodeKey { node: standing.node }.encode();
                        if let Some(value) = txn.get(&key).await? {
                            let record = Node { left: true, ..Node::from_bytes(&value)? };
                            txn.set_bytes(key, record.to_bytes());
                        }
                        end(&txn, standing.node);
                    }
                    Err(Error::Revoked { .. } | Error::Superseded { .. }) => {}
                    Err(error) => return Err(error),
                }
                Ok(())
            })
            .await
    }

    /// Ends the lease of a node that has renewed it `renewals` times and, as far as the caller has seen, not again for too
    /// long. Returns whether it did: not if it was renewed after all, or is another lease by now.
    ///
    /// # Errors
    /// The store's.
    pub async fn revoke(&self, standing: Standing, renewals: u64) -> Result<bool, Error> {
        self.db
            .transact("leases.revoke", |txn| async move {
                let stale = matches!(lease_in(&txn, standing.node).await?, Some(l) if l.epoch == standing.epoch)
                    && renewals_in(&txn, standing.node).await? == renewals;
                if stale {
                    end(&txn, standing.node);
                }
                Ok(stale)
            })
            .await
    }

    /// Removes what is known of a node that is gone for good. Its id is not given out again.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::Live`] if it has a lease; else the store's.
    pub async fn forget(&self, node: NodeId) -> Result<(), Error> {
        self.db
            .transact("leases.forget", |txn| async move {
                let key = NodeKey { node }.encode();
                let record = Node::from_bytes(&txn.get(&key).await?.ok_or(Error::NotFound(node))?)?;
                if lease_in(&txn, node).await?.is_some() {
                    return Err(Error::Live(node));
                }
                txn.clear(&key);
                txn.clear(&RenewalKey { node }.encode());
                txn.clear(&NodeNameKey { name: record.name }.encode());
                Ok(())
            })
            .await
    }
}

/// Fails unless the node has that lease in the transaction's own view.
///
/// # Errors
/// [`Error::Revoked`] and [`Error::Superseded`]; else the store's.
pub async fn assert_standing_in(txn: &Transaction, standing: Standing) -> Result<(), Error> {
    standing_in(txn, standing).await.map(drop)
}

/// The lease that the standing says.
pub(crate) async fn standing_in(txn: &Transaction, standing: Standing) -> Result<records::Lease, Error> {
    let Standing { node, epoch } = standing;
    match lease_in(txn, node).await? {
        Some(lease) if lease.epoch == epoch => Ok(lease),
        // Epochs grow: one that is greater was given to somebody who joined later.
        Some(_) => Err(Error::Superseded { node }),
        None => Err(Error::Revoked { node, epoch }),
    }
}

pub(crate) async fn lease_in(txn: &Transaction, node: NodeId) -> Result<Option<records::Lease>, Error> {
    let value = txn.get(&LeaseKey { node }.encode()).await?;
    Ok(value.map(|value| records::Lease::from_bytes(&value)).transpose()?)
}

async fn renewals_in(txn: &Transaction, node: NodeId) -> Result<u64, Error> {
    Ok(counter(txn.get(&RenewalKey { node }.encode()).await?.as_deref()))
}

/// A counter's value; absent counts as zero.
pub(crate) fn counter(value: Option<&[u8]>) -> u64 {
    value.and_then(|value| value.try_into().ok()).map_or(0, u64::from_le_bytes)
}

async fn issued_in(txn: &Transaction) -> Result<records::Issued, Error> {
    let value = txn.get(&IssuedKey.encode()).await?;
    Ok(value.map(|value| records::Issued::from_bytes(&value)).transpose()?.unwrap_or_default())
}

fn end(txn: &Transaction, node: NodeId) {
    txn.clear(&LeaseKey { node }.encode());
    touch(txn);
}
