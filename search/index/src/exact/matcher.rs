//! In a segment: the documents that have what a pattern asks for, side by side.

use tantivy::DocSet as _;
use tantivy::postings::TermInfo;
use tantivy::schema::IndexRecordOption;

use super::beside::{Candidates, Firsts, Places, positions};
use super::docs::Docs;
use super::pattern::{Pattern, Slot};
use super::rows::Rows;
use super::terms::{Lookup, Noise, Terms};
use crate::Error;
use crate::document::{named_term, written_term};
use crate::fields::{Section, kind};
use crate::reader::Segment;

/// Where is searched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Place<'a> {
    /// All values of a section.
    Section(Section),
    /// Those of its values that are written in another way than people read them.
    Written(Section),
    /// Values of the header field of this name.
    Named(&'a str),
}

impl Place<'_> {
    /// The place, unless it is known by a name.
    pub(crate) fn of_section(&self) -> Option<Place<'static>> {
        match self {
            Place::Section(section) => Some(Place::Section(*section)),
            Place::Written(section) => Some(Place::Written(*section)),
            Place::Named(_) => None,
        }
    }
}

/// Documents that match, and others that may.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) sure: Docs,
    pub(crate) maybe: Docs,
}

impl Found {
    pub(crate) fn none(documents: u32) -> Found {
        Found { sure: Docs::none(documents), maybe: Docs::none(documents) }
    }

    /// Bytes of memory.
    pub(crate) fn bytes(&self) -> usize {
        self.sure.bytes() + self.maybe.bytes()
    }

    /// What one or the other finds.
    pub(crate) fn add(&mut self, other: &Found) {
        self.sure.add(&other.sure);
        self.maybe.add(&other.maybe);
        self.maybe.take_away(&self.sure);
    }

    fn add_noise(&mut self, noise: &Noise) {
        self.sure.add(&noise.sure);
        self.maybe.add(&noise.docs);
    }

    /// What matched has to be looked at.
    fn doubted(mut self) -> Found {
        self.maybe.add(&self.sure);
        self.sure.take_away(&self.maybe);
        self
    }
}

/// The documents of `scope` in which the place has the pattern.
pub(crate) fn find(
    segment: &Segment,
    place: Place<'_>,
    pattern: &Pattern,
    scope: &Docs,
) -> Result<Found, Error> {
    let (section, name) = match place {
        Place::Section(section) => (section, None),
        Place::Written(section) => (Section::Written, Some(written_term(section))),
        Place::Named(name) => (Section::Header, Some(named_term(name))),
    };
    let lookup = Lookup::new(segment, section)?;
    let mut found = match pattern {
        Pattern::Empty => all_with(&lookup, name.as_deref().unwrap_or(kind::VALUE))?,
        Pattern::Unknown => all_with(&lookup, name.as_deref().unwrap_or(kind::VALUE))?.doubted(),
        Pattern::Row { slots, loose, blank_first } => {
            let found = row(&lookup, slots, name.as_deref(), scope)?;
            if *loose || (*blank_first && name.is_some()) { found.doubted() } else { found }
        }
    };
    if name.is_some()
        && let Some(odd) = lookup.term(kind::ODD)?
    {
        lookup.add_docs(&odd, &mut found.maybe)?;
    }
    found.sure.keep(scope);
    found.maybe.keep(scope);
    found.maybe.take_away(&found.sure);
    Ok(found)
}

fn all_with(lookup: &Lookup<'_>, term: &str) -> Result<Found, Error> {
    let mut found = Found::none(lookup.segment.reader.max_doc());
    if let Some(info) = lookup.term(term)? {
        lookup.add_docs(&info, &mut found.sure)?;
    }
    Ok(found)
}

/// A slot that tells something, and its place in the row.
pub(super) struct Known {
    pub(super) offset: u32,
    pub(super) terms: Vec<TermInfo>,
    pub(super) noise: Option<Noise>,
}

impl Known {
    /// Whether it may be in a run that is no word.
    pub(super) fn has_noise(&self) -> bool {
        self.noise.as_ref().is_some_and(|noise| !noise.docs.is_empty())
    }

    /// How many documents the longest of its lists has.
    fn longest(&self) -> u32 {
        self.terms.iter().map(|info| info.doc_freq).max().unwrap_or_default()
    }

    /// About how many documents it is in.
    fn cost(&self) -> u64 {
        let noise = self.noise.as_ref().map_or(0, |noise| u64::from(noise.docs.len()));
        self.terms.iter().map(|info| u64::from(info.doc_freq)).sum::<u64>() + noise
    }
}

