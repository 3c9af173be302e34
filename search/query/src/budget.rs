//! What a query may cost.

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

/// A budget being spent.
pub struct Spending {
    budget: Budget,
    clock: SharedClock,
    began: Duration,
    spent: u64,
    since_pause: u64,
}

impl Spending {
    /// Begins to spend.
    pub fn new(budget: Budget, clock: SharedClock) -> Self {
        let began = clock.monotonic();
        Spending { budget, clock, began, spent: 0, since_pause: 0 }
    }

    /// Pays for `bytes` read; 0 for a look at a row. Lets other tasks run now and then.
    ///
    /// # Errors
    /// When the budget is used up.
    pub async fn pay(&mut self, bytes: u64) -> Result<(), BudgetExceeded> {
        self.spent += bytes;
        self.since_pause += bytes.max(STEP);
        if self.spent > self.budget.bytes {
            return Err(BudgetExceeded);
        }
        if self.since_pause >= BETWEEN_PAUSES {
            self.since_pause = 0;
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
        let mut spending = Spending::new(budget, clock.clone());
        for _ in 0..4 {
            spending.pay(1 << 18).await.unwrap();
        }
        assert_eq!(spending.pay(1).await, Err(BudgetExceeded));

        let mut spending = Spending::new(budget, clock.clone());
        clock.advance(Duration::from_secs(6));
        assert_eq!(spending.pay(1 << 18).await, Err(BudgetExceeded));
    }
}
