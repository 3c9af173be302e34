//! Which words contain three characters in a row: a file beside each segment, made of its word lists.
//!
//! A needle within a word asks for all words that contain it. The lists of words are sorted by how words begin, and are
//! long; so each word is entered here under each three of its characters (the last two also with nothing behind
//! them), and only words that have all threes of the needle are looked at.
//!
//! Numbers are little-endian. `GDG1`, then for each section: ordinal of its first word (u64), count of grams (u32),
//! where its table begins (u64). A table has for each gram, in order, its key (u64) and where its list ends (u32);
//! behind the tables lie the lists: gaps between words, seven bits a byte, the lowest first.

use tantivy::directory::{FileSlice, OwnedBytes};
use tantivy::{HasLen as _, SegmentReader};

use crate::Error;
use crate::fields::{Fields, Section, kind};

/// Three characters in a row; `\0` behind the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Gram([char; 3]);

impl Gram {
    /// Its number, in the order of its characters.
    fn key(self) -> u64 {
        self.0.iter().fold(0, |key, c| (key << 21) | u64::from(u32::from(*c)))
    }

    /// Its term among those of noise.
    pub(crate) fn term(self, letter: char) -> String {
        [letter].iter().chain(&self.0).collect()
    }
}

/// One for each character of a word: with the two that follow.
pub(crate) fn grams(word: &str) -> impl Iterator<Item = Gram> + '_ {
    let mut behind = word.chars().skip(1);
    let mut last = word.chars().skip(2);
    word.chars().map(move |a| Gram([a, behind.next().unwrap_or('\0'), last.next().unwrap_or('\0')]))
}

/// Those that every word that contains the part has too: none for parts of less than three characters.
pub(crate) fn inner(part: &str) -> Vec<Gram> {
    grams(part).filter(|gram| gram.0[2] != '\0').collect()
}

/// The extension of the file.
pub(crate) const EXTENSION: &str = "grams";

const MAGIC: &[u8; 4] = b"GDG1";
const SECTION: usize = 20;
const ROW: usize = 12;
const HEAD: usize = 4 + SECTION * Section::ALL.len();

/// The file of a segment.
pub(crate) fn build(segment: &SegmentReader, fields: &Fields) -> Result<Vec<u8>, Error> {
    let mut head = MAGIC.to_vec();
    let mut body = Vec::new();
    for section in Section::ALL {
        let (first, pairs) = collect(segment, fields, section)?;
        let (table, lists) = encode(&pairs);
        head.extend_from_slice(&first.to_le_bytes());
        head.extend_from_slice(&u32::try_from(table.len() / ROW).unwrap_or(u32::MAX).to_le_bytes());
        head.extend_from_slice(&((HEAD + body.len()) as u64).to_le_bytes());
        body.extend_from_slice(&table);
        body.extend_from_slice(&lists);
    }
    head.extend_from_slice(&body);
    Ok(head)
}

/// The ordinal of the first word, and each gram with each word that has it, in order.
fn collect(
    segment: &SegmentReader,
    fields: &Fields,
    section: Section,
) -> Result<(u64, Vec<(u64, u32)>), Error> {
    let inverted = segment.inverted_index(fields.exact(section))?;
    let from = [kind::WORD as u8];
    let mut stream = inverted.terms().range().ge(from).lt([from[0] + 1]).into_stream()?;
    let mut first = None;
    let mut pairs = Vec::new();
    while stream.advance() {
        let first = *first.get_or_insert_with(|| stream.term_ord());
        let at = u32::try_from(stream.term_ord() - first).unwrap_or(u32::MAX);
        let word = std::str::from_utf8(&stream.key()[1..]).map_err(|_| Error::Damaged("a word"))?;
        pairs.extend(grams(word).map(|gram| (gram.key(), at)));
    }
    pairs.sort_unstable();
    pairs.dedup();
    Ok((first.unwrap_or(0), pairs))
}

fn encode(pairs: &[(u64, u32)]) -> (Vec<u8>, Vec<u8>) {
    let (mut table, mut lists) = (Vec::new(), Vec::new());
    for list in pairs.chunk_by(|a, b| a.0 == b.0) {
        let mut last = 0;
        for (_, word) in list {
            put(&mut lists, word - last);
            last = *word;
        }
        table.extend_from_slice(&list[0].0.to_le_bytes());
        table.extend_from_slice(&u32::try_from(lists.len()).unwrap_or(u32::MAX).to_le_bytes());
    }
    (table, lists)
}

