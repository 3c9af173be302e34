//! JMAP for mail (RFC 8620, RFC 8621): what a client posts becomes verbs of `mail`, and their outcome its answers.
//!
//! Where to start reading: [`registry`] (every capability with its methods), then `api` (a request), `call` (what a method
//! works with), and the method of interest in `mailbox/`, `thread`, `email/`.
//!
//! # Adding a method
//! A method is a plain function `fn(&mut Call, Object) -> BoxFuture<'_, Answer>` in a file of its own, and a row in the
//! table of its type's `mod.rs` (`METHODS`); a capability is a row in [`registry::CAPABILITIES`]: its URN, what the session
//! says of it, and its tables of methods. What it needs of the world is in [`Services`]; whose data it may touch is asked of
//! `Call::reader` or `Call::writer`, which check the account and the user's rights, and refuse an account of which some mailboxes
//! are shared; a method that shows these alone asks `Call::viewer` or `Call::editor`, and reads through `view`; states come from `state`, what changed
//! since one from `log`; an error of the store becomes one of the method by `?`. A call that has to be answered more than
//! once ([RFC 8620 §5.4](https://www.rfc-editor.org/rfc/rfc8620#section-5.4)) leaves the others in `Call::further`.
//!
//! # Invariants
//! - The routers here know no connection and no password: whoever serves them puts an [`accounts::Identity`] into each
//!   request, found out anew for that request, with the [`accounts::Proof`] by which it was, and an [`accounts::oauth::Bearer`] if a token was shown, which then bounds what may
//!   be used (`scope`). HTTP itself is elsewhere.
//! - A state is the commit of the account's last change and the incarnation of the store: it never goes back, on any node,
//!   and one of another store is not taken for ours.
//! - The state that an answer bears was read before the data in it: what it does not show yet, `/changes` will.
//! - Every limit that the session announces is enforced; the session is made of the same values.
//! - Who waits for changes is told of what has been committed, and costs a read of the store for each change and account,
//!   not for each client (`push`).
//! - What IMAP marks `\Deleted` is not here (RFC 8621 §4.1.1).

mod access;
mod api;
mod blobs;
mod busy;
mod call;
mod core;
mod download;
mod email;
mod fail;
mod identity;
mod log;
mod mailbox;
mod mdn;
mod nobody;
mod objects;
mod options;
mod principal;
mod push;
mod quota;
mod registry;
mod results;
mod scope;
mod session;
mod share_notification;
mod state;
mod submission;
mod submit;
mod thread;
mod upload;
mod vacation;
mod view;

use std::sync::Arc;

use axum::Router;
use axum::middleware::from_fn;
use axum::routing::{any, get, post};

pub use content_mail::smime::Trust;
pub use email::renew_signatures;
pub use nobody::Nobody;
pub use options::{Listing, Options};
pub use push::{PushError, PushMessage, PushService, Pushed, Pusher};
pub use scope::scopes;
pub use submission::parameters;
pub use submit::{NewNotice, NewSubmission, Path, Refused, Submitter, Undone};

/// What methods work with.
#[derive(Clone)]
pub struct Services {
    /// Mailboxes and messages.
    pub mail: mail::Store,
    /// Who is who.
    pub accounts: accounts::Accounts,
    /// Where uploads go.
    pub blobs: blob::Store,
    /// Tells of changes.
    pub feed: Arc<dyn changes::Feed>,
    /// Answers text searches where it can.
    pub index: Arc<dyn query::SearchIndex>,
    /// Takes what is to be sent.
    pub submitter: Arc<dyn Submitter>,
    /// Sends pushes.
    pub push: Arc<dyn PushService>,
    /// What time it is.
    pub clock: runtime::SharedClock,
    /// Randomness.
    pub rng: runtime::SharedRng,
    /// The store's incarnation, a part of each state.
    pub incarnation: u64,
}

/// Says what the metrics of this crate mean.
pub fn describe_metrics() {
    metrics::describe_counter!("jmap_calls_total", "Calls of JMAP methods, by whether they succeeded.");
    metrics::describe_gauge!("jmap_push_clients", "Clients connected that wait for changes, by way.");
    metrics::describe_counter!("jmap_push_changes_total", "Changes of state told to clients, by way.");
    metrics::describe_counter!(
        "jmap_pushes_total",
        "Messages given to push services, by what became of them."
    );
    metrics::describe_counter!(
        "jmap_push_positions_total",
        "Positions up to which devices were told, noted for who goes on."
    );
    metrics::describe_gauge!("jmap_push_subscriptions", "Subscriptions whose pushes this node sends.");
    metrics::describe_counter!("jmap_push_looks_total", "Looks at what changed, each for all who listen.");
}

/// What all requests share.
pub(crate) struct Server {
    pub(crate) services: Services,
    pub(crate) options: Options,
    pub(crate) busy: busy::Busy,
    pub(crate) push: push::Push,
}

impl Server {
    fn new(services: Services, mut options: Options) -> Arc<Self> {
        let busy = busy::Busy::new(options.core.concurrent_requests, options.core.concurrent_upload);
        let push = push::Push::new(&services, &options);
        options.push_key = services.push.key().to_owned();
        Arc::new(Server { services, options, busy, push })
    }
}

/// The JMAP service.
#[derive(Clone)]
pub struct Jmap {
    server: Arc<Server>,
}

impl Jmap {
    /// A service over `services`.
    pub fn new(services: Services, options: Options) -> Self {
        Jmap { server: Server::new(services, options) }
    }

    /// What everybody may ask for: where the session is (RFC 8620 §2.2).
    pub fn open(&self) -> Router {
        Router::new().route("/.well-known/jmap", get(session::well_known))
    }

    /// What is for who has logged in: requests bear an [`accounts::Identity`].
    pub fn private(&self) -> Router {
        Router::new()
            .route("/jmap/session", get(session::session))
            .route("/jmap", post(api::api))
            .route("/jmap/eventsource", get(push::event_source))
            // HTTP/1.1 upgrades by GET, HTTP/2 by CONNECT (RFC 8441).
            .route("/jmap/ws", any(push::socket))
            .route("/jmap/upload/{account}", post(upload::upload))
            .route("/jmap/download/{account}/{blob}/{name}", get(download::download))
            .route_layer(from_fn(scope::require))
            .with_state(Arc::clone(&self.server))
    }
}
