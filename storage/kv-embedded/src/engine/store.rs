//! The engine as a whole: the log and the memory table in front, the index behind, a thread between them.

use super::checkpoint;
use super::disk::Disk;
use super::group::SEGMENT_HEADER;
use super::health::{Alarm, Fatality, Health};
use super::index::{self, Index, SpaceGate, State};
use super::log::{Log, Position};
use super::memtable::Memtable;
use super::reclaim::{self, Reclaimer};
use super::recovery;
use super::segment::{self, Segments};
use super::value::{Pointer, Slot, Value};
use super::view::{View, ViewSnapshot};
use super::{Batch, Engine, Op, Snapshot};
use crate::Error;
use bytes::Bytes;
use parking_lot::{Condvar, Mutex, RwLock};
use runtime::SharedRng;
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;
use std::time::Duration;

/// How the engine is run.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Memory for pages of the index, in bytes.
    pub cache_bytes: usize,
    /// Memory after which the memory table is applied to the index. Twice as much can be in use meanwhile.
    pub memtable_bytes: usize,
    /// Log behind the index after which the same is done: what opening after a crash has to read.
    pub log_bytes: u64,
    /// Length of a segment of the log.
    pub segment_bytes: u64,
    /// How far a segment is grown ahead.
    pub allocation_step: u64,
    /// What happens when the engine must stop.
    pub fatality: Fatality,
}

impl Settings {
    /// Sizes for a process that may use `memory` bytes. The larger the memory table, the more keys share a page of
    /// the index when they are applied to it, and the fewer bytes are written for each.
    pub fn for_memory(memory: u64) -> Self {
        let memtable = (memory / 128).clamp(8 << 20, 128 << 20);
        Settings { memtable_bytes: memtable as usize, log_bytes: 8 * memtable, ..Settings::default() }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            cache_bytes: 8 << 20,
            memtable_bytes: 32 << 20,
            log_bytes: 256 << 20,
            segment_bytes: 64 << 20,
            allocation_step: 4 << 20,
            fatality: Fatality::abort(),
        }
    }
}

/// A memory table larger than this is applied when nobody has written for a while, to free its memory.
const WORTH_FREEING: usize = 1 << 20;

/// How often the index thread looks whether dead space can be given back.
const LOOK: Duration = Duration::from_secs(1);

/// Bytes that a group of batches aims at.
const BATCH_TARGET: usize = 4 << 20;

/// The engine. See the [module](super).
pub struct LogEngine {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

struct Shared {
    settings: Settings,
    segments: Arc<Segments>,
    health: Arc<Health>,
    gate: Arc<SpaceGate>,
    database: redb::Database,
    published: RwLock<Published>,
    log: Mutex<Log>,
    work: Mutex<Work>,
    changed: Condvar,
    /// Keeps other processes out, until the store is closed.
    lock: Mutex<Option<Box<dyn Send + Sync>>>,
}

struct Published {
    view: Arc<View>,
    version: u64,
}

struct Work {
    frozen: Option<Frozen>,
    closing: bool,
    /// [`Log::written`] when the memory table was frozen last.
    written: u64,
    /// Views that were replaced and may be in use.
    views: Vec<Weak<View>>,
    /// Memory tables applied at rest: an allocator frees best in the thread that has allocated.
    retired: Vec<Arc<Memtable>>,
}

#[derive(Clone)]
struct Frozen {
    table: Arc<Memtable>,
    state: State,
    /// Frozen not because it had grown, but because nobody writes.
    at_rest: bool,
}

impl LogEngine {
    /// Opens the store on `disk`, or makes one there.
    pub fn open(disk: Arc<dyn Disk>, settings: Settings, rng: &SharedRng) -> Result<Arc<Self>, Error> {
        let lock = disk.lock().map_err(Error::io("lock the store's folder"))?.ok_or(Error::Locked)?;
        let gate = Arc::new(SpaceGate::default());
        let (database, state) = open_index(&*disk, &gate, settings.cache_bytes, rng)?;
        let segments = Arc::new(Segments::new(disk, state.store));
        let table = Arc::new(Memtable::default());
        let recovered = recovery::replay(&segments, &state, &table)?;
        let reclaimer = Reclaimer::new(recovery::space(&database)?);
        let health = Arc::new(Health::new(settings.fatality.clone()));
        let sizes = (settings.segment_bytes, settings.allocation_step);
        let mut log = Log::new(segments.clone(), health.clone(), recovered.tail, sizes)?;
        log.written = recovered.bytes;
        let view = Arc::new(View { active: table, frozen: None, index: Arc::new(Index::new(&database)?) });
        let shared = Arc::new(Shared {
            settings,
            segments,
            health,
            gate,
            database,
            published: RwLock::new(Published { view, version: recovered.version }),
            log: Mutex::new(log),
            work: Mutex::new(Work {
                frozen: None,
                closing: false,
                written: 0,
                views: Vec::new(),
                retired: Vec::new(),
            }),
            changed: Condvar::new(),
            lock: Mutex::new(Some(lock)),
        });
        shared.freeze_if_grown(&shared.log.lock());
        let (in_thread, oldest) = (shared.clone(), state.position.segment);
        let thread = std::thread::Builder::new()
            .name("godwit-index".into())
            .spawn(move || in_thread.run(reclaimer, oldest))
            .map_err(Error::io("start a thread"))?;
        Ok(Arc::new(LogEngine { shared, thread: Mutex::new(Some(thread)) }))
    }

