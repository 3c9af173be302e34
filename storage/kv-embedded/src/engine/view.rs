//! What a snapshot reads: the memory table, the one being checkpointed, and the index below them.

use super::Snapshot;
use super::index::Index;
use super::memtable::{Memtable, Run};
use super::segment::Segments;
use super::tombstones::covering;
use super::value::Slot;
use crate::Error;
use bytes::Bytes;
use kv::{RangePage, RangeRequest, successor};
use std::cmp::Ordering;
use std::sync::Arc;

/// Entries taken from a memory table at a time: so many at least and at most.
const RUN: (usize, usize) = (16, 512);

/// The tables that make up the store, newest first. It is replaced as a whole.
#[derive(Debug)]
pub(crate) struct View {
    pub(crate) active: Arc<Memtable>,
    pub(crate) frozen: Option<Arc<Memtable>>,
    pub(crate) index: Arc<Index>,
}

/// A view at a version.
#[derive(Clone, Debug)]
pub(crate) struct ViewSnapshot {
    pub(crate) view: Arc<View>,
    pub(crate) version: u64,
    pub(crate) segments: Arc<Segments>,
}

impl ViewSnapshot {
    /// What the store says about `key`.
    pub(crate) fn slot(&self, key: &[u8]) -> Result<Slot, Error> {
        if let Some(slot) = self.view.active.get(key, self.version) {
            return Ok(slot);
        }
        if let Some(slot) = self.view.frozen.as_ref().and_then(|frozen| frozen.get(key, self.version)) {
            return Ok(slot);
        }
        self.view.index.get(key)
    }

    fn value(&self, slot: Slot) -> Result<Option<Bytes>, Error> {
        match slot {
            Slot::Clear => Ok(None),
            Slot::Inline(value) => Ok(Some(value)),
            Slot::Pointer(pointer) => self.segments.read(&pointer).map(Some),
        }
    }

    /// Slots of a range, clear ones left out, each given to `take` until it says that it has enough.
    fn each(
        &self,
        request: &RangeRequest,
        mut take: impl FnMut(Bytes, Slot) -> Result<bool, Error>,
    ) -> Result<bool, Error> {
        let (mut begin, mut end) = (request.begin.clone(), request.end.clone());
        while begin < end {
            let upper = self.upper(&begin, &end, request.reverse, request.row_limit().clamp(RUN.0, RUN.1));
            // The memory tables spoke only of a part of the range: deal with that part first.
            let part = match (&upper.frontier, request.reverse) {
                (None, _) => (begin.clone(), end.clone()),
                (Some(last), false) => (begin.clone(), successor(last)),
                (Some(last), true) => (last.clone(), end.clone()),
            };
            if !self.view.index.merge(
                (&part.0, &part.1),
                request.reverse,
                upper.entries,
                &upper.hidden,
                &mut take,
            )? {
                return Ok(false);
            }
            if request.reverse {
                end = part.0;
            } else {
                begin = part.1;
            }
            if upper.frontier.is_none() {
                break;
            }
        }
        Ok(true)
    }

    /// The memory tables' say about the first part of `begin..end`.
    fn upper(&self, begin: &Bytes, end: &Bytes, reverse: bool, limit: usize) -> Upper {
        let active = self.view.active.run(begin, end, self.version, reverse, limit);
        let frozen = match &self.view.frozen {
            Some(frozen) => frozen.run(begin, end, self.version, reverse, limit),
            None => Run::default(),
        };
        let order = |a: &Bytes, b: &Bytes| if reverse { b.cmp(a) } else { a.cmp(b) };
        let last = |run: &Run| run.entries.last().filter(|_| run.more).map(|(key, _)| key.clone());
        let frontier = match (last(&active), last(&frozen)) {
            (Some(a), Some(b)) => Some(if order(&a, &b) == Ordering::Less { a } else { b }),
            (a, b) => a.or(b),
        };
        let visible = frozen.entries.into_iter().filter(|(key, _)| covering(&active.cleared, key).is_none());
        let mut entries = merge(active.entries, visible, order);
        if let Some(frontier) = &frontier {
            let within = entries.partition_point(|(key, _)| order(key, frontier) != Ordering::Greater);
            entries.truncate(within);
        }
        Upper { entries, hidden: [active.cleared, frozen.cleared], frontier }
    }
}

struct Upper {
    entries: Vec<(Bytes, Slot)>,
    /// Ranges cleared by either table, which hide what the index holds.
    hidden: [Vec<(Bytes, Bytes)>; 2],
    /// The last key that both tables have spoken of; `None` if they have spoken of the whole range.
    frontier: Option<Bytes>,
}

/// Both in one order; where both have a key, that of `newer`.
fn merge(
    newer: Vec<(Bytes, Slot)>,
    older: impl Iterator<Item = (Bytes, Slot)>,
    order: impl Fn(&Bytes, &Bytes) -> Ordering,
) -> Vec<(Bytes, Slot)> {
    let (mut newer, mut older) = (newer.into_iter().peekable(), older.peekable());
    let mut out = Vec::new();
    loop {
        let side = match (newer.peek(), older.peek()) {
            (Some((a, _)), Some((b, _))) => order(a, b),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (None, None) => return out,
        };
        out.extend(if side == Ordering::Greater { older.next() } else { newer.next() });
        if side == Ordering::Equal {
            older.next();
        }
    }
}

impl Snapshot for ViewSnapshot {
    fn version(&self) -> u64 {
        self.version
    }

    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, Error> {
        self.value(self.slot(key)?)
    }

    fn scan(&self, request: &RangeRequest) -> Result<RangePage, Error> {
        let mut rows = Vec::new();
        let mut bytes = 0;
        let whole = self.each(request, |key, slot| {
            if let Some(value) = self.value(slot)? {
                bytes += key.len() + value.len();
                rows.push((key, value));
            }
            Ok(rows.len() < request.row_limit() && bytes < request.byte_target())
        })?;
        Ok(RangePage { rows, more: !whole })
    }
}
