//! JMAP for mail (RFC 8620, RFC 8621): what a client posts becomes verbs of `mail`, and their outcome its answers.
//!
//! Where to start reading: [`registry`] (every capability with its methods), then `api` (a request), `call` (what a method
//! works with), and the method of interest in `mailbox/`, `thread`, `email/`.
//!
//! # Adding a method
//! A method is a plain function `fn(&mut Call, Object) -> BoxFuture<'_, Answer>` in a file of its own, and a row in the
//! table of its type's `mod.rs` (`METHODS`); a capability is a row in [`registry::CAPABILITIES`]: its URN, what the session
//! says of it, and its tables of methods. What it needs of the world is in [`Services`]; whose data it may touch is asked of
//! `Call::reader` or `Call::writer`, which check the account and the user's rights; states come from `state`, what changed
//! since one from `log`; an error of the store becomes one of the method by `?`. A call that has to be answered more than
//! once ([RFC 8620 §5.4](https://www.rfc-editor.org/rfc/rfc8620#section-5.4)) leaves the others in `Call::further`.
//!
//! # Invariants
//! - The routers here know no connection and no password: whoever serves them puts an [`accounts::Identity`] into each
//!   request, found out anew for that request. HTTP itself is elsewhere.
//! - A state is the commit of the account's last change and the incarnation of the store: it never goes back, on any node,
//!   and one of another store is not taken for ours.
//! - The state that an answer bears was read before the data in it: what it does not show yet, `/changes` will.
//! - Every limit that the session announces is enforced; the session is made of the same values.
//! - What IMAP marks `\Deleted` is not here (RFC 8621 §4.1.1).

mod access;
mod api;
mod busy;
mod call;
mod core;
mod download;
mod email;
mod fail;
mod log;
mod mailbox;
mod options;
mod registry;
mod session;
mod state;
mod thread;
mod upload;

use std::sync::Arc;

use axum::Router;
use axum::routing::{get, post};

pub use options::Options;

/// What methods work with.
#[derive(Clone)]
pub struct Services {
    /// Mailboxes and messages.
    pub mail: mail::Store,
    /// Where uploads go.
    pub blobs: blob::Store,
    /// Answers text searches where it can.
    pub index: Arc<dyn query::SearchIndex>,
    /// What time it is.
    pub clock: runtime::SharedClock,
    /// The store's incarnation, a part of each state.
    pub incarnation: u64,
}

/// What all requests share.
pub(crate) struct Server {
    pub(crate) services: Services,
    pub(crate) options: Options,
    pub(crate) busy: busy::Busy,
}

/// The JMAP service.
#[derive(Clone)]
pub struct Jmap {
    server: Arc<Server>,
}

impl Jmap {
    /// A service over `services`.
    pub fn new(services: Services, options: Options) -> Self {
        let busy = busy::Busy::new(options.core.concurrent_requests, options.core.concurrent_upload);
        Jmap { server: Arc::new(Server { services, options, busy }) }
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
            .route("/jmap/upload/{account}", post(upload::upload))
            .route("/jmap/download/{account}/{blob}/{name}", get(download::download))
            .with_state(Arc::clone(&self.server))
    }
}
