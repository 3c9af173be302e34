//! The one thread that commits: all transactions that wait are checked in order and written as one group.
//!
//! Each transaction gets a version of its own, above all before it; a later one in the same group is checked
//! against the earlier ones. Versions go up with time (a million a second at most, on average), continue over
//! restarts, and stay far below 2^63. Operations are resolved here, on top of the group so far. A caller is told
//! after the group is durable and visible.

use crate::conflicts::Window;
use crate::engine::{Batch, Engine, Op, Snapshot, Value};
use crate::metrics::Groups;
use crate::watch::Watches;
use bytes::Bytes;
use kv::{AtomicOp, Buffer, Error, RangeSet, Versionstamp, Watch, Write};
use parking_lot::{Condvar, Mutex};
use runtime::SharedClock;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::oneshot;

/// How often an idle committer forgets old writes.
const TIDY: Duration = Duration::from_secs(2);

/// A transaction that is to be committed.
#[derive(Debug)]
pub(crate) struct Request {
    /// The snapshot's version; `None` if nothing was read.
    read_version: Option<u64>,
    reads: RangeSet,
    claims: Vec<(Bytes, Bytes)>,
    writes: Vec<Prepared>,
    bytes: usize,
    /// Its version is this one at least.
    least_version: u64,
}

#[derive(Debug)]
enum Prepared {
    Set(Bytes, Value),
    Clear(Bytes),
    ClearRange(Bytes, Bytes),
    Atomic(AtomicOp, Bytes, Bytes),
}

impl Request {
    /// What is to be committed of `buffer`, which loses it. Large values are compressed and checksummed here, in
    /// the caller's thread.
    pub(crate) fn new(read_version: Option<u64>, buffer: &mut Buffer) -> Self {
        let mut bytes = 0;
        let prepare = |write| match write {
            Write::Set(key, value) => {
                let value = Value::prepare(value);
                bytes += key.len() + value.stored_len();
                Prepared::Set(key, value)
            }
            Write::Clear(key) => Prepared::Clear(key),
            Write::ClearRange(begin, end) => Prepared::ClearRange(begin, end),
            Write::Atomic(op, key, operand) => {
                bytes += key.len() + operand.len();
                Prepared::Atomic(op, key, operand)
            }
        };
        let writes = std::mem::take(&mut buffer.writes).into_iter().map(prepare).collect();
        let (reads, claims) = (std::mem::take(&mut buffer.reads), std::mem::take(&mut buffer.claims));
        Request { read_version, reads, claims, writes, bytes, least_version: 0 }
    }

    /// Nothing, at this version or the next one if that is above it.
    pub(crate) fn at_least(version: u64) -> Self {
        Request { least_version: version, ..Request::new(None, &mut Buffer::default()) }
    }
}

type Reply = oneshot::Sender<Result<Versionstamp, Error>>;

/// Handle to the committing thread.
pub(crate) struct Committer {
    engine: Arc<dyn Engine>,
    queue: Arc<Queue>,
    watches: Arc<Watches>,
    groups: Arc<AtomicU64>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Default)]
struct Queue {
    state: Mutex<Waiting>,
    filled: Condvar,
}

#[derive(Default)]
struct Waiting {
    requests: VecDeque<(Request, Reply)>,
    asleep: bool,
    closing: bool,
    ended: bool,
    closed: Vec<oneshot::Sender<Result<(), Error>>>,
}

impl Committer {
    pub(crate) fn start(engine: Arc<dyn Engine>, clock: SharedClock) -> std::io::Result<Arc<Self>> {
        let (queue, watches) = (Arc::new(Queue::default()), Arc::new(Watches::default()));
        let groups = Arc::new(AtomicU64::new(0));
        let last = engine.last_version();
        let worker = Worker {
            engine: engine.clone(),
            queue: queue.clone(),
            watches: watches.clone(),
            groups: groups.clone(),
            window: Window::new(last),
            // What opening has read from the log.
            untidy: true,
            metrics: Groups::new(),
            first: last,
            last,
            opened: clock.monotonic(),
            clock,
        };
        let thread = std::thread::Builder::new().name("godwit-commit".into()).spawn(move || worker.run())?;
        Ok(Arc::new(Committer { engine, queue, watches, groups, thread: Mutex::new(Some(thread)) }))
    }

    pub(crate) fn engine(&self) -> &dyn Engine {
        &*self.engine
    }

    /// Groups written since the store was opened.
    pub(crate) fn groups(&self) -> u64 {
        self.groups.load(Ordering::Relaxed)
    }

    pub(crate) fn watch(&self, watch: Watch) {
        self.watches.add(watch, &*self.engine);
    }

