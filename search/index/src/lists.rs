//! Lists of documents and positions, read by blocks: document by document costs many times as much.

use std::ops::Range;

use tantivy::HasLen as _;
use tantivy::directory::{FileSlice, OwnedBytes};
use tantivy::positions::PositionReader;
use tantivy::postings::{BlockSegmentPostings, Postings as _, TermInfo};
use tantivy::schema::IndexRecordOption;
use tantivy::{DocId, DocSet as _, InvertedIndexReader, TERMINATED};

use crate::Error;
use crate::bytes::part;
use crate::fields::kind;

/// Where a list has so many documents for each that is asked for, these are looked up one by one.
const SPARSE: usize = 32;
/// Positions that a byte says something of, at most: of a block of so many that are all the same it says that.
const PER_BYTE: u64 = 128;

/// Lists of so many documents, and of positions, have blocks that are packed.
const SHORT: u32 = 128;
/// Bytes that are read at once of short lists, which lie one behind the other.
const AT_ONCE: usize = 8 * 1024;

/// Visits all words of a field, in order.
pub(crate) fn each_word(
    inverted: &InvertedIndexReader,
    mut visit: impl FnMut(&str, &TermInfo) -> Result<(), Error>,
) -> Result<(), Error> {
    let from = [kind::WORD as u8];
    let mut stream = inverted.terms().range().ge(from).lt([from[0] + 1]).into_stream()?;
    while stream.advance() {
        let word = std::str::from_utf8(&stream.key()[1..]).map_err(|_| Error::Damaged("a word"))?;
        visit(word, stream.value())?;
    }
    Ok(())
}

/// Reads lists of documents, one after the other.
pub(crate) struct DocLists<'a> {
    inverted: &'a InvertedIndexReader,
    short: ShortLists,
    postings: Option<BlockSegmentPostings>,
}

impl<'a> DocLists<'a> {
    /// `file` has the lists of all terms.
    pub(crate) fn new(inverted: &'a InvertedIndexReader, file: FileSlice) -> DocLists<'a> {
        DocLists { inverted, short: ShortLists::new(file), postings: None }
    }

    /// Visits the documents of a term, some at a time, in order.
    pub(crate) fn each(&mut self, info: &TermInfo, visit: impl FnMut(&[DocId])) -> Result<(), Error> {
        let mut visit = visit;
        if info.doc_freq < SHORT {
            self.short.read(info, false)?;
            visit(&self.short.docs);
            return Ok(());
        }
        let option = IndexRecordOption::Basic;
        let postings = opened(self.inverted, &mut self.postings, info, option)?;
        while !postings.docs().is_empty() {
            visit(postings.docs());
            postings.advance();
        }
        Ok(())
    }
}

/// Visits the documents of a term, some at a time, in order, and how often it is in each, or what is kept in place of that.
pub(crate) fn each_counted(
    inverted: &InvertedIndexReader,
    file: FileSlice,
    info: &TermInfo,
    mut visit: impl FnMut(&[DocId], &[u32]),
) -> Result<(), Error> {
    if info.doc_freq < SHORT {
        let mut short = ShortLists::new(file);
        short.read(info, true)?;
        visit(&short.docs, &short.counts);
        return Ok(());
    }
    let mut postings = inverted.read_block_postings_from_terminfo(info, IndexRecordOption::WithFreqs)?;
    while !postings.docs().is_empty() {
        visit(postings.docs(), postings.freqs());
        postings.advance();
    }
    Ok(())
}

/// Lists of less than a block, which is what most words have: to have Tantivy open one costs many times as much as to read
/// it. It is gaps between documents, then how often the term is in each.
struct ShortLists {
    file: Held,
    docs: Vec<DocId>,
    counts: Vec<u32>,
}

impl ShortLists {
    fn new(file: FileSlice) -> ShortLists {
        ShortLists { file: Held::new(file), docs: Vec::new(), counts: Vec::new() }
    }

