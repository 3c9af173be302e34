//! The columns of a catalogue, and how they are kept: in order of when emails came, then of their ids.

use std::collections::{BTreeSet, HashMap};
use std::ops::Range;

use parking_lot::Mutex;
use schema::{EmailId, Flags, MailboxId, ThreadId};

use super::RowSet;
use super::orders::Orders;
use super::traits::TraitColumn;
use crate::Head;
use crate::emails::Email;

/// In place of a mailbox: there are several, or they are not told in the column.
pub(super) const MANY: u32 = u32::MAX;

/// A copy that is seen.
pub(super) type Copy = (MailboxId, u32);

/// An email with its copies that are seen, one at least; flags are numbers of sets.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Entry {
    pub(super) received: i64,
    pub(super) id: EmailId,
    pub(super) size: u64,
    pub(super) thread: ThreadId,
    pub(super) copies: Vec<Copy>,
}

/// A column for each of what queries ask for; rows lie in order of `received`, then of `ids`.
#[derive(Debug, Default)]
pub(super) struct Columns {
    pub(super) received: Vec<i64>,
    pub(super) ids: Vec<EmailId>,
    pub(super) sizes: Vec<u32>,
    pub(super) threads: Vec<u32>,
    /// The mailbox of an email that is in one.
    pub(super) places: Vec<u32>,
    /// The set of all its flags.
    pub(super) sets: Vec<u32>,
    many: HashMap<EmailId, Vec<Copy>>,
    pub(super) flags: FlagSets,
    numbers: HashMap<ThreadId, u32>,
    /// Threads by their numbers.
    pub(super) thread_ids: Vec<ThreadId>,
    pub(super) traits: TraitColumn,
    /// Under a lock, since those who read have new ones made.
    pub(super) orders: Mutex<Orders>,
}

/// Sets of flags, each with a number.
#[derive(Debug, Clone, Default)]
pub(super) struct FlagSets {
    pub(super) sets: Vec<Flags>,
    numbers: HashMap<Flags, u32>,
}

impl FlagSets {
    pub(super) fn number(&mut self, flags: Flags) -> u32 {
        if let Some(number) = self.numbers.get(&flags) {
            return *number;
        }
        let number = u32::try_from(self.sets.len()).unwrap_or(u32::MAX);
        self.sets.push(flags.clone());
        self.numbers.insert(flags, number);
        number
    }

    fn union(&mut self, copies: &[Copy]) -> u32 {
        if let [(_, set)] = copies {
            return *set;
        }
        let sets = copies.iter().filter_map(|(_, set)| self.sets.get(*set as usize));
        let all = sets.fold(Flags::none(), |all, flags| all.union(flags));
        self.number(all)
    }
}

impl Columns {
    pub(super) fn len(&self) -> usize {
        self.ids.len()
    }

    /// So many threads have numbers, those too that ended.
    pub(super) fn thread_count(&self) -> usize {
        self.numbers.len()
    }

    pub(super) fn thread_number(&self, thread: ThreadId) -> Option<u32> {
        self.numbers.get(&thread).copied()
    }

    /// Bytes, about.
    pub(super) fn bytes(&self) -> usize {
        // A slot of a hash table, of which a quarter is free.
        let slot = |size: usize| (size + 1) * 4 / 3;
        self.ids.capacity() * (8 + 8 + 4 * 4)
            + self.numbers.capacity() * slot(16)
            + self.thread_ids.capacity() * 8
            + self.many.len() * (slot(32) + 32)
            + self.flags.sets.len() * 256
            + self.traits.bytes()
            // Who holds it sorts.
            + self.orders.try_lock().map_or(0, |orders| orders.bytes())
    }

    /// Whether so much of it is of no use any more that it should be made anew.
    pub(super) fn is_worn(&self) -> bool {
        self.numbers.len() > 2 * self.len() + 10_000
            || self.flags.sets.len() > self.len() + 10_000
            || self.traits.is_worn()
    }

    /// Of some rows those of emails that are in such a mailbox, counted from the first of them.
    pub(super) fn within(&self, rows: Range<usize>, wanted: impl Fn(MailboxId) -> bool) -> RowSet {
        let (begin, places) = (rows.start, &self.places[rows]);
        let mut within = RowSet::of(places, |place| *place != MANY && wanted(MailboxId(*place)));
        if !self.many.is_empty() {
            let many = RowSet::of(places, |place| *place == MANY);
            many.iter()
                .filter(|row| self.copies(begin + row).iter().any(|(at, _)| wanted(*at)))
                .for_each(|row| within.insert(row));
        }
        within
    }

