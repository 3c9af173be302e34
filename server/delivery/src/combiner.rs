//! Many messages, few commits.
//!
//! Messages that wait are committed together, in one transaction of bounded count and size. There is no timer:
//! a lone message is committed at once, and while it is, others gather. Commits that touch disjoint accounts run
//! side by side; two messages for one account never do, so that 64 connections which deliver to one mailbox do
//! not conflict there, they queue here.
//!
//! A batch that loses to another transaction, or has something in it that cannot be committed, is done again in parts:
//! what goes to different accounts side by side, what goes to one account by halves, in order. So a message that cannot
//! be committed fails alone, and an account that others write to all the time holds up nobody else: parts do not count
//! among the commits that run at once. Where the store is away nothing is parted, and all hear of it.
//!
//! A message has so much time for its turn and its commit together. Whose turn does not come in it is told so: a sender that
//! hears 451 tries again, one that hears nothing for long does not know.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use parking_lot::Mutex;
use runtime::{Supervisor, TaskKind};
use schema::AccountId;
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::PATIENCE;

/// How much goes into one transaction, and how many transactions run at once.
#[derive(Debug, Clone, Copy)]
pub struct CombinerLimits {
    /// Messages of one transaction.
    pub messages: usize,
    /// Octets of one transaction, bodies and an allowance for rows included; one message may be larger. Well
    /// below the store's 10 MB.
    pub bytes: usize,
    /// Transactions at once.
    pub in_flight: usize,
    /// How long a message waits for its turn and its commit.
    pub patience: Duration,
}

impl Default for CombinerLimits {
    fn default() -> Self {
        Self { messages: 128, bytes: 4_000_000, in_flight: 4, patience: PATIENCE }
    }
}

/// What a batch is committed with, and for how long that is tried: outcomes in the order of the items, or an error for all of
/// them.
pub(crate) type Commit<T, R, E> =
    dyn Fn(Arc<Vec<T>>, Duration) -> BoxFuture<'static, Result<Vec<R>, E>> + Send + Sync;

/// What is to be known of errors.
pub(crate) struct Errors<E> {
    /// Whether after this error a part of the batch may go through.
    pub(crate) is_of_a_part: fn(&E) -> bool,
    /// What those are told whose turn did not come in time.
    pub(crate) late: fn() -> E,
}

/// Combines items into batches. A cheap handle.
pub(crate) struct Combiner<T, R, E>(Arc<Inner<T, R, E>>);

impl<T, R, E> Clone for Combiner<T, R, E> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

struct Inner<T, R, E> {
    limits: CombinerLimits,
    supervisor: Supervisor,
    commit: Box<Commit<T, R, E>>,
    errors: Errors<E>,
    state: Mutex<State<T, R, E>>,
}

struct State<T, R, E> {
    waiting: VecDeque<Job<T, R, E>>,
    /// Jobs that there were.
    numbered: u64,
    /// Accounts that a running commit touches.
    busy: HashSet<AccountId>,
    in_flight: usize,
}

struct Job<T, R, E> {
    number: u64,
    since: Instant,
    accounts: Vec<AccountId>,
    bytes: usize,
    item: T,
    outcome: oneshot::Sender<Result<R, Arc<E>>>,
}

