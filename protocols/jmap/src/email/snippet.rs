//! `SearchSnippet/get` (RFC 8621 §5.1): pieces of an email with what was looked for marked, made of the message itself.

use content_mail::decode::{each_text, words};
use futures::future::BoxFuture;
use jmap_proto::filter::{Filter, Operator};
use jmap_proto::{Arguments, MethodError, Object};
use mail::Email;
use query::Field;
use schema::{AccountId, EmailId};
use serde_json::{Value, json};

use super::filter::{self, Condition};
use crate::Services;
use crate::call::{Answer, Call};
use crate::download::Source;
use crate::fail::Fail;
use crate::options::SNIPPET;

pub(crate) fn get(call: &mut Call, arguments: Object) -> BoxFuture<'_, Answer> {
    Box::pin(async move { Ok(run(call, arguments).await?) })
}

/// What is looked for, by where.
#[derive(Debug, Default)]
struct Words {
    subject: String,
    body: String,
}

async fn run(call: &Call, arguments: Object) -> Result<Object, Fail> {
    let mut arguments = Arguments::new(arguments);
    let account_id = arguments.id("accountId")?;
    let filter = arguments.value("filter").unwrap_or_default();
    let filter = Filter::parse(filter, &mut |members| filter::condition(call, members))?;
    let ids = arguments.opt_id_refs("emailIds")?;
    arguments.end()?;
    let ids = ids.ok_or_else(|| MethodError::invalid("emailIds", "a list of ids is wanted"))?;
    if ids.len() > call.limits().objects_in_get {
        return Err(MethodError::RequestTooLarge.into());
    }
    let access = call.viewer(&account_id)?;
    let mut wanted = Words::default();
    if let Some(filter) = &filter {
        gather(filter, &mut wanted);
    }
    let (mut list, mut not_found) = (Vec::with_capacity(ids.len()), Vec::new());
    for reference in ids {
        let found = match call.resolve::<EmailId>(&reference) {
            Some(id) => call.services().email(&access, id).await?,
            None => None,
        };
        match found {
            Some(email) => list.push(snippet(call.services(), access.account, &email, &wanted).await?),
            None => not_found.push(Value::from(reference.to_string())),
        }
    }
    let mut answer = Object::new();
    answer.insert("accountId".to_owned(), account_id.into_string().into());
    answer.insert("list".to_owned(), Value::Array(list));
    let not_found = if not_found.is_empty() { Value::Null } else { Value::Array(not_found) };
    answer.insert("notFound".to_owned(), not_found);
    Ok(answer)
}

/// The words of all conditions that have to hold for a match; what must not be there is not shown.
fn gather(filter: &Filter<Condition>, words: &mut Words) {
    match filter {
        Filter::Operator(Operator::Not, _) => {}
        Filter::Operator(_, parts) => parts.iter().for_each(|part| gather(part, words)),
        Filter::Condition(condition) => of_condition(condition, words),
    }
}

fn of_condition(condition: &Condition, words: &mut Words) {
    match condition {
        Condition::All(all) => all.iter().for_each(|one| of_condition(one, words)),
        Condition::Text(filter) => of_text(filter, words),
        _ => {}
    }
}

fn of_text(filter: &query::Filter, words: &mut Words) {
    let add = |to: &mut String, word: &str| {
        to.push(' ');
        to.push_str(word);
    };
    match filter {
        query::Filter::And(parts) | query::Filter::Or(parts) => {
            parts.iter().for_each(|part| of_text(part, words));
        }
        query::Filter::TextOrHint(needle) => {
            add(&mut words.subject, needle.as_str());
            add(&mut words.body, needle.as_str());
        }
        query::Filter::BodyOrHint(needle) => add(&mut words.body, needle.as_str()),
        query::Filter::Header(Field::Subject, needle) => add(&mut words.subject, needle.as_str()),
        _ => {}
    }
}

async fn snippet(
    services: &Services,
    account: AccountId,
    email: &Email,
    wanted: &Words,
) -> Result<Value, Fail> {
    let summary = services.mail.summary(account, email.id).await?;
    let subject = summary.envelope.subject.as_deref().map(words);
    let subject = subject.and_then(|subject| index::marked(&subject, &wanted.subject));
    let mut preview = None;
    if !wanted.body.is_empty() {
        let source = Source::stored(email.blob, email.size);
        let octets = source.read(services, 0..email.size.min(SNIPPET)).await?;
        each_text(&octets, &summary.structure, &mut |text| {
            preview = index::snippet(text, &wanted.body);
            preview.is_none()
        });
    }
    Ok(json!({"emailId": email.id.to_string(), "subject": subject, "preview": preview}))
}
