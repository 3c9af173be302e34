//! Some thousand messages of a listing: columns, so that who looks for emails reads nothing else.

use std::ops::RangeInclusive;

use schema::{EmailId, ModSeq, ThreadId};

use crate::UidSet;

/// Messages of a chunk; one in which messages came between others has more.
const FULL: usize = 4_096;
/// Bytes of a message.
pub(super) const ROW: usize =
    size_of::<(u32, u32)>() + size_of::<EmailId>() + size_of::<(ModSeq, ThreadId)>();
/// One email in so many is looked up; with more of them the column is walked.
const SPARSE: usize = 16;

/// Messages by UID.
#[derive(Debug, Clone, Default)]
pub(super) struct Chunk {
    uids: Vec<u32>,
    /// Which of the sets of flags.
    sets: Vec<u32>,
    changes: Vec<(ModSeq, ThreadId)>,
    emails: Vec<EmailId>,
    /// All emails are between these.
    ends: Option<(EmailId, EmailId)>,
    /// Emails are not in the order of UIDs, as they are where mail is delivered.
    unordered: bool,
}

/// A message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) uid: u32,
    pub(super) set: u32,
    pub(super) modseq: ModSeq,
    pub(super) thread: ThreadId,
    pub(super) email: EmailId,
}

impl Chunk {
    pub(super) fn first(&self) -> u32 {
        self.uids.first().copied().unwrap_or_default()
    }

    pub(super) fn last(&self) -> u32 {
        self.uids.last().copied().unwrap_or_default()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.uids.is_empty()
    }

    pub(super) fn is_full(&self) -> bool {
        self.uids.len() >= FULL
    }

    pub(super) fn bytes(&self) -> usize {
        self.uids.len() * ROW
    }

    fn row(&self, at: usize) -> Row {
        let (modseq, thread) = self.changes[at];
        Row { uid: self.uids[at], set: self.sets[at], modseq, thread, email: self.emails[at] }
    }

    pub(super) fn rows(&self) -> impl Iterator<Item = Row> {
        (0..self.uids.len()).map(|at| self.row(at))
    }

    pub(super) fn range(&self, uids: &RangeInclusive<u32>) -> impl Iterator<Item = Row> + use<'_> {
        let begin = self.uids.partition_point(|uid| uid < uids.start());
        let end = self.uids.partition_point(|uid| uid <= uids.end());
        (begin..end).map(|at| self.row(at))
    }

    /// Its UIDs, as runs.
    pub(super) fn runs(&self) -> impl Iterator<Item = RangeInclusive<u32>> {
        let runs = self.uids.chunk_by(|a, b| a.checked_add(1) == Some(*b));
        runs.filter_map(|run| Some(*run.first()?..=*run.last()?))
    }

    /// Adds or replaces a message; whether its UID was that of the same email before.
    pub(super) fn put(&mut self, row: Row) -> bool {
        let (at, is_new) = match self.uids.last().is_none_or(|last| *last < row.uid) {
            true => (self.uids.len(), true),
            false => match self.uids.binary_search(&row.uid) {
                Ok(at) => (at, false),
                Err(at) => (at, true),
            },
        };
        let is_same = !is_new && self.emails[at] == row.email;
        if is_new {
            self.uids.insert(at, row.uid);
            self.sets.insert(at, row.set);
            self.changes.insert(at, (row.modseq, row.thread));
            self.emails.insert(at, row.email);
        } else {
            self.sets[at] = row.set;
            self.changes[at] = (row.modseq, row.thread);
            self.emails[at] = row.email;
        }
        let (low, high) = self.ends.unwrap_or((row.email, row.email));
        self.ends = Some((low.min(row.email), high.max(row.email)));
        let around = &self.emails[at.saturating_sub(1)..self.emails.len().min(at + 2)];
        self.unordered |= !around.is_sorted();
        is_same
    }

    /// Whether some of its emails are between two.
    pub(super) fn may_have_emails(&self, first: EmailId, last: EmailId) -> bool {
        self.ends.is_some_and(|(low, high)| low <= last && first <= high)
    }

    /// Emails of messages above a UID.
    pub(super) fn emails_above(&self, uid: u32) -> impl Iterator<Item = EmailId> {
        self.emails[self.uids.partition_point(|other| *other <= uid)..].iter().copied()
    }

    /// Visits messages whose emails are in a table, each by the email's place there and its own UID.
    pub(super) fn each_of(&self, table: &Table<'_>, visit: &mut impl FnMut(usize, u32)) {
        for (email, uid) in self.emails.iter().zip(&self.uids) {
            if let Some(at) = table.find(*email) {
                visit(at, *uid);
            }
        }
    }

    /// Whether some of the UIDs are between its first and its last.
    pub(super) fn may_have(&self, uids: &UidSet) -> bool {
        let (first, last) = (self.first(), self.last());
        uids.contains(last) || uids.rank(last) > uids.rank(first)
    }

    pub(super) fn remove(&mut self, gone: &UidSet) {
        let left: Vec<Row> = self.rows().filter(|row| !gone.contains(row.uid)).collect();
        *self = Chunk::default();
        for row in left {
            self.put(row);
        }
    }

    /// Adds the UIDs of those of the emails that are there. These are in order, and so is what is added.
    pub(super) fn uids_of(&self, emails: &[EmailId], out: &mut Vec<u32>) {
        let Some((low, high)) = self.ends else { return };
        let emails = &emails[emails.partition_point(|email| *email < low)..];
        let emails = &emails[..emails.partition_point(|email| *email <= high)];
        if emails.is_empty() {
            return;
        }
        if self.unordered {
            return self.uids_in_any_order(emails, out);
        }
        let (mut at, sparse) = (0, emails.len() < self.emails.len() / SPARSE);
        for email in emails {
            if sparse {
                at += self.emails[at..].partition_point(|known| known < email);
            } else {
                at += self.emails[at..].iter().take_while(|known| *known < email).count();
            }
            // An email may be there twice.
            while self.emails.get(at) == Some(email) {
                out.push(self.uids[at]);
                at += 1;
            }
        }
    }

    /// Where many were delivered at once, emails of the same moment are in any order.
    fn uids_in_any_order(&self, emails: &[EmailId], out: &mut Vec<u32>) {
        self.each_of(&Table::of(emails), &mut |_, uid| out.push(uid));
    }
}