    /// The rows that have a copy in such a mailbox, with what they are there.
    pub(super) fn only(&self, wanted: impl Fn(MailboxId) -> bool) -> Columns {
        let mut entries = Vec::new();
        for row in 0..self.len() {
            let one = [(MailboxId(self.places[row]), self.sets[row])];
            let all = if self.places[row] == MANY { self.copies(row) } else { &one };
            let copies: Vec<Copy> = all.iter().filter(|(at, _)| wanted(*at)).copied().collect();
            let thread = self.thread_ids.get(self.threads[row] as usize);
            let Some(thread) = thread.filter(|_| !copies.is_empty()) else { continue };
            let (received, id, size) = (self.received[row], self.ids[row], self.sizes[row].into());
            entries.push(Entry { received, id, size, thread: *thread, copies });
        }
        let mut some = Columns { flags: self.flags.clone(), ..Columns::default() };
        some.insert(entries);
        some
    }

    pub(super) fn copies(&self, row: usize) -> &[Copy] {
        let copies = self.ids.get(row).and_then(|id| self.many.get(id));
        copies.map(Vec::as_slice).unwrap_or_default()
    }

    /// What an email that was read is here; none for one that nobody sees.
    pub(super) fn entry(&mut self, email: &Email) -> Option<Entry> {
        let copies: Vec<Copy> =
            email.seen().map(|copy| (copy.mailbox, self.flags.number(copy.flags.clone()))).collect();
        let Email { id, received, size, thread, .. } = *email;
        (!copies.is_empty()).then_some(Entry { received, id, size, thread, copies })
    }

    /// Puts in emails, in order; none of them is there.
    pub(super) fn insert(&mut self, entries: Vec<Entry>) {
        let old = self.len();
        let (mut from, mut to) = (old, old + entries.len());
        self.resize(to);
        let mut added = Vec::with_capacity(entries.len());
        // From the end on: what lies before the first of them stays where it is.
        for entry in entries.into_iter().rev() {
            while from > 0 && (self.received[from - 1], self.ids[from - 1]) > (entry.received, entry.id) {
                (from, to) = (from - 1, to - 1);
                self.copy_row(from, to);
            }
            to -= 1;
            self.put(to, entry);
            added.push(u32::try_from(to).unwrap_or(u32::MAX));
        }
        added.reverse();
        let orders = self.orders.get_mut();
        if added.first().is_some_and(|first| (*first as usize) < old) {
            let moved = moved_up(&added, old);
            orders.moved(|row| moved.get(row as usize).copied());
        }
        orders.added(&added);
    }

    fn resize(&mut self, length: usize) {
        self.received.resize(length, 0);
        self.ids.resize(length, EmailId(0));
        self.sizes.resize(length, 0);
        self.threads.resize(length, 0);
        self.places.resize(length, MANY);
        self.sets.resize(length, 0);
        self.traits.grow(length);
    }

    fn copy_row(&mut self, from: usize, to: usize) {
        self.received[to] = self.received[from];
        self.ids[to] = self.ids[from];
        self.sizes[to] = self.sizes[from];
        self.threads[to] = self.threads[from];
        self.places[to] = self.places[from];
        self.sets[to] = self.sets[from];
        self.traits.copy(from, to);
    }

    fn put(&mut self, row: usize, entry: Entry) {
        self.threads[row] = *self.numbers.entry(entry.thread).or_insert_with(|| {
            self.thread_ids.push(entry.thread);
            u32::try_from(self.thread_ids.len() - 1).unwrap_or(u32::MAX)
        });
        self.received[row] = entry.received;
        self.ids[row] = entry.id;
        self.sizes[row] = u32::try_from(entry.size).unwrap_or(u32::MAX);
        self.traits.forget(row);
        self.place(row, entry.copies);
    }

    /// Takes note of what an email's summary says; none for an email without one.
    pub(super) fn learn(&mut self, received: i64, id: EmailId, head: Option<&Head>) {
        if let Ok(row) = self.find(received, id) {
            self.traits.learn(row, received, head);
        }
    }

    /// Says where an email is, and its flags there.
    fn place(&mut self, row: usize, copies: Vec<Copy>) {
        let id = self.ids[row];
        self.sets[row] = self.flags.union(&copies);
        self.places[row] = match copies.as_slice() {
            [(mailbox, _)] if mailbox.0 != MANY => mailbox.0,
            _ => MANY,
        };
        if self.places[row] == MANY {
            self.many.insert(id, copies);
        } else {
            self.many.remove(&id);
        }
    }

