//! How often somebody may fail: the generic cell rate algorithm, with time passed in.
//!
//! For each subject one moment is kept: when its failures will be forgiven. A failure moves it on by the interval;
//! as long as it lies less than the burst's intervals ahead, more failures are allowed.

use parking_lot::Mutex;
use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

/// Subjects remembered at a time; about 5 MB.
const SUBJECTS: usize = 100_000;

/// How many failures are allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowance {
    /// At once.
    pub burst: u32,
    /// One is forgiven each time this has passed.
    pub interval: Duration,
}

/// Whose failures are counted.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Subject<'a> {
    Address(IpAddr),
    /// Case does not matter.
    Login(&'a str),
}

pub(crate) struct Throttle {
    key: [u8; 32],
    forgiven: Mutex<HashMap<[u8; 16], Duration>>,
}

impl Throttle {
    /// The key makes it impossible to choose login names that count for each other.
    pub(crate) fn new(key: [u8; 32]) -> Self {
        Throttle { key, forgiven: Mutex::default() }
    }

    /// Whether the subject may try.
    pub(crate) fn allows(&self, subject: Subject<'_>, allowance: Allowance, now: Duration) -> bool {
        let forgiven = self.forgiven.lock().get(&self.name(subject)).copied().unwrap_or_default();
        let debt = forgiven.saturating_sub(now);
        debt <= allowance.interval * allowance.burst.saturating_sub(1)
    }

    /// Notes a failure.
    pub(crate) fn charge(&self, subject: Subject<'_>, allowance: Allowance, now: Duration) {
        let name = self.name(subject);
        let mut all = self.forgiven.lock();
        if all.len() >= SUBJECTS && !all.contains_key(&name) {
            make_room(&mut all, now);
        }
        let forgiven = all.entry(name).or_default();
        // No debt beyond the burst: who stops guessing gets in again after one interval.
        let most = now + allowance.interval * allowance.burst;
        *forgiven = ((*forgiven).max(now) + allowance.interval).min(most);
    }

    fn name(&self, subject: Subject<'_>) -> [u8; 16] {
        let mut hasher = blake3::Hasher::new_keyed(&self.key);
        match subject {
            Subject::Address(IpAddr::V4(address)) => hasher.update(b"4").update(&address.octets()),
            Subject::Address(IpAddr::V6(address)) => hasher.update(b"6").update(&address.octets()),
            Subject::Login(login) => hasher.update(b"l").update(login.to_lowercase().as_bytes()),
        };
        let mut name = [0; 16];
        hasher.finalize_xof().fill(&mut name);
        name
    }
}

/// Drops all that are forgiven; if that are few, the half that would be soonest.
fn make_room(all: &mut HashMap<[u8; 16], Duration>, now: Duration) {
    all.retain(|_, forgiven| *forgiven > now);
    if all.len() > SUBJECTS / 2 {
        let mut times: Vec<Duration> = all.values().copied().collect();
        let (_, median, _) = times.select_nth_unstable(all.len() / 2);
        let median = *median;
        let mut excess = all.len() / 2;
        all.retain(|_, forgiven| {
            let goes = *forgiven <= median && excess > 0;
            excess -= usize::from(goes);
            !goes
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALLOWANCE: Allowance = Allowance { burst: 3, interval: Duration::from_secs(10) };

    fn seconds(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    #[test]
    fn a_burst_and_then_one_per_interval() {
        let throttle = Throttle::new([1; 32]);
        let me = Subject::Login("me");
        for _ in 0..3 {
            assert!(throttle.allows(me, ALLOWANCE, seconds(100)));
            throttle.charge(me, ALLOWANCE, seconds(100));
        }
        assert!(!throttle.allows(me, ALLOWANCE, seconds(100)));
        assert!(!throttle.allows(me, ALLOWANCE, seconds(109)));
        assert!(throttle.allows(me, ALLOWANCE, seconds(110)));
        throttle.charge(me, ALLOWANCE, seconds(110));
        assert!(!throttle.allows(me, ALLOWANCE, seconds(110)));
        assert!(throttle.allows(me, ALLOWANCE, seconds(1000)));
    }

    #[test]
    fn debt_is_bounded() {
        let throttle = Throttle::new([1; 32]);
        let me = Subject::Login("me");
        (0..100).for_each(|_| throttle.charge(me, ALLOWANCE, seconds(0)));
        assert!(throttle.allows(me, ALLOWANCE, seconds(10)));
    }

    #[test]
    fn subjects_are_told_apart() {
        let throttle = Throttle::new([1; 32]);
        let once = Allowance { burst: 1, ..ALLOWANCE };
        throttle.charge(Subject::Login("Me"), once, seconds(0));
        assert!(!throttle.allows(Subject::Login("mE"), once, seconds(0)));
        assert!(throttle.allows(Subject::Login("you"), once, seconds(0)));
        assert!(throttle.allows(Subject::Address([4, 4, 4, 4].into()), once, seconds(0)));
    }

    #[test]
    fn memory_is_bounded() {
        let mut all = HashMap::new();
        for n in 0..SUBJECTS as u128 {
            all.insert(n.to_le_bytes(), seconds(if n % 4 == 0 { 0 } else { 50 }));
        }
        make_room(&mut all, seconds(1));
        assert!(all.len() <= SUBJECTS / 2 + 1 && !all.is_empty(), "{}", all.len());
    }
}
