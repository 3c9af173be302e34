//! The admin API, health and metrics over HTTP, on a listener of their own.
//!
//! - `/livez`, `/readyz`, `/startupz` and `/metrics` need no credentials: probes and scrapers have none.
//! - `/cluster/…` needs none either: see [`cluster`].
//! - `/api/v1/…` needs Basic credentials: the user `admin` with the bootstrap password of this node. [`api`] has the
//!   JSON types; errors are problem details (RFC 9457).
//!
//! `/api/v1/store/verify` and `/api/v1/store/repair` answer with one JSON document per line, as they go.
//!
//! Lists are paged: `?after=` goes on behind an item, and `next` in the answer says where.

mod accounts_api;
pub mod api;
mod app_passwords_api;
mod auth;
pub mod cluster;
mod domains_api;
mod grants_api;
mod health;
mod level_api;
mod members_api;
mod nodes_api;
mod problem;
mod purges_api;
mod queue_api;
mod router;
mod rows_api;
mod search_api;
mod signing_keys_api;
mod sites_api;
#[cfg(test)]
mod tests;
mod totp_api;
mod verify_api;

pub use health::{Health, Probe, waiting};
pub use nodes_api::Control;
pub use problem::Problem;
pub use router::router;
pub use verify_api::{mendings, verification};

use std::sync::Arc;

use accounts::{Accounts, NewAccount};
use futures::future::BoxFuture;
use schema::AccountId;
use spool::Spool;

/// A domain of the server's own, for its mail to itself. It is not listed.
pub const OWN_DOMAIN: &str = "godwit.invalid";

/// Makes and removes accounts with all that belongs to them; implemented where directory and mail meet.
pub trait Registrar: Send + Sync {
    /// Makes an account and, for those that have them, its mailboxes, in one transaction.
    fn create<'a>(&'a self, new: &'a NewAccount) -> BoxFuture<'a, Result<AccountId, accounts::Error>>;

    /// Changes an account, and what its mail may take up.
    fn update<'a>(
        &'a self,
        id: AccountId,
        change: &'a accounts::AccountChange,
    ) -> BoxFuture<'a, Result<accounts::Account, accounts::Error>>;

    /// Removes an account. Its mail is unreachable at once and removed in the background.
    fn delete(&self, id: AccountId) -> BoxFuture<'_, Result<(), accounts::Error>>;
}

/// The index of mail.
#[derive(Clone)]
pub struct Index {
    /// What is published.
    pub segments: segments::Segments,
    /// Answers from it.
    pub searcher: shard::Searcher,
}

/// What the admin listener works on.
#[derive(Clone)]
pub struct Admin {
    /// The directory.
    pub accounts: Accounts,
    /// Makes and removes accounts.
    pub registrar: Arc<dyn Registrar>,
    /// The mail of accounts.
    pub mail: mail::Store,
    /// The queue.
    pub spool: Spool,
    /// The index of mail.
    pub index: Index,
    /// The nodes, and the feature level that they write by.
    pub leases: leases::Leases,
    /// The rows of the store, as they are.
    pub rows: Arc<dyn transfer::Source>,
    /// Looks through the store.
    pub verifier: verify::Verifier,
    /// What this node can be told.
    pub control: Arc<dyn Control>,
    /// The cluster as this node sees it.
    pub cluster: Arc<dyn cluster::View>,
    /// What the probes say.
    pub health: Health,
    /// The password of the user `admin`.
    pub password: Arc<str>,
    /// Renders the metrics in Prometheus' text format.
    pub metrics: Arc<dyn Fn() -> String + Send + Sync>,
}
