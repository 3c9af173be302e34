//! In a segment: where terms stand side by side, with a bit for each position of a document.

use std::ops::Range;

use tantivy::DocId;

use super::beside::{Candidates, Firsts, Met, each};
use super::docs::Docs;
use super::matcher::{Found, Known};
use super::terms::Lookup;
use crate::Error;

/// Words of 64 positions that a place where the first slot is may cost; else its places are kept one by one.
const PER_PLACE: usize = 8;

/// Positions where the row of slots may begin: a row of bits for each document, up to the last place of its first slot.
pub(super) struct Rows {
    bounds: Bounds,
    /// Documents that may have the row.
    left: Docs,
    /// All that was looked at is there.
    sure: Vec<u64>,
    /// The same, or a part of it only may be there; nothing if no part only may be.
    maybe: Vec<u64>,
}

/// Where the bits of each document begin, and those of the last one end.
struct Bounds(Vec<u32>);

impl Bounds {
    fn row(&self, doc: DocId) -> Range<usize> {
        match self.0.get(doc as usize..doc as usize + 2) {
            Some([begin, end]) => *begin as usize..*end as usize,
            _ => 0..0,
        }
    }
}

impl Rows {
    /// Nothing but the places where documents are long for so few of them.
    pub(super) fn of(firsts: Firsts, candidates: &Candidates) -> Result<Rows, Firsts> {
        let sum: usize = firsts.lengths.iter().map(|length| *length as usize).sum();
        if sum > PER_PLACE * firsts.len() || u32::try_from(sum).is_err() {
            return Err(firsts);
        }
        let Firsts { surely, perhaps, mut lengths } = firsts;
        let mut end = 0;
        for bound in &mut lengths {
            end += *bound;
            *bound = end;
        }
        let bounds = Bounds(lengths);
        let mut sure = vec![0; sum];
        let set = |bits: &mut [u64], places: &[(DocId, u32)]| {
            for (doc, begin) in places {
                if let Some(word) = bits.get_mut(bounds.row(*doc).start + (begin / 64) as usize) {
                    *word |= 1 << (begin % 64);
                }
            }
        };
        set(&mut sure, &surely);
        let mut maybe = Vec::new();
        if !perhaps.is_empty() {
            maybe.clone_from(&sure);
            set(&mut maybe, &perhaps);
        }
        Ok(Rows { bounds, left: candidates.docs().clone(), sure, maybe })
    }

    /// Leaves those where another slot is too.
    pub(super) fn keep(
        &mut self,
        lookup: &Lookup<'_>,
        slot: &Known,
        candidates: &Candidates,
    ) -> Result<(), Error> {
        let mut met = vec![0; self.sure.len()];
        let mut perhaps = if slot.has_noise() { met.clone() } else { Vec::new() };
        each(
            lookup,
            slot,
            candidates,
            |doc| self.left.has(doc),
            |doc, positions, how| {
                let bits = if how == Met::Surely { &mut met } else { &mut perhaps };
                let Some(row) = bits.get_mut(self.bounds.row(doc)) else { return };
                for begin in positions.iter().filter_map(|at| at.checked_sub(slot.offset)) {
                    if let Some(word) = row.get_mut((begin / 64) as usize) {
                        *word |= 1 << (begin % 64);
                    }
                }
            },
        )?;
        if self.maybe.is_empty() && !perhaps.is_empty() {
            self.maybe.clone_from(&self.sure);
        }
        self.sure.iter_mut().zip(&met).for_each(|(a, b)| *a &= b);
        met.iter_mut().zip(&perhaps).for_each(|(a, b)| *a |= b);
        self.maybe.iter_mut().zip(&met).for_each(|(a, b)| *a &= b);
        let bits = if self.maybe.is_empty() { &self.sure } else { &self.maybe };
        let is_out = |doc: &DocId| bits[self.bounds.row(*doc)].iter().all(|word| *word == 0);
        let out: Vec<DocId> = self.left.iter().filter(is_out).collect();
        out.into_iter().for_each(|doc| self.left.remove(doc));
        Ok(())
    }

    /// Documents in which the last slot is there too. Its places need not be kept.
    pub(super) fn with_last(
        &self,
        lookup: &Lookup<'_>,
        slot: &Known,
        candidates: &Candidates,
    ) -> Result<Found, Error> {
        let mut found = Found::none(lookup.segment.reader.max_doc());
        let Found { sure, maybe } = &mut found;
        each(
            lookup,
            slot,
            candidates,
            |doc| self.left.has(doc),
            |doc, positions, how| {
                let row = self.bounds.row(doc);
                let is_in = |bits: &[u64]| {
                    let mut met = 0;
                    for position in positions {
                        // What would begin before the text is beyond its end.
                        let begin = position.wrapping_sub(slot.offset);
                        met |= bits.get((begin / 64) as usize).map_or(0, |word| word >> (begin % 64));
                    }
                    met & 1 == 1
                };
                let here = |bits: &[u64]| bits.get(row.clone()).is_some_and(is_in);
                if here(&self.sure) {
                    if how == Met::Surely { sure.insert(doc) } else { maybe.insert(doc) }
                } else if here(&self.maybe) {
                    maybe.insert(doc);
                }
            },
        )?;
        maybe.take_away(sure);
        Ok(found)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.left.is_empty()
    }
}
