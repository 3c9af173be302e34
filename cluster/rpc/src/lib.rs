//! Node to node: calls and hints over QUIC (RFC 9000), both sides known by certificates of the cluster's own authority.
//!
//! - A **call** has an answer, or an error by its deadline. Each has a stream of its own: a large one holds up nobody, and one that its
//!   caller gives up is given up at the other end too.
//! - A **hint** has none. Hints to a node stay in order and wait in a queue with an end: what does not fit, the oldest, is lost. So may
//!   be one that was under way when a connection broke. Whoever sends hints has another way to the truth.
//!
//! # Versions
//! Nodes of two versions talk to each other while a cluster is upgraded. A message has a number and says whether it may be skipped;
//! fields of it that are unknown are skipped (Protocol Buffers). A hint that is unknown is skipped by its length, and what follows
//! is read. If it must be understood, its sender hears that it was not, and is told so at once when it tries again. A call that is unknown is
//! answered with [`Error::NotUnderstood`].
//!
//! # Who is there
//! The first node makes the authority and puts it into the store ([`leases::Secrets`]); each node signs its own certificate with it, for some
//! days, and anew after a third of them. A certificate names the node. Who connects says who it is, which has to
//! be what its certificate says, and expects the node it wanted: an address that another node has by now is no way
//! to it. An authority is replaced in steps: the new one is added, then put first, then the old one removed, which
//! ends the connections.
//!
//! # Limits
//! All queues end ([`limits`]), and what is over is refused at once. A peer that reads slowly holds up its own stream; a
//! connection over which nothing comes for some seconds has ended, and is made again, after a pause that doubles, when
//! somebody wants it.

mod authority;
mod error;
mod frame;
mod listen;
mod message;
mod metrics;
mod node;
mod peer;
mod queue;
mod tls;

pub use authority::{Credentials, authority, found};
pub use error::{Error, Refusal};
pub use message::{Call, Message, Router};
pub use metrics::describe as describe_metrics;
pub use node::{Addresses, Config, Rpc};

/// What is bounded, and how.
pub mod limits {
    use std::time::Duration;

    /// Longest message, in octets.
    pub const MESSAGE: usize = 1024 * 1024;
    /// Calls of one peer that are answered at a time.
    pub const CALLS_PER_PEER: u32 = 128;
    /// Calls of all peers that are answered at a time; more are refused.
    pub const CALLS: usize = 2048;
    /// Calls to one peer that wait for their turn; more are refused.
    pub const WAITING: usize = 1024;
    /// Hints to one peer that wait; then the oldest is lost.
    pub const HINTS: usize = 1024;
    /// Connections of others; more are refused.
    pub const CONNECTIONS: usize = 4096;
    /// What a peer may send on one stream before it is read, in octets.
    pub const STREAM_WINDOW: u32 = 256 * 1024;
    /// What a peer may send on all its streams before it is read.
    pub const WINDOW: u32 = 4 * 1024 * 1024;
    /// How long a connection may take to be made.
    pub const CONNECT: Duration = Duration::from_secs(3);
    /// Between two signs of life on a connection with nothing to say.
    pub const KEEP_ALIVE: Duration = Duration::from_secs(2);
    /// After so long without any the peer is gone.
    pub const SILENCE: Duration = Duration::from_secs(7);
    /// After a call that was not answered, and so long nothing at all, the connection has ended too.
    pub const SILENT_CALL: Duration = Duration::from_millis(500);
    /// The first pause before a connection is tried again; it doubles.
    pub const PAUSE_FIRST: Duration = Duration::from_millis(50);
    /// The longest.
    pub const PAUSE_LAST: Duration = Duration::from_secs(5);
    /// Longest deadline of a call.
    pub const DEADLINE: Duration = Duration::from_secs(300);
}
