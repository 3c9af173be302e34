//! Metrics of the process itself, read from /proc when they are asked for. Names are Prometheus' conventions.

use metrics::{describe_gauge, gauge};

/// Clock ticks a second, as Linux shows them to user space whatever its own rate.
const TICKS: f64 = 100.0;

/// Says what they are.
pub(crate) fn describe() {
    describe_gauge!("process_resident_memory_bytes", "resident memory of the process");
    describe_gauge!("process_open_fds", "open file descriptors");
    describe_gauge!("process_cpu_seconds_total", "user and system time used");
    describe_gauge!("process_threads", "threads");
}

/// Reads them; what cannot be read is left as it was.
pub(crate) fn observe() {
    if let Ok(entries) = std::fs::read_dir("/proc/self/fd") {
        gauge!("process_open_fds").set(entries.count() as f64);
    }
    if let Ok(status) = std::fs::read_to_string("/proc/self/status") {
        if let Some(kib) = field(&status, "VmRSS:") {
            gauge!("process_resident_memory_bytes").set(kib * 1024.0);
        }
        if let Some(threads) = field(&status, "Threads:") {
            gauge!("process_threads").set(threads);
        }
    }
    if let Some(ticks) = std::fs::read_to_string("/proc/self/stat").ok().and_then(|stat| cpu_ticks(&stat)) {
        gauge!("process_cpu_seconds_total").set(ticks / TICKS);
    }
}

fn field(status: &str, name: &str) -> Option<f64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

/// User and system ticks: fields 14 and 15 of proc(5), counted behind the name in parentheses.
fn cpu_ticks(stat: &str) -> Option<f64> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut times = fields.split_whitespace().skip(11).take(2);
    let (user, system): (f64, f64) = (times.next()?.parse().ok()?, times.next()?.parse().ok()?);
    Some(user + system)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proc_files_are_read() {
        assert_eq!(field("Name:\tx\nVmRSS:\t  12 kB\nThreads:\t3\n", "VmRSS:"), Some(12.0));
        assert_eq!(field("", "VmRSS:"), None);
        let stat = "1 (a b) c) S 1 1 1 0 -1 0 1 2 3 4 250 50 0 0 20 0 3 0";
        assert_eq!(cpu_ticks(stat), Some(300.0));
        assert_eq!(cpu_ticks("nonsense"), None);
    }
}
