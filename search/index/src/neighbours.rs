//! Which documents have two frequent words side by side: a file beside each large segment, made of its lists of positions.
//!
//! "in the" is in a third of all messages, and to find it is to read where each "in" and each "the" is. So for words that
//! many documents have, a set of documents is kept for each two of them: those in whose body a word that ends with the
//! first stands before one that begins with the second, which is what a scan for both finds. A run that is no word may end
//! or begin in any way, so that documents that have one there are sets too. A segment without the file, and words that are
//! not in it, are looked for in the lists of positions.
//!
//! Numbers are little-endian. `GDN1`, documents (u32), how many words there are (u8) and how long their rows are (u32);
//! for each word how many of the words may be the second one (u8), its length (u8) and itself: that of a run that is no word
//! is empty. Then where each set ends behind these (u32), for each first word by second ones. How sets are written
//! [`crate::sets`] says.

use std::collections::HashMap;

use foldhash::fast::RandomState;
use tantivy::directory::{FileSlice, OwnedBytes};
use tantivy::postings::TermInfo;
use tantivy::{DocId, InvertedIndexReader, SegmentReader};

use crate::Error;
use crate::bytes::{part, u32_at};
use crate::exact::Docs;
use crate::fields::{Fields, kind};
use crate::lists::{PositionLists, each_word};
use crate::sets::{LEAST, SECTION, put_set, take_set};

/// The extension of the file.
pub(crate) const EXTENSION: &str = "neighbours";
/// The word that stands for a run that is no word.
pub(crate) const NOISE: &str = "";
/// Two words have a set where by chance one in so many documents would have both.
const SHARE: u64 = 6;
/// Words in a file, at most, and bytes of memory that their sets take when they are made.
const MOST: u64 = 100;
const MEMORY: u64 = 64 << 20;
/// Positions of all documents of a segment, at most: two bytes of memory each.
const POSITIONS: usize = 1 << 25;

/// Words of so many bytes and more are looked up whatever their length is.
const LONGEST: usize = 15;

const MAGIC: &[u8; 4] = b"GDN1";
const HEAD: usize = 13;

/// Words that have sets, most frequent first; the first one is what is no word.
struct Words {
    texts: Vec<String>,
    /// How many of them may follow each one.
    seconds: Vec<usize>,
    /// Where the sets of each begin.
    begins: Vec<usize>,
}

impl Words {
    /// Of words and how many documents have each.
    fn of(mut counts: Vec<(u64, String)>, documents: u64) -> Words {
        counts.push((documents, NOISE.to_owned()));
        counts.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
        // Each two of them may have a set.
        counts.truncate(MOST.min((8 * MEMORY / documents.max(1)).isqrt()) as usize);
        let is_frequent = |a: u64, b: u64| a * b >= documents * documents / SHARE;
        let seconds = counts.iter().map(|a| counts.iter().take_while(|b| is_frequent(a.0, b.0)).count());
        let seconds: Vec<usize> = seconds.collect();
        Words::new(counts.into_iter().map(|(_, text)| text).collect(), seconds)
    }

    fn new(texts: Vec<String>, seconds: Vec<usize>) -> Words {
        let mut end = 0;
        let begins = seconds.iter().map(|seconds| {
            end += seconds;
            end - seconds
        });
        Words { begins: begins.collect(), texts, seconds }
    }

    fn sets(&self) -> usize {
        self.seconds.iter().sum()
    }

    /// The number of the set of two of them.
    fn set(&self, first: usize, second: usize) -> Option<usize> {
        let is_one = self.seconds.get(first).is_some_and(|seconds| second < *seconds);
        is_one.then(|| self.begins[first] + second)
    }

    fn number(&self, text: &str) -> Option<usize> {
        self.texts.iter().position(|known| known == text)
    }
}

/// What a word of a text is, beside others: which of the words it ends with, and which it begins with.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Class {
    ends: Vec<usize>,
    begins: Vec<usize>,
}

impl Class {
    fn of(word: &str, numbers: &Numbers<'_>) -> Option<Class> {
        let cuts = || word.char_indices().map(|(at, _)| at).chain([word.len()]);
        let ends: Vec<usize> = cuts().filter_map(|at| numbers.get(&word[at..])).collect();
        let begins: Vec<usize> = cuts().filter_map(|at| numbers.get(&word[..at])).collect();
        (!ends.is_empty() || !begins.is_empty()).then_some(Class { ends, begins })
    }
}

