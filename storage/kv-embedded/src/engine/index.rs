//! The index: every key with its small value or its pointer, in a redb file.
//!
//! Tables: `keys` (key to [`Slot`]), `segments` (number to bytes of values written and still in use), `dead`
//! (segment and offset to length: space that no key points to and that is not given back yet), `state`.
//! All of them change only in a checkpoint's one durable transaction, so they always agree.

use super::disk::DiskFile;
use super::log::Position;
use super::tombstones::covering;
use super::value::Slot;
use crate::Error;
use bytes::Bytes;
use parking_lot::{Condvar, Mutex};
use redb::{ReadOnlyTable, ReadTransaction, ReadableDatabase, StorageBackend, TableDefinition};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

pub(crate) const KEYS: TableDefinition<'static, &'static [u8], &'static [u8]> = TableDefinition::new("keys");
pub(crate) const SEGMENTS: TableDefinition<'static, u64, (u64, u64, u64)> = TableDefinition::new("segments");
pub(crate) const DEAD: TableDefinition<'static, (u64, u64), u64> = TableDefinition::new("dead");
const STATE: TableDefinition<'static, &'static str, &'static [u8]> = TableDefinition::new("state");

/// The index's file.
pub(crate) const FILE: &str = "index";

/// Its name while it is made.
pub(crate) const NEW_FILE: &str = "index.new";

/// How far the index reaches, and which store it belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct State {
    pub(crate) store: u64,
    /// The first group that is not in the index.
    pub(crate) position: Position,
    /// The last commit that is in it.
    pub(crate) version: u64,
}

const STATE_KEY: &str = "state";
const FORMAT: u64 = 1;

impl State {
    fn encode(&self) -> Vec<u8> {
        let p = &self.position;
        let fields = [FORMAT, self.store, p.segment, p.offset, p.sequence, self.version];
        fields.iter().flat_map(|field| field.to_le_bytes()).collect()
    }

    fn decode(bytes: &[u8]) -> Option<State> {
        let fields: Vec<u64> = bytes
            .chunks_exact(8)
            .filter_map(|chunk| chunk.first_chunk().copied().map(u64::from_le_bytes))
            .collect();
        let [FORMAT, store, segment, offset, sequence, version] = fields[..] else { return None };
        Some(State { store, position: Position { segment, offset, sequence }, version })
    }

    pub(crate) fn write(&self, transaction: &redb::WriteTransaction) -> Result<(), Error> {
        let mut table = transaction.open_table(STATE).map_err(Error::index)?;
        table.insert(STATE_KEY, &self.encode()[..]).map_err(Error::index)?;
        Ok(())
    }

    /// `None` in a new file.
    pub(crate) fn read(database: &redb::Database) -> Result<Option<State>, Error> {
        let transaction = database.begin_read().map_err(Error::index)?;
        let table = match transaction.open_table(STATE) {
            Ok(table) => table,
            Err(redb::TableError::TableDoesNotExist(_)) => return Ok(None),
            Err(error) => return Err(Error::index(error)),
        };
        let stored = table.get(STATE_KEY).map_err(Error::index)?;
        let Some(stored) = stored else { return Ok(None) };
        State::decode(stored.value()).map(Some).ok_or_else(|| corrupt("state of an unknown format"))
    }
}

pub(crate) fn corrupt(what: &'static str) -> Error {
    Error::Corrupt { file: FILE.into(), offset: 0, what }
}

/// Opens the index's file, or makes it.
pub(crate) fn open(
    file: Arc<dyn DiskFile>,
    gate: Arc<SpaceGate>,
    cache: usize,
) -> Result<redb::Database, Error> {
    let mut builder = redb::Builder::new();
    builder.set_cache_size(cache);
    builder.create_with_backend(IndexFile { file, gate }).map_err(Error::index)
}

/// One moment of the index.
pub(crate) struct Index {
    keys: ReadOnlyTable<&'static [u8], &'static [u8]>,
    /// Kept so that the moment stays readable.
    _transaction: ReadTransaction,
}

impl std::fmt::Debug for Index {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Index")
    }
}

impl Index {
    pub(crate) fn new(database: &redb::Database) -> Result<Self, Error> {
        let transaction = database.begin_read().map_err(Error::index)?;
        let keys = transaction.open_table(KEYS).map_err(Error::index)?;
        Ok(Index { keys, _transaction: transaction })
    }

    pub(crate) fn get(&self, key: &[u8]) -> Result<Slot, Error> {
        match self.keys.get(key).map_err(Error::index)? {
            Some(stored) => decode(stored.value()),
            None => Ok(Slot::Clear),
        }
    }

