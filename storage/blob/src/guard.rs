//! What stands before an object store that is reached over a network: a deadline for each operation, circuit breakers
//! that say no at once while the store is away, and metrics.
//!
//! Writing has a breaker of its own: a store may take nothing and still give, and then what is there can be read, and a
//! reading says nothing of the next write.
//!
//! ```text
//! closed ── TRIP failures in a row ──▶ open ── after the pause ──▶ one operation may try ── succeeds ──▶ closed
//!                                       ▲                                        │
//!                                       └────────── fails: twice the pause ──────┘
//! ```

use crate::{Error, ObjectName, Objects, Pending};
use bytes::Bytes;
use futures::future::{BoxFuture, FutureExt};
use parking_lot::Mutex;
use runtime::SharedClock;
use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

/// Failures in a row, each after its own retries, that open the breaker.
const TRIP: u32 = 3;
/// The first pause.
const PAUSE: Duration = Duration::from_secs(1);
/// The longest.
const LONGEST_PAUSE: Duration = Duration::from_secs(15);
/// Within so many times the limit of a request a range is read or a name deleted, with all retries.
const READ: u32 = 4;
/// Within which an object is written or a shard listed: less than SMTP clients wait for the answer to the final dot (RFC 5321
/// §4.5.3.2.6: 10 minutes).
const WRITE: Duration = Duration::from_secs(300);

/// An object store behind breakers.
pub(crate) struct Guarded<O> {
    objects: O,
    /// One request.
    timeout: Duration,
    writing: Arc<Breaker>,
    reading: Arc<Breaker>,
}

impl<O: Objects> Guarded<O> {
    pub(crate) fn new(objects: O, timeout: Duration, clock: &SharedClock) -> Self {
        let breaker = |of| Arc::new(Breaker { of, clock: Arc::clone(clock), state: Mutex::default() });
        Guarded { objects, timeout, writing: breaker("writing"), reading: breaker("reading") }
    }

    async fn run<T>(
        &self,
        operation: &'static str,
        (breaker, limit): (&Arc<Breaker>, Duration),
        work: BoxFuture<'_, Result<T, Error>>,
    ) -> Result<T, Error> {
        let admitted = breaker.admit().inspect_err(|_| count(operation, "refused"))?;
        let start = breaker.clock.monotonic();
        let result = tokio::time::timeout(limit, work).await.unwrap_or_else(|_| {
            let source = io::Error::new(io::ErrorKind::TimedOut, "the object store took too long");
            Err(Error::Io { action: operation, object: "object".to_owned(), source })
        });
        let took = breaker.clock.monotonic().saturating_sub(start);
        metrics::histogram!("blob_operation_seconds", "operation" => operation).record(took.as_secs_f64());
        // That there is no such object is an answer like any other.
        let answered = result.as_ref().err().is_none_or(|error| error.is_absent() || !error.is_io());
        count(operation, if result.is_ok() { "ok" } else { "failed" });
        admitted.done(if answered { None } else { result.as_ref().err() });
        result
    }
}

fn count(operation: &'static str, outcome: &'static str) {
    metrics::counter!("blob_operations_total", "operation" => operation, "outcome" => outcome).increment(1);
}

impl<O: Objects> Objects for Guarded<O> {
    fn put<'a>(&'a self, name: &'a ObjectName, bytes: Pending) -> BoxFuture<'a, Result<(), Error>> {
        self.run("put", (&self.writing, WRITE), self.objects.put(name, bytes)).boxed()
    }

    fn get<'a>(&'a self, name: &'a ObjectName, range: Range<u64>) -> BoxFuture<'a, Result<Bytes, Error>> {
        self.run("get", (&self.reading, self.timeout * READ), self.objects.get(name, range)).boxed()
    }

    fn delete<'a>(&'a self, name: &'a ObjectName) -> BoxFuture<'a, Result<(), Error>> {
        self.run("delete", (&self.writing, self.timeout * READ), self.objects.delete(name)).boxed()
    }

