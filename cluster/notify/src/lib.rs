//! Committed changes are told to the nodes whose sessions wait for them. **A hint**: what is lost is found by the look from
//! time to time ([`changes::Poll`]), which does not know of hints and does not rest for them.
//!
//! # The story
//! 1. A session waits for changes of an account ([`changes::Feed`]). Its node tells the account's **home** that it is
//!    interested: the node that a rendezvous hash over those alive puts first ([`home`]). Interest lasts for
//!    [`limits::INTEREST`], is told anew after a third of that as long as somebody waits, and at once when the home has become
//!    another, or has begun anew.
//! 2. A node commits a change ([`changes::Sink`]). It wakes its own sessions, and tells the account's home.
//! 3. The home wakes its own sessions, and tells the nodes that are interested. They wake theirs.
//!
//! So a change costs one message and one for each interested node, however large the cluster is, and no node knows
//! the interest of all.
//!
//! # What goes wrong, and what then
//! - *A message is lost, a queue is full, a node has died.* Nobody is told; the look finds it.
//! - *Nodes do not agree on who is alive.* A change is told to a home that knows of nobody: as if it were lost.
//! - *Interest comes after the change was told.* Who begins to wait looks at the store after that, and the look finds the rest.
//! - *A hint comes twice, or late.* A version that is no news wakes nobody.
//!
//! # Bounds
//! What waits to be told is one row for each account ([`limits::WAITING`] at most), however often it changed: the first change is
//! told at once, what follows within [`limits::PACE`] goes together. A home keeps [`limits::INTERESTS`] at most.
//!
//! Changes of who may use an account ([`changes::Kinds::STANDING`]) go the same way, so that sessions of one that was disabled end.

mod home;
mod interests;
mod message;
mod metrics;
mod node;
mod outbox;

pub use home::home;
pub use message::{Changed, Committed, Interest, Wake};
pub use metrics::describe as describe_metrics;
pub use node::{Carrier, Notify};

/// What is bounded, and how.
pub mod limits {
    use std::time::Duration;

    /// How long a home remembers that a node is interested.
    pub const INTEREST: Duration = Duration::from_secs(60);
    /// Longest interest that a home grants, whatever a node of another version asks for.
    pub const LONGEST: Duration = Duration::from_secs(300);
    /// Between two batches of changes.
    pub const PACE: Duration = Duration::from_millis(2);
    /// Accounts whose changes wait to be told; further ones are not.
    pub const WAITING: usize = 16_384;
    /// Interests of nodes in accounts that one home remembers; further ones are not. Some 50 octets each.
    pub const INTERESTS: usize = 1_000_000;
    /// Accounts in one message.
    pub const BATCH: usize = 1_000;
}
