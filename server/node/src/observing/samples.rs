//! What costs a read of the store, or may hang.

use std::collections::BTreeMap;

use std::time::Duration;

use admin::cluster::{Clock, Disk, Levels, Probe, Queue, View};
use leases::Node;
use runtime::{Supervisor, Timestamp};
use schema::{Duty, DutyKind, NodeId};

use super::{Observer, disk, export, millis};

/// Between two judgements, and two reads of the store.
const OFTEN: Duration = Duration::from_secs(1);
/// Between two looks at what changes seldom.
const SELDOM: Duration = Duration::from_secs(5);
/// Between two looks at the queue: what is late there is late by minutes.
const QUEUE: Duration = Duration::from_secs(15);
/// How long the store may take for a read.
const PATIENCE: Duration = Duration::from_secs(2);
/// Entries of a slot that are counted.
const COUNTED: usize = 200;
/// From so much on a difference between the clocks is a jump: less than that is how clocks are set.
const JUMP: Duration = Duration::from_secs(2);

/// What was seen last.
#[derive(Debug, Default)]
pub(super) struct Samples {
    /// The nodes that the store knows, and whether each had a lease.
    pub(super) nodes: Vec<(NodeId, Node, bool)>,
    pub(super) levels: Option<Levels>,
    pub(super) queue: Queue,
    pub(super) store: Probe,
    pub(super) disk: Option<Disk>,
    pub(super) time: Watch,
    /// Since when nobody works on each duty, in monotonic time.
    orphaned: BTreeMap<Duty, Duration>,
}

impl Samples {
    /// Notes which duties nobody works on now. Returns for how long the one that has been so for longest has.
    pub(super) fn orphaned(&mut self, orphans: &[Duty], now: Duration) -> Duration {
        let before = std::mem::take(&mut self.orphaned);
        let since = |duty: &Duty| before.get(duty).copied().unwrap_or(now);
        self.orphaned = orphans.iter().map(|duty| (*duty, since(duty))).collect();
        let first = self.orphaned.values().min().copied();
        first.map_or(Duration::ZERO, |first| now.saturating_sub(first))
    }
}

/// Compares the machine's clock to the time that passes.
#[derive(Debug, Default)]
pub(super) struct Watch {
    /// What both showed last, in milliseconds.
    last: Option<(i64, Duration)>,
    /// By how much the clock jumped last, and when.
    jump: Option<(i64, Duration)>,
}

impl Watch {
    fn look(&mut self, wall: Timestamp, now: Duration) {
        if let Some((before, at)) = self.last.replace((wall.millis(), now)) {
            let passed = i64::try_from(now.saturating_sub(at).as_millis()).unwrap_or(i64::MAX);
            let jump = wall.millis().saturating_sub(before).saturating_sub(passed);
            if u128::from(jump.unsigned_abs()) >= JUMP.as_millis() {
                tracing::warn!(millis = jump, "the machine's clock has jumped");
                self.jump = Some((jump, now));
            }
        }
    }

    pub(super) fn seen(&self, now: Duration) -> Clock {
        let step_ago = self.jump.map(|(_, at)| millis(now.saturating_sub(at)));
        Clock { step: self.jump.map(|(step, _)| step), step_ago }
    }
}

impl Observer {
    pub(super) fn sample(&self, supervisor: &Supervisor) {
        let observer = self.clone();
        supervisor.spawn_recurring("health.store", OFTEN, move || {
            let observer = observer.clone();
            async move { observer.probe_store().await }
        });
        let observer = self.clone();
        supervisor.spawn_recurring("health", OFTEN, move || {
            let observer = observer.clone();
            async move { observer.tick().await }
        });
        let observer = self.clone();
        supervisor.spawn_recurring("health.queue", QUEUE, move || {
            let observer = observer.clone();
            async move { observer.look_at_queue().await }
        });
        let (observer, drain) = (self.clone(), supervisor.shutdown().drain.clone());
        supervisor.spawn(runtime::TaskKind::Background, "health.nodes", async move {
            tokio::select! {
                () = observer.follow_nodes() => {}
                () = drain.cancelled() => {}
            }
        });
    }

