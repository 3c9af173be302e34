//! The store as a handle, and the one retry loop.

use crate::idempotency::{Settled, Token};
use crate::metrics::{Metrics, Outcome, Tally};
use crate::{
    Backend, Error, ErrorKind, TransactError, Transaction, TransactionOptions, Versionstamp, limits,
};
use runtime::{Clock, SharedClock, SharedRng};
use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// A store that is open: a cheap handle, cloned at will.
#[derive(Clone)]
pub struct Database {
    shared: Arc<Shared>,
    options: TransactionOptions,
}

struct Shared {
    backend: Arc<dyn Backend>,
    clock: SharedClock,
    rng: SharedRng,
    metrics: Metrics,
    /// Whether the store is known to be out of reach.
    away: watch::Sender<bool>,
}

/// What is said then.
const OUT_OF_REACH: &str = "out of reach of this node";

/// Why an attempt failed: what the closure returned, or what the store said to the loop itself.
enum Failure<E> {
    Closure(E),
    Store(Error),
}

impl<E: TransactError> Failure<E> {
    /// The error after which the transaction is tried again; `None` if that will not help.
    ///
    /// Of the closure's errors that is so for those that the store calls retryable. An unknown outcome of the
    /// commit is settled by the next attempt `with_tokens`; without them nobody can.
    fn worth_another(&self, with_tokens: bool) -> Option<Error> {
        let error = match self {
            Failure::Closure(e) => e.as_kv().filter(|e| e.is_retryable())?,
            Failure::Store(e) => e,
        };
        let again = match error.kind() {
            ErrorKind::Retryable => true,
            ErrorKind::MaybeCommitted => with_tokens,
            ErrorKind::Fatal => false,
        };
        again.then(|| error.clone())
    }

    fn into_error(self) -> E {
        match self {
            Failure::Closure(e) => e,
            Failure::Store(e) => e.into(),
        }
    }
}

impl Database {
    /// A handle to `backend`. The clock bounds the life of transactions; randomness spreads their retries and
    /// makes idempotency tokens unique, so let it be a good one.
    pub fn new(backend: Arc<dyn Backend>, clock: SharedClock, rng: SharedRng) -> Self {
        let away = watch::Sender::new(false);
        let shared = Shared { backend, clock, rng, metrics: Metrics::default(), away };
        Database { shared: Arc::new(shared), options: TransactionOptions::default() }
    }

    /// The same store, whose transactions run under `options`.
    pub fn with_options(&self, options: TransactionOptions) -> Self {
        Database { shared: Arc::clone(&self.shared), options }
    }

    /// How transactions of this handle are run.
    pub fn options(&self) -> TransactionOptions {
        self.options
    }

