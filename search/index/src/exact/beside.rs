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

    pub(super) fn docs(&self) -> &Docs {
        &self.docs
    }

    pub(super) fn listed(&self) -> &[DocId] {
        &self.listed
    }

    fn number(&self, doc: DocId) -> Option<usize> {
        let below = self.docs.below(doc)?;
        Some(self.before.get(doc as usize / 64).copied().unwrap_or_default() as usize + below as usize)
    }
}

/// Where the first slot is: documents, and where in them the row would begin. Of each term they are in order.
pub(super) struct Firsts {
    pub(super) surely: Vec<(DocId, u32)>,
    pub(super) perhaps: Vec<(DocId, u32)>,
    /// For each document, behind a first number: how many times 64 positions there are up to its last place.
    pub(super) lengths: Vec<u32>,
}

impl Firsts {
    pub(super) fn read(lookup: &Lookup<'_>, slot: &Known, candidates: &Candidates) -> Result<Firsts, Error> {
        let mut surely = Vec::with_capacity(places(&slot.terms, candidates));
        let mut perhaps = Vec::new();
        let mut lengths = vec![0u32; lookup.segment.reader.max_doc() as usize + 1];
        each(
            lookup,
            slot,
            candidates,
            |doc| candidates.docs.has(doc),
            |doc, positions, met| {
                let to = if met == Met::Surely { &mut surely } else { &mut perhaps };
                let before = positions.partition_point(|at| *at < slot.offset);
                let begins = positions[before..].iter().map(|at| at.wrapping_sub(slot.offset));
                if let (Some(last), Some(length)) =
                    (begins.clone().next_back(), lengths.get_mut(doc as usize + 1))
                {
                    *length = (*length).max(last / 64 + 1);
                }
                to.extend(begins.map(|begin| (doc, begin)));
            },
        )?;
        Ok(Firsts { surely, perhaps, lengths })
    }

    pub(super) fn len(&self) -> usize {
        self.surely.len() + self.perhaps.len()
    }
}

/// About how many places the terms have in the candidates: gaps between them take some six bits.
fn places(terms: &[TermInfo], candidates: &Candidates) -> usize {
    let bytes: usize = terms.iter().map(|info| info.positions_range.len()).sum();
    (bytes + bytes / 2).min(16 * candidates.listed.len())
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
    pub(super) fn of(firsts: &Firsts, candidates: &Candidates) -> Places {
        let place = |met: Met| {
            move |(doc, begin): &(DocId, u32)| {
                let number = candidates.number(*doc)? as u32;
                Some(Place { number, begin: *begin, sure: met == Met::Surely, met })
            }
        };
        let surely = firsts.surely.iter().filter_map(place(Met::Surely));
        let mut places: Vec<Place> =
            surely.chain(firsts.perhaps.iter().filter_map(place(Met::Perhaps))).collect();
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
        let has_any = |doc| candidates.number(doc).is_some_and(|number| bounds[number] < bounds[number + 1]);
        each(lookup, slot, candidates, has_any, |doc, positions, met| {
            let Some(number) = candidates.number(doc) else { return };
            let here = &mut places[bounds[number] as usize..bounds[number + 1] as usize];
            for begin in positions.iter().filter_map(|at| at.checked_sub(slot.offset)) {
                let skipped =
                    if here.len() > FEW { here.partition_point(|place| place.begin < begin) } else { 0 };
                let there = here[skipped..].iter_mut().take_while(|place| place.begin <= begin);
                for place in there.filter(|place| place.begin == begin) {
                    place.met = place.met.max(met);
                }
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

    /// Documents that have the row, and whether that is sure.
    pub(super) fn found(&self, candidates: &Candidates) -> impl Iterator<Item = (DocId, bool)> {
        let by_document = self.places.chunk_by(|a, b| a.number == b.number);
        by_document.filter_map(|places| {
            let doc = candidates.listed.get(places[0].number as usize)?;
            Some((*doc, places.iter().any(|place| place.sure)))
        })
    }
}

/// Visits the positions of a slot in the candidates that matter.
pub(super) fn each(
    lookup: &Lookup<'_>,
    slot: &Known,
    candidates: &Candidates,
    matters: impl Fn(DocId) -> bool,
    mut visit: impl FnMut(DocId, &[u32], Met),
) -> Result<(), Error> {
    let mut lists = lookup.positions();
    for info in &slot.terms {
        let visit = |doc: DocId, positions: &[u32]| visit(doc, positions, Met::Surely);
        lists.each(info, candidates.listed(), &matters, visit)?;
    }
    if let Some(noise) = &slot.noise
        && !noise.docs.is_empty()
        && let Some(info) = lookup.term(kind::NOISE)?
    {
        let matters = |doc| noise.docs.has(doc) && matters(doc);
        let visit = |doc: DocId, positions: &[u32]| visit(doc, positions, Met::Perhaps);
        lists.each(&info, candidates.listed(), matters, visit)?;
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
        let is_one = |doc| candidates.docs.has(doc);
        lists.each(info, &candidates.listed, is_one, |doc, positions| {
            if let Some(number) = candidates.number(doc) {
                out[number].extend_from_slice(positions);
            }
        })?;
    }
    Ok(out)
}
