//! Where passwords are hashed: few at a time, in order of arrival, off the async workers.

use accounts::{PasswordHash, Secret};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::Semaphore;

pub(crate) struct Pool {
    /// First come, first served.
    turns: Arc<Semaphore>,
    patience: Duration,
    verified: AtomicU64,
}

impl Pool {
    pub(crate) fn new(hashers: usize, patience: Duration) -> Self {
        let turns = Arc::new(Semaphore::new(hashers.max(1)));
        Pool { turns, patience, verified: AtomicU64::new(0) }
    }

    /// Whether the password is the hash's; nothing if the turn did not come in time. When it comes, `known` is asked first, and what was
    /// right is remembered before the turn goes on to the next: of many who come back at once with one password, one is hashed.
    pub(crate) async fn verify(
        &self,
        hash: PasswordHash,
        password: Secret,
        known: impl FnOnce() -> bool,
        remember: impl FnOnce(),
    ) -> Option<bool> {
        let turn = tokio::time::timeout(self.patience, Arc::clone(&self.turns).acquire_owned());
        let turn = turn.await.ok()?.ok()?;
        if known() {
            return Some(true);
        }
        self.verified.fetch_add(1, Ordering::Relaxed);
        // The turn goes with the work: held until that is done, also if nobody waits for it any more.
        let work = tokio::task::spawn_blocking(move || (hash.verify(&password), turn));
        let (right, _turn) = work.await.ok()?;
        if right {
            remember();
        }
        Some(right)
    }

    /// How many passwords were verified so far.
    #[cfg(test)]
    pub(crate) fn verified(&self) -> u64 {
        self.verified.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use accounts::HashCost;
    use runtime::SeededRng;

    fn hash() -> PasswordHash {
        PasswordHash::new(&Secret::new("secret"), HashCost::CHEAP, &SeededRng::new(1)).unwrap()
    }

    #[tokio::test]
    async fn all_get_their_turn() {
        let pool = Pool::new(1, Duration::from_secs(60));
        let one = async |password: &str| pool.verify(hash(), Secret::new(password), || false, || {}).await;
        let all = futures::future::join3(one("secret"), one("wrong"), one("secret")).await;
        assert_eq!(all, (Some(true), Some(false), Some(true)));
        assert_eq!(pool.verified(), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn who_would_wait_too_long_is_sent_away() {
        let pool = Pool::new(1, Duration::from_secs(1));
        let taken = Arc::clone(&pool.turns).acquire_owned().await.unwrap();
        let verify = || pool.verify(hash(), Secret::new("secret"), || false, || {});
        assert_eq!(verify().await, None);
        drop(taken);
        assert_eq!(verify().await, Some(true));
    }
}