    /// The backend's name.
    pub fn backend_name(&self) -> &'static str {
        self.shared.backend.name()
    }

    /// The backend, to wrap it into another one.
    pub fn backend(&self) -> &Arc<dyn Backend> {
        &self.shared.backend
    }

    /// The clock that this store goes by.
    pub fn clock(&self) -> &dyn Clock {
        &*self.shared.clock
    }

    /// Says whether it is known that this process cannot reach the store. While that is so, calls fail at once, those that are
    /// under way too, instead of being tried for [`TransactionOptions::timeout`]; but not those that hold out
    /// ([`TransactionOptions::holds_out`]). For all handles of this store. Returns whether it was said anew.
    pub fn set_out_of_reach(&self, away: bool) -> bool {
        self.shared.away.send_replace(away) != away
    }

    /// Whether it is known that this process cannot reach the store.
    pub fn is_out_of_reach(&self) -> bool {
        *self.shared.away.borrow()
    }

    /// Comes back once there is no point in going on; never for those that hold out.
    async fn given_up(&self) {
        if self.options.holds_out {
            return std::future::pending().await;
        }
        // The sender lives in `self`: it is never gone.
        let _ = self.shared.away.subscribe().wait_for(|away| *away).await;
    }

    /// Waits for commits under way and releases the store.
    pub async fn close(&self) -> Result<(), Error> {
        self.shared.backend.close().await
    }

    /// Sees to it, durably, that each commit which begins after this has a version above `version`
    /// ([`Backend::advance_version`]). Tried again like a transaction.
    pub async fn advance_version(&self, version: u64) -> Result<(), Error> {
        let mut patience = Patience::new(self);
        loop {
            patience.tally.attempts += 1;
            match self.shared.backend.advance_version(version).await {
                // Done twice it is done.
                Err(e) if e.kind() != ErrorKind::Fatal && patience.wait(&e, true).await => {}
                outcome => return outcome,
            }
        }
    }

    /// Runs `f` in a transaction and commits it, again and again while the store says that this may help and
    /// the time given ([`TransactionOptions::timeout`]) is not over.
    ///
    /// `f` may run several times, and what it did is undone whenever it runs again: it is idempotent and touches
    /// nothing outside the transaction. An error it returns ends the transaction without a commit, unless the
    /// error wraps a retryable one of the store. `name` labels the metrics.
    ///
    /// An error that is [`ErrorKind::MaybeCommitted`] is returned only when the time was over before the outcome
    /// could be settled, or by a backend that promised it would not lose one.
    pub async fn transact<T, E, F, Fut>(&self, name: &'static str, f: F) -> Result<T, E>
    where
        F: Fn(Transaction) -> Fut + Send + Sync,
        Fut: Future<Output = Result<T, E>> + Send,
        E: TransactError,
        T: Send,
    {
        self.run(name, &f, true).await.map(|(value, _)| value)
    }

    /// As [`Database::transact`], and returns the commit's versionstamp too: [`Versionstamp::ZERO`] if nothing
    /// was written.
    pub async fn transact_versioned<T, E, F, Fut>(
        &self,
        name: &'static str,
        f: F,
    ) -> Result<(T, Versionstamp), E>
    where
        F: Fn(Transaction) -> Fut + Send + Sync,
        Fut: Future<Output = Result<T, E>> + Send,
        E: TransactError,
        T: Send,
    {
        self.run(name, &f, true).await
    }

    /// Runs `f` on one snapshot and never commits; runs it again if the snapshot got too old or the store was
    /// away. For reads only: what `f` writes is lost, and a watch needs a commit.
    pub async fn read<T, E, F, Fut>(&self, name: &'static str, f: F) -> Result<T, E>
    where
        F: Fn(Transaction) -> Fut + Send + Sync,
        Fut: Future<Output = Result<T, E>> + Send,
        E: TransactError,
        T: Send,
    {
        self.run(name, &f, false).await.map(|(value, _)| value)
    }

    /// A transaction without a loop around it: for the loop itself and for the tests of backends.
    #[allow(clippy::disallowed_methods)]
    pub(crate) fn begin(&self) -> Transaction {
        Transaction::new(self.shared.backend.begin(&self.options), Arc::clone(&self.shared.clock))
    }

    async fn run<T, E, F, Fut>(&self, name: &'static str, f: &F, commit: bool) -> Result<(T, Versionstamp), E>
    where
        F: Fn(Transaction) -> Fut + Send + Sync,
        Fut: Future<Output = Result<T, E>> + Send,
        E: TransactError,
        T: Send,
    {
        let mut patience = Patience::new(self);
        let mut token = Token::new();
        let result = loop {
            let failure = match self.attempt(f, commit, &mut token, &mut patience).await {
                Ok(done) => break Ok(done),
                Err(failure) => failure,
            };
            match failure.worth_another(self.shared.backend.outcome_can_be_unknown()) {
                Some(e) if patience.wait(&e, token.is_unsettled()).await => {}
                Some(_) if token.is_unsettled() => break Err(E::from(Error::maybe_committed())),
                Some(_) => break Err(failure.into_error()),
                None => match self.fence(&mut token, &mut patience).await {
                    Ok(Settled::Applied(value, stamp)) => break Ok((value, stamp)),
                    Ok(_) => break Err(failure.into_error()),
                    Err(unsettled) => break Err(E::from(unsettled)),
                },
            }
        };
        let outcome = match &result {
            Ok(_) => Outcome::Ok,
            Err(e) if e.as_kv().is_some() => Outcome::Store,
            Err(_) => Outcome::Domain,
        };
        self.shared.metrics.record(name, &patience.tally, outcome, patience.elapsed());
        result
    }

    async fn attempt<T, E, F, Fut>(
        &self,
        f: &F,
        commit: bool,
        token: &mut Token<T>,
        patience: &mut Patience<'_>,
    ) -> Result<(T, Versionstamp), Failure<E>>
    where
        F: Fn(Transaction) -> Fut + Send + Sync,
        Fut: Future<Output = Result<T, E>> + Send,
        E: TransactError,
        T: Send,
    {
        patience.tally.attempts += 1;
        let txn = self.begin();
        if let Settled::Applied(value, stamp) = token.settle(&txn).await.map_err(Failure::Store)? {
            return Ok((value, stamp));
        }
        // A store that does not answer must not hold the caller for longer than it is prepared to wait. The
        // commit below is not cut off: that would make its outcome unknown.
        let value = tokio::select! {
            biased;
            () = self.given_up() => return Err(Failure::Store(Error::unavailable(OUT_OF_REACH))),
            done = tokio::time::timeout(patience.left(), f(txn.clone())) => match done {
                Ok(result) => result.map_err(Failure::Closure)?,
                Err(_) => return Err(Failure::Store(Error::unavailable("no answer in time"))),
            },
        };
        if !commit {
            return Ok((value, Versionstamp::ZERO));
        }
        // Without writes there is nothing to apply twice.
        let with_token = txn.wrote() && self.shared.backend.outcome_can_be_unknown();
        if with_token {
            token.write(&txn, &*self.shared.clock, &*self.shared.rng);
        }
        let committed = tokio::select! {
            biased;
            committed = txn.commit() => committed,
            // Its outcome would not be known before the store is back.
            () = self.given_up(), if with_token => Err(Error::maybe_committed()),
        };
        match committed {
            Ok(stamp) => {
                patience.tally.bytes = txn.wrote().then(|| txn.size());
                Ok((value, stamp))
            }
            Err(e) => {
                if with_token && e.kind() == ErrorKind::MaybeCommitted {
                    token.lost(value);
                }
                Err(Failure::Store(e))
            }
        }
    }

    /// Before an error is returned: makes sure that no attempt of unknown outcome is or will be applied, or
    /// finds the one that was.
    async fn fence<T: Send>(
        &self,
        token: &mut Token<T>,
        patience: &mut Patience<'_>,
    ) -> Result<Settled<T>, Error> {
        if !token.is_unsettled() {
            return Ok(Settled::Absent);
        }
        loop {
            match token.fence(&self.begin()).await {
                Ok(settled) => return Ok(settled),
                Err(e) if e.kind() != ErrorKind::Fatal && patience.wait(&e, true).await => {}
                Err(_) => return Err(Error::maybe_committed()),
            }
        }
    }
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Database")
            .field("backend", &self.backend_name())
            .field("options", &self.options)
            .finish()
    }
}

/// How long one `transact` has been at it, and how long it will wait before it tries again.
struct Patience<'a> {
    database: &'a Database,
    begun: Duration,
    /// Time spent waiting between attempts. Counts where the clock stands still, as in tests.
    waited: Duration,
    /// How often another transaction won, or this one took too long.
    lost: u32,
    tally: Tally,
}

