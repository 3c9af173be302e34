//! STATUS (RFC 9051 §6.3.11): counters, whatever the size of the mailbox.

use accounts::Rights;
use imap_proto::command::{Status, StatusItem};
use imap_proto::render;
use mail::MailboxRef;
use schema::SystemFlags;

use crate::namespace::Found;
use crate::options::ROWS;
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
    let deleted_storage = match items.contains(&StatusItem::DeletedStorage) && status.deleted > 0 {
        true => deleted_storage(session, found.mailbox).await?,
        false => 0,
    };
    let (limit, utf8) = (session.server.options.append_limit, session.modes.utf8());
    let id = session.object_id(found.mailbox.account, &found.row);
    let value = |item| match item {
        StatusItem::Messages => u64::from(status.exists),
        StatusItem::Recent | StatusItem::MailboxId => 0,
        StatusItem::UidNext => u64::from(status.uid_next),
        StatusItem::UidValidity => u64::from(status.uid_validity),
        StatusItem::Unseen => u64::from(status.unseen),
        StatusItem::Deleted => u64::from(status.deleted),
        StatusItem::Size => status.size, // RFC 8438 §2
        StatusItem::DeletedStorage => deleted_storage,
        StatusItem::HighestModSeq => status.highest_modseq.0,
        StatusItem::AppendLimit => limit,
    };
    render::status_data(session.out(), name, utf8, items, &id, value);
    Ok(())
}

/// RFC 9208 §4.1.4: octets of the messages with `\Deleted`, from their rows.
async fn deleted_storage(session: &Session, mailbox: MailboxRef) -> Result<u64, Stop> {
    /// UIDs between two of them that are rather read than jumped over.
    const NEAR: u32 = 32;
    let mail = &session.services().mail;
    let deleted = mail.with_flag(mailbox, SystemFlags::DELETED).await?;
    let (mut size, spending) = (0, session.spending());
    let mut ranges = deleted.ranges().peekable();
    while let Some(range) = ranges.next() {
        let (first, mut last) = range.into_inner();
        while let Some(near) = ranges.next_if(|next| next.start() - last <= NEAR) {
            last = *near.end();
        }
        let mut next = Some(first);
        while let Some(from) = next.filter(|from| *from <= last) {
            let page = mail.messages(mailbox, from..=last, ROWS).await?;
            for row in page.rows.iter().filter(|row| deleted.contains(row.uid)) {
                spending.pay(0).await?;
                size += row.size;
            }
            next = page.next;
        }
    }
    Ok(size)
}
