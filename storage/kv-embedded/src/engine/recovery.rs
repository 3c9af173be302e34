//! Opening: the index is taken as it is, and the log behind it is read again.
//!
//! Reading stops at the first group that is not whole. That is the torn tail of an interrupted write only if no
//! valid group follows, in this segment or the next: a group is begun only after the one before it was durable.
//! Otherwise an acknowledged group is damaged; opening fails and names the place. A tail is cut off, and what
//! was read is made durable before anyone can see it.

use super::checkpoint::Usage;
use super::disk::DiskFile;
use super::group::{self, GROUP_HEADER, GROUP_MAGIC, GroupHeader, PlacedBatch, SEGMENT_HEADER};
use super::index::{DEAD, KEYS, SEGMENTS, State};
use super::log::Position;
use super::memtable::Memtable;
use super::segment::{Segments, name};
use super::value::{Slot, expand};
use crate::Error;
use bytes::Bytes;
use redb::{ReadableDatabase, ReadableTable};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Writes the first state of a new store.
pub(crate) fn initialize(database: &redb::Database, state: &State) -> Result<(), Error> {
    let mut transaction = database.begin_write().map_err(Error::index)?;
    transaction.set_quick_repair(true);
    transaction.open_table(KEYS).map_err(Error::index)?;
    transaction.open_table(SEGMENTS).map_err(Error::index)?;
    transaction.open_table(DEAD).map_err(Error::index)?;
    state.write(&transaction)?;
    transaction.commit().map_err(Error::index)
}

/// Space as the index knows it: usage of each segment, and dead extents not given back yet.
#[derive(Debug, Default)]
pub(crate) struct Space {
    pub(crate) usage: BTreeMap<u64, Usage>,
    pub(crate) dead: Vec<(u64, (u64, u64))>,
}

/// Reads the usage of each segment.
pub(crate) fn usage(database: &redb::Database) -> Result<BTreeMap<u64, Usage>, Error> {
    let transaction = database.begin_read().map_err(Error::index)?;
    let table = transaction.open_table(SEGMENTS).map_err(Error::index)?;
    let rows = table.iter().map_err(Error::index)?;
    rows.map(|row| row.map(|(number, usage)| (number.value(), Usage::from_row(usage.value()))))
        .collect::<Result<_, _>>()
        .map_err(Error::index)
}

/// Reads what the index knows about space.
pub(crate) fn space(database: &redb::Database) -> Result<Space, Error> {
    let transaction = database.begin_read().map_err(Error::index)?;
    let mut space = Space { usage: usage(database)?, dead: Vec::new() };
    for row in transaction.open_table(DEAD).map_err(Error::index)?.iter().map_err(Error::index)? {
        let (at, len) = row.map_err(Error::index)?;
        let (segment, offset) = at.value();
        space.dead.push((segment, (offset, len.value())));
    }
    Ok(space)
}

/// The log as it was found.
pub(crate) struct Recovered {
    /// Where the next group goes, and the file it goes to.
    pub(crate) tail: (Arc<dyn DiskFile>, Position),
    /// The last commit, in the log or before it.
    pub(crate) version: u64,
    /// Bytes of groups read.
    pub(crate) bytes: u64,
}

/// Reads the log from `state` on into `table` and cuts its torn tail off.
pub(crate) fn replay(segments: &Segments, state: &State, table: &Memtable) -> Result<Recovered, Error> {
    let numbers = segments.list()?;
    let last = numbers.last().copied().filter(|last| *last >= state.position.segment);
    let mut replay = Replay { version: state.version, bytes: 0, at: state.position, stopped: None };
    let Some(last) = last else {
        if state.position.offset > SEGMENT_HEADER {
            return Err(damage(state.position.segment, 0, "segment is missing"));
        }
        return replay.begin_anew(segments);
    };
    for number in state.position.segment..=last {
        if numbers.binary_search(&number).is_err() {
            return Err(damage(number, 0, "segment is missing"));
        }
        if number > state.position.segment {
            replay.at = Position { segment: number, offset: SEGMENT_HEADER, ..replay.at };
        }
        let file = segments.file(number)?;
        if !has_header(segments, &*file, number)? {
            // Its creation was cut short, so nothing was written after it.
            return if number == last && replay.at.offset == SEGMENT_HEADER {
                replay.check_rest(segments, &*file)?;
                replay.begin_anew(segments)
            } else {
                Err(damage(number, 0, "segment has no header"))
            };
        }
        replay.segment(segments, &*file, table)?;
        replay.check_rest(segments, &*file)?;
    }
    let file = segments.file(last)?;
    file.set_len(replay.at.offset).map_err(Error::io("cut the log's tail"))?;
    for number in state.position.segment..=last {
        let synced = segments.file(number)?.sync_data();
        synced.map_err(Error::io("fsync of the log at opening"))?;
    }
    Ok(Recovered { tail: (file, replay.at), version: replay.version, bytes: replay.bytes })
}

struct Replay {
    version: u64,
    bytes: u64,
    /// The next group to read.
    at: Position,
    /// Where the segment before ended.
    stopped: Option<Position>,
}