impl<T, R, E> Combiner<T, R, E>
where
    T: Clone + Send + Sync + 'static,
    R: Send + 'static,
    E: Send + Sync + 'static,
{
    pub(crate) fn new(
        limits: CombinerLimits,
        supervisor: Supervisor,
        commit: Box<Commit<T, R, E>>,
        errors: Errors<E>,
    ) -> Self {
        let state = State { waiting: VecDeque::new(), numbered: 0, busy: HashSet::new(), in_flight: 0 };
        Self(Arc::new(Inner { limits, supervisor, commit, errors, state: Mutex::new(state) }))
    }

    /// Has an item committed. `None`: the commit was cut off (a panic, or the server stops), its outcome is unknown.
    pub(crate) async fn submit(
        &self,
        accounts: Vec<AccountId>,
        bytes: usize,
        item: T,
    ) -> Option<Result<R, Arc<E>>> {
        let (outcome, mut settled) = oneshot::channel();
        let since = Instant::now();
        let number = {
            let mut state = self.0.state.lock();
            let number = state.numbered;
            state.numbered += 1;
            state.waiting.push_back(Job { number, since, accounts, bytes, item, outcome });
            number
        };
        self.dispatch();
        tokio::select! {
            biased;
            outcome = &mut settled => return outcome.ok(),
            () = tokio::time::sleep_until(since + self.0.limits.patience) => {}
        }
        if self.withdraw(number) {
            return Some(Err(Arc::new((self.0.errors.late)())));
        }
        // Its commit has begun, and says soon what became of it.
        settled.await.ok()
    }

    /// Takes back a job whose turn has not come. Those who stood behind it for its accounts may go on.
    fn withdraw(&self, number: u64) -> bool {
        let mut state = self.0.state.lock();
        let Some(at) = state.waiting.iter().position(|job| job.number == number) else { return false };
        state.waiting.remove(at);
        drop(state);
        self.dispatch();
        true
    }

    /// Starts as many commits as may run.
    fn dispatch(&self) {
        loop {
            let batch = self.0.state.lock().next_batch(&self.0.limits);
            if batch.is_empty() {
                return;
            }
            metrics::histogram!("delivery_batch_messages").record(batch.len() as f64);
            let running = Running { combiner: self.clone(), accounts: accounts_of(&batch), counts: true };
            self.spawn(running, batch);
        }
    }

    fn spawn(&self, running: Running<T, R, E>, batch: Vec<Job<T, R, E>>) {
        let this = self.clone();
        self.0.supervisor.spawn(TaskKind::Background, "ingest", async move {
            this.settle(running, batch).await;
        });
    }

    /// Commits a batch, or parts of it until each of its jobs is settled.
    async fn settle(&self, mut running: Running<T, R, E>, batch: Vec<Job<T, R, E>>) {
        let mut rest = vec![batch];
        while let Some(batch) = rest.pop() {
            let Some(batch) = self.commit(batch).await else { continue };
            running.count_no_longer();
            let mut parts = by_account(batch);
            if let [whole] = parts.as_mut_slice() {
                let later = whole.split_off(whole.len() / 2);
                rest.extend([later, std::mem::take(whole)]);
                continue;
            }
            for part in parts {
                let part_runs = running.part(accounts_of(&part));
                self.spawn(part_runs, part);
            }
        }
    }

    /// Commits a batch; gives it back if it is to be done in parts.
    async fn commit(&self, batch: Vec<Job<T, R, E>>) -> Option<Vec<Job<T, R, E>>> {
        let now = Instant::now();
        let left = |job: &Job<T, R, E>| self.0.limits.patience.saturating_sub(now - job.since);
        let (batch, late): (Vec<_>, Vec<_>) = batch.into_iter().partition(|job| !left(job).is_zero());
        late.into_iter().for_each(|job| job.settle(Err(Arc::new((self.0.errors.late)()))));
        let left = batch.iter().map(left).min()?;
        let items: Arc<Vec<T>> = Arc::new(batch.iter().map(|job| job.item.clone()).collect());
        match (self.0.commit)(items, left).await {
            Ok(outcomes) => {
                for (job, outcome) in batch.into_iter().zip(outcomes) {
                    job.settle(Ok(outcome));
                }
                None
            }
            Err(error) if batch.len() > 1 && (self.0.errors.is_of_a_part)(&error) => {
                metrics::counter!("delivery_batches_parted_total").increment(1);
                Some(batch)
            }
            Err(error) => {
                let error = Arc::new(error);
                batch.into_iter().for_each(|job| job.settle(Err(Arc::clone(&error))));
                None
            }
        }
    }
}

impl<T, R, E> Job<T, R, E> {
    fn settle(self, outcome: Result<R, Arc<E>>) {
        // The item goes first: who waits may hold the last clone then. Who does not wait has hung up.
        drop(self.item);
        let _ = self.outcome.send(outcome);
    }
}

/// The accounts of a running commit; freed when it ends, however it ends.
struct Running<T, R, E>
where
    T: Clone + Send + Sync + 'static,
    R: Send + 'static,
    E: Send + Sync + 'static,
{
    combiner: Combiner<T, R, E>,
    accounts: Vec<AccountId>,
    /// Whether it is one of those that run at once.
    counts: bool,
}

impl<T, R, E> Running<T, R, E>
where
    T: Clone + Send + Sync + 'static,
    R: Send + 'static,
    E: Send + Sync + 'static,
{
    /// Lets another batch run: this one takes longer.
    fn count_no_longer(&mut self) {
        if std::mem::take(&mut self.counts) {
            self.combiner.0.state.lock().in_flight -= 1;
            self.combiner.dispatch();
        }
    }

    /// Gives some of its accounts to a part that runs on its own.
    fn part(&mut self, accounts: Vec<AccountId>) -> Self {
        self.accounts.retain(|account| !accounts.contains(account));
        Running { combiner: self.combiner.clone(), accounts, counts: false }
    }
}

