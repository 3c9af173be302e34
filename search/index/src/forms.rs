//! Which words of a segment are forms of the same: a file beside each segment, made of its word lists.
//!
//! Relevance asks for words in any form. Nothing is indexed for it but exact words; here is said which of them become the
//! same when diacritics are left out, and which have the same stem in a language of messages that they are in. A word
//! that is its own form is found as it is, and not entered.
//!
//! Numbers are little-endian. `GDF1`, the number of languages (u32) and each of them (u64; 0 for not known), in order.
//! For each section that is ranked one table without diacritics and one for each language: where it begins (u64) and
//! how many buckets it has (u32). A table: where the list of each bucket ends (u32), then the lists: gaps between
//! ordinals of words. A form is in the bucket that its hash says; others are too, so words found are looked at.

use tantivy::columnar::Column;
use tantivy::directory::FileSlice;
use tantivy::postings::TermInfo;
use tantivy::schema::IndexRecordOption;
use tantivy::{DocId, DocSet, InvertedIndexReader, SegmentReader, TERMINATED};

use crate::Error;
use crate::analysis::{Language, bare, plain, words};
use crate::bytes::{part, put_gaps, take_gaps, u32_at, u64_at};
use crate::fields::{Fields, LANGUAGE, RANKED, Section, kind};

/// The extension of the file.
pub(crate) const EXTENSION: &str = "forms";

const MAGIC: &[u8; 4] = b"GDF1";
/// Where a table is.
const ROW: usize = 12;
/// Words of a bucket, about.
const BUCKET: usize = 4;
/// Languages of a segment at most, that of no language included.
const LANGUAGES: usize = 64;

/// Languages of messages: one bit for each that the segment has.
pub(crate) type Mask = u64;

/// A file opened.
#[derive(Debug)]
pub(crate) struct Forms {
    file: FileSlice,
    /// In the order of bits; none for messages of which it is not known.
    languages: Vec<Option<Language>>,
    numbers: Vec<u64>,
    tables: Vec<(usize, usize)>,
}

/// The file of a segment.
pub(crate) fn build(segment: &SegmentReader, fields: &Fields) -> Result<Vec<u8>, Error> {
    let column = segment.fast_fields().u64(LANGUAGE)?;
    let mut numbers: Vec<u64> = (0..segment.max_doc()).map(|doc| number(&column, doc)).collect();
    let all = numbers.clone();
    numbers.sort_unstable();
    numbers.dedup();
    numbers.truncate(LANGUAGES);
    let bits: Vec<u8> =
        all.iter().map(|number| numbers.binary_search(number).unwrap_or_default() as u8).collect();
    let languages: Vec<Option<Language>> = numbers.iter().map(|n| Language::from_number(*n)).collect();
    let mut head = MAGIC.to_vec();
    head.extend_from_slice(&(numbers.len() as u32).to_le_bytes());
    numbers.iter().for_each(|number| head.extend_from_slice(&number.to_le_bytes()));
    let start = head.len() + ROW * RANKED.len() * (numbers.len() + 1);
    let mut body = Vec::new();
    for (section, _) in RANKED {
        for mut entries in collect(segment, fields, section, &languages, &bits)? {
            head.extend_from_slice(&((start + body.len()) as u64).to_le_bytes());
            let buckets = entries.len().div_ceil(BUCKET);
            head.extend_from_slice(&(buckets as u32).to_le_bytes());
            encode(&mut entries, buckets, &mut body);
        }
    }
    head.extend_from_slice(&body);
    Ok(head)
}

/// Hashes of forms and the words that have them, table by table.
fn collect(
    segment: &SegmentReader,
    fields: &Fields,
    section: Section,
    languages: &[Option<Language>],
    bits: &[u8],
) -> Result<Vec<Vec<(u64, u32)>>, Error> {
    let mut tables = vec![Vec::new(); languages.len() + 1];
    let inverted = segment.inverted_index(fields.exact(section))?;
    for of_kind in [kind::PAIR, kind::WORD] {
        let from = [of_kind as u8];
        let mut stream = inverted.terms().range().ge(from).lt([from[0] + 1]).into_stream()?;
        while stream.advance() {
            let at = u32::try_from(stream.term_ord()).unwrap_or(u32::MAX);
            let text = std::str::from_utf8(&stream.key()[1..]).map_err(|_| Error::Damaged("a word"))?;
            let mask = mask(&inverted, stream.value(), languages.len(), bits)?;
            words_of(text, &mut |word, stems| {
                let plainly = bare(word);
                if !is_found_as_it_is(of_kind, text, &plainly, stems) {
                    tables[0].push((hash(&plainly), at));
                }
                let is_number = word.bytes().all(|byte| byte.is_ascii_digit());
                for (bit, language) in languages.iter().enumerate().filter(|_| stems && !is_number) {
                    let language = language.filter(|language| !language.is_stop_word(word));
                    let Some(language) = language.filter(|_| mask & (1 << bit) != 0) else { continue };
                    let stem = language.stemmer().stem(word);
                    let form = bare(&stem);
                    if form != text {
                        tables[bit + 1].push((hash(&form), at));
                    }
                }
            });
        }
    }
    Ok(tables)
}

