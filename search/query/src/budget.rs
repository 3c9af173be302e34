//! What a query may cost.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use runtime::SharedClock;

/// The most a query may cost before it ends with [`BudgetExceeded`].
#[derive(Debug, Clone, Copy)]
pub struct Budget {
    /// Bytes of messages read and decoded.
    pub bytes: u64,
    /// Time from begin to end.
    pub time: Duration,
}

impl Default for Budget {
    /// A gigabyte of mail, or half a minute.
    fn default() -> Self {
        Budget { bytes: 1 << 30, time: Duration::from_secs(30) }
    }
}

/// The query would have cost more than it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the search would cost too much; narrow it down")]
pub struct BudgetExceeded;

/// Work done between two pauses, in bytes; small steps count as [`STEP`] bytes at least.
const BETWEEN_PAUSES: u64 = 256 * 1024;
/// What looking at a row costs, in bytes.
const STEP: u64 = 256;

/// What reading a stored summary costs, in bytes: that of an ordinary message.
pub(crate) const SUMMARY: u64 = 512;

/// A budget being spent, by one or by several looks that go on at once.
pub struct Spending {
    budget: Budget,
    clock: SharedClock,
    began: Duration,
    spent: AtomicU64,
    since_pause: AtomicU64,
}

impl Spending {
    /// Begins to spend.
    pub fn new(budget: Budget, clock: SharedClock) -> Self {
        let began = clock.monotonic();
        Spending { budget, clock, began, spent: AtomicU64::new(0), since_pause: AtomicU64::new(0) }
    }

    /// Pays for `bytes` read; 0 for a look at a row. Lets other tasks run now and then.
    ///
    /// # Errors
    /// When the budget is used up.
    pub async fn pay(&self, bytes: u64) -> Result<(), BudgetExceeded> {
        let (step, relaxed) = (bytes.max(STEP), Ordering::Relaxed);
        if self.spent.fetch_add(bytes, relaxed).saturating_add(bytes) > self.budget.bytes {
            return Err(BudgetExceeded);
        }
        if self.since_pause.fetch_add(step, relaxed).saturating_add(step) >= BETWEEN_PAUSES {
            self.since_pause.store(0, relaxed);
            if self.clock.monotonic().saturating_sub(self.began) > self.budget.time {
                return Err(BudgetExceeded);
            }
            tokio::task::yield_now().await;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use runtime::{ManualClock, Timestamp};
    use std::sync::Arc;

    #[tokio::test]
    async fn bytes_and_time_end_it() {
        let clock = Arc::new(ManualClock::new(Timestamp(0)));
        let budget = Budget { bytes: 1 << 20, time: Duration::from_secs(5) };
        let spending = Spending::new(budget, clock.clone());
        for _ in 0..4 {
            spending.pay(1 << 18).await.unwrap();
        }
        assert_eq!(spending.pay(1).await, Err(BudgetExceeded));

        let spending = Spending::new(budget, clock.clone());
        clock.advance(Duration::from_secs(6));
        assert_eq!(spending.pay(1 << 18).await, Err(BudgetExceeded));
    }
}
