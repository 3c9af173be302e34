//! A word in all its forms: the documents of a segment that have it, how often, and what that says.

use std::collections::{BTreeMap, BTreeSet};

use tantivy::postings::{Postings, TermInfo};
use tantivy::schema::IndexRecordOption;
use tantivy::{DocId, DocSet, TERMINATED};

use crate::Error;
use crate::analysis::{Language, bare};
use crate::exact::{Docs, Lookup};
use crate::fields::{RANKED, Section, kind};
use crate::forms::{Mask, words_of};
use crate::reader::Segment;

/// How soon more of a word says no more, and how much the length of a text counts (BM25).
const K1: f32 = 1.2;
const B: f32 = 0.75;

/// A word that is looked for.
#[derive(Debug)]
pub(crate) struct Word {
    /// As [`crate::analysis::words`] gives it.
    text: String,
    /// The same without diacritics.
    bare: String,
    /// What is left of it in each language of the index, and without one.
    forms: BTreeSet<String>,
    how: How,
}

/// How a word is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum How {
    /// In any of its forms.
    Stems,
    /// As a part of a run in a script that does not part words.
    Part,
    /// As the beginning of such a part.
    Begins,
    /// With so many letters that differ.
    Nearly(usize),
}

/// How often documents have a word, in their order.
pub(crate) type Counts = Vec<(DocId, u32)>;

impl Word {
    pub(crate) fn new(text: &str, how: How, languages: &[Language]) -> Word {
        let stem = |language: &Language| bare(&language.stemmer().stem(text)).into_owned();
        let plainly = bare(text).into_owned();
        let forms = languages.iter().map(stem).chain([plainly.clone()]).collect();
        Word { text: text.to_owned(), bare: plainly, forms, how }
    }

    /// The documents of `scope` that have it in a section, which is the place in [`RANKED`].
    pub(crate) fn counts(&self, segment: &Segment, section: usize, scope: &Docs) -> Result<Counts, Error> {
        let lookup = Lookup::new(segment, RANKED[section].0)?;
        let all = Mask::MAX;
        let mut counts = Counts::new();
        for (info, mask) in self.terms(&lookup, section)?.into_values() {
            let mut postings =
                lookup.inverted.read_postings_from_terminfo(&info, IndexRecordOption::WithFreqs)?;
            let mut doc = postings.doc();
            while doc != TERMINATED {
                if scope.has(doc) && (mask == all || segment.language(doc) & mask != 0) {
                    counts.push((doc, postings.term_freq()));
                }
                doc = postings.advance();
            }
        }
        counts.sort_unstable();
        counts.dedup_by(|next, sum| {
            let same = next.0 == sum.0;
            sum.1 += if same { next.1 } else { 0 };
            same
        });
        Ok(counts)
    }

    /// Terms that are forms of it, by where their lists are, and the languages in which they are.
    fn terms(&self, lookup: &Lookup<'_>, section: usize) -> Result<BTreeMap<usize, (TermInfo, Mask)>, Error> {
        let mut found = BTreeMap::new();
        let mut add = |info: TermInfo, mask: Mask| {
            if mask != 0 {
                found.insert(info.postings_range.start, (info, mask));
            }
        };
        match self.how {
            How::Stems => {
                let own = self.forms.iter().map(|form| format!("{}{form}", kind::WORD));
                for term in own {
                    if let Some(info) = lookup.term(&term)? {
                        add(info, self.fits(lookup, &term[1..]));
                    }
                }
                for form in &self.forms {
                    self.entered(lookup, section, form, &mut add)?;
                }
            }
            How::Part | How::Begins => {
                let term = format!("{}{}", kind::PAIR, self.bare);
                if self.how == How::Begins {
                    lookup.beginning(&term)?.into_iter().flatten().for_each(|info| add(info, Mask::MAX));
                } else if let Some(info) = lookup.term(&term)? {
                    add(info, Mask::MAX);
                }
                let inside = lookup.containing(&self.bare, true)?;
                inside.into_iter().flatten().for_each(|info| add(info, Mask::MAX));
                self.entered(lookup, section, &self.bare, &mut add)?;
            }
            How::Nearly(distance) => {
                let from = [kind::WORD as u8];
                let mut stream = lookup.inverted.terms().range().ge(from).lt([from[0] + 1]).into_stream()?;
                while stream.advance() {
                    let text =
                        std::str::from_utf8(&stream.key()[1..]).map_err(|_| Error::Damaged("a word"))?;
                    let mut near = false;
                    words_of(text, &mut |word, stems| {
                        near |= stems && is_near(&bare(word), &self.bare, distance);
                    });
                    if near {
                        add(stream.value().clone(), Mask::MAX);
                    }
                }
            }
        }
        Ok(found)
    }

