//! What an operator decides, and the caps of a request with their units.

use std::sync::Arc;
use std::time::Duration;

use content_mail::smime::Trust;
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
    /// How long a message may wait to be sent (RFC 8621 §1.3.2 `maxDelayedSend`).
    pub delay: Duration,
    /// What pushes are signed with, as clients are told (RFC 9749): the service says it.
    pub(crate) push_key: String,
    /// Whom users see besides those with whom they have to do (RFC 9670 §2).
    pub principals: Listing,
    /// Event sources and WebSockets of a user that are open on a node.
    pub concurrent_listeners: usize,
    /// Who is believed about certificates of S/MIME.
    pub authorities: Arc<Trust>,
}

/// Whom users see in the directory. Groups that they belong to and those with whom something is shared are seen in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Listing {
    /// Nobody else.
    Related,
    /// Persons and groups of the same domain.
    #[default]
    Domain,
    /// All persons and groups.
    All,
}

impl Default for Options {
    fn default() -> Self {
        let core = Core {
            limits: Limits::default(),
            size_upload: 50_000_000,
            concurrent_upload: 4,
            concurrent_requests: 8,
        };
        Options {
            core,
            query_budget: Budget::default(),
            upload_time: Duration::from_secs(3_600),
            delay: DELAY,
            push_key: String::new(),
            principals: Listing::default(),
            concurrent_listeners: 64,
            authorities: Arc::default(),
        }
    }
}

/// How long a message may wait to be sent.
const DELAY: Duration = Duration::from_secs(30 * 86_400);
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
/// Octets of a message in whose texts a snippet is looked for.
pub(crate) const SNIPPET: u64 = 1 << 20;
/// Mailboxes that a new email may be in.
pub(crate) const MAILBOXES: usize = 500;
/// Keywords that a new email may have.
pub(crate) const KEYWORDS: usize = 500;
/// Parts that an email may be made of.
pub(crate) const PARTS: usize = 1_000;
