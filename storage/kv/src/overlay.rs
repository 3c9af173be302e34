//! What a transaction has written, as its own reads see it: for backends that collect writes in memory.

use crate::{
    AtomicOp, Error, RangePage, RangeRequest, RangeSet, Row, Versionstamp, Write, limits, successor,
};
use bytes::Bytes;
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::iter::Peekable;

/// What is known of a key from the transaction's own writes.
#[derive(Debug)]
pub enum Lookup<'a> {
    /// All: the store need not be asked.
    Known(Option<Bytes>),
    /// These operations on what the store has.
    OnStore(&'a [(AtomicOp, Bytes)]),
    /// It will hold the versionstamp.
    Unreadable,
}

#[derive(Debug)]
enum Own {
    Value(Option<Bytes>),
    Pending(Vec<(AtomicOp, Bytes)>),
    Stamped,
}

/// A transaction's own writes.
#[derive(Debug, Default)]
pub struct Overlay {
    /// Keys written after the last clear of a range around them.
    keys: BTreeMap<Bytes, Own>,
    cleared: RangeSet,
    /// Where versionstamped keys may end up.
    unreadable: RangeSet,
}

impl Overlay {
    /// Whether nothing was written.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty() && self.cleared.is_empty() && self.unreadable.is_empty()
    }

    /// Takes note of a write.
    pub fn apply(&mut self, write: &Write) {
        match write {
            Write::Set(key, value) => self.set(key, Some(value.clone())),
            Write::Clear(key) => self.set(key, None),
            Write::ClearRange(begin, end) => {
                self.keys.extract_if(begin..end, |_, _| true).for_each(drop);
                self.cleared.insert(begin.clone(), end.clone());
            }
            Write::Atomic(op, key, operand) => self.atomic(*op, key, operand),
        }
    }

    fn set(&mut self, key: &Bytes, value: Option<Bytes>) {
        self.keys.insert(key.clone(), Own::Value(value));
    }

    fn atomic(&mut self, op: AtomicOp, key: &Bytes, operand: &Bytes) {
        match op {
            AtomicOp::SetVersionstampedKey { offset } => {
                let ends = [Versionstamp::ZERO, Versionstamp::MAX].map(|stamp| stamp.place(key, offset));
                // An offset outside of the key fails the commit.
                if let [Ok(first), Ok(last)] = ends {
                    self.unreadable.insert(first, successor(&last));
                }
            }
            AtomicOp::SetVersionstampedValue { .. } => {
                self.keys.insert(key.clone(), Own::Stamped);
            }
            _ => self.compute(op, key, operand),
        }
    }

    fn compute(&mut self, op: AtomicOp, key: &Bytes, operand: &Bytes) {
        match self.keys.get_mut(key) {
            Some(Own::Value(value)) => *value = op.apply(value.as_deref(), operand),
            Some(Own::Pending(operations)) => operations.push((op, operand.clone())),
            Some(Own::Stamped) => {}
            None if self.cleared.contains(key) => self.set(key, op.apply(None, operand)),
            None => drop(self.keys.insert(key.clone(), Own::Pending(vec![(op, operand.clone())]))),
        }
    }

    /// What is known of `key`.
    pub fn lookup(&self, key: &[u8]) -> Lookup<'_> {
        if self.unreadable.contains(key) {
            return Lookup::Unreadable;
        }
        match self.keys.get(key) {
            Some(Own::Value(value)) => Lookup::Known(value.clone()),
            Some(Own::Pending(operations)) => Lookup::OnStore(operations),
            Some(Own::Stamped) => Lookup::Unreadable,
            None if self.cleared.contains(key) => Lookup::Known(None),
            None => Lookup::OnStore(&[]),
        }
    }

    /// Whether a versionstamped key may end up in `begin..end`. That a value there will hold the versionstamp,
    /// [`Merge`] says.
    pub fn is_unreadable(&self, begin: &[u8], end: &[u8]) -> bool {
        self.unreadable.intersects(begin, end)
    }

    /// Keys written one by one, in the direction asked for.
    fn keys<'a>(
        &'a self,
        begin: &Bytes,
        end: &Bytes,
        reverse: bool,
    ) -> impl Iterator<Item = &'a Bytes> + use<'a> {
        let mut keys = self.keys.range::<Bytes, _>(begin..end).map(|(key, _)| key);
        std::iter::from_fn(move || if reverse { keys.next_back() } else { keys.next() })
    }

    /// The value of `key`, for which the store has `stored`.
    fn over(&self, key: &[u8], stored: Option<Bytes>) -> Result<Option<Bytes>, Error> {
        match self.lookup(key) {
            Lookup::Known(value) => Ok(value),
            Lookup::OnStore(operations) => Ok(AtomicOp::apply_all(operations, stored)),
            Lookup::Unreadable => Err(Error::unreadable()),
        }
    }
}

