//! `Mailbox/changes` (RFC 8621 §2.2).

use std::collections::BTreeSet;

use futures::future::BoxFuture;
use jmap_proto::standard::{Changes, ChangesAnswer};
use jmap_proto::{Arguments, Id, Object};
use schema::MailboxId;
use schema::records::mail::{ChangeKind, ChangeRecord};
use serde_json::Value;

use super::COUNTS;
use crate::call::{Answer, Call};
use crate::fail::Fail;
use crate::log::{self, What};

pub(crate) fn changes(call: &mut Call, arguments: Object) -> BoxFuture<'_, Answer> {
    Box::pin(async move { Ok(run(call, arguments).await?) })
}

async fn run(call: &Call, arguments: Object) -> Result<Object, Fail> {
    let mut arguments = Arguments::new(arguments);
    let changes = Changes::read(&mut arguments)?;
    arguments.end()?;
    let (account, services) = (call.reader(&changes.account)?.account, call.services());
    let mut itself = BTreeSet::new();
    let folded = log::fold(services, account, &changes.since, changes.max, |entry| {
        if is_of_mailboxes(entry) {
            itself.extend(entry.mailboxes.iter().copied().map(u64::from));
        }
        told(entry)
    })
    .await?;
    let only_counts = !folded.updated.is_empty() && folded.updated.is_disjoint(&itself);
    let ids = |ids: &BTreeSet<u64>| ids.iter().map(|id| id_of(*id)).collect();
    let answer = ChangesAnswer {
        account: changes.account,
        old_state: changes.since,
        new_state: services.state_text(folded.upto),
        more: folded.more,
        created: ids(&folded.created),
        updated: ids(&folded.updated),
        destroyed: ids(&folded.destroyed),
    };
    let mut object = answer.into_object();
    let updated = if only_counts { Value::from(COUNTS.to_vec()) } else { Value::Null };
    object.insert("updatedProperties".to_owned(), updated);
    Ok(object)
}

pub(super) fn id_of(number: u64) -> Id {
    Id::of(MailboxId(u32::try_from(number).unwrap_or_default()))
}

fn is_of_mailboxes(entry: &ChangeRecord) -> bool {
    matches!(
        log::kind(entry),
        Some(ChangeKind::MailboxCreated | ChangeKind::MailboxUpdated | ChangeKind::MailboxDestroyed)
    )
}

/// What an entry tells of mailboxes: of themselves, or of what is in them.
pub(super) fn told(entry: &ChangeRecord) -> Vec<(What, u64)> {
    let what = match log::kind(entry) {
        Some(ChangeKind::MailboxCreated) => What::Created,
        Some(ChangeKind::MailboxDestroyed) => What::Destroyed,
        Some(_) => What::Updated,
        None => return Vec::new(),
    };
    entry.mailboxes.iter().map(|id| (what, u64::from(*id))).collect()
}
