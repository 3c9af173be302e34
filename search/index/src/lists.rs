//! Lists of documents and positions, read by blocks: document by document costs many times as much.

use tantivy::directory::FileSlice;
use tantivy::positions::PositionReader;
use tantivy::postings::{BlockSegmentPostings, Postings as _, TermInfo};
use tantivy::schema::IndexRecordOption;
use tantivy::{DocId, DocSet as _, InvertedIndexReader, TERMINATED};

use crate::Error;
use crate::bytes::part;

/// Where a list has so many documents for each that is asked for, these are looked up one by one.
const SPARSE: usize = 32;
/// Positions that a byte says something of, at most: of a block of so many that are all the same it says that.
const PER_BYTE: u64 = 128;

/// Reads lists of documents, one after the other.
pub(crate) struct DocLists<'a> {
    inverted: &'a InvertedIndexReader,
    postings: Option<BlockSegmentPostings>,
}

impl<'a> DocLists<'a> {
    pub(crate) fn new(inverted: &'a InvertedIndexReader) -> DocLists<'a> {
        DocLists { inverted, postings: None }
    }

    /// Visits the documents of a term, some at a time, in order.
    pub(crate) fn each(&mut self, info: &TermInfo, visit: impl FnMut(&[DocId])) -> Result<(), Error> {
        let option = IndexRecordOption::Basic;
        let mut visit = visit;
        let postings = opened(self.inverted, &mut self.postings, info, option)?;
        while !postings.docs().is_empty() {
            visit(postings.docs());
            postings.advance();
        }
        Ok(())
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
    postings: Option<BlockSegmentPostings>,
    buffer: Vec<u32>,
    /// Documents of a block that are asked for: as the caller numbers them, and where their positions are.
    wanted: Vec<(usize, u64, u32)>,
}

impl<'a> PositionLists<'a> {
    pub(crate) fn new(inverted: &'a InvertedIndexReader, file: FileSlice) -> PositionLists<'a> {
        PositionLists { inverted, file, postings: None, buffer: Vec::new(), wanted: Vec::new() }
    }

    /// Visits each position of a term in some documents: `documents` are these, `number` says how the caller numbers them, and
    /// nothing for others and for those that no longer matter.
    pub(crate) fn each(
        &mut self,
        info: &TermInfo,
        documents: &[DocId],
        number: impl Fn(DocId) -> Option<usize>,
        visit: impl FnMut(usize, u32),
    ) -> Result<(), Error> {
        if documents.len() < info.doc_freq as usize / SPARSE {
            self.looked_up(info, documents, number, visit)
        } else {
            self.walked(info, number, visit)
        }
    }

    fn looked_up(
        &mut self,
        info: &TermInfo,
        documents: &[DocId],
        number: impl Fn(DocId) -> Option<usize>,
        mut visit: impl FnMut(usize, u32),
    ) -> Result<(), Error> {
        let option = IndexRecordOption::WithFreqsAndPositions;
        let mut postings = self.inverted.read_postings_from_terminfo(info, option)?;
        for doc in documents {
            let Some(at) = number(*doc) else { continue };
            if postings.doc() < *doc {
                postings.seek(*doc);
            }
            if postings.doc() == TERMINATED {
                break;
            }
            if postings.doc() == *doc {
                postings.positions(&mut self.buffer);
                self.buffer.iter().for_each(|position| visit(at, *position));
            }
        }
        Ok(())
    }

    fn walked(
        &mut self,
        info: &TermInfo,
        number: impl Fn(DocId) -> Option<usize>,
        mut visit: impl FnMut(usize, u32),
    ) -> Result<(), Error> {
        let PositionLists { inverted, file, postings, buffer, wanted } = self;
        let postings = opened(inverted, postings, info, IndexRecordOption::WithFreqs)?;
        let (mut reader, mut behind) = (None, 0);
        while !postings.docs().is_empty() {
            wanted.clear();
            for (doc, count) in postings.docs().iter().zip(postings.freqs()) {
                if let Some(at) = number(*doc) {
                    wanted.push((at, behind, *count));
                }
                behind += u64::from(*count);
            }
            postings.advance();
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
            for (at, begin, count) in wanted.iter() {
                let gaps = &buffer[(begin - from) as usize..][..*count as usize];
                let mut position = 0u32;
                for gap in gaps {
                    position = position.wrapping_add(*gap);
                    visit(*at, position);
                }
            }
        }
        Ok(())
    }
}