impl Replay {
    fn begin_anew(self, segments: &Segments) -> Result<Recovered, Error> {
        let file = segments.create(self.at.segment)?;
        Ok(Recovered { tail: (file, self.at), version: self.version, bytes: self.bytes })
    }

    /// Reads groups up to the first that is not whole.
    fn segment(&mut self, segments: &Segments, file: &dyn DiskFile, table: &Memtable) -> Result<(), Error> {
        let mut next = read_group(segments.store, file, self.at.offset)?;
        while let Some((header, meta)) = next {
            if header.sequence != self.at.sequence {
                // Groups are missing: behind the end of the segment before, if this is the first one here.
                let Position { segment, offset, .. } = self.stopped.unwrap_or(self.at);
                return Err(damage(segment, offset, "a commit group is missing"));
            }
            let batches = group_batches(&header, meta, self.at)?;
            next = read_group(segments.store, file, self.at.offset + header.len())?;
            // A group with another one behind it was durable; its values are checked when they are read.
            if next.is_none() && !values_are_whole(segments, &batches)? {
                break;
            }
            table.apply(batches);
            self.version = self.version.max(header.last_version);
            self.bytes += header.len();
            self.at.offset += header.len();
            self.at.sequence += 1;
        }
        self.stopped = Some(self.at);
        Ok(())
    }

    /// Fails if a valid group follows the one that is not whole.
    fn check_rest(&self, segments: &Segments, file: &dyn DiskFile) -> Result<(), Error> {
        const PIECE: usize = 1 << 20;
        let (mut piece, mut from) = (vec![0; PIECE], self.at.offset);
        loop {
            let read = file.read_at(&mut piece, from).map_err(Error::io("read the log"))?;
            for hit in memchr::memmem::find_iter(&piece[..read], &GROUP_MAGIC) {
                let found = read_group(segments.store, file, from + hit as u64)?;
                if found.is_some_and(|(header, _)| header.sequence > self.at.sequence) {
                    return Err(damage(self.at.segment, self.at.offset, "commit group fails its checksum"));
                }
            }
            if read < PIECE {
                return Ok(());
            }
            // A magic number may stand across the border.
            from += (PIECE - (GROUP_MAGIC.len() - 1)) as u64;
        }
    }
}

fn damage(segment: u64, offset: u64, what: &'static str) -> Error {
    Error::Corrupt { file: name(segment), offset, what }
}

fn has_header(segments: &Segments, file: &dyn DiskFile, number: u64) -> Result<bool, Error> {
    let mut header = [0; SEGMENT_HEADER as usize];
    file.read_at(&mut header, 0).map_err(Error::io("read the log"))?;
    Ok(header == group::segment_header(segments.store, number))
}

/// The group at `offset`, if its header and its meta are whole.
fn read_group(store: u64, file: &dyn DiskFile, offset: u64) -> Result<Option<(GroupHeader, Bytes)>, Error> {
    let mut header = [0; GROUP_HEADER];
    if file.read_at(&mut header, offset).map_err(Error::io("read the log"))? < GROUP_HEADER {
        return Ok(None);
    }
    let Some(header) = GroupHeader::decode(&header).filter(|header| header.store == store) else {
        return Ok(None);
    };
    let end = file.len().map_err(Error::io("length of a log segment"))?;
    if offset.checked_add(header.len()).is_none_or(|group_end| group_end > end) {
        return Ok(None);
    }
    let mut meta = vec![0; header.meta_len as usize];
    let meta_at = offset + GROUP_HEADER as u64 + u64::from(header.values_len);
    let read = file.read_at(&mut meta, meta_at).map_err(Error::io("read the log"))?;
    let whole = read == meta.len() && header.checksum(&meta) == header.crc;
    Ok(whole.then(|| (header, meta.into())))
}

fn group_batches(header: &GroupHeader, meta: Bytes, at: Position) -> Result<Vec<PlacedBatch>, Error> {
    let meta = expand(meta, header.meta_raw_len as usize);
    let place = (at.segment, at.offset);
    meta.and_then(|meta| group::decode(meta, header.batches, header.values_len, place))
        .ok_or_else(|| damage(at.segment, at.offset, "commit group of an unknown form"))
}

fn values_are_whole(segments: &Segments, batches: &[PlacedBatch]) -> Result<bool, Error> {
    for op in batches.iter().flat_map(|batch| &batch.ops) {
        if let group::Placed::Put(_, Slot::Pointer(pointer)) = op {
            match segments.read_stored(pointer) {
                Ok(_) => {}
                Err(Error::Corrupt { .. }) => return Ok(false),
                Err(error) => return Err(error),
            }
        }
    }
    Ok(true)
}

/// Gives `each` the batches of every group of a segment that is complete.
pub(crate) fn walk(
    segments: &Segments,
    number: u64,
    mut each: impl FnMut(Vec<PlacedBatch>) -> Result<(), Error>,
) -> Result<(), Error> {
    let file = segments.file(number)?;
    let mut at = Position { segment: number, offset: SEGMENT_HEADER, sequence: 0 };
    while let Some((header, meta)) = read_group(segments.store, &*file, at.offset)? {
        each(group_batches(&header, meta, at)?)?;
        at.offset += header.len();
    }
    Ok(())
}
