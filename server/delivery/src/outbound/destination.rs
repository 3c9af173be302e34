//! What a slot knows of the destinations it has entries for: where they are, which answer, which do not, and how many
//! attempts each may have at once.
//!
//! A destination is looked up before anything is attempted. The first attempt finds out whether it answers, and has no
//! company until it has. One that answers gets more. One that does not, or cannot be looked up, is left alone for a while,
//! longer with each time: its entries are put off without an attempt. Nothing of this outlives the process.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use runtime::Timestamp;

use super::failure::Failure;
use super::lookups::Route;
use super::route::Routing;

/// For how long it is believed where a destination is. The resolver knows how long its answers are good; this is not much
/// longer.
const BELIEVED: Duration = Duration::from_secs(30);

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
    /// An attempt there; over a connection that is kept, if nothing is said.
    Open(Option<Route>),
    /// It is to wait, as long as this lasts.
    Closed(Outage),
}

/// What is to be done now for an entry of a destination.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Next {
    /// This. It has a place.
    Go(Way),
    /// The destination is to be looked up: [`Destinations::looking`] says that it is.
    LookUp,
    /// Nothing.
    Wait,
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
    /// Whether it is being looked up.
    looking: bool,
    route: Option<Known>,
}

/// Where a destination is.
#[derive(Debug)]
struct Known {
    route: Route,
    /// How it was found.
    routing: Arc<Routing>,
    until: Timestamp,
}

/// The destinations of a slot.
#[derive(Debug, Default)]
pub(super) struct Destinations(HashMap<String, Destination>);

impl Destinations {
    /// Takes a place for an entry, if there is one and it is known where to go; [`Destinations::ended`] gives it back. `kept`
    /// says whether a connection is kept that leads there.
    pub(super) fn take(
        &mut self,
        domain: &str,
        now: Timestamp,
        routing: &Arc<Routing>,
        kept: impl FnOnce() -> bool,
    ) -> Next {
        let destination = match self.0.get_mut(domain) {
            Some(known) => known,
            None => self.0.entry(domain.to_owned()).or_default(),
        };
        let outage = destination.outage.clone().filter(|outage| now < outage.until);
        // Putting off needs no connection.
        let places = if destination.answers || outage.is_some() { EACH } else { 1 };
        if destination.running >= places {
            return Next::Wait;
        }
        let way = match outage {
            Some(outage) => Way::Closed(outage),
            None => match destination.route(now, routing) {
                Some(route) => Way::Open(Some(route)),
                None if kept() => Way::Open(None),
                None if destination.looking => return Next::Wait,
                None => return Next::LookUp,
            },
        };
        destination.running += 1;
        Next::Go(way)
    }

    /// Notes that it is being looked up; [`Destinations::found`] that this is over.
    pub(super) fn looking(&mut self, domain: &str) {
        if let Some(destination) = self.0.get_mut(domain) {
            destination.looking = true;
        }
    }

    /// Notes where a destination is. One that cannot be looked up is left alone like one that does not answer.
    pub(super) fn found(
        &mut self,
        domain: &str,
        route: Route,
        routing: Arc<Routing>,
        now: Timestamp,
        wait: impl FnOnce(u32) -> Duration,
    ) {
        let Some(destination) = self.0.get_mut(domain) else { return };
        destination.looking = false;
        match route {
            Err(failure) if !failure.permanent => destination.failed(failure, now, wait),
            route => destination.route = Some(Known { route, routing, until: now + BELIEVED }),
        }
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
            Seen::Unreachable(failure) => destination.failed(failure, now, wait),
        }
    }

    /// Forgets those that nothing waits for, and whose outage was over before `since`.
    pub(super) fn forget(&mut self, since: Timestamp, waiting: impl Fn(&str) -> bool) {
        let lasts = |destination: &Destination| {
            destination.running > 0
                || destination.looking
                || destination.outage.as_ref().is_some_and(|outage| outage.until > since)
        };
        self.0.retain(|domain, destination| lasts(destination) || waiting(domain));
    }
}

impl Destination {
    fn route(&self, now: Timestamp, routing: &Arc<Routing>) -> Option<Route> {
        let known = self.route.as_ref()?;
        (now < known.until && Arc::ptr_eq(&known.routing, routing)).then(|| known.route.clone())
    }

