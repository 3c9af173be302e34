//! FETCH (RFC 9051 §6.4.5) with CHANGEDSINCE and VANISHED (RFC 7162 §3.1.4, §3.2.6).

use std::sync::Arc;

use accounts::Rights;
use content_mail::Summary;
use imap_proto::command::{Fetch, FetchItem};
use imap_proto::render::{Code, FetchWriter};
use mail::{FlagChange, MailboxRef, MessageRow, UidSet};
use schema::{Flags, ModSeq, SystemFlags};

use crate::command::fetch_body;
use crate::command::search::selected;
use crate::command::select::catch_up;
use crate::options::ROWS;
use crate::reply::{Outcome, Reply, Stop};
use crate::session::Session;
use crate::view::View;
use crate::{convert, flags};

pub(crate) async fn run(session: &mut Session, mut fetch: Fetch) -> Outcome {
    let selected = selected(session)?;
    let (mailbox, read_only) = (selected.mailbox, selected.read_only);
    let Some(uids) = selected.view.resolve(&fetch.set, fetch.uid, &selected.saved) else {
        return Err(Reply::bad("there is no such message").into());
    };
    if fetch.vanished && !session.modes.qresync {
        return Err(Reply::bad("enable QRESYNC first").into());
    }
    // RFC 7162 §3.1: naming mod-sequences is a sign of CONDSTORE.
    session.modes.condstore |= fetch.changed_since.is_some() || fetch.items.contains(&FetchItem::ModSeq);
    if fetch.uid && !fetch.items.contains(&FetchItem::Uid) {
        fetch.items.insert(0, FetchItem::Uid);
    }
    if fetch.changed_since.is_some() && !fetch.items.contains(&FetchItem::ModSeq) {
        fetch.items.push(FetchItem::ModSeq);
    }
    if let (true, Some(since)) = (fetch.vanished, fetch.changed_since) {
        vanished(session, mailbox, &fetch, since).await?;
    }
    let may_see = !read_only && session.rights(mailbox.account).contain(Rights::SEEN);
    let sets_seen = may_see && fetch.items.iter().any(FetchItem::sets_seen);
    let stretches = session.state.selected().map(|s| s.view.stretches(&uids)).unwrap_or_default();
    let mut missing = uids.len();
    for stretch in stretches {
        let (mut next, last) = (Some(*stretch.start()), *stretch.end());
        while let Some(first) = next.filter(|first| *first <= last) {
            let page = session.services().mail.messages(mailbox, first..=last, ROWS).await?;
            next = page.next;
            let mut rows = page.rows;
            rows.retain(|row| uids.contains(row.uid));
            missing = missing.saturating_sub(u32::try_from(rows.len()).unwrap_or(u32::MAX));
            rows.retain(|row| fetch.changed_since.is_none_or(|since| row.modseq.0 > since));
            let seen =
                if sets_seen { mark_seen(session, mailbox, &mut rows).await? } else { UidSet::default() };
            for row in &rows {
                message(session, mailbox, &fetch, row, seen.contains(row.uid)).await?;
            }
        }
    }
    if missing > 0 {
        // RFC 2180 §4.1, RFC 5530 §3: they were expunged, and the client could not be told yet.
        return Ok(Reply::ok("some are gone").with(Code::ExpungeIssued));
    }
    Ok(Reply::ok("fetched"))
}

/// RFC 7162 §3.2.6: the UIDs of the set that are gone since then.
async fn vanished(session: &mut Session, mailbox: MailboxRef, fetch: &Fetch, since: u64) -> Result<(), Stop> {
    let of = UidSet::from_ranges(fetch.set.resolve(u32::MAX));
    let here = selected(session)?.view.uids().clone();
    let view = View::new(here, ModSeq(since));
    catch_up(session, mailbox, &view, &of, ModSeq(since), false).await
}

