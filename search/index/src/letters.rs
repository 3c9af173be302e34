//! Which documents have a few letters in a row, of those that many have: a file beside each large segment, made of its
//! word lists.
//!
//! "in" is in thousands of words, and their lists together are longer than the segment has documents. So what is asked for
//! is kept here as it will be answered: for one, two and three letters a set of documents of which a word of the body has
//! them. Runs that are no words are not in it: their lists are few. A segment without the file, and letters that are
//! not in it, are looked for in the lists of words.
//!
//! Numbers are little-endian. `GDL2`, documents (u32), count of sets (u32), then a row for each in the order of keys: key
//! (u64), where its set ends behind the rows (u32). How sets are written [`crate::sets`] says.

use std::collections::HashMap;

use foldhash::fast::RandomState;
use tantivy::directory::{FileSlice, OwnedBytes};
use tantivy::{InvertedIndexReader, SegmentReader};

use crate::Error;
use crate::bytes::{part, u32_at, u64_at};
use crate::exact::Docs;
use crate::fields::Fields;
use crate::lists::{DocLists, each_word};
use crate::sets::{LEAST, SECTION, put_set, take_set};

/// The extension of the file.
pub(crate) const EXTENSION: &str = "sets";
/// One and two letters have a set where the lists of their words have together one in so many of the documents.
const SHARE: u64 = 4;
/// The longest row of letters; these have a set where the lists of their words are longer than the segment.
const MOST: usize = 3;

const MAGIC: &[u8; 4] = b"GDL2";
const HEAD: usize = 12;
const ROW: usize = 12;

/// What counts letters, and finds their set.
type Keys<T> = HashMap<u64, T, RandomState>;

/// A row of letters as a number, in the order of its letters.
fn key(letters: impl IntoIterator<Item = char>) -> u64 {
    letters.into_iter().fold(0, |key, letter| (key << 21) | u64::from(u32::from(letter)))
}

/// All rows of up to three letters of a word, some of them several times.
fn rows(word: &str) -> impl Iterator<Item = u64> + '_ {
    let begins = word.char_indices().map(|(at, _)| &word[at..]);
    begins.flat_map(|rest| {
        let most = rest.chars().take(MOST).count();
        (1..=most).map(|count| key(rest.chars().take(count)))
    })
}

/// The file of a segment, if it has one. `lists` are those of all terms of the section.
pub(crate) fn build(
    segment: &SegmentReader,
    fields: &Fields,
    lists: FileSlice,
) -> Result<Option<Vec<u8>>, Error> {
    if segment.max_doc() < LEAST {
        return Ok(None);
    }
    let inverted = segment.inverted_index(fields.exact(SECTION))?;
    let mut keys: Vec<u64> = counted(&inverted, segment.max_doc())?;
    keys.sort_unstable();
    let numbers: Keys<usize> = keys.iter().copied().zip(0..).collect();
    let mut sets = vec![Docs::none(segment.max_doc()); keys.len()];
    let (mut lists, mut those) = (DocLists::new(&inverted, lists), Vec::<usize>::new());
    each_word(&inverted, |word, info| {
        those.clear();
        those.extend(rows(word).filter_map(|key| numbers.get(&key).copied()));
        those.sort_unstable();
        those.dedup();
        lists.each(info, |docs| those.iter().for_each(|set| sets[*set].insert_all(docs)))
    })?;
    Ok(Some(encode(segment.max_doc(), &keys, &sets)))
}

/// The letters that have a set.
fn counted(inverted: &InvertedIndexReader, documents: u32) -> Result<Vec<u64>, Error> {
    let mut counts: Keys<u64> = Keys::default();
    each_word(inverted, |word, info| {
        rows(word).for_each(|key| *counts.entry(key).or_default() += u64::from(info.doc_freq));
        Ok(())
    })?;
    let documents = u64::from(documents);
    let is_long = |key: u64| key >> 42 != 0;
    counts.retain(|key, count| if is_long(*key) { *count > documents } else { *count >= documents / SHARE });
    Ok(counts.into_keys().collect())
}

fn encode(documents: u32, keys: &[u64], sets: &[Docs]) -> Vec<u8> {
    let mut head = MAGIC.to_vec();
    head.extend_from_slice(&documents.to_le_bytes());
    head.extend_from_slice(&u32::try_from(keys.len()).unwrap_or(u32::MAX).to_le_bytes());
    let mut body = Vec::new();
    for (key, set) in keys.iter().zip(sets) {
        put_set(documents, set, &mut body);
        head.extend_from_slice(&key.to_le_bytes());
        head.extend_from_slice(&u32::try_from(body.len()).unwrap_or(u32::MAX).to_le_bytes());
    }
    head.extend_from_slice(&body);
    head
}

