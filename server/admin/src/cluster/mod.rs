//! `/cluster/…`: how the cluster is, as this node sees it.
//!
//! What is seen ([`Observed`]) is gathered all the time and never while somebody waits for the page, so that it comes
//! at once even if the store does not answer. What it means is decided by [`judge`], a pure function; each reason has a code and
//! each code a page in `ops/runbooks/health`. Reasons clear by themselves, when what is seen is well again.
//!
//! These pages need no password, as the probes and metrics: who watches at night and what watches for him have none.
//! They tell of nodes and counts, and of no user, address or message. The admin listener is for the management network.

mod code;
mod judge;
mod ledger;
mod observed;
mod pages;

pub use code::{Code, Level};
pub use judge::{Verdict, judge};
pub use ledger::Ledger;
pub use observed::{
    Certificate, Changes, Clock, Connections, Disk, Duties, Held, Levels, MailProbe, Member, Observed, Probe,
    Queue, Search, Seer, State,
};
pub(crate) use pages::{health, leases, nodes, queues, schema};

use futures::future::BoxFuture;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The cluster as this node sees it.
pub trait View: Send + Sync {
    /// How it is, and why, by now.
    fn health(&self) -> Health;

    /// Who works on what.
    fn leases(&self) -> Leases;

    /// What waits to be sent, by slots.
    fn queues(&self) -> BoxFuture<'_, Result<Vec<Slot>, String>>;
}

/// How the cluster is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// All is well.
    Green,
    /// Users are served; somebody should look at it today.
    Yellow,
    /// Users are not served, or soon will not be: somebody should look at it now.
    Red,
}

/// The answer of `/cluster/health`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Health {
    /// The worst of the reasons; green without any.
    pub status: Status,
    /// Why, the worst first.
    pub reasons: Vec<Reason>,
    /// What was seen.
    #[serde(flatten)]
    pub observed: Observed,
}

/// Why the cluster is not green.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Reason {
    /// What kind of thing it is.
    pub code: Code,
    /// How bad it is.
    pub level: Level,
    /// This one in words.
    pub text: String,
    /// Since when it has been seen, in milliseconds since the epoch.
    pub since: i64,
    /// The page that says what to do, within the source tree.
    pub runbook: String,
}

/// The answer of `/cluster/leases`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
pub struct Leases {
    /// Changes with every lease and claim.
    pub generation: u64,
    /// Each duty, and who works on it.
    pub duties: Vec<Duty>,
}

/// What one node at a time works on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Duty {
    /// What it is.
    pub duty: String,
    /// The node's id; none: nobody works on it.
    pub node: Option<u32>,
    /// The node's name.
    pub name: Option<String>,
    /// The claim's epoch: greater with each change of holder.
    pub epoch: Option<u64>,
}

/// A slot of the queue.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Slot {
    /// Its number.
    pub slot: u16,
    /// The node's id; none: nobody works on it.
    pub node: Option<u32>,
    /// Entries that wait.
    pub waiting: u64,
    /// Whether there may be more of them: not all were counted.
    pub more: bool,
    /// When the first of them is or was due, in milliseconds since the epoch.
    pub oldest_due: Option<i64>,
}
