//! Users who come again and again, each with a new connection: for how long a loss kept each of them from being served.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Between two visits.
const PAUSE: Duration = Duration::from_millis(500);

/// A visit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Visit {
    pub(crate) user: usize,
    pub(crate) begun: Instant,
    pub(crate) ended: Instant,
    /// What went wrong.
    pub(crate) failure: Option<String>,
}

/// Users at their visits.
pub(crate) struct Users {
    visits: Arc<Mutex<Vec<Visit>>>,
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Users {
    /// So many users who each visit so.
    pub(crate) fn start(
        count: usize,
        visit: impl Fn(usize) -> anyhow::Result<()> + Send + Sync + 'static,
    ) -> Self {
        let (visits, stop, visit) = (Arc::<Mutex<Vec<Visit>>>::default(), Arc::default(), Arc::new(visit));
        let user = |user| {
            let (visits, stop, visit) = (Arc::clone(&visits), Arc::clone(&stop), Arc::clone(&visit));
            std::thread::spawn(move || {
                let stop: &AtomicBool = &stop;
                while !stop.load(Ordering::Relaxed) {
                    let begun = Instant::now();
                    let failure = visit(user).err().map(|error| format!("{error:#}"));
                    let done = Visit { user, begun, ended: Instant::now(), failure };
                    visits.lock().unwrap_or_else(PoisonError::into_inner).push(done);
                    std::thread::sleep(PAUSE);
                }
            })
        };
        let threads = (0..count).map(user).collect();
        Users { visits, stop, threads }
    }

    /// All visits so far.
    pub(crate) fn visits(&self) -> Vec<Visit> {
        self.visits.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Ends them; returns all visits.
    pub(crate) fn stop(mut self) -> Vec<Visit> {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
        self.visits()
    }
}

/// How long after `from` each user was first served for good: until the end of the first visit that succeeded, and began
/// after the last one that failed within the span. `None` for who was not.
pub(crate) fn waits(visits: &[Visit], from: Instant, to: Instant) -> Vec<Option<Duration>> {
    let count = visits.iter().map(|visit| visit.user + 1).max().unwrap_or_default();
    (0..count)
        .map(|user| {
            let own = || visits.iter().filter(move |visit| visit.user == user && visit.ended >= from);
            let failed = own().filter(|visit| visit.failure.is_some() && visit.begun < to);
            let after = failed.map(|visit| visit.begun).max();
            let served =
                own().filter(|visit| visit.failure.is_none() && after.is_none_or(|at| visit.begun > at));
            served.map(|visit| visit.ended - from).min()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_ends_with_the_first_success_after_the_last_failure() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let visit = |user, begun, ended, ok: bool| Visit {
            user,
            begun: at(begun),
            ended: at(ended),
            failure: (!ok).then(|| "no".to_owned()),
        };
        let visits = [
            visit(0, 1, 2, true),
            visit(0, 3, 12, false),
            visit(0, 12, 13, true),
            visit(0, 14, 15, false),
            visit(0, 16, 18, true),
            visit(0, 40, 41, false),
            // Was made to wait, and nothing else.
            visit(1, 9, 17, true),
            visit(2, 9, 17, false),
        ];
        let found = waits(&visits, at(10), at(30));
        assert_eq!(found, [Some(8), Some(7), None].map(|wait| wait.map(Duration::from_secs)));
    }
}
