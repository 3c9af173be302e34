//! In a segment: in which documents, and where, terms stand side by side.

use tantivy::DocId;
use tantivy::postings::TermInfo;

use super::docs::Docs;
use super::matcher::Known;
use super::terms::Lookup;
use crate::Error;
use crate::fields::kind;
use crate::lists::PositionLists;

/// So many places of a document are looked through one by one.
const FEW: usize = 8;

/// Documents that have all terms somewhere, numbered.
pub(super) struct Candidates {
    docs: Docs,
    listed: Vec<DocId>,
    /// How many there are before each 64 documents of the segment.
    before: Vec<u32>,
}

impl Candidates {
    pub(super) fn of(docs: Docs) -> Candidates {
        let listed: Vec<DocId> = docs.iter().collect();
        Candidates { before: docs.counts(), docs, listed }
    }

    pub(super) fn listed(&self) -> &[DocId] {
        &self.listed
    }

    pub(super) fn number(&self, doc: DocId) -> Option<usize> {
        let below = self.docs.below(doc)?;
        Some(self.before.get(doc as usize / 64).copied().unwrap_or_default() as usize + below as usize)
    }
}

/// A place where the first slot is.
#[derive(Clone, Copy)]
pub(super) struct First {
    /// The number of the candidate.
    pub(super) number: u32,
    /// Where the row would begin.
    pub(super) begin: u32,
    pub(super) met: Met,
}

impl First {
    /// All of them, term by term.
    pub(super) fn all(
        lookup: &Lookup<'_>,
        slot: &Known,
        candidates: &Candidates,
    ) -> Result<Vec<First>, Error> {
        let mut all = Vec::with_capacity(candidates.listed.len());
        each(
            lookup,
            slot,
            candidates,
            |_| true,
            |number, begin, met| {
                all.push(First { number: number as u32, begin, met });
            },
        )?;
        Ok(all)
    }
}

/// A place where the row may begin.
#[derive(Clone, Copy)]
struct Place {
    number: u32,
    begin: u32,
    /// All that was looked at is there, and no part of it only may be.
    sure: bool,
    /// What of the slot that is looked at now was met.
    met: Met,
}

/// Whether a slot is at a place.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Met {
    Nothing,
    Perhaps,
    Surely,
}

/// Places where the row may begin, by document: one by one, where documents are long for so few of them.
pub(super) struct Places {
    places: Vec<Place>,
    /// Where those of each candidate begin.
    bounds: Vec<u32>,
}

impl Places {
    /// Where the first slot is.
    pub(super) fn of(firsts: Vec<First>, candidates: &Candidates) -> Places {
        let place = |First { number, begin, met }| Place { number, begin, sure: met == Met::Surely, met };
        let mut places: Vec<Place> = firsts.into_iter().map(place).collect();
        // Of each term they are in order.
        places.sort_by_key(|place| (place.number, place.begin));
        let mut out = Places { places, bounds: Vec::new() };
        out.bound(candidates);
        out
    }

    /// Leaves those where `has` says so, of the number of a candidate and a position.
    pub(super) fn retain(&mut self, candidates: &Candidates, has: impl Fn(usize, u32) -> bool) {
        self.places.retain(|place| has(place.number as usize, place.begin));
        self.bound(candidates);
    }

    /// Leaves those where another slot is too.
    pub(super) fn keep(
        &mut self,
        lookup: &Lookup<'_>,
        slot: &Known,
        candidates: &Candidates,
    ) -> Result<(), Error> {
        let Places { places, bounds } = self;
        places.iter_mut().for_each(|place| place.met = Met::Nothing);
        let has_any = |number: usize| bounds[number] < bounds[number + 1];
        each(lookup, slot, candidates, has_any, |number, begin, met| {
            let here = &mut places[bounds[number] as usize..bounds[number + 1] as usize];
            let skipped =
                if here.len() > FEW { here.partition_point(|place| place.begin < begin) } else { 0 };
            let there = here[skipped..].iter_mut().take_while(|place| place.begin <= begin);
            for place in there.filter(|place| place.begin == begin) {
                place.met = place.met.max(met);
            }
        })?;
        self.places.retain(|place| place.met != Met::Nothing);
        self.places.iter_mut().for_each(|place| place.sure &= place.met == Met::Surely);
        self.bound(candidates);
        Ok(())
    }

    fn bound(&mut self, candidates: &Candidates) {
        self.bounds.clear();
        self.bounds.resize(candidates.listed.len() + 1, 0);
        self.places.iter().for_each(|place| self.bounds[place.number as usize + 1] += 1);
        let mut sum = 0;
        for bound in &mut self.bounds {
            sum += *bound;
            *bound = sum;
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// Numbers of the candidates that have the row, and whether that is sure.
    pub(super) fn found(&self) -> impl Iterator<Item = (usize, bool)> {
        let by_document = self.places.chunk_by(|a, b| a.number == b.number);
        by_document.map(|places| (places[0].number as usize, places.iter().any(|place| place.sure)))
    }
}

/// Visits where the row would begin for each place of a slot, in the candidates that matter.
pub(super) fn each(
    lookup: &Lookup<'_>,
    slot: &Known,
    candidates: &Candidates,
    matters: impl Fn(usize) -> bool,
    mut visit: impl FnMut(usize, u32, Met),
) -> Result<(), Error> {
    let mut lists = lookup.positions();
    let number = |doc| candidates.number(doc).filter(|number| matters(*number));
    let mut at = |number: usize, position: u32, met: Met| {
        if let Some(begin) = position.checked_sub(slot.offset) {
            visit(number, begin, met);
        }
    };
    for info in &slot.terms {
        lists
            .each(info, candidates.listed(), number, |number, position| at(number, position, Met::Surely))?;
    }
    if let Some(noise) = &slot.noise
        && !noise.docs.is_empty()
        && let Some(info) = lookup.term(kind::NOISE)?
    {
        let number = |doc| number(doc).filter(|_| noise.docs.has(doc));
        lists.each(&info, candidates.listed(), number, |number, position| {
            at(number, position, Met::Perhaps);
        })?;
    }
    Ok(())
}

/// For each candidate: where a term is.
pub(super) fn positions(
    lists: &mut PositionLists<'_>,
    info: Option<&TermInfo>,
    candidates: &Candidates,
) -> Result<Vec<Vec<u32>>, Error> {
    let mut out = vec![Vec::new(); candidates.listed.len()];
    if let Some(info) = info {
        let number = |doc| candidates.number(doc);
        lists.each(info, &candidates.listed, number, |number, position| out[number].push(position))?;
    }
    Ok(out)
}