impl<T, R, E> Drop for Running<T, R, E>
where
    T: Clone + Send + Sync + 'static,
    R: Send + 'static,
    E: Send + Sync + 'static,
{
    fn drop(&mut self) {
        let mut state = self.combiner.0.state.lock();
        state.in_flight -= usize::from(self.counts);
        for account in &self.accounts {
            state.busy.remove(account);
        }
        drop(state);
        if !self.combiner.0.supervisor.shutdown().stop.is_cancelled() {
            self.combiner.dispatch();
        }
    }
}

/// Jobs that have accounts in common, with their places in the batch.
struct Part<T, R, E> {
    accounts: HashSet<AccountId>,
    jobs: Vec<(usize, Job<T, R, E>)>,
}

impl<T, R, E> Part<T, R, E> {
    /// What has no account at all is one part, too.
    fn meets(&self, other: &Self) -> bool {
        !self.accounts.is_disjoint(&other.accounts) || (self.accounts.is_empty() && other.accounts.is_empty())
    }

    fn into_jobs(mut self) -> Vec<Job<T, R, E>> {
        self.jobs.sort_unstable_by_key(|(place, _)| *place);
        self.jobs.into_iter().map(|(_, job)| job).collect()
    }
}

/// The parts of a batch that have no account in common, each in order.
fn by_account<T, R, E>(batch: Vec<Job<T, R, E>>) -> Vec<Vec<Job<T, R, E>>> {
    let mut parts: Vec<Part<T, R, E>> = Vec::new();
    for numbered in batch.into_iter().enumerate() {
        let accounts = numbered.1.accounts.iter().copied().collect();
        let mut new = Part { accounts, jobs: vec![numbered] };
        let (same, others): (Vec<_>, Vec<_>) = parts.into_iter().partition(|part| part.meets(&new));
        for part in same {
            new.accounts.extend(part.accounts);
            new.jobs.extend(part.jobs);
        }
        parts = others;
        parts.push(new);
    }
    parts.into_iter().map(Part::into_jobs).collect()
}

fn accounts_of<T, R, E>(batch: &[Job<T, R, E>]) -> Vec<AccountId> {
    batch.iter().flat_map(|job| job.accounts.iter().copied()).collect()
}