    /// Words that are entered with the form.
    fn entered(
        &self,
        lookup: &Lookup<'_>,
        section: usize,
        form: &str,
        add: &mut dyn FnMut(TermInfo, Mask),
    ) -> Result<(), Error> {
        for ordinal in lookup.segment.forms.words(section, form)? {
            let mut term = Vec::new();
            if !lookup.inverted.terms().ord_to_term(ordinal, &mut term)? || term.is_empty() {
                return Err(Error::Damaged("the number of a word"));
            }
            let text = std::str::from_utf8(&term[1..]).map_err(|_| Error::Damaged("a word"))?;
            let mask = self.fits(lookup, text);
            if mask != 0
                && let Some(info) = lookup.inverted.terms().get(&term)?
            {
                add(info, mask);
            }
        }
        Ok(())
    }

    /// The languages in which an exact word is a form of it.
    fn fits(&self, lookup: &Lookup<'_>, text: &str) -> Mask {
        let languages = lookup.segment.forms.languages();
        let mut mask = 0;
        words_of(text, &mut |word, stems| {
            let plainly = bare(word);
            if stems != (self.how == How::Stems) {
                return;
            }
            if !stems {
                mask |= if plainly == self.bare { Mask::MAX } else { 0 };
                return;
            }
            for (bit, language) in languages.iter().enumerate() {
                let fits = match language {
                    None => self.forms.contains(plainly.as_ref()),
                    Some(language) if language.is_stop_word(word) => false,
                    Some(language) => {
                        plainly == self.bare
                            || self.forms.contains(bare(&language.stemmer().stem(word)).as_ref())
                    }
                };
                mask |= Mask::from(fits) << bit;
            }
        });
        let everywhere = Mask::MAX >> (Mask::BITS as usize - languages.len().max(1));
        if mask & everywhere == everywhere { Mask::MAX } else { mask }
    }

    /// Whether it says nothing in one of the languages.
    pub(crate) fn is_stop_word(&self, languages: &[Language]) -> bool {
        languages.iter().any(|language| language.is_stop_word(&self.text))
    }
}

/// What counts of a word say, given how many documents of how many have it: BM25.
pub(crate) fn scored(
    segment: &Segment,
    section: Section,
    counts: &[(DocId, u32)],
    (having, documents): (usize, u32),
    average: f32,
) -> Result<Vec<(DocId, f32)>, Error> {
    let having = having as f32;
    let rare = (1.0 + (documents as f32 - having + 0.5) / (having + 0.5)).ln();
    let field = segment.fields.exact(section);
    let lengths =
        if section.has_lengths() { Some(segment.reader.get_fieldnorms_reader(field)?) } else { None };
    let score = |(doc, count): &(DocId, u32)| {
        let length = lengths.as_ref().map_or(1.0, |lengths| lengths.fieldnorm(*doc) as f32 / average);
        let count = *count as f32;
        (*doc, rare * count * (K1 + 1.0) / (count + K1 * (1.0 - B + B * length)))
    };
    Ok(counts.iter().map(score).collect())
}

/// Whether two words differ in at most so many letters; two that changed places count as one.
fn is_near(a: &str, b: &str, most: usize) -> bool {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    if a.len().abs_diff(b.len()) > most {
        return false;
    }
    let mut rows = [vec![0; b.len() + 1], (0..=b.len()).collect::<Vec<usize>>(), vec![0; b.len() + 1]];
    for i in 1..=a.len() {
        let [before, last, next] = &mut rows;
        next[0] = i;
        for j in 1..=b.len() {
            let other = usize::from(a[i - 1] != b[j - 1]);
            let mut least = (last[j] + 1).min(next[j - 1] + 1).min(last[j - 1] + other);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                least = least.min(before[j - 2] + 1);
            }
            next[j] = least;
        }
        rows.rotate_left(1);
    }
    rows[1][b.len()] <= most
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_that_differ() {
        for (a, b, distance) in [
            ("antarctica", "antractica", 1),
            ("abc", "abc", 0),
            ("abc", "ac", 1),
            ("abc", "abxd", 2),
            ("", "ab", 2),
        ] {
            assert!(is_near(a, b, distance), "{a} {b}");
            assert!(distance == 0 || !is_near(a, b, distance - 1), "{a} {b}");
        }
    }
}
