//! Which words contain three characters in a row: a file beside each segment, made of its word lists.
//!
//! A needle within a word asks for all words that contain it. The lists of words are sorted by how words begin, and are
//! long; so each word is entered here under each three of its characters (the last two also with nothing behind
//! them). A word that has all threes of a needle contains it where no two characters come again in the word: two threes of
//! the needle that follow one another share two characters, so they stand where these are. Words in which two do are entered
//! under three zeros, too, and are looked at.
//!
//! Numbers are little-endian. `GDG3`, then for each section: ordinal of its first word (u64), count of blocks (u32),
//! where its table begins (u64). A table has for each block of 32 grams, in order, the key of the first (u64) and where
//! the block begins behind the table (u32). A block has for each gram how far its key is from the one before and how
//! long its list is, seven bits a byte, then the lists of words, as [`crate::gaps`] says.

use std::hash::{Hash, Hasher};
use std::sync::OnceLock;

use tantivy::directory::{FileSlice, OwnedBytes};
use tantivy::{HasLen as _, SegmentReader};

use crate::Error;
use crate::bytes::{part, put, take, u32_at, u64_at};
use crate::fields::{Fields, Section, kind};
use crate::gaps::{put_numbers, take_numbers};

/// Three characters in a row; `\0` behind the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
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

impl Hash for Gram {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.key());
    }
}

/// Under it are words in which two characters in a row come again.
const REPEATING: Gram = Gram(['\0'; 3]);

/// Whether two characters in a row come again in a word.
fn is_repeating(word: &str) -> bool {
    let pairs = || word.chars().zip(word.chars().skip(1));
    // A bit for each pair, which few share, tells it of most words.
    let mut met = [0u64; 4];
    let may_be = pairs().any(|(a, b)| {
        let at = (u32::from(a).wrapping_mul(37) ^ u32::from(b)) as usize % (64 * met.len());
        let was_met = met[at / 64] & (1 << (at % 64)) != 0;
        met[at / 64] |= 1 << (at % 64);
        was_met
    });
    may_be && pairs().enumerate().any(|(at, pair)| pairs().skip(at + 1).any(|other| other == pair))
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

/// The extension of the file: another one than in former formats, so that nobody takes one for the other.
pub(crate) const EXTENSION: &str = "threes";

const MAGIC: &[u8; 4] = b"GDG3";
const SECTION: usize = 20;
const ROW: usize = 12;
/// Grams of a block.
const BLOCK: usize = 32;
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
        if is_repeating(word) {
            pairs.push((REPEATING.key(), at));
        }
    }
    pairs.sort_unstable();
    pairs.dedup();
    Ok((first.unwrap_or(0), pairs))
}

/// A table and its blocks.
fn encode(pairs: &[(u64, u32)]) -> (Vec<u8>, Vec<u8>) {
    let lists: Vec<&[(u64, u32)]> = pairs.chunk_by(|a, b| a.0 == b.0).collect();
    let (mut table, mut blocks) = (Vec::new(), Vec::new());
    for block in lists.chunks(BLOCK) {
        let mut key = block[0][0].0;
        table.extend_from_slice(&key.to_le_bytes());
        table.extend_from_slice(&u32::try_from(blocks.len()).unwrap_or(u32::MAX).to_le_bytes());
        let mut bytes = Vec::new();
        for list in block {
            let begin = bytes.len();
            put_numbers(&mut bytes, list.iter().map(|(_, word)| *word));
            put(&mut blocks, list[0].0 - key);
            put(&mut blocks, (bytes.len() - begin) as u64);
            key = list[0].0;
        }
        blocks.append(&mut bytes);
    }
    (table, blocks)
}

/// A file opened: the tables in memory, the lists where they are.
#[derive(Debug)]
pub(crate) struct Grams {
    sections: Vec<Table>,
}

#[derive(Debug)]
struct Table {
    /// Words in which two characters come again, once they were asked for.
    repeating: OnceLock<Vec<u64>>,
    first: u64,
    rows: OwnedBytes,
    blocks: FileSlice,
}