/// A page in the making: the store's rows with own writes on top.
///
/// Own clears take rows away, and a store may give fewer than it was asked for, so that one page may need several
/// of the store's.
#[derive(Debug)]
pub struct Merge {
    rest: RangeRequest,
    page: RangePage,
    complete: bool,
    /// Rows and bytes that the page can still take.
    room: (usize, usize),
    /// Rows and bytes of the store's that own clears have taken away.
    hidden: (usize, usize),
}

impl Merge {
    /// A page that has nothing yet.
    pub fn new(request: &RangeRequest) -> Self {
        let room = (request.row_limit(), request.byte_target());
        Merge { rest: request.clone(), page: RangePage::default(), complete: false, room, hidden: (0, 0) }
    }

    /// What to ask the store for next; `None` if the page is complete.
    pub fn rest(&self) -> Option<&RangeRequest> {
        (!self.complete).then_some(&self.rest)
    }

    /// Takes the store's answer to [`Merge::rest`].
    ///
    /// Fails if the page would have to show a value that will hold the versionstamp.
    pub fn add(&mut self, overlay: &Overlay, stored: RangePage) -> Result<(), Error> {
        let ((begin, end), reverse) = (self.rest.covered(&stored), self.rest.reverse);
        let mut own = overlay.keys(&begin, &end, reverse).peekable();
        let mut rows = stored.rows.into_iter().peekable();
        while let Some((key, value)) = next(&mut rows, &mut own, reverse) {
            let stored_bytes = key.len() + value.as_ref().map_or(0, Bytes::len);
            let Some(value) = overlay.over(&key, value)? else {
                self.hidden = (self.hidden.0 + 1, self.hidden.1 + stored_bytes);
                continue;
            };
            let bytes = key.len() + value.len();
            self.page.rows.push((key, value));
            // With a limit reached nothing behind the last row may count as read: who asks for one row must not
            // conflict on a second.
            if self.room.0 <= 1 || self.room.1 <= bytes {
                (self.page.more, self.complete) = (true, true);
                return Ok(());
            }
            self.room = (self.room.0 - 1, self.room.1 - bytes);
        }
        self.complete = !stored.more;
        if reverse {
            self.rest.end = begin;
        } else {
            self.rest.begin = end;
        }
        // Where own clears have hidden much they may hide more, which must not be fetched row by row.
        self.rest.limit = self.room.0.saturating_add(self.hidden.0.min(limits::PAGE_ROWS));
        self.rest.target_bytes = self.room.1.saturating_add(self.hidden.1.min(limits::PAGE_BYTES));
        Ok(())
    }

    /// The page, once it is complete.
    pub fn into_page(self) -> RangePage {
        self.page
    }
}

