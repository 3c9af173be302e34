//! Mail for a mailbox that others change all the time: all of it is taken, and nobody is kept waiting for long.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test ends where it fails")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use harness::{Imap, Node, NodeOptions, Smtp};

const READERS: usize = 8;
const SENDERS: usize = 8;
/// Messages of each sender.
const EACH: usize = 25;

fn message(text: &str) -> Vec<u8> {
    format!("From: s@example.org\r\nSubject: {text}\r\nX-Id: {text}\r\n\r\nbody\r\n").into_bytes()
}

/// Adds, marks and expunges until it is told to stop; returns how long each round took.
fn meddle(imap: &str, number: usize, stop: &AtomicBool) -> Vec<Duration> {
    let mut session = Imap::login(imap, "u0", "secret").unwrap();
    session.must("SELECT INBOX").unwrap();
    let mut rounds = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let begun = Instant::now();
        let appended = session.append("INBOX", &format!("($Reader{number}) "), &message("reader")).unwrap();
        assert!(appended.ok(), "{}", appended.status);
        session.must("UID STORE 1:* +FLAGS.SILENT (\\Seen)").unwrap();
        let found = session.must(&format!("UID SEARCH KEYWORD $Reader{number}")).unwrap();
        let uids = found
            .text()
            .into_iter()
            .find_map(|l| Some(l.strip_prefix("* SEARCH ")?.trim().replace(' ', ",")));
        if let Some(uids) = uids {
            session.must(&format!("UID STORE {uids} +FLAGS.SILENT (\\Deleted)")).unwrap();
            session.must(&format!("UID EXPUNGE {uids}")).unwrap();
        }
        rounds.push(begun.elapsed());
    }
    rounds
}

/// Sends its messages; returns how long each waited for its 250.
fn send(smtp: &str, sender: usize) -> Vec<Duration> {
    let mut session = Smtp::connect(smtp).unwrap();
    let send = |n| {
        let begun = Instant::now();
        let text = message(&format!("{sender}-{n}"));
        let reply = session.send("s@example.org", &["u0@example.test"], &text).unwrap();
        assert_eq!(reply.0, 250, "{reply:?}");
        begun.elapsed()
    };
    (0..EACH).map(send).collect()
}

fn told(what: &str, mut times: Vec<Duration>) {
    times.sort_unstable();
    let at = |percent: usize| {
        times.get(times.len().saturating_sub(1) * percent / 100).copied().unwrap_or_default()
    };
    eprintln!("{what}: {}, p50 {:?}, p99 {:?}, longest {:?}", times.len(), at(50), at(99), at(100));
}

#[test]
fn a_mailbox_that_is_changed_all_the_time_takes_mail() {
    let node = Node::start(NodeOptions { users: 1, ..NodeOptions::default() }).unwrap();
    let (smtp, imap) = (node.listener("smtp").to_owned(), node.listener("imap").to_owned());
    let stop = Arc::new(AtomicBool::new(false));
    let readers: Vec<_> = (0..READERS)
        .map(|number| {
            let (imap, stop) = (imap.clone(), Arc::clone(&stop));
            std::thread::spawn(move || meddle(&imap, number, &stop))
        })
        .collect();
    let senders: Vec<_> = (0..SENDERS)
        .map(|sender| {
            let smtp = smtp.clone();
            std::thread::spawn(move || send(&smtp, sender))
        })
        .collect();
    told("messages", senders.into_iter().flat_map(|sender| sender.join().unwrap()).collect());
    stop.store(true, Ordering::Relaxed);
    let rounds: Vec<Vec<Duration>> = readers.into_iter().map(|reader| reader.join().unwrap()).collect();
    assert!(rounds.iter().all(|rounds| !rounds.is_empty()), "a reader got nothing done");
    told("rounds of readers", rounds.concat());
    let mut session = Imap::login(&imap, "u0", "secret").unwrap();
    session.must("EXAMINE INBOX").unwrap();
    let all = session.must("UID FETCH 1:* (BODY.PEEK[HEADER.FIELDS (X-ID)])").unwrap().text().join("\n");
    for id in (0..SENDERS).flat_map(|sender| (0..EACH).map(move |n| format!("X-Id: {sender}-{n}\r\n"))) {
        assert_eq!(all.matches(&id).count(), 1, "{id}");
    }
}
