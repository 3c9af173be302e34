//! What a slot knows of the destinations it has entries for: which answer, which do not, and how many attempts each
//! may have at once.
//!
//! The first attempt finds out whether a destination answers, and has no company until it has. One that answers gets
//! more. One that does not is left alone for a while, longer with each time: its entries are put off without an
//! attempt. Nothing of this outlives the process.

use std::collections::HashMap;
use std::time::Duration;

use runtime::Timestamp;

use super::failure::Failure;

/// Attempts at a time for a destination that answers.
pub(super) const EACH: usize = 4;

/// What an attempt found out about its destination.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Seen {
    /// A server spoke, or there is none and will be none.
    Answered,
    /// No server could be reached, or it was lost.
    Unreachable(Failure),
    /// Nothing: it was not spoken to.
    Nothing,
}

/// What may be done with an entry of a destination.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Way {
    /// An attempt.
    Open,
    /// It is to wait, as long as this lasts.
    Closed(Outage),
}

/// A destination that does not answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Outage {
    /// When it is to be attempted again.
    pub(super) until: Timestamp,
    /// What happened the last time.
    pub(super) failure: Failure,
    failures: u32,
}

#[derive(Debug, Default)]
struct Destination {
    running: usize,
    answers: bool,
    outage: Option<Outage>,
}

/// The destinations of a slot.
#[derive(Debug, Default)]
pub(super) struct Destinations(HashMap<String, Destination>);

impl Destinations {
    /// Takes a place for an entry, if there is one; [`Destinations::ended`] gives it back.
    pub(super) fn take(&mut self, domain: &str, now: Timestamp) -> Option<Way> {
        let destination = match self.0.get_mut(domain) {
            Some(known) => known,
            None => self.0.entry(domain.to_owned()).or_default(),
        };
        let outage = destination.outage.clone().filter(|outage| now < outage.until);
        // Putting off needs no connection.
        let places = if destination.answers || outage.is_some() { EACH } else { 1 };
        if destination.running >= places {
            return None;
        }
        destination.running += 1;
        Some(outage.map_or(Way::Open, Way::Closed))
    }

    /// Gives back the place, and notes what was found out. `wait` says how long to leave a destination alone that
    /// was unreachable so many times.
    pub(super) fn ended(
        &mut self,
        domain: &str,
        seen: Seen,
        now: Timestamp,
        wait: impl FnOnce(u32) -> Duration,
    ) {
        let Some(destination) = self.0.get_mut(domain) else { return };
        destination.running = destination.running.saturating_sub(1);
        match seen {
            Seen::Nothing => {}
            Seen::Answered => (destination.answers, destination.outage) = (true, None),
            Seen::Unreachable(failure) => {
                destination.answers = false;
                let failures = match &destination.outage {
                    // Others were under way when the first failed: they say the same once more.
                    Some(outage) if now < outage.until => return,
                    Some(outage) => outage.failures.saturating_add(1),
                    None => 1,
                };
                destination.outage = Some(Outage { until: now + wait(failures), failure, failures });
            }
        }
    }

    /// Forgets those that nothing waits for, and whose outage was over before `since`.
    pub(super) fn forget(&mut self, since: Timestamp, waiting: impl Fn(&str) -> bool) {
        let lasts = |destination: &Destination| {
            destination.running > 0 || destination.outage.as_ref().is_some_and(|outage| outage.until > since)
        };
        self.0.retain(|domain, destination| lasts(destination) || waiting(domain));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use smtp_proto::Enhanced;

    const START: Timestamp = Timestamp::from_secs(1_000);

    fn at(seconds: u64) -> Timestamp {
        START + Duration::from_secs(seconds)
    }

    fn unreachable() -> Seen {
        Seen::Unreachable(Failure::transient(Enhanced::new(4, 4, 1), "no answer"))
    }

    /// Ten seconds for each time.
    fn wait(failures: u32) -> Duration {
        Duration::from_secs(10 * u64::from(failures))
    }

    fn places(destinations: &mut Destinations, domain: &str, now: Timestamp) -> usize {
        let mut taken = 0;
        while destinations.take(domain, now).is_some() {
            taken += 1;
        }
        for _ in 0..taken {
            destinations.ended(domain, Seen::Nothing, now, wait);
        }
        taken
    }

    #[test]
    fn who_answers_gets_more_at_once() {
        let mut destinations = Destinations::default();
        assert_eq!(places(&mut destinations, "a", START), 1);
        assert_eq!(destinations.take("a", START), Some(Way::Open));
        assert_eq!(destinations.take("a", START), None);
        assert_eq!(places(&mut destinations, "b", START), 1, "another has its own");
        destinations.ended("a", Seen::Answered, START, wait);
        assert_eq!(places(&mut destinations, "a", START), EACH);
    }

    #[test]
    fn who_does_not_answer_is_left_alone_for_longer_and_longer() {
        let mut destinations = Destinations::default();
        let mut now = 0;
        for (time, until) in [(1, 10), (2, 30), (3, 60)] {
            assert_eq!(destinations.take("a", at(now)), Some(Way::Open), "{time}");
            assert_eq!(destinations.take("a", at(now)), None, "one finds out");
            destinations.ended("a", unreachable(), at(now), wait);
            let Some(Way::Closed(outage)) = destinations.take("a", at(until - 1)) else { panic!("{time}") };
            assert_eq!(outage.until, at(until));
            destinations.ended("a", Seen::Nothing, at(until - 1), wait);
            assert_eq!(places(&mut destinations, "a", at(until - 1)), EACH, "putting off is quick");
            now = until;
        }
        destinations.take("a", at(now));
        destinations.ended("a", Seen::Answered, at(now), wait);
        assert_eq!(destinations.take("a", at(now)), Some(Way::Open));
    }

    #[test]
    fn attempts_that_fail_together_count_once() {
        let mut destinations = Destinations::default();
        destinations.take("a", START);
        destinations.ended("a", Seen::Answered, START, wait);
        (0..EACH).for_each(|_| drop(destinations.take("a", START)));
        (0..EACH).for_each(|_| destinations.ended("a", unreachable(), START, wait));
        let Some(Way::Closed(outage)) = destinations.take("a", START) else { panic!("it is left alone") };
        assert_eq!(outage.until, at(10));
    }

    #[test]
    fn what_nobody_waits_for_is_forgotten() {
        let mut destinations = Destinations::default();
        for domain in ["running", "waiting", "idle", "down"] {
            destinations.take(domain, START);
        }
        for domain in ["waiting", "idle"] {
            destinations.ended(domain, Seen::Answered, START, wait);
        }
        destinations.ended("down", unreachable(), START, wait);
        let known = |destinations: &Destinations| {
            let mut known: Vec<_> = destinations.0.keys().cloned().collect();
            known.sort();
            known
        };
        destinations.forget(at(9), |domain| domain == "waiting");
        assert_eq!(known(&destinations), ["down", "running", "waiting"]);
        destinations.forget(at(10), |_| false);
        assert_eq!(known(&destinations), ["running"]);
    }
}
