//! STORE (RFC 9051 §6.4.6), conditional with UNCHANGEDSINCE (RFC 7162 §3.1.3).

use accounts::Rights;
use imap_proto::command::{Store, StoreAction};
use imap_proto::render::{Code, FetchWriter};
use mail::{FlagChange, MessageRow, UidSet};
use schema::{Flags, ModSeq, SystemFlags};

use crate::command::expunge::writable;
use crate::flags;
use crate::reply::{Outcome, Reply};
use crate::session::Session;

pub(crate) async fn run(session: &mut Session, store: Store) -> Outcome {
    let parsed = flags::parse(&store.flags)?;
    let selected = writable(session, needed(&parsed, store.action))?;
    let mailbox = selected.mailbox;
    let Some(mut uids) = selected.view.resolve(&store.set, store.uid, &selected.saved) else {
        return Err(Reply::bad("there is no such message").into());
    };
    let change = match store.action {
        StoreAction::Replace => FlagChange::Replace(parsed),
        StoreAction::Add => FlagChange::Add(parsed),
        StoreAction::Remove => FlagChange::Remove(parsed),
    };
    // RFC 7162 §3.1.3: asking for a condition is a sign of CONDSTORE.
    session.modes.condstore |= store.unchanged_since.is_some();
    let since = store.unchanged_since.map(ModSeq);
    let mut modified: Vec<u32> = Vec::new();
    while !uids.is_empty() {
        let outcome = session.services().mail.store_flags(mailbox, &uids, &change, since).await?;
        modified.extend(&outcome.modified);
        // RFC 9051 §6.4.6: the value is told, also where it was the same already.
        let unchanged = outcome.unchanged.iter().filter(|_| !store.silent);
        for row in outcome.changed.iter().chain(unchanged) {
            tell(session, &store, row);
        }
        session.connection.relieve().await?;
        let Some(next) = outcome.next else { break };
        uids = uids.intersection(&UidSet::from_ranges([next..=u32::MAX]));
    }
    Ok(conclusion(session, &store, &modified))
}

/// What one must be allowed to do to change these flags (RFC 4314 §4).
fn needed(flags: &Flags, action: StoreAction) -> Rights {
    if action == StoreAction::Replace {
        return Rights::SEEN | Rights::DELETE_MESSAGES | Rights::WRITE;
    }
    let seen = if flags.has(SystemFlags::SEEN) { Rights::SEEN } else { Rights::NONE };
    let deleted = if flags.has(SystemFlags::DELETED) { Rights::DELETE_MESSAGES } else { Rights::NONE };
    let others = flags.difference(&Flags::from(SystemFlags::SEEN | SystemFlags::DELETED));
    let others = if others.is_empty() { Rights::NONE } else { Rights::WRITE };
    seen | deleted | others
}

/// The new flags of a message (RFC 9051 §6.4.6). With `.SILENT` only a client of CONDSTORE is told, and only
/// the mod-sequence (RFC 7162 §3.1.3).
fn tell(session: &mut Session, store: &Store, row: &MessageRow) {
    let modes = session.modes;
    let Some(selected) = session.state.selected_mut() else { return };
    selected.view.note_told(row);
    let Some(seq) = selected.view.seq_of(row.uid) else { return };
    if store.silent && !modes.condstore {
        return;
    }
    let mut writer = FetchWriter::begin(session.connection.output(), seq);
    if store.uid || modes.condstore {
        writer.uid(row.uid);
    }
    if !store.silent {
        writer.flags(flags::names(&row.flags));
    }
    if modes.condstore {
        writer.modseq(row.modseq.0);
    }
    writer.end();
}

fn conclusion(session: &Session, store: &Store, modified: &[u32]) -> Reply {
    let Some(selected) = session.state.selected().filter(|_| !modified.is_empty()) else {
        return Reply::ok("done");
    };
    // RFC 7162 §3.1.3: numbers as the command had them.
    let modified: UidSet = modified.iter().copied().collect();
    let numbers: UidSet = selected.view.numbers(&modified, store.uid).collect();
    let ranges: Vec<_> = numbers.ranges().collect();
    Reply::ok("some were changed meanwhile").with(Code::Modified(ranges.into()))
}