    fn read(&mut self, info: &TermInfo, with_counts: bool) -> Result<(), Error> {
        let damaged = || Error::Damaged("a list of documents");
        let mut bytes = self.file.part(&info.postings_range)?;
        let mut doc = 0u32;
        self.docs.clear();
        self.counts.clear();
        for _ in 0..info.doc_freq {
            doc = doc.wrapping_add(gap(&mut bytes).ok_or_else(damaged)?);
            self.docs.push(doc);
        }
        for _ in 0..if with_counts { info.doc_freq } else { 0 } {
            self.counts.push(gap(&mut bytes).ok_or_else(damaged)?);
        }
        Ok(())
    }
}

/// A file of many short lists, one behind the other, with what was read of it last.
struct Held {
    file: FileSlice,
    begin: usize,
    bytes: OwnedBytes,
}

impl Held {
    fn new(file: FileSlice) -> Held {
        Held { file, begin: 0, bytes: OwnedBytes::empty() }
    }

    fn part(&mut self, range: &Range<usize>) -> Result<&[u8], Error> {
        if range.start < self.begin || range.end > self.begin + self.bytes.len() {
            let end = range.end.max(self.file.len().min(range.start.saturating_add(AT_ONCE)));
            self.bytes = part(&self.file, range.start, end.saturating_sub(range.start))?;
            self.begin = range.start;
        }
        let (from, to) = (range.start - self.begin, range.end.checked_sub(self.begin));
        to.and_then(|to| self.bytes.get(from..to)).ok_or(Error::Damaged("where a list is"))
    }
}

/// The number that the bytes begin with: seven bits each, the lowest first, the highest bit set where it ends.
fn gap(bytes: &mut &[u8]) -> Option<u32> {
    let (mut value, mut shift) = (0u32, 0);
    loop {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u32::from(byte & 0x7f).checked_shl(shift)?;
        if byte & 0x80 != 0 {
            return Some(value);
        }
        shift += 7;
    }
}

/// The list of a term, in what another list was read with.
fn opened<'a>(
    inverted: &InvertedIndexReader,
    held: &'a mut Option<BlockSegmentPostings>,
    info: &TermInfo,
    option: IndexRecordOption,
) -> Result<&'a mut BlockSegmentPostings, Error> {
    Ok(match held {
        Some(postings) => {
            inverted.reset_block_postings_from_terminfo(info, postings)?;
            postings
        }
        None => held.insert(inverted.read_block_postings_from_terminfo(info, option)?),
    })
}

/// Reads positions in some documents, of one term after the other.
pub(crate) struct PositionLists<'a> {
    inverted: &'a InvertedIndexReader,
    /// Positions of all terms.
    file: FileSlice,
    short: ShortLists,
    short_positions: Held,
    postings: Option<BlockSegmentPostings>,
    buffer: Vec<u32>,
    /// Documents of a block that are asked for, where their positions are in the block, and how many.
    wanted: Box<[(DocId, u64, u32); SHORT as usize]>,
}

