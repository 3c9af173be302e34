//! In a segment: the terms that a slot may be.

use std::sync::Arc;

use tantivy::InvertedIndexReader;
use tantivy::directory::FileSlice;
use tantivy::postings::TermInfo;

use super::docs::Docs;
use super::pattern::Slot;
use crate::Error;
use crate::analysis::is_noise;
use crate::fields::{Section, kind, mark_term, read_mark};
use crate::grams::{Gram, grams, inner};
use crate::lists::{DocLists, PositionLists, each_counted};
use crate::neighbours::NOISE;
use crate::noise::{VARIOUS, behind};
use crate::reader::Segment;
use crate::sets;

/// Words that a slot may be; with more of them the slot tells nothing, and what else matches is looked at.
const MOST: usize = 200_000;
/// So many words are looked at sooner than another list of them is read.
const FEW: usize = 8;

/// What a slot may be.
pub(crate) enum Terms {
    /// Too much to say.
    Any,
    /// One of these terms, or a run that is no word.
    These { terms: Vec<TermInfo>, noise: Option<Noise> },
}

/// Runs that are no words.
pub(crate) struct Noise {
    /// Documents in which one may be.
    pub(crate) docs: Docs,
    /// Those of them in which the needle is in a run.
    pub(crate) sure: Docs,
}

impl Noise {
    fn none(documents: u32) -> Noise {
        Noise { docs: Docs::none(documents), sure: Docs::none(documents) }
    }
}

/// One field of a segment.
pub(crate) struct Lookup<'a> {
    pub(crate) segment: &'a Segment,
    pub(crate) section: Section,
    pub(crate) inverted: Arc<InvertedIndexReader>,
}

impl<'a> Lookup<'a> {
    pub(crate) fn new(segment: &'a Segment, section: Section) -> Result<Lookup<'a>, Error> {
        let inverted = segment.reader.inverted_index(segment.fields.exact(section))?;
        Ok(Lookup { segment, section, inverted })
    }

    pub(crate) fn terms(&self, slot: &Slot) -> Result<Terms, Error> {
        let one =
            |term: &str| Ok(Terms::These { terms: self.term(term)?.into_iter().collect(), noise: None });
        match slot {
            Slot::Blank => one(kind::BLANK),
            Slot::Pair(pair) => one(&format!("{}{pair}", kind::PAIR)),
            Slot::PairWith(first) => {
                let terms = self.beginning(&format!("{}{first}", kind::PAIR))?;
                Ok(terms.map_or(Terms::Any, |terms| Terms::These { terms, noise: None }))
            }
            Slot::Mark { mark, count, exactly: true, before: Some(before), after: Some(after) } => {
                one(&mark_term(*mark, *count, *before, *after))
            }
            Slot::Mark { mark, count, exactly, before, after } => {
                self.marks(*mark, *before, *after, |found| found == *count || (!exactly && found > *count))
            }
            Slot::Word { text, open_left: false, open_right: false } if !is_noise(text) => {
                one(&format!("{}{text}", kind::WORD))
            }
            Slot::Word { text, open_left, open_right } => self.word(text, *open_left, *open_right),
        }
    }

    /// What is known of the term, if the segment has it.
    pub(crate) fn term(&self, term: &str) -> Result<Option<TermInfo>, Error> {
        Ok(self.inverted.terms().get(term.as_bytes())?)
    }

    fn marks(
        &self,
        mark: char,
        before: Option<bool>,
        after: Option<bool>,
        enough: impl Fn(usize) -> bool,
    ) -> Result<Terms, Error> {
        let mut terms = Vec::new();
        let prefix = format!("{}{mark}", kind::MARK);
        let mut stream = self.inverted.terms().range().ge(prefix.as_bytes()).into_stream()?;
        while stream.advance() && stream.key().starts_with(prefix.as_bytes()) {
            let read = std::str::from_utf8(stream.key()).ok().and_then(read_mark);
            let (count, was_before, was_after) = read.ok_or(Error::Damaged("a mark"))?;
            let blanks = before.is_none_or(|b| b == was_before) && after.is_none_or(|a| a == was_after);
            if blanks && enough(count) {
                terms.push(stream.value().clone());
            }
        }
        Ok(Terms::These { terms, noise: None })
    }

    /// Terms that begin so; none if they are too many. They are not walked over: their numbers follow one another.
    pub(crate) fn beginning(&self, prefix: &str) -> Result<Option<Vec<TermInfo>>, Error> {
        let Some(infos) = self.segment.infos(self.section) else { return Ok(Some(Vec::new())) };
        let mut behind = prefix.as_bytes().to_vec();
        // The last byte of a character is never the highest.
        behind.last_mut().into_iter().for_each(|last| *last += 1);
        let (from, to) = (self.from(prefix.as_bytes())?, self.from(&behind)?);
        if to.saturating_sub(from) > MOST as u64 {
            return Ok(None);
        }
        let mut infos = infos.reader();
        (from..to).map(|number| infos.get(number)).collect::<Result<_, _>>().map(Some)
    }

    /// The number of the first term that is not before this one.
    fn from(&self, term: &[u8]) -> Result<u64, Error> {
        let mut stream = self.inverted.terms().range().ge(term).into_stream()?;
        Ok(if stream.advance() { stream.term_ord() } else { self.inverted.terms().num_terms() as u64 })
    }

    fn word(&self, text: &str, open_left: bool, open_right: bool) -> Result<Terms, Error> {
        let noise = self.noise(text, open_left, open_right)?;
        let found = match (open_left, open_right) {
            (false, false) => Some(Vec::new()),
            (false, true) => self.beginning(&format!("{}{text}", kind::WORD))?,
            (true, _) => self.containing(text, open_right)?,
        };
        Ok(found.map_or(Terms::Any, |terms| Terms::These { terms, noise: Some(noise) }))
    }

    /// Adds the documents of a term.
    pub(crate) fn add_docs(&self, info: &TermInfo, docs: &mut Docs) -> Result<(), Error> {
        self.lists().each(info, |found| docs.insert_all(found))
    }

    /// Lists of documents of the field.
    pub(crate) fn lists(&self) -> DocLists<'_> {
        DocLists::new(&self.inverted, self.segment.lists(self.segment.fields.exact(self.section)))
    }

