//! What can go wrong with leases and claims, and who must act.

use kv::TransactError;
use schema::{Duty, NodeId, Site};

/// What can go wrong with leases and claims.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Error {
    /// The store: retried by the retry loop if it can be.
    #[error(transparent)]
    Kv(#[from] kv::Error),
    /// A key that this version cannot read: the operator must look.
    #[error(transparent)]
    Key(#[from] schema::KeyError),
    /// A record that this version cannot read: the operator must look.
    #[error(transparent)]
    Record(#[from] schema::RecordError),
    /// The duty is no longer this one's: what was about to be done is void. Stop working on it.
    #[error("{duty} is no longer held under epoch {epoch}")]
    Fenced {
        /// The duty.
        duty: Duty,
        /// The epoch that was asserted.
        epoch: u64,
    },
    /// The node's lease was revoked, since others saw nothing of it: it gives up all it had and may join again.
    #[error("the lease of node {node} with epoch {epoch} has ended")]
    Revoked {
        /// The node.
        node: NodeId,
        /// The epoch of its lease.
        epoch: u64,
    },
    /// Another process has joined under this node's name: this one must end. The operator must see to it that no two
    /// have one name.
    #[error("another process has joined as node {node}")]
    Superseded {
        /// The node.
        node: NodeId,
    },
    /// The node that was to get something has no lease, or is draining: choose another.
    #[error("node {0} takes nothing")]
    NotLive(NodeId),
    /// This program writes feature levels up to `supports`, the cluster is at `level`: the operator must install a newer one.
    #[error("the cluster is at feature level {level}, this program supports {supports} at most")]
    TooOld {
        /// The cluster's.
        level: u32,
        /// The highest that the program supports.
        supports: u32,
    },
    /// This program no longer writes the cluster's feature level: the operator must raise that first, or install an older one.
    #[error("the cluster is at feature level {level}, this program needs {needs} at least")]
    TooNew {
        /// The cluster's.
        level: u32,
        /// The lowest that the program supports.
        needs: u32,
    },
    /// The feature level cannot be raised so far: the operator must upgrade that node first.
    #[error("node {node} supports feature level {supports} at most")]
    Unsupported {
        /// The node that does not support it.
        node: NodeId,
        /// What it supports.
        supports: u32,
    },
    /// What is asked for came with feature level `needs`, and a node that does not know it may be there: the operator must raise the
    /// level first.
    #[error("the cluster is at feature level {level}, this takes {needs}: `godwit cluster level raise`")]
    Level {
        /// The cluster's.
        level: u32,
        /// The one it came with.
        needs: u32,
    },
    /// A feature level never goes down.
    #[error("the cluster is at feature level {0} already")]
    LevelGoesUp(u32),
    /// A name has 1 to 255 octets: the operator must choose another.
    #[error("a node's name has 1 to 255 octets")]
    Name,
    /// There is no such node: the operator must name another.
    #[error("there is no node {0}")]
    NotFound(NodeId),
    /// The node has a lease: it must leave first.
    #[error("node {0} has a lease")]
    Live(NodeId),
    /// No node was ever in that site: the operator must name another.
    #[error("no node is in {0}")]
    NoSite(Site),
    /// Nobody would serve any more: the operator must bring another site online first, or insist.
    #[error("{0} is the last site that serves")]
    LastSite(Site),
    /// A rehearsal is under way: it must end first.
    #[error("the drill {0:?} is under way")]
    Drill(String),
}

impl TransactError for Error {
    fn as_kv(&self) -> Option<&kv::Error> {
        match self {
            Error::Kv(error) => Some(error),
            _ => None,
        }
    }
}
