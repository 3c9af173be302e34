//! Threads (RFC 8621 §3).

use std::collections::BTreeMap;

use futures::future::BoxFuture;
use jmap_proto::standard::{Changes, Get, GetAnswer};
use jmap_proto::{Arguments, Id, MethodError, Object};
use mail::{Catalog, Email};
use schema::records::mail::{ChangeKind, ChangeRecord};
use schema::{EmailId, ModSeq, ThreadId};
use serde_json::Value;

use crate::access::Access;
use crate::call::{Answer, Call};
use crate::fail::Fail;
use crate::log::{self, What};
use crate::registry::Method;
use crate::{Services, view};

/// So many rows of a catalogue are looked through in the time that the emails of a thread are read in.
const ROWS_FOR_A_THREAD: usize = 20_000;

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
    let access = call.viewer(&get.account)?;
    let properties = get.properties.unwrap_or_else(|| vec!["emailIds".to_owned()]);
    if properties.iter().any(|name| name != "id" && name != "emailIds") {
        return Err(MethodError::invalid("properties", "a thread has id and emailIds").into());
    }
    // RFC 8620 §5.1: all are asked for where that may be too many.
    let ids = get.ids.ok_or(MethodError::RequestTooLarge)?;
    let mut answer = GetAnswer { account: Some(get.account), ..GetAnswer::default() };
    let known: Vec<ThreadId> = ids.iter().filter_map(|reference| call.resolve(reference)).collect();
    let (state, found) = emails_of(call.services(), &access, known).await?;
    for reference in ids {
        let id = call.resolve::<ThreadId>(&reference);
        let emails = id.and_then(|id| found.get(&id)).into_iter().flatten();
        let emails: Vec<Value> = emails.map(|email| Value::from(email.to_string())).collect();
        let Some(id) = id.filter(|_| !emails.is_empty()) else {
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

/// The emails of threads, the oldest first, and the state that they are of.
async fn emails_of(
    services: &Services,
    access: &Access,
    threads: Vec<ThreadId>,
) -> Result<(ModSeq, BTreeMap<ThreadId, Vec<EmailId>>), Fail> {
    if let Some(found) = off_catalog(services, access, &threads).await? {
        return Ok(found);
    }
    let state = services.state(access.account).await?;
    let found = services.threads(access, &threads).await?.into_iter();
    let ids = |emails: Vec<Email>| emails.into_iter().map(|email| email.id).collect();
    Ok((state, found.map(|(thread, emails)| (thread, ids(emails))).collect()))
}

/// The same off a catalogue; none where that is not there, or would take longer.
async fn off_catalog(
    services: &Services,
    access: &Access,
    threads: &[ThreadId],
) -> Result<Option<(ModSeq, BTreeMap<ThreadId, Vec<EmailId>>)>, Fail> {
    if !access.is_whole() {
        return Ok(None);
    }
    let Some(catalog) = services.mail.catalog_at_hand(access.account).await? else { return Ok(None) };
    if catalog.read(Catalog::len) / ROWS_FOR_A_THREAD > threads.len() {
        return Ok(None);
    }
    let threads = threads.to_vec();
    let look = move |catalog: &Catalog| Some((catalog.as_of(), catalog.in_threads(&threads)?));
    view::look_at(catalog, look).await
}

/// RFC 8621 §3.2
fn changes(call: &mut Call, arguments: Object) -> BoxFuture<'_, Answer> {
    Box::pin(async move { Ok(changed_threads(call, arguments).await?) })
}

async fn changed_threads(call: &Call, arguments: Object) -> Result<Object, Fail> {
    let mut arguments = Arguments::new(arguments);
    let changes = Changes::read(&mut arguments)?;
    arguments.end()?;
    let (access, services) = (call.viewer(&changes.account)?, call.services());
    let mut unclear = false;
    let mut folded = log::fold(services, &access, &changes.since, changes.max, |entry| {
        unclear |= access.is_unclear(entry);
        if access.hears_of_emails(entry) { told(entry, access.is_whole()) } else { Vec::new() }
    })
    .await?;
    if unclear {
        return Err(MethodError::CannotCalculateChanges.into());
    }
    // One that nobody sees any more is gone, whatever the log says.
    let looked: Vec<ThreadId> = folded.created.union(&folded.updated).map(|id| ThreadId(*id)).collect();
    let (_, found) = emails_of(services, &access, looked.clone()).await?;
    for id in looked {
        if found.get(&id).is_none_or(Vec::is_empty) {
            folded.updated.remove(&id.0);
            if !folded.created.remove(&id.0) {
                folded.destroyed.insert(id.0);
            }
        }
    }
    Ok(folded.answer(changes, services, |id| Id::of(ThreadId(id))).into_object())
}

/// A thread changes with the emails that are seen in it. Who sees some mailboxes sees others of them when one is moved, and none
/// before the first that is seen.
fn told(entry: &ChangeRecord, is_whole: bool) -> Vec<(What, u64)> {
    let among = |id: &u64| entry.threads_ended_or_begun.contains(id);
    let with = |what: What, other: What| {
        entry.threads.iter().map(|id| (if among(id) { what } else { other }, *id)).collect()
    };
    match log::kind(entry) {
        Some(ChangeKind::EmailCreated) => with(What::Created, What::Updated),
        Some(ChangeKind::EmailDestroyed) => with(What::Destroyed, What::Updated),
        Some(ChangeKind::EmailUpdated) if entry.shows_or_hides || !is_whole => {
            with(What::Updated, What::Updated)
        }
        _ => Vec::new(),
    }
}
