//! Mail and readers while FoundationDB loses processes, and recovers: every message that got its 250 is there once.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test ends where it fails")]

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use harness::{Imap, Node, NodeOptions, Smtp, wait};
use servers::foundationdb::{self, Cluster};

const USERS: u32 = 4;
const SENDERS: u32 = 8;
const UNAVAILABLE: &str = "NO [UNAVAILABLE]";

/// What clients went through.
#[derive(Debug, Default)]
struct Seen {
    /// Replies to the final dot, and answers to IMAP commands, by what they began with.
    answers: BTreeMap<String, usize>,
    longest: Duration,
}

impl Seen {
    fn note(&mut self, answer: &str, begun: Instant) {
        *self.answers.entry(answer.to_owned()).or_default() += 1;
        self.longest = self.longest.max(begun.elapsed());
    }

    fn add(mut self, other: Seen) -> Seen {
        for (answer, times) in other.answers {
            *self.answers.entry(answer).or_default() += times;
        }
        self.longest = self.longest.max(other.longest);
        self
    }
}

/// Senders, each with a ledger of what got its 250, and readers who change things.
struct Load {
    taken: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
    ledgers: Vec<PathBuf>,
    senders: Vec<JoinHandle<Seen>>,
    readers: Vec<JoinHandle<Seen>>,
}

impl Load {
    fn start(node: &Node, folder: &Path) -> Self {
        let (taken, stop) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        let ledgers: Vec<PathBuf> = (0..SENDERS).map(|n| folder.join(format!("ledger.{n}"))).collect();
        let senders = (0..SENDERS).zip(&ledgers).map(|(number, ledger)| {
            let (smtp, ledger) = (node.listener("smtp").to_owned(), File::create(ledger).unwrap());
            let (taken, stop) = (Arc::clone(&taken), Arc::clone(&stop));
            std::thread::spawn(move || send(&smtp, number, ledger, &taken, &stop))
        });
        let senders = senders.collect();
        let readers = (0..USERS).map(|user| {
            let (imap, stop) = (node.listener("imap").to_owned(), Arc::clone(&stop));
            std::thread::spawn(move || read(&imap, user, &stop))
        });
        let readers = readers.collect();
        Self { taken, stop, ledgers, senders, readers }
    }

    /// Waits until so many more messages have been taken.
    fn more(&self, messages: usize) {
        let aim = self.taken.load(Ordering::Relaxed) + messages;
        wait::until("mail to be taken", || Ok((self.taken.load(Ordering::Relaxed) >= aim).then_some(())))
            .unwrap();
    }

    /// Ends it; returns what senders and readers saw, and the ids in the ledgers.
    fn settle(self) -> (Seen, Seen, Vec<String>) {
        self.stop.store(true, Ordering::Relaxed);
        let all = |clients: Vec<JoinHandle<Seen>>| {
            clients.into_iter().map(|client| client.join().unwrap()).fold(Seen::default(), Seen::add)
        };
        let (senders, readers) = (all(self.senders), all(self.readers));
        let ledgers = self.ledgers.iter().map(|ledger| std::fs::read_to_string(ledger).unwrap());
        let ids = ledgers.flat_map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>());
        (senders, readers, ids.collect())
    }
}

/// `s` sender, `u` user, number.
fn id(sender: u32, number: u32) -> String {
    format!("s{sender}u{}n{number}", number % USERS)
}

fn send(smtp: &str, sender: u32, mut ledger: File, taken: &AtomicUsize, stop: &AtomicBool) -> Seen {
    let (mut seen, mut session) = (Seen::default(), Smtp::connect(smtp).unwrap());
    for number in 0.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let (id, begun) = (id(sender, number), Instant::now());
        match deliver(&mut session, &format!("u{}@example.test", number % USERS), &id) {
            250 => {
                writeln!(ledger, "{id}").unwrap();
                taken.fetch_add(1, Ordering::Relaxed);
                seen.note("250", begun);
            }
            code => {
                assert!((400..500).contains(&code), "{code}");
                seen.note(&code.to_string(), begun);
                session = Smtp::connect(smtp).unwrap();
            }
        }
    }
    seen
}

/// The first reply that refuses, or the last one.
fn deliver(session: &mut Smtp, to: &str, id: &str) -> u16 {
    for line in ["MAIL FROM:<s@example.org>", &format!("RCPT TO:<{to}>"), "DATA"] {
        let (code, _) = session.command(line).unwrap();
        if code >= 400 {
            return code;
        }
    }
    let text = format!("From: s@example.org\r\nSubject: {id}\r\nX-Id: {id}\r\n\r\nbody\r\n.\r\n");
    session.line.send(text.as_bytes()).unwrap();
    session.read_reply().unwrap().0
}

