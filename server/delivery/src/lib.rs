//! Accepting, delivering and sending messages on: the way of a message and the outbound runner.
//!
//! ```text
//! smtp session ─ BodyWriter ─▶ combiner ─▶ one transaction: local rows, queue entries, reports ─▶ 250
//!                                                            │
//!                                       outbound runner ◀── spool ── settle: delivered, due again, bounced
//! ```
//!
//! - A message is acknowledged when the transaction that delivers it to everybody here, and queues it for everybody
//!   elsewhere, is durable (`commit`).
//! - Messages that wait are committed together (`combiner`).
//! - Local copies begin with Return-Path (RFC 5321 §4.4); copies that are sent on do not. A message from another
//!   server for a single recipient has Delivered-To next, sent on or not: that address in a Delivered-To of a
//!   message for it is a loop. What follows is the message as it came with our Received. A message for several
//!   recipients has no Delivered-To: its body is stored once for all, and it would tell the blind copies.
//! - Notifications (RFC 3464) are messages with a null return path, stored in the transaction of what they tell.

mod accept;
mod combiner;
mod commit;
mod intake;
mod notification;
pub mod outbound;
mod policy;
mod report;
mod spread;
mod submission;
mod vacation;

pub use accept::Delivery;
pub use combiner::CombinerLimits;
pub use policy::OwnAddress;
pub use submission::Submissions;

use std::sync::Arc;
use std::time::Duration;

use accounts::{Accounts, Expansion};
use kv::{Database, TransactError, TransactionOptions};
use runtime::{SharedClock, SharedRng};
use spool::Spool;

/// What delivery works on.
#[derive(Clone)]
pub struct Services {
    /// The database of all of these.
    pub db: Database,
    /// Who is who.
    pub accounts: Accounts,
    /// Mailboxes and messages.
    pub mail: mail::Store,
    /// What waits to be sent.
    pub spool: Spool,
    /// What time it is.
    pub clock: SharedClock,
    /// Randomness.
    pub rng: SharedRng,
}

/// How delivery behaves.
#[derive(Debug, Clone)]
pub struct Options {
    /// This host's name, in notifications.
    pub hostname: String,
    /// How long a message is tried.
    pub lifetime: Duration,
}

/// What can go wrong with a delivery, and who must act.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The store.
    #[error(transparent)]
    Kv(#[from] kv::Error),
    /// The directory.
    #[error(transparent)]
    Accounts(#[from] accounts::Error),
    /// The mail store.
    #[error(transparent)]
    Mail(#[from] mail::Error),
    /// The queue.
    #[error(transparent)]
    Spool(#[from] spool::Error),
    /// A body.
    #[error(transparent)]
    Blob(#[from] blob::Error),
    /// Its recipients led elsewhere when the message began to come in, so that the copy they need now was not written.
    #[error("recipients lead elsewhere than when the message began")]
    Rerouted,
    /// The message was taken back, or another node has sent it.
    #[error("the message is not to be sent any more")]
    Withdrawn,
    /// Too much waits for the store: the sender tries again.
    #[error("the turn of the message did not come in time")]
    Late,
}

impl Error {
    /// Whether a part of what was to be committed may go through alone: it lost to another transaction, or something
    /// in it cannot be. Not so if the store is away, or if nobody knows what became of the commit.
    pub(crate) fn is_of_a_part(&self) -> bool {
        self.as_kv().is_none_or(|error| error.is_lost() || error.is_limit())
    }

    /// Whether the queue slot that was worked on has another owner.
    pub(crate) fn is_fenced(&self) -> bool {
        matches!(self, Error::Spool(spool::Error::Fenced { .. }))
    }
}

impl TransactError for Error {
    fn as_kv(&self) -> Option<&kv::Error> {
        match self {
            Error::Kv(error) => Some(error),
            Error::Accounts(error) => error.as_kv(),
            Error::Mail(error) => error.as_kv(),
            Error::Spool(error) => error.as_kv(),
            Error::Blob(error) => error.as_kv(),
            Error::Rerouted | Error::Late | Error::Withdrawn => None,
        }
    }
}

/// What all parts share.
pub(crate) struct Shared {
    pub(crate) services: Services,
    pub(crate) options: Options,
}

/// How long the store is waited for while mail is taken: longer than a cluster needs to notice that one of its machines
/// stands still and to go on without it. A sender waits for minutes (RFC 5321 §4.5.3.2).
pub(crate) const PATIENCE: Duration = Duration::from_secs(40);

impl Shared {
    /// The database, for what a sender waits for.
    pub(crate) fn patient(&self, timeout: Duration, most_losses: Option<u32>) -> Database {
        let db = &self.services.db;
        db.with_options(TransactionOptions { timeout, most_losses, holds_out: true, ..db.options() })
    }

    /// Where a recipient leads.
    pub(crate) async fn expand(&self, address: &str) -> Result<Expansion, Error> {
        let accounts = &self.services.accounts;
        let expand = |txn| async move { accounts.expand_in(&txn, address).await };
        Ok(self.patient(PATIENCE, None).read("accounts.expand", expand).await?)
    }
}

pub(crate) type SharedRef = Arc<Shared>;
