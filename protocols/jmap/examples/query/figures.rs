//! Time and memory of this process.

use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

/// How long something took, and what all threads of the process had of a processor meanwhile.
pub(crate) struct Took {
    pub(crate) wall: Duration,
    cpu: Duration,
}

pub(crate) struct Watch {
    begun: Instant,
    cpu: Duration,
}

impl Watch {
    pub(crate) fn start() -> Watch {
        Watch { begun: Instant::now(), cpu: cpu() }
    }

    pub(crate) fn stop(&self) -> Took {
        Took { wall: self.begun.elapsed(), cpu: cpu().saturating_sub(self.cpu) }
    }
}

fn cpu() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ProcessCPUTime)).unwrap()
}

pub(crate) fn print(name: &str, times: Vec<Took>) {
    let (wall, cpu): (Vec<_>, Vec<_>) = times.into_iter().map(|took| (took.wall, took.cpu)).unzip();
    println!("{name:58} {}  {}", shares(wall), shares(cpu));
}

fn shares(mut times: Vec<Duration>) -> String {
    times.sort_unstable();
    let at = |share: usize| times[(times.len() * share / 100).min(times.len() - 1)].as_secs_f64() * 1_000.0;
    format!("{:6.2} ms {:6.2} ms {:6.2} ms", at(50), at(99), at(100))
}

/// Memory of this process, in MiB.
pub(crate) fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok()).unwrap_or_default()
        / 1_024
}
