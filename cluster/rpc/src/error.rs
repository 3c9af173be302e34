//! What can go wrong between nodes, and who must act.

use schema::NodeId;

/// What can go wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The node cannot be reached at present: try another, or later.
    #[error("node {node} cannot be reached: {reason}")]
    Unreachable {
        /// The node.
        node: NodeId,
        /// What happened, for the operator.
        reason: String,
    },
    /// No answer by the deadline. The call may have been carried out.
    #[error("no answer of node {0} in time")]
    Deadline(NodeId),
    /// The connection broke while the answer was awaited. The call may have been carried out.
    #[error("connection to node {0} lost")]
    Lost(NodeId),
    /// Too much is under way, here or there: later.
    #[error("node {0} is busy")]
    Busy(NodeId),
    /// The node is of a version that does not know the message: do without, or wait for its upgrade.
    #[error("node {node} does not understand {message}")]
    NotUnderstood {
        /// The node.
        node: NodeId,
        /// The message.
        message: &'static str,
    },
    /// The node's own no.
    #[error("node {node} refused: {refusal}")]
    Refused {
        /// The node.
        node: NodeId,
        /// What it said.
        refusal: Refusal,
    },
    /// The answer cannot be read: one of the two programs is wrong.
    #[error("node {0} sent an answer that cannot be read")]
    Answer(NodeId),
    /// The message is over [`crate::limits::MESSAGE`]: the calling code must cut its work into smaller pieces.
    #[error("message of {0} octets is too long")]
    TooLong(usize),
    /// Keys and certificates cannot be used: the operator must look at the cluster's secrets.
    #[error("cluster certificates: {0}")]
    Certificates(String),
    /// The address is taken or not this machine's: the operator must free or change it.
    #[error("cannot listen at {address}: {reason}")]
    Bind {
        /// The address.
        address: std::net::SocketAddr,
        /// The system's words.
        reason: String,
    },
}

/// A handler's no.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text} ({code})")]
pub struct Refusal {
    /// The message's own codes; 0 for others.
    pub code: u32,
    /// For people to read.
    pub text: String,
}

impl Refusal {
    /// A refusal.
    pub fn new(code: u32, text: impl Into<String>) -> Refusal {
        Refusal { code, text: text.into() }
    }
}
