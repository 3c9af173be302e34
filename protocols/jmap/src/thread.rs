//! Threads (RFC 8621 §3).

use futures::future::BoxFuture;
use jmap_proto::standard::{Changes, ChangesAnswer, Get, GetAnswer};
use jmap_proto::{Arguments, Id, MethodError, Object};
use schema::ThreadId;
use schema::records::mail::{ChangeKind, ChangeRecord};
use serde_json::Value;

use crate::call::{Answer, Call};
use crate::fail::Fail;
use crate::log::{self, What};
use crate::registry::Method;

/// The methods of the type.
pub(crate) const METHODS: &[Method] = &[("Thread/get", get), ("Thread/changes", changes)];

/// RFC 8621 §3.1
fn get(call: &mut Call, arguments: Object) -> BoxFuture<'_, Answer> {
    Box::pin(async move { Ok(get_threads(call, arguments).await?) })
}

async fn get_threads(call: &Call, arguments: Object) -> Result<Object, Fail> {
    let mut arguments = Arguments::new(arguments);
    let get = Get::read(&mut arguments, &call.limits())?;
    arguments.end()?;
    let account = call.reader(&get.account)?.account;
    let properties = get.properties.unwrap_or_else(|| vec!["emailIds".to_owned()]);
    if properties.iter().any(|name| name != "id" && name != "emailIds") {
        return Err(MethodError::invalid("properties", "a thread has id and emailIds").into());
    }
    // RFC 8620 §5.1: all are asked for where that may be too many.
    let ids = get.ids.ok_or(MethodError::RequestTooLarge)?;
    let state = call.services().state(account).await?;
    let mut answer = GetAnswer { account: Some(get.account), ..GetAnswer::default() };
    for reference in ids {
        let found = match call.resolve::<ThreadId>(&reference) {
            Some(id) => call.services().mail.threads(account, &[id]).await?.pop(),
            None => None,
        };
        let emails: Vec<Value> = found
            .iter()
            .flat_map(|(_, emails)| emails)
            .filter(|email| email.is_seen())
            .map(|email| Value::from(email.id.to_string()))
            .collect();
        let Some((id, _)) = found.filter(|_| !emails.is_empty()) else {
            answer.not_found.push(reference.to_string());
            continue;
        };
        let mut object = Object::new();
        object.insert("id".to_owned(), id.to_string().into());
        if properties.iter().any(|name| name == "emailIds") {
            object.insert("emailIds".to_owned(), Value::Array(emails));
        }
        answer.list.push(object);
    }
    answer.state = call.services().state_text(state);
    Ok(answer.into_object())
}

/// RFC 8621 §3.2
fn changes(call: &mut Call, arguments: Object) -> BoxFuture<'_, Answer> {
    Box::pin(async move { Ok(changed_threads(call, arguments).await?) })
}

async fn changed_threads(call: &Call, arguments: Object) -> Result<Object, Fail> {
    let mut arguments = Arguments::new(arguments);
    let changes = Changes::read(&mut arguments)?;
    arguments.end()?;
    let (account, services) = (call.reader(&changes.account)?.account, call.services());
    let mut folded = log::fold(services, account, &changes.since, changes.max, told).await?;
    // One that nobody sees any more is gone, whatever the log says.
    let looked: Vec<ThreadId> = folded.created.union(&folded.updated).map(|id| ThreadId(*id)).collect();
    for id in looked {
        let found = services.mail.threads(account, &[id]).await?;
        if !found.iter().flat_map(|(_, emails)| emails).any(mail::Email::is_seen) {
            folded.updated.remove(&id.0);
            if !folded.created.remove(&id.0) {
                folded.destroyed.insert(id.0);
            }
        }
    }
    let ids = |ids: &std::collections::BTreeSet<u64>| ids.iter().map(|id| Id::of(ThreadId(*id))).collect();
    let answer = ChangesAnswer {
        account: changes.account,
        old_state: changes.since,
        new_state: services.state_text(folded.upto),
        more: folded.more,
        created: ids(&folded.created),
        updated: ids(&folded.updated),
        destroyed: ids(&folded.destroyed),
    };
    Ok(answer.into_object())
}

/// A thread changes with the emails in it.
fn told(entry: &ChangeRecord) -> Vec<(What, u64)> {
    let among = |id: &u64| entry.threads_ended_or_begun.contains(id);
    let with = |what: What, other: What| {
        entry.threads.iter().map(|id| (if among(id) { what } else { other }, *id)).collect()
    };
    match log::kind(entry) {
        Some(ChangeKind::EmailCreated) => with(What::Created, What::Updated),
        Some(ChangeKind::EmailDestroyed) => with(What::Destroyed, What::Updated),
        _ => Vec::new(),
    }
}
