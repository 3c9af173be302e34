//! Who is sent away when: all sessions of a node at once would all be at the others' doors at once.

use crate::gate::Gate;
use parking_lot::RwLock;
use runtime::{CancellationToken, Shutdown};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep_until};

/// Groups that are sent away one after the other.
const GROUPS: usize = 256;

/// Up to so many sessions are no crowd: they go at once.
const FEW: usize = 64;

/// So many sessions or more take the whole time.
const MANY: usize = 1024;

/// A signal for each group of sessions. A session belongs to one by its number, which costs it nothing.
#[derive(Debug)]
pub(crate) struct Farewells {
    groups: RwLock<Box<[CancellationToken]>>,
}

impl Default for Farewells {
    fn default() -> Self {
        Farewells { groups: RwLock::new((0..GROUPS).map(|_| CancellationToken::new()).collect()) }
    }
}

/// Who comes after the farewell.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum After {
    /// Is sent away at once: nobody is served any more.
    Gone,
    /// Is served as before.
    Open,
}

impl Farewells {
    /// The signals of a session: its drain comes when its group's turn has come.
    pub(crate) fn signals(&self, shutdown: &Shutdown, session: u64) -> Shutdown {
        let group = usize::try_from(session).unwrap_or(0) % GROUPS;
        shutdown.with_drain(self.groups.read().get(group).unwrap_or(&shutdown.drain).clone())
    }

    /// Sends all away, over as long as `sessions` of them need and at most `longest`; sooner once all have gone.
    pub(crate) async fn say(&self, gate: &Arc<Gate>, longest: Duration, after: After) {
        let (begun, spread) = (Instant::now(), spread(gate.connections(), longest));
        for group in 0..GROUPS {
            if gate.connections() > 0 {
                sleep_until(begun + spread * group as u32 / GROUPS as u32).await;
            }
            self.send_away(group, after);
        }
    }

    fn send_away(&self, group: usize, after: After) {
        if let Some(token) = self.groups.write().get_mut(group) {
            token.cancel();
            if after == After::Open {
                *token = CancellationToken::new();
            }
        }
    }
}

/// Over how long so many sessions are sent away.
fn spread(sessions: usize, longest: Duration) -> Duration {
    match sessions {
        ..=FEW => Duration::ZERO,
        MANY.. => longest,
        some => longest * (some - FEW) as u32 / (MANY - FEW) as u32,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Limits;

    const LONGEST: Duration = Duration::from_secs(30);

    #[test]
    fn a_crowd_takes_longer() {
        assert_eq!((spread(0, LONGEST), spread(64, LONGEST)), (Duration::ZERO, Duration::ZERO));
        assert_eq!(spread(544, LONGEST), LONGEST / 2);
        assert_eq!((spread(1024, LONGEST), spread(1 << 20, LONGEST)), (LONGEST, LONGEST));
    }

    #[tokio::test(start_paused = true)]
    async fn each_has_its_turn() {
        let (farewells, shutdown) = (Farewells::default(), Shutdown::new());
        let gate = Gate::new(Limits::default());
        let tickets: Vec<_> = (0..2000).map(|_| gate.enter()).collect();
        let (first, last) = (farewells.signals(&shutdown, 256), farewells.signals(&shutdown, 255));
        let begun = Instant::now();
        let when = async |signals: &Shutdown| {
            signals.drain.cancelled().await;
            begun.elapsed()
        };
        let ((), first, last) =
            tokio::join!(farewells.say(&gate, LONGEST, After::Gone), when(&first), when(&last));
        assert!(first < Duration::from_secs(1) && last > Duration::from_secs(29), "{first:?} {last:?}");
        drop(tickets);
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_is_waited_for() {
        let farewells = Farewells::default();
        let begun = Instant::now();
        farewells.say(&Gate::new(Limits::default()), LONGEST, After::Gone).await;
        assert_eq!(begun.elapsed(), Duration::ZERO);
        assert!(farewells.signals(&Shutdown::new(), 7).is_draining());
    }

    #[tokio::test(start_paused = true)]
    async fn who_comes_after_an_evacuation_is_served_until_the_end() {
        let (farewells, gate) = (Farewells::default(), Gate::new(Limits::default()));
        let shutdown = Shutdown::new();
        let before = farewells.signals(&shutdown, 7);
        farewells.say(&gate, LONGEST, After::Open).await;
        let later = farewells.signals(&shutdown, 7);
        assert!(before.is_draining() && !later.is_draining());
        farewells.say(&gate, LONGEST, After::Gone).await;
        assert!(later.is_draining() && farewells.signals(&shutdown, 7).is_draining());
    }
}
