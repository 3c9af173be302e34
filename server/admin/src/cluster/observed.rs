//! What is seen, as it is told and judged. Times are in milliseconds since the epoch, lengths of time in milliseconds.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// All that a node sees of the cluster and of itself.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Observed {
    /// When.
    pub time: i64,
    /// Who looks.
    pub seen_by: Seer,
    /// The cluster's feature level; none as long as the store has not told.
    pub level: Option<Levels>,
    /// The nodes, but for those that left with a goodbye.
    pub members: Vec<Member>,
    /// What one node at a time does.
    pub duties: Duties,
    /// What waits to be sent, in the slots that this node works on.
    pub queue: Queue,
    /// The index of mail, in the shards that this node writes.
    pub search: Search,
    /// The store, by a read from time to time.
    pub store: Probe,
    /// The place of larger bodies, by what was last asked of it.
    pub bodies: Probe,
    /// How this node hears of changes made on others.
    pub changes: Changes,
    /// Certificates that clients and other nodes are shown.
    pub certificates: Vec<Certificate>,
    /// Clients.
    pub connections: Connections,
    /// The disk of the data directory; none if the system does not tell.
    pub disk: Option<Disk>,
    /// The machine's clock.
    pub clock: Clock,
    /// Why the configuration on disk is not the one in force.
    pub configuration: Option<String>,
    /// The message that the node sends itself from time to time; none if it sends none.
    pub mail_probe: Option<MailProbe>,
}

/// The node that looks.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Seer {
    /// Its id.
    pub id: u32,
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Whether it begins, serves, or leaves.
    pub state: State,
    /// Whether it has a lease, as far as it knows.
    pub lease: bool,
    /// How long ago it renewed its lease.
    pub unrenewed: u64,
    /// After how long without a renewal it loses its lease.
    pub lease_time: u64,
}

/// What a node is about.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// It begins.
    #[default]
    Joining,
    /// It serves.
    Online,
    /// It takes nothing new.
    Draining,
    /// It has said goodbye.
    Left,
    /// It has lost its lease and did not say goodbye.
    Down,
}

impl State {
    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            State::Joining => "joining",
            State::Online => "online",
            State::Draining => "draining",
            State::Left => "left",
            State::Down => "down",
        }
    }
}

/// The cluster's feature level.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Levels {
    /// The one in force.
    pub current: u32,
    /// The highest that all nodes support that are there.
    pub possible: u32,
}

/// A node.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Member {
    /// Its id.
    pub id: u32,
    /// Its name.
    pub name: String,
    /// What fails together within a region.
    pub zone: String,
    /// What is far from others.
    pub region: String,
    /// The program's version.
    pub version: String,
    /// The lowest and the highest feature level it can write by.
    pub levels: [u32; 2],
    /// What it does; all if empty.
    pub roles: Vec<String>,
    /// What it is about.
    pub state: State,
    /// What its zone and its region are to do: `online`, `standby`, `evacuating` or `offline`.
    pub site: String,
    /// Whether gossip thinks it alive; none where there is no gossip, or none of it was heard.
    pub alive: Option<bool>,
    /// How suspicious its silence is: how long it lasts, in multiples of how long it usually does. Over 8 it is thought dead.
    pub phi: Option<f64>,
    /// How long nothing was heard of it.
    pub silence: Option<u64>,
    /// How long it was not seen to renew its lease; none if others look after it.
    pub unrenewed: Option<u64>,
    /// How busy it is, in thousandths.
    pub load: Option<u32>,
    /// The time to it and back, over the connection for calls.
    pub round_trip: Option<f64>,
    /// Duties that it works on.
    pub duties: u32,
}

/// What one node at a time does.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Duties {
    /// How many there are, of the kinds that this node knows of.
    pub all: u32,
    /// How many each node works on.
    pub held: Vec<Held>,
    /// Those that nobody works on; the first twenty.
    pub orphaned: Vec<String>,
    /// How many those are.
    pub orphans: u32,
    /// For how long the one has been without anybody that has been so for longest.
    pub orphaned_for: u64,
}

/// How much a node works on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Held {
    /// Its id.
    pub node: u32,
    /// Its name.
    pub name: String,
    /// Duties.
    pub duties: u32,
}

/// What waits to be sent in some slots of the queue.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Queue {
    /// How many slots.
    pub slots: u32,
    /// Entries that wait.
    pub waiting: u64,
    /// Whether there may be more of them: not all were counted.
    pub more: bool,
    /// When the first of them is or was due.
    pub oldest_due: Option<i64>,
}

/// The index of mail, in some of its shards.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Search {
    /// How many shards.
    pub shards: u32,
    /// For how long there has been mail that is not in the index; none if all is.
    pub lag: Option<u64>,
    /// Why mail was not indexed last.
    pub error: Option<String>,
}

/// Something that is asked from time to time.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Probe {
    /// How long the last answer took; none if there was no such question yet.
    pub latency: Option<f64>,
    /// Why there was none.
    pub error: Option<String>,
}

/// How this node hears of changes made on others.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Changes {
    /// How long ago it looked for those that no hint told of.
    pub since_look: Option<u64>,
}

/// A certificate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Certificate {
    /// Which.
    pub what: String,
    /// Whether other nodes are shown it, or clients.
    pub internal: bool,
    /// When it ends to be good.
    pub expires: i64,
}

/// Clients.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Connections {
    /// How many are connected.
    pub open: u64,
    /// How many may be.
    pub most: u64,
}

/// A disk.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Disk {
    /// Octets that may still be written.
    pub free: u64,
    /// Octets in all.
    pub size: u64,
}

/// The machine's clock.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Clock {
    /// By how much it jumped last, forward if positive; none if it did not.
    pub step: Option<i64>,
    /// How long ago that was.
    pub step_ago: Option<u64>,
}

/// The message that the node sends itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MailProbe {
    /// How long the last one took from the submission until it was read.
    pub latency: Option<u64>,
    /// When one arrived last.
    pub arrived: Option<i64>,
    /// Why the last one did not.
    pub error: Option<String>,
}
