//! What the client believes about the open mailbox, and how it is told the truth.
//!
//! The view is the set of UIDs that the client counts: sequence number n is the n-th of them. It changes only
//! together with a response: EXISTS adds at the end, EXPUNGE or VANISHED removes. Messages that are gone while
//! the client must not be told stay in the view, and FETCH does not find them.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use imap_proto::render::{self, FetchWriter};
use imap_proto::sequence::SequenceSet;
use mail::{Delta, MessageRow, UidSet};
use schema::ModSeq;

use crate::flags;
use crate::session::Modes;

/// The mailbox as the client knows it.
pub(crate) struct View {
    uids: UidSet,
    /// Up to where the store was looked at.
    as_of: ModSeq,
    /// In `uids`, but gone: to be told as soon as it may be.
    gone: UidSet,
    /// What this session was told since the last look: UID and mod-sequence. The log need not repeat it.
    told: BTreeMap<u32, u64>,
}

impl View {
    pub(crate) fn new(uids: UidSet, as_of: ModSeq) -> View {
        View { uids, as_of, gone: UidSet::default(), told: BTreeMap::new() }
    }

    pub(crate) fn as_of(&self) -> ModSeq {
        self.as_of
    }

    pub(crate) fn uids(&self) -> &UidSet {
        &self.uids
    }

    pub(crate) fn len(&self) -> u32 {
        self.uids.len()
    }

    pub(crate) fn seq_of(&self, uid: u32) -> Option<u32> {
        self.uids.seq_of(uid)
    }

    /// The messages a set names, as UIDs. `saved` stands for `$`. `None`: a sequence number is beyond the
    /// mailbox, which is a client's error (RFC 9051 §9 `seq-number`); UIDs that are not here are no error.
    pub(crate) fn resolve(&self, set: &SequenceSet, uid: bool, saved: &UidSet) -> Option<UidSet> {
        if set.is_saved() {
            return Some(saved.intersection(&self.uids));
        }
        if uid {
            let largest = self.uids.last().unwrap_or(0);
            return Some(UidSet::from_ranges(set.resolve(largest)).intersection(&self.uids));
        }
        let mut found = Vec::new();
        for range in set.resolve(self.len()) {
            if *range.end() > self.len() {
                return None;
            }
            found.push(range);
        }
        Some(self.at_numbers(found))
    }

    /// The UIDs at these sequence numbers.
    fn at_numbers(&self, numbers: Vec<RangeInclusive<u32>>) -> UidSet {
        self.span(numbers).intersection(&self.uids)
    }

    /// The ranges of UIDs from and to the messages a set names, whatever lies between: no dearer than the set is
    /// long. Sequence numbers beyond the mailbox name nothing here.
    pub(crate) fn spanned(&self, set: &SequenceSet, uid: bool) -> UidSet {
        if uid {
            return UidSet::from_ranges(set.resolve(self.uids.last().unwrap_or(0)));
        }
        self.span(set.resolve(self.len()))
    }

    fn span(&self, numbers: Vec<RangeInclusive<u32>>) -> UidSet {
        let span = |range: RangeInclusive<u32>| {
            let last = (*range.end()).min(self.len());
            Some(self.uids.uid_at(*range.start())?..=self.uids.uid_at(last)?)
        };
        UidSet::from_ranges(numbers.into_iter().filter_map(span))
    }

    /// Ranges of UIDs to read rows of `wanted` by: neighbours are joined where few other messages lie between.
    pub(crate) fn stretches(&self, wanted: &UidSet) -> Vec<RangeInclusive<u32>> {
        const FEW: u32 = 32;
        let mut joined: Vec<RangeInclusive<u32>> = Vec::new();
        for range in wanted.ranges() {
            if let Some(last) = joined.last_mut()
                && let (Some(a), Some(b)) = (self.seq_of(*last.end()), self.seq_of(*range.start()))
                && b - a <= FEW
            {
                *last = *last.start()..=*range.end();
                continue;
            }
            joined.push(range);
        }
        joined
    }

    /// Numbers for an answer: UIDs, or the sequence numbers they have in this view.
    pub(crate) fn numbers<'a>(
        &'a self,
        uids: &'a UidSet,
        uid: bool,
    ) -> Box<dyn Iterator<Item = u32> + Send + 'a> {
        if uid { Box::new(uids.iter()) } else { Box::new(uids.iter().filter_map(|uid| self.seq_of(uid))) }
    }

    /// This session wrote the row's flags itself and told the client.
    pub(crate) fn note_told(&mut self, row: &MessageRow) {
        self.told.insert(row.uid, row.modseq.0);
    }

    /// Tells what changed since the last look. `expunge`: whether messages may disappear now.
    pub(crate) fn tell(&mut self, out: &mut Vec<u8>, delta: &Delta, expunge: bool, modes: Modes) {
        self.gone = self.gone.union(&delta.vanished.intersection(&self.uids));
        if expunge {
            self.tell_gone(out, modes);
        }
        let before = self.len();
        for row in &delta.changed {
            if self.uids.last().is_none_or(|last| row.uid > last) && !delta.vanished.contains(row.uid) {
                self.uids.insert(row.uid);
            }
        }
        if self.len() > before {
            render::exists(out, self.len());
            if !modes.rev2 {
                render::recent(out, 0);
            }
        }
        for row in &delta.changed {
            let told = self.told.get(&row.uid) == Some(&row.modseq.0);
            let Some(seq) = self.seq_of(row.uid).filter(|&seq| seq <= before && !told) else { continue };
            if !self.gone.contains(row.uid) {
                tell_flags(out, seq, row, modes);
            }
        }
        self.told.clear();
        self.as_of = self.as_of.max(delta.as_of);
    }

    /// EXPUNGE of each, or one VANISHED (RFC 7162 §3.2.10.2).
    fn tell_gone(&mut self, out: &mut Vec<u8>, modes: Modes) {
        if self.gone.is_empty() {
            return;
        }
        let gone = std::mem::take(&mut self.gone);
        if modes.qresync {
            render::vanished(out, false, gone.ranges());
            self.uids = self.uids.difference(&gone);
            return;
        }
        // From the highest down: each number is then as the client counts at that moment.
        for range in gone.ranges().collect::<Vec<_>>().into_iter().rev() {
            for uid in range.rev() {
                if let Some(seq) = self.seq_of(uid) {
                    render::expunge(out, seq);
                }
            }
        }
        self.uids = self.uids.difference(&gone);
    }
}

/// `* seq FETCH (UID … FLAGS … [MODSEQ …])` that nobody asked for. RFC 7162 §3.2.4: the UID is told with it.
pub(crate) fn tell_flags(out: &mut Vec<u8>, seq: u32, row: &MessageRow, modes: Modes) {
    let mut writer = FetchWriter::begin(out, seq);
    writer.uid(row.uid);
    writer.flags(flags::names(&row.flags));
    if modes.condstore {
        writer.modseq(row.modseq.0);
    }
    writer.end();
}

#[cfg(test)]
#[path = "view_tests.rs"]
mod tests;