    /// Applies the memory table to the index now, and waits for it.
    pub fn checkpoint(&self) -> Result<(), Error> {
        self.shared.wait_for_index()?;
        self.shared.freeze(&self.shared.log.lock(), false);
        self.shared.wait_for_index()
    }
}

/// Makes the index of a new store under another name, so that a file called `index` is a whole one.
fn create_index(disk: &dyn Disk, gate: Arc<SpaceGate>, cache: usize, rng: &SharedRng) -> Result<(), Error> {
    if !segment::list(disk)?.is_empty() {
        return Err(index::corrupt("it is missing, and there is a log"));
    }
    let file = disk.open(index::NEW_FILE, true).map_err(Error::io("make the index"))?;
    file.set_len(0).map_err(Error::io("make the index"))?;
    let position = Position { segment: 1, offset: SEGMENT_HEADER, sequence: 1 };
    let database = index::open(file, gate, cache)?;
    recovery::initialize(&database, &State { store: rng.u64(), position, version: 0 })?;
    drop(database);
    let renamed = disk.rename(index::NEW_FILE, index::FILE).and_then(|()| disk.sync_folder());
    renamed.map_err(Error::io("make the index"))
}

fn open_index(
    disk: &dyn Disk,
    gate: &Arc<SpaceGate>,
    cache: usize,
    rng: &SharedRng,
) -> Result<(redb::Database, State), Error> {
    let names = disk.list().map_err(Error::io("list the store's folder"))?;
    if !names.iter().any(|name| name == index::FILE) {
        create_index(disk, gate.clone(), cache, rng)?;
    }
    let file = disk.open(index::FILE, false).map_err(Error::io("open the index"))?;
    let database = index::open(file, gate.clone(), cache)?;
    let state = State::read(&database)?.ok_or_else(|| index::corrupt("it has no state"))?;
    Ok((database, state))
}

impl Engine for LogEngine {
    fn snapshot(&self) -> Arc<dyn Snapshot> {
        Arc::new(self.shared.snapshot())
    }

    fn apply(&self, batches: &[Batch]) -> Result<(), Error> {
        let Some(last) = batches.last() else { return Ok(()) };
        self.shared.wait_for_room()?;
        let mut log = self.shared.log.lock();
        self.shared.append(&mut log, batches, last.version)
    }

    fn last_version(&self) -> u64 {
        self.shared.published.read().version
    }

    fn batch_target(&self) -> usize {
        BATCH_TARGET.min(self.shared.settings.segment_bytes as usize / 4)
    }