    /// Gives `take` each key of the range that is not clear, in order: those of `upper`, and of the index those
    /// that neither `upper` nor `hidden` speak of. False if `take` had enough.
    pub(crate) fn merge(
        &self,
        (begin, end): (&[u8], &[u8]),
        reverse: bool,
        upper: Vec<(Bytes, Slot)>,
        hidden: &[Vec<(Bytes, Bytes)>; 2],
        take: &mut impl FnMut(Bytes, Slot) -> Result<bool, Error>,
    ) -> Result<bool, Error> {
        let mut lower = Lower::new(self, begin, end, reverse)?;
        for (key, slot) in upper {
            while let Some(next) = lower.next_before(&key, hidden)? {
                if !take(next.0, next.1)? {
                    return Ok(false);
                }
            }
            if slot != Slot::Clear && !take(key, slot)? {
                return Ok(false);
            }
        }
        while let Some((key, slot)) = lower.next_visible(hidden)? {
            if !take(key, slot)? {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

fn decode(stored: &[u8]) -> Result<Slot, Error> {
    Slot::decode(stored).ok_or_else(|| corrupt("value of an unknown form"))
}

/// Reads the index in one direction, one row ahead.
struct Lower<'a> {
    index: &'a Index,
    range: redb::Range<'static, &'static [u8], &'static [u8]>,
    begin: Bytes,
    end: Bytes,
    reverse: bool,
    ahead: Option<(Bytes, Slot)>,
}

impl<'a> Lower<'a> {
    fn new(index: &'a Index, begin: &[u8], end: &[u8], reverse: bool) -> Result<Self, Error> {
        let range = index.keys.range::<&[u8]>(begin..end.max(begin)).map_err(Error::index)?;
        let (begin, end) = (Bytes::copy_from_slice(begin), Bytes::copy_from_slice(end));
        let mut lower = Lower { index, range, begin, end, reverse, ahead: None };
        lower.advance()?;
        Ok(lower)
    }

    fn advance(&mut self) -> Result<Option<(Bytes, Slot)>, Error> {
        let next = if self.reverse { self.range.next_back() } else { self.range.next() };
        let next = match next {
            Some(row) => {
                let (key, stored) = row.map_err(Error::index)?;
                Some((Bytes::copy_from_slice(key.value()), decode(stored.value())?))
            }
            None => None,
        };
        Ok(std::mem::replace(&mut self.ahead, next))
    }

    /// The next row that is not hidden. A cleared range is stepped over at once, however many rows it hides.
    fn next_visible(&mut self, hidden: &[Vec<(Bytes, Bytes)>; 2]) -> Result<Option<(Bytes, Slot)>, Error> {
        self.skip_hidden(hidden)?;
        self.advance()
    }

    fn skip_hidden(&mut self, hidden: &[Vec<(Bytes, Bytes)>; 2]) -> Result<(), Error> {
        while let Some((key, _)) = &self.ahead {
            let Some((from, to)) = hidden.iter().find_map(|ranges| covering(ranges, key)) else { break };
            let (begin, end) = if self.reverse {
                (self.begin.clone(), from.clone())
            } else {
                (to.clone(), self.end.clone())
            };
            if begin >= end {
                self.ahead = None;
                self.end = self.begin.clone();
                self.range =
                    self.index.keys.range::<&[u8]>(&self.begin[..]..&self.begin[..]).map_err(Error::index)?;
                break;
            }
            *self = Lower::new(self.index, &begin, &end, self.reverse)?;
        }
        Ok(())
    }

    /// The next visible row that comes before `key`; a row at `key` itself is dropped.
    fn next_before(
        &mut self,
        key: &[u8],
        hidden: &[Vec<(Bytes, Bytes)>; 2],
    ) -> Result<Option<(Bytes, Slot)>, Error> {
        self.skip_hidden(hidden)?;
        let Some((ahead, _)) = &self.ahead else { return Ok(None) };
        if **ahead == *key {
            self.advance()?;
            return Ok(None);
        }
        if (**ahead < *key) == self.reverse { Ok(None) } else { self.advance() }
    }
}

/// Where the index waits while the disk is full: redb cannot go on after a failed write, and need not, since
/// everything is in the log.
#[derive(Debug, Default)]
pub(crate) struct SpaceGate {
    waiting: AtomicBool,
    closing: AtomicBool,
    lock: Mutex<()>,
    closed: Condvar,
}

impl SpaceGate {
    /// Whether a write of the index waits for space.
    pub(crate) fn is_waiting(&self) -> bool {
        self.waiting.load(Ordering::Acquire)
    }

    /// From now on a write fails instead of waiting.
    pub(crate) fn close(&self) {
        let _lock = self.lock.lock();
        self.closing.store(true, Ordering::Release);
        self.closed.notify_all();
    }

    /// Whether it was told not to wait.
    pub(crate) fn is_closed(&self) -> bool {
        self.closing.load(Ordering::Acquire)
    }

    /// Repeats `write` until it is not refused for want of space.
    fn pass(&self, mut write: impl FnMut() -> io::Result<()>) -> io::Result<()> {
        const PAUSE: Duration = Duration::from_millis(200);
        loop {
            let result = write();
            let full =
                matches!(&result, Err(e) if matches!(Error::io("")(e.kind().into()), Error::OutOfSpace));
            let mut lock = self.lock.lock();
            if !full || self.closing.load(Ordering::Acquire) {
                if self.waiting.swap(false, Ordering::AcqRel) {
                    crate::metrics::waits_for_space(false);
                }
                return result;
            }
            if !self.waiting.swap(true, Ordering::AcqRel) {
                crate::metrics::waits_for_space(true);
                tracing::warn!("disk full: the store's index waits for space");
            }
            self.closed.wait_for(&mut lock, PAUSE);
        }
    }
}

/// The index's file as redb sees it.
#[derive(Debug)]
struct IndexFile {
    file: Arc<dyn DiskFile>,
    gate: Arc<SpaceGate>,
}

impl StorageBackend for IndexFile {
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let read = self.file.read_at(out, offset)?;
        if read == out.len() { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.gate.pass(|| self.file.set_len(len))
    }

    fn sync_data(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.gate.pass(|| self.file.write_at(data, offset))
    }
}