impl Grams {
    pub(crate) fn open(file: &FileSlice) -> Result<Grams, Error> {
        let damaged = || Error::Damaged("the head of a file of grams");
        let head = part(file, 0, HEAD)?;
        let heads = head.strip_prefix(MAGIC).ok_or_else(damaged)?;
        let mut sections: Vec<Table> = Vec::new();
        // The blocks of a section end where the next one begins.
        let mut end = file.len();
        for section in heads.rchunks_exact(SECTION) {
            let first = u64_at(section, 0);
            let rows = u32_at(section, 8) as usize * ROW;
            let from = usize::try_from(u64_at(section, 12)).map_err(|_| damaged())?;
            let table = part(file, from, rows)?;
            let begin = from.saturating_add(rows);
            if begin > end {
                return Err(damaged());
            }
            sections.push(Table {
                repeating: OnceLock::new(),
                first,
                rows: table,
                blocks: file.slice(begin..end),
            });
            end = from;
        }
        sections.reverse();
        Ok(Grams { sections })
    }

    /// Ordinals of the words that have the gram, in order.
    pub(crate) fn words(&self, section: Section, gram: Gram) -> Result<Vec<u64>, Error> {
        let mut out = Vec::new();
        self.sections[section as usize].visit(gram.key(), gram.key(), &mut |list| {
            out = list;
            true
        })?;
        Ok(out)
    }

    /// Ordinals of the words that have to be looked at though they have all grams of a text, in order.
    pub(crate) fn repeating(&self, section: Section) -> Result<&[u64], Error> {
        let known = &self.sections[section as usize].repeating;
        match known.get() {
            Some(words) => Ok(words),
            None => {
                let words = self.words(section, REPEATING)?;
                Ok(known.get_or_init(|| words))
            }
        }
    }

    /// Ordinals of the words that have a gram that begins with these one or two characters, in order; none where they
    /// are more than `most`. The section has terms up to an ordinal.
    pub(crate) fn words_with(
        &self,
        section: Section,
        part: &str,
        terms: usize,
        most: usize,
    ) -> Result<Option<Vec<u64>>, Error> {
        let mut chars = part.chars();
        let first = chars.next().unwrap_or('\0');
        let (from, to) = match chars.next() {
            Some(second) => (Gram([first, second, '\0']), Gram([first, second, char::MAX])),
            None => (Gram([first, '\0', '\0']), Gram([first, char::MAX, char::MAX])),
        };
        // A bit for each: they come in order by gram, and a word has several of these.
        let (mut bits, mut count, mut is_damaged) = (vec![0u64; terms.div_ceil(64)], 0, false);
        self.sections[section as usize].visit(from.key(), to.key(), &mut |list| {
            count += list.len();
            for word in list {
                match usize::try_from(word / 64).ok().and_then(|at| bits.get_mut(at)) {
                    Some(bit) => *bit |= 1 << (word % 64),
                    None => is_damaged = true,
                }
            }
            count <= most && !is_damaged
        })?;
        if is_damaged {
            return Err(Error::Damaged("a list of grams"));
        }
        if count > most {
            return Ok(None);
        }
        let mut out = Vec::with_capacity(count);
        for (word, at) in bits.into_iter().zip(0u64..) {
            let mut left = word;
            while left != 0 {
                out.push(at * 64 + u64::from(left.trailing_zeros()));
                left &= left - 1;
            }
        }
        Ok(Some(out))
    }
}

impl Table {
    fn len(&self) -> usize {
        self.rows.len() / ROW
    }

    fn key(&self, at: usize) -> u64 {
        u64_at(&self.rows, at * ROW)
    }