    fn rest(&self) -> bool {
        self.shared.rest()
    }

    fn check(&self) -> Result<(), Error> {
        self.shared.health.check()
    }

    fn fail(&self, why: &str) {
        self.shared.health.stop(&Error::Stopped(why.into()));
    }

    fn close(&self) -> Result<(), Error> {
        let Some(thread) = self.thread.lock().take() else { return Ok(()) };
        // With a full disk the index stays behind; the log has everything.
        if self.checkpoint().is_err() {
            self.shared.gate.close();
        }
        self.shared.work.lock().closing = true;
        self.shared.changed.notify_all();
        let ended = thread.join();
        let healthy = self.shared.health.check();
        self.shared.health.close();
        // Handles that are still around can neither read nor write.
        self.shared.lock.lock().take();
        ended.map_err(|_| Error::Stopped("the index thread has panicked".into()))?;
        // Closed already: it gave up waiting for space, and what it has not applied is in the log.
        healthy.or_else(|error| if matches!(error, Error::Closed) { Ok(()) } else { Err(error) })
    }
}

impl Drop for LogEngine {
    fn drop(&mut self) {
        if let Err(error) = self.close() {
            tracing::warn!(%error, "the store was not closed cleanly; opening will recover it");
        }
    }
}

impl Shared {
    fn snapshot(&self) -> ViewSnapshot {
        let published = self.published.read();
        ViewSnapshot {
            view: published.view.clone(),
            version: published.version,
            segments: self.segments.clone(),
        }
    }

    fn append(&self, log: &mut Log, batches: &[Batch], version: u64) -> Result<(), Error> {
        self.health.check()?;
        let placed = log.append(batches)?;
        let active = self.published.read().view.active.clone();
        active.apply(placed);
        self.published.write().version = version;
        self.freeze_if_grown(log);
        Ok(())
    }

    fn freeze_if_grown(&self, log: &Log) {
        let bytes = self.published.read().view.active.bytes();
        let behind = log.written - self.work.lock().written;
        if bytes >= self.settings.memtable_bytes || behind >= self.settings.log_bytes {
            self.freeze(log, false);
        }
    }

    /// Begins a new memory table, unless the last frozen one is still there. The log is locked.
    fn freeze(&self, log: &Log, at_rest: bool) {
        let mut work = self.work.lock();
        let mut published = self.published.write();
        let old = published.view.clone();
        if work.frozen.is_some() || old.active.bytes() == 0 {
            return;
        }
        let table = old.active.clone();
        let view = View { active: Arc::default(), frozen: Some(table.clone()), index: old.index.clone() };
        published.view = Arc::new(view);
        let state =
            State { store: self.segments.store, position: log.position(), version: published.version };
        work.written = log.written;
        work.views.push(Arc::downgrade(&old));
        work.frozen = Some(Frozen { table, state, at_rest });
        self.changed.notify_all();
    }

    /// Holds writes back when the index is a whole memory table behind.
    fn wait_for_room(&self) -> Result<(), Error> {
        self.health.check()?;
        let limits = (2 * self.settings.memtable_bytes, 2 * self.settings.log_bytes);
        let grown = || {
            let bytes = self.published.read().view.active.bytes();
            bytes >= limits.0 || self.log.lock().written - self.work.lock().written >= limits.1
        };
        if !grown() {
            return Ok(());
        }
        self.wait_for_index()
    }

    fn wait_for_index(&self) -> Result<(), Error> {
        let mut work = self.work.lock();
        self.wait_while_frozen(&mut work);
        let waits_for_space = work.frozen.is_some() && self.gate.is_waiting();
        if waits_for_space { Err(Error::OutOfSpace) } else { self.health.check() }
    }

    fn wait_while_frozen(&self, work: &mut parking_lot::MutexGuard<'_, Work>) {
        const LOOK_AGAIN: Duration = Duration::from_millis(100);
        while work.frozen.is_some() && self.health.check().is_ok() && !self.gate.is_waiting() {
            self.changed.wait_for(work, LOOK_AGAIN);
        }
    }

