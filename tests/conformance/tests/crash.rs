//! kill −9 under load: every message that got its 250 is there exactly once, UIDs ascend, and clients that
//! resynchronize with QRESYNC (RFC 7162 §3.2) converge.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test ends where it fails")]

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use harness::imap::Reply;
use harness::{Imap, Node, NodeOptions, Smtp, wait};

const USERS: u32 = 8;
const SENDERS: u32 = 32;
const ROUNDS: u32 = 4;

/// What a reader holds of a mailbox between connections: enough to resynchronize.
#[derive(Clone, Default)]
struct Replica {
    uid_validity: u32,
    modseq: u64,
    uids: BTreeSet<u32>,
}

fn message(id: &str, size: usize) -> Vec<u8> {
    let mut text = format!("From: s@example.org\r\nSubject: {id}\r\nX-Id: {id}\r\n\r\n");
    while text.len() < size {
        text.push_str("All that is acknowledged is kept, whatever happens to the process.\r\n");
    }
    text.into_bytes()
}

fn send_until_cut(smtp: &str, sender: u32, next: &AtomicU32, stop: &AtomicBool) -> Vec<(u32, String)> {
    let mut acknowledged = Vec::new();
    let Ok(mut session) = Smtp::connect(smtp) else { return acknowledged };
    while !stop.load(Ordering::Relaxed) {
        let n = next.fetch_add(1, Ordering::Relaxed);
        let user = n % USERS;
        let id = format!("{sender}-{n}");
        let size = if n.is_multiple_of(25) { 200_000 } else { 2_000 };
        let to = format!("u{user}@example.test");
        match session.send("s@example.org", &[&to], &message(&id, size)) {
            Ok((250, _)) => acknowledged.push((user, id)),
            _ => break,
        }
    }
    acknowledged
}

