//! Upkeep: each run looks at the store as it is. Most of it is done by one node for all.

use std::sync::Arc;
use std::time::Duration;

use accounts::Accounts;
use changes::{LocalFeed, Poll};
use kv::Database;
use leases::Leases;
use ownership::{Charge, Tenure, Worker};
use parking_lot::Mutex;
use runtime::{Outcome, SharedClock, Shutdown, Supervisor};
use schema::{AccountId, Duty};

use crate::purge::Purger;
use crate::signatures::Signatures;

/// Pause between looks at bodies and tokens.
const OFTEN: Duration = Duration::from_secs(300);
/// Pause between looks for accounts that were removed, and mailboxes that were deleted.
const PURGE: Duration = Duration::from_secs(2);
/// Pause between looks whether the store was handed over to another one.
const OBEY: Duration = Duration::from_secs(2);
/// Pause between looks whether the feature level can be raised, where nobody is asked: long enough that a node which is
/// exchanged for one of another version is seen in between.
const LEVEL: Duration = Duration::from_secs(60);
/// Pause between looks at the logs.
const SELDOM: Duration = Duration::from_secs(3600);
/// Changes are told for so long; a client that was away longer starts anew.
const CHANGES: Duration = Duration::from_secs(30 * 86_400);
/// Shards of bodies swept at each look: all 256 in less than three hours.
const SHARDS: u8 = 8;
/// What one transaction or page takes.
const BATCH: usize = 1_000;

/// When changes were looked for last, in monotonic time.
pub(crate) type Looked = Arc<Mutex<Option<Duration>>>;

/// What upkeep works on.
#[derive(Clone)]
pub(crate) struct Upkeep {
    pub(crate) db: Database,
    pub(crate) blobs: blob::Store,
    pub(crate) accounts: Accounts,
    pub(crate) mail: mail::Store,
    pub(crate) spool: spool::Spool,
    pub(crate) feed: LocalFeed,
    pub(crate) clock: SharedClock,
    pub(crate) looked: Looked,
    pub(crate) signatures: Signatures,
    /// Whether the feature level is raised without being asked for.
    pub(crate) raise_level: bool,
}

impl Upkeep {
    /// Starts what each node does for itself.
    pub(crate) fn spawn(&self, supervisor: &Supervisor) {
        let poll = Arc::new(Poll::new(self.db.clone(), self.feed.clone()));
        let (clock, looked) = (self.clock.clone(), self.looked.clone());
        supervisor.spawn_recurring("change-poll", changes::POLL, move || {
            let (poll, clock, looked) = (Arc::clone(&poll), clock.clone(), looked.clone());
            async move {
                let found = poll.look().await?;
                *looked.lock() = Some(clock.monotonic());
                metrics::counter!("changes_without_hint_total").increment(found as u64);
                Ok::<_, changes::Error>(())
            }
        });
        let (db, shutdown) = (self.db.clone(), supervisor.shutdown().clone());
        supervisor.spawn_recurring("handed-over", OBEY, move || {
            let (db, shutdown) = (db.clone(), shutdown.clone());
            async move { obey(&db, &shutdown).await }
        });
    }

    /// The jobs that one node does for all. Two that do one at once do no harm.
    pub(crate) fn charge(&self, supervisor: &Supervisor) -> Charge {
        let worker = Jobs { upkeep: self.clone(), supervisor: supervisor.clone() };
        let duties = vec![Duty::RETENTION, Duty::BLOB_COLLECTION, Duty::UPKEEP];
        Charge { duties, worker: Arc::new(worker) }
    }

    /// Forgets old changes of every account, and what its user allowed that nobody can use any more.
    async fn trim(&self) -> Result<(), String> {
        let before = (self.clock.now() - CHANGES).secs();
        for account in self.every_account().await? {
            self.accounts.expire_grants(account).await.map_err(|e| e.to_string())?;
            of_mail(self.mail.trim(account, before).await.map(drop))?;
        }
        Ok(())
    }

    /// Looks again at the signatures of every account's mail that are due. An account where that cannot be done keeps none of the
    /// others; its error is returned in the end.
    async fn renew_signatures(&self) -> Result<(), String> {
        let mut outcome = Ok(());
        for account in self.every_account().await? {
            outcome = of_mail(self.signatures.renew(account).await).and(outcome);
        }
        outcome
    }

    async fn every_account(&self) -> Result<Vec<AccountId>, String> {
        let (mut accounts, mut after): (Vec<AccountId>, Option<String>) = (Vec::new(), None);
        loop {
            let page = self.accounts.list(None, after.as_deref(), BATCH).await.map_err(|e| e.to_string())?;
            accounts.extend(page.items.iter().map(|account| account.id));
            let Some(next) = page.next else { return Ok(accounts) };
            after = Some(next);
        }
    }
}