impl<'a> Patience<'a> {
    fn new(database: &'a Database) -> Self {
        let begun = database.clock().monotonic();
        Patience { database, begun, waited: Duration::ZERO, lost: 0, tally: Tally::default() }
    }

    fn elapsed(&self) -> Duration {
        self.database.clock().monotonic().saturating_sub(self.begun).max(self.waited)
    }

    fn left(&self) -> Duration {
        self.database.options.timeout.saturating_sub(self.elapsed())
    }

    /// Counts `e` and waits for the next attempt's turn; says no if the time is over, or if others won too often and
    /// nothing is `unsettled`.
    ///
    /// The wait is random below a bound that doubles, so that those who met once do not meet again.
    async fn wait(&mut self, e: &Error, unsettled: bool) -> bool {
        self.tally.conflicts += u64::from(e.is_conflict());
        self.tally.unknown += u64::from(e.kind() == ErrorKind::MaybeCommitted);
        self.lost += u32::from(e.is_lost());
        let beaten = e.is_lost() && self.database.options.most_losses.is_some_and(|most| self.lost > most);
        let hopeless = self.database.is_out_of_reach() && !self.database.options.holds_out;
        if self.left().is_zero() || hopeless || (beaten && !unsettled) {
            return false;
        }
        let doublings = u32::try_from(self.tally.attempts).unwrap_or(u32::MAX).saturating_sub(1).min(16);
        let longest = if e.is_conflict() { limits::BACKOFF_CONFLICT } else { limits::BACKOFF_LAST };
        let bound = (limits::BACKOFF_FIRST * (1 << doublings)).min(longest);
        let micros = 1 + self.database.shared.rng.below(u64::try_from(bound.as_micros()).unwrap_or(u64::MAX));
        let delay = Duration::from_micros(micros).min(self.left());
        self.waited += delay;
        tokio::time::sleep(delay).await;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::{self, Memory};
    use crate::{ConflictKind, Limit};
    use runtime::{ManualClock, SeededRng, Timestamp};
    use std::sync::atomic::{AtomicU32, Ordering};

    #[derive(Debug, PartialEq, thiserror::Error)]
    enum Domain {
        #[error("no such mailbox")]
        NoSuchMailbox,
        #[error(transparent)]
        Kv(#[from] Error),
    }

    impl TransactError for Domain {
        fn as_kv(&self) -> Option<&Error> {
            match self {
                Domain::Kv(e) => Some(e),
                Domain::NoSuchMailbox => None,
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_conflict_is_tried_again() {
        let (db, runs) = (memory::database(), AtomicU32::new(0));
        let (db, runs) = (&db, &runs);
        let increment = |txn: Transaction| async move {
            let count = txn.get(b"count").await?.map_or(0, |value| value[0]);
            if runs.fetch_add(1, Ordering::Relaxed) == 0 {
                // Another client gets in between.
                let other = db.begin();
                other.set(b"count", &[10]);
                other.commit().await?;
            }
            txn.set(b"count", &[count + 1]);
            Ok::<_, Error>(count + 1)
        };
        assert_eq!(db.transact("increment", increment).await, Ok(11));
        assert_eq!(runs.load(Ordering::Relaxed), 2);
    }

    #[tokio::test]
    async fn a_domain_error_ends_the_transaction_without_a_commit() {
        let db = memory::database();
        let failed = db.transact("fail", |txn| async move {
            txn.set(b"k", b"v");
            Err::<(), _>(Domain::NoSuchMailbox)
        });
        assert_eq!(failed.await, Err(Domain::NoSuchMailbox));
        let value = db.read("read", |txn| async move { txn.get(b"k").await });
        assert_eq!(value.await, Ok(None));
    }

    #[tokio::test(start_paused = true)]
    async fn it_gives_up_with_the_last_error_when_the_time_is_over() {
        let (db, runs) = (memory::database(), AtomicU32::new(0));
        let runs = &runs;
        let failed = db.transact("never", |_| async move {
            runs.fetch_add(1, Ordering::Relaxed);
            Err::<(), _>(Domain::Kv(Error::unavailable("down")))
        });
        assert_eq!(failed.await, Err(Domain::Kv(Error::unavailable("down"))));
        // 10 s in steps of up to 0.5 s.
        assert!((20..400).contains(&runs.load(Ordering::Relaxed)), "{runs:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn who_can_do_with_less_loses_no_oftener_than_he_says() {
        let (db, runs) = (memory::database(), AtomicU32::new(0));
        let runs = &runs;
        for (failure, expected) in
            [(Error::conflict(), 3), (Error::too_old(), 3), (Error::unavailable("x"), 21)]
        {
            runs.store(0, Ordering::Relaxed);
            let db = db.with_options(TransactionOptions { most_losses: Some(2), ..Default::default() });
            let failure = &failure;
            let tried = db.transact("lose", |_| async move {
                if runs.fetch_add(1, Ordering::Relaxed) < 20 { Err(failure.clone()) } else { Ok(()) }
            });
            assert_eq!(tried.await.is_err(), expected == 3);
            assert_eq!(runs.load(Ordering::Relaxed), expected);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_store_that_does_not_answer_is_not_waited_for_forever() {
        let options = TransactionOptions { timeout: Duration::from_secs(1), ..Default::default() };
        let db = memory::database().with_options(options);
        let never = db.read("stall", |_| std::future::pending::<Result<(), Error>>());
        assert!(never.await.unwrap_err().is_retryable());
    }

    #[tokio::test(start_paused = true)]
    async fn a_store_out_of_reach_is_not_waited_for_except_by_who_holds_out() {
        let db = memory::database();
        let patient = db.with_options(TransactionOptions { holds_out: true, ..Default::default() });
        let never = |db: &Database| {
            let db = db.clone();
            async move { db.read("stall", |_| std::future::pending::<Result<(), Error>>()).await }
        };
        let (under_way, begun) = (tokio::spawn(never(&db)), tokio::time::Instant::now());
        tokio::task::yield_now().await;
        assert!(db.set_out_of_reach(true) && !db.set_out_of_reach(true));
        assert!(patient.is_out_of_reach());
        for failed in [under_way.await.unwrap(), never(&db).await] {
            assert_eq!(failed, Err(Error::unavailable(OUT_OF_REACH)));
        }
        assert_eq!(begun.elapsed(), Duration::ZERO);
        let get = |txn: Transaction| async move { txn.get(b"k").await };
        assert_eq!(patient.read("read", get).await, Ok(None));
        assert!(never(&patient).await.is_err() && begun.elapsed() >= Duration::from_secs(10));
        assert!(db.set_out_of_reach(false));
        assert_eq!(db.read("read", get).await, Ok(None));
    }

    #[tokio::test]
    async fn a_transaction_grows_old_by_the_clock() {
        let clock = Arc::new(ManualClock::new(Timestamp::EPOCH));
        let db = Database::new(Arc::new(Memory::new()), clock.clone(), Arc::new(SeededRng::new(1)));
        let txn = db.begin();
        txn.set(b"k", b"v");
        assert_eq!(txn.get(b"other").await, Ok(None));
        clock.advance(limits::TRANSACTION_TIME + Duration::from_millis(1));
        assert_eq!(txn.get(b"other").await, Err(Error::too_old()));
        assert_eq!(txn.commit().await, Err(Error::too_old()));
    }

    #[tokio::test]
    async fn what_passes_a_limit_fails_the_commit() {
        let db = memory::database();
        let long_key = db.transact("key", |txn| async move {
            txn.set(&[1; limits::KEY + 1], b"");
            txn.set(b"ok", &[0; limits::VALUE + 1]);
            Ok::<_, Error>(())
        });
        assert_eq!(long_key.await, Err(Error::limit(Limit::Key { bytes: limits::KEY + 1 })));
        let large = db.transact("large", |txn| async move {
            (0..101u8).for_each(|n| txn.set(&[n], &[0; limits::VALUE]));
            Ok::<_, Error>(())
        });
        assert!(large.await.unwrap_err().is_limit());
        let system = db.transact("system", |txn| async move {
            txn.add_conflict_key(ConflictKind::Write, b"\xff\xff");
            Ok::<_, Error>(())
        });
        assert_eq!(system.await, Err(Error::limit(Limit::SystemKey)));
    }

    #[tokio::test]
    async fn versions_tell_the_order_of_commits() {
        let db = memory::database();
        let write = || {
            db.transact_versioned("write", |txn| async move {
                txn.set(b"k", b"v");
                Ok::<_, Error>(())
            })
        };
        let read = db.transact_versioned("read", |txn| async move { txn.get(b"k").await });
        let ((), first) = write().await.unwrap();
        let ((), second) = write().await.unwrap();
        assert!(Versionstamp::ZERO < first && first < second);
        assert_eq!(read.await.unwrap().1, Versionstamp::ZERO);
    }

    #[tokio::test]
    async fn a_closed_store_refuses() {
        let db = memory::database();
        db.close().await.unwrap();
        let read = db.read("read", |txn| async move { txn.get(b"k").await });
        assert_eq!(read.await.unwrap_err().kind(), ErrorKind::Fatal);
    }
}
