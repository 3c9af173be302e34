//! Time, memory and bytes of this process.

use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

/// Wall and CPU time from some moment on, of all threads.
#[derive(Clone, Copy)]
pub(crate) struct Watch {
    begun: Instant,
    cpu: Duration,
}

/// How long something took.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Took {
    pub(crate) wall: Duration,
    pub(crate) cpu: Duration,
}

impl Watch {
    pub(crate) fn start() -> Watch {
        Watch { begun: Instant::now(), cpu: cpu() }
    }

    pub(crate) fn stop(self) -> Took {
        Took { wall: self.begun.elapsed(), cpu: cpu().saturating_sub(self.cpu) }
    }
}

fn cpu() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ProcessCPUTime)).unwrap()
}

/// p50, p99 and the longest in milliseconds, as cells of a table.
pub(crate) fn cells(mut times: Vec<Duration>) -> String {
    times.sort_unstable();
    let at =
        |share: usize| times.get(times.len().saturating_sub(1) * share / 100).copied().unwrap_or_default();
    let ms = |share| at(share).as_secs_f64() * 1e3;
    format!("{:.2} | {:.2} | {:.2}", ms(50), ms(99), ms(100))
}

/// A figure of `/proc/self/status` in megabytes: `VmRSS` is what is resident, `VmHWM` the most that was.
pub(crate) fn memory(name: &str) -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok()).unwrap_or_default() / 1e3
}

/// Bytes that were read by calls of the system so far, from the disk or from its cache.
pub(crate) fn read() -> u64 {
    let io = std::fs::read_to_string("/proc/self/io").unwrap();
    io.lines().find_map(|line| line.strip_prefix("rchar: ")?.parse().ok()).unwrap_or_default()
}
