//! Waiting for a condition instead of for time.

use std::time::{Duration, Instant};

/// How long a condition may take before the test is called failed. Far above what any of them needs, so that a
/// loaded machine never decides a test.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Polls `probe` until it gives a value.
///
/// # Errors
/// When [`PATIENCE`] is over, with `what` and the last error of the probe.
pub fn until<T>(what: &str, mut probe: impl FnMut() -> anyhow::Result<Option<T>>) -> anyhow::Result<T> {
    let end = Instant::now() + PATIENCE;
    loop {
        let last = match probe() {
            Ok(Some(value)) => return Ok(value),
            Ok(None) => None,
            Err(error) => Some(error),
        };
        if Instant::now() > end {
            anyhow::bail!("waited in vain for {what} (last error: {last:?})");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}
