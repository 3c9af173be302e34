//! COPY and MOVE (RFC 9051 §6.4.7, §6.4.8; RFC 6851), with COPYUID (RFC 4315 §3).

use accounts::Rights;
use imap_proto::command::Copy;
use imap_proto::render::{self, Code, Condition};
use mail::{Copied, MailboxRef, UidSet};

use crate::command::expunge::writable;
use crate::reply::{Outcome, Reply, Stop};
use crate::session::Session;

pub(crate) async fn copy(session: &mut Session, copy: &Copy) -> Outcome {
    let Some((from, uids, to)) = which(session, copy).await? else { return Ok(Reply::ok("nothing to copy")) };
    let copied = session.services().mail.copy_all(from, &uids, to).await?;
    Ok(copy_uid(&copied).map_or(Reply::ok("nothing to copy"), |code| Reply::ok("copied").with(code)))
}

pub(crate) async fn move_(session: &mut Session, copy: &Copy) -> Outcome {
    writable(session, Rights::DELETE_MESSAGES | Rights::EXPUNGE)?; // RFC 6851 §3.3
    let Some((from, uids, to)) = which(session, copy).await? else { return Ok(Reply::ok("nothing to move")) };
    let (moved, outcome) = session.services().mail.move_all(from, &uids, to).await;
    let code = copy_uid(&moved);
    if let Some(code) = &code {
        // RFC 6851 §4.3: COPYUID comes before the messages disappear; also if not all of them could be moved.
        render::status(session.out(), None, Condition::Ok, Some(code), "moved");
        session.sync(true).await?;
    }
    outcome?;
    Ok(Reply::ok(if code.is_some() { "moved" } else { "nothing to move" }))
}

/// Which messages are meant, and where they are to go; nothing if no message is meant (RFC 4315 §3).
async fn which(session: &Session, copy: &Copy) -> Result<Option<(MailboxRef, UidSet, MailboxRef)>, Stop> {
    let selected = session.state.selected().ok_or_else(|| Reply::bad("open a mailbox first"))?;
    let Some(uids) = selected.view.resolve(&copy.set, copy.uid, &selected.saved) else {
        return Err(Reply::bad("there is no such message").into());
    };
    let (from, to) = (selected.mailbox, session.target(&copy.mailbox).await?.mailbox);
    Ok(Some((from, uids, to)).filter(|(_, uids, _)| !uids.is_empty()))
}

/// COPYUID, or nothing if there was nothing to copy (RFC 4315 §3).
fn copy_uid(copied: &Copied) -> Option<Code<'static>> {
    let side = |pick: fn(&(u32, u32)) -> u32| runs(copied.pairs.iter().map(pick));
    let (from, to) = (side(|p| p.0).into(), side(|p| p.1).into());
    (!copied.pairs.is_empty()).then_some(Code::CopyUid { uid_validity: copied.uid_validity, from, to })
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