fn row(lookup: &Lookup<'_>, slots: &[Slot], name: Option<&str>, scope: &Docs) -> Result<Found, Error> {
    let documents = lookup.segment.reader.max_doc();
    if let ([Slot::Word { text, open_left: true, open_right: true }], None) = (slots, name)
        && let Some(docs) = lookup.letters(text)?
    {
        let mut found = Found::none(documents);
        found.sure = docs;
        found.add_noise(&lookup.noise(text, true, true)?);
        return Ok(found);
    }
    if let (
        [
            Slot::Word { text, open_left: true, open_right: false },
            Slot::Word { text: next, open_left: false, open_right: true },
        ],
        None,
    ) = (slots, name)
        && let Some((sure, maybe)) = lookup.neighbours(text, next)?
    {
        return Ok(Found { sure, maybe });
    }
    let mut known = Vec::new();
    for (slot, offset) in slots.iter().zip(0u32..) {
        if let Terms::These { terms, noise } = lookup.terms(slot)? {
            if terms.is_empty() && noise.as_ref().is_none_or(|noise| noise.docs.is_empty()) {
                return Ok(Found::none(documents));
            }
            known.push(Known { offset, terms, noise });
        }
    }
    if known.is_empty() {
        return Ok(all_with(lookup, name.unwrap_or(kind::VALUE))?.doubted());
    }
    let undecided = known.len() < slots.len();
    let found = if let ([one], None) = (known.as_slice(), name) {
        anywhere(lookup, one)?
    } else {
        known.sort_by_key(Known::cost);
        in_place(lookup, &known, name, &beside(lookup, slots, scope)?)?
    };
    Ok(if undecided { found.doubted() } else { found })
}

/// One slot alone: positions do not matter.
fn anywhere(lookup: &Lookup<'_>, known: &Known) -> Result<Found, Error> {
    let mut found = Found::none(lookup.segment.reader.max_doc());
    let mut lists = lookup.lists();
    for info in &known.terms {
        lists.each(info, |docs| found.sure.insert_all(docs))?;
    }
    if let Some(noise) = &known.noise {
        found.add_noise(noise);
    }
    Ok(found)
}

/// Those of the documents in which words that stand side by side may do so, as far as that is known beforehand.
fn beside(lookup: &Lookup<'_>, slots: &[Slot], scope: &Docs) -> Result<Docs, Error> {
    let mut docs = scope.clone();
    for pair in slots.windows(2) {
        if let [Slot::Word { text, .. }, Slot::Word { text: next, .. }] = pair
            && let Some((mut sure, maybe)) = lookup.neighbours(text, next)?
        {
            sure.add(&maybe);
            docs.keep(&sure);
        }
    }
    Ok(docs)
}

fn in_place(lookup: &Lookup<'_>, known: &[Known], name: Option<&str>, scope: &Docs) -> Result<Found, Error> {
    let mut found = Found::none(lookup.segment.reader.max_doc());
    let mut candidates = scope.clone();
    // A list of most documents leaves out few, and is read with its positions later.
    let most = lookup.segment.reader.max_doc() / 2;
    for one in known.iter().filter(|one| one.longest() < most) {
        candidates = narrowed(lookup, one, &candidates)?;
        if candidates.is_empty() {
            return Ok(found);
        }
    }
    let candidates = Candidates::of(candidates);
    let Some((first, rest)) = known.split_first() else { return Ok(found) };
    let mut firsts = Firsts::read(lookup, first, &candidates)?;
    if let (None, Some((last, others))) = (name, rest.split_last()) {
        match Rows::of(firsts, &candidates) {
            Ok(mut rows) => {
                for one in others {
                    rows.keep(lookup, one, &candidates)?;
                    if rows.is_empty() {
                        return Ok(found);
                    }
                }
                return rows.with_last(lookup, last, &candidates);
            }
            Err(few) => firsts = few,
        }
    }
    let mut places = Places::of(&firsts, &candidates);
    if let Some(name) = name {
        let values = Values::read(lookup, name, &candidates)?;
        places.retain(&candidates, |at, position| values.have(at, position));
    }
    for one in rest {
        places.keep(lookup, one, &candidates)?;
        if places.is_empty() {
            break;
        }
    }
    for (doc, sure) in places.found(&candidates) {
        if sure { found.sure.insert(doc) } else { found.maybe.insert(doc) }
    }
    Ok(found)
}

/// Those of the candidates that have a term of the slot.
fn narrowed(lookup: &Lookup<'_>, known: &Known, candidates: &Docs) -> Result<Docs, Error> {
    let mut out = Docs::none(lookup.segment.reader.max_doc());
    let (count, mut lists) = (candidates.len(), lookup.lists());
    for info in &known.terms {
        if info.doc_freq / 8 <= count {
            lists.each(info, |docs| out.insert_all(docs))?;
            continue;
        }
        let mut postings = lookup.inverted.read_postings_from_terminfo(info, IndexRecordOption::Basic)?;
        for doc in candidates.iter() {
            if postings.doc() < doc {
                postings.seek(doc);
            }
            if postings.doc() == doc {
                out.insert(doc);
            }
        }
    }
    if let Some(noise) = &known.noise {
        out.add(&noise.docs);
    }
    out.keep(candidates);
    Ok(out)
}

/// For each candidate: where values begin, and where those of the field asked for do.
struct Values {
    all: Vec<Vec<u32>>,
    named: Vec<Vec<u32>>,
}

impl Values {
    fn read(lookup: &Lookup<'_>, name: &str, candidates: &Candidates) -> Result<Values, Error> {
        let mut lists = lookup.positions();
        let mut read = |term: &str| positions(&mut lists, lookup.term(term)?.as_ref(), candidates);
        Ok(Values { all: read(kind::VALUE)?, named: read(name)? })
    }

    /// Whether the position is in a value of the field: it begins before, and no other line begins between.
    fn have(&self, at: usize, position: u32) -> bool {
        let last = |starts: &[u32]| starts[..starts.partition_point(|s| *s <= position)].last().copied();
        match (last(&self.named[at]), last(&self.all[at])) {
            (Some(named), Some(line)) => named >= line,
            _ => false,
        }
    }
}
