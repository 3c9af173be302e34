//! For how long leases have not been renewed, as far as this process could see.

use std::collections::BTreeMap;
use std::time::Duration;

use leases::{Live, Standing};
use schema::NodeId;

/// How many watch each node in a cluster that is too large for all to watch all.
pub const WATCHERS: usize = 5;

/// What one watcher has seen.
#[derive(Debug, Default)]
pub struct Observer {
    seen: BTreeMap<NodeId, Seen>,
    looked: Option<Duration>,
}

#[derive(Debug)]
struct Seen {
    epoch: u64,
    renewals: u64,
    unrenewed: Duration,
}

impl Observer {
    /// Takes in a look at the counters that lasted from and to these moments of the watcher's monotonic time. From the end of
    /// the one to the begin of the next look at most `longest` has passed for the purpose: who could not look has seen nothing.
    pub fn look(
        &mut self,
        (begun, ended): (Duration, Duration),
        live: &BTreeMap<NodeId, Live>,
        renewals: &BTreeMap<NodeId, u64>,
        longest: Duration,
    ) {
        let passed = self.looked.map_or(Duration::ZERO, |looked| begun.saturating_sub(looked)).min(longest);
        self.looked = Some(ended);
        self.seen.retain(|node, _| live.contains_key(node) && renewals.contains_key(node));
        for (node, count) in renewals {
            let Some(epoch) = live.get(node).map(|live| live.epoch) else { continue };
            let fresh = Seen { epoch, renewals: *count, unrenewed: Duration::ZERO };
            match self.seen.get_mut(node) {
                Some(seen) if seen.epoch == epoch && seen.renewals == *count => seen.unrenewed += passed,
                _ => drop(self.seen.insert(*node, fresh)),
            }
        }
    }

    /// The leases that were not renewed for so long, each with its count of renewals.
    pub fn expired(&self, lease: Duration) -> Vec<(Standing, u64)> {
        let expired = self.seen.iter().filter(|(_, seen)| seen.unrenewed >= lease);
        expired.map(|(node, seen)| (Standing { node: *node, epoch: seen.epoch }, seen.renewals)).collect()
    }

    /// For how long each node that is watched has not renewed its lease: for health.
    pub fn unrenewed(&self) -> BTreeMap<NodeId, Duration> {
        self.seen.iter().map(|(node, seen)| (*node, seen.unrenewed)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const LEASE: Duration = Duration::from_secs(3);

    fn live(epoch: u64) -> BTreeMap<NodeId, Live> {
        [(NodeId(1), Live { epoch, draining: false, node: leases::Node::default() })].into()
    }

    fn look(observer: &mut Observer, seconds: u32, epoch: u64, renewals: u64) -> bool {
        observer.look(
            (SECOND * seconds, SECOND * seconds),
            &live(epoch),
            &[(NodeId(1), renewals)].into(),
            SECOND,
        );
        !observer.expired(LEASE).is_empty()
    }

    #[test]
    fn a_lease_expires_when_it_was_seen_unchanged_for_long_enough() {
        let observer = &mut Observer::default();
        assert!(!look(observer, 10, 7, 1) && !look(observer, 11, 7, 1) && !look(observer, 12, 7, 1));
        assert_eq!(observer.unrenewed()[&NodeId(1)], SECOND * 2);
        assert!(look(observer, 13, 7, 1));
        assert_eq!(observer.expired(LEASE), [(Standing { node: NodeId(1), epoch: 7 }, 1)]);
        assert!(!look(observer, 14, 7, 2), "it was renewed");
        assert!(
            !look(observer, 15, 7, 2) && !look(observer, 16, 7, 2) && !look(observer, 17, 8, 2),
            "another lease"
        );
    }

    #[test]
    fn who_could_not_look_has_seen_nothing() {
        let observer = &mut Observer::default();
        assert!(!look(observer, 10, 7, 1) && !look(observer, 100, 7, 1) && !look(observer, 200, 7, 1));
        assert!(look(observer, 300, 7, 1), "three looks, far apart");
    }

    #[test]
    fn who_is_gone_is_forgotten() {
        let observer = &mut Observer::default();
        look(observer, 10, 7, 1);
        observer.look((SECOND * 11, SECOND * 11), &live(7), &BTreeMap::new(), SECOND);
        assert!(observer.unrenewed().is_empty());
    }
}
