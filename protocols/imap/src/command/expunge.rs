//! EXPUNGE, UID EXPUNGE, CLOSE, UNSELECT (RFC 9051 §6.4.1 to §6.4.3, §6.4.9; RFC 4315 §2.1).

use accounts::Rights;
use imap_proto::render::Code;
use imap_proto::sequence::SequenceSet;
use mail::{MailboxRef, UidSet};

use crate::reply::{Outcome, Reply, Stop};
use crate::session::Session;

/// Removes messages with `\Deleted`: all, or those among `uids`.
pub(crate) async fn run(session: &mut Session, uids: Option<&SequenceSet>) -> Outcome {
    let selected = writable(session, Rights::EXPUNGE)?;
    let mailbox = selected.mailbox;
    let only = uids.map(|set| {
        let saved = set.is_saved().then(|| selected.saved.clone());
        let largest = selected.view.uids().last().unwrap_or(0);
        saved.unwrap_or_else(|| UidSet::from_ranges(set.resolve(largest)))
    });
    expunge(session, mailbox, only.as_ref()).await?;
    session.sync(true).await?;
    // RFC 7162 §3.2.7: the client learns up to where it knows.
    let selected = session.state.selected().filter(|_| session.modes.qresync);
    Ok(match selected {
        Some(selected) => Reply::ok("done").with(Code::HighestModSeq(selected.view.as_of().0)),
        None => Reply::ok("done"),
    })
}

/// The open mailbox, if it may be changed in this way.
pub(crate) fn writable(session: &Session, rights: Rights) -> Result<&crate::flow::Selected, Stop> {
    let selected = session.state.selected().ok_or_else(|| Reply::bad("open a mailbox first"))?;
    if selected.read_only {
        return Err(Reply::no("the mailbox is open for reading only").with(Code::NoPerm).into());
    }
    session.need(selected.mailbox.account, rights)?;
    Ok(selected)
}

/// In steps that fit a transaction.
async fn expunge(session: &Session, mailbox: MailboxRef, only: Option<&UidSet>) -> Result<(), Stop> {
    loop {
        let done = session.services().mail.expunge(mailbox, only).await?;
        if done.next.is_none() {
            return Ok(());
        }
    }
}

/// RFC 9051 §6.4.1: removes what is `\Deleted`, tells nothing.
pub(crate) async fn close(session: &mut Session) -> Outcome {
    if let Some(selected) = session.state.selected()
        && !selected.read_only
        && session.rights(selected.mailbox.account).contain(Rights::EXPUNGE)
    {
        expunge(session, selected.mailbox, None).await?;
    }
    session.state.close();
    Ok(Reply::ok("closed"))
}

/// RFC 3691 §2, RFC 9051 §6.4.2: removes nothing.
pub(crate) fn unselect(session: &mut Session) -> Outcome {
    session.state.close();
    Ok(Reply::ok("closed"))
}