/// Marks what is there, and adds messages of its own and expunges them.
fn read(imap: &str, user: u32, stop: &AtomicBool) -> Seen {
    let mut seen = Seen::default();
    let mut session = Imap::login(imap, &format!("u{user}"), "secret").unwrap();
    session.must("SELECT INBOX").unwrap();
    while !stop.load(Ordering::Relaxed) {
        let begun = Instant::now();
        match session.append("INBOX", "(\\Deleted) ", b"Subject: reader\r\n\r\nbody\r\n") {
            Ok(appended) => seen.note(first_words(&appended.status), begun),
            // Refused before the literal, that is an error of the client's.
            Err(error) if error.to_string().contains(UNAVAILABLE) => seen.note(UNAVAILABLE, begun),
            Err(error) => panic!("{error}"),
        }
        for command in ["UID STORE 1:* +FLAGS.SILENT (\\Seen)", "EXPUNGE", "UID FETCH 1:* (FLAGS)"] {
            let begun = Instant::now();
            let reply = session.command(command).unwrap();
            seen.note(first_words(&reply.status), begun);
        }
    }
    seen
}

/// `OK`, or `NO [UNAVAILABLE]`.
fn first_words(status: &str) -> &str {
    let end = if status.starts_with("OK") { 2 } else { status.find(']').map_or(status.len(), |at| at + 1) };
    status.get(..end).unwrap_or(status)
}

/// How often each id is in its user's INBOX.
fn found(node: &Node) -> BTreeMap<String, usize> {
    let mut found = BTreeMap::new();
    for user in 0..USERS {
        let mut session = Imap::login(node.listener("imap"), &format!("u{user}"), "secret").unwrap();
        session.must("EXAMINE INBOX").unwrap();
        let reply = session.must("UID FETCH 1:* (BODY.PEEK[HEADER.FIELDS (X-ID)])").unwrap();
        for line in reply.text() {
            let id = line.split("X-Id: ").nth(1).and_then(|rest| rest.split("\r\n").next());
            if let Some(id) = id.filter(|id| id.contains(&format!("u{user}n"))) {
                *found.entry(id.to_owned()).or_default() += 1;
            }
        }
    }
    found
}

/// A node on the cluster under load while `trouble` comes; then the books are compared.
fn through(mut cluster: Cluster, trouble: impl FnOnce(&mut Cluster, &Load)) {
    let store = Some(format!("fdb:{}?prefix=mail/", cluster.file().display()));
    let node = Node::start(NodeOptions { users: USERS, store, ..NodeOptions::default() }).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let load = Load::start(&node, folder.path());
    load.more(50);
    let before = cluster.generation();
    trouble(&mut cluster, &load);
    load.more(50);
    let (senders, readers, acknowledged) = load.settle();
    let recoveries = cluster.generation().saturating_sub(before);
    eprintln!("generations {recoveries}; senders {senders:?}; readers {readers:?}");
    let found = found(&node);
    let times = |id: &String| found.get(id).copied().unwrap_or_default();
    let lost: Vec<_> = acknowledged.iter().filter(|id| times(id) == 0).collect();
    let twice: Vec<_> = found.iter().filter(|(_, times)| **times > 1).collect();
    eprintln!("acknowledged {}, lost {}, duplicates {}", acknowledged.len(), lost.len(), twice.len());
    assert!(lost.is_empty() && twice.is_empty(), "lost {lost:?}, there more than once {twice:?}");
    // Recoveries are shorter than senders' patience (RFC 5321 §4.5.3.2), and may be longer than that of readers.
    assert_eq!(senders.answers.keys().collect::<Vec<_>>(), ["250"], "a recovery was seen by senders");
    let unavailable = |answer: &String| answer == "OK" || answer == UNAVAILABLE;
    assert!(readers.answers.keys().all(unavailable), "{readers:?}");
}

/// Five processes, three of which coordinate; two copies of everything, on disk.
fn five() -> Option<Cluster> {
    foundationdb::cluster(5, 3, "double ssd")
}

#[test]
fn the_loss_of_the_cluster_controller_loses_no_mail() {
    let Some(cluster) = five() else { return };
    through(cluster, |cluster, load| {
        for _ in 0..3 {
            let leader = cluster.leader();
            cluster.kill(leader);
            load.more(40);
            cluster.run(leader);
            load.more(20);
        }
    });
}

#[test]
fn storage_that_stands_still_and_dies_loses_no_mail() {
    let Some(cluster) = five() else { return };
    through(cluster, |cluster, load| {
        let leader = cluster.leader();
        let storage = cluster.with_role("storage").into_iter().find(|n| *n != leader).unwrap();
        cluster.signal(storage, "-STOP");
        load.more(40);
        cluster.signal(storage, "-CONT");
        load.more(20);
        cluster.kill(storage);
        load.more(40);
        cluster.run(storage);
        load.more(20);
        // And the one that leads, standing still until another does.
        let leader = cluster.leader();
        cluster.signal(leader, "-STOP");
        load.more(40);
        cluster.signal(leader, "-CONT");
    });
}

/// One process: what waits is done as soon as it is back.
#[test]
fn a_store_that_is_killed_and_comes_back_loses_no_mail() {
    let Some(cluster) = foundationdb::cluster(1, 1, "single ssd") else { return };
    through(cluster, |cluster, load| {
        for _ in 0..2 {
            cluster.kill(0);
            cluster.run(0);
            load.more(40);
        }
    });
}