impl<T, R, E> State<T, R, E> {
    /// Takes the oldest jobs that may run now. A job whose account is busy waits, and with it all later jobs for
    /// any of its accounts, so that each account's messages keep their order.
    fn next_batch(&mut self, limits: &CombinerLimits) -> Vec<Job<T, R, E>> {
        let mut batch: Vec<Job<T, R, E>> = Vec::new();
        if self.in_flight >= limits.in_flight {
            return batch;
        }
        let (mut bytes, mut blocked, mut kept) = (0, HashSet::new(), VecDeque::new());
        while let Some(job) = self.waiting.pop_front() {
            let full =
                batch.len() >= limits.messages || (!batch.is_empty() && bytes + job.bytes > limits.bytes);
            let held = |account: &AccountId| self.busy.contains(account) || blocked.contains(account);
            if full || job.accounts.iter().any(held) {
                blocked.extend(job.accounts.iter().copied());
                kept.push_back(job);
                if full {
                    break;
                }
                continue;
            }
            bytes += job.bytes;
            batch.push(job);
        }
        kept.append(&mut self.waiting);
        self.waiting = kept;
        if !batch.is_empty() {
            self.in_flight += 1;
            self.busy.extend(accounts_of(&batch));
        }
        batch
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;
    use runtime::Shutdown;
    use tokio::sync::Semaphore;

    /// Commits wait for a permit each, and note what they had.
    struct Fixture {
        combiner: Combiner<u32, u32, String>,
        gate: Arc<Semaphore>,
        batches: Arc<Mutex<Vec<Vec<u32>>>>,
    }

    fn fixture(limits: CombinerLimits) -> Fixture {
        let (gate, batches) = (Arc::new(Semaphore::new(0)), Arc::new(Mutex::new(Vec::new())));
        let (inner_gate, inner_batches) = (Arc::clone(&gate), Arc::clone(&batches));
        let commit: Box<Commit<u32, u32, String>> = Box::new(move |items, _| {
            let (gate, batches) = (Arc::clone(&inner_gate), Arc::clone(&inner_batches));
            async move {
                batches.lock().push(items.to_vec());
                gate.acquire().await.unwrap().forget();
                if items.contains(&666) {
                    return Err("cannot be".to_owned());
                }
                if items.contains(&503) {
                    return Err("away".to_owned());
                }
                assert!(!items.contains(&999), "a bug");
                Ok(items.iter().map(|item| item * 2).collect())
            }
            .boxed()
        });
        let errors = Errors { is_of_a_part: |error: &String| error != "away", late: || "late".to_owned() };
        let combiner = Combiner::new(limits, Supervisor::new(Shutdown::new()), commit, errors);
        Fixture { combiner, gate, batches }
    }

    impl Fixture {
        /// Submits items, each for one account, and lets the tasks run as far as they can.
        async fn submit(
            &self,
            jobs: &[(u32, u32)],
        ) -> Vec<tokio::task::JoinHandle<Option<Result<u32, Arc<String>>>>> {
            let mut handles = Vec::new();
            for (item, account) in jobs.iter().copied() {
                let combiner = self.combiner.clone();
                handles.push(tokio::spawn(async move {
                    combiner.submit(vec![AccountId(account)], 100, item).await
                }));
                self.settle().await;
            }
            handles
        }

        async fn settle(&self) {
            for _ in 0..20 {
                tokio::task::yield_now().await;
            }
        }

        fn batches(&self) -> Vec<Vec<u32>> {
            self.batches.lock().clone()
        }
    }

    #[tokio::test]
    async fn what_waits_goes_together_and_in_order() {
        let fixture = fixture(CombinerLimits { in_flight: 1, ..CombinerLimits::default() });
        let handles = fixture.submit(&[(1, 7), (2, 7), (3, 8), (4, 7)]).await;
        assert_eq!(fixture.batches(), [vec![1]], "the first does not wait");
        fixture.gate.add_permits(2);
        for (handle, expected) in handles.into_iter().zip([2, 4, 6, 8]) {
            assert_eq!(handle.await.unwrap(), Some(Ok(expected)));
        }
        assert_eq!(fixture.batches(), [vec![1], vec![2, 3, 4]]);
    }

    #[tokio::test]
    async fn only_disjoint_accounts_run_side_by_side() {
        let fixture = fixture(CombinerLimits { in_flight: 2, ..CombinerLimits::default() });
        let handles = fixture.submit(&[(1, 7), (2, 7), (3, 8), (4, 9), (5, 8)]).await;
        assert_eq!(fixture.batches(), [vec![1], vec![3]]);
        fixture.gate.add_permits(10);
        for handle in handles {
            handle.await.unwrap().unwrap().unwrap();
        }
        let batches = fixture.batches();
        let position = |item| batches.iter().position(|batch| batch.contains(&item)).unwrap();
        assert!(position(2) > position(1) && position(5) > position(3));
    }

    #[tokio::test]
    async fn batches_are_bounded() {
        let fixture =
            fixture(CombinerLimits { in_flight: 1, messages: 3, bytes: 250, ..CombinerLimits::default() });
        let handles = fixture.submit(&[(0, 1), (1, 1), (2, 1), (3, 1), (4, 1)]).await;
        fixture.gate.add_permits(10);
        for handle in handles {
            handle.await.unwrap();
        }
        assert_eq!(fixture.batches(), [vec![0], vec![1, 2], vec![3, 4]]);
    }

    #[tokio::test]
    async fn who_fails_fails_alone() {
        let fixture = fixture(CombinerLimits { in_flight: 1, ..CombinerLimits::default() });
        let handles = fixture.submit(&[(1, 1), (2, 2), (666, 3), (3, 4), (4, 3), (5, 3)]).await;
        fixture.gate.add_permits(100);
        let outcomes = futures::future::join_all(handles).await;
        let outcomes: Vec<_> = outcomes.into_iter().map(|outcome| outcome.unwrap().unwrap().ok()).collect();
        assert_eq!(outcomes, [Some(2), Some(4), None, Some(6), Some(8), Some(10)]);
        let mut batches = fixture.batches();
        assert_eq!(batches[..2], [vec![1], vec![2, 666, 3, 4, 5]]);
        batches[2..].sort();
        assert_eq!(batches[2..], [vec![2], vec![3], vec![4, 5], vec![666], vec![666, 4, 5]]);
    }

    #[tokio::test]
    async fn a_part_that_takes_long_holds_up_nobody_else() {
        let fixture = fixture(CombinerLimits { in_flight: 1, ..CombinerLimits::default() });
        let mut handles = fixture.submit(&[(1, 1), (2, 2), (666, 3)]).await;
        // The first, the batch, and one of its two parts.
        fixture.gate.add_permits(2);
        fixture.settle().await;
        handles.extend(fixture.submit(&[(4, 4), (5, 3)]).await);
        assert_eq!(fixture.batches().last(), Some(&vec![4]), "runs beside the parts");
        fixture.gate.add_permits(10);
        for (handle, done) in handles.into_iter().zip([true, true, false, true, true]) {
            assert_eq!(handle.await.unwrap().unwrap().is_ok(), done);
        }
    }

    #[tokio::test]
    async fn nothing_is_parted_while_the_store_is_away() {
        let fixture = fixture(CombinerLimits { in_flight: 1, ..CombinerLimits::default() });
        let handles = fixture.submit(&[(1, 1), (2, 2), (503, 3), (3, 2)]).await;
        fixture.gate.add_permits(10);
        for (handle, done) in handles.into_iter().zip([true, false, false, false]) {
            assert_eq!(handle.await.unwrap().unwrap().is_ok(), done);
        }
        assert_eq!(fixture.batches(), [vec![1], vec![2, 503, 3]]);
    }

    #[tokio::test(start_paused = true)]
    async fn whose_turn_does_not_come_is_told_so() {
        let fixture = fixture(CombinerLimits { in_flight: 1, ..CombinerLimits::default() });
        let mut handles = fixture.submit(&[(1, 1)]).await;
        tokio::time::advance(PATIENCE / 2).await;
        handles.extend(fixture.submit(&[(2, 1), (3, 2)]).await);
        // The clock goes on by itself, since nobody has anything to do.
        for handle in handles.drain(1..) {
            assert_eq!(handle.await.unwrap(), Some(Err(Arc::new("late".to_owned()))));
        }
        fixture.gate.add_permits(10);
        assert_eq!(handles.pop().unwrap().await.unwrap(), Some(Ok(2)), "its commit had begun");
        assert_eq!(fixture.batches(), [vec![1]]);
    }

    /// What failed as a part of a batch is not begun again when its time is over.
    #[tokio::test(start_paused = true)]
    async fn parts_are_not_begun_too_late() {
        let fixture = fixture(CombinerLimits { in_flight: 1, ..CombinerLimits::default() });
        let handles = fixture.submit(&[(1, 1), (2, 2), (666, 3)]).await;
        fixture.gate.add_permits(1);
        fixture.settle().await;
        tokio::time::advance(PATIENCE).await;
        fixture.gate.add_permits(10);
        let outcomes = futures::future::join_all(handles).await;
        let late = Some(Err(Arc::new("late".to_owned())));
        assert_eq!(
            outcomes.into_iter().map(Result::unwrap).collect::<Vec<_>>(),
            [Some(Ok(2)), late.clone(), late]
        );
        assert_eq!(fixture.batches(), [vec![1], vec![2, 666]]);
    }

    #[tokio::test(start_paused = true)]
    async fn parts_have_no_account_in_common() {
        let job = |item: u32, accounts: &[u32]| Job::<u32, (), ()> {
            number: 0,
            since: Instant::now(),
            accounts: accounts.iter().copied().map(AccountId).collect(),
            bytes: 0,
            item,
            outcome: oneshot::channel().0,
        };
        let batch = vec![
            job(0, &[]),
            job(1, &[1]),
            job(2, &[2]),
            job(3, &[3]),
            job(4, &[2, 1]),
            job(5, &[]),
            job(6, &[1]),
        ];
        let parts: Vec<Vec<u32>> = by_account(batch)
            .into_iter()
            .map(|part| part.into_iter().map(|job| job.item).collect())
            .collect();
        assert_eq!(parts, [vec![3], vec![0, 5], vec![1, 2, 4, 6]]);
    }

    #[tokio::test]
    async fn a_panic_frees_its_accounts() {
        let fixture = fixture(CombinerLimits { in_flight: 1, ..CombinerLimits::default() });
        let handles = fixture.submit(&[(999, 1), (1, 1)]).await;
        fixture.gate.add_permits(10);
        let outcomes = futures::future::join_all(handles).await;
        let outcomes: Vec<_> = outcomes.into_iter().map(|outcome| outcome.unwrap()).collect();
        assert_eq!(outcomes, [None, Some(Ok(2))]);
    }
}
