//! No faster than the operator allows.

use parking_lot::Mutex;
use runtime::SharedClock;
use std::time::Duration;

/// A rate that all workers share.
pub(crate) struct Pace {
    /// Bytes a second.
    rate: Option<u64>,
    clock: SharedClock,
    /// When what was taken so far is paid for.
    paid: Mutex<Duration>,
}

impl Pace {
    pub(crate) fn new(rate: Option<u64>, clock: SharedClock) -> Self {
        Pace { rate: rate.filter(|rate| *rate > 0), clock, paid: Mutex::default() }
    }

    /// Takes so many bytes, and waits while those taken before are not paid for.
    pub(crate) async fn take(&self, bytes: u64) {
        let wait = self.reserve(bytes);
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
    }

    fn reserve(&self, bytes: u64) -> Duration {
        let Some(rate) = self.rate else { return Duration::ZERO };
        let (mut paid, now) = (self.paid.lock(), self.clock.monotonic());
        let from = now.max(*paid);
        *paid = from + Duration::from_secs_f64(bytes as f64 / rate as f64);
        from.saturating_sub(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use runtime::{ManualClock, Timestamp};
    use std::sync::Arc;

    #[test]
    fn bytes_are_paid_for_with_time() {
        let clock = Arc::new(ManualClock::new(Timestamp::EPOCH));
        let pace = Pace::new(Some(1_000), clock.clone());
        assert_eq!(pace.reserve(500), Duration::ZERO);
        assert_eq!(pace.reserve(2_000), Duration::from_millis(500));
        assert_eq!(pace.reserve(0), Duration::from_millis(2_500));
        clock.advance(Duration::from_secs(60));
        assert_eq!(pace.reserve(1), Duration::ZERO, "time that was not used is not saved up");
        assert_eq!(pace.reserve(1), Duration::from_millis(1));
        assert_eq!(Pace::new(None, clock).reserve(u64::MAX), Duration::ZERO);
    }
}
