//! Appending to the log: one write and one fdatasync for each group.
//!
//! A segment is grown ahead of its tail in steps for which space is set aside, so that the fdatasync of a group
//! seldom has to write the file's length too. What lies behind the tail reads as zeros.
//!
//! If the disk is full the unfinished group is cut off and the log goes on from where it was. After any other
//! failure what is on disk is not known, and the engine stops ([`super::health`]).

use super::disk::DiskFile;
use super::group::{self, PlacedBatch, SEGMENT_HEADER};
use super::health::Health;
use super::segment::Segments;
use super::{Batch, Error};
use std::sync::Arc;

/// The buffer is given back if it has grown beyond this.
const BUFFER: usize = 1 << 20;

/// A place in the log, and the number of the group that stands or will stand there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Position {
    pub(crate) segment: u64,
    pub(crate) offset: u64,
    pub(crate) sequence: u64,
}

/// The writing end of the log.
#[derive(Debug)]
pub(crate) struct Log {
    segments: Arc<Segments>,
    health: Arc<Health>,
    file: Arc<dyn DiskFile>,
    /// Where the next group goes.
    tail: Position,
    /// The length of the file.
    allocated: u64,
    segment_bytes: u64,
    step: u64,
    buffer: Vec<u8>,
    /// Bytes of groups since the log was opened.
    pub(crate) written: u64,
}

impl Log {
    /// Goes on at `tail`, behind which `file` holds nothing but zeros.
    pub(crate) fn new(
        segments: Arc<Segments>,
        health: Arc<Health>,
        (file, tail): (Arc<dyn DiskFile>, Position),
        (segment_bytes, step): (u64, u64),
    ) -> Result<Self, Error> {
        let allocated = file.len().map_err(Error::io("length of a log segment"))?;
        Ok(Log {
            segments,
            health,
            file,
            tail,
            allocated,
            segment_bytes,
            step,
            buffer: Vec::new(),
            written: 0,
        })
    }

    /// Where the next group goes.
    pub(crate) fn position(&self) -> Position {
        self.tail
    }

    /// Appends `batches` as one group, durably.
    pub(crate) fn append(&mut self, batches: &[Batch]) -> Result<Vec<PlacedBatch>, Error> {
        if self.tail.offset > SEGMENT_HEADER && self.tail.offset + group::bound(batches) > self.segment_bytes
        {
            self.roll()?;
        }
        let Position { segment, offset, sequence } = self.tail;
        let mut buffer = std::mem::take(&mut self.buffer);
        let placed = group::encode(&mut buffer, batches, (self.segments.store, segment, offset, sequence));
        let written = self.write(&buffer);
        if written.is_ok() {
            self.written += buffer.len() as u64;
            self.tail.offset += buffer.len() as u64;
            self.tail.sequence += 1;
        }
        buffer.clear();
        buffer.shrink_to(BUFFER);
        self.buffer = buffer;
        written.map(|()| placed)
    }

    fn write(&mut self, data: &[u8]) -> Result<(), Error> {
        let offset = self.tail.offset;
        match self.make_room(offset + data.len() as u64).and_then(|()| self.file.write_at(data, offset)) {
            Ok(()) => self.file.sync_data().map_err(|error| {
                self.health.stop(&Error::Io { what: "fsync of the log", error: Arc::new(error) })
            }),
            Err(error) => match Error::io("write to the log")(error) {
                Error::OutOfSpace => self.cut_off(),
                other => Err(self.health.stop(&other)),
            },
        }
    }

    fn make_room(&mut self, end: u64) -> std::io::Result<()> {
        if end > self.allocated {
            // Not beyond the segment's end, unless one group alone is larger.
            let goal = (self.allocated + self.step).min(self.segment_bytes).max(end);
            self.file.allocate(goal).or_else(|_| self.file.allocate(end))?;
            self.allocated = goal.min(self.file.len()?);
        }
        Ok(())
    }

    /// The disk is full: leaves the log as it was before this group.
    fn cut_off(&mut self) -> Result<(), Error> {
        let cut = self.file.set_len(self.tail.offset);
        cut.map_err(|error| self.health.stop(&Error::io("cut an unfinished group off the log")(error)))?;
        self.allocated = self.tail.offset;
        Err(Error::OutOfSpace)
    }

    /// Begins the next segment.
    fn roll(&mut self) -> Result<(), Error> {
        let next = self.tail.segment + 1;
        let file = self.segments.create(next).map_err(|error| match error {
            Error::OutOfSpace => error,
            other => self.health.stop(&other),
        })?;
        // What was set aside behind the tail is not needed; if it cannot be given back it is merely not.
        let _ = self.file.set_len(self.tail.offset);
        self.file = file;
        self.allocated = SEGMENT_HEADER;
        self.tail = Position { segment: next, offset: SEGMENT_HEADER, sequence: self.tail.sequence };
        Ok(())
    }
}