    /// The block in which the key is, if it is anywhere.
    fn position(&self, key: u64) -> usize {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = low.midpoint(high);
            if self.key(middle) <= key { low = middle + 1 } else { high = middle }
        }
        low.saturating_sub(1)
    }

    fn block(&self, at: usize) -> Result<OwnedBytes, Error> {
        let begin = u32_at(&self.rows, at * ROW + 8) as usize;
        let end = if at + 1 < self.len() {
            u32_at(&self.rows, (at + 1) * ROW + 8) as usize
        } else {
            self.blocks.len()
        };
        let length = end.checked_sub(begin).ok_or(Error::Damaged("a list of grams"))?;
        part(&self.blocks, begin, length)
    }

    /// Visits the lists of the grams from one key to another, until `visit` says false.
    fn visit(&self, from: u64, to: u64, visit: &mut dyn FnMut(Vec<u64>) -> bool) -> Result<(), Error> {
        let damaged = || Error::Damaged("a list of grams");
        for at in self.position(from)..self.len() {
            let mut key = self.key(at);
            if key > to {
                break;
            }
            let block = self.block(at)?;
            let mut rest = block.as_slice();
            let mut lists = Vec::with_capacity(BLOCK);
            let in_block = if at + 1 < self.len() { BLOCK } else { usize::MAX };
            let mut bytes = 0;
            // The last block has as many as fit into it.
            while lists.len() < in_block && bytes < rest.len() {
                key = key.checked_add(take(&mut rest).ok_or_else(damaged)?).ok_or_else(damaged)?;
                let length = usize::try_from(take(&mut rest).ok_or_else(damaged)?).map_err(|_| damaged())?;
                bytes = bytes.checked_add(length).ok_or_else(damaged)?;
                lists.push((key, length));
            }
            for (key, length) in lists {
                let (list, behind) = rest.split_at_checked(length).ok_or_else(damaged)?;
                rest = behind;
                if (from..=to).contains(&key) {
                    let mut words = take_numbers(list).ok_or_else(damaged)?;
                    words.iter_mut().for_each(|word| *word += self.first);
                    if !visit(words) {
                        return Ok(());
                    }
                }
            }
        }
        Ok(())
    }
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
    fn what_comes_again_in_a_word() {
        for word in ["banana", "murmur", "aaa", "1212", "überrüber", "日本日本"] {
            assert!(is_repeating(word), "{word}");
        }
        for word in ["", "a", "aa", "process", "aba", "banal", "日本語"] {
            assert!(!is_repeating(word), "{word}");
        }
    }

    fn lists(pairs: &[(u64, u32)], from: u64, to: u64) -> Result<Vec<Vec<u64>>, Error> {
        let (rows, blocks) = encode(pairs);
        let table = Table {
            repeating: OnceLock::new(),
            first: 10,
            rows: OwnedBytes::new(rows),
            blocks: FileSlice::from(blocks),
        };
        let mut out = Vec::new();
        table.visit(from, to, &mut |list| {
            out.push(list);
            true
        })?;
        Ok(out)
    }

    #[test]
    fn lists_are_read_as_written() {
        let pairs = [(1, 0), (1, 5), (1, 70_000), (9, 3)];
        assert_eq!(lists(&pairs, 1, 1).unwrap(), [vec![10, 15, 70_010]]);
        assert_eq!(lists(&pairs, 2, 10).unwrap(), [vec![13]]);
        assert!(lists(&pairs, 2, 8).unwrap().is_empty() && lists(&[], 0, 9).unwrap().is_empty());
        for count in [1, 31, 32, 33, 64, 100] {
            let pairs: Vec<(u64, u32)> = (0..count).map(|n| (n * 1000, n as u32)).collect();
            for n in 0..count {
                assert_eq!(lists(&pairs, n * 1000, n * 1000).unwrap(), [vec![10 + n]], "{n} of {count}");
            }
            assert_eq!(lists(&pairs, 0, u64::MAX).unwrap().len() as u64, count);
        }
    }

    #[test]
    fn what_is_no_file_of_ours() {
        assert!(Grams::open(&FileSlice::from(b"GDG3".to_vec())).is_err());
        assert!(Grams::open(&FileSlice::from(vec![1; 1000])).is_err());
    }
}
