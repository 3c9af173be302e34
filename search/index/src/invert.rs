//! Terms of many documents turned over: for each term the documents that have it, and where.
//!
//! A document's text becomes a row of numbers of terms, four bytes each; the place in it says document and position. When
//! all documents are there places are sorted by terms. Each term is kept once, and what is to be known of it is found out
//! when it is met first.

use tantivy::DocId;
use tantivy::postings::FieldSerializer;

use crate::Error;
use crate::analysis::{Unit, is_noise, pairs, units};
use crate::document::{Name, Value};
use crate::fields::{Section, kind, mark_term};
use crate::noise::Noise;
use crate::numbers::{Numbers, Term};

/// In a row: what follows does not stand beside what was before. It ends each value.
const GAP: u32 = u32::MAX;
/// Places of each of which it is noted which document it is in.
const NOTED: usize = 64;
/// A term has no number yet.
const UNKNOWN: u32 = u32::MAX;

/// The terms of a section of all documents.
pub(crate) struct Row {
    section: Section,
    ids: Numbers,
    /// Numbers of single marks of ASCII, four for each: with blanks before and behind.
    marks: Box<[u32; 4 * 128]>,
    /// For each place the number of its term.
    row: Chunks<u32>,
    /// Numbers of terms that stand at a place without taking it, in order of places.
    begun: Chunks<(u32, u32)>,
    /// Documents, and where they begin.
    docs: Vec<(DocId, u32)>,
    buffer: String,
}

impl Row {
    pub(crate) fn new(section: Section) -> Row {
        Row {
            section,
            ids: Numbers::default(),
            marks: Box::new([UNKNOWN; 4 * 128]),
            row: Chunks::default(),
            begun: Chunks::default(),
            docs: Vec::new(),
            buffer: String::new(),
        }
    }

    /// Bytes that it takes when it is turned over.
    pub(crate) fn memory(&self) -> usize {
        2 * size_of::<u32>() * self.row.len() + 12 * self.begun.len() + self.ids.memory()
    }

    /// Where the next unit stands. Nobody has the memory for more places than have numbers.
    fn place(&self) -> u32 {
        self.row.len() as u32
    }

    /// Adds a value: its units side by side, and a gap to the next one. Returns how many words it has.
    pub(crate) fn add(&mut self, doc: DocId, value: &Value, noise: &mut Noise) -> u32 {
        if self.docs.last().is_none_or(|(last, _)| *last != doc) {
            self.docs.push((doc, self.place()));
        }
        if matches!(value.name, Name::Odd) {
            self.begin(kind::ODD);
        }
        self.begin(kind::VALUE);
        let named = if let Name::Term(term, at) = &value.name { Some((term.as_str(), *at)) } else { None };
        let (mut words, mut count) = (0, 0);
        for unit in units(&value.folded) {
            if let Some((name, _)) = named.filter(|(_, at)| *at == count) {
                self.begin(name);
            }
            count += 1;
            words += u32::from(!matches!(unit, Unit::Mark { .. } | Unit::Blank));
            self.unit(doc, &unit, noise);
        }
        if let Some((name, _)) = named.filter(|(_, at)| *at == count) {
            self.begin(name);
        }
        self.row.push(GAP);
        words
    }

    fn unit(&mut self, doc: DocId, unit: &Unit<'_>, noise: &mut Noise) {
        match *unit {
            Unit::Word(word) => {
                let term = Term::of(kind::WORD, word, &mut self.buffer);
                let id = match self.ids.get(term) {
                    Some(id) => id,
                    None if is_noise(word) => {
                        noise.add(doc, self.section, word);
                        self.ids.get_or_add(Term::whole(kind::NOISE))
                    }
                    None => self.ids.get_or_add(term),
                };
                self.row.push(id);
            }
            Unit::Dense(run) => pairs(run, &mut |pair| {
                let id = self.ids.get_or_add(Term::of(kind::PAIR, pair, &mut self.buffer));
                self.row.push(id);
            }),
            Unit::Mark { mark, count, before, after } => {
                let id = self.mark(mark, count, before, after);
                self.row.push(id);
            }
            Unit::Blank => {
                let id = self.ids.get_or_add(Term::whole(kind::BLANK));
                self.row.push(id);
            }
        }
    }

    /// A term that stands at the next place without taking it.
    fn begin(&mut self, term: &str) {
        let id = self.ids.get_or_add(Term::whole(term));
        self.begun.push((id, self.place()));
    }

    fn mark(&mut self, mark: char, count: usize, before: bool, after: bool) -> u32 {
        let at = (mark as usize) * 4 + usize::from(before) + 2 * usize::from(after);
        let known = self.marks.get(at).filter(|_| count == 1).copied().unwrap_or(UNKNOWN);
        if known != UNKNOWN {
            return known;
        }
        let id = self.ids.get_or_add(Term::whole(&mark_term(mark, count, before, after)));
        if count == 1
            && let Some(known) = self.marks.get_mut(at)
        {
            *known = id;
        }
        id
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.docs.is_empty()
    }

