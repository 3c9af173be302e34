//! How often somebody may fail: the generic cell rate algorithm, with time passed in.
//!
//! For each subject one moment is kept: when its failures will be forgiven. A failure moves it on by the interval;
//! as long as it lies less than the burst's intervals ahead, more failures are allowed.
//!
//! Nodes of a cluster tell each other who has failed, under a key that they have in common: whoever guesses is let fail as often by all of
//! them together as by one.

use parking_lot::Mutex;
use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;
use tokio::sync::Notify;

/// Subjects remembered at a time; about 5 MB.
const SUBJECTS: usize = 100_000;

/// Failures of each kind that wait until others are told; what is more is counted here alone.
const UNTOLD: usize = 4_096;

/// Who has failed: a keyed hash.
pub type Name = [u8; 16];

/// Who has failed, each as often as there was a failure.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Failures {
    /// Client addresses.
    pub addresses: Vec<Name>,
    /// Login names.
    pub logins: Vec<Name>,
}

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
    counted: Mutex<Counted>,
    /// There is something to tell.
    news: Notify,
}

struct Counted {
    key: [u8; 32],
    forgiven: HashMap<Name, Duration>,
    /// Nothing where nobody has the key as well.
    untold: Option<Failures>,
}

impl Throttle {
    /// The key makes it impossible to choose login names that count for each other.
    pub(crate) fn new(key: [u8; 32]) -> Self {
        let counted = Counted { key, forgiven: HashMap::new(), untold: None };
        Throttle { counted: Mutex::new(counted), news: Notify::new() }
    }

    /// Takes a key that others have as well; what was counted is forgotten.
    pub(crate) fn share(&self, key: [u8; 32]) {
        *self.counted.lock() = Counted { key, forgiven: HashMap::new(), untold: Some(Failures::default()) };
    }

    /// Whether the subject may try.
    pub(crate) fn allows(&self, subject: Subject<'_>, allowance: Allowance, now: Duration) -> bool {
        let counted = self.counted.lock();
        let forgiven = counted.forgiven.get(&subject.name(&counted.key)).copied().unwrap_or_default();
        let debt = forgiven.saturating_sub(now);
        debt <= allowance.interval * allowance.burst.saturating_sub(1)
    }

    /// Notes a failure.
    pub(crate) fn charge(&self, subject: Subject<'_>, allowance: Allowance, now: Duration) {
        let mut counted = self.counted.lock();
        let name = subject.name(&counted.key);
        note(&mut counted.forgiven, name, allowance, now);
        let Some(untold) = &mut counted.untold else { return };
        let untold = match subject {
            Subject::Address(_) => &mut untold.addresses,
            Subject::Login(_) => &mut untold.logins,
        };
        if untold.len() < UNTOLD {
            untold.push(name);
            self.news.notify_one();
        }
    }

    /// Waits for failures that others have not been told of, and takes them.
    pub(crate) async fn failures(&self) -> Failures {
        loop {
            self.news.notified().await;
            let untold = self.counted.lock().untold.as_mut().map(std::mem::take).unwrap_or_default();
            if untold != Failures::default() {
                return untold;
            }
        }
    }

    /// Notes failures that others have seen, who have the same key.
    pub(crate) fn adopt(&self, names: &[Name], allowance: Allowance, now: Duration) {
        let mut counted = self.counted.lock();
        names.iter().for_each(|name| note(&mut counted.forgiven, *name, allowance, now));
    }
}

impl Subject<'_> {
    fn name(self, key: &[u8; 32]) -> Name {
        let mut hasher = blake3::Hasher::new_keyed(key);
        match self {
            Subject::Address(IpAddr::V4(address)) => hasher.update(b"4").update(&address.octets()),
            Subject::Address(IpAddr::V6(address)) => hasher.update(b"6").update(&address.octets()),
            Subject::Login(login) => hasher.update(b"l").update(login.to_lowercase().as_bytes()),
        };
        let mut name = [0; 16];
        hasher.finalize_xof().fill(&mut name);
        name
    }
}

fn note(all: &mut HashMap<Name, Duration>, name: Name, allowance: Allowance, now: Duration) {
    if all.len() >= SUBJECTS && !all.contains_key(&name) {
        make_room(all, now);
    }
    let forgiven = all.entry(name).or_default();
    // No debt beyond the burst: who stops guessing gets in again after one interval.
    let most = now + allowance.interval * allowance.burst;
    *forgiven = ((*forgiven).max(now) + allowance.interval).min(most);
}

/// Drops all that are forgiven; if that are few, the half that would be soonest.
fn make_room(all: &mut HashMap<Name, Duration>, now: Duration) {
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

    #[tokio::test]
    async fn what_others_have_seen_counts_and_is_not_told_again() {
        let (one, other) = (Throttle::new([1; 32]), Throttle::new([2; 32]));
        let (me, here) = (Subject::Login("me"), Subject::Address([4, 4, 4, 4].into()));
        one.charge(me, ALLOWANCE, seconds(0));
        for throttle in [&one, &other] {
            throttle.share([3; 32]);
        }
        for subject in [me, here, me] {
            one.charge(subject, ALLOWANCE, seconds(0));
        }
        let told = one.failures().await;
        assert_eq!(
            (told.logins.len(), told.addresses.len()),
            (2, 1),
            "what was before they had a key is forgotten"
        );
        other.adopt(&told.logins, ALLOWANCE, seconds(50));
        other.charge(me, ALLOWANCE, seconds(50));
        assert!(!other.allows(me, ALLOWANCE, seconds(50)));
        assert!(other.allows(here, Allowance { burst: 1, ..ALLOWANCE }, seconds(50)));
        assert_eq!(other.failures().await.logins.len(), 1);
    }

    #[tokio::test]
    async fn what_is_to_be_told_is_bounded() {
        let throttle = Throttle::new([1; 32]);
        throttle.share([3; 32]);
        (0..=UNTOLD).for_each(|_| throttle.charge(Subject::Login("me"), ALLOWANCE, seconds(0)));
        assert_eq!(throttle.failures().await.logins.len(), UNTOLD);
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
