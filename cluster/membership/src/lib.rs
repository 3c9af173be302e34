//! Who is there: gossip among the nodes. **A hint, never a proof**: who may act is settled in the store ([`leases`]).
//!
//! Nodes tell each other what each is and does ([`Member`]) by Scuttlebutt (the crate chitchat): each second a node asks three
//! others at random what is new, and everything it hears of counts as a sign of life of whom it is about. What comes out is
//! [`Members`]: who is alive, who is thought dead.
//!
//! # Sealed
//! chitchat sends plain datagrams that anybody could forge. Here its messages are compressed, cut into datagrams that fit
//! into any path, and each is sealed with the cluster's key (AES-256-GCM-SIV), which the first node has put into the
//! store. What does not open is dropped before it is looked at. A datagram that is sent again is dropped too; one that a
//! node has no memory of, since it began later, does no harm: what is said in it is older than what is known.
//!
//! # Finding others
//! No list of seeds is needed: the store knows the address of each node that has a lease. Configured addresses and
//! DNS names are asked too. Nodes that have a lease and are not alive to this one are asked again and again, so that two parts of a cluster
//! that were apart find together.
//!
//! # When is a node dead?
//! Phi accrual: phi is the time since the last sign of life, in multiples of the mean time between the last
//! [`phi::WINDOW`] of them. Over [`phi::THRESHOLD`] a node is thought dead: with the default interval of one second and few
//! nodes, after about 8 s of silence. Nothing waits for that: duties are taken over when a lease was not renewed.

mod channel;
mod gossip;
mod member;
mod metrics;
mod network;
mod pieces;
mod seal;
mod seeds;
mod transport;

pub use channel::{Channel, Conditions, Traffic};
pub use gossip::{Config, Error, Members, Membership, Silence};
pub use member::{Member, State};
pub use metrics::describe as describe_metrics;
pub use network::{Bound, Datagrams, Network, Udp};
pub use seal::Keyring;
pub use seeds::Seeds;

/// How a node is found dead.
pub mod phi {
    use std::time::Duration;

    /// Over it a node is thought dead.
    pub const THRESHOLD: f64 = 8.0;
    /// Intervals whose mean is taken.
    pub const WINDOW: usize = 100;
    /// Longer ones say nothing of how often a node is heard of.
    pub const LONGEST: Duration = Duration::from_secs(10);
    /// What counts as the mean as long as there were few: five intervals of this length are mixed in.
    pub const FIRST: Duration = Duration::from_secs(1);
    /// How long a dead node is remembered.
    pub const MEMORY: Duration = Duration::from_secs(3600);
}