fn number_after(text: &str, word: &str) -> Option<u64> {
    let rest = text.split(word).nth(1)?;
    rest.trim_start().split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

/// Adds `1:3,7` to a set or takes it away.
fn each_uid(set: &str, mut apply: impl FnMut(u32)) {
    for part in set.split(',') {
        let (from, to) = part.split_once(':').unwrap_or((part, part));
        if let (Ok(from), Ok(to)) = (from.parse::<u32>(), to.parse::<u32>()) {
            (from.min(to)..=from.max(to)).for_each(&mut apply);
        }
    }
}

/// A command that is answered with OK, or cut off.
fn must(session: &mut Imap, text: &str) -> anyhow::Result<Reply> {
    let reply = session.command(text)?;
    assert!(reply.ok(), "{text}: {}", reply.status);
    Ok(reply)
}

/// One look at the mailbox through QRESYNC: what the reader holds after it. An error means that it was cut off.
fn resynchronize(imap: &str, user: u32, replica: &Replica) -> anyhow::Result<(Imap, Replica)> {
    let mut session = Imap::connect(imap)?;
    must(&mut session, &format!("LOGIN u{user} secret"))?;
    must(&mut session, "ENABLE QRESYNC")?;
    let fresh = replica.modseq == 0;
    let select = match replica.modseq {
        0 => "SELECT INBOX".to_owned(),
        modseq => format!("SELECT INBOX (QRESYNC ({} {modseq}))", replica.uid_validity),
    };
    let mut now = replica.clone();
    for line in must(&mut session, &select)?.text() {
        if let Some(validity) = number_after(&line, "[UIDVALIDITY ") {
            assert!(fresh || validity == u64::from(replica.uid_validity), "UIDVALIDITY changed");
            now.uid_validity = u32::try_from(validity)?;
        }
        if let Some(modseq) = number_after(&line, "[HIGHESTMODSEQ ") {
            assert!(modseq >= replica.modseq, "HIGHESTMODSEQ went back");
            now.modseq = modseq;
        }
        if let Some(set) = line.strip_prefix("* VANISHED (EARLIER) ") {
            each_uid(set, |uid| {
                now.uids.remove(&uid);
            });
        }
        if let Some(uid) = number_after(&line, "UID ").filter(|_| line.contains("FETCH")) {
            now.uids.insert(u32::try_from(uid)?);
        }
    }
    if fresh {
        now.uids = all_uids(&mut session)?;
    }
    Ok((session, now))
}

/// Looks and looks again until it is cut off, each time changing something; returns what it held last.
fn read_until_cut(imap: &str, user: u32, mut replica: Replica, stop: &AtomicBool) -> Replica {
    while !stop.load(Ordering::Relaxed) {
        let Ok((mut session, now)) = resynchronize(imap, user, &replica) else { break };
        replica = now;
        if meddle(&mut session).is_err() {
            break;
        }
    }
    replica
}

/// Sees all messages, and adds one without an id of a sender's and expunges those before it.
fn meddle(session: &mut Imap) -> anyhow::Result<()> {
    must(session, "UID STORE 1:* +FLAGS.SILENT (\\Seen)")?;
    session.append("INBOX", "($Reader) ", &message("reader", 300))?;
    let reply = must(session, "UID SEARCH KEYWORD $Reader")?;
    let found = reply.text().into_iter().find_map(|l| Some(l.strip_prefix("* SEARCH ")?.to_owned()));
    if let Some((earlier, _)) = found.as_deref().and_then(|uids| uids.trim().rsplit_once(' ')) {
        must(session, &format!("UID STORE {} +FLAGS.SILENT (\\Deleted)", earlier.replace(' ', ",")))?;
        must(session, "EXPUNGE")?;
    }
    Ok(())
}

fn all_uids(session: &mut Imap) -> anyhow::Result<BTreeSet<u32>> {
    let reply = must(session, "UID SEARCH ALL")?;
    let line = reply.text().into_iter().find_map(|l| Some(l.strip_prefix("* SEARCH")?.to_owned()));
    Ok(line.unwrap_or_default().split_whitespace().filter_map(|w| w.parse().ok()).collect())
}

fn ids_of(imap: &str, user: u32) -> anyhow::Result<Vec<(u32, String)>> {
    let mut session = Imap::login(imap, &format!("u{user}"), "secret")?;
    session.must("EXAMINE INBOX")?;
    let reply = session.must("UID FETCH 1:* (BODY.PEEK[HEADER.FIELDS (X-ID)])")?;
    let read = |line: &String| {
        let id = line.split("X-Id: ").nth(1)?.split("\r\n").next()?.to_owned();
        Some((u32::try_from(number_after(line, "UID ")?).ok()?, id))
    };
    Ok(reply.text().iter().filter_map(read).collect())
}

fn round(
    node: &mut Node,
    next: &Arc<AtomicU32>,
    replicas: &mut [Replica],
    least: usize,
) -> Vec<(u32, String)> {
    let stop = Arc::new(AtomicBool::new(false));
    let smtp = node.listener("smtp").to_owned();
    let imap = node.listener("imap").to_owned();
    let senders: Vec<_> = (0..SENDERS)
        .map(|sender| {
            let (smtp, next, stop) = (smtp.clone(), Arc::clone(next), Arc::clone(&stop));
            std::thread::spawn(move || send_until_cut(&smtp, sender, &next, &stop))
        })
        .collect();
    let readers: Vec<_> = (0..USERS)
        .zip(replicas.iter().cloned())
        .map(|(user, replica)| {
            let (imap, stop) = (imap.clone(), Arc::clone(&stop));
            std::thread::spawn(move || read_until_cut(&imap, user, replica, &stop))
        })
        .collect();
    let begun = next.load(Ordering::Relaxed);
    wait::until("some load", || {
        Ok((next.load(Ordering::Relaxed) as usize >= begun as usize + least).then_some(()))
    })
    .unwrap();
    node.kill().unwrap();
    stop.store(true, Ordering::Relaxed);
    for (replica, reader) in replicas.iter_mut().zip(readers) {
        *replica = reader
            .join()
            .unwrap_or_else(|_| panic!("a reader failed; the node's log: {}", node.log().unwrap()));
    }
    senders.into_iter().flat_map(|s| s.join().unwrap()).collect()
}

#[test]
fn what_was_acknowledged_is_there_once() {
    let mut node = Node::start(NodeOptions { users: USERS, ..NodeOptions::default() }).unwrap();
    let next = Arc::new(AtomicU32::new(0));
    let mut replicas = vec![Replica::default(); USERS as usize];
    let mut acknowledged = Vec::new();
    for n in 0..ROUNDS {
        acknowledged.extend(round(&mut node, &next, &mut replicas, 200 + 150 * n as usize));
        node.start_again().unwrap();
    }
    assert!(acknowledged.len() > 100, "only {} acknowledged", acknowledged.len());
    let imap = node.listener("imap").to_owned();
    for user in 0..USERS {
        let found = ids_of(&imap, user).unwrap();
        assert!(found.is_sorted_by(|a, b| a.0 < b.0), "UIDs do not ascend");
        let times = |id: &str| found.iter().filter(|(_, f)| f == id).count();
        for (_, id) in acknowledged.iter().filter(|(u, _)| *u == user) {
            assert_eq!(times(id), 1, "message {id} of u{user}");
        }
        // What the reader held when it was cut off last, and what has become of it.
        let held = &replicas[user as usize];
        assert!(held.modseq > 0, "u{user} was never read");
        let (mut session, now) = resynchronize(&imap, user, held).unwrap();
        assert_eq!(now.uids, all_uids(&mut session).unwrap(), "replica of u{user}");
        must(&mut session, "STORE 1:5 +FLAGS.SILENT (\\Deleted)").unwrap();
        must(&mut session, "EXPUNGE").unwrap();
        let (mut session, now) = resynchronize(&imap, user, &now).unwrap();
        assert_eq!(now.uids, all_uids(&mut session).unwrap(), "replica of u{user} after EXPUNGE");
    }
}