    /// The index thread.
    fn run(&self, mut reclaimer: Reclaimer, mut oldest: u64) {
        let _alarm = Alarm(self.health.clone());
        loop {
            let (frozen, closing) = self.next_work(&reclaimer);
            let result = match frozen {
                Some(frozen) => {
                    oldest = frozen.state.position.segment;
                    self.checkpoint(&frozen, &mut reclaimer)
                }
                None if closing => return,
                None => Ok(()),
            };
            match result {
                // It was told to give up waiting for space.
                Err(_) if self.gate.is_closed() => return self.health.close(),
                // What the index holds on disk is not known then.
                Err(error) => return drop(self.health.stop(&error)),
                Ok(()) => {}
            }
            // Space that cannot be given back now is no reason to stop.
            if let Err(error) = self.reclaim(&mut reclaimer, oldest, closing) {
                tracing::warn!(%error, "space in the log could not be given back");
            }
        }
    }

    fn next_work(&self, reclaimer: &Reclaimer) -> (Option<Frozen>, bool) {
        let mut work = self.work.lock();
        if work.frozen.is_none() && !work.closing {
            if reclaimer.is_waiting() {
                self.changed.wait_for(&mut work, LOOK);
            } else {
                self.changed.wait(&mut work);
            }
        }
        (work.frozen.clone(), work.closing)
    }

    fn rest(&self) -> bool {
        let retired = std::mem::take(&mut self.work.lock().retired);
        drop(retired);
        if let Some(log) = self.log.try_lock()
            && self.published.read().view.active.bytes() > WORTH_FREEING
        {
            self.freeze(&log, true);
        }
        let work = self.work.lock();
        work.frozen.is_some() || !work.retired.is_empty()
    }

    fn checkpoint(&self, frozen: &Frozen, reclaimer: &mut Reclaimer) -> Result<(), Error> {
        let done = reclaimer.take_done();
        let changes = checkpoint::run(&self.database, &frozen.table, &frozen.state, &done)?;
        crate::metrics::checkpoint();
        let index = Arc::new(Index::new(&self.database)?);
        let mut work = self.work.lock();
        {
            let mut published = self.published.write();
            let view = View { active: published.view.active.clone(), frozen: None, index };
            work.views.push(Arc::downgrade(&published.view));
            published.view = Arc::new(view);
        }
        work.frozen = None;
        if frozen.at_rest {
            work.retired.push(frozen.table.clone());
        }
        work.views.retain(|view| view.strong_count() > 0);
        let views = work.views.clone();
        drop(work);
        self.changed.notify_all();
        reclaimer.checkpointed(recovery::usage(&self.database)?, changes, views);
        Ok(())
    }

    fn reclaim(&self, reclaimer: &mut Reclaimer, oldest: u64, closing: bool) -> Result<(), Error> {
        reclaimer.tick(&self.segments, oldest)?;
        if closing {
            return Ok(());
        }
        match reclaimer.candidate(oldest, self.settings.segment_bytes) {
            Some(number) => {
                let piece = self.settings.segment_bytes / 64;
                reclaim::values(&self.segments, number, piece, |values| self.relocate(values))
            }
            None => Ok(()),
        }
    }

    /// Appends those of `values` that are still in use to the log again.
    fn relocate(&self, values: Vec<(Bytes, Pointer)>) -> Result<(), Error> {
        let mut log = self.log.lock();
        // Nobody writes meanwhile, so this is what the keys point to now.
        let now = self.snapshot();
        let mut ops = Vec::new();
        for (key, pointer) in values {
            if now.slot(&key)? == Slot::Pointer(pointer) {
                let stored = self.segments.read_stored(&pointer)?;
                ops.push(Op::Set(key, Value::Large { stored, raw_len: pointer.raw_len, crc: pointer.crc }));
            }
        }
        if ops.is_empty() {
            return Ok(());
        }
        // The values stay the same, and so does the version.
        self.append(&mut log, &[Batch { version: now.version, ops }], now.version)
    }
}
