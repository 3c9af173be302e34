//! Upkeep that any node may do at any time: each run looks at the store as it is.

use std::sync::Arc;
use std::time::Duration;

use accounts::Accounts;
use changes::{LocalFeed, Poll};
use kv::Database;
use runtime::{SharedClock, Supervisor};

use crate::purge::Purger;

/// Pause between looks at bodies and tokens.
const OFTEN: Duration = Duration::from_secs(300);
/// Pause between looks for accounts that were removed, and mailboxes that were deleted.
const PURGE: Duration = Duration::from_secs(2);
/// Pause between looks at the logs.
const SELDOM: Duration = Duration::from_secs(3600);
/// Changes are told for so long; a client that was away longer starts anew.
const CHANGES: Duration = Duration::from_secs(30 * 86_400);
/// Shards of bodies swept at each look: all 256 in less than three hours.
const SHARDS: u8 = 8;
/// What one transaction or page takes.
const BATCH: usize = 1_000;

/// What upkeep works on.
#[derive(Clone)]
pub(crate) struct Upkeep {
    pub(crate) db: Database,
    pub(crate) blobs: blob::Store,
    pub(crate) accounts: Accounts,
    pub(crate) mail: mail::Store,
    pub(crate) feed: LocalFeed,
    pub(crate) clock: SharedClock,
}

impl Upkeep {
    /// Starts all of it.
    pub(crate) fn spawn(&self, supervisor: &Supervisor) {
        let db = self.db.clone();
        supervisor.spawn_recurring("token-expiry", OFTEN, move || {
            let db = db.clone();
            async move { db.expire_idempotency_tokens(BATCH).await.map(drop) }
        });
        let blobs = self.blobs.clone();
        supervisor.spawn_recurring("blob-collector", OFTEN, move || {
            let blobs = blobs.clone();
            async move { collect(&blobs).await }
        });
        let poll = Arc::new(Poll::new(self.db.clone(), self.feed.clone()));
        supervisor.spawn_recurring("change-poll", changes::POLL, move || {
            let poll = Arc::clone(&poll);
            async move {
                let found = poll.look().await?;
                metrics::counter!("changes_without_hint_total").increment(found as u64);
                Ok::<_, changes::Error>(())
            }
        });
        let purger = Purger {
            mail: self.mail.clone(),
            clock: self.clock.clone(),
            drain: supervisor.shutdown().drain.clone(),
        };
        let emptier = purger.clone();
        supervisor.spawn_recurring("mailbox-emptying", PURGE, move || {
            let emptier = emptier.clone();
            async move { emptier.empty().await }
        });
        supervisor.spawn_recurring("account-purge", PURGE, move || {
            let purger = purger.clone();
            async move { purger.run().await }
        });
        let upkeep = self.clone();
        supervisor.spawn_recurring("log-trim", SELDOM, move || {
            let upkeep = upkeep.clone();
            async move { upkeep.trim().await }
        });
    }

    /// Forgets old changes of every account.
    async fn trim(&self) -> Result<(), String> {
        let before = (self.clock.now() - CHANGES).secs();
        let mut after: Option<String> = None;
        loop {
            let page = self.accounts.list(None, after.as_deref(), BATCH).await.map_err(|e| e.to_string())?;
            for account in page.items {
                match self.mail.trim(account.id, before).await {
                    // A list, or removed meanwhile: it has no logs.
                    Ok(_) | Err(mail::Error::NotFound) => {}
                    Err(error) => return Err(error.to_string()),
                }
            }
            let Some(next) = page.next else { return Ok(()) };
            after = Some(next);
        }
    }
}

/// Lets go what nothing holds, and looks at some of the objects for those that no row names.
async fn collect(blobs: &blob::Store) -> Result<(), blob::Error> {
    while blobs.collect(BATCH).await?.deleted == BATCH {}
    blobs.sweep_on(SHARDS).await.map(drop)
}
