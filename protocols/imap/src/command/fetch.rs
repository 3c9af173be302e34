//! FETCH (RFC 9051 §6.4.5) with CHANGEDSINCE and VANISHED (RFC 7162 §3.1.4, §3.2.6).

use std::sync::Arc;

use accounts::Rights;
use content_mail::Summary;
use imap_proto::command::{Fetch, FetchItem};
use imap_proto::render::{Code, FetchWriter};
use mail::{FlagChange, Gathering, Listing, MailboxRef, MessageRow, UidSet};
use schema::{Flags, ModSeq, SystemFlags};

use crate::command::fetch_body;
use crate::command::search::selected;
use crate::command::select::catch_up;
use crate::options::{LISTED, ROWS};
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
    let brief = fetch.items.iter().all(is_listed);
    let missing = match if brief { session.services().mail.listing(mailbox).await? } else { None } {
        Some(listing) => listed(session, &fetch, &uids, &listing).await?,
        None => rows(session, mailbox, &fetch, &uids, brief, sets_seen).await?,
    };
    if missing > 0 {
        // RFC 2180 §4.1, RFC 5530 §3: they were expunged, and the client could not be told yet.
        return Ok(Reply::ok("some are gone").with(Code::ExpungeIssued));
    }
    Ok(Reply::ok("fetched"))
}

/// Answers from the mailbox's listing. Returns how many of the messages are gone.
async fn listed(session: &mut Session, fetch: &Fetch, uids: &UidSet, listing: &Listing) -> Result<u32, Stop> {
    let mut missing = uids.len();
    for range in uids.ranges() {
        // All UIDs of the range are in the view, so their sequence numbers follow each other too.
        let first = *range.start();
        let Some(seq) = selected(session)?.view.seq_of(first) else { continue };
        let mut start = first;
        while start <= *range.end() {
            let end = (*range.end()).min(start.saturating_add(LISTED));
            for (uid, modseq, flags) in listing.range(start..=end) {
                missing -= 1;
                if fetch.changed_since.is_none_or(|since| modseq.0 > since) {
                    let mut writer = FetchWriter::begin(session.out(), seq + (uid - first));
                    fetch.items.iter().for_each(|item| short(&mut writer, item, uid, modseq, flags));
                    writer.end();
                }
            }
            session.connection.relieve().await?;
            let Some(next) = end.checked_add(1) else { break };
            start = next;
        }
    }
    Ok(missing)
}

/// Answers from rows. Returns how many of the messages are gone.
async fn rows(
    session: &mut Session,
    mailbox: MailboxRef,
    fetch: &Fetch,
    uids: &UidSet,
    brief: bool,
    sets_seen: bool,
) -> Result<u32, Stop> {
    let view = &selected(session)?.view;
    let stretches = view.stretches(uids);
    // Who asks for all of them will ask again.
    let whole = brief && uids.is_listable() && uids.len() == view.len();
    let mut gathering = whole.then(|| Gathering::new(mailbox, view.as_of()));
    let mut missing = uids.len();
    for stretch in stretches {
        let (mut next, last) = (Some(*stretch.start()), *stretch.end());
        while let Some(first) = next.filter(|first| *first <= last) {
            let page = session.services().mail.messages(mailbox, first..=last, ROWS).await?;
            next = page.next;
            let mut rows = page.rows;
            if let Some(gathering) = &mut gathering {
                gathering.add(&rows);
            }
            rows.retain(|row| uids.contains(row.uid));
            missing = missing.saturating_sub(u32::try_from(rows.len()).unwrap_or(u32::MAX));
            rows.retain(|row| fetch.changed_since.is_none_or(|since| row.modseq.0 > since));
            let seen =
                if sets_seen { mark_seen(session, mailbox, &mut rows).await? } else { UidSet::default() };
            for (at, row) in rows.iter().enumerate() {
                let sent = message(session, mailbox, fetch, row, seen.contains(row.uid)).await;
                if let Err(Stop::Reply(_)) = &sent {
                    let unsent = rows.iter().skip(at).map(|row| row.uid).collect::<UidSet>();
                    mark_unseen(session, mailbox, unsent.intersection(&seen)).await;
                }
                sent?;
            }
        }
    }
    if let Some(gathering) = gathering {
        session.services().mail.remember(gathering);
    }
    Ok(missing)
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
    fetch_body::look_ahead(session, &fetch.items, row, summary.as_deref()).await?;
    let mut begun = false;
    for item in &fetch.items {
        if fetch_body::is_streamed(item) {
            fetch_body::stream(session, seq, &mut begun, item, row, summary.as_deref()).await?;
        } else {
            let mut writer = writer(session, seq, &mut begun);
            simple(&mut writer, item, row, summary.as_ref());
        }
    }
    if changed {
        tell_changed(session, seq, &mut begun, &fetch.items, row);
    }
    if begun {
        FetchWriter::resume(session.out()).end();
    }
    session.connection.relieve().await?;
    Ok(())
}

/// What FETCH changed is told, where it was not asked for: the flags (RFC 9051 §6.4.5), and with CONDSTORE the
/// mod-sequence that they have now (RFC 7162 §3.2.4).
fn tell_changed(session: &mut Session, seq: u32, begun: &mut bool, items: &[FetchItem], row: &MessageRow) {
    let condstore = session.modes.condstore;
    let mut writer = writer(session, seq, begun);
    if condstore && !items.contains(&FetchItem::Uid) {
        writer.uid(row.uid);
    }
    if !items.contains(&FetchItem::Flags) {
        writer.flags(flags::names(&row.flags));
    }
    if condstore && !items.contains(&FetchItem::ModSeq) {
        writer.modseq(row.modseq.0);
    }
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

/// Whether the mailbox's listing has it.
fn is_listed(item: &FetchItem) -> bool {
    matches!(item, FetchItem::Uid | FetchItem::Flags | FetchItem::ModSeq)
}

/// Items that [`is_listed`] names.
fn short(writer: &mut FetchWriter<'_>, item: &FetchItem, uid: u32, modseq: ModSeq, flags: &Flags) {
    match item {
        FetchItem::Uid => writer.uid(uid),
        FetchItem::ModSeq => writer.modseq(modseq.0),
        _ => writer.flags(flags::names(flags)),
    }
}

/// Takes back what was marked as seen and could not be sent after all. The client hears of it with what else changed.
async fn mark_unseen(session: &Session, mailbox: MailboxRef, mut left: UidSet) {
    let change = FlagChange::Remove(Flags::from(SystemFlags::SEEN));
    while !left.is_empty() {
        match session.services().mail.store_flags(mailbox, &left, &change, None).await {
            Ok(outcome) => match outcome.next {
                Some(next) => left = left.intersection(&UidSet::from_ranges([next..=u32::MAX])),
                None => return,
            },
            Err(error) => {
                tracing::warn!(%error, "messages that could not be sent stay marked as seen");
                return;
            }
        }
    }
}

/// Items whose value is short.
fn simple(writer: &mut FetchWriter<'_>, item: &FetchItem, row: &MessageRow, summary: Option<&Arc<Summary>>) {
    match item {
        FetchItem::Uid | FetchItem::Flags | FetchItem::ModSeq => {
            short(writer, item, row.uid, row.modseq, &row.flags);
        }
        FetchItem::InternalDate => writer.internal_date(row.internal_date),
        FetchItem::Rfc822Size => writer.size(row.size),
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
