//! What clients are told without asking (RFC 8620 §7), over an event source (`stream`), a WebSocket (`socket`), or pushed to a
//! service that wakes the device (`deliver`), for which it subscribes (`subscription`).
//!
//! # The story
//! 1. For each account that somebody on this node listens to there is one [`watch::Watch`]: it waits for hints as every session
//!    does ([`changes::Feed`]), and when one comes, the first listener that is woken reads the change log from where the last
//!    look ended, for all of them. A change costs one read on a node, however many listen, and no task waits for it.
//! 2. A [`listener::Listener`] belongs to one client. It knows up to which commit of which account the client has been told, and
//!    tells what types changed since, together, and not more often than [`listener::PACE`].
//! 3. It also waits for changes of the user's standing: it ends when the account is disabled or a password was changed, and
//!    hears other accounts when memberships change.
//!
//! A client that does not read is not told: what it will be told is worked out when there is room for it, so that nothing is
//! queued. What it has been told of is in the id of each event ([`jmap_proto::push::Position`]), so that a client that comes
//! again, to any node, is told what it has missed.

mod deliver;
mod listener;
mod port;
mod socket;
mod stream;
mod subscription;
mod types;
mod watch;
#[cfg(test)]
mod world;

pub use deliver::Pusher;
pub use port::{PushError, PushMessage, PushService, Pushed};
pub(crate) use socket::socket;
pub(crate) use stream::event_source;
pub(crate) use subscription::METHODS;

use std::sync::Arc;

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use schema::AccountId;
use serde_json::json;

use crate::busy::{Count, Place};
use crate::{Options, Server, Services};
use watch::Watches;

/// What all who listen share.
pub(crate) struct Push {
    watches: Watches,
    /// Who has how many connections that wait for changes.
    places: Arc<Count>,
}

impl Push {
    pub(crate) fn new(services: &Services, options: &Options) -> Self {
        Push { watches: Watches::new(services), places: Count::new(options.concurrent_listeners) }
    }
}

/// Somebody who is connected and waits, counted as long as it lasts.
struct Present {
    over: &'static str,
    _place: Place,
}

impl Present {
    /// None if the user has too many already.
    fn enter(server: &Server, user: AccountId, over: &'static str) -> Option<Self> {
        let place = server.push.places.enter(user)?;
        metrics::gauge!("jmap_push_clients", "over" => over).increment(1);
        Some(Present { over, _place: place })
    }
}

impl Drop for Present {
    fn drop(&mut self) {
        metrics::gauge!("jmap_push_clients", "over" => self.over).decrement(1);
    }
}

/// Why somebody is not let in (RFC 9457).
fn refused(status: StatusCode, detail: &str) -> Response {
    let body = json!({"type": "about:blank", "status": status.as_u16(), "detail": detail}).to_string();
    (status, [(header::CONTENT_TYPE, "application/problem+json")], body).into_response()
}
