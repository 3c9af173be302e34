//! Processes on one store, people, and servers elsewhere.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use accounts::{DomainSettings, Kind, NewAccount};
use kv::Database;
use kv::fault::{FaultBackend, Gate, Plan};
use kv::memory::Memory;
use mail::{MailboxPath, MailboxRef};
use runtime::{SeededRng, SharedClock, SharedRng};
use schema::NodeId;
use tokio::time::Instant;

use crate::node::{Makings, Node, SkewedClock, Views};
use crate::remote::{Mood, Remote};
use crate::sender::{Doors, Senders};

pub(crate) const USERS: u64 = 4;
const SENDERS: usize = 4;
/// By then everything is where it belongs, in virtual time.
const PATIENCE: Duration = Duration::from_secs(3 * 3600);

pub(crate) struct World {
    pub(crate) rng: SharedRng,
    pub(crate) faults: Arc<FaultBackend>,
    pub(crate) store: Gate,
    pub(crate) remote: Remote,
    started: Instant,
    nodes: BTreeMap<usize, Running>,
    doors: Doors,
    views: Views,
    folder: tempfile::TempDir,
}

struct Running {
    node: Node,
    /// To the store.
    way: Gate,
}

impl World {
    pub(crate) async fn new(seed: u64) -> Self {
        let rng: SharedRng = Arc::new(SeededRng::new(seed));
        let faults = Arc::new(FaultBackend::new(Arc::new(Memory::new()), rng.clone(), Plan::NONE));
        faults.set_read_time(Duration::from_millis(2));
        let world = World {
            remote: Remote::new(rng.clone()),
            rng,
            faults,
            store: Gate::open(),
            started: Instant::now(),
            nodes: BTreeMap::new(),
            doors: Doors::default(),
            views: Views::default(),
            folder: tempfile::tempdir().unwrap(),
        };
        world.people().await;
        world
    }

    /// Those who have mailboxes.
    async fn people(&self) {
        let node = self.process(usize::MAX, Gate::open(), Gate::open());
        node.accounts.create_domain("example.test", DomainSettings::default()).await.unwrap();
        for user in 0..USERS {
            let new = NewAccount::new(Kind::Person, &format!("u{user}@example.test"));
            let id = node.accounts.create_account(&new).await.unwrap();
            let (mail, db) = (&node.mail, node.mail.database());
            db.transact("people", |txn| async move { mail.provision_in(&txn, id).await }).await.unwrap();
        }
        node.gate.set(false);
    }

    fn process(&self, name: usize, gate: Gate, way: Gate) -> Node {
        let clock = Arc::new(SkewedClock { started: self.started, offset: AtomicI64::new(0) });
        let shared: SharedClock = clock.clone();
        let gates = [gate.clone(), way, self.store.clone()];
        let backend = FaultBackend::new(self.faults.clone(), self.rng.clone(), Plan::NONE);
        let backend = Arc::new(backend.behind(&gates, Arc::default()));
        let db = Database::new(backend, shared, self.rng.clone());
        let (folder, rng) = (self.folder.path(), self.rng.clone());
        let (remote, views) = (self.remote.clone(), self.views.clone());
        Node::start(Makings { name, db, folder, clock, rng, gate, remote, views })
    }

    pub(crate) fn millis(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap()
    }

    /// A time between, at random.
    pub(crate) fn between(&self, low: u64, high: u64) -> Duration {
        Duration::from_millis(low + self.rng.below(high - low))
    }

    /// Begins a process under a name, if none runs under it.
    pub(crate) async fn start(&mut self, name: usize) {
        if self.nodes.contains_key(&name) {
            return;
        }
        let (gate, way) = (Gate::open(), Gate::open());
        let node = self.process(name, gate.clone(), way.clone());
        self.doors.lock().insert(name, (node.delivery.clone(), gate));
        self.nodes.insert(name, Running { node, way });
        tokio::task::yield_now().await;
    }

    /// As `kill -9`.
    pub(crate) fn kill(&mut self, name: usize) {
        self.doors.lock().remove(&name);
        if let Some(running) = self.nodes.remove(&name) {
            running.node.gate.set(false);
            // What does not touch the store ends too.
            running.node.shutdown.stop.cancel();
        }
    }

    pub(crate) fn sleep(&self, name: usize, asleep: bool) {
        self.of(name, |running| running.node.gate.set(!asleep));
    }

    pub(crate) fn cut_off(&self, name: usize, cut: bool) {
        self.of(name, |running| running.way.set(!cut));
    }

    /// The wall clock of a process jumps, by up to an hour.
    pub(crate) fn step_clock(&self, name: usize) {
        let by = i64::try_from(self.rng.below(7_200_000)).unwrap() - 3_600_000;
        self.of(name, |running| running.node.clock.offset.store(by, Ordering::Relaxed));
    }

    pub(crate) fn drain(&self, name: usize) {
        self.of(name, |running| {
            let (ownership, shutdown) = (running.node.ownership.clone(), running.node.shutdown.clone());
            self.doors.lock().remove(&name);
            tokio::spawn(async move {
                while ownership.drain().await.is_err() {}
                shutdown.begin();
            });
        });
    }

    /// A process comes to think this of a node: 0 that it is dead.
    pub(crate) fn think(&self, name: usize, node: u32, weight: u32) {
        self.views.lock().insert((name, NodeId(node)), weight);
    }

    fn of(&self, name: usize, what: impl FnOnce(&Running)) {
        if let Some(running) = self.nodes.get(&name) {
            what(running);
        }
    }

    /// All is well again.
    pub(crate) async fn heal(&mut self) {
        self.views.lock().clear();
        self.store.set(true);
        self.faults.set_plan(Plan::NONE);
        self.faults.deliver().await;
        self.remote.be(Mood::Well);
        for running in self.nodes.values() {
            running.node.gate.set(true);
            running.way.set(true);
            running.node.clock.offset.store(0, Ordering::Relaxed);
        }
        for name in 0..crate::NODES {
            self.start(name).await;
        }
    }

    pub(crate) fn senders(&self) -> Senders {
        Senders::start(SENDERS, &self.doors, &self.rng)
    }

    /// Waits until the queue is empty.
    pub(crate) async fn drained(&self) {
        let spool = &self.nodes.values().next().unwrap().node.spool;
        let empty = async {
            while !spool.list(None, 1).await.unwrap().entries.is_empty() {
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        };
        tokio::time::timeout(PATIENCE, empty).await.expect("the queue is worked off");
    }

    /// How often each message is in somebody's mailbox.
    pub(crate) async fn mailboxes(&self) -> BTreeMap<String, usize> {
        let node = &self.nodes.values().next().unwrap().node;
        let mut found = BTreeMap::new();
        for user in 0..USERS {
            let account = node.accounts.find(&format!("u{user}@example.test")).await.unwrap().unwrap().id;
            let mailbox = node.mail.resolve(account, &MailboxPath::inbox()).await.unwrap().unwrap().id;
            let rows = node
                .mail
                .messages(MailboxRef { account, mailbox }, 1..=u32::MAX, 100_000)
                .await
                .unwrap()
                .rows;
            for row in rows {
                let octets = node.mail.body(row.blob, 0..u64::MAX).await.unwrap();
                let text = String::from_utf8_lossy(&octets).into_owned();
                let id = text.lines().find_map(|line| line.strip_prefix("X-Id: ")).unwrap().to_owned();
                *found.entry(id).or_default() += 1;
            }
            assert_eq!(mail::verify(&node.mail, account).await.unwrap(), Vec::<String>::new());
        }
        found
    }
}
