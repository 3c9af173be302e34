//! Two signals, a notice before them, and a ledger of who is still busy.
//!
//! `notice` tells balancers that the end is near; clients are served as before. `drain` asks: take nothing new, finish what runs, say goodbye. `stop` tells: end now. Between the two the
//! ledger says whom we are still waiting for, by name.

use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// The signals and the ledger, as they are handed around.
#[derive(Clone, Debug, Default)]
pub struct Shutdown {
    /// The drain is near: whoever sends clients here is to send them elsewhere. Who comes is served all the same.
    pub notice: CancellationToken,
    /// Take no new work, finish what is under way, send clients away politely.
    pub drain: CancellationToken,
    /// End now. Always comes after `drain`.
    pub stop: CancellationToken,
    ledger: Ledger,
}

impl Shutdown {
    /// Nothing is ending yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Who is still busy.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Says that the drain is near.
    pub fn announce(&self) {
        self.notice.cancel();
    }

    /// Begins the drain.
    pub fn begin(&self) {
        self.notice.cancel();
        self.drain.cancel();
    }

    /// Whether the drain is near, or has begun.
    pub fn is_announced(&self) -> bool {
        self.notice.is_cancelled()
    }

    /// The same for one who is asked to drain at a moment of its own.
    #[must_use]
    pub fn with_drain(&self, drain: CancellationToken) -> Shutdown {
        Shutdown { drain, ..self.clone() }
    }

    /// Whether the drain has begun.
    pub fn is_draining(&self) -> bool {
        self.drain.is_cancelled()
    }

    /// Waits for the drain to begin, then for everybody to finish for at most `grace`, then stops those who are
    /// left and waits a moment for them. Returns the names of those who did not finish by themselves.
    pub async fn complete(&self, grace: Duration) -> Vec<(&'static str, usize)> {
        self.drain.cancelled().await;
        tokio::select! {
            () = self.ledger.idle() => {}
            () = self.stop.cancelled() => {}
            () = tokio::time::sleep(grace) => {}
        }
        let late = self.ledger.busy();
        self.stop.cancel();
        // What ignores `stop` is cut off with the process.
        let _ = tokio::time::timeout(STOP_GRACE, self.ledger.idle()).await;
        late
    }
}

/// How long those who are told to stop may take to drop what they hold.
const STOP_GRACE: Duration = Duration::from_secs(2);

/// Who is still busy, by name.
#[derive(Clone, Debug, Default)]
pub struct Ledger(Arc<Entries>);

#[derive(Debug, Default)]
struct Entries {
    busy: Mutex<BTreeMap<&'static str, usize>>,
    changed: Notify,
}

impl Ledger {
    /// Enters `name` as busy until the guard is dropped.
    pub fn guard(&self, name: &'static str) -> Guard {
        *self.0.busy.lock().entry(name).or_default() += 1;
        Guard { name, entries: Arc::clone(&self.0) }
    }

    /// The names that are busy and how many hold each.
    pub fn busy(&self) -> Vec<(&'static str, usize)> {
        self.0.busy.lock().iter().map(|(name, count)| (*name, *count)).collect()
    }

    /// How many guards there are under `name`.
    pub fn count(&self, name: &str) -> usize {
        self.0.busy.lock().get(name).copied().unwrap_or(0)
    }

    /// Resolves when nobody is busy.
    pub fn idle(&self) -> impl Future<Output = ()> + Send + use<> {
        let entries = Arc::clone(&self.0);
        async move {
            loop {
                let changed = entries.changed.notified();
                tokio::pin!(changed);
                // Listening starts before the look, so that a guard dropped in between is not missed.
                changed.as_mut().enable();
                if entries.busy.lock().is_empty() {
                    return;
                }
                changed.await;
            }
        }
    }
}

/// One who is busy. Dropping it says that he is done.
#[derive(Debug)]
pub struct Guard {
    name: &'static str,
    entries: Arc<Entries>,
}

impl Drop for Guard {
    fn drop(&mut self) {
        let mut busy = self.entries.busy.lock();
        if let Some(count) = busy.get_mut(self.name) {
            *count -= 1;
            if *count == 0 {
                busy.remove(self.name);
            }
        }
        if busy.is_empty() {
            self.entries.changed.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ledger_counts_by_name() {
        let ledger = Ledger::default();
        let a = ledger.guard("imap");
        let b = ledger.guard("imap");
        let c = ledger.guard("smtp");
        assert_eq!(ledger.busy(), [("imap", 2), ("smtp", 1)]);
        drop((a, c));
        assert_eq!(ledger.busy(), [("imap", 1)]);
        drop(b);
        assert!(ledger.busy().is_empty());
    }

    #[tokio::test]
    async fn drain_ends_when_the_last_one_is_done() {
        let shutdown = Shutdown::new();
        let guard = shutdown.ledger().guard("session");
        let waiting = tokio::spawn({
            let shutdown = shutdown.clone();
            async move { shutdown.complete(Duration::from_secs(3600)).await }
        });
        shutdown.begin();
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        drop(guard);
        assert!(waiting.await.unwrap().is_empty());
        assert!(shutdown.stop.is_cancelled());
    }

    #[tokio::test(start_paused = true)]
    async fn the_late_are_named_and_stopped() {
        let shutdown = Shutdown::new();
        let guard = shutdown.ledger().guard("stuck");
        shutdown.begin();
        assert_eq!(shutdown.complete(Duration::from_secs(1)).await, [("stuck", 1)]);
        assert!(shutdown.stop.is_cancelled());
        drop(guard);
    }
}
