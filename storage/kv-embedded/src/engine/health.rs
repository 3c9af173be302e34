//! Whether the engine can go on.

use crate::Error;
use parking_lot::RwLock;
use std::fmt;
use std::sync::Arc;

/// What becomes of the process when the store can no longer know what is on disk.
#[derive(Clone)]
pub struct Fatality(Arc<dyn Fn(&str) + Send + Sync>);

impl Fatality {
    /// The process ends at once: the next start recovers what was acknowledged.
    pub fn abort() -> Self {
        Fatality(Arc::new(|_| std::process::abort()))
    }

    /// `then` is called, and the store refuses everything from then on.
    pub fn call(then: impl Fn(&str) + Send + Sync + 'static) -> Self {
        Fatality(Arc::new(then))
    }
}

impl fmt::Debug for Fatality {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Fatality")
    }
}

/// Set once, never reset.
#[derive(Debug)]
pub(crate) struct Health {
    stopped: RwLock<Option<Error>>,
    fatality: Fatality,
}

impl Health {
    pub(crate) fn new(fatality: Fatality) -> Self {
        Health { stopped: RwLock::new(None), fatality }
    }

    /// Fails if the engine has stopped.
    pub(crate) fn check(&self) -> Result<(), Error> {
        self.stopped.read().clone().map_or(Ok(()), Err)
    }

    /// Refuses everything from now on, without alarm.
    pub(crate) fn close(&self) {
        self.stopped.write().get_or_insert(Error::Closed);
    }

    /// Stops for good because of `cause`.
    pub(crate) fn stop(&self, cause: &Error) -> Error {
        let why: Arc<str> = cause.to_string().into();
        let stopped = Error::Stopped(why.clone());
        let first = {
            let mut state = self.stopped.write();
            let first = !matches!(*state, Some(Error::Stopped(_)));
            *state = Some(stopped.clone());
            first
        };
        if first {
            tracing::error!(cause = %why, "the store has stopped and the process must end");
            (self.fatality.0)(&why);
        }
        stopped
    }
}

/// Held by a thread without which the engine cannot go on: stops the engine if the thread panics.
#[derive(Debug)]
pub(crate) struct Alarm(pub(crate) Arc<Health>);

impl Drop for Alarm {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.stop(&Error::Stopped("a thread of the store has panicked".into()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[test]
    fn stopping_alarms_once_and_lasts() {
        let calls = Arc::new(AtomicUsize::new(0));
        let seen = calls.clone();
        let health = Health::new(Fatality::call(move |why| {
            assert!(why.contains("fsync"));
            seen.fetch_add(1, Ordering::Relaxed);
        }));
        assert!(health.check().is_ok());
        let cause = Error::io("fsync of the log")(std::io::Error::other("EIO"));
        health.stop(&cause);
        health.stop(&cause);
        health.close();
        assert!(matches!(health.check(), Err(Error::Stopped(_))));
        assert_eq!(calls.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn a_panic_stops_the_engine() {
        let health = Arc::new(Health::new(Fatality::call(|_| {})));
        let alarm = Alarm(health.clone());
        let thread = std::thread::spawn(move || {
            let _alarm = alarm;
            panic!("as a test");
        });
        assert!(thread.join().is_err());
        assert!(matches!(health.check(), Err(Error::Stopped(_))));
    }
}
