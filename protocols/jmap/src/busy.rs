//! Who has how many requests under way (RFC 8620 §2: `maxConcurrentRequests`, `maxConcurrentUpload`), on this node.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use schema::AccountId;

/// Counts of what is under way, by user.
pub(crate) struct Busy {
    pub(crate) requests: Arc<Count>,
    pub(crate) uploads: Arc<Count>,
}

impl Busy {
    pub(crate) fn new(requests: usize, uploads: usize) -> Self {
        Busy { requests: Count::new(requests), uploads: Count::new(uploads) }
    }
}

/// What may be under way for each user.
pub(crate) struct Count {
    most: usize,
    counts: Mutex<HashMap<AccountId, usize>>,
}

impl Count {
    pub(crate) fn new(most: usize) -> Arc<Self> {
        Arc::new(Count { most, counts: Mutex::default() })
    }

    /// A place for one more; none if there are too many.
    pub(crate) fn enter(self: &Arc<Self>, user: AccountId) -> Option<Place> {
        let mut counts = self.counts.lock();
        let count = counts.entry(user).or_default();
        if *count >= self.most {
            return None;
        }
        *count += 1;
        Some(Place { count: Arc::clone(self), user })
    }
}

/// A place, given back when it is dropped.
pub(crate) struct Place {
    count: Arc<Count>,
    user: AccountId,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.count.counts.lock();
        if let Some(count) = counts.get_mut(&self.user) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.user);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_given_back() {
        let busy = Busy::new(1, 1);
        let place = busy.requests.enter(AccountId(1)).unwrap();
        assert!(busy.requests.enter(AccountId(1)).is_none());
        assert!(busy.requests.enter(AccountId(2)).is_some() && busy.uploads.enter(AccountId(1)).is_some());
        drop(place);
        assert!(busy.requests.enter(AccountId(1)).is_some());
        assert!(busy.requests.counts.lock().is_empty());
    }
}