    /// Judges, so that each reason has its time and metrics are as fresh as the pages.
    async fn tick(&self) {
        let sights = &self.0.sights;
        if let Some(membership) = &sights.mesh.membership {
            membership.look().await;
        }
        let disk = disk(&sights.data);
        {
            let mut samples = self.0.samples.lock();
            samples.time.look(sights.clock.now(), sights.clock.monotonic());
            samples.disk = disk;
        }
        export::health(&self.health());
    }

    async fn probe_store(&self) {
        let sights = &self.0.sights;
        let begun = sights.clock.monotonic();
        let read = sights.db.read("probe", |txn| async move { txn.get(b"").await.map(drop) });
        let read: Result<Result<(), kv::Error>, _> = tokio::time::timeout(PATIENCE, read).await;
        let took = sights.clock.monotonic().saturating_sub(begun);
        let error = match read {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(error.to_string()),
            Err(_) => Some(format!("no answer within {PATIENCE:?}")),
        };
        metrics::histogram!("store_probe_seconds").record(took);
        let latency = Some(took.as_secs_f64() * 1000.0);
        self.0.samples.lock().store = Probe { latency, error };
    }

    /// Reads the nodes whenever one came or went, and now and then.
    async fn follow_nodes(&self) {
        let mut situation = self.0.sights.mesh.ownership.situation();
        loop {
            if let Err(error) = self.look_at_nodes().await {
                tracing::debug!(%error, "nodes not read");
            }
            // Claims change often, and by the hundred: a moment gathers them.
            tokio::time::sleep(OFTEN / 4).await;
            tokio::select! {
                changed = situation.changed() => if changed.is_err() { return },
                () = tokio::time::sleep(SELDOM) => {}
            }
        }
    }

    async fn look_at_nodes(&self) -> Result<(), leases::Error> {
        let leases = &self.0.sights.mesh.leases;
        let (nodes, levels) = (leases.nodes().await?, leases.levels().await?);
        let mut samples = self.0.samples.lock();
        samples.nodes = nodes;
        samples.levels = Some(Levels { current: levels.current, possible: levels.supported });
        Ok(())
    }

    /// Each node looks at its own slots: together they see all of the queue once.
    async fn look_at_queue(&self) -> Result<(), spool::Error> {
        let held: Vec<Duty> = {
            let held = self.0.sights.mesh.ownership.held();
            held.iter().map(|fence| fence.duty).filter(|duty| duty.kind == DutyKind::Queue).collect()
        };
        let mut queue = Queue { slots: u32::try_from(held.len()).unwrap_or(u32::MAX), ..Queue::default() };
        for slot in held.iter().filter_map(|duty| u16::try_from(duty.number).ok()) {
            let backlog = self.0.sights.spool.backlog(slot, COUNTED).await?;
            queue.waiting += backlog.waiting as u64;
            queue.more |= backlog.more;
            let due = backlog.oldest_due.map(Timestamp::millis);
            queue.oldest_due = queue.oldest_due.into_iter().chain(due).min();
        }
        self.0.samples.lock().queue = queue;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn the_longest_orphan_counts_and_one_that_is_taken_is_forgotten() {
        let (mut samples, duties) = (Samples::default(), [Duty::queue(1), Duty::queue(2)]);
        assert_eq!(samples.orphaned(&duties[..1], SECOND), Duration::ZERO);
        assert_eq!(samples.orphaned(&duties, SECOND * 3), SECOND * 2);
        assert_eq!(samples.orphaned(&duties[1..], SECOND * 4), SECOND);
        assert_eq!(samples.orphaned(&[], SECOND * 5), Duration::ZERO);
        assert_eq!(samples.orphaned(&duties, SECOND * 6), Duration::ZERO);
    }

    #[test]
    fn a_jump_of_the_clock_is_seen_and_its_usual_way_is_not() {
        let (mut watch, at) = (Watch::default(), |seconds: i64| Timestamp::from_millis(seconds * 1000));
        watch.look(at(1000), SECOND);
        watch.look(at(1011), SECOND * 11);
        assert_eq!(watch.seen(SECOND * 11), Clock::default());
        watch.look(at(1013 - 3600), SECOND * 12);
        let seen = watch.seen(SECOND * 20);
        assert_eq!((seen.step, seen.step_ago), (Some(-3_599_000), Some(8000)));
        watch.look(at(1014 - 3600), SECOND * 13);
        assert_eq!(watch.seen(SECOND * 20), seen, "only once");
    }
}