/// A list, and an account that was removed meanwhile, have no mail.
fn of_mail(outcome: Result<(), mail::Error>) -> Result<(), String> {
    match outcome {
        Ok(()) | Err(mail::Error::NotFound) => Ok(()),
        Err(error) => Err(error.to_string()),
    }
}

struct Jobs {
    upkeep: Upkeep,
    supervisor: Supervisor,
}

impl Worker for Jobs {
    fn begin(&self, tenure: Tenure) {
        match tenure.duty() {
            Duty::RETENTION => self.retain(tenure),
            Duty::BLOB_COLLECTION => self.collect(tenure),
            Duty::UPKEEP => self.purge(tenure),
            // No other is in the charge.
            _ => {}
        }
    }
}

impl Jobs {
    /// Runs `work` now and then until the duty is to go to another, and keeps the tenure until then.
    fn recurring<W, F>(&self, tenure: Tenure, name: &'static str, pause: Duration, work: W)
    where
        W: Fn() -> F + Send + Sync + 'static,
        F: Future + Send + 'static,
        F::Output: Outcome,
    {
        let end = tenure.ending().clone();
        self.supervisor.spawn_recurring_until(end, name, pause, move || {
            let _held = &tenure;
            work()
        });
    }

    fn retain(&self, tenure: Tenure) {
        let db = self.upkeep.db.clone();
        self.recurring(tenure.clone(), "token-expiry", OFTEN, move || {
            let db = db.clone();
            async move { db.expire_idempotency_tokens(BATCH).await.map(drop) }
        });
        let accounts = self.upkeep.accounts.clone();
        self.recurring(tenure.clone(), "client-expiry", OFTEN, move || {
            let accounts = accounts.clone();
            async move {
                accounts.expire_devices().await?;
                accounts.expire_clients(BATCH).await.map(drop)
            }
        });
        let upkeep = self.upkeep.clone();
        self.recurring(tenure.clone(), "log-trim", SELDOM, move || {
            let upkeep = upkeep.clone();
            async move { upkeep.trim().await }
        });
        let upkeep = self.upkeep.clone();
        self.recurring(tenure, "signatures", SELDOM, move || {
            let upkeep = upkeep.clone();
            async move { upkeep.renew_signatures().await }
        });
    }

    fn collect(&self, tenure: Tenure) {
        let blobs = self.upkeep.blobs.clone();
        self.recurring(tenure, "blob-collector", OFTEN, move || {
            let blobs = blobs.clone();
            async move { collect(&blobs).await }
        });
    }

    /// What a raise of the feature level brings with it, and where that is wanted the raise.
    fn levels(&self, tenure: &Tenure, pace: &Purger) {
        let (spool, pace) = (self.upkeep.spool.clone(), pace.clone());
        self.recurring(tenure.clone(), "rewrite", PURGE, move || {
            let (spool, pace) = (spool.clone(), pace.clone());
            async move { pace.rewrite(&spool).await }
        });
        if !self.upkeep.raise_level {
            return;
        }
        let leases = Leases::new(self.upkeep.db.clone(), self.upkeep.clock.clone());
        self.recurring(tenure.clone(), "level", LEVEL, move || {
            let leases = leases.clone();
            async move { raise(&leases).await }
        });
    }

    fn purge(&self, tenure: Tenure) {
        let Upkeep { mail, clock, .. } = self.upkeep.clone();
        let purger = Purger { mail, clock, end: tenure.ending().clone() };
        self.levels(&tenure, &purger);
        let emptier = purger.clone();
        self.recurring(tenure.clone(), "mailbox-emptying", PURGE, move || {
            let emptier = emptier.clone();
            async move { emptier.empty().await }
        });
        self.recurring(tenure, "account-purge", PURGE, move || {
            let purger = purger.clone();
            async move { purger.run().await }
        });
    }
}

/// Raises the feature level to what every node supports.
async fn raise(leases: &Leases) -> Result<(), leases::Error> {
    let levels = leases.levels().await?;
    if levels.supported > levels.current {
        leases.raise_level(levels.supported).await?;
        tracing::info!(from = levels.current, to = levels.supported, "feature level raised");
    }
    Ok(())
}

/// Ends the node when another store serves in the place of its own.
async fn obey(db: &Database, shutdown: &Shutdown) -> Result<(), transfer::Error> {
    match transfer::admit(db).await {
        Err(error @ (transfer::Error::Sealed { .. } | transfer::Error::Unfinished)) => {
            tracing::error!(%error, "this node ends");
            shutdown.begin();
            Ok(())
        }
        other => other,
    }
}

/// Lets go what nothing holds, and looks at some of the objects for those that no row names.
async fn collect(blobs: &blob::Store) -> Result<(), blob::Error> {
    while blobs.collect(BATCH).await?.deleted == BATCH {}
    blobs.sweep_on(SHARDS).await.map(drop)
}