    /// Writes all terms in order.
    pub(crate) fn write(self, out: &mut FieldSerializer<'_>) -> Result<(), Error> {
        let Row { ids, row, begun, docs, .. } = self;
        let noted = noted(&docs, row.len());
        let tokens = row.each().zip(0..).filter(|(id, _)| *id != GAP);
        let places = Sorted::of(ids.len(), tokens.chain(begun.each()));
        drop((row, begun));
        let mut deltas = Vec::new();
        ids.sorted(|term, id| {
            let mut places = places.get(id).iter().copied().peekable();
            let mut at = 0;
            out.new_term(term, 0, true)?;
            while let Some(first) = places.peek() {
                at = at.max(noted[*first as usize / NOTED] as usize);
                let end = |at: usize| docs.get(at + 1).map_or(u32::MAX, |(_, begin)| *begin);
                while end(at) <= *first {
                    at += 1;
                }
                let ((doc, mut last), end) = (docs[at], end(at));
                deltas.clear();
                while let Some(place) = places.next_if(|place| *place < end) {
                    deltas.push(place - last);
                    last = place;
                }
                out.write_doc(doc, deltas.len() as u32, &deltas);
            }
            out.close_term()?;
            Ok(())
        })
    }
}

/// For places in equal steps the number of the document in which each is.
fn noted(docs: &[(DocId, u32)], places: usize) -> Vec<u32> {
    let mut at = 0;
    let doc_of = |place: usize| {
        while docs.get(at + 1).is_some_and(|(_, begin)| *begin as usize <= place) {
            at += 1;
        }
        at as u32
    };
    (0..places).step_by(NOTED).map(doc_of).collect()
}

/// What has a number, by that, and otherwise as it came.
pub(crate) struct Sorted<T> {
    all: Vec<T>,
    /// Where it ends for each number.
    ends: Vec<usize>,
}

impl<T: Copy + Default> Sorted<T> {
    /// Of numbers that are less than `numbers`.
    pub(crate) fn of(numbers: usize, all: impl Iterator<Item = (u32, T)> + Clone) -> Sorted<T> {
        let mut next = vec![0; numbers + 1];
        all.clone().for_each(|(number, _)| next[number as usize + 1] += 1);
        for at in 1..next.len() {
            next[at] += next[at - 1];
        }
        let mut out = vec![T::default(); next.last().copied().unwrap_or(0)];
        all.for_each(|(number, what)| {
            let place = &mut next[number as usize];
            out[*place] = what;
            *place += 1;
        });
        next.pop();
        Sorted { all: out, ends: next }
    }

    pub(crate) fn get(&self, number: u32) -> &[T] {
        let at = number as usize;
        let begin = if at == 0 { 0 } else { self.ends[at - 1] };
        &self.all[begin..self.ends[at]]
    }
}

/// A list that grows without being copied.
pub(crate) struct Chunks<T> {
    full: Vec<Vec<T>>,
    last: Vec<T>,
}

impl<T> Default for Chunks<T> {
    fn default() -> Chunks<T> {
        Chunks { full: Vec::new(), last: Vec::new() }
    }
}

impl<T: Copy> Chunks<T> {
    /// A power of two, so that the first one, which grows, has the room of all others.
    const LENGTH: usize = 1 << 16;

    pub(crate) fn push(&mut self, item: T) {
        if self.last.len() == Self::LENGTH {
            self.full.push(std::mem::replace(&mut self.last, Vec::with_capacity(Self::LENGTH)));
        }
        self.last.push(item);
    }

    pub(crate) fn get_mut(&mut self, at: usize) -> Option<&mut T> {
        let in_full = Self::LENGTH * self.full.len();
        if at < in_full {
            self.full[at / Self::LENGTH].get_mut(at % Self::LENGTH)
        } else {
            self.last.get_mut(at - in_full)
        }
    }

    pub(crate) fn len(&self) -> usize {
        Self::LENGTH * self.full.len() + self.last.len()
    }

    pub(crate) fn each(&self) -> impl Iterator<Item = T> + Clone {
        self.full.iter().chain([&self.last]).flatten().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_of_the_document_that_began_last() {
        // Short ones, one that is longer than a step, and one that ends with one.
        let docs = [(3, 0), (4, 1), (5, 2), (9, 70), (10, 200), (12, 256)];
        let noted = noted(&docs, 300);
        assert_eq!(noted, [0, 2, 3, 3, 5]);
        assert_eq!(super::noted(&docs[..1], 1), [0]);
    }

    #[test]
    fn sorted_by_numbers_alone() {
        let all = [(2, 7), (0, 9), (2, 1), (4, 5), (2, 3)];
        let sorted = Sorted::of(6, all.into_iter());
        let found: Vec<&[u32]> = (0..6).map(|number| sorted.get(number)).collect();
        assert_eq!(found, [&[9][..], &[], &[7, 1, 3], &[], &[5], &[]]);
        assert!(Sorted::<u32>::of(0, [].into_iter()).all.is_empty());
    }

    #[test]
    fn lists_of_any_length() {
        let length = Chunks::<u32>::LENGTH as u32;
        for count in [0, 1, length - 1, length, length + 1, 3 * length] {
            let mut list = Chunks::default();
            (0..count).for_each(|item| list.push(item));
            assert_eq!(list.len(), count as usize);
            assert!(list.each().eq(0..count), "{count}");
            assert!((0..count).all(|at| list.get_mut(at as usize) == Some(&mut { at })), "{count}");
            assert_eq!(list.get_mut(count as usize), None);
        }
    }
}