    /// It could not be reached: it is left alone, and looked up anew afterwards.
    fn failed(&mut self, failure: Failure, now: Timestamp, wait: impl FnOnce(u32) -> Duration) {
        (self.answers, self.route) = (false, None);
        let failures = match &self.outage {
            // Others were under way when the first failed: they say the same once more.
            Some(outage) if now < outage.until => return,
            Some(outage) => outage.failures.saturating_add(1),
            None => 1,
        };
        self.outage = Some(Outage { until: now + wait(failures), failure, failures });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use smtp_proto::Enhanced;

    const START: Timestamp = Timestamp::from_secs(1_000);

    thread_local!(static ROUTING: Arc<Routing> = Arc::default());

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

    /// Takes a place; looks the destination up if need be.
    fn take(destinations: &mut Destinations, domain: &str, now: Timestamp) -> Option<Way> {
        let routing = ROUTING.with(Arc::clone);
        let next = match destinations.take(domain, now, &routing, || false) {
            Next::LookUp => {
                destinations.looking(domain);
                let meanwhile = destinations.take(domain, now, &routing, || false);
                assert_eq!(meanwhile, Next::Wait, "one lookup at a time");
                destinations.found(domain, Ok(Arc::new([])), Arc::clone(&routing), now, wait);
                destinations.take(domain, now, &routing, || false)
            }
            next => next,
        };
        match next {
            Next::Go(way) => Some(way),
            Next::Wait => None,
            Next::LookUp => panic!("it was looked up"),
        }
    }

    fn open() -> Option<Way> {
        Some(Way::Open(Some(Ok(Arc::new([])))))
    }

    fn places(destinations: &mut Destinations, domain: &str, now: Timestamp) -> usize {
        let mut taken = 0;
        while take(destinations, domain, now).is_some() {
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
        assert_eq!(take(&mut destinations, "a", START), open());
        assert_eq!(take(&mut destinations, "a", START), None);
        assert_eq!(places(&mut destinations, "b", START), 1, "another has its own");
        destinations.ended("a", Seen::Answered, START, wait);
        assert_eq!(places(&mut destinations, "a", START), EACH);
    }

    #[test]
    fn who_does_not_answer_is_left_alone_for_longer_and_longer() {
        let mut destinations = Destinations::default();
        let mut now = 0;
        for (time, until) in [(1, 10), (2, 30), (3, 60)] {
            assert_eq!(take(&mut destinations, "a", at(now)), open(), "{time}");
            assert_eq!(take(&mut destinations, "a", at(now)), None, "one finds out");
            destinations.ended("a", unreachable(), at(now), wait);
            let Some(Way::Closed(outage)) = take(&mut destinations, "a", at(until - 1)) else {
                panic!("{time}")
            };
            assert_eq!(outage.until, at(until));
            destinations.ended("a", Seen::Nothing, at(until - 1), wait);
            assert_eq!(places(&mut destinations, "a", at(until - 1)), EACH, "putting off is quick");
            now = until;
        }
        take(&mut destinations, "a", at(now));
        destinations.ended("a", Seen::Answered, at(now), wait);
        assert_eq!(take(&mut destinations, "a", at(now)), open());
    }

    #[test]
    fn a_destination_is_looked_up_before_anything_is_attempted() {
        let (mut destinations, routing) = (Destinations::default(), Arc::new(Routing::default()));
        let next =
            |destinations: &mut Destinations, now, kept| destinations.take("a", now, &routing, || kept);
        assert_eq!(next(&mut destinations, START, false), Next::LookUp);
        destinations.looking("a");
        assert_eq!(next(&mut destinations, START, false), Next::Wait);
        // Over a connection that is there mail goes without it.
        assert_eq!(next(&mut destinations, START, true), Next::Go(Way::Open(None)));
        destinations.ended("a", Seen::Answered, START, wait);
        let timeout = Failure::transient(Enhanced::new(4, 4, 3), "timeout");
        destinations.found("a", Err(timeout), Arc::clone(&routing), START, wait);
        assert!(matches!(next(&mut destinations, START, false), Next::Go(Way::Closed(_))));
        destinations.ended("a", Seen::Nothing, START, wait);
        assert_eq!(next(&mut destinations, at(10), false), Next::LookUp);
        let none = Failure::permanent(Enhanced::new(5, 1, 2), "no such domain");
        destinations.found("a", Err(none.clone()), Arc::clone(&routing), at(10), wait);
        assert_eq!(next(&mut destinations, at(10), false), Next::Go(Way::Open(Some(Err(none)))));
        destinations.ended("a", Seen::Answered, at(10), wait);
        assert_eq!(next(&mut destinations, at(40), false), Next::LookUp, "what is known grows old");
        let other = Arc::new(Routing::default());
        destinations.found("a", Ok(Arc::new([])), Arc::clone(&routing), at(40), wait);
        assert_eq!(destinations.take("a", at(40), &other, || false), Next::LookUp, "routing has changed");
    }

    #[test]
    fn attempts_that_fail_together_count_once() {
        let mut destinations = Destinations::default();
        take(&mut destinations, "a", START);
        destinations.ended("a", Seen::Answered, START, wait);
        (0..EACH).for_each(|_| drop(take(&mut destinations, "a", START)));
        (0..EACH).for_each(|_| destinations.ended("a", unreachable(), START, wait));
        let Some(Way::Closed(outage)) = take(&mut destinations, "a", START) else {
            panic!("it is left alone")
        };
        assert_eq!(outage.until, at(10));
    }

    #[test]
    fn what_nobody_waits_for_is_forgotten() {
        let mut destinations = Destinations::default();
        for domain in ["running", "waiting", "idle", "down"] {
            take(&mut destinations, domain, START);
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
