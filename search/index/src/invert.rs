//! Terms of many documents turned over: for each term the documents that have it, and where.
//!
//! A document's text becomes a row of numbers of terms, four bytes each; positions are not written down but counted
//! again when all documents are there and the row is sorted by terms. Each term is kept once, and what is to be known
//! of it is found out when it is met first.

use tantivy::DocId;
use tantivy::postings::FieldSerializer;

use crate::Error;
use crate::analysis::{Unit, is_noise, pairs, units};
use crate::document::{Name, Value};
use crate::fields::{Section, kind, mark_term};
use crate::grams::{Gram, grams};
use crate::numbers::{Ids, Numbers, TERM, Term};

/// In a row: what follows does not stand beside what was before.
const GAP: u32 = u32::MAX;
/// A term has no number yet.
const UNKNOWN: u32 = u32::MAX;

/// The terms of a section of all documents.
pub(crate) struct Row {
    section: Section,
    ids: Numbers,
    /// Numbers of single marks of ASCII, four for each: with blanks before and behind.
    marks: Box<[u32; 4 * 128]>,
    /// For each token the number of its term, doubled, plus one where it stands at the position of the one before.
    row: Vec<u32>,
    /// Documents, and where they begin.
    docs: Vec<(DocId, usize)>,
    /// Whether the next position was begun by what has no place of its own.
    begun: bool,
    buffer: String,
}

impl Row {
    pub(crate) fn new(section: Section) -> Row {
        Row {
            section,
            ids: Numbers::default(),
            marks: Box::new([UNKNOWN; 4 * 128]),
            row: Vec::new(),
            docs: Vec::new(),
            begun: false,
            buffer: String::new(),
        }
    }

    /// Bytes that it takes when it is turned over.
    pub(crate) fn memory(&self) -> usize {
        2 * size_of::<u64>() * self.row.len() + self.ids.memory()
    }

    /// Adds a value: its units side by side, and a gap to the next one. Returns how many words it has.
    pub(crate) fn add(&mut self, doc: DocId, value: &Value, noise: &mut Noise) -> u32 {
        if self.docs.last().is_none_or(|(last, _)| *last != doc) {
            self.docs.push((doc, self.row.len()));
        } else {
            self.row.push(GAP);
        }
        self.begun = false;
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
                self.push(id);
            }
            Unit::Dense(run) => pairs(run, &mut |pair| {
                let id = self.ids.get_or_add(Term::of(kind::PAIR, pair, &mut self.buffer));
                self.push(id);
            }),
            Unit::Mark { mark, count, before, after } => {
                let id = self.mark(mark, count, before, after);
                self.push(id);
            }
            Unit::Blank => {
                let id = self.ids.get_or_add(Term::whole(kind::BLANK));
                self.push(id);
            }
        }
    }

    /// A term that stands at the next position without taking it.
    fn begin(&mut self, term: &str) {
        let id = self.ids.get_or_add(Term::whole(term));
        self.row.push(id << 1 | u32::from(self.begun));
        self.begun = true;
    }

    fn push(&mut self, id: u32) {
        let stays = std::mem::take(&mut self.begun);
        self.row.push(id << 1 | u32::from(stays));
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
        self.row.is_empty()
    }

    /// Writes all terms in order.
    pub(crate) fn write(self, out: &mut FieldSerializer<'_>) -> Result<(), Error> {
        let (ends, entries) = turned(self.ids.len(), &self.row, &self.docs);
        drop((self.row, self.docs));
        let mut deltas = Vec::new();
        self.ids.sorted(|term, id| {
            let id = id as usize;
            let begin = if id == 0 { 0 } else { ends[id - 1] };
            let places = &entries[begin..ends[id]];
            out.new_term(term, 0, true)?;
            for of_doc in places.chunk_by(|a, b| a >> 32 == b >> 32) {
                let mut last = 0;
                deltas.clear();
                for place in of_doc {
                    deltas.push(*place as u32 - last);
                    last = *place as u32;
                }
                out.write_doc((of_doc[0] >> 32) as DocId, of_doc.len() as u32, &deltas);
            }
            out.close_term()?;
            Ok(())
        })
    }
}

/// For each term where its places end, and places sorted by terms: a document and a position each.
fn turned(terms: usize, row: &[u32], docs: &[(DocId, usize)]) -> (Vec<usize>, Vec<u64>) {
    let mut next = vec![0; terms + 1];
    for token in row.iter().filter(|token| **token != GAP) {
        next[(token >> 1) as usize + 1] += 1;
    }
    for at in 1..next.len() {
        next[at] += next[at - 1];
    }
    let mut entries = vec![0; next.last().copied().unwrap_or(0)];
    for (at, (doc, begin)) in docs.iter().enumerate() {
        let end = docs.get(at + 1).map_or(row.len(), |(_, next)| *next);
        let mut position = u32::MAX;
        for token in &row[*begin..end] {
            if *token == GAP {
                position = position.wrapping_add(1);
                continue;
            }
            position = position.wrapping_add(1 - (token & 1));
            let place = &mut next[(token >> 1) as usize];
            entries[*place] = u64::from(*doc) << 32 | u64::from(position);
            *place += 1;
        }
    }
    next.pop();
    (next, entries)
}

/// Trigrams of noise, of all documents and sections.
#[derive(Default)]
pub(crate) struct Noise {
    ids: Ids<(char, Gram)>,
    rows: Vec<(u32, DocId)>,
    /// Where the grams of the last document begin.
    begin: usize,
}

impl Noise {
    fn add(&mut self, doc: DocId, section: Section, run: &str) {
        for gram in grams(run) {
            let next = self.ids.len() as u32;
            let id = *self.ids.entry((section.letter(), gram)).or_insert(next);
            self.rows.push((id, doc));
        }
    }

    /// A document is complete: each of its grams is kept once.
    pub(crate) fn close(&mut self) {
        self.rows[self.begin..].sort_unstable();
        let mut kept = self.begin;
        for at in self.begin..self.rows.len() {
            if kept == self.begin || self.rows[kept - 1] != self.rows[at] {
                self.rows[kept] = self.rows[at];
                kept += 1;
            }
        }
        self.rows.truncate(kept);
        self.begin = kept;
    }

    pub(crate) fn memory(&self) -> usize {
        2 * size_of::<u64>() * self.rows.len() + TERM * self.ids.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    pub(crate) fn write(mut self, out: &mut FieldSerializer<'_>) -> Result<(), Error> {
        let mut terms: Vec<(String, u32)> =
            self.ids.into_iter().map(|((letter, gram), id)| (gram.term(letter), id)).collect();
        terms.sort_unstable();
        let mut order = vec![0; terms.len()];
        for ((_, id), at) in terms.iter().zip(0u32..) {
            order[*id as usize] = at;
        }
        self.rows.iter_mut().for_each(|(id, _)| *id = order[*id as usize]);
        self.rows.sort_unstable();
        for list in self.rows.chunk_by(|a, b| a.0 == b.0) {
            out.new_term(terms[list[0].0 as usize].0.as_bytes(), 0, false)?;
            for (_, doc) in list {
                out.write_doc(*doc, 1, &[]);
            }
            out.close_term()?;
        }
        Ok(())
    }
}