fn put(out: &mut Vec<u8>, mut value: u32) {
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// A file opened: the tables in memory, the lists where they are.
#[derive(Debug)]
pub(crate) struct Grams {
    sections: Vec<Table>,
}

#[derive(Debug)]
struct Table {
    first: u64,
    rows: OwnedBytes,
    lists: FileSlice,
}

impl Grams {
    pub(crate) fn open(file: &FileSlice) -> Result<Grams, Error> {
        let damaged = || Error::Damaged("the head of a file of grams");
        if file.len() < HEAD {
            return Err(damaged());
        }
        let head = file.slice(0..HEAD).read_bytes()?;
        let heads = head.strip_prefix(MAGIC).ok_or_else(damaged)?;
        let mut sections = Vec::new();
        for section in heads.chunks_exact(SECTION) {
            let first = u64_at(section, 0);
            let rows = usize::try_from(u32_at(section, 8)).map_err(|_| damaged())? * ROW;
            let from = usize::try_from(u64_at(section, 12)).map_err(|_| damaged())?;
            let lists = from.checked_add(rows).filter(|end| *end <= file.len()).ok_or_else(damaged)?;
            let rows = if rows == 0 { OwnedBytes::empty() } else { file.slice(from..lists).read_bytes()? };
            sections.push(Table { first, rows, lists: file.slice(lists..file.len()) });
        }
        Ok(Grams { sections })
    }

    /// Ordinals of the words that have the gram, in order.
    pub(crate) fn words(&self, section: Section, gram: Gram) -> Result<Vec<u64>, Error> {
        let table = &self.sections[section as usize];
        let at = table.position(gram.key());
        if table.key(at) != Some(gram.key()) {
            return Ok(Vec::new());
        }
        table.list(at)
    }

    /// Ordinals of the words that have a gram that begins with these one or two characters, in order; none where they
    /// are more than `most`.
    pub(crate) fn words_with(
        &self,
        section: Section,
        part: &str,
        most: usize,
    ) -> Result<Option<Vec<u64>>, Error> {
        let table = &self.sections[section as usize];
        let mut chars = part.chars();
        let first = chars.next().unwrap_or('\0');
        let (from, to) = match chars.next() {
            Some(second) => (Gram([first, second, '\0']), Gram([first, second, char::MAX])),
            None => (Gram([first, '\0', '\0']), Gram([first, char::MAX, char::MAX])),
        };
        let mut out = Vec::new();
        let mut at = table.position(from.key());
        while table.key(at).is_some_and(|key| key <= to.key()) {
            out.append(&mut table.list(at)?);
            if out.len() > most {
                return Ok(None);
            }
            at += 1;
        }
        out.sort_unstable();
        out.dedup();
        Ok(Some(out))
    }
}

impl Table {
    fn key(&self, at: usize) -> Option<u64> {
        self.rows.get(at * ROW..at * ROW + 8).map(|row| u64_at(row, 0))
    }

    /// Where the key is, or would be.
    fn position(&self, key: u64) -> usize {
        let (mut low, mut high) = (0, self.rows.len() / ROW);
        while low < high {
            let middle = low.midpoint(high);
            if self.key(middle).is_some_and(|found| found < key) { low = middle + 1 } else { high = middle }
        }
        low
    }

    fn end(&self, at: usize) -> usize {
        self.rows.get(at * ROW + 8..at * ROW + ROW).map_or(0, |row| u32_at(row, 0) as usize)
    }

    fn list(&self, at: usize) -> Result<Vec<u64>, Error> {
        let begin = if at == 0 { 0 } else { self.end(at - 1) };
        let end = self.end(at);
        if begin >= end || end > self.lists.len() {
            return Err(Error::Damaged("a list of grams"));
        }
        let bytes = self.lists.slice(begin..end).read_bytes()?;
        let (mut out, mut word, mut value, mut shift) = (Vec::new(), 0u64, 0u64, 0u32);
        for byte in bytes.iter() {
            value |= u64::from(byte & 0x7f) << shift.min(57);
            shift += 7;
            if byte & 0x80 == 0 {
                word += value;
                out.push(self.first + word);
                (value, shift) = (0, 0);
            }
        }
        Ok(out)
    }
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    bytes.get(at..at + 8).and_then(|b| b.try_into().ok()).map_or(0, u64::from_le_bytes)
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..at + 4).and_then(|b| b.try_into().ok()).map_or(0, u32::from_le_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_for_each_character() {
        let found: Vec<_> = grams("grün").map(|gram| gram.term('y')).collect();
        assert_eq!(found, ["ygrü", "yrün", "yün\0", "yn\0\0"]);
        assert_eq!(inner("grün").len(), 2);
        assert!(inner("gr").is_empty());
        assert!(Gram(['a', 'b', '\0']).key() < Gram(['a', 'b', 'c']).key());
    }

    #[test]
    fn lists_are_read_as_written() {
        let pairs = [(1, 0), (1, 5), (1, 70_000), (9, 3)];
        let (table, lists) = encode(&pairs);
        let table = Table { first: 10, rows: OwnedBytes::new(table), lists: FileSlice::from(lists) };
        assert_eq!(table.list(0).unwrap(), [10, 15, 70_010]);
        assert_eq!(table.list(1).unwrap(), [13]);
        assert_eq!((table.position(1), table.position(2), table.position(10)), (0, 1, 2));
        assert!(table.list(2).is_err());
    }

    #[test]
    fn what_is_no_file_of_ours() {
        assert!(Grams::open(&FileSlice::from(b"GDG1".to_vec())).is_err());
        assert!(Grams::open(&FileSlice::from(vec![1; 1000])).is_err());
    }
}
