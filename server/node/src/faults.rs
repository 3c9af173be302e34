//! Faults of the store on demand, in builds for drills only.
//!
//! `GODWIT_FAULTS` names a file with words as `seed=7 conflict=50 too_old=50 unavailable=50 unknown=50 read_ms=100`: chances in
//! 1,000 that a read or commit fails so, and how long each read takes. What is written to it later counts from then on.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use kv::Backend;
use kv::fault::{FaultBackend, Plan};
use runtime::SeededRng;

const VARIABLE: &str = "GODWIT_FAULTS";

/// Between two looks at the file.
const LOOK: Duration = Duration::from_millis(50);

/// The backend with the faults that the environment asks for.
pub(crate) fn wrap(backend: Arc<dyn Backend>) -> anyhow::Result<Arc<dyn Backend>> {
    let Some(path) = std::env::var_os(VARIABLE).map(PathBuf::from) else { return Ok(backend) };
    let mut text = read(&path)?;
    let (seed, plan, read_time) = parse(&text)?;
    let faulty = Arc::new(FaultBackend::new(backend, Arc::new(SeededRng::new(seed)), plan));
    faulty.set_read_time(read_time);
    let weak = Arc::downgrade(&faulty);
    std::thread::spawn(move || {
        while let Some(faulty) = weak.upgrade() {
            std::thread::sleep(LOOK);
            // Half of what is being written may be nonsense; the next look sees all of it.
            let new = read(&path).unwrap_or_default();
            if new != text
                && let Ok((_, plan, read_time)) = parse(&new)
            {
                faulty.set_plan(plan);
                faulty.set_read_time(read_time);
                text = new;
            }
        }
    });
    Ok(faulty)
}

fn read(path: &Path) -> anyhow::Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("{VARIABLE}: {}", path.display()))
}

fn parse(text: &str) -> anyhow::Result<(u64, Plan, Duration)> {
    let (mut seed, mut plan, mut read_time) = (0, Plan::NONE, Duration::ZERO);
    for word in text.split_whitespace() {
        let (name, value) = word.split_once('=').context("words are NAME=NUMBER")?;
        let number: u64 = value.parse()?;
        let chance = || u16::try_from(number).ok().filter(|chance| *chance <= 1000).context("up to 1000");
        match name {
            "seed" => seed = number,
            "read_ms" => read_time = Duration::from_millis(number),
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
    Ok((seed, plan, read_time))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_asked_for_by_name() {
        let (seed, plan, read_time) = parse("seed=7 unknown=50 too_old=10 read_ms=100").unwrap();
        assert_eq!((seed, plan.too_old, read_time), (7, 10, Duration::from_millis(100)));
        assert_eq!(plan.unknown_applied + plan.unknown_late + plan.unknown_dropped, 50);
        assert!(parse("earthquake=1").is_err() && parse("conflict=1001").is_err() && parse("seed").is_err());
    }
}
