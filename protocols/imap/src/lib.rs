//! IMAP4rev1 and IMAP4rev2 sessions: a client's commands become verbs of `mail`, and their outcome its answers.
//!
//! Where to start reading: [`dispatch`] (every command, when it is allowed, what it advertises), then `session`
//! (the loop), `flow` (the states), `view` (what the client believes about the open mailbox), and the command
//! of interest in `command/`.
//!
//! Invariants:
//! - A session that waits holds a socket, its keys, a subscription and the set of UIDs of its mailbox: no
//!   buffers, no rows, no command.
//! - What the client believes is changed by [`view::View`] alone, and only by what it was told: EXPUNGE and
//!   VANISHED never come while a command with sequence numbers is under way (RFC 9051 §7.5.1).
//! - Every command ends with a look at the store, not at a hint: after a tagged OK here, the next command
//!   anywhere sees what was done.
//! - Bodies are streamed both ways; rows come in pages; a client that does not read stops the work for it.

mod command;
mod convert;
mod dispatch;
mod flags;
mod flow;
mod namespace;
mod options;
mod pattern;
mod reply;
mod section;
mod session;
mod standing;
mod view;

use std::sync::Arc;

use futures::future::BoxFuture;

pub use options::Options;

/// What sessions work with.
#[derive(Clone)]
pub struct Services {
    /// Mailboxes and messages.
    pub mail: mail::Store,
    /// Where bodies of APPEND go.
    pub blobs: blob::Store,
    /// Who shares mailboxes with whom.
    pub accounts: accounts::Accounts,
    /// Who may log in.
    pub authenticator: Arc<dyn accounts::Authenticator>,
    /// Wakes IDLE, and sessions whose user may not stay.
    pub feed: Arc<dyn changes::Feed>,
    /// Answers text searches where it can.
    pub index: Arc<dyn query::SearchIndex>,
    /// What time it is.
    pub clock: runtime::SharedClock,
}

/// What all sessions share.
pub(crate) struct Server {
    pub(crate) services: Services,
    pub(crate) options: Options,
}

/// The IMAP service.
#[derive(Clone)]
pub struct Imap {
    server: Arc<Server>,
}

impl Imap {
    /// A service over `services`.
    pub fn new(services: Services, options: Options) -> Self {
        Imap { server: Arc::new(Server { services, options }) }
    }
}

impl net::Protocol for Imap {
    fn name(&self) -> &'static str {
        "imap"
    }

    fn serve(&self, connection: net::Connection, context: net::SessionContext) -> BoxFuture<'static, ()> {
        Box::pin(session::serve(Arc::clone(&self.server), connection, context))
    }

    fn refuse(&self) -> &'static [u8] {
        b"* BYE [UNAVAILABLE] too many connections\r\n"
    }
}
