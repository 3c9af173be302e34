//! kill −9 under load: every message that got its 250 is there exactly once, UIDs ascend, and clients that
//! resynchronize with QRESYNC (RFC 7162 §3.2) converge.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test ends where it fails")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use harness::{Imap, Node, NodeOptions, Smtp, wait};

const USERS: u32 = 8;
const SENDERS: u32 = 32;
const ROUNDS: u32 = 4;

/// What a reader holds of a mailbox between connections: enough to resynchronize.
#[derive(Default)]
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

/// One look at the mailbox through QRESYNC; also changes something, so that there is something to resynchronize.
fn resynchronize(imap: &str, user: u32, replica: &mut Replica, meddle: bool) -> anyhow::Result<()> {
    let mut session = Imap::login(imap, &format!("u{user}"), "secret")?;
    session.must("ENABLE QRESYNC")?;
    let select = match replica.modseq {
        0 => "SELECT INBOX".to_owned(),
        modseq => format!("SELECT INBOX (QRESYNC ({} {modseq}))", replica.uid_validity),
    };
    let reply = session.must(&select)?;
    let fresh = replica.modseq == 0;
    for line in reply.text() {
        if let Some(validity) = number_after(&line, "[UIDVALIDITY ") {
            anyhow::ensure!(fresh || validity == u64::from(replica.uid_validity), "UIDVALIDITY changed");
            replica.uid_validity = u32::try_from(validity)?;
        }
        if let Some(modseq) = number_after(&line, "[HIGHESTMODSEQ ") {
            anyhow::ensure!(modseq >= replica.modseq, "HIGHESTMODSEQ went back");
            replica.modseq = modseq;
        }
        if let Some(set) = line.strip_prefix("* VANISHED (EARLIER) ") {
            each_uid(set, |uid| {
                replica.uids.remove(&uid);
            });
        }
        if let Some(uid) = number_after(&line, "UID ").filter(|_| line.contains("FETCH")) {
            replica.uids.insert(u32::try_from(uid)?);
        }
    }
    if fresh {
        replica.uids = all_uids(&mut session)?;
    }
    if meddle {
        session.must("UID STORE 1:* +FLAGS.SILENT (\\Seen)")?;
    }
    Ok(())
}

fn all_uids(session: &mut Imap) -> anyhow::Result<BTreeSet<u32>> {
    let reply = session.must("UID SEARCH ALL")?;
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
    replicas: &Arc<Mutex<BTreeMap<u32, Replica>>>,
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
        .map(|user| {
            let (imap, stop, replicas) = (imap.clone(), Arc::clone(&stop), Arc::clone(replicas));
            std::thread::spawn(move || {
                let mut mine = replicas.lock().unwrap().remove(&user).unwrap_or_default();
                while !stop.load(Ordering::Relaxed) && resynchronize(&imap, user, &mut mine, true).is_ok() {}
                // What a cut left half read is forgotten: the next look starts from nothing.
                replicas.lock().unwrap().insert(user, Replica::default());
            })
        })
        .collect();
    let begun = next.load(Ordering::Relaxed);
    wait::until("some load", || {
        Ok((next.load(Ordering::Relaxed) as usize >= begun as usize + least).then_some(()))
    })
    .unwrap();
    node.kill().unwrap();
    stop.store(true, Ordering::Relaxed);
    readers.into_iter().for_each(|r| r.join().unwrap());
    senders.into_iter().flat_map(|s| s.join().unwrap()).collect()
}

#[test]
fn what_was_acknowledged_is_there_once() {
    let mut node = Node::start(NodeOptions { users: USERS, ..NodeOptions::default() }).unwrap();
    let next = Arc::new(AtomicU32::new(0));
    let replicas = Arc::new(Mutex::new(BTreeMap::new()));
    let mut acknowledged = Vec::new();
    for n in 0..ROUNDS {
        acknowledged.extend(round(&mut node, &next, &replicas, 200 + 150 * n as usize));
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
        let mut replica = Replica::default();
        resynchronize(&imap, user, &mut replica, true).unwrap();
        let mut session = Imap::login(&imap, &format!("u{user}"), "secret").unwrap();
        session.must("SELECT INBOX").unwrap();
        session.must("STORE 1:5 +FLAGS.SILENT (\\Deleted)").unwrap();
        session.must("EXPUNGE").unwrap();
        resynchronize(&imap, user, &mut replica, false).unwrap();
        assert_eq!(replica.uids, all_uids(&mut session).unwrap(), "replica of u{user}");
    }
}