    /// Positions of the field.
    pub(crate) fn positions(&self) -> PositionLists<'_> {
        let lists = self.segment.lists(self.segment.fields.exact(self.section));
        PositionLists::new(&self.inverted, lists, self.segment.positions(self.section))
    }

    /// Words that contain the text, or, where the right end is closed, end with it; none if they are too many.
    pub(crate) fn containing(&self, text: &str, open_right: bool) -> Result<Option<Vec<TermInfo>>, Error> {
        let Some(ordinals) = self.ordinals(text, open_right)? else { return Ok(None) };
        if ordinals.len() > MOST {
            return Ok(None);
        }
        let Some(infos) = self.segment.infos(self.section) else { return Ok(Some(Vec::new())) };
        let mut infos = infos.reader();
        if is_gram(text, open_right) {
            return ordinals
                .into_iter()
                .map(|ordinal| infos.get(ordinal))
                .collect::<Result<_, _>>()
                .map(Some);
        }
        let repeating = self.segment.grams.repeating(self.section)?;
        let mut doubted = if ordinals.len() > FEW { repeating } else { &ordinals };
        let (mut terms, mut term) = (Vec::new(), Vec::new());
        for ordinal in &ordinals {
            doubted = &doubted[doubted.partition_point(|other| other < ordinal)..];
            if doubted.first() == Some(ordinal) {
                term.clear();
                if !self.inverted.terms().ord_to_term(*ordinal, &mut term)? || term.is_empty() {
                    return Err(Error::Damaged("the number of a word"));
                }
                let word = std::str::from_utf8(&term[1..]).map_err(|_| Error::Damaged("a word"))?;
                if !has(word, text, open_right) {
                    continue;
                }
            }
            terms.push(infos.get(*ordinal)?);
        }
        Ok(Some(terms))
    }

    /// Words that have all grams of the text, or so many of these that the others are looked at sooner.
    fn ordinals(&self, text: &str, open_right: bool) -> Result<Option<Vec<u64>>, Error> {
        let wanted = wanted(text, open_right);
        if wanted.is_empty() {
            let terms = self.inverted.terms().num_terms();
            return self.segment.grams.words_with(self.section, text, terms, MOST);
        }
        let mut out: Option<Vec<u64>> = None;
        for gram in wanted {
            let list = self.segment.grams.words(self.section, gram)?;
            let both = match out {
                Some(out) => in_both(&out, &list),
                None => list,
            };
            let is_enough = both.len() <= FEW;
            out = Some(both);
            if is_enough {
                break;
            }
        }
        Ok(out)
    }

    /// Documents of which a word has the letters anywhere, if these are kept.
    pub(crate) fn letters(&self, text: &str) -> Result<Option<Docs>, Error> {
        match &self.segment.letters {
            Some(letters) if self.section == sets::SECTION => letters.get(text),
            _ => Ok(None),
        }
    }

    /// Documents in which a word that ends with the first text stands before one that begins with the second, and those in
    /// which either may be a run that is no word, if all of them are kept.
    pub(crate) fn neighbours(&self, first: &str, second: &str) -> Result<Option<(Docs, Docs)>, Error> {
        let Some(known) = &self.segment.neighbours else { return Ok(None) };
        if self.section != sets::SECTION {
            return Ok(None);
        }
        let Some(sure) = known.get(first, second)? else { return Ok(None) };
        let mut maybe = Docs::none(self.segment.reader.max_doc());
        let (before, behind) = (self.noise(first, true, false)?.docs, self.noise(second, false, true)?.docs);
        let mut both = before.clone();
        both.keep(&behind);
        for (mut docs, first, second) in
            [(before, NOISE, second), (behind, first, NOISE), (both, NOISE, NOISE)]
        {
            if !docs.is_empty() {
                let Some(there) = known.get(first, second)? else { return Ok(None) };
                docs.keep(&there);
                maybe.add(&docs);
            }
        }
        maybe.take_away(&sure);
        Ok(Some((sure, maybe)))
    }

    /// Documents with a run that is no word and may have the text in it.
    pub(crate) fn noise(&self, text: &str, open_left: bool, open_right: bool) -> Result<Noise, Error> {
        let inside = open_left && open_right;
        let wanted = wanted(text, open_right);
        if wanted.is_empty() {
            let docs = self.noise_with(text)?;
            let sure = if inside { docs.clone() } else { Docs::none(self.segment.reader.max_doc()) };
            return Ok(Noise { docs, sure });
        }
        let mut noise: Option<Noise> = None;
        let mut behind = text.chars().skip(3).filter(|_| inside);
        for gram in &wanted {
            let found = self.noise_of(*gram, behind.next())?;
            let noise = match &mut noise {
                Some(noise) => {
                    noise.docs.keep(&found.docs);
                    noise.sure.keep(&found.sure);
                    &*noise
                }
                none => &*none.insert(found),
            };
            if noise.docs.is_empty() {
                break;
            }
        }
        let mut noise = noise.unwrap_or_else(|| Noise::none(self.segment.reader.max_doc()));
        if !inside {
            noise.sure = Docs::none(self.segment.reader.max_doc());
        }
        Ok(noise)
    }

    /// Documents with a gram of noise, behind which there is, or may be, a character.
    fn noise_of(&self, gram: Gram, next: Option<char>) -> Result<Noise, Error> {
        let field = self.segment.fields.noise(self.section);
        let inverted = self.segment.reader.inverted_index(field)?;
        let mut noise = Noise::none(self.segment.reader.max_doc());
        let Some(info) = inverted.terms().get(gram.term(self.section.letter()).as_bytes())? else {
            return Ok(noise);
        };
        let lists = self.segment.lists(field);
        match next {
            Some(next) if field == self.segment.fields.body_noise => {
                let next = u32::from(behind(next));
                each_counted(&inverted, lists, &info, |docs, known| {
                    for (doc, known) in docs.iter().zip(known) {
                        if *known == u32::from(VARIOUS) {
                            noise.docs.insert(*doc);
                        } else if *known == next {
                            noise.docs.insert(*doc);
                            noise.sure.insert(*doc);
                        }
                    }
                })?;
            }
            next => {
                add_docs(&inverted, lists, &info, &mut noise.docs)?;
                if next.is_none() {
                    noise.sure = noise.docs.clone();
                }
            }
        }
        Ok(noise)
    }

    /// Documents with a gram of noise that begins with one or two characters.
    fn noise_with(&self, text: &str) -> Result<Docs, Error> {
        let field = self.segment.fields.noise(self.section);
        let inverted = self.segment.reader.inverted_index(field)?;
        let prefix = format!("{}{text}", self.section.letter());
        let mut docs = Docs::none(self.segment.reader.max_doc());
        let mut lists = DocLists::new(&inverted, self.segment.lists(field));
        let mut stream = inverted.terms().range().ge(prefix.as_bytes()).into_stream()?;
        while stream.advance() && stream.key().starts_with(prefix.as_bytes()) {
            lists.each(stream.value(), |found| docs.insert_all(found))?;
        }
        Ok(docs)
    }
}