    pub(crate) async fn commit(&self, request: Request) -> Result<Versionstamp, Error> {
        let (reply, answer) = oneshot::channel();
        {
            let mut state = self.queue.state.lock();
            if state.closing {
                return Err(crate::Error::Closed.into());
            }
            state.requests.push_back((request, reply));
            if state.asleep {
                self.queue.filled.notify_one();
            }
        }
        // The thread answers all it takes, unless it is gone.
        answer
            .await
            .unwrap_or_else(|_| Err(crate::Error::Stopped("the committing thread is gone".into()).into()))
    }

    /// Commits what waits, then closes the engine.
    pub(crate) async fn close(&self) -> Result<(), Error> {
        let (reply, answer) = oneshot::channel();
        self.begin_to_close(Some(reply));
        // If the thread is gone already, the engine is closed.
        answer.await.unwrap_or(Ok(()))
    }

    fn begin_to_close(&self, reply: Option<oneshot::Sender<Result<(), Error>>>) {
        let mut state = self.queue.state.lock();
        state.closing = true;
        if !state.ended {
            state.closed.extend(reply);
        }
        self.queue.filled.notify_all();
    }
}

impl Drop for Committer {
    fn drop(&mut self) {
        self.begin_to_close(None);
        if let Some(thread) = self.thread.lock().take() {
            let _ = thread.join();
        }
    }
}

impl Queue {
    /// The next group; `None` after a while without one, if there is something to `tidy`; an error when it is
    /// time to end.
    fn next(&self, target: usize, tidy: bool) -> Result<Option<Vec<(Request, Reply)>>, Closing> {
        let mut state = self.state.lock();
        if state.requests.is_empty() && !state.closing {
            state.asleep = true;
            if tidy {
                self.filled.wait_for(&mut state, TIDY);
            } else {
                self.filled.wait(&mut state);
            }
            state.asleep = false;
        }
        if state.requests.is_empty() {
            return if state.closing { Err(Closing) } else { Ok(None) };
        }
        let (mut count, mut bytes) = (0, 0);
        for (request, _) in &state.requests {
            if count > 0 && bytes + request.bytes > target {
                break;
            }
            count += 1;
            bytes += request.bytes;
        }
        Ok(Some(state.requests.drain(..count).collect()))
    }
}

struct Closing;

struct Worker {
    engine: Arc<dyn Engine>,
    queue: Arc<Queue>,
    watches: Arc<Watches>,
    groups: Arc<AtomicU64>,
    window: Window,
    /// Whether there is something to tidy when nobody writes.
    untidy: bool,
    metrics: Groups,
    clock: SharedClock,
    opened: Duration,
    /// The last version before this opening.
    first: u64,
    last: u64,
}

impl Worker {
    fn run(mut self) {
        let _alarm = Alarm { engine: self.engine.clone(), queue: self.queue.clone() };
        loop {
            match self.queue.next(self.engine.batch_target(), self.untidy) {
                Ok(Some(requests)) => self.commit(requests),
                Ok(None) => self.tidy(),
                Err(Closing) => break,
            }
        }
        self.watches.close();
        let result = self.engine.close().map_err(Error::from);
        let mut state = self.queue.state.lock();
        state.ended = true;
        for reply in state.closed.drain(..) {
            let _ = reply.send(result.clone());
        }
    }

    /// Nobody has written for a while.
    fn tidy(&mut self) {
        self.window.forget(self.clock.monotonic());
        self.untidy = self.engine.rest() || !self.window.is_empty();
    }

    fn commit(&mut self, requests: Vec<(Request, Reply)>) {
        self.untidy = true;
        let mut requests = requests.into_iter();
        while requests.len() > 0 {
            self.commit_group(&mut requests);
        }
    }

    /// Commits those of `requests` that can go together.
    fn commit_group(&mut self, requests: &mut impl Iterator<Item = (Request, Reply)>) {
        let now = self.clock.monotonic();
        let mut group = Group::new(self.engine.clone());
        let mut replies = Vec::new();
        for (request, reply) in requests {
            let added = self.admit(&request).map(|version| (version, group.add(request.writes, version)));
            match added {
                Ok((version, Ok(()))) => {
                    self.note(&group, request.claims, version, now);
                    replies.push((reply, version));
                }
                Ok((_, Err(error))) => {
                    // Something on disk cannot be read. The group ends, since those behind it would build on what
                    // this one has left in it.
                    let _ = reply.send(Err(error));
                    break;
                }
                Err(error) => drop(reply.send(Err(error))),
            }
        }
        if group.batches.is_empty() {
            return;
        }
        let result = self.engine.apply(&group.batches).map_err(Error::from);
        if result.is_err() {
            self.window.undo(self.engine.last_version());
        } else {
            self.groups.fetch_add(1, Ordering::Relaxed);
            self.metrics.record(replies.len(), self.clock.monotonic().saturating_sub(now));
            self.wake(&group);
        }
        answer(replies, &result);
    }