    /// Takes emails as they were read in place of what is known of them; `all` has those too that are not there any more.
    pub(super) fn replace(&mut self, all: &BTreeSet<EmailId>, emails: &[Email]) {
        let mut gone = all.clone();
        let mut new = Vec::new();
        for email in emails {
            let Some(entry) = self.entry(email) else { continue };
            gone.remove(&entry.id);
            match self.find(entry.received, entry.id) {
                Ok(row) => self.place(row, entry.copies),
                Err(_) => new.push(entry),
            }
        }
        if let (Some(first), Some(last)) = (gone.first(), gone.last()) {
            // Most ids are told apart without a look at the set.
            let is_gone = |id: EmailId| *first <= id && id <= *last && gone.contains(&id);
            self.remove(|_, id| is_gone(id), gone.len());
        }
        new.sort_unstable();
        self.insert(new);
    }

    fn find(&self, received: i64, id: EmailId) -> Result<usize, usize> {
        let begin = self.received.partition_point(|one| *one < received);
        let end = self.received.partition_point(|one| *one <= received);
        self.ids[begin..end].binary_search(&id).map(|at| begin + at).map_err(|at| begin + at)
    }

    /// A mailbox is no more, with all copies in it.
    pub(super) fn remove_mailbox(&mut self, mailbox: MailboxId) {
        let rows: Vec<usize> = self
            .within(0..self.len(), |at| at == mailbox)
            .iter()
            .filter(|row| self.places[*row] == MANY)
            .collect();
        let mut bare = BTreeSet::new();
        for row in rows {
            let left: Vec<Copy> = self.copies(row).iter().filter(|(at, _)| *at != mailbox).copied().collect();
            if left.is_empty() {
                bare.insert(self.ids[row]);
            } else {
                self.place(row, left);
            }
        }
        self.remove(|place, id| place == mailbox.0 || bare.contains(&id), usize::MAX);
    }

    /// Removes the rows that are `gone`, by place and id; there are so many at most.
    fn remove(&mut self, gone: impl Fn(u32, EmailId) -> bool, most: usize) {
        let is_gone = |row: &usize| gone(self.places[*row], self.ids[*row]);
        let rows: Vec<usize> = (0..self.len()).filter(is_gone).take(most).collect();
        let Some(first) = rows.first() else { return };
        for row in &rows {
            self.many.remove(&self.ids[*row]);
        }
        let (mut next, mut to) = (rows.iter().peekable(), *first);
        for from in *first..self.len() {
            if next.next_if_eq(&&from).is_some() {
                continue;
            }
            self.copy_row(from, to);
            to += 1;
        }
        let old = self.len();
        self.truncate(to);
        let moved = moved_down(&rows, old);
        self.orders.get_mut().moved(|row| moved.get(row as usize).copied().filter(|new| *new != MANY));
    }

    fn truncate(&mut self, length: usize) {
        self.received.truncate(length);
        self.ids.truncate(length);
        self.sizes.truncate(length);
        self.threads.truncate(length);
        self.places.truncate(length);
        self.sets.truncate(length);
        self.traits.truncate(length);
    }

    /// Gives back what was taken in advance.
    pub(super) fn shrink(&mut self) {
        self.received.shrink_to_fit();
        self.ids.shrink_to_fit();
        self.sizes.shrink_to_fit();
        self.threads.shrink_to_fit();
        self.places.shrink_to_fit();
        self.sets.shrink_to_fit();
        self.numbers.shrink_to_fit();
        self.thread_ids.shrink_to_fit();
    }
}

/// Where rows come to lie between others that were added; those are in order.
fn moved_up(added: &[u32], old: usize) -> Vec<u32> {
    let (mut added, mut next) = (added.iter().peekable(), 0);
    let place = |_| {
        while added.next_if_eq(&&next).is_some() {
            next += 1;
        }
        next += 1;
        next - 1
    };
    (0..old).map(place).collect()
}

/// Where rows come to lie when some went, in order; [`MANY`] for those.
fn moved_down(gone: &[usize], old: usize) -> Vec<u32> {
    let (mut gone, mut next) = (gone.iter().peekable(), 0);
    let place = |row: usize| {
        if gone.next_if_eq(&&row).is_some() {
            return MANY;
        }
        next += 1;
        next - 1
    };
    (0..old).map(place).collect()
}
