//! What a transaction does before its commit: for backends that collect it in memory.

use crate::overlay::{Lookup, Merge, Overlay};
use crate::{AtomicOp, ConflictKind, Error, RangePage, RangeRequest, RangeSet, Write};
use bytes::Bytes;

/// What a transaction has read and written so far.
#[derive(Debug, Default)]
pub struct Buffer {
    /// The writes, as own reads see them.
    pub overlay: Overlay,
    /// The writes, in the order of the calls.
    pub writes: Vec<Write>,
    /// What must not have changed at the commit.
    pub reads: RangeSet,
    /// Declared as written without a write.
    pub claims: Vec<(Bytes, Bytes)>,
    size: usize,
}

impl Buffer {
    /// Adds a write.
    pub fn write(&mut self, write: Write) {
        self.size += write.size();
        self.overlay.apply(&write);
        self.writes.push(write);
    }

    /// Adds what [`crate::BackendTransaction::add_conflict_range`] declares.
    pub fn declare(&mut self, kind: ConflictKind, begin: &[u8], end: &[u8]) {
        let (begin, end) = (Bytes::copy_from_slice(begin), Bytes::copy_from_slice(end));
        self.size += begin.len() + end.len();
        match kind {
            ConflictKind::Read => self.reads.insert(begin, end),
            ConflictKind::Write => self.claims.push((begin, end)),
        }
    }

    /// The value of `key`: own writes on top of what `stored` says, which is asked only if it matters.
    pub fn get(
        &mut self,
        key: &[u8],
        snapshot: bool,
        stored: impl FnOnce() -> Result<Option<Bytes>, Error>,
    ) -> Result<Option<Bytes>, Error> {
        let value = match self.overlay.lookup(key) {
            Lookup::Unreadable => return Err(Error::unreadable()),
            Lookup::Known(value) => return Ok(value),
            Lookup::OnStore(operations) => AtomicOp::apply_all(operations, stored()?),
        };
        if !snapshot {
            self.note_key(key);
        }
        Ok(value)
    }

    /// A page: own writes on top of the rows that `scan` gives, whose pages end only at a limit.
    pub fn page(
        &mut self,
        request: &RangeRequest,
        scan: impl Fn(&RangeRequest) -> Result<RangePage, Error>,
    ) -> Result<RangePage, Error> {
        let page = if self.overlay.is_empty() {
            scan(request)?
        } else {
            let mut merge = Merge::new(request);
            while let Some(rest) = merge.rest() {
                merge.add(&self.overlay, scan(rest)?)?;
            }
            merge.into_page()
        };
        self.note_page(request, &page)?;
        Ok(page)
    }

    /// Notes that the store's value of `key` was read.
    pub fn note_key(&mut self, key: &[u8]) {
        self.size += 2 * key.len() + 1;
        self.reads.insert_key(key);
    }

    /// Notes that `page` was read. Fails if a versionstamped key may end up in it.
    pub fn note_page(&mut self, request: &RangeRequest, page: &RangePage) -> Result<(), Error> {
        let (begin, end) = request.covered(page);
        if self.overlay.is_unreadable(&begin, &end) {
            return Err(Error::unreadable());
        }
        if !request.snapshot {
            self.size += begin.len() + end.len();
            self.reads.insert(begin, end);
        }
        Ok(())
    }

    /// Whether there is nothing to commit.
    pub fn is_read_only(&self) -> bool {
        self.writes.is_empty() && self.claims.is_empty()
    }

    /// Bytes so far, as [`crate::BackendTransaction::size`] counts them.
    pub fn size(&self) -> usize {
        self.size
    }
}
