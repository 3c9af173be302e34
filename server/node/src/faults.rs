//! Faults of the store and of the clock on demand, in builds for drills only.
//!
//! `GODWIT_FAULTS` names a file with words as `seed=7 conflict=50 too_old=50 unavailable=50 unknown=50 read_ms=100
//! clock_s=-3600`: chances in 1,000 that a read or commit fails so, how long each read takes, and by how much the wall clock is
//! wrong. What is written to it later counts from then on.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use anyhow::{Context, bail};
use kv::Backend;
use kv::fault::{FaultBackend, Plan};
use runtime::{Clock, SeededRng, SharedClock, SystemClock, Timestamp};

const VARIABLE: &str = "GODWIT_FAULTS";

/// Between two looks at the file.
const LOOK: Duration = Duration::from_millis(50);

/// What is asked for.
#[derive(Debug, Clone)]
struct Faults {
    seed: u64,
    plan: Plan,
    read_time: Duration,
    /// Milliseconds.
    clock: i64,
}

/// The backend with the faults that the environment asks for.
pub(crate) fn wrap(backend: Arc<dyn Backend>) -> anyhow::Result<Arc<dyn Backend>> {
    let Some(path) = std::env::var_os(VARIABLE).map(PathBuf::from) else { return Ok(backend) };
    let faults = parse(&read(&path)?)?;
    let faulty = Arc::new(FaultBackend::new(backend, Arc::new(SeededRng::new(faults.seed)), faults.plan));
    faulty.set_read_time(faults.read_time);
    let weak = Arc::downgrade(&faulty);
    follow(path, move |faults| {
        let Some(faulty) = weak.upgrade() else { return false };
        faulty.set_plan(faults.plan);
        faulty.set_read_time(faults.read_time);
        true
    });
    Ok(faulty)
}

/// The system's clock, wrong by as much as the environment asks for. Its monotonic time is right: no step changes that.
pub(crate) fn clock() -> SharedClock {
    let Some(path) = std::env::var_os(VARIABLE).map(PathBuf::from) else { return SystemClock::shared() };
    let wrong = Arc::new(AtomicI64::new(0));
    let weak = Arc::downgrade(&wrong);
    follow(path, move |faults| {
        weak.upgrade().map(|wrong| wrong.store(faults.clock, Ordering::Relaxed)).is_some()
    });
    Arc::new(WrongClock { right: SystemClock::new(), wrong })
}

struct WrongClock {
    right: SystemClock,
    wrong: Arc<AtomicI64>,
}

impl Clock for WrongClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.right.now().millis().saturating_add(self.wrong.load(Ordering::Relaxed)))
    }

    fn monotonic(&self) -> Duration {
        self.right.monotonic()
    }
}

/// Tells of what the file asks for, whenever that has changed, until nobody wants to know.
fn follow(path: PathBuf, told: impl Fn(&Faults) -> bool + Send + 'static) {
    std::thread::spawn(move || {
        let mut text = String::new();
        loop {
            // Half of what is being written may be nonsense; the next look sees all of it.
            let new = read(&path).unwrap_or_default();
            if new != text
                && let Ok(faults) = parse(&new)
            {
                if !told(&faults) {
                    return;
                }
                text = new;
            }
            std::thread::sleep(LOOK);
        }
    });
}

fn read(path: &Path) -> anyhow::Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("{VARIABLE}: {}", path.display()))
}

fn parse(text: &str) -> anyhow::Result<Faults> {
    let mut faults = Faults { seed: 0, plan: Plan::NONE, read_time: Duration::ZERO, clock: 0 };
    let plan = &mut faults.plan;
    for word in text.split_whitespace() {
        let (name, value) = word.split_once('=').context("words are NAME=NUMBER")?;
        if name == "clock_s" {
            faults.clock = value.parse::<i32>().map(|seconds| i64::from(seconds) * 1000)?;
            continue;
        }
        let number: u64 = value.parse()?;
        let chance = || u16::try_from(number).ok().filter(|chance| *chance <= 1000).context("up to 1000");
        match name {
            "seed" => faults.seed = number,
            "read_ms" => faults.read_time = Duration::from_millis(number),
            "conflict" => plan.conflict = chance()?,
            "too_old" => plan.too_old = chance()?,
            "unavailable" => plan.unavailable = chance()?,
            "unknown" => {
                // Applied at once, applied later, never applied.
                let third = chance()? / 3;
                (plan.unknown_applied, plan.unknown_late) = (third, third);
                plan.unknown_dropped = chance()? - 2 * third;
            }
            _ => bail!("no fault is called {name:?}"),
        }
    }
    Ok(faults)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_asked_for_by_name() {
        let Faults { seed, plan, read_time, clock } =
            parse("seed=7 unknown=50 too_old=10 read_ms=100 clock_s=-3600").unwrap();
        assert_eq!((seed, plan.too_old, read_time), (7, 10, Duration::from_millis(100)));
        assert_eq!(clock, -3_600_000);
        assert_eq!(plan.unknown_applied + plan.unknown_late + plan.unknown_dropped, 50);
        assert!(parse("earthquake=1").is_err() && parse("conflict=1001").is_err() && parse("seed").is_err());
    }
}
