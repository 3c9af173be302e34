//! Which emails of a catalogue a filter holds for: a column at a time, and sets put together.

use jmap_proto::filter::{Filter, Operator};
use mail::{Catalog, RowSet};
use schema::{EmailId, Flags};

use super::filter::Condition;
use super::look::Known;
use super::smime::Findings;

/// The rows that a filter holds for.
pub(crate) fn matching(catalog: &Catalog, filter: Option<&Filter<Condition>>, known: &Known) -> RowSet {
    match filter {
        Some(filter) => evaluate(catalog, filter, &mut known.texts.iter(), known),
        None => RowSet::all(catalog.len()),
    }
}

/// The texts of conditions that are not met yet.
type Texts<'k> = std::slice::Iter<'k, Vec<EmailId>>;

fn evaluate(catalog: &Catalog, filter: &Filter<Condition>, texts: &mut Texts<'_>, known: &Known) -> RowSet {
    match filter {
        Filter::Condition(one) => condition(catalog, one, texts, known),
        Filter::Operator(operator, parts) => {
            // Each part is met, so that texts are counted off.
            let sets = parts.iter().map(|part| evaluate(catalog, part, texts, known));
            match operator {
                Operator::And => sets.fold(RowSet::all(catalog.len()), |all, set| all.and(&set)),
                Operator::Or => sets.fold(RowSet::none(catalog.len()), |all, set| all.or(&set)),
                Operator::Not => sets.fold(RowSet::none(catalog.len()), |all, set| all.or(&set)).inverted(),
            }
        }
    }
}

fn condition(catalog: &Catalog, condition: &Condition, texts: &mut Texts<'_>, known: &Known) -> RowSet {
    match condition {
        Condition::All(all) => all
            .iter()
            .map(|one| self::condition(catalog, one, texts, known))
            .fold(RowSet::all(catalog.len()), |all, set| all.and(&set)),
        Condition::Text(_) => {
            let found = texts.next().map(Vec::as_slice).unwrap_or_default();
            among(catalog, |id| found.binary_search(id).is_ok(), found.first(), found.last())
        }
        Condition::HasAttachment(wanted) => {
            RowSet::of(catalog.traits().unwrap_or_default(), |traits| traits.attached == *wanted)
        }
        Condition::Smime(wanted) => signed(catalog, known, *wanted, |_| true),
        Condition::Verified(wanted) => signed(catalog, known, *wanted, |found| found.now),
        Condition::VerifiedAtDelivery(wanted) => signed(catalog, known, *wanted, |found| found.at_delivery),
        of_rows => of_row(catalog, of_rows),
    }
}

/// Emails of S/MIME of which something is known, or all others.
fn signed(catalog: &Catalog, known: &Known, wanted: bool, holds: impl Fn(&Findings) -> bool) -> RowSet {
    let (first, last) = (known.signed.keys().next(), known.signed.keys().next_back());
    let set = among(catalog, |id| known.signed.get(id).is_some_and(&holds), first, last);
    if wanted { set } else { set.inverted() }
}

/// Emails of a set, by its first and last.
pub(crate) fn among(
    catalog: &Catalog,
    has: impl Fn(&EmailId) -> bool,
    first: Option<&EmailId>,
    last: Option<&EmailId>,
) -> RowSet {
    let (Some(first), Some(last)) = (first, last) else { return RowSet::none(catalog.len()) };
    RowSet::of(catalog.ids(), |id| first <= id && id <= last && has(id))
}

/// A condition that the catalogue knows all about.
fn of_row(catalog: &Catalog, condition: &Condition) -> RowSet {
    let length = catalog.len();
    let before = |time: i64| catalog.received().partition_point(|received| *received < time);
    match condition {
        Condition::In(id) => catalog.in_mailbox(*id),
        Condition::InOther(ids) => catalog.outside(ids),
        Condition::Before(time) => RowSet::span(length, 0, before(*time)),
        Condition::After(time) => RowSet::span(length, before(*time), length),
        Condition::MinSize(size) => RowSet::of(catalog.sizes(), |own| u64::from(*own) >= *size),
        Condition::MaxSize(size) => RowSet::of(catalog.sizes(), |own| u64::from(*own) < *size),
        Condition::Has(wanted) => has(catalog, wanted),
        Condition::HasNot(wanted) => has(catalog, wanted).inverted(),
        Condition::AllInThread(wanted) => all_in_thread(catalog, wanted),
        Condition::SomeInThread(wanted) => some_in_thread(catalog, wanted),
        Condition::NoneInThread(wanted) => some_in_thread(catalog, wanted).inverted(),
        // What is left is what nothing is: the others are asked elsewhere.
        _ => RowSet::none(length),
    }
}

/// Emails that have these flags.
pub(crate) fn has(catalog: &Catalog, wanted: &Flags) -> RowSet {
    catalog.with_flags(|flags| wanted.difference(flags).is_empty())
}

/// Emails in whose thread one at least has these flags.
pub(crate) fn some_in_thread(catalog: &Catalog, wanted: &Flags) -> RowSet {
    of_threads(catalog, &has(catalog, wanted))
}

/// Emails in whose thread all have these flags.
pub(crate) fn all_in_thread(catalog: &Catalog, wanted: &Flags) -> RowSet {
    of_threads(catalog, &has(catalog, wanted).inverted()).inverted()
}

/// All emails of the threads that some are in.
pub(crate) fn of_threads(catalog: &Catalog, some: &RowSet) -> RowSet {
    let mut threads = RowSet::none(catalog.thread_count());
    for row in some.iter() {
        threads.insert(catalog.threads()[row] as usize);
    }
    RowSet::of(catalog.threads(), |thread| threads.contains(*thread as usize))
}

/// Rows that a filter may hold for, before messages are asked.
pub(crate) fn at_most(catalog: &Catalog, filter: &Filter<Condition>) -> RowSet {
    let all = || RowSet::all(catalog.len());
    match filter {
        Filter::Condition(one) => most_of(catalog, one),
        Filter::Operator(Operator::And, parts) => {
            parts.iter().fold(all(), |most, part| most.and(&at_most(catalog, part)))
        }
        Filter::Operator(Operator::Or, parts) => {
            parts.iter().fold(RowSet::none(catalog.len()), |most, part| most.or(&at_most(catalog, part)))
        }
        Filter::Operator(Operator::Not, _) => all(),
    }
}

fn most_of(catalog: &Catalog, condition: &Condition) -> RowSet {
    match condition {
        Condition::Text(_)
        | Condition::HasAttachment(_)
        | Condition::Smime(_)
        | Condition::Verified(_)
        | Condition::VerifiedAtDelivery(_) => RowSet::all(catalog.len()),
        Condition::All(all) => {
            all.iter().fold(RowSet::all(catalog.len()), |most, one| most.and(&most_of(catalog, one)))
        }
        of_rows => of_row(catalog, of_rows),
    }
}
