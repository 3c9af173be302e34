//! What an operator decides, and the caps of a request with their units.

use std::time::Duration;

use jmap_proto::limits::Limits;
use jmap_proto::session::Core;
use query::Budget;

/// How the service behaves.
#[derive(Debug, Clone)]
pub struct Options {
    /// The limits that the session announces (RFC 8620 §2).
    pub core: Core,
    /// What a query may cost.
    pub query_budget: Budget,
    /// How long an upload stays that nothing uses.
    pub upload_time: Duration,
}

impl Default for Options {
    fn default() -> Self {
        let core = Core {
            limits: Limits::default(),
            size_upload: 50_000_000,
            concurrent_upload: 4,
            concurrent_requests: 8,
        };
        Options { core, query_budget: Budget::default(), upload_time: Duration::from_secs(3_600) }
    }
}

/// Ids that `/changes` tells at most; a client asks on.
pub(crate) const CHANGES: usize = 5_000;
/// Results that a query tells at most.
pub(crate) const RESULTS: usize = 5_000;
/// Octets of a body read at once.
pub(crate) const PIECE: u64 = 2 * 90_000;
/// Octets of a header that is looked into.
pub(crate) const HEADER: u64 = 4 << 20;
/// Octets of a message whose parts are decoded.
pub(crate) const MESSAGE: u64 = 150 << 20;
