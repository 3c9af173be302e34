//! In a segment: where terms stand side by side, with a bit for each position of a document.

use super::beside::{Candidates, First, Met, each};
use super::matcher::Known;
use super::terms::Lookup;
use crate::Error;

/// Words of 64 positions that a place where the first slot is may cost; else its places are kept one by one.
const PER_PLACE: usize = 8;

/// Positions where the row of slots may begin: a row of bits for each candidate, up to the last place of its first slot.
pub(super) struct Rows {
    /// Where the bits of each candidate begin, and those of the last one end.
    bounds: Vec<u32>,
    /// All that was looked at is there.
    sure: Vec<u64>,
    /// The same, or a part of it only may be there.
    maybe: Vec<u64>,
}

impl Rows {
    /// None where documents are long for so few places.
    pub(super) fn of(firsts: &[First], candidates: &Candidates) -> Option<Rows> {
        let mut bounds = vec![0u32; candidates.listed().len() + 1];
        for first in firsts {
            let words = &mut bounds[first.number as usize + 1];
            *words = (*words).max(first.begin / 64 + 1);
        }
        let mut sum = 0usize;
        for bound in &mut bounds {
            sum += *bound as usize;
            *bound = sum as u32;
        }
        if sum > PER_PLACE * firsts.len() || u32::try_from(sum).is_err() {
            return None;
        }
        let mut rows = Rows { bounds, sure: vec![0; sum], maybe: vec![0; sum] };
        for first in firsts {
            let at = rows.bounds[first.number as usize] as usize + (first.begin / 64) as usize;
            let bit = 1 << (first.begin % 64);
            rows.maybe[at] |= bit;
            if first.met == Met::Surely {
                rows.sure[at] |= bit;
            }
        }
        Some(rows)
    }

    /// Leaves those where another slot is too.
    pub(super) fn keep(
        &mut self,
        lookup: &Lookup<'_>,
        slot: &Known,
        candidates: &Candidates,
    ) -> Result<(), Error> {
        let Rows { bounds, sure, maybe } = self;
        let row = |number: usize| bounds[number] as usize..bounds[number + 1] as usize;
        let mut met = vec![0; sure.len()];
        let mut perhaps = if slot.has_noise() { vec![0; sure.len()] } else { Vec::new() };
        let matters = |number: usize| maybe[row(number)].iter().any(|word| *word != 0);
        each(lookup, slot, candidates, matters, |number, begin, how| {
            let row = row(number);
            let at = row.start + (begin / 64) as usize;
            if at < row.end {
                let bits = if how == Met::Surely { &mut met } else { &mut perhaps };
                bits[at] |= 1 << (begin % 64);
            }
        })?;
        sure.iter_mut().zip(&met).for_each(|(a, b)| *a &= b);
        if !perhaps.is_empty() {
            met.iter_mut().zip(&perhaps).for_each(|(a, b)| *a |= b);
        }
        maybe.iter_mut().zip(&met).for_each(|(a, b)| *a &= b);
        Ok(())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.maybe.iter().all(|word| *word == 0)
    }

    /// Numbers of the candidates that have the row, and whether that is sure.
    pub(super) fn found(&self) -> impl Iterator<Item = (usize, bool)> {
        let has = |bits: &[u64]| bits.iter().any(|word| *word != 0);
        let rows = self.bounds.windows(2).map(|two| two[0] as usize..two[1] as usize).enumerate();
        rows.filter(move |(_, row)| has(&self.maybe[row.clone()]))
            .map(move |(at, row)| (at, has(&self.sure[row])))
    }
}
