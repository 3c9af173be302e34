//! Claims: taking a duty that nobody has, handing one over, and asserting one where the work is done.

use std::collections::BTreeMap;

use futures::future::{try_join, try_join_all};
use kv::Transaction;
use schema::keys::node::ClaimKey;
use schema::records::node as records;
use schema::{Duty, Key, NodeId, Record};

use crate::lease::{lease_in, standing_in};
use crate::{Error, Leases, Standing, touch};

/// Duties that one transaction takes or gives away.
const BATCH: usize = 100;

/// The right to work on a duty, as it is asserted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fence {
    /// The duty.
    pub duty: Duty,
    /// The epoch of the claim: greater than that of any former one of this duty.
    pub epoch: u64,
    /// Who has it, under which lease.
    pub holder: Standing,
}

impl Fence {
    fn is(&self, claim: &records::Claim) -> bool {
        claim.epoch == self.epoch && claim.node == self.holder.node.0 && claim.lease == self.holder.epoch
    }
}

/// Fails unless the duty is held under this fence in the transaction's own view: for every transaction that does a piece
/// of the work. Two point reads; a renewal of the lease does not conflict with them.
///
/// # Errors
/// [`Error::Fenced`]: what the transaction was to do is void; else the store's.
pub async fn assert_in(txn: &Transaction, fence: &Fence) -> Result<(), Error> {
    let (claim, lease) = try_join(claim_in(txn, fence.duty), lease_in(txn, fence.holder.node)).await?;
    let held = fence.is(&claim) && lease.is_some_and(|lease| lease.epoch == fence.holder.epoch);
    if held { Ok(()) } else { Err(Error::Fenced { duty: fence.duty, epoch: fence.epoch }) }
}

impl Leases {
    /// Takes those of the duties that nobody may work on, and returns their fences.
    ///
    /// # Errors
    /// [`Error::Revoked`], [`Error::Superseded`] and [`Error::NotLive`] if the node may take nothing; else the store's. What
    /// was taken before an error is the node's nevertheless: [`Leases::situation`] shows it.
    pub async fn take(&self, by: Standing, duties: &[Duty]) -> Result<Vec<Fence>, Error> {
        let mut taken = Vec::new();
        for batch in duties.chunks(BATCH) {
            let fences = self.db.transact("leases.take", |txn| take_in(txn, by, batch)).await?;
            taken.extend(fences);
        }
        Ok(taken)
    }

    /// Gives duties to another node. Those that are no longer held under their fence are left alone. Returns what was
    /// given, with the new holder's fences.
    ///
    /// # Errors
    /// [`Error::NotLive`] if the other node takes nothing; else the store's. What was given before an error is given.
    pub async fn hand_over(&self, fences: &[Fence], to: NodeId) -> Result<Vec<Fence>, Error> {
        let mut given = Vec::new();
        for batch in fences.chunks(BATCH) {
            let fences = self.db.transact("leases.hand_over", |txn| async move {
                let lease = lease_in(&txn, to).await?.filter(|lease| !lease.draining);
                let epoch = lease.ok_or(Error::NotLive(to))?.epoch;
                change_in(txn, batch, Some(Standing { node: to, epoch })).await
            });
            given.extend(fences.await?);
        }
        Ok(given)
    }

    /// Gives duties back, so that anybody may take them. Those that are no longer held under their fence are left alone.
    ///
    /// # Errors
    /// The store's.
    pub async fn release(&self, fences: &[Fence]) -> Result<(), Error> {
        for batch in fences.chunks(BATCH) {
            self.db.transact("leases.release", |txn| change_in(txn, batch, None)).await?;
        }
        Ok(())
    }
}

async fn take_in(txn: Transaction, by: Standing, duties: &[Duty]) -> Result<Vec<Fence>, Error> {
    if standing_in(&txn, by).await?.draining {
        return Err(Error::NotLive(by.node));
    }
    let claims = try_join_all(duties.iter().map(|duty| claim_in(&txn, *duty))).await?;
    let mut leases = BTreeMap::new();
    for claim in claims.iter().filter(|claim| claim.node != 0) {
        if let std::collections::btree_map::Entry::Vacant(unread) = leases.entry(claim.node) {
            unread.insert(lease_in(&txn, NodeId(claim.node)).await?.map(|lease| lease.epoch));
        }
    }
    let vacant = |claim: &records::Claim| leases.get(&claim.node).copied().flatten() != Some(claim.lease);
    let mut taken = Vec::new();
    for (duty, claim) in duties.iter().zip(&claims).filter(|(_, claim)| vacant(claim)) {
        taken.push(set(&txn, *duty, claim.epoch + 1, Some(by)));
    }
    Ok(taken.into_iter().flatten().collect())
}

async fn change_in(txn: Transaction, fences: &[Fence], to: Option<Standing>) -> Result<Vec<Fence>, Error> {
    let mut changed = Vec::new();
    for fence in fences {
        match assert_in(&txn, fence).await {
            Ok(()) => changed.extend(set(&txn, fence.duty, fence.epoch + 1, to)),
            Err(Error::Fenced { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(changed)
}

/// Writes a claim; returns the fence of who has it.
fn set(txn: &Transaction, duty: Duty, epoch: u64, holder: Option<Standing>) -> Option<Fence> {
    let (node, lease) = holder.map_or((0, 0), |holder| (holder.node.0, holder.epoch));
    txn.set_bytes(ClaimKey { duty }.encode(), records::Claim { epoch, node, lease }.to_bytes());
    touch(txn);
    holder.map(|holder| Fence { duty, epoch, holder })
}

async fn claim_in(txn: &Transaction, duty: Duty) -> Result<records::Claim, Error> {
    let value = txn.get(&ClaimKey { duty }.encode()).await?;
    Ok(value.map(|value| records::Claim::from_bytes(&value)).transpose()?.unwrap_or_default())
}
