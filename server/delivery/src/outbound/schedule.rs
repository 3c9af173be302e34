//! When the next attempt is made.

use std::time::Duration;

use runtime::Rng;

/// How often and how long a message is tried.
///
/// RFC 5321 §4.5.4.1: the interval "SHOULD be at least 30 minutes" after the first attempts, and the give-up
/// time "generally needs to be at least 4-5 days".
#[derive(Debug, Clone)]
pub struct Schedule {
    /// The wait after the first attempt, the second, and so on; the last stays.
    pub waits: Vec<Duration>,
    /// When a message that could not be sent goes back.
    pub expires: Duration,
    /// When its sender is told that it takes long, if he asked (RFC 3461 §4.1 DELAY) or said nothing.
    pub delay_notice: Duration,
}

impl Default for Schedule {
    fn default() -> Self {
        let minutes = [1, 5, 15, 30, 60, 120, 240];
        Self {
            waits: minutes.map(|m| Duration::from_secs(m * 60)).to_vec(),
            expires: Duration::from_secs(5 * 86_400),
            delay_notice: Duration::from_secs(4 * 3600),
        }
    }
}

impl Schedule {
    /// For `godwit dev`: the first retry comes after 2 s.
    #[must_use]
    pub fn development() -> Self {
        let seconds = [2, 5, 10, 30, 60];
        Self { waits: seconds.map(Duration::from_secs).to_vec(), ..Self::default() }
    }

    /// The wait after `attempts` attempts, at least one. Up to an eighth is added at random, so that messages
    /// that failed together do not all come back together.
    #[must_use]
    pub fn wait(&self, attempts: u32, rng: &dyn Rng) -> Duration {
        let last = self.waits.len().saturating_sub(1);
        let index = usize::try_from(attempts.saturating_sub(1)).unwrap_or(last).min(last);
        let wait = self.waits.get(index).copied().unwrap_or(Duration::from_secs(1800));
        let spread = u64::try_from(wait.as_millis() / 8).unwrap_or(0);
        wait + Duration::from_millis(rng.below(spread + 1))
    }

    /// How long a destination is left alone that was unreachable so many times: as long as a message that failed as
    /// often, but not so long that mail for one that is back waits for hours.
    #[must_use]
    pub fn outage(&self, failures: u32, rng: &dyn Rng) -> Duration {
        self.wait(failures, rng).min(OUTAGE)
    }
}

/// The longest that a destination is left alone.
const OUTAGE: Duration = Duration::from_secs(1800);

#[cfg(test)]
mod tests {
    use super::*;
    use runtime::SeededRng;

    #[test]
    fn waits_grow_and_stay() {
        let (schedule, rng) = (Schedule::development(), SeededRng::new(1));
        for (attempts, seconds) in [(0, 2), (1, 2), (2, 5), (5, 60), (100, 60)] {
            let wait = schedule.wait(attempts, &rng);
            let least = Duration::from_secs(seconds);
            assert!(wait >= least && wait <= least + least / 8, "{attempts}: {wait:?}");
        }
        assert_eq!(Schedule::default().outage(100, &rng), OUTAGE);
        let empty = Schedule { waits: Vec::new(), ..schedule };
        assert!(empty.wait(1, &rng) >= Duration::from_secs(1800));
    }
}