/// Numbers of frequent words.
struct Numbers<'a> {
    numbers: HashMap<&'a str, usize, RandomState>,
    /// Lengths that they have: most parts of words have others, and need not be looked up.
    lengths: [bool; LONGEST + 1],
}

impl<'a> Numbers<'a> {
    fn of(words: impl Iterator<Item = (&'a str, usize)>) -> Numbers<'a> {
        let mut numbers = Numbers { numbers: HashMap::default(), lengths: [false; LONGEST + 1] };
        for (word, number) in words {
            numbers.lengths[word.len().min(LONGEST)] = true;
            numbers.numbers.insert(word, number);
        }
        numbers
    }

    fn get(&self, word: &str) -> Option<usize> {
        self.lengths[word.len().min(LONGEST)].then(|| self.numbers.get(word).copied()).flatten()
    }
}

/// The file of a segment, if it has one. `lists` has the documents of all terms of the section, `positions` where they
/// are.
pub(crate) fn build(
    segment: &SegmentReader,
    fields: &Fields,
    lists: FileSlice,
    positions: FileSlice,
) -> Result<Option<Vec<u8>>, Error> {
    let documents = segment.max_doc();
    if documents < LEAST {
        return Ok(None);
    }
    let inverted = segment.inverted_index(fields.exact(SECTION))?;
    let mut counts = Vec::new();
    each_word(&inverted, |word, info| {
        if u64::from(info.doc_freq) >= u64::from(documents) / SHARE && word.chars().count() > 1 {
            counts.push((u64::from(info.doc_freq), word.to_owned()));
        }
        Ok(())
    })?;
    let words = Words::of(counts, u64::from(documents));
    let Classed { classes, terms } = classed(&inverted, &words)?;
    let mut lists = PositionLists::new(&inverted, lists, positions);
    let Some(texts) = Texts::read(&mut lists, &terms, documents)? else { return Ok(None) };
    let mut sets = vec![Docs::none(documents); words.sets()];
    // Sets of two classes that were met side by side.
    let mut met: HashMap<(u16, u16), Vec<usize>, RandomState> = HashMap::default();
    for (doc, text) in (0..documents).zip(texts.each()) {
        for pair in text.windows(2).filter(|pair| pair[0] != 0 && pair[1] != 0) {
            let those = met.entry((pair[0], pair[1])).or_insert_with(|| {
                let (first, second) = (&classes[usize::from(pair[0])], &classes[usize::from(pair[1])]);
                let both = first.ends.iter().flat_map(|a| second.begins.iter().map(move |b| (*a, *b)));
                both.filter_map(|(a, b)| words.set(a, b)).collect()
            });
            those.iter().for_each(|set| sets[*set].insert(doc));
        }
    }
    Ok(Some(encode(documents, &words, &sets)))
}

/// What terms are beside others.
struct Classed {
    /// All that there is, the first of which is nothing.
    classes: Vec<Class>,
    /// Terms that are anything, and which of it.
    terms: Vec<(TermInfo, u16)>,
}

fn classed(inverted: &InvertedIndexReader, words: &Words) -> Result<Classed, Error> {
    let mut classes = vec![Class { ends: Vec::new(), begins: Vec::new() }];
    let (mut known, mut terms) = (HashMap::new(), Vec::new());
    let texts = words.texts.iter().map(String::as_str);
    let numbers = Numbers::of(texts.zip(0..).filter(|(text, _)| *text != NOISE));
    let mut add = |class: Class, info: &TermInfo| {
        let number = *known.entry(class).or_insert_with_key(|class| {
            classes.push(class.clone());
            classes.len() - 1
        });
        let number = u16::try_from(number).map_err(|_| Error::Damaged("frequent words"))?;
        terms.push((info.clone(), number));
        Ok(())
    };
    each_word(inverted, |word, info| Class::of(word, &numbers).map_or(Ok(()), |class| add(class, info)))?;
    if let (Some(noise), Some(info)) = (words.number(NOISE), inverted.terms().get(kind::NOISE.as_bytes())?) {
        add(Class { ends: vec![noise], begins: vec![noise] }, &info)?;
    }
    Ok(Classed { classes, terms })
}

/// What stands at each position of each document: the number of a class.
struct Texts {
    ends: Vec<usize>,
    classes: Vec<u16>,
}

impl Texts {
    /// None where documents are too long.
    fn read(
        lists: &mut PositionLists<'_>,
        terms: &[(TermInfo, u16)],
        documents: u32,
    ) -> Result<Option<Texts>, Error> {
        let (all, mut lengths): (Vec<DocId>, _) = ((0..documents).collect(), vec![0; documents as usize]);
        let mut each = |visit: &mut dyn FnMut(DocId, &[u32], u16)| {
            let mut each = |(info, class): &(TermInfo, u16)| {
                lists.each(info, &all, |_| true, |doc, positions| visit(doc, positions, *class))
            };
            terms.iter().try_for_each(&mut each)
        };
        each(&mut |doc, positions, _| {
            if let (Some(length), Some(last)) = (lengths.get_mut(doc as usize), positions.last()) {
                *length = (*length).max(*last as usize + 1);
            }
        })?;
        let mut end = 0;
        let ends = lengths.iter().map(|length| {
            end += length;
            end
        });
        let ends: Vec<usize> = ends.collect();
        if end > POSITIONS {
            return Ok(None);
        }
        let mut classes = vec![0; end];
        each(&mut |doc, positions, class| {
            let Some(end) = ends.get(doc as usize) else { return };
            let begin = end - lengths[doc as usize];
            positions.iter().for_each(|at| classes[begin + *at as usize] = class);
        })?;
        Ok(Some(Texts { ends, classes }))
    }

    /// Those of each document.
    fn each(&self) -> impl Iterator<Item = &[u16]> {
        let begins = [0].into_iter().chain(self.ends.iter().copied());
        begins.zip(&self.ends).map(|(begin, end)| &self.classes[begin..*end])
    }
}

fn encode(documents: u32, words: &Words, sets: &[Docs]) -> Vec<u8> {
    let mut rows = Vec::new();
    for (text, seconds) in words.texts.iter().zip(&words.seconds) {
        rows.push(*seconds as u8);
        rows.push(text.len() as u8);
        rows.extend_from_slice(text.as_bytes());
    }
    let mut out = MAGIC.to_vec();
    out.extend_from_slice(&documents.to_le_bytes());
    out.push(words.texts.len() as u8);
    out.extend_from_slice(&(rows.len() as u32).to_le_bytes());
    out.extend_from_slice(&rows);
    let mut body = Vec::new();
    for set in sets {
        put_set(documents, set, &mut body);
        out.extend_from_slice(&u32::try_from(body.len()).unwrap_or(u32::MAX).to_le_bytes());
    }
    out.extend_from_slice(&body);
    out
}

/// A file opened: its words in memory, the sets where they are.
pub(crate) struct Neighbours {
    documents: u32,
    words: Words,
    ends: OwnedBytes,
    sets: FileSlice,
}

impl Neighbours {
    pub(crate) fn open(file: &FileSlice, documents: u32) -> Result<Neighbours, Error> {
        let damaged = || Error::Damaged("the head of a file of neighbours");
        let head = part(file, 0, HEAD)?;
        if !head.starts_with(MAGIC) || u32_at(&head, 4) != documents {
            return Err(damaged());
        }
        let rows = part(file, HEAD, u32_at(&head, 9) as usize)?;
        let (mut texts, mut seconds, mut rest) = (Vec::new(), Vec::new(), rows.as_slice());
        for _ in 0..head[8] {
            let [those, length, behind @ ..] = rest else { return Err(damaged()) };
            let (text, behind) = behind.split_at_checked(usize::from(*length)).ok_or_else(damaged)?;
            texts.push(std::str::from_utf8(text).map_err(|_| damaged())?.to_owned());
            seconds.push(usize::from(*those));
            rest = behind;
        }
        let words = Words::new(texts, seconds);
        let ends = part(file, HEAD + rows.len(), 4 * words.sets())?;
        let sets = file.slice_from(HEAD + rows.len() + ends.len());
        Ok(Neighbours { documents, words, ends, sets })
    }

    /// Documents in which a word that ends with the first stands before one that begins with the second, if they are kept.
    pub(crate) fn get(&self, first: &str, second: &str) -> Result<Option<Docs>, Error> {
        let (Some(first), Some(second)) = (self.words.number(first), self.words.number(second)) else {
            return Ok(None);
        };
        let Some(number) = self.words.set(first, second) else { return Ok(None) };
        let damaged = || Error::Damaged("a set of neighbours");
        let begin = if number == 0 { 0 } else { u32_at(&self.ends, 4 * (number - 1)) as usize };
        let length = (u32_at(&self.ends, 4 * number) as usize).checked_sub(begin).ok_or_else(damaged)?;
        take_set(self.documents, &part(&self.sets, begin, length)?).ok_or_else(damaged).map(Some)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOCUMENTS: u32 = 1_000;

    fn file() -> Vec<u8> {
        let counts = [(900, "the"), (800, "in"), (400, "of"), (200, "while")];
        let words = Words::of(counts.map(|(count, word)| (count, word.to_owned())).to_vec(), 1_000);
        assert_eq!(words.seconds, [5, 5, 4, 3, 2], "{:?}", words.texts);
        let mut sets = Vec::new();
        for step in 2..2 + words.sets() {
            let mut set = Docs::none(DOCUMENTS);
            (0..DOCUMENTS).step_by(step).for_each(|doc| set.insert(doc));
            sets.push(set);
        }
        encode(DOCUMENTS, &words, &sets)
    }

    #[test]
    fn sets_are_read_as_written() {
        let known = Neighbours::open(&FileSlice::from(file()), DOCUMENTS).unwrap();
        let first = |a: &str, b: &str| known.get(a, b).unwrap().map(|set| set.iter().nth(1).unwrap());
        assert_eq!(first(NOISE, NOISE), Some(2));
        assert_eq!(first(NOISE, "while"), Some(6));
        assert_eq!(first("the", NOISE), Some(7));
        assert_eq!(first("in", "the"), Some(13));
        assert_eq!(first("of", "the"), Some(17));
        for (a, b) in [("of", "of"), ("in", "while"), ("the", "word"), ("word", "the"), ("th", "in")] {
            assert_eq!(first(a, b), None, "{a} {b}");
        }
        assert!(Neighbours::open(&FileSlice::from(file()), DOCUMENTS + 1).is_err());
    }

    #[test]
    fn sets_of_many_documents_are_few() {
        let words = |documents: u64| {
            let counts = (0..300).map(|at| (documents, format!("word{at}"))).collect();
            Words::of(counts, documents).texts.len() as u64
        };
        assert_eq!(words(2_000), MOST);
        for documents in [100_000, 1_000_000, 50_000_000] {
            let words = words(documents);
            assert!(words > 0 && words * words * documents / 8 <= MEMORY, "{words} of {documents}");
        }
        assert_eq!(words(0), MOST);
    }

    #[test]
    fn what_words_are_beside_others() {
        let numbers = Numbers::of([("in", 1), ("the", 2), ("th", 3)].into_iter());
        let class = |word: &str| Class::of(word, &numbers).map(|class| (class.ends, class.begins));
        assert_eq!(class("the"), Some((vec![2], vec![3, 2])));
        assert_eq!(class("within"), Some((vec![1], vec![])));
        assert_eq!(class("inn"), Some((vec![], vec![1])));
        assert_eq!(class("within").is_some(), class("äthin").is_some());
        assert_eq!(class("other"), None);
    }

    #[test]
    fn a_file_can_be_read_whatever_is_in_it() {
        let whole = file();
        for length in 0..60 {
            assert!(Neighbours::open(&FileSlice::from(whole[..length].to_vec()), DOCUMENTS).is_err());
        }
        for (at, value) in (0..whole.len()).flat_map(|at| [0, 1, 0x7f, 0xff].map(|value| (at, value))) {
            let mut file = whole.clone();
            file[at] = value;
            let Ok(known) = Neighbours::open(&FileSlice::from(file), DOCUMENTS) else { continue };
            for (a, b) in [(NOISE, NOISE), ("the", "in"), ("of", "the"), ("in", "while")] {
                let said = known.get(a, b).unwrap_or_default();
                assert!(said.is_none_or(|docs| docs.iter().all(|doc| doc < DOCUMENTS)), "{at} {value}");
            }
        }
    }
}
