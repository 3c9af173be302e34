//! How many requests are under way: on the whole, and to each service.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Requests under way.
const ALL: usize = 512;
/// To one service.
const EACH: usize = 64;
/// After so many services were added, those that nobody calls are forgotten.
const SWEEP: usize = 1_024;

/// The places.
pub(crate) struct Places {
    all: Arc<Semaphore>,
    each: Mutex<HashMap<String, Weak<Semaphore>>>,
}

/// A request that may be under way.
pub(crate) struct Place {
    _all: OwnedSemaphorePermit,
    _own: OwnedSemaphorePermit,
    _service: Arc<Semaphore>,
}

impl Default for Places {
    fn default() -> Self {
        Places { all: Arc::new(Semaphore::new(ALL)), each: Mutex::default() }
    }
}

impl Places {
    /// Waits for one. Who waits for a service that is silent holds no place of others.
    pub(crate) async fn enter(&self, service: &str) -> Option<Place> {
        let semaphore = self.service(service);
        // Semaphores are never closed.
        let own = Arc::clone(&semaphore).acquire_owned().await.ok()?;
        let all = Arc::clone(&self.all).acquire_owned().await.ok()?;
        Some(Place { _all: all, _own: own, _service: semaphore })
    }

    fn service(&self, service: &str) -> Arc<Semaphore> {
        let mut each = self.each.lock();
        if let Some(known) = each.get(service).and_then(Weak::upgrade) {
            return known;
        }
        if each.len() % SWEEP == SWEEP - 1 {
            each.retain(|_, semaphore| semaphore.strong_count() > 0);
        }
        let new = Arc::new(Semaphore::new(EACH));
        each.insert(service.to_owned(), Arc::downgrade(&new));
        new
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;

    #[tokio::test]
    async fn a_silent_service_holds_only_its_own() {
        let places = Places::default();
        let mut held = Vec::new();
        for _ in 0..EACH {
            held.push(places.enter("https://silent").await.unwrap());
        }
        // What this task has taken counts against what it may take at once.
        tokio::task::yield_now().await;
        assert!(places.enter("https://silent").now_or_never().is_none());
        assert!(places.enter("https://other").now_or_never().is_some());
        held.pop();
        assert!(places.enter("https://silent").now_or_never().is_some());
    }

    #[tokio::test]
    async fn services_that_nobody_calls_are_forgotten() {
        let places = Places::default();
        for n in 0..5_000 {
            places.enter(&n.to_string()).await.unwrap();
        }
        assert!(places.each.lock().len() <= SWEEP);
    }
}