impl<'a> PositionLists<'a> {
    /// `lists` has the documents of all terms, `file` their positions.
    pub(crate) fn new(
        inverted: &'a InvertedIndexReader,
        lists: FileSlice,
        file: FileSlice,
    ) -> PositionLists<'a> {
        let (short, short_positions) = (ShortLists::new(lists), Held::new(file.clone()));
        PositionLists {
            inverted,
            file,
            short,
            short_positions,
            postings: None,
            buffer: Vec::new(),
            wanted: Box::new([(0, 0, 0); SHORT as usize]),
        }
    }

    /// Visits the positions of a term, in order, in some documents: `documents` are these, `matters` says which of them still do.
    pub(crate) fn each(
        &mut self,
        info: &TermInfo,
        documents: &[DocId],
        matters: impl Fn(DocId) -> bool,
        visit: impl FnMut(DocId, &[u32]),
    ) -> Result<(), Error> {
        if info.doc_freq < SHORT {
            self.short(info, matters, visit)
        } else if documents.len() < info.doc_freq as usize / SPARSE {
            self.looked_up(info, documents, matters, visit)
        } else {
            self.walked(info, matters, visit)
        }
    }

    fn short(
        &mut self,
        info: &TermInfo,
        matters: impl Fn(DocId) -> bool,
        mut visit: impl FnMut(DocId, &[u32]),
    ) -> Result<(), Error> {
        self.short.read(info, true)?;
        let last = self.short.docs.iter().rposition(|doc| matters(*doc));
        let Some(last) = last else { return Ok(()) };
        if self.short.counts.iter().map(|count| u64::from(*count)).sum::<u64>() >= u64::from(SHORT) {
            return self.walked(info, matters, visit);
        }
        let damaged = || Error::Damaged("a list of positions");
        // How many blocks are packed comes first, which is none.
        let mut bytes = self.short_positions.part(&info.positions_range)?;
        if gap(&mut bytes) != Some(0) {
            return Err(damaged());
        }
        for (doc, count) in self.short.docs.iter().zip(&self.short.counts).take(last + 1) {
            let mut position = 0u32;
            self.buffer.clear();
            for _ in 0..*count {
                position = position.wrapping_add(gap(&mut bytes).ok_or_else(damaged)?);
                self.buffer.push(position);
            }
            if matters(*doc) {
                visit(*doc, &self.buffer);
            }
        }
        Ok(())
    }

    fn looked_up(
        &mut self,
        info: &TermInfo,
        documents: &[DocId],
        matters: impl Fn(DocId) -> bool,
        mut visit: impl FnMut(DocId, &[u32]),
    ) -> Result<(), Error> {
        let option = IndexRecordOption::WithFreqsAndPositions;
        let mut postings = self.inverted.read_postings_from_terminfo(info, option)?;
        for doc in documents.iter().copied().filter(|doc| matters(*doc)) {
            if postings.doc() < doc {
                postings.seek(doc);
            }
            if postings.doc() == TERMINATED {
                break;
            }
            if postings.doc() == doc {
                postings.positions(&mut self.buffer);
                visit(doc, &self.buffer);
            }
        }
        Ok(())
    }

    fn walked(
        &mut self,
        info: &TermInfo,
        matters: impl Fn(DocId) -> bool,
        mut visit: impl FnMut(DocId, &[u32]),
    ) -> Result<(), Error> {
        let PositionLists { inverted, file, postings, buffer, wanted, .. } = self;
        let postings = opened(inverted, postings, info, IndexRecordOption::WithFreqs)?;
        let (mut reader, mut behind) = (None, 0);
        while !postings.docs().is_empty() {
            // Whether a document matters is hard to foretell: so there is no branch.
            let mut count = 0;
            for (doc, positions) in postings.docs().iter().zip(postings.freqs()) {
                if let Some(place) = wanted.get_mut(count) {
                    *place = (*doc, behind, *positions);
                }
                count += usize::from(matters(*doc));
                behind += u64::from(*positions);
            }
            postings.advance();
            let wanted = &wanted[..count];
            let (Some((_, from, _)), Some((_, last, count))) = (wanted.first(), wanted.last()) else {
                continue;
            };
            let (from, to) = (*from, last + u64::from(*count));
            let range = &info.positions_range;
            if to > PER_BYTE * range.len() as u64 {
                return Err(Error::Damaged("a list of positions"));
            }
            if reader.is_none() {
                reader = Some(PositionReader::open(part(file, range.start, range.len())?)?);
            }
            buffer.resize((to - from) as usize, 0);
            if let Some(reader) = &mut reader {
                reader.read(from, buffer);
            }
            for (doc, begin, count) in wanted {
                // Gaps become positions.
                let positions = &mut buffer[(begin - from) as usize..][..*count as usize];
                let mut position = 0u32;
                for gap in &mut *positions {
                    position = position.wrapping_add(*gap);
                    *gap = position;
                }
                visit(*doc, positions);
            }
        }
        Ok(())
    }
}
