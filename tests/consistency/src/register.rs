//! A flag of a message: the last value that was written is read, whoever reads.

use crate::time::{Event, Span, Tick};

/// One write. What a copy begins with may not be known: then the first that reads it says so.
#[derive(Debug, Clone, Copy)]
struct Write {
    value: Option<bool>,
    event: Event,
}

/// The writes that may still be read.
#[derive(Debug, Clone)]
pub(crate) struct Register {
    writes: Vec<Write>,
}

impl Register {
    /// With what the message comes with.
    pub(crate) fn new(value: Option<bool>, made: Event) -> Self {
        Register { writes: vec![Write { value, event: made }] }
    }

    pub(crate) fn write(&mut self, value: bool, at: Tick) {
        self.writes.push(Write { value: Some(value), event: Event::begun(at) });
    }

    /// The write that was asked for at this moment is done.
    pub(crate) fn written(&mut self, begun: Tick, ended: Tick) {
        for write in self.writes.iter_mut().filter(|write| write.event.from == begun) {
            write.event.by = write.event.by.min(ended);
        }
    }

    /// The write that was asked for at this moment was refused.
    pub(crate) fn unwritten(&mut self, begun: Tick) {
        self.writes.retain(|write| write.event.from != begun);
    }

    /// What the message came with has become known, or when it came.
    pub(crate) fn made(&mut self, value: Option<bool>, made: Event) {
        if let Some(first) = self.writes.iter_mut().find(|write| write.event.from <= made.from) {
            first.event.by = first.event.by.min(made.by);
            first.value = first.value.or(value);
        }
    }

    /// Whether who reads then may get the value of this write: no other was begun after it and done before the read.
    fn current(&self, write: &Write, read: Span) -> bool {
        let over = |other: &Write| other.event.from > write.event.by && other.event.certain(read);
        write.event.possible(read) && !self.writes.iter().any(over)
    }

    pub(crate) fn allows(&self, value: bool, read: Span) -> bool {
        let fits = |write: &&Write| write.value.is_none_or(|written| written == value);
        self.writes.iter().filter(fits).any(|write| self.current(write, read))
    }

    /// The only value that could be read then, if there is only one.
    pub(crate) fn settled(&self, read: Span) -> Option<bool> {
        match (self.allows(true, read), self.allows(false, read)) {
            (true, false) => Some(true),
            (false, true) => Some(false),
            _ => None,
        }
    }

    /// Somebody has read this value, which is allowed: if it can be of one write only, that one is done.
    pub(crate) fn seen(&mut self, value: bool, read: Span) {
        let fits = |write: &Write| write.value.is_none_or(|written| written == value);
        let could: Vec<usize> = (0..self.writes.len())
            .filter(|at| self.writes.get(*at).is_some_and(|write| fits(write) && self.current(write, read)))
            .collect();
        if let [only] = could[..]
            && let Some(write) = self.writes.get_mut(only)
        {
            write.value = Some(value);
            write.event.seen(read);
        }
    }

    /// Forgets what nobody who begins at `oldest` or later can read.
    pub(crate) fn forget(&mut self, oldest: Tick) {
        let read = Span { begun: oldest, ended: crate::time::NEVER };
        let keep: Vec<bool> = self.writes.iter().map(|write| self.current(write, read)).collect();
        let mut keep = keep.into_iter();
        self.writes.retain(|_| keep.next().unwrap_or(true));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(begun: Tick, ended: Tick) -> Span {
        Span { begun, ended }
    }

    fn register() -> Register {
        Register::new(Some(false), Event { from: 0, by: 1 })
    }

    #[test]
    fn a_write_is_read_by_who_comes_after_and_perhaps_by_who_is_there() {
        let mut flag = register();
        flag.write(true, 10);
        assert!(flag.allows(true, span(5, 11)) && flag.allows(false, span(5, 11)));
        assert!(!flag.allows(true, span(5, 9)));
        flag.written(10, 20);
        assert!(flag.allows(false, span(19, 30)));
        assert!(!flag.allows(false, span(21, 30)) && flag.allows(true, span(21, 30)));
    }

    #[test]
    fn of_two_at_once_either_may_stay_and_what_one_reads_all_later_ones_do() {
        let mut flag = register();
        flag.write(true, 10);
        flag.written(10, 20);
        flag.write(false, 30);
        flag.write(true, 31);
        assert!(flag.allows(false, span(32, 33)) && flag.allows(true, span(32, 33)));
        // One has seen `false`, so the write at 30 is done, though nobody has answered it yet.
        flag.seen(false, span(32, 33));
        assert_eq!(flag.settled(span(34, 35)), None, "the write at 31 may come at any time");
        flag.written(31, 40);
        assert!(flag.allows(false, span(41, 42)), "they were at once: either may be the last");
        flag.forget(41);
        assert_eq!(flag.writes.len(), 2);
    }

    #[test]
    fn a_value_that_was_read_does_not_go_back() {
        let mut flag = register();
        flag.write(true, 10);
        flag.seen(true, span(11, 12));
        assert!(!flag.allows(false, span(13, 14)), "the write has no answer yet, but was seen");
        flag.forget(13);
        assert_eq!(flag.writes.len(), 1);
    }

    #[test]
    fn what_a_copy_came_with_is_learned() {
        let mut flag = Register::new(None, Event { from: 0, by: 1 });
        assert!(flag.allows(true, span(2, 3)) && flag.allows(false, span(2, 3)));
        flag.seen(true, span(2, 3));
        assert_eq!(flag.settled(span(4, 5)), Some(true));
    }
}
