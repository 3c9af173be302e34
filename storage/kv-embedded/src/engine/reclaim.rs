//! Giving space back, once nobody can read it.
//!
//! What a checkpoint found dead may still be read by snapshots of views from before it. When the last of these
//! views is gone, segments without live values are removed and holes are punched into the others; the next
//! checkpoint notes that. A segment of which less than half of what it still takes is live (many small dead
//! values leave no whole block to punch, or the file system knows no holes) is rewritten: its live values are
//! appended to the log again, and it dies as a whole.

use super::checkpoint::{Changes, Extent, Punched, Reclaimed, Usage};
use super::group::{Placed, PlacedBatch};
use super::recovery::{Space, walk};
use super::segment::Segments;
use super::value::{Pointer, Slot};
use super::view::View;
use crate::Error;
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Weak};

/// Holes are made of whole blocks of this many bytes.
const BLOCK: u64 = 4096;

/// From where to where there are whole blocks in `extent`, if there are.
pub(crate) fn blocks((offset, len): Extent) -> Option<(u64, u64)> {
    let (from, to) = (offset.next_multiple_of(BLOCK), (offset + len) / BLOCK * BLOCK);
    (from < to).then_some((from, to))
}

/// Space in use and space to be given back.
#[derive(Debug, Default)]
pub(crate) struct Reclaimer {
    usage: BTreeMap<u64, Usage>,
    pending: VecDeque<Pending>,
    /// Done since the last checkpoint.
    done: Reclaimed,
    removed: BTreeSet<u64>,
    rewritten: BTreeSet<u64>,
}

#[derive(Debug)]
struct Pending {
    /// Views that may still read it.
    views: Vec<Weak<View>>,
    dead: BTreeMap<u64, Vec<Extent>>,
}

impl Reclaimer {
    /// With what the index knew at opening; no view is older than that.
    pub(crate) fn new(space: Space) -> Self {
        let mut dead: BTreeMap<u64, Vec<Extent>> = BTreeMap::new();
        for (segment, extent) in space.dead {
            dead.entry(segment).or_default().push(extent);
        }
        let pending = VecDeque::from([Pending { views: Vec::new(), dead }]);
        Reclaimer { usage: space.usage, pending, ..Reclaimer::default() }
    }

    /// What the next checkpoint has to note.
    pub(crate) fn take_done(&mut self) -> Reclaimed {
        std::mem::take(&mut self.done)
    }

    /// A checkpoint has found `changes`; `views` are all from before it.
    pub(crate) fn checkpointed(
        &mut self,
        usage: BTreeMap<u64, Usage>,
        changes: Changes,
        views: Vec<Weak<View>>,
    ) {
        self.usage = usage;
        self.removed.retain(|number| self.usage.contains_key(number));
        self.rewritten.retain(|number| self.usage.contains_key(number));
        self.pending.push_back(Pending { views, dead: changes.dead });
    }

    /// Gives back what nobody can read any more. `oldest` is the first segment the log needs.
    pub(crate) fn tick(&mut self, segments: &Segments, oldest: u64) -> Result<(), Error> {
        while let Some(next) = self.pending.front() {
            if next.views.iter().any(|view| view.strong_count() > 0) {
                return Ok(());
            }
            let Some(Pending { dead, .. }) = self.pending.pop_front() else { break };
            for (number, extents) in dead {
                if self.usage.get(&number).is_some_and(|usage| usage.live > 0) {
                    self.punch(segments, number, extents)?;
                }
            }
        }
        self.remove_dead(segments, oldest)
    }

    /// Removes each segment that the log does not need and in which nothing lives. All views that could read
    /// it are gone, since nothing is pending.
    fn remove_dead(&mut self, segments: &Segments, oldest: u64) -> Result<(), Error> {
        for number in segments.list()?.into_iter().take_while(|number| *number < oldest) {
            let lives = self.usage.get(&number).is_some_and(|usage| usage.live > 0);
            if !lives && !self.removed.contains(&number) {
                segments.remove(number)?;
                self.removed.insert(number);
                self.done.removed.push(number);
            }
        }
        Ok(())
    }

    fn punch(&mut self, segments: &Segments, number: u64, extents: Vec<Extent>) -> Result<(), Error> {
        let file = segments.file(number)?;
        for (offset, len) in extents {
            let freed = match blocks((offset, len)) {
                Some((from, to)) if file.punch(from, to - from).map_err(Error::io("punch a hole"))? => {
                    to - from
                }
                Some(_) => return Ok(()),
                None => 0,
            };
            self.done.punched.push(Punched { segment: number, offset, freed });
        }
        Ok(())
    }

    /// A segment worth rewriting, once each.
    pub(crate) fn candidate(&mut self, oldest: u64, segment_bytes: u64) -> Option<u64> {
        if !self.pending.is_empty() {
            return None;
        }
        let found = self.usage.range(..oldest).find(|(number, usage)| {
            let taken = usage.written.saturating_sub(usage.punched);
            let dead = taken.saturating_sub(usage.live);
            usage.live > 0 && dead > taken / 2 && dead > segment_bytes / 8 && !self.rewritten.contains(number)
        })?;
        let number = *found.0;
        self.rewritten.insert(number);
        Some(number)
    }

    /// Whether something waits for views to go.
    pub(crate) fn is_waiting(&self) -> bool {
        !self.pending.is_empty()
    }
}

/// The large values that were written into a segment, with their keys, in pieces of about `bytes`.
pub(crate) fn values(
    segments: &Arc<Segments>,
    number: u64,
    bytes: u64,
    mut each: impl FnMut(Vec<(Bytes, Pointer)>) -> Result<(), Error>,
) -> Result<(), Error> {
    let (mut piece, mut size) = (Vec::new(), 0);
    walk(segments, number, |batches: Vec<PlacedBatch>| {
        for op in batches.into_iter().flat_map(|batch| batch.ops) {
            if let Placed::Put(key, Slot::Pointer(pointer)) = op {
                size += u64::from(pointer.len);
                piece.push((key, pointer));
            }
        }
        if size >= bytes {
            size = 0;
            each(std::mem::take(&mut piece))?;
        }
        Ok(())
    })?;
    each(piece)
}
