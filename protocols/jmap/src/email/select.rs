//! Which emails of a part of a catalogue a filter holds for: a column at a time, and sets put together.

use jmap_proto::filter::{Filter, Operator};
use mail::{Part, RowSet};
use schema::{EmailId, Flags};

use super::filter::Condition;
use super::look::Known;
use super::smime::Findings;

/// The rows of a part that a filter holds for. Conditions on threads look at all rows ([`super::filter::is_of_itself`]): then
/// the part is better all of them.
pub(crate) fn matching(part: &Part<'_>, filter: Option<&Filter<Condition>>, known: &Known) -> RowSet {
    match filter {
        Some(filter) => evaluate(part, filter, &mut known.texts.iter(), known),
        None => RowSet::all(part.len()),
    }
}

/// The texts of conditions that are not met yet.
type Texts<'k> = std::slice::Iter<'k, Vec<EmailId>>;

fn evaluate(part: &Part<'_>, filter: &Filter<Condition>, texts: &mut Texts<'_>, known: &Known) -> RowSet {
    match filter {
        Filter::Condition(one) => condition(part, one, texts, known),
        Filter::Operator(operator, parts) => {
            // Each is met, so that texts are counted off.
            let sets = parts.iter().map(|one| evaluate(part, one, texts, known));
            match operator {
                Operator::And => sets.fold(RowSet::all(part.len()), |all, set| all.and(&set)),
                Operator::Or => sets.fold(RowSet::none(part.len()), |all, set| all.or(&set)),
                Operator::Not => sets.fold(RowSet::none(part.len()), |all, set| all.or(&set)).inverted(),
            }
        }
    }
}

fn condition(part: &Part<'_>, condition: &Condition, texts: &mut Texts<'_>, known: &Known) -> RowSet {
    match condition {
        Condition::All(all) => all
            .iter()
            .map(|one| self::condition(part, one, texts, known))
            .fold(RowSet::all(part.len()), |all, set| all.and(&set)),
        Condition::Text(_) => {
            let found = texts.next().map(Vec::as_slice).unwrap_or_default();
            among(part, |id| found.binary_search(id).is_ok(), found.first(), found.last())
        }
        Condition::HasAttachment(wanted) => {
            RowSet::of(part.traits().unwrap_or_default(), |traits| traits.attached == *wanted)
        }
        Condition::Smime(wanted) => signed(part, known, *wanted, |_| true),
        Condition::Verified(wanted) => signed(part, known, *wanted, |found| found.now),
        Condition::VerifiedAtDelivery(wanted) => signed(part, known, *wanted, |found| found.at_delivery),
        of_rows => of_row(part, of_rows),
    }
}

/// Emails of S/MIME of which something is known, or all others.
fn signed(part: &Part<'_>, known: &Known, wanted: bool, holds: impl Fn(&Findings) -> bool) -> RowSet {
    let (first, last) = (known.signed.keys().next(), known.signed.keys().next_back());
    let set = among(part, |id| known.signed.get(id).is_some_and(&holds), first, last);
    if wanted { set } else { set.inverted() }
}

/// Emails of a set, by its first and last.
pub(crate) fn among(
    part: &Part<'_>,
    has: impl Fn(&EmailId) -> bool,
    first: Option<&EmailId>,
    last: Option<&EmailId>,
) -> RowSet {
    let (Some(first), Some(last)) = (first, last) else { return RowSet::none(part.len()) };
    RowSet::of(part.ids(), |id| first <= id && id <= last && has(id))
}

/// A condition that the catalogue knows all about.
fn of_row(part: &Part<'_>, condition: &Condition) -> RowSet {
    let length = part.len();
    let before = |time: i64| part.received().partition_point(|received| *received < time);
    match condition {
        Condition::In(id) => part.in_mailbox(*id),
        Condition::InOther(ids) => part.outside(ids),
        Condition::Before(time) => RowSet::span(length, 0, before(*time)),
        Condition::After(time) => RowSet::span(length, before(*time), length),
        Condition::MinSize(size) => RowSet::of(part.sizes(), |own| u64::from(*own) >= *size),
        Condition::MaxSize(size) => RowSet::of(part.sizes(), |own| u64::from(*own) < *size),
        Condition::Has(wanted) => has(part, wanted),
        Condition::HasNot(wanted) => has(part, wanted).inverted(),
        Condition::AllInThread(wanted) => all_in_thread(part, wanted),
        Condition::SomeInThread(wanted) => some_in_thread(part, wanted),
        Condition::NoneInThread(wanted) => some_in_thread(part, wanted).inverted(),
        // What is left is what nothing is: the others are asked elsewhere.
        _ => RowSet::none(length),
    }
}

/// Emails that have these flags.
pub(crate) fn has(part: &Part<'_>, wanted: &Flags) -> RowSet {
    part.with_flags(|flags| wanted.difference(flags).is_empty())
}

/// Emails in whose thread one at least has these flags.
pub(crate) fn some_in_thread(part: &Part<'_>, wanted: &Flags) -> RowSet {
    of_threads(part, |all| has(all, wanted))
}

/// Emails in whose thread all have these flags.
pub(crate) fn all_in_thread(part: &Part<'_>, wanted: &Flags) -> RowSet {
    of_threads(part, |all| has(all, wanted).inverted()).inverted()
}

/// The emails of a part that are in a thread with some of all emails.
fn of_threads(part: &Part<'_>, some: impl FnOnce(&Part<'_>) -> RowSet) -> RowSet {
    let all = part.catalog().all();
    let mut threads = RowSet::none(part.catalog().thread_count());
    for row in some(&all).iter() {
        threads.insert(all.threads()[row] as usize);
    }
    RowSet::of(part.threads(), |thread| threads.contains(*thread as usize))
}

/// Rows that a filter may hold for, before messages are asked.
pub(crate) fn at_most(part: &Part<'_>, filter: &Filter<Condition>) -> RowSet {
    let all = || RowSet::all(part.len());
    match filter {
        Filter::Condition(one) => most_of(part, one),
        Filter::Operator(Operator::And, parts) => {
            parts.iter().fold(all(), |most, one| most.and(&at_most(part, one)))
        }
        Filter::Operator(Operator::Or, parts) => {
            parts.iter().fold(RowSet::none(part.len()), |most, one| most.or(&at_most(part, one)))
        }
        Filter::Operator(Operator::Not, _) => all(),
    }
}

fn most_of(part: &Part<'_>, condition: &Condition) -> RowSet {
    match condition {
        Condition::Text(_)
        | Condition::HasAttachment(_)
        | Condition::Smime(_)
        | Condition::Verified(_)
        | Condition::VerifiedAtDelivery(_) => RowSet::all(part.len()),
        Condition::All(all) => {
            all.iter().fold(RowSet::all(part.len()), |most, one| most.and(&most_of(part, one)))
        }
        of_rows => of_row(part, of_rows),
    }
}