/// Languages of documents that have the term.
fn mask(
    inverted: &InvertedIndexReader,
    info: &TermInfo,
    languages: usize,
    bits: &[u8],
) -> Result<Mask, Error> {
    if languages == 1 {
        return Ok(1);
    }
    let mut postings = inverted.read_postings_from_terminfo(info, IndexRecordOption::Basic)?;
    let (mut mask, mut doc) = (0, postings.doc());
    while doc != TERMINATED {
        mask |= 1 << bits.get(doc as usize).copied().unwrap_or_default();
        doc = postings.advance();
    }
    Ok(mask)
}

/// The words that people mean by an exact term, and whether they can be stemmed.
pub(crate) fn words_of(text: &str, visit: &mut dyn FnMut(&str, bool)) {
    if text.is_ascii() {
        return visit(text, true);
    }
    words(&plain(text), &mut |word, stems| visit(word, stems));
}

/// Whether who looks for the form finds the term without this file: under its own name, or, in scripts that do not part
/// words, as one that contains it.
fn is_found_as_it_is(of_kind: char, text: &str, form: &str, stems: bool) -> bool {
    if stems { of_kind == kind::WORD && form == text } else { text.contains(form) }
}

fn encode(entries: &mut Vec<(u64, u32)>, buckets: usize, out: &mut Vec<u8>) {
    entries.iter_mut().for_each(|(hash, _)| *hash %= buckets as u64);
    entries.sort_unstable();
    entries.dedup();
    let (mut ends, mut lists) = (Vec::with_capacity(4 * buckets), Vec::new());
    let mut of_buckets = entries.chunk_by(|a, b| a.0 == b.0).peekable();
    for bucket in 0..buckets as u64 {
        if let Some(list) = of_buckets.next_if(|list| list[0].0 == bucket) {
            put_gaps(&mut lists, list.iter().map(|(_, word)| *word));
        }
        ends.extend_from_slice(&u32::try_from(lists.len()).unwrap_or(u32::MAX).to_le_bytes());
    }
    out.append(&mut ends);
    out.append(&mut lists);
}

/// The same for ever, as files have it (FNV-1a).
fn hash(text: &str) -> u64 {
    text.bytes()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3))
}

fn number(column: &Column<u64>, doc: DocId) -> u64 {
    column.first(doc).unwrap_or_default()
}

impl Forms {
    pub(crate) fn open(file: FileSlice) -> Result<Forms, Error> {
        let head = part(&file, 0, 8)?;
        let count = u32_at(&head, 4) as usize;
        if !head.starts_with(MAGIC) || count == 0 || count > LANGUAGES {
            return Err(Error::Damaged("the head of a file of forms"));
        }
        let numbers = part(&file, 8, 8 * count)?;
        let numbers: Vec<u64> = numbers.chunks_exact(8).map(|number| u64_at(number, 0)).collect();
        let rows = part(&file, 8 + 8 * count, ROW * RANKED.len() * (count + 1))?;
        let place = |row: &[u8]| Some((usize::try_from(u64_at(row, 0)).ok()?, u32_at(row, 8) as usize));
        let tables: Option<Vec<_>> = rows.chunks_exact(ROW).map(place).collect();
        let tables = tables.ok_or(Error::Damaged("the head of a file of forms"))?;
        let languages = numbers.iter().map(|number| Language::from_number(*number)).collect();
        Ok(Forms { file, languages, numbers, tables })
    }

    /// Languages of messages of the segment, in the order of bits.
    pub(crate) fn languages(&self) -> &[Option<Language>] {
        &self.languages
    }

    /// The bit of a document's language.
    pub(crate) fn mask(&self, column: &Column<u64>, doc: DocId) -> Mask {
        self.numbers.binary_search(&number(column, doc)).map_or(0, |bit| 1 << bit)
    }

    /// Ordinals of words that may have the form, in some language or without diacritics. The section is the place in
    /// [`RANKED`].
    pub(crate) fn words(&self, section: usize, form: &str) -> Result<Vec<u64>, Error> {
        let damaged = || Error::Damaged("a table of forms");
        let width = self.languages.len() + 1;
        let mut out = Vec::new();
        for (begin, buckets) in self.tables.iter().skip(section * width).take(width) {
            if *buckets == 0 {
                continue;
            }
            let bucket = (hash(form) % *buckets as u64) as usize;
            let (skipped, length) = if bucket == 0 { (0, 4) } else { (bucket - 1, 8) };
            let ends = part(&self.file, begin.saturating_add(4 * skipped), length)?;
            let (from, to) =
                if bucket == 0 { (0, u32_at(&ends, 0)) } else { (u32_at(&ends, 0), u32_at(&ends, 4)) };
            let length = to.checked_sub(from).ok_or_else(damaged)? as usize;
            let lists = begin.saturating_add(4 * buckets + from as usize);
            out.extend(take_gaps(&part(&self.file, lists, length)?).ok_or_else(damaged)?);
        }
        Ok(out)
    }
}
