//! `Mailbox/changes` (RFC 8621 §2.2).

use std::collections::BTreeSet;

use accounts::Rights;
use futures::future::BoxFuture;
use jmap_proto::standard::Changes;
use jmap_proto::{Arguments, Id, Object};
use schema::MailboxId;
use schema::records::mail::{ChangeKind, ChangeRecord};
use serde_json::Value;

use super::COUNTS;
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
    let (mut itself, mut moved) = (BTreeSet::new(), false);
    let folded = log::fold(services, &access, &changes.since, changes.max, |entry| {
        moved |= hides_parents(&access, entry);
        if is_of_mailboxes(entry) {
            itself.extend(entry.mailboxes.iter().copied().map(u64::from));
        }
        told(&access, entry)
    })
    .await?;
    let only_counts = !moved && !folded.updated.is_empty() && folded.updated.is_disjoint(&itself);
    let folded = with_children(services, &access, folded, moved).await?;
    let mut object = folded.answer(changes, services, id_of).into_object();
    let updated = if only_counts { Value::from(COUNTS.to_vec()) } else { Value::Null };
    object.insert("updatedProperties".to_owned(), updated);
    Ok(object)
}

pub(super) fn id_of(number: u64) -> Id {
    Id::of(MailboxId(u32::try_from(number).unwrap_or_default()))
}

/// Whether an entry may have changed what is seen of where others lie.
fn hides_parents(access: &Access, entry: &ChangeRecord) -> bool {
    !access.is_whole() && access.share_of(entry).is_some()
}

/// A mailbox whose parent comes to be seen, or is seen no more, lies elsewhere to who sees it.
pub(super) async fn with_children(
    services: &Services,
    access: &Access,
    mut folded: Folded,
    moved: bool,
) -> Result<Folded, Fail> {
    if moved {
        let below = services.mailboxes(access).await?.into_iter().map(|mailbox| u64::from(mailbox.id.0));
        folded.updated.extend(below.filter(|id| !folded.created.contains(id)));
    }
    Ok(folded)
}

fn is_of_mailboxes(entry: &ChangeRecord) -> bool {
    matches!(
        log::kind(entry),
        Some(
            ChangeKind::MailboxCreated
                | ChangeKind::MailboxUpdated
                | ChangeKind::MailboxDestroyed
                | ChangeKind::MailboxShared
        )
    )
}

/// What an entry tells of mailboxes: of themselves, or of what is in them.
pub(super) fn told(access: &Access, entry: &ChangeRecord) -> Vec<(What, u64)> {
    let what = match log::kind(entry) {
        // RFC 9670 §4: what comes to be seen is new, what is seen no more is gone.
        Some(ChangeKind::MailboxShared) => {
            let sees = |rights: Rights| rights.contain(Rights::LOOKUP);
            match access.share_of(entry).map(|(old, new)| (sees(old), sees(new))) {
                Some((false, true)) => What::Created,
                Some((true, false)) => What::Destroyed,
                Some((true, true)) => What::Updated,
                Some((false, false)) | None => return Vec::new(),
            }
        }
        Some(ChangeKind::MailboxCreated) => What::Created,
        Some(ChangeKind::MailboxDestroyed) => What::Destroyed,
        Some(_) => What::Updated,
        None => return Vec::new(),
    };
    let own = log::kind(entry) == Some(ChangeKind::MailboxShared);
    let seen = entry.mailboxes.iter().filter(|id| own || access.is_whole() || access.sees(MailboxId(**id)));
    seen.map(|id| (what, u64::from(*id))).collect()
}