/// One message's answer; nothing if it is gone meanwhile. `changed`: it was marked as seen for this.
async fn message(
    session: &mut Session,
    mailbox: MailboxRef,
    fetch: &Fetch,
    row: &MessageRow,
    changed: bool,
) -> Result<(), Stop> {
    let Some(seq) = selected(session)?.view.seq_of(row.uid) else { return Ok(()) };
    let summary = match fetch.items.iter().any(fetch_body::needs_summary) {
        false => None,
        true => match session.services().mail.summary(mailbox.account, row.email).await {
            Ok(summary) => Some(summary),
            Err(mail::Error::NotFound) => return Ok(()),
            Err(error) => return Err(error.into()),
        },
    };
    fetch_body::check_encodings(&fetch.items, row, summary.as_deref())?;
    let mut begun = false;
    for item in &fetch.items {
        if fetch_body::is_streamed(item) {
            fetch_body::stream(session, seq, &mut begun, item, row, summary.as_deref()).await?;
        } else {
            let mut writer = writer(session, seq, &mut begun);
            simple(&mut writer, item, row, summary.as_ref());
        }
    }
    if changed && !fetch.items.contains(&FetchItem::Flags) {
        // RFC 9051 §6.4.5: flags that FETCH changed are told.
        writer(session, seq, &mut begun).flags(flags::names(&row.flags));
    }
    if begun {
        FetchWriter::resume(session.out()).end();
    }
    session.connection.relieve().await?;
    Ok(())
}

/// The response's writer: begun, or gone on with.
pub(crate) fn writer<'a>(session: &'a mut Session, seq: u32, begun: &mut bool) -> FetchWriter<'a> {
    if std::mem::replace(begun, true) {
        FetchWriter::resume(session.out())
    } else {
        FetchWriter::begin(session.out(), seq)
    }
}

/// Marks those of a page that are not seen yet, together; their rows become what they are now. Returns which.
async fn mark_seen(
    session: &mut Session,
    mailbox: MailboxRef,
    rows: &mut [MessageRow],
) -> Result<UidSet, Stop> {
    let unseen = rows.iter().filter(|row| !row.flags.has(SystemFlags::SEEN)).map(|row| row.uid);
    let mut left: UidSet = unseen.collect();
    let change = FlagChange::Add(Flags::from(SystemFlags::SEEN));
    let mut marked = Vec::new();
    while !left.is_empty() {
        let outcome = session.services().mail.store_flags(mailbox, &left, &change, None).await?;
        for now in outcome.changed {
            if let Some(selected) = session.state.selected_mut() {
                selected.view.note_told(&now);
            }
            marked.push(now.uid);
            if let Ok(at) = rows.binary_search_by_key(&now.uid, |row| row.uid) {
                rows[at] = now;
            }
        }
        let Some(next) = outcome.next else { break };
        left = left.intersection(&UidSet::from_ranges([next..=u32::MAX]));
    }
    Ok(marked.into_iter().collect())
}

/// Items whose value is short.
fn simple(writer: &mut FetchWriter<'_>, item: &FetchItem, row: &MessageRow, summary: Option<&Arc<Summary>>) {
    match item {
        FetchItem::Uid => writer.uid(row.uid),
        FetchItem::Flags => writer.flags(flags::names(&row.flags)),
        FetchItem::InternalDate => writer.internal_date(row.internal_date),
        FetchItem::Rfc822Size => writer.size(row.size),
        FetchItem::ModSeq => writer.modseq(row.modseq.0),
        FetchItem::EmailId => writer.email_id(&row.email.to_string()),
        FetchItem::ThreadId => writer.thread_id(&row.thread.to_string()),
        FetchItem::SaveDate => writer.save_date(Some(row.save_date)),
        _ => {
            let Some(summary) = summary else { return };
            match item {
                FetchItem::Envelope => writer.envelope(&convert::envelope(&summary.envelope)),
                FetchItem::Body => writer.structure(&convert::structure(&summary.structure), false),
                FetchItem::BodyStructure => writer.structure(&convert::structure(&summary.structure), true),
                FetchItem::Preview { .. } => writer.preview(Some(&summary.preview)),
                _ => {}
            }
        }
    }
}