/// Emails that are asked for each message of a chunk: twice as many places as emails and more, each with the place of an
/// email among them that has it by its number or found those before it taken.
pub(super) struct Table<'a> {
    emails: &'a [EmailId],
    places: Vec<u32>,
    shift: u32,
}

/// No email.
const FREE: u32 = u32::MAX;

impl Table<'_> {
    pub(super) fn of(emails: &[EmailId]) -> Table<'_> {
        let bits = (emails.len() * 2 + 1).next_power_of_two().trailing_zeros();
        let mut table = Table { emails, places: vec![FREE; 1 << bits], shift: u64::BITS - bits };
        for (email, at) in emails.iter().zip(0..FREE) {
            let place = table.place(*email);
            table.places[place] = at;
        }
        table
    }

    /// Where the email is among them.
    pub(super) fn find(&self, email: EmailId) -> Option<usize> {
        Some(self.places[self.place(email)]).filter(|at| *at != FREE).map(|at| at as usize)
    }

    /// Where the email's place is, or would be.
    fn place(&self, email: EmailId) -> usize {
        // The golden ratio: what differs anywhere differs in the highest bits.
        let mut at = (email.0.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> self.shift) as usize;
        while self.places[at] != FREE && self.emails[self.places[at] as usize] != email {
            at = (at + 1) & (self.places.len() - 1);
        }
        at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(uid: u32, email: u64) -> Row {
        Row {
            uid,
            set: uid % 3,
            modseq: ModSeq(u64::from(uid)),
            thread: ThreadId(email),
            email: EmailId(email),
        }
    }

    #[test]
    fn uids_of_emails_in_order_or_not_once_or_twice() {
        let in_order: Vec<Row> = (1..=200).map(|n| row(n * 2, u64::from(n / 2) * 5)).collect();
        let mixed: Vec<Row> = (1..=200).map(|n| row(n * 2, u64::from(n * 77 % 100) * 5)).collect();
        for rows in [in_order, mixed] {
            let mut chunk = Chunk::default();
            // Those in the middle come last.
            let late = |row: &&Row| row.uid.is_multiple_of(20);
            for row in rows.iter().filter(|row| !late(row)).chain(rows.iter().filter(late)) {
                assert!(!chunk.put(*row), "it is new");
                assert!(chunk.put(*row), "the same again");
            }
            assert!(chunk.rows().eq(rows.iter().copied()));
            for step in [1, 3, 50, 400] {
                let emails: Vec<EmailId> = (0..600).step_by(step).map(EmailId).collect();
                let mut found = Vec::new();
                chunk.uids_of(&emails, &mut found);
                let expected = rows.iter().filter(|row| emails.binary_search(&row.email).is_ok());
                assert!(expected.map(|row| row.uid).eq(found), "every {step}");
            }
        }
    }

    #[test]
    fn what_is_gone_is_not_found() {
        let mut chunk = Chunk::default();
        for n in 1..=9 {
            chunk.put(row(n * 2, u64::from(n)));
        }
        let gone = UidSet::from_ranges([4..=5, 18..=40]);
        assert!(chunk.may_have(&gone) && !chunk.may_have(&UidSet::from_ranges([1..=1, 19..=40])));
        chunk.remove(&gone);
        assert!(chunk.rows().eq([1, 3, 4, 5, 6, 7, 8].map(|n| row(n * 2, u64::from(n)))));
        assert!(chunk.range(&(3..=8)).eq([3, 4].map(|n| row(n * 2, u64::from(n)))));
        let mut found = Vec::new();
        chunk.uids_of(&[1, 2, 8, 9].map(EmailId), &mut found);
        assert_eq!(found, [2, 16]);
    }
}