    /// The version of a request's commit, if nothing it read has changed.
    fn admit(&mut self, request: &Request) -> Result<u64, Error> {
        if let Some(since) = request.read_version {
            self.window.check(&request.reads, since)?;
        }
        let elapsed = self.clock.monotonic().saturating_sub(self.opened).as_micros();
        let by_time = self.first.saturating_add(u64::try_from(elapsed).unwrap_or(u64::MAX));
        self.last = by_time.max(self.last + 1).max(request.least_version);
        Ok(self.last)
    }

    /// Takes note of what the last batch of `group` wrote.
    fn note(&mut self, group: &Group, claims: Vec<(Bytes, Bytes)>, version: u64, now: Duration) {
        for op in group.batches.last().map(|batch| &batch.ops[..]).unwrap_or_default() {
            match op {
                Op::Set(key, _) | Op::Clear(key) => self.window.wrote_key(key.clone(), version, now),
                Op::ClearRange(begin, end) => {
                    self.window.wrote_range(begin.clone(), end.clone(), version, now);
                }
            }
        }
        for (begin, end) in claims {
            self.window.wrote_range(begin, end, version, now);
        }
    }

    fn wake(&self, group: &Group) {
        let (mut keys, mut ranges) = (Vec::new(), Vec::new());
        for op in group.batches.iter().flat_map(|batch| &batch.ops) {
            match op {
                Op::Set(key, _) | Op::Clear(key) => keys.push(key.clone()),
                Op::ClearRange(begin, end) => ranges.push((begin.clone(), end.clone())),
            }
        }
        self.watches.written(&keys, &ranges, &*self.engine);
    }
}

/// Without the committing thread nobody is answered any more: the process must end.
struct Alarm {
    engine: Arc<dyn Engine>,
    queue: Arc<Queue>,
}

impl Drop for Alarm {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let mut state = self.queue.state.lock();
            (state.closing, state.ended) = (true, true);
            state.requests.clear();
            state.closed.clear();
            drop(state);
            self.engine.fail("the committing thread has panicked");
        }
    }
}

fn answer(replies: Vec<(Reply, u64)>, result: &Result<(), Error>) {
    for (reply, version) in replies {
        let _ = reply.send(result.clone().map(|()| Versionstamp::new(version, 0)));
    }
}

/// The writes of a group so far, and what operations have to build on.
struct Group {
    engine: Arc<dyn Engine>,
    /// Taken for the first operation.
    below: Option<Arc<dyn Snapshot>>,
    batches: Vec<Batch>,
    latest: HashMap<Bytes, Option<Value>>,
    cleared: RangeSet,
}

impl Group {
    fn new(engine: Arc<dyn Engine>) -> Self {
        Group {
            engine,
            below: None,
            batches: Vec::new(),
            latest: HashMap::new(),
            cleared: RangeSet::default(),
        }
    }

    fn add(&mut self, writes: Vec<Prepared>, version: u64) -> Result<(), Error> {
        let stamp = Versionstamp::new(version, 0);
        let mut ops = Vec::with_capacity(writes.len());
        for write in writes {
            let op = match write {
                Prepared::Set(key, value) => Op::Set(key, value),
                Prepared::Clear(key) => Op::Clear(key),
                Prepared::ClearRange(begin, end) => Op::ClearRange(begin, end),
                Prepared::Atomic(op, key, operand) => self.resolve(op, &key, &operand, stamp)?,
            };
            self.remember(&op);
            ops.push(op);
        }
        self.batches.push(Batch { version, ops });
        Ok(())
    }

    fn resolve(
        &mut self,
        op: AtomicOp,
        key: &Bytes,
        operand: &Bytes,
        stamp: Versionstamp,
    ) -> Result<Op, Error> {
        if op.is_versionstamped() {
            let (key, value) = op.resolve(key, operand, stamp)?;
            return Ok(Op::Set(key, Value::prepare(value)));
        }
        let existing = self.current(key)?;
        Ok(match op.apply(existing.as_deref(), operand) {
            Some(value) => Op::Set(key.clone(), Value::prepare(value)),
            None => Op::Clear(key.clone()),
        })
    }

    fn current(&mut self, key: &Bytes) -> Result<Option<Bytes>, Error> {
        if let Some(value) = self.latest.get(key) {
            return Ok(value.as_ref().map(Value::unpack).transpose()?);
        }
        if self.cleared.contains(key) {
            return Ok(None);
        }
        let below = self.below.get_or_insert_with(|| self.engine.snapshot());
        Ok(below.get(key)?)
    }

    fn remember(&mut self, op: &Op) {
        match op {
            Op::Set(key, value) => drop(self.latest.insert(key.clone(), Some(value.clone()))),
            Op::Clear(key) => drop(self.latest.insert(key.clone(), None)),
            Op::ClearRange(begin, end) => {
                self.latest.retain(|key, _| key < begin || key >= end);
                self.cleared.insert(begin.clone(), end.clone());
            }
        }
    }
}
