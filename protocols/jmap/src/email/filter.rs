//! Conditions of a query (RFC 8621 §4.4.1).

use std::collections::BTreeSet;

use jmap_proto::date::parse_utc;
use jmap_proto::filter::{Filter, Operator};
use jmap_proto::{MethodError, Object};
use query::{Field, Needle};
use schema::{Flags, MailboxId};
use serde_json::Value;

use super::{keywords, smime};
use crate::call::Call;

/// What an email may have to be.
#[derive(Debug, Clone)]
pub(crate) enum Condition {
    In(MailboxId),
    /// In a mailbox besides these.
    InOther(BTreeSet<MailboxId>),
    /// Received before, in seconds since the epoch.
    Before(i64),
    /// Received then or later.
    After(i64),
    /// So large at least.
    MinSize(u64),
    /// Smaller than this.
    MaxSize(u64),
    Has(Flags),
    HasNot(Flags),
    AllInThread(Flags),
    SomeInThread(Flags),
    NoneInThread(Flags),
    HasAttachment(bool),
    /// Of S/MIME, or not (RFC 9219 §4.2).
    Smime(bool),
    /// With a signature that is verified, or not.
    Verified(bool),
    /// With one that was verified when it came, or not.
    VerifiedAtDelivery(bool),
    /// A text is in a field or a body: what messages are asked for one by one.
    Text(query::Filter),
    /// All of these.
    All(Vec<Condition>),
    /// What nothing is.
    Nothing,
}

/// Reads a condition.
pub(crate) fn condition(call: &Call, members: Object) -> Result<Condition, MethodError> {
    let mut all = Vec::with_capacity(members.len());
    for (name, value) in members {
        all.push(one(call, &name, &value)?);
    }
    Ok(Condition::All(all))
}

fn one(call: &Call, name: &str, value: &Value) -> Result<Condition, MethodError> {
    let wrong = || MethodError::invalid("filter", "a value of another kind is wanted");
    let text = || value.as_str().ok_or_else(wrong);
    let date = || text().and_then(|text| parse_utc(text).ok_or_else(wrong)).map(|ms| ms.div_euclid(1_000));
    let yes = || value.as_bool().ok_or_else(wrong);
    let flags = || text().and_then(|text| keywords::flag(text).ok_or_else(wrong));
    let size =
        || jmap_proto::arguments::int(value).and_then(|size| u64::try_from(size).ok()).ok_or_else(wrong);
    let all =
        |make: &dyn Fn(Needle) -> query::Filter| text().map(|text| Condition::Text(all_of_text(text, make)));
    let field = |field: Field| all(&|needle| query::Filter::Header(field.clone(), needle));
    Ok(match name {
        "inMailbox" => keywords::mailbox(call, text()?).map_or(Condition::Nothing, Condition::In),
        "inMailboxOtherThan" => {
            let ids = jmap_proto::arguments::texts(value.clone()).ok_or_else(wrong)?;
            Condition::InOther(ids.iter().filter_map(|id| keywords::mailbox(call, id)).collect())
        }
        "before" => Condition::Before(date()?),
        "after" => Condition::After(date()?),
        "minSize" => Condition::MinSize(size()?),
        "maxSize" => Condition::MaxSize(size()?),
        "hasKeyword" => Condition::Has(flags()?),
        "notKeyword" => Condition::HasNot(flags()?),
        "allInThreadHaveKeyword" => Condition::AllInThread(flags()?),
        "someInThreadHaveKeyword" => Condition::SomeInThread(flags()?),
        "noneInThreadHaveKeyword" => Condition::NoneInThread(flags()?),
        "hasAttachment" => Condition::HasAttachment(yes()?),
        "hasSmime" if smime::is_used(call) => Condition::Smime(yes()?),
        "hasVerifiedSmime" if smime::is_used(call) => Condition::Verified(yes()?),
        "hasVerifiedSmimeAtDelivery" if smime::is_used(call) => Condition::VerifiedAtDelivery(yes()?),
        // RFC 8621 §4.4.1: alt and title of HTML are searched.
        "text" => all(&query::Filter::TextOrHint)?,
        "body" => all(&query::Filter::BodyOrHint)?,
        "from" => field(Field::From)?,
        "to" => field(Field::To)?,
        "cc" => field(Field::Cc)?,
        "bcc" => field(Field::Bcc)?,
        "subject" => field(Field::Subject)?,
        "header" => header(value).ok_or_else(wrong)?,
        _ => return Err(MethodError::UnsupportedFilter),
    })
}

