//! `Email/changes` (RFC 8621 §4.3).

use std::collections::{BTreeMap, BTreeSet};

use futures::future::BoxFuture;
use jmap_proto::standard::Changes;
use jmap_proto::{Arguments, Id, MethodError, Object};
use schema::records::mail::{ChangeKind, ChangeRecord};
use schema::{EmailId, ThreadId};

use crate::Services;
use crate::access::Access;
use crate::call::{Answer, Call};
use crate::fail::Fail;
use crate::log::{self, Folded, What};

pub(crate) fn changes(call: &mut Call, arguments: Object) -> BoxFuture<'_, Answer> {
    Box::pin(async move { Ok(run(call, arguments).await?) })
}

async fn run(call: &Call, arguments: Object) -> Result<Object, Fail> {
    let mut arguments = Arguments::new(arguments);
    let changes = Changes::read(&mut arguments)?;
    arguments.end()?;
    let (access, services) = (call.viewer(&changes.account)?, call.services());
    let (folded, _) = since(services, &access, &changes.since, changes.max).await?;
    Ok(folded.answer(changes, services, id_of).into_object())
}

/// Seconds between a row's time and that of the log's entry about it, at most.
const LEEWAY: i64 = 2;

pub(super) fn id_of(number: u64) -> Id {
    Id::of(EmailId(number))
}

/// What became of emails since a state, and in which threads. One that is seen nowhere any more is gone, whatever the log
/// says.
pub(super) async fn since(
    services: &Services,
    access: &Access,
    since: &str,
    max: Option<usize>,
) -> Result<(Folded, BTreeSet<ThreadId>), Fail> {
    let (mut threads, mut unclear, mut first) = (BTreeSet::new(), false, BTreeMap::new());
    let mut folded = log::fold(services, access, since, max, |entry| {
        unclear |= access.is_unclear(entry);
        if !access.hears_of_emails(entry) {
            return Vec::new();
        }
        threads.extend(entry.threads.iter().copied().map(ThreadId));
        for id in &entry.emails {
            first.entry(*id).or_insert(entry.at);
        }
        told(entry)
    })
    .await?;
    if unclear {
        return Err(MethodError::CannotCalculateChanges.into());
    }
    let looked: Vec<EmailId> = folded.created.union(&folded.updated).map(|id| EmailId(*id)).collect();
    let emails = services.emails(access, &looked).await?;
    let seen: BTreeSet<u64> = emails.iter().map(|email| email.id.0).collect();
    folded.created.retain(|id| seen.contains(id));
    if !access.is_whole() {
        // The log says of one that came to a mailbox from elsewhere that it changed; to whom sees that mailbox alone it is new.
        let came = |email: &&mail::Email| {
            let since = first.get(&email.id.0).copied().unwrap_or(i64::MAX);
            email.seen().all(|copy| copy.saved.saturating_add(LEEWAY) >= since)
        };
        for email in emails.iter().filter(came) {
            if folded.updated.remove(&email.id.0) {
                folded.created.insert(email.id.0);
            }
        }
    }
    let hidden: Vec<u64> = folded.updated.difference(&seen).copied().collect();
    for id in hidden {
        folded.updated.remove(&id);
        folded.destroyed.insert(id);
    }
    Ok((folded, threads))
}

fn told(entry: &ChangeRecord) -> Vec<(What, u64)> {
    let what = match log::kind(entry) {
        Some(ChangeKind::EmailCreated) => What::Created,
        Some(ChangeKind::EmailUpdated) => What::Updated,
        Some(ChangeKind::EmailDestroyed) => What::Destroyed,
        _ => return Vec::new(),
    };
    entry.emails.iter().map(|id| (what, *id)).collect()
}
