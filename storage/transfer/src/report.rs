//! What a pass has done so far.

use std::sync::atomic::{AtomicU64, Ordering};

/// What a pass did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Its number, from 1.
    pub pass: u32,
    /// Rows of the source that it read.
    pub rows: u64,
    /// Their bytes, keys and values.
    pub bytes: u64,
    /// Rows that it wrote.
    pub written: u64,
    /// Ranges that it cleared, since the source has nothing there any more.
    pub cleared: u64,
    /// Bodies carried from place to place.
    pub bodies: u64,
    /// Their bytes as stored.
    pub body_bytes: u64,
    /// Bodies of the source that are damaged or missing there, and were taken over so.
    pub damaged: u64,
    /// Pieces of the key space that were the same on both sides when both were read.
    pub equal: u64,
}

impl Report {
    /// Changes that it found.
    pub fn changes(&self) -> u64 {
        self.written + self.cleared
    }
}

/// The same while it runs.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) pass: AtomicU64,
    pub(crate) rows: AtomicU64,
    pub(crate) bytes: AtomicU64,
    pub(crate) written: AtomicU64,
    pub(crate) cleared: AtomicU64,
    pub(crate) bodies: AtomicU64,
    pub(crate) body_bytes: AtomicU64,
    pub(crate) damaged: AtomicU64,
    pub(crate) equal: AtomicU64,
}

/// Counts.
pub(crate) fn count(counter: &AtomicU64, by: u64) {
    counter.fetch_add(by, Ordering::Relaxed);
}

impl Tally {
    /// A new pass begins.
    pub(crate) fn begin(&self, pass: u32) {
        let Tally { rows, bytes, written, cleared, bodies, body_bytes, damaged, equal, .. } = self;
        for counter in [rows, bytes, written, cleared, bodies, body_bytes, damaged, equal] {
            counter.store(0, Ordering::Relaxed);
        }
        self.pass.store(u64::from(pass), Ordering::Relaxed);
    }

    pub(crate) fn report(&self) -> Report {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Report {
            pass: u32::try_from(read(&self.pass)).unwrap_or(u32::MAX),
            rows: read(&self.rows),
            bytes: read(&self.bytes),
            written: read(&self.written),
            cleared: read(&self.cleared),
            bodies: read(&self.bodies),
            body_bytes: read(&self.body_bytes),
            damaged: read(&self.damaged),
            equal: read(&self.equal),
        }
    }
}
