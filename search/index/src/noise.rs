//! Runs that are no words: three characters in a row of each are a term, and in the body it is kept what stands behind them.
//!
//! A needle in such a run has all its threes in one document, but a document that has these need not have the needle. So in the
//! body it is known of three characters what stands behind them, where that is the same wherever the document has them, which it
//! is for nearly all. "list" is there where a "t" is behind "lis"; and where an "o" is behind "mic" and "r" behind each "icr",
//! one step proves the next one. What is known so needs no look into the message.

use tantivy::DocId;
use tantivy::postings::InvertedIndexSerializer;

use crate::Error;
use crate::fields::{Fields, SECTIONS, Section};
use crate::grams::{Gram, grams};
use crate::invert::{Chunks, Sorted};
use crate::numbers::{Ids, TERM};
use crate::sets::SECTION;

/// Several characters stand behind, or one that has no number.
pub(crate) const VARIOUS: u8 = 1;

/// The number of what stands behind, `\0` for the end of the run: it is kept in place of how often a term is in a document, so
/// it takes the less room the less it is, and is never 0.
pub(crate) fn behind(next: char) -> u8 {
    const DIGITS: u8 = VARIOUS + 1;
    const LETTERS: u8 = DIGITS + 10;
    const END: u8 = LETTERS + 26;
    match next {
        '\0' => END,
        '0'..='9' => DIGITS + (next as u8 - b'0'),
        'a'..='z' => LETTERS + (next as u8 - b'a'),
        _ => VARIOUS,
    }
}

/// Trigrams of noise, of all documents and sections.
#[derive(Default)]
pub(crate) struct Noise {
    ids: [Ids<Gram>; SECTIONS],
    /// The last document with each, and its row.
    last: Vec<(DocId, u32)>,
    /// Grams and documents, in the order of these, and what stands behind.
    rows: Chunks<(u32, (DocId, u8))>,
}

impl Noise {
    pub(crate) fn add(&mut self, doc: DocId, section: Section, run: &str) {
        let ids = &mut self.ids[section as usize];
        let next = run.chars().skip(3).chain(std::iter::repeat('\0')).map(behind);
        for (gram, next) in grams(run).zip(next) {
            let row = (doc, self.rows.len() as u32);
            let new = self.last.len() as u32;
            let id = *ids.entry(gram).or_insert(new);
            match self.last.get_mut(id as usize) {
                Some((last, row)) if *last == doc => {
                    let known = self.rows.get_mut(*row as usize);
                    known
                        .into_iter()
                        .filter(|(_, (_, known))| *known != next)
                        .for_each(|row| row.1.1 = VARIOUS);
                    continue;
                }
                Some(last) => *last = row,
                None => self.last.push(row),
            }
            self.rows.push((id, (doc, next)));
        }
    }

    pub(crate) fn memory(&self) -> usize {
        2 * size_of::<(u32, (DocId, u8))>() * self.rows.len() + TERM * self.last.len()
    }

    /// Writes all terms in order: those of the body by themselves.
    pub(crate) fn write(self, fields: &Fields, out: &mut InvertedIndexSerializer) -> Result<(), Error> {
        let docs = Sorted::of(self.last.len(), self.rows.each());
        let (mut of_body, mut others) = (Vec::new(), Vec::new());
        for (section, ids) in Section::ALL.into_iter().zip(self.ids) {
            let terms = if section == SECTION { &mut of_body } else { &mut others };
            terms.extend(ids.into_iter().map(|(gram, id)| (gram.term(section.letter()), id)));
        }
        for (field, mut terms) in [(fields.noise, others), (fields.body_noise, of_body)] {
            if terms.is_empty() {
                continue;
            }
            terms.sort_unstable();
            let mut out = out.new_field(field, 0, None)?;
            for (term, id) in terms {
                out.new_term(term.as_bytes(), 0, field == fields.body_noise)?;
                docs.get(id).iter().for_each(|(doc, next)| out.write_doc(*doc, u32::from(*next), &[]));
                out.close_term()?;
            }
            out.close()?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_behind_has_a_number() {
        let all: Vec<u8> = "\0abcdefghijklmnopqrstuvwxyz0123456789".chars().map(behind).collect();
        let mut sorted = all.clone();
        sorted.sort_unstable();
        sorted.dedup();
        assert_eq!(sorted.len(), all.len());
        assert!(
            !sorted.contains(&VARIOUS) && sorted.iter().all(|number| (1..=64).contains(number)),
            "six bits"
        );
        assert_eq!(behind('ß'), VARIOUS);
    }

    #[test]
    fn only_what_is_always_the_same_is_kept() {
        let mut noise = Noise::default();
        noise.add(3, SECTION, "abcdabce");
        noise.add(3, SECTION, "xbcd");
        noise.add(4, SECTION, "abcd");
        let known = |doc, gram: &str| {
            let id = noise.ids[SECTION as usize][&grams(gram).next().unwrap()];
            let mut rows = noise.rows.each().filter(|(other, (at, _))| (*other, *at) == (id, doc));
            let (_, (_, next)) = rows.next().unwrap();
            assert!(rows.next().is_none(), "{gram} once in {doc}");
            next
        };
        assert_eq!(known(3, "abc"), VARIOUS);
        assert_eq!(known(4, "abc"), behind('d'));
        assert_eq!(known(3, "bcd"), VARIOUS, "a letter and the end");
        assert_eq!(known(4, "bcd"), behind('\0'));
        assert_eq!(known(3, "bce"), behind('\0'));
        assert_eq!(known(3, "dab"), behind('c'));
    }
}
