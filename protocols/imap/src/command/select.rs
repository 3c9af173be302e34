//! SELECT and EXAMINE (RFC 9051 §6.3.2, §6.3.3) with CONDSTORE and QRESYNC (RFC 7162).

use accounts::Rights;
use imap_proto::command::{QresyncParameters, Select};
use imap_proto::render::{self, Code, Condition, ListEntry, ListKind};
use mail::{MailboxRef, Opened, UidSet};
use schema::ModSeq;

use crate::flags;
use crate::flow::Selected;
use crate::namespace::Found;
use crate::options::ROWS;
use crate::reply::{Outcome, Reply, Stop};
use crate::session::Session;
use crate::view::{View, tell_flags};

/// Opens a mailbox. RFC 9051 §6.3.2: if that fails, none is open.
pub(crate) async fn run(session: &mut Session, select: Select) -> Outcome {
    if select.qresync.is_some() && !session.modes.qresync {
        // RFC 7162 §3.2.5: QRESYNC has to be enabled first.
        return Err(Reply::bad("enable QRESYNC first").into());
    }
    if session.state.close() && (session.modes.rev2 || session.modes.qresync) {
        // RFC 9051 §7.1 CLOSED, RFC 7162 §3.2.11: what follows is of another mailbox.
        render::status(session.out(), None, Condition::Ok, Some(&Code::Closed), "the other one is closed");
    }
    session.modes.condstore |= select.condstore;
    let found = session.existing(&select.mailbox).await?;
    session.need(found.mailbox.account, Rights::READ)?;
    let opened = session.services().mail.open(found.mailbox).await?;
    let keywords = session.services().mail.keywords(found.mailbox).await?;
    let read_only = select.read_only || only_reads(session.rights(found.mailbox.account));
    // RFC 3501 §6.3.1; IMAP4rev2 has no such code.
    let unseen = match !session.modes.rev2 && opened.status.unseen > 0 {
        true => session.services().mail.first_unseen(found.mailbox).await?,
        false => None,
    };
    tell_mailbox(session, &found, &opened, &keywords, read_only);
    if session.modes.rev2 {
        tell_name(session, &select);
    } else if let Some(seq) = unseen.and_then(|uid| opened.uids.seq_of(uid)) {
        render::status(session.out(), None, Condition::Ok, Some(&Code::Unseen(seq)), "the first not seen");
    }
    let view = View::new(opened.uids.clone(), opened.as_of);
    if let Some(known) = &select.qresync
        && known.uid_validity.get() == opened.status.uid_validity
    {
        tell_changes(session, found.mailbox, &view, known).await?;
    }
    let saved = UidSet::default();
    session.state.open(Selected { mailbox: found.mailbox, read_only, view, saved });
    let code = if read_only { Code::ReadOnly } else { Code::ReadWrite };
    Ok(Reply::ok("open").with(code))
}

/// Whether there is nothing these rights allow to change (RFC 4314 §5.2).
fn only_reads(rights: Rights) -> bool {
    let changing = [Rights::SEEN, Rights::WRITE, Rights::INSERT, Rights::DELETE_MESSAGES, Rights::EXPUNGE];
    !changing.into_iter().any(|right| rights.contain(right))
}

/// What a client needs to know of a mailbox it opens (RFC 9051 §6.3.2).
fn tell_mailbox(session: &mut Session, found: &Found, opened: &Opened, keywords: &[String], read_only: bool) {
    let rev2 = session.modes.rev2;
    let id = session.object_id(found.mailbox.account, &found.row);
    let out = session.out();
    let mut names: Vec<&str> = flags::SYSTEM.to_vec();
    names.extend(keywords.iter().map(String::as_str));
    render::flags(out, names.iter().copied());
    names.push("\\*"); // RFC 9051 §7.1: new keywords can be made
    let permanent: &[&str] = if read_only { &[] } else { &names };
    let mut ok = |code: Code<'_>, text: &str| render::status(out, None, Condition::Ok, Some(&code), text);
    ok(Code::PermanentFlags(permanent), "flags that are kept");
    ok(Code::UidValidity(opened.status.uid_validity), "");
    ok(Code::UidNext(opened.status.uid_next), "");
    ok(Code::HighestModSeq(opened.status.highest_modseq.0), "");
    ok(Code::MailboxId(id.into()), ""); // RFC 8474 §4.1
    render::exists(out, opened.uids.len());
    if !rev2 {
        render::recent(out, 0); // RFC 3501 §6.3.1; nothing is ever recent here
    }
}

/// RFC 9051 §6.3.2: IMAP4rev2 tells the name as LIST does.
fn tell_name(session: &mut Session, select: &Select) {
    let entry = ListEntry {
        attributes: &[],
        separator: Some('/'),
        name: select.mailbox.as_str(),
        child_info: &[],
        old_name: None,
    };
    let utf8 = session.modes.utf8();
    render::list(session.out(), ListKind::List, &entry, utf8);
}

/// What happened since the client was here (RFC 7162 §3.2.5.1): VANISHED (EARLIER), then FETCH.
async fn tell_changes(
    session: &mut Session,
    mailbox: MailboxRef,
    view: &View,
    known: &QresyncParameters,
) -> Result<(), Stop> {
    let everything = UidSet::from_ranges([1..=u32::MAX]);
    let of = match &known.known_uids {
        Some(set) => UidSet::from_ranges(set.resolve(u32::MAX)),
        None => everything,
    };
    catch_up(session, mailbox, view, &of, ModSeq(known.modseq), true).await
}

/// Tells which of `of` vanished (if asked) and which changed after `since`. Also FETCH CHANGEDSINCE VANISHED.
pub(crate) async fn catch_up(
    session: &mut Session,
    mailbox: MailboxRef,
    view: &View,
    of: &UidSet,
    since: ModSeq,
    flags: bool,
) -> Result<(), Stop> {
    let delta = session.services().mail.since(mailbox, since).await?;
    let vanished = if delta.resync {
        // RFC 7162 §3.2.5.1: who can not tell what vanished tells all UIDs that are not there.
        let status = session.services().mail.status(mailbox).await?;
        let once = UidSet::from_ranges([1..=status.uid_next.saturating_sub(1).max(1)]);
        of.intersection(&once).difference(view.uids())
    } else {
        of.intersection(&delta.vanished).difference(view.uids())
    };
    render::vanished(session.out(), true, vanished.ranges());
    if !flags {
        return Ok(());
    }
    if !delta.resync {
        for row in delta.changed.iter().filter(|row| of.contains(row.uid)) {
            tell(session, view, row);
        }
        return Ok(());
    }
    let mut from = Some(1);
    while let Some(first) = from {
        let page = session.services().mail.messages(mailbox, first..=u32::MAX, ROWS).await?;
        for row in page.rows.iter().filter(|row| row.modseq > since && of.contains(row.uid)) {
            tell(session, view, row);
        }
        session.connection.relieve().await?;
        from = page.next;
    }
    Ok(())
}

fn tell(session: &mut Session, view: &View, row: &mail::MessageRow) {
    let modes = session.modes;
    if let Some(seq) = view.seq_of(row.uid) {
        tell_flags(session.out(), seq, row, modes);
    }
}
