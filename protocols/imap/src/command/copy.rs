//! COPY and MOVE (RFC 9051 §6.4.7, §6.4.8; RFC 6851), with COPYUID (RFC 4315 §3).

use accounts::Rights;
use imap_proto::command::Copy;
use imap_proto::render::{self, Code, Condition};
use mail::{MailboxRef, UidSet};

use crate::command::expunge::writable;
use crate::reply::{Outcome, Reply, Stop};
use crate::session::Session;

pub(crate) async fn copy(session: &mut Session, copy: &Copy) -> Outcome {
    let code = transfer(session, copy, false).await?;
    Ok(code.map_or(Reply::ok("nothing to copy"), |code| Reply::ok("copied").with(code)))
}

pub(crate) async fn move_(session: &mut Session, copy: &Copy) -> Outcome {
    writable(session, Rights::DELETE_MESSAGES | Rights::EXPUNGE)?; // RFC 6851 §3.3
    let Some(code) = transfer(session, copy, true).await? else { return Ok(Reply::ok("nothing to move")) };
    // RFC 6851 §4.3: COPYUID comes before the messages disappear.
    render::status(session.out(), None, Condition::Ok, Some(&code), "moved");
    session.sync(true).await?;
    Ok(Reply::ok("moved"))
}

/// Copies or moves in steps that fit a transaction. Returns COPYUID, or nothing if no message was meant
/// (RFC 4315 §3).
async fn transfer(session: &Session, copy: &Copy, remove: bool) -> Result<Option<Code<'static>>, Stop> {
    let selected = session.state.selected().ok_or_else(|| Reply::bad("open a mailbox first"))?;
    let Some(mut uids) = selected.view.resolve(&copy.set, copy.uid, &selected.saved) else {
        return Err(Reply::bad("there is no such message").into());
    };
    let (from, to) = (selected.mailbox, session.target(&copy.mailbox).await?.mailbox);
    if uids.is_empty() {
        return Ok(None);
    }
    let mut pairs: Vec<(u32, u32)> = Vec::new();
    let uid_validity = loop {
        let done = step(session, from, &uids, to, remove).await?;
        pairs.extend(&done.pairs);
        let Some(next) = done.next else { break done.uid_validity };
        uids = uids.intersection(&UidSet::from_ranges([next..=u32::MAX]));
    };
    if pairs.is_empty() {
        return Ok(None);
    }
    let side = |pick: fn(&(u32, u32)) -> u32| runs(pairs.iter().map(pick));
    Ok(Some(Code::CopyUid { uid_validity, from: side(|p| p.0).into(), to: side(|p| p.1).into() }))
}

async fn step(
    session: &Session,
    from: MailboxRef,
    uids: &UidSet,
    to: MailboxRef,
    remove: bool,
) -> Result<mail::Copied, Stop> {
    let mail = &session.services().mail;
    Ok(if remove { mail.move_(from, uids, to).await? } else { mail.copy(from, uids, to).await? })
}

/// Numbers in their order, neighbours as ranges: both sides of COPYUID must have the same order.
fn runs(numbers: impl Iterator<Item = u32>) -> Vec<std::ops::RangeInclusive<u32>> {
    let mut runs: Vec<std::ops::RangeInclusive<u32>> = Vec::new();
    for number in numbers {
        match runs.last_mut() {
            Some(last) if last.end().checked_add(1) == Some(number) => *last = *last.start()..=number,
            _ => runs.push(number..=number),
        }
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_is_kept() {
        assert_eq!(runs([3, 4, 9, 1, 2].into_iter()), [3..=4, 9..=9, 1..=2]);
        assert_eq!(runs([u32::MAX, 1].into_iter()), [u32::MAX..=u32::MAX, 1..=1]);
    }
}
