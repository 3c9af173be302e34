//! A search program as a filter.

use imap_proto::command::{Charset, SearchKey};
use imap_proto::datetime::Date;
use imap_proto::flag::Flag;
use imap_proto::render::Code;
use mail::UidSet;
use query::{Field, Filter, Needle};
use schema::{EmailId, SystemFlags, ThreadId};

use crate::flags;
use crate::flow::Selected;
use crate::reply::{Reply, Stop};

const DAY: i64 = 86_400;

/// RFC 9051 §6.4.4: a charset that is not known is refused with those that are.
pub(crate) fn check_charset(charset: &Charset) -> Result<(), Stop> {
    match charset {
        Charset::Utf8 => Ok(()),
        Charset::Unsupported(_) => Err(Reply::no("this charset is not known").with(Code::BadCharset).into()),
    }
}

/// The filter of a search program. `now` is in seconds since 1970.
pub(crate) fn filter(selected: &Selected, key: &SearchKey, now: i64) -> Result<Filter, Stop> {
    let each =
        |keys: &[SearchKey]| keys.iter().map(|k| filter(selected, k, now)).collect::<Result<Vec<_>, _>>();
    let header = |field, text: &str| Filter::Header(field, Needle::new(text));
    Ok(match key {
        SearchKey::All => Filter::All,
        SearchKey::And(keys) => Filter::And(each(keys)?),
        SearchKey::Or(a, b) => Filter::Or(vec![filter(selected, a, now)?, filter(selected, b, now)?]),
        SearchKey::Not(inner) => filter(selected, inner, now)?.negated(),
        SearchKey::Fuzzy(inner) => fuzzy(filter(selected, inner, now)?),
        SearchKey::Sequence(set) => Filter::Uids(numbered(selected, set, false)),
        SearchKey::Uid(set) => Filter::Uids(numbered(selected, set, true)),
        SearchKey::Flag(flag) => flag_filter(flag)?,
        SearchKey::Before(day) => Filter::Arrived(i64::MIN..start(*day)),
        SearchKey::On(day) => Filter::Arrived(start(*day)..start(*day) + DAY),
        SearchKey::Since(day) => Filter::Arrived(start(*day)..i64::MAX),
        SearchKey::SentBefore(day) => Filter::Sent(i64::MIN..start(*day)),
        SearchKey::SentOn(day) => Filter::Sent(start(*day)..start(*day) + DAY),
        SearchKey::SentSince(day) => Filter::Sent(start(*day)..i64::MAX),
        SearchKey::SavedBefore(day) => Filter::Saved(i64::MIN..start(*day)),
        SearchKey::SavedOn(day) => Filter::Saved(start(*day)..start(*day) + DAY),
        SearchKey::SavedSince(day) => Filter::Saved(start(*day)..i64::MAX),
        // RFC 8514 §4.3: every mailbox keeps it.
        SearchKey::SaveDateSupported => Filter::All,
        // RFC 5032 §3
        SearchKey::Older(seconds) => {
            Filter::Arrived(i64::MIN..(now - i64::from(seconds.get())).saturating_add(1))
        }
        SearchKey::Younger(seconds) => Filter::Arrived(now - i64::from(seconds.get())..i64::MAX),
        SearchKey::Larger(size) => Filter::Larger(*size),
        SearchKey::Smaller(size) => Filter::Smaller(*size),
        SearchKey::Bcc(text) => header(Field::Bcc, text),
        SearchKey::Cc(text) => header(Field::Cc, text),
        SearchKey::From(text) => header(Field::From, text),
        SearchKey::To(text) => header(Field::To, text),
        SearchKey::Subject(text) => header(Field::Subject, text),
        SearchKey::Header(name, text) => header(Field::Named(name.clone()), text),
        SearchKey::Body(text) => Filter::Body(Needle::new(text)),
        SearchKey::Text(text) => Filter::Text(Needle::new(text)),
        SearchKey::ModSeq(modseq) => Filter::ModSeq(*modseq),
        SearchKey::EmailId(id) => id.parse::<EmailId>().map_or_else(|_| Filter::none(), Filter::Email),
        SearchKey::ThreadId(id) => id.parse::<ThreadId>().map_or_else(|_| Filter::none(), Filter::Thread),
    })
}

/// RFC 6203 §3: where words may be anywhere, those in any of their forms are found; a text of one field is as it is.
fn fuzzy(filter: Filter) -> Filter {
    let each = |parts: Vec<Filter>| parts.into_iter().map(fuzzy).collect();
    match filter {
        Filter::And(parts) => Filter::And(each(parts)),
        Filter::Or(parts) => Filter::Or(each(parts)),
        Filter::Not(inner) => fuzzy(*inner).negated(),
        Filter::Text(ref needle) | Filter::Body(ref needle) if !needle.as_str().is_empty() => {
            Filter::Fuzzy(needle.as_str().to_owned(), Box::new(filter))
        }
        other => other,
    }
}

/// RFC 9051 §6.4.4: numbers that no message has match nothing. UIDs in between that are not in the view may be in
/// the set: the search is within the view.
fn numbered(selected: &Selected, set: &imap_proto::sequence::SequenceSet, uid: bool) -> UidSet {
    if set.is_saved() {
        return selected.saved.clone();
    }
    selected.view.spanned(set, uid)
}

fn flag_filter(flag: &Flag) -> Result<Filter, Stop> {
    Ok(match flag {
        Flag::Keyword(name) => Filter::Keyword(flags::keyword(name)?),
        // RFC 9051 appendix E: nothing is ever recent here.
        Flag::Recent | Flag::Unknown(_) => Filter::none(),
        Flag::Seen => Filter::System(SystemFlags::SEEN),
        Flag::Answered => Filter::System(SystemFlags::ANSWERED),
        Flag::Flagged => Filter::System(SystemFlags::FLAGGED),
        Flag::Deleted => Filter::System(SystemFlags::DELETED),
        Flag::Draft => Filter::System(SystemFlags::DRAFT),
    })
}

/// The first second of a day, in UTC as INTERNALDATE is told.
fn start(day: Date) -> i64 {
    i64::from(day.days_since_epoch()) * DAY
}
