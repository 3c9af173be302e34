//! STATUS (RFC 9051 §6.3.11): counters, whatever the size of the mailbox.

use accounts::Rights;
use imap_proto::command::{Status, StatusItem};
use imap_proto::render;

use crate::namespace::Found;
use crate::reply::{Outcome, Reply, Stop};
use crate::session::Session;

pub(crate) async fn run(session: &mut Session, status: &Status) -> Outcome {
    let found = session.existing(&status.mailbox).await?;
    session.need(found.mailbox.account, Rights::READ)?;
    tell(session, &found, status.mailbox.as_str(), &status.items).await?;
    Ok(Reply::ok("done"))
}

/// `* STATUS`, also for LIST (RFC 5819).
pub(crate) async fn tell(
    session: &mut Session,
    found: &Found,
    name: &str,
    items: &[StatusItem],
) -> Result<(), Stop> {
    let status = session.services().mail.status(found.mailbox).await?;
    // RFC 7162 §3.1: asking for HIGHESTMODSEQ is a sign of CONDSTORE.
    session.modes.condstore |= items.contains(&StatusItem::HighestModSeq);
    let (limit, utf8, id) =
        (session.server.options.append_limit, session.modes.utf8(), found.row.object_id());
    let value = |item| match item {
        StatusItem::Messages => u64::from(status.exists),
        StatusItem::Recent | StatusItem::MailboxId => 0,
        StatusItem::UidNext => u64::from(status.uid_next),
        StatusItem::UidValidity => u64::from(status.uid_validity),
        StatusItem::Unseen => u64::from(status.unseen),
        StatusItem::Deleted => u64::from(status.deleted),
        StatusItem::Size => status.size, // RFC 8438 §2
        StatusItem::DeletedStorage => 0,
        StatusItem::HighestModSeq => status.highest_modseq.0,
        StatusItem::AppendLimit => limit,
    };
    render::status_data(session.out(), name, utf8, items, &id, value);
    Ok(())
}
