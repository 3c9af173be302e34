//! `Email/changes` (RFC 8621 §4.3).

use std::collections::BTreeSet;

use futures::future::BoxFuture;
use jmap_proto::standard::{Changes, ChangesAnswer};
use jmap_proto::{Arguments, Id, Object};
use mail::Email;
use schema::records::mail::{ChangeKind, ChangeRecord};
use schema::{AccountId, EmailId};

use crate::Services;
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
    let (account, services) = (call.reader(&changes.account)?.account, call.services());
    let folded = since(services, account, &changes.since, changes.max).await?;
    let ids = |ids: &BTreeSet<u64>| ids.iter().map(|id| Id::of(EmailId(*id))).collect();
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

/// What became of emails since a state. One that is seen nowhere any more is gone, whatever the log says.
pub(super) async fn since(
    services: &Services,
    account: AccountId,
    since: &str,
    max: Option<usize>,
) -> Result<Folded, Fail> {
    let mut folded = log::fold(services, account, since, max, told).await?;
    let looked: Vec<EmailId> = folded.created.union(&folded.updated).map(|id| EmailId(*id)).collect();
    let emails = services.mail.emails(account, &looked).await?;
    let seen: BTreeSet<u64> =
        emails.iter().filter(|email| Email::is_seen(email)).map(|email| email.id.0).collect();
    folded.created.retain(|id| seen.contains(id));
    let hidden: Vec<u64> = folded.updated.difference(&seen).copied().collect();
    for id in hidden {
        folded.updated.remove(&id);
        folded.destroyed.insert(id);
    }
    Ok(folded)
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