    fn list(&self, shard: u8) -> BoxFuture<'_, Result<Vec<ObjectName>, Error>> {
        self.run("list", (&self.reading, WRITE), self.objects.list(shard)).boxed()
    }

    fn ahead(&self) -> usize {
        self.objects.ahead()
    }

    fn trouble(&self) -> Option<String> {
        [&self.writing, &self.reading].into_iter().find_map(|breaker| {
            let state = breaker.state.lock();
            state.open.map(|_| format!("{}: {}", breaker.of, state.reason))
        })
    }
}

struct Breaker {
    /// What it is before, in a word.
    of: &'static str,
    clock: SharedClock,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// In a row.
    failures: u32,
    /// While it is open: until when, and how long this pause is.
    open: Option<(Duration, Duration)>,
    /// One operation is trying whether the store is back.
    trying: bool,
    /// What the last failure was.
    reason: String,
}

/// The right to one operation.
struct Admitted {
    breaker: Arc<Breaker>,
    trying: bool,
}

impl Breaker {
    fn admit(self: &Arc<Self>) -> Result<Admitted, Error> {
        let mut state = self.state.lock();
        let trying = match state.open {
            None => false,
            Some((until, _)) if state.trying || self.clock.monotonic() < until => {
                return Err(Error::Unavailable);
            }
            Some(_) => true,
        };
        state.trying |= trying;
        Ok(Admitted { breaker: Arc::clone(self), trying })
    }

    fn succeeded(&self) {
        let mut state = self.state.lock();
        if state.open.is_some() {
            tracing::info!(of = self.of, "the object store answers again");
            metrics::gauge!("blob_store_away", "of" => self.of).set(0.0);
        }
        *state = State::default();
    }

    fn failed(&self, trying: bool, error: &Error) {
        let mut state = self.state.lock();
        state.reason = error.to_string();
        state.failures = state.failures.saturating_add(1);
        let pause = match state.open {
            Some((_, pause)) if trying => (pause * 2).min(LONGEST_PAUSE),
            // Those that were under way when it opened say nothing new.
            Some(_) => return,
            None if state.failures < TRIP => return,
            None => {
                tracing::warn!(%error, of = self.of, "the object store does not answer; larger bodies wait");
                metrics::gauge!("blob_store_away", "of" => self.of).set(1.0);
                PAUSE
            }
        };
        state.open = Some((self.clock.monotonic() + pause, pause));
    }
}

impl Admitted {
    fn done(self, failure: Option<&Error>) {
        match failure {
            None => self.breaker.succeeded(),
            Some(error) => self.breaker.failed(self.trying, error),
        }
    }
}

