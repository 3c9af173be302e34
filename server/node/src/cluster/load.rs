//! How busy a node is: the share of its processors' time that the process has had lately, in thousandths.
//!
//! That is what work costs here, and it is there for the asking. A peak of some seconds is no reason to move work about:
//! what is told is smoothed over about 20 s. Other processes of the machine do not count; who runs some gives the node
//! a smaller `cluster.capacity`.

use std::time::Duration;

use parking_lot::Mutex;
use rustix::time::{ClockId, clock_gettime};

/// Between two measurements.
pub(super) const PAUSE: Duration = Duration::from_secs(5);

/// Of the smoothed load, how many parts of four are what it was.
const KEPT: u64 = 3;

/// What was measured last.
pub(super) struct Load {
    cores: u64,
    last: Mutex<Last>,
}

#[derive(Clone, Copy)]
struct Last {
    processor: Duration,
    at: Duration,
    load: u64,
}

impl Load {
    /// Measures from `at` on, in monotonic time.
    pub(super) fn new(at: Duration) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get() as u64);
        Load { cores, last: Mutex::new(Last { processor: processor_time(), at, load: 0 }) }
    }

    /// The load by now.
    pub(super) fn measure(&self, at: Duration) -> u32 {
        let mut last = self.last.lock();
        *last = last.next(processor_time(), at, self.cores);
        u32::try_from(last.load).unwrap_or(u32::MAX)
    }
}

impl Last {
    fn next(self, processor: Duration, at: Duration, cores: u64) -> Last {
        let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let passed = micros(at.saturating_sub(self.at)).saturating_mul(cores);
        if passed == 0 {
            return self;
        }
        let used = micros(processor.saturating_sub(self.processor));
        let share = (used.saturating_mul(1000) / passed).min(1000);
        // Rounded to the nearest, or a full load would never be reached.
        Last { processor, at, load: (self.load * KEPT + share + 2) / (KEPT + 1) }
    }
}

/// The processors' time that this process has had in all.
fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    let (secs, nanos) = (u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0));
    Duration::new(secs, nanos)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: Last = Last { processor: Duration::ZERO, at: Duration::ZERO, load: 0 };

    /// Four cores, of which so many thousandths are used for so many measurements.
    fn after(mut last: Last, thousandths: u32, times: u32) -> Last {
        for _ in 0..times {
            last = last.next(last.processor + PAUSE * 4 * thousandths / 1000, last.at + PAUSE, 4);
        }
        last
    }

    #[test]
    fn a_peak_counts_little_and_a_lasting_load_fully() {
        assert_eq!(after(NONE, 1000, 1).load, 250);
        let busy = after(NONE, 1000, 20);
        assert!(busy.load >= 995, "{}", busy.load);
        assert!((480..=520).contains(&after(busy, 500, 20).load));
        assert!(after(busy, 0, 20).load <= 5);
    }

    #[test]
    fn no_time_is_no_load() {
        assert_eq!(NONE.next(Duration::from_secs(1), Duration::ZERO, 4).load, 0);
        let load = Load::new(Duration::ZERO);
        assert!(load.measure(Duration::from_secs(3600)) <= 1000);
        assert!(processor_time() > Duration::ZERO);
    }
}
