//! A needle as a row of units, the first and the last of which may be a part of the text's.

use crate::analysis::{Unit, units};

/// One place in the row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Slot {
    /// A run of letters and digits; where an end is open, the text's may go on there.
    Word { text: String, open_left: bool, open_right: bool },
    /// Two characters of a dense run, or its last one.
    Pair(String),
    /// A character of a dense run and whatever follows.
    PairWith(String),
    /// Marks: at least or exactly as many, with blanks around them where that is known.
    Mark { mark: char, count: usize, exactly: bool, before: Option<bool>, after: Option<bool> },
    /// A blank beside a dense run.
    Blank,
}

/// What to look for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Pattern {
    /// The empty needle: in every value.
    Empty,
    /// Nothing the index knows: a blank.
    Unknown,
    /// A row of neighbours. `loose`: what matches has to be looked at, as blanks at the ends of the needle can not be
    /// seen. `blank_first`: it begins with a blank, which the value of a header field does not have though its line
    /// does.
    Row { slots: Vec<Slot>, loose: bool, blank_first: bool },
}

impl Pattern {
    /// Of a folded needle.
    pub(crate) fn of(needle: &str) -> Pattern {
        if needle.is_empty() {
            return Pattern::Empty;
        }
        let found: Vec<Unit<'_>> = units(needle).collect();
        let (Some(first), Some(last)) = (found.first(), found.last()) else { return Pattern::Unknown };
        let is_mark = |unit: &Unit<'_>| matches!(unit, Unit::Mark { .. });
        let (left, right) = (!needle.starts_with(' '), !needle.ends_with(' '));
        let loose = (!left && !is_mark(first)) || (!right && !is_mark(last));
        let mut slots = Vec::new();
        for (at, unit) in found.iter().enumerate() {
            let (open_left, open_right) = (left && at == 0, right && at + 1 == found.len());
            push(&mut slots, unit, open_left, open_right);
        }
        Pattern::Row { slots, loose, blank_first: !left }
    }

    /// Of folded text that stands by itself: no word goes on at its ends.
    pub(crate) fn whole(text: &str) -> Pattern {
        let mut slots = Vec::new();
        units(text).for_each(|unit| push(&mut slots, &unit, false, false));
        if slots.is_empty() {
            Pattern::Empty
        } else {
            Pattern::Row { slots, loose: false, blank_first: false }
        }
    }
}

fn push(slots: &mut Vec<Slot>, unit: &Unit<'_>, open_left: bool, open_right: bool) {
    match *unit {
        Unit::Word(text) => slots.push(Slot::Word { text: text.to_owned(), open_left, open_right }),
        Unit::Dense(run) => dense(slots, run, open_right),
        Unit::Mark { mark, count, before, after } => slots.push(Slot::Mark {
            mark,
            count,
            exactly: !open_left && !open_right,
            before: (!open_left).then_some(before),
            after: (!open_right).then_some(after),
        }),
        Unit::Blank => slots.push(Slot::Blank),
    }
}

/// Neighbouring characters; the last one closes the run, unless the text's may go on.
fn dense(slots: &mut Vec<Slot>, run: &str, open_right: bool) {
    let chars: Vec<char> = run.chars().collect();
    slots.extend(chars.windows(2).map(|pair| Slot::Pair(pair.iter().collect())));
    let last = chars.last().map(char::to_string).unwrap_or_default();
    match (open_right, chars.len()) {
        (true, 1) => slots.push(Slot::PairWith(last)),
        (true, _) => {}
        (false, _) => slots.push(Slot::Pair(last)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(needle: &str) -> (Vec<Slot>, bool) {
        match Pattern::of(needle) {
            Pattern::Row { slots, loose, .. } => (slots, loose),
            other => panic!("{other:?}"),
        }
    }

    fn word(text: &str, open_left: bool, open_right: bool) -> Slot {
        Slot::Word { text: text.to_owned(), open_left, open_right }
    }

    #[test]
    fn only_the_ends_are_open() {
        assert_eq!(row("ab"), (vec![word("ab", true, true)], false));
        let expected = vec![word("a", true, false), word("b", false, false), word("c", false, true)];
        assert_eq!(row("a b c"), (expected, false));
        assert_eq!(row(" ab"), (vec![word("ab", false, true)], true));
        assert_eq!((Pattern::of(""), Pattern::of(" ")), (Pattern::Empty, Pattern::Unknown));
    }

    #[test]
    fn marks_know_the_blanks_inside_the_needle() {
        let mark = |count, exactly, before, after| Slot::Mark { mark: '-', count, exactly, before, after };
        assert_eq!(row("--"), (vec![mark(2, false, None, None)], false));
        assert_eq!(row(" -- "), (vec![mark(2, true, Some(true), Some(true))], false));
        assert_eq!(
            row("a- b").0,
            [word("a", true, false), mark(1, true, Some(false), Some(true)), word("b", false, true)]
        );
    }

    #[test]
    fn dense_runs_are_pairs() {
        let pair = |text: &str| Slot::Pair(text.to_owned());
        assert_eq!(row("日本語").0, [pair("日本"), pair("本語")]);
        assert_eq!(row("日").0, [Slot::PairWith("日".to_owned())]);
        assert_eq!(row("日本x").0, [pair("日本"), pair("本"), word("x", false, true)]);
    }
}