impl Drop for Admitted {
    /// Also when the operation was given up by whoever wanted it: another may try then.
    fn drop(&mut self) {
        if self.trying {
            self.breaker.state.lock().trying = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::MemoryObjects;
    use runtime::{ManualClock, Timestamp};
    use schema::BlobHash;
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

    /// Objects that can be away or never answer.
    #[derive(Default)]
    struct Moody {
        objects: MemoryObjects,
        away: AtomicBool,
        silent: AtomicBool,
        asked: AtomicUsize,
    }

    impl Moody {
        async fn mood(&self) -> Result<(), Error> {
            self.asked.fetch_add(1, Ordering::Relaxed);
            if self.silent.load(Ordering::Relaxed) {
                std::future::pending::<()>().await;
            }
            let source = io::ErrorKind::ConnectionRefused.into();
            let error = Error::Io { action: "ask", object: String::new(), source };
            if self.away.load(Ordering::Relaxed) { Err(error) } else { Ok(()) }
        }
    }

    impl Objects for Arc<Moody> {
        fn put<'a>(&'a self, name: &'a ObjectName, bytes: Pending) -> BoxFuture<'a, Result<(), Error>> {
            async move {
                self.mood().await?;
                self.objects.put(name, bytes).await
            }
            .boxed()
        }

        fn get<'a>(&'a self, name: &'a ObjectName, range: Range<u64>) -> BoxFuture<'a, Result<Bytes, Error>> {
            async move {
                self.mood().await?;
                self.objects.get(name, range).await
            }
            .boxed()
        }

        fn delete<'a>(&'a self, name: &'a ObjectName) -> BoxFuture<'a, Result<(), Error>> {
            self.objects.delete(name)
        }

        fn list(&self, shard: u8) -> BoxFuture<'_, Result<Vec<ObjectName>, Error>> {
            self.objects.list(shard)
        }
    }

    const NAME: ObjectName = ObjectName { hash: BlobHash([1; 32]), staged: Timestamp(1), nonce: 1 };

    struct World {
        moody: Arc<Moody>,
        guarded: Guarded<Arc<Moody>>,
        clock: Arc<ManualClock>,
    }

    fn world() -> World {
        let (moody, clock) = (Arc::new(Moody::default()), Arc::new(ManualClock::new(Timestamp(0))));
        let guarded =
            Guarded::new(Arc::clone(&moody), Duration::from_secs(1), &(clock.clone() as SharedClock));
        World { moody, guarded, clock }
    }

    impl World {
        async fn get(&self) -> Result<Bytes, Error> {
            self.guarded.get(&NAME, 0..1).await
        }

        fn asked(&self) -> usize {
            self.moody.asked.swap(0, Ordering::Relaxed)
        }
    }

    #[tokio::test]
    async fn it_opens_after_failures_in_a_row_and_one_operation_tries() {
        let world = world();
        world.guarded.put(&NAME, Pending::Memory(Bytes::from_static(b"x"))).await.unwrap();
        world.moody.away.store(true, Ordering::Relaxed);
        for _ in 0..TRIP {
            assert!(matches!(world.get().await, Err(Error::Io { .. })));
        }
        world.asked();
        assert!(matches!(world.get().await, Err(Error::Unavailable)));
        assert_eq!(world.asked(), 0, "it is not even asked");
        world.clock.advance(PAUSE);
        assert!(matches!(world.get().await, Err(Error::Io { .. })));
        world.clock.advance(PAUSE);
        assert!(matches!(world.get().await, Err(Error::Unavailable)), "the pause is twice as long now");
        world.clock.advance(PAUSE);
        world.moody.away.store(false, Ordering::Relaxed);
        assert_eq!(world.get().await.unwrap(), "x");
        assert_eq!(world.get().await.unwrap(), "x");
    }

    #[tokio::test]
    async fn what_cannot_be_written_can_be_read() {
        let world = world();
        let put = || world.guarded.put(&NAME, Pending::Memory(Bytes::from_static(b"x")));
        put().await.unwrap();
        world.moody.away.store(true, Ordering::Relaxed);
        for _ in 0..TRIP {
            put().await.unwrap_err();
        }
        world.moody.away.store(false, Ordering::Relaxed);
        assert_eq!(world.get().await.unwrap(), "x");
        assert!(matches!(put().await, Err(Error::Unavailable)), "a reading says nothing of it");
        assert!(world.guarded.trouble().is_some());
        world.clock.advance(PAUSE);
        put().await.unwrap();
        assert_eq!(world.guarded.trouble(), None);
    }

    #[tokio::test]
    async fn what_is_not_there_is_an_answer() {
        let world = world();
        for _ in 0..2 * TRIP {
            assert!(world.get().await.unwrap_err().is_absent());
        }
        assert_eq!(world.asked(), 2 * TRIP as usize);
    }

    #[tokio::test(start_paused = true)]
    async fn silence_is_failure() {
        let world = world();
        world.moody.silent.store(true, Ordering::Relaxed);
        for _ in 0..TRIP {
            let error = world.get().await.unwrap_err();
            assert!(error.to_string().contains("too long"), "{error}");
        }
        assert!(matches!(world.get().await, Err(Error::Unavailable)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_try_that_is_given_up_lets_another_try() {
        let world = world();
        world.moody.away.store(true, Ordering::Relaxed);
        for _ in 0..TRIP {
            world.get().await.unwrap_err();
        }
        world.clock.advance(PAUSE);
        world.moody.silent.store(true, Ordering::Relaxed);
        assert!(tokio::time::timeout(Duration::from_secs(1), world.get()).await.is_err());
        world.moody.silent.store(false, Ordering::Relaxed);
        assert!(matches!(world.get().await, Err(Error::Io { .. })), "it was let through");
    }
}
