//! Applying a frozen memory table to the index, in one durable transaction.
//!
//! Only the last version of each key is written. Pointers that nothing refers to any more, in the index or
//! among the older versions in the table, become dead space, which is noted in the same transaction, so that
//! the bytes in use of each segment always agree with the keys.

use super::index::{DEAD, KEYS, SEGMENTS, State};
use super::memtable::{Memtable, Table};
use super::reclaim::blocks;
use super::value::{Pointer, Slot};
use crate::Error;
use std::collections::BTreeMap;

/// Bytes of large values in a segment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Usage {
    /// Ever written.
    pub(crate) written: u64,
    /// Pointed to by a key.
    pub(crate) live: u64,
    /// Given back to the file system.
    pub(crate) punched: u64,
}

/// A piece of a segment: offset and length.
pub(crate) type Extent = (u64, u64);

/// What was found dead, and what has been given back since the last checkpoint.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    /// Segments whose usage has changed.
    usage: BTreeMap<u64, Usage>,
    /// Dead space, by segment.
    pub(crate) dead: BTreeMap<u64, Vec<Extent>>,
}

/// What the reclaimer has done and the index does not know yet.
#[derive(Debug, Default)]
pub(crate) struct Reclaimed {
    pub(crate) punched: Vec<Punched>,
    pub(crate) removed: Vec<u64>,
}

/// A dead extent that has been dealt with, and the bytes that this has freed.
#[derive(Debug)]
pub(crate) struct Punched {
    pub(crate) segment: u64,
    pub(crate) offset: u64,
    pub(crate) freed: u64,
}

/// Applies `frozen` to the index, which reaches up to `state` then. Returns what became dead.
pub(crate) fn run(
    database: &redb::Database,
    frozen: &Memtable,
    state: &State,
    reclaimed: &Reclaimed,
) -> Result<Changes, Error> {
    let mut transaction = database.begin_write().map_err(Error::index)?;
    // Two-phase, and with the free pages listed: opening after a crash need not walk the file.
    transaction.set_quick_repair(true);
    let mut changes = Changes::default();
    apply(&transaction, &frozen.read(), &mut changes)?;
    changes.finish(&transaction, reclaimed)?;
    state.write(&transaction)?;
    transaction.commit().map_err(Error::index)?;
    Ok(changes)
}

fn apply(transaction: &redb::WriteTransaction, table: &Table, changes: &mut Changes) -> Result<(), Error> {
    let mut keys = transaction.open_table(KEYS).map_err(Error::index)?;
    for (begin, end) in table.cleared.all() {
        let range = &begin[..]..&end[..];
        let removed = keys.extract_from_if::<&[u8], _>(range, |_, _| true).map_err(Error::index)?;
        for row in removed {
            changes.orphan(Slot::decode_pointer(row.map_err(Error::index)?.1.value()));
        }
    }
    let mut stored = Vec::new();
    for (key, versions) in &table.points {
        let Some(((at, last), older)) = versions.split_last() else { continue };
        let older = older.iter().map(|(_, slot)| slot);
        for pointer in older.filter_map(pointer) {
            changes.placed(pointer);
            changes.orphan(Some(*pointer));
        }
        pointer(last).into_iter().for_each(|pointer| changes.placed(pointer));
        let cleared = table.cleared.newest(key, u64::MAX).is_some_and(|clear| clear > *at);
        if cleared {
            changes.orphan(pointer(last).copied());
        }
        let old = if !cleared && last.encode(&mut stored) {
            keys.insert(&key[..], &stored[..]).map_err(Error::index)?
        } else {
            keys.remove(&key[..]).map_err(Error::index)?
        };
        changes.orphan(old.and_then(|old| Slot::decode_pointer(old.value())));
    }
    Ok(())
}

fn pointer(slot: &Slot) -> Option<&Pointer> {
    if let Slot::Pointer(pointer) = slot { Some(pointer) } else { None }
}

impl Changes {
    /// A value was written.
    fn placed(&mut self, pointer: &Pointer) {
        let usage = self.usage.entry(pointer.segment).or_default();
        usage.written += u64::from(pointer.len);
        usage.live += u64::from(pointer.len);
    }

    /// Nothing points to a value any more.
    fn orphan(&mut self, pointer: Option<Pointer>) {
        if let Some(Pointer { segment, offset, len, .. }) = pointer {
            self.dead.entry(segment).or_default().push((offset.into(), len.into()));
        }
    }

    fn finish(&mut self, transaction: &redb::WriteTransaction, reclaimed: &Reclaimed) -> Result<(), Error> {
        let mut segments = transaction.open_table(SEGMENTS).map_err(Error::index)?;
        let mut dead = transaction.open_table(DEAD).map_err(Error::index)?;
        let mut totals = BTreeMap::new();
        for number in self.usage.keys().chain(self.dead.keys()).copied() {
            totals.entry(number).or_insert(usage(&segments, number)?);
        }
        for (number, added) in &self.usage {
            let total = totals.entry(*number).or_default();
            total.written += added.written;
            total.live += added.live;
        }
        for (number, extents) in &mut self.dead {
            let total = totals.entry(*number).or_default();
            total.live = total.live.saturating_sub(extents.iter().map(|(_, len)| len).sum());
            join(extents);
            extents.retain(|extent| blocks(*extent).is_some());
            for (offset, len) in extents.iter() {
                dead.insert((*number, *offset), *len).map_err(Error::index)?;
            }
        }
        for Punched { segment, offset, freed } in &reclaimed.punched {
            let old = usage(&segments, *segment)?;
            let total = totals.entry(*segment).or_insert(old);
            total.punched += freed;
            dead.remove((*segment, *offset)).map_err(Error::index)?;
        }
        for (number, u) in totals {
            segments.insert(number, (u.written, u.live, u.punched)).map_err(Error::index)?;
        }
        for number in &reclaimed.removed {
            segments.remove(number).map_err(Error::index)?;
            let mut all = dead
                .extract_from_if((*number, 0)..=(*number, u64::MAX), |_, _| true)
                .map_err(Error::index)?;
            all.try_for_each(|row| row.map(drop)).map_err(Error::index)?;
        }
        Ok(())
    }
}

fn usage(segments: &redb::Table<'_, u64, (u64, u64, u64)>, number: u64) -> Result<Usage, Error> {
    use redb::ReadableTable;
    let stored = segments.get(number).map_err(Error::index)?;
    Ok(stored.map_or_else(Usage::default, |stored| Usage::from_row(stored.value())))
}

impl Usage {
    pub(crate) fn from_row((written, live, punched): (u64, u64, u64)) -> Self {
        Usage { written, live, punched }
    }
}

/// Sorts extents and joins those that touch.
fn join(extents: &mut Vec<Extent>) {
    extents.sort_unstable();
    extents.dedup_by(|(next, next_len), (at, len)| {
        let touch = *at + *len == *next;
        *len += if touch { *next_len } else { 0 };
        touch
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn touching_extents_become_one() {
        let mut extents = vec![(300, 50), (0, 100), (100, 100), (350, 10), (500, 1)];
        join(&mut extents);
        assert_eq!(extents, vec![(0, 200), (300, 60), (500, 1)]);
    }
}