/// A file opened: its rows in memory, the sets where they are.
#[derive(Debug)]
pub(crate) struct Letters {
    documents: u32,
    rows: OwnedBytes,
    sets: FileSlice,
}

impl Letters {
    pub(crate) fn open(file: &FileSlice, documents: u32) -> Result<Letters, Error> {
        let head = part(file, 0, HEAD)?;
        if !head.starts_with(MAGIC) || u32_at(&head, 4) != documents {
            return Err(Error::Damaged("the head of a file of letters"));
        }
        let rows = part(file, HEAD, u32_at(&head, 8) as usize * ROW)?;
        let sets = file.slice_from(HEAD + rows.len());
        Ok(Letters { documents, rows, sets })
    }

    /// Documents of which a word of the body has these letters, if they are kept.
    pub(crate) fn get(&self, text: &str) -> Result<Option<Docs>, Error> {
        if text.chars().count() > MOST {
            return Ok(None);
        }
        let (wanted, row) = (key(text.chars()), |at: usize| &self.rows[at * ROW..(at + 1) * ROW]);
        let (mut low, mut high) = (0, self.rows.len() / ROW);
        while low < high {
            let middle = low.midpoint(high);
            if u64_at(row(middle), 0) < wanted { low = middle + 1 } else { high = middle }
        }
        if low == self.rows.len() / ROW || u64_at(row(low), 0) != wanted {
            return Ok(None);
        }
        let damaged = || Error::Damaged("a set of letters");
        let begin = if low == 0 { 0 } else { u32_at(row(low - 1), 8) as usize };
        let length = (u32_at(row(low), 8) as usize).checked_sub(begin).ok_or_else(damaged)?;
        take_set(self.documents, &part(&self.sets, begin, length)?).ok_or_else(damaged).map(Some)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_are_read_as_written() {
        const DOCUMENTS: u32 = 1_000;
        let every = |n: u32| {
            let mut set = Docs::none(DOCUMENTS);
            (0..DOCUMENTS).filter(|doc| doc % n == 0).for_each(|doc| set.insert(doc));
            set
        };
        let mut most = Docs::all(DOCUMENTS);
        most.remove(7);
        let sets = [every(1), every(2), every(50), most, Docs::none(DOCUMENTS)];
        let texts = ["a", "b", "ab", "äöü", "日本語"];
        let mut keys: Vec<u64> = texts.iter().map(|text| key(text.chars())).collect();
        assert!(keys.is_sorted());
        let file = encode(DOCUMENTS, &keys, &sets);
        let letters = Letters::open(&FileSlice::from(file.clone()), DOCUMENTS).unwrap();
        for (text, set) in texts.iter().zip(&sets) {
            assert_eq!(letters.get(text).unwrap().as_ref(), Some(set), "{text}");
        }
        for other in ["", "c", "äö", "abcd", "z日本"] {
            assert_eq!(letters.get(other).unwrap(), None, "{other}");
        }
        assert!(Letters::open(&FileSlice::from(file.clone()), DOCUMENTS + 1).is_err());
        assert!(Letters::open(&FileSlice::from(file[..30].to_vec()), DOCUMENTS).is_err());
        keys.clear();
        let none = Letters::open(&FileSlice::from(encode(DOCUMENTS, &keys, &[])), DOCUMENTS).unwrap();
        assert_eq!(none.get("a").unwrap(), None);
    }

    #[test]
    fn a_file_can_be_read_whatever_is_in_it() {
        const DOCUMENTS: u32 = 100;
        let mut set = Docs::none(DOCUMENTS);
        [3, 50, 99].into_iter().for_each(|doc| set.insert(doc));
        let keys = ["a", "b", "ab"].map(|text| key(text.chars()));
        let file = encode(DOCUMENTS, &keys, &[set, Docs::all(DOCUMENTS), Docs::none(DOCUMENTS)]);
        for (at, value) in (0..file.len()).flat_map(|at| [0, 1, 0x7f, 0xff].map(|value| (at, value))) {
            let mut file = file.clone();
            file[at] = value;
            let Ok(letters) = Letters::open(&FileSlice::from(file), DOCUMENTS) else { continue };
            for text in ["a", "b", "ab", "zzz"] {
                let said = letters.get(text).unwrap_or_default();
                assert!(
                    said.is_none_or(|docs| docs.iter().all(|doc| doc < DOCUMENTS)),
                    "{text}: {at} {value}"
                );
            }
        }
    }
}
