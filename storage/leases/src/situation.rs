//! What there is to see: leases and claims, and whether something has changed.

use std::collections::BTreeMap;

use futures::future::try_join_all;
use kv::Transaction;
use schema::keys::node::{ClaimKey, GenerationKey, LeaseKey, NodeKey, RenewalKey};
use schema::records::node as records;
use schema::{Duty, DutyKind, Key, NodeId, Record, SiteState};

use crate::lease::counter;
use crate::site::sites_in;
use crate::{Claim, Error, Fence, Leases, Node, Sites, Standing};

/// Leases and claims at one version of the store.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Situation {
    /// Changes with every lease, claim and site.
    pub generation: u64,
    /// The nodes that have a lease.
    pub live: BTreeMap<NodeId, Live>,
    /// The claims of the kinds that were asked for, also those that are no longer good.
    pub claims: BTreeMap<Duty, Claim>,
    /// The zones and regions that are not online.
    pub sites: Sites,
}

/// A node that has a lease.
#[derive(Debug, Clone, PartialEq)]
pub struct Live {
    /// The epoch of its lease.
    pub epoch: u64,
    /// Whether it takes nothing any more.
    pub draining: bool,
    /// What is known of it.
    pub node: Node,
}

/// What is worth looking at often.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Observation {
    /// As in [`Situation::generation`].
    pub generation: u64,
    /// How often each node that was asked for has renewed its lease.
    pub renewals: BTreeMap<NodeId, u64>,
}

impl Situation {
    /// Who may work on a duty.
    pub fn fence(&self, duty: Duty) -> Option<Fence> {
        let claim = self.claims.get(&duty)?;
        let holder = Standing { node: NodeId(claim.node), epoch: claim.lease };
        let live = self.live.get(&holder.node)?;
        (live.epoch == holder.epoch).then_some(Fence { duty, epoch: claim.epoch, holder })
    }
}

impl Situation {
    /// What a node that has a lease is to do, by its zone and its region.
    pub fn site_state(&self, node: NodeId) -> SiteState {
        self.live.get(&node).map_or(SiteState::Online, |live| self.sites.state_of(&live.node))
    }
}

impl Leases {
    /// Leases, and claims of these kinds.
    ///
    /// # Errors
    /// The store's.
    pub async fn situation(&self, kinds: &[DutyKind]) -> Result<Situation, Error> {
        self.db
            .read("leases.situation", |txn| async move {
                let generation = generation_in(&txn).await?;
                let mut claims = BTreeMap::new();
                for kind in kinds {
                    let (begin, end) = ClaimKey::range(*kind);
                    for (key, value) in txn.range(&begin, &end).snapshot().collect().await? {
                        claims.insert(ClaimKey::decode(&key)?.duty, Claim::from_bytes(&value)?);
                    }
                }
                let (live, sites) = (live_in(&txn).await?, sites_in(&txn).await?);
                Ok(Situation { generation, live, claims, sites })
            })
            .await
    }

    /// Whether anything has changed, and how often those nodes have renewed their leases.
    ///
    /// # Errors
    /// The store's.
    pub async fn observe(&self, nodes: &[NodeId]) -> Result<Observation, Error> {
        self.db
            .read("leases.observe", |txn| async move {
                let txn = &txn;
                let reads = nodes.iter().map(|node| async move {
                    let value = txn.get_snapshot(&RenewalKey { node: *node }.encode()).await?;
                    Ok::<_, Error>((*node, counter(value.as_deref())))
                });
                let renewals = try_join_all(reads).await?.into_iter().collect();
                Ok(Observation { generation: generation_in(txn).await?, renewals })
            })
            .await
    }

    /// All nodes that were ever there and are not forgotten, and whether each has a lease.
    ///
    /// # Errors
    /// The store's.
    pub async fn nodes(&self) -> Result<Vec<(NodeId, Node, bool)>, Error> {
        self.db
            .read("leases.nodes", |txn| async move {
                let live = live_in(&txn).await?;
                let (begin, end) = NodeKey::range();
                let rows = txn.range(&begin, &end).snapshot().collect().await?;
                let node = |(key, value): &kv::Row| {
                    let id = NodeKey::decode(key)?.node;
                    Ok((id, Node::from_bytes(value)?, live.contains_key(&id)))
                };
                rows.iter().map(node).collect()
            })
            .await
    }
}

async fn generation_in(txn: &Transaction) -> Result<u64, Error> {
    Ok(counter(txn.get_snapshot(&GenerationKey.encode()).await?.as_deref()))
}

/// The nodes that have a lease. Conflicts with whoever joins or leaves, if something is written.
pub(crate) async fn live_in(txn: &Transaction) -> Result<BTreeMap<NodeId, Live>, Error> {
    let (begin, end) = LeaseKey::range();
    let rows = txn.range(&begin, &end).collect().await?;
    let reads = rows.iter().map(|(key, value)| async move {
        let id = LeaseKey::decode(key)?.node;
        let lease = records::Lease::from_bytes(value)?;
        let node = txn.get(&NodeKey { node: id }.encode()).await?;
        let node = node.map(|value| Node::from_bytes(&value)).transpose()?.unwrap_or_default();
        Ok::<_, Error>((id, Live { epoch: lease.epoch, draining: lease.draining, node }))
    });
    Ok(try_join_all(reads).await?.into_iter().collect())
}