/// The next key of both in their order, with the value that the store has for it.
fn next<'a>(
    stored: &mut Peekable<impl Iterator<Item = Row>>,
    own: &mut Peekable<impl Iterator<Item = &'a Bytes>>,
    reverse: bool,
) -> Option<(Bytes, Option<Bytes>)> {
    let order = match (stored.peek(), own.peek()) {
        (Some((a, _)), Some(b)) if reverse => (*b).cmp(a),
        (Some((a, _)), Some(b)) => a.cmp(b),
        (Some(_), None) => Ordering::Less,
        (None, _) => Ordering::Greater,
    };
    let own = own.next_if(|_| order.is_ge());
    match stored.next_if(|_| order.is_le()) {
        Some((key, value)) => Some((key, Some(value))),
        None => Some((own?.clone(), None)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn bytes(text: &'static str) -> Bytes {
        Bytes::from_static(text.as_bytes())
    }

    fn add(key: &'static str, operand: &'static str) -> Write {
        Write::Atomic(AtomicOp::Add, bytes(key), bytes(operand))
    }

    fn stamped_value(key: &'static str) -> Write {
        Write::Atomic(AtomicOp::SetVersionstampedValue { offset: 0 }, bytes(key), bytes("0123456789"))
    }

    fn known(overlay: &Overlay, key: &[u8]) -> Option<Option<Bytes>> {
        if let Lookup::Known(value) = overlay.lookup(key) { Some(value) } else { None }
    }

    #[test]
    fn operations_build_on_what_is_known() {
        let mut overlay = Overlay::default();
        assert!(overlay.is_empty());
        overlay.apply(&add("n", "\x01"));
        overlay.apply(&add("n", "\x02"));
        assert_eq!(overlay.over(b"n", Some(bytes("\x04"))), Ok(Some(bytes("\x07"))));
        overlay.apply(&Write::ClearRange(bytes("a"), bytes("z")));
        assert_eq!(known(&overlay, b"n"), Some(None));
        overlay.apply(&add("n", "\x05"));
        assert_eq!(known(&overlay, b"n"), Some(Some(bytes("\x05"))));
        assert_eq!(known(&overlay, b"z"), None);
        assert!(!overlay.is_empty());
    }

    #[test]
    fn what_holds_the_versionstamp_is_unreadable() {
        let mut overlay = Overlay::default();
        let op = AtomicOp::SetVersionstampedKey { offset: 1 };
        overlay.apply(&Write::Atomic(op, bytes("k0123456789"), bytes("v")));
        overlay.apply(&stamped_value("v"));
        assert!(overlay.is_unreadable(b"k", b"l") && overlay.is_unreadable(b"k\xFE", b"l"));
        assert!(!overlay.is_unreadable(b"a", b"k\0") && !overlay.is_unreadable(b"l", b"z"));
        assert_eq!(overlay.over(b"k0123456789", None), Err(Error::unreadable()));
        assert_eq!(overlay.over(b"k", None), Ok(None));
        assert_eq!(overlay.over(b"v", None), Err(Error::unreadable()));
        overlay.apply(&Write::Clear(bytes("v")));
        assert_eq!(overlay.over(b"v", None), Ok(None));
    }

    type Rows = BTreeMap<Bytes, Bytes>;

    /// The answer of a store that gives `chunk` rows at a time.
    fn scan(rows: &Rows, request: &RangeRequest, chunk: usize) -> RangePage {
        let range = rows.range::<Bytes, _>(&request.begin..&request.end);
        let range = range.map(|(key, value)| (key.clone(), value.clone()));
        let most = chunk.min(request.row_limit());
        let rows: Vec<Row> =
            if request.reverse { range.rev().take(most).collect() } else { range.take(most).collect() };
        RangePage { more: rows.len() == most, rows }
    }

    fn page(
        rows: &Rows,
        overlay: &Overlay,
        request: &RangeRequest,
        chunk: usize,
    ) -> Result<RangePage, Error> {
        let mut merge = Merge::new(request);
        while let Some(rest) = merge.rest() {
            merge.add(overlay, scan(rows, rest, chunk))?;
        }
        Ok(merge.into_page())
    }

    #[test]
    fn a_page_that_ends_before_a_versionstamp_can_be_read() {
        let mut overlay = Overlay::default();
        overlay.apply(&Write::Set(bytes("a"), bytes("1")));
        overlay.apply(&stamped_value("b"));
        overlay.apply(&Write::Set(bytes("c"), bytes("3")));
        let mut request = RangeRequest { limit: 1, ..RangeRequest::new("a", "z") };
        let read = |request: &RangeRequest| page(&Rows::new(), &overlay, request, 10);
        assert_eq!(read(&request).unwrap(), RangePage { rows: vec![(bytes("a"), bytes("1"))], more: true });
        request.reverse = true;
        assert_eq!(read(&request).unwrap().rows, [(bytes("c"), bytes("3"))]);
        request.limit = 2;
        assert_eq!(read(&request), Err(Error::unreadable()));
    }

    #[test]
    fn what_was_cleared_is_passed_over_in_few_steps() {
        let key = |n: u32| Bytes::copy_from_slice(&n.to_be_bytes());
        let rows: Rows = (0..1_000).map(|n| (key(n), key(n))).collect();
        let mut overlay = Overlay::default();
        overlay.apply(&Write::ClearRange(key(0), key(999)));
        let mut merge = Merge::new(&RangeRequest { limit: 1, ..RangeRequest::new(key(0), key(2_000)) });
        let mut steps = 0;
        while let Some(rest) = merge.rest() {
            let stored = scan(&rows, rest, usize::MAX);
            merge.add(&overlay, stored).unwrap();
            steps += 1;
        }
        assert_eq!(merge.into_page().rows, [(key(999), key(999))]);
        assert!(steps < 15, "{steps}");
    }

    fn one(byte: u8) -> Bytes {
        vec![byte].into()
    }

    fn write() -> impl Strategy<Value = Write> {
        prop_oneof![
            (0u8..30, any::<u8>()).prop_map(|(key, value)| Write::Set(one(key), one(value))),
            (0u8..30).prop_map(|key| Write::Clear(one(key))),
            (0u8..30, 0u8..30).prop_map(|(a, b)| Write::ClearRange(one(a.min(b)), one(a.max(b)))),
            (0u8..30, any::<u8>()).prop_map(|(key, n)| Write::Atomic(AtomicOp::Add, one(key), one(n))),
        ]
    }

    /// Does `write` to a plain map.
    fn apply(rows: &mut Rows, write: &Write) {
        match write {
            Write::Set(key, value) => drop(rows.insert(key.clone(), value.clone())),
            Write::Clear(key) => drop(rows.remove(key)),
            Write::ClearRange(begin, end) => rows.retain(|key, _| key < begin || key >= end),
            Write::Atomic(_, key, n) => {
                let sum = rows.get(key).map_or(0, |value| value[0]).wrapping_add(n[0]);
                rows.insert(key.clone(), one(sum));
            }
        }
    }

    proptest! {
        /// Against a plain map with the same writes done to it.
        #[test]
        fn pages_show_the_store_with_own_writes_on_top(
            stored in prop::collection::btree_set(0u8..30, 0..30),
            writes in prop::collection::vec(write(), 0..20),
            (limit, target_bytes, chunk) in (1usize..6, 1usize..12, 1usize..8),
            reverse in any::<bool>(),
        ) {
            let stored: Rows = stored.iter().map(|key| (one(*key), one(*key))).collect();
            let (mut expected, mut overlay) = (stored.clone(), Overlay::default());
            writes.iter().for_each(|write| apply(&mut expected, write));
            writes.iter().for_each(|write| overlay.apply(write));
            let range = expected.range(one(3)..one(25));
            let mut expected: Vec<Row> = range.map(|(key, value)| (key.clone(), value.clone())).collect();
            if reverse {
                expected.reverse();
            }
            let mut request = RangeRequest::new(one(3), one(25));
            (request.limit, request.target_bytes, request.reverse) = (limit, target_bytes, reverse);
            let (mut rows, mut more) = (Vec::new(), true);
            while more {
                let page = page(&stored, &overlay, &request, chunk).unwrap();
                // A row has two bytes.
                let most = limit.min(target_bytes.div_ceil(2));
                prop_assert!(page.rows.len() == most || !page.more && page.rows.len() < most);
                (request.begin, request.end) = match request.covered(&page) {
                    (begin, _) if reverse => (request.begin, begin),
                    (_, end) => (end, request.end),
                };
                more = page.more;
                rows.extend(page.rows);
                prop_assert!(rows.len() <= expected.len());
            }
            prop_assert_eq!(rows, expected);
        }
    }
}