/// RFC 8621 §4.4.1: words and phrases of a text, all of which are to be found.
fn all_of_text(text: &str, make: &dyn Fn(Needle) -> query::Filter) -> query::Filter {
    let tokens = query::tokens(text);
    match tokens.as_slice() {
        [] => make(Needle::new("")),
        [one] => make(Needle::new(one)),
        many => query::Filter::And(many.iter().map(|token| make(Needle::new(token))).collect()),
    }
}

/// RFC 8621 §4.4.1: a name, and perhaps a text that is in the field.
fn header(value: &Value) -> Option<Condition> {
    let parts = jmap_proto::arguments::texts(value.clone())?;
    let (name, text) = match parts.as_slice() {
        [name] => (name, ""),
        [name, text] => (name, text.as_str()),
        _ => return None,
    };
    let filter = all_of_text(text, &|needle| query::Filter::Header(Field::Named(name.clone()), needle));
    jmap_proto::mail::header::is_field_name(name).then_some(Condition::Text(filter))
}

/// Whether place and match of an email follow from itself: other emails of its thread do not decide.
pub(crate) fn is_of_itself(filter: &Filter<Condition>) -> bool {
    fn of_itself(condition: &Condition) -> bool {
        match condition {
            Condition::AllInThread(_) | Condition::SomeInThread(_) | Condition::NoneInThread(_) => false,
            Condition::All(all) => all.iter().all(of_itself),
            _ => true,
        }
    }
    filter.conditions().into_iter().all(of_itself)
}

/// Whether it asks only what never changes of an email (RFC 8620 §5.6).
pub(crate) fn is_fixed(filter: &Filter<Condition>) -> bool {
    fn fixed(condition: &Condition) -> bool {
        match condition {
            Condition::Before(_)
            | Condition::After(_)
            | Condition::MinSize(_)
            | Condition::MaxSize(_)
            | Condition::HasAttachment(_)
            | Condition::Smime(_)
            | Condition::Text(_)
            | Condition::Nothing => true,
            Condition::All(all) => all.iter().all(fixed),
            _ => false,
        }
    }
    filter.conditions().into_iter().all(fixed)
}

/// A text of a filter.
pub(crate) struct Text<'f> {
    pub(crate) filter: &'f query::Filter,
    /// Whether what has it is wanted, as opposed to what has not.
    pub(crate) wanted: bool,
}

/// The texts of a filter, in the order of its conditions.
pub(crate) fn texts(filter: &Filter<Condition>) -> Vec<Text<'_>> {
    let mut texts = Vec::new();
    collect(filter, true, &mut texts);
    texts
}

fn collect<'f>(filter: &'f Filter<Condition>, wanted: bool, texts: &mut Vec<Text<'f>>) {
    match filter {
        Filter::Operator(operator, parts) => {
            let wanted = wanted != (*operator == Operator::Not);
            parts.iter().for_each(|part| collect(part, wanted, texts));
        }
        Filter::Condition(condition) => of_condition(condition, wanted, texts),
    }
}

fn of_condition<'f>(condition: &'f Condition, wanted: bool, texts: &mut Vec<Text<'f>>) {
    match condition {
        Condition::Text(filter) => texts.push(Text { filter, wanted }),
        Condition::All(all) => all.iter().for_each(|one| of_condition(one, wanted, texts)),
        _ => {}
    }
}

impl Text<'_> {
    /// Its words, where they may be anywhere in an email, or in its body.
    pub(crate) fn words(&self) -> Option<String> {
        fn words(filter: &query::Filter) -> Option<String> {
            match filter {
                query::Filter::TextOrHint(needle) | query::Filter::BodyOrHint(needle) => {
                    Some(needle.as_str().to_owned())
                }
                query::Filter::And(parts) => {
                    Some(parts.iter().map(words).collect::<Option<Vec<_>>>()?.join(" "))
                }
                _ => None,
            }
        }
        words(self.filter).filter(|words| self.wanted && !words.is_empty())
    }
}

/// What messages are asked besides whether they have texts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Asked {
    /// Whether something is attached.
    pub(crate) attachments: bool,
    /// Whether they are of S/MIME.
    pub(crate) smime: bool,
    /// Whether their signatures are verified.
    pub(crate) signatures: bool,
}

/// What a filter asks messages.
pub(crate) fn asked(filter: &Filter<Condition>) -> Asked {
    fn ask(condition: &Condition, asked: &mut Asked) {
        match condition {
            Condition::HasAttachment(_) => asked.attachments = true,
            Condition::Smime(_) => asked.smime = true,
            Condition::Verified(_) | Condition::VerifiedAtDelivery(_) => {
                (asked.smime, asked.signatures) = (true, true);
            }
            Condition::All(all) => all.iter().for_each(|one| ask(one, asked)),
            _ => {}
        }
    }
    let mut asked = Asked::default();
    filter.conditions().into_iter().for_each(|condition| ask(condition, &mut asked));
    asked
}