/// Whether all words that have the first gram of the text contain it, or end with it.
fn is_gram(text: &str, open_right: bool) -> bool {
    text.chars().count() <= if open_right { 3 } else { 2 }
}

/// What is in both of two lists that are in order.
fn in_both(a: &[u64], b: &[u64]) -> Vec<u64> {
    let (short, mut long) = if a.len() <= b.len() { (a, b) } else { (b, a) };
    let mut out = Vec::new();
    for number in short {
        long = &long[long.partition_point(|other| other < number)..];
        if long.first() == Some(number) {
            out.push(*number);
        }
    }
    out
}

fn has(word: &str, text: &str, open_right: bool) -> bool {
    if open_right { word.contains(text) } else { word.ends_with(text) }
}

/// Grams that a word with the text has, with those of its end where nothing may follow; none for short ones.
fn wanted(text: &str, open_right: bool) -> Vec<Gram> {
    if open_right { inner(text) } else { grams(text).collect() }
}

/// Adds the documents of a term.
pub(crate) fn add_docs(
    inverted: &InvertedIndexReader,
    lists: FileSlice,
    info: &TermInfo,
    docs: &mut Docs,
) -> Result<(), Error> {
    DocLists::new(inverted, lists).each(info, |found| docs.insert_all(found))
}
