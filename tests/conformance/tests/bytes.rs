//! What was sent is what is fetched, byte for byte: the generated corpus, RFC examples and public-domain mail.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test ends where it fails")]

use std::sync::Arc;

use harness::{Http, Imap, Node, NodeOptions, Smtp, wait};

const BATCH: usize = 100;

type Named = (String, Vec<u8>);

/// SMTP carries lines that end in CRLF and no lone CR or LF (RFC 5321 §2.3.8); APPEND carries anything but NUL.
fn fit_for_smtp(message: &[u8]) -> bool {
    let text = message.strip_suffix(b"\r\n").map(|m| m.split(|b| *b == b'\n'));
    !message.contains(&0)
        && text.is_some_and(|mut lines| {
            let whole: Vec<&[u8]> = lines.by_ref().collect();
            let (last, before) = whole.split_last().map_or((&[][..], &[][..]), |(l, b)| (*l, b));
            let lone_cr = |line: &[u8]| line.contains(&b'\r');
            before.iter().all(|l| l.strip_suffix(b"\r").is_some_and(|l| !lone_cr(l))) && !lone_cr(last)
        })
}

fn node() -> Node {
    Node::start(NodeOptions { users: 1, ..NodeOptions::default() }).unwrap()
}

fn session(node: &Node) -> Imap {
    Imap::login(node.listener("imap"), "u0", "secret").unwrap()
}

/// Fetches everything in pages and compares; also makes the server describe each message.
fn compare(node: &Node, sent: &[Named], same: impl Fn(&[u8], &[u8]) -> bool) {
    let mut imap = session(node);
    imap.must("SELECT INBOX").unwrap();
    for (page, expected) in sent.chunks(BATCH).enumerate() {
        let (from, to) = (page * BATCH + 1, page * BATCH + expected.len());
        let reply = imap.must(&format!("FETCH {from}:{to} (UID BODY.PEEK[])")).unwrap();
        assert_eq!(reply.untagged.len(), expected.len());
        for (line, (name, message)) in reply.untagged.iter().zip(expected) {
            let at = line.windows(2).position(|w| w == b"\r\n").unwrap() + 2;
            let body = &line[at..line.len() - 1];
            assert!(same(body, message), "{name} came back changed: {:?}", String::from_utf8_lossy(line));
        }
        let described =
            imap.must(&format!("FETCH {from}:{to} (ENVELOPE BODYSTRUCTURE RFC822.SIZE)")).unwrap();
        assert_eq!(described.untagged.len(), expected.len());
    }
}

fn corpus() -> Arc<Vec<Named>> {
    let all: Vec<Named> = corpus::messages().collect();
    assert!(all.len() >= 1000, "only {} messages", all.len());
    Arc::new(all)
}

#[test]
fn delivered_mail_comes_back_as_it_was_sent() {
    let node = node();
    let sent: Vec<Named> = corpus().iter().filter(|(_, m)| fit_for_smtp(m)).cloned().collect();
    assert!(sent.len() >= 500, "only {} fit for SMTP", sent.len());
    let mut lmtp = Smtp::connect_lmtp(node.listener("lmtp")).unwrap();
    for (name, message) in &sent {
        let (code, text) = lmtp.send("sender@example.org", &["u0@example.test"], message).unwrap();
        assert_eq!(code, 250, "{name}: {text:?}");
    }
    // In front of it stand the trace fields of the delivery (RFC 5321 §4.4), and nothing else.
    compare(&node, &sent, |body, message| {
        body.ends_with(message) && body.starts_with(b"Return-Path: <sender@")
    });
}

#[test]
fn appended_mail_comes_back_as_it_was_given() {
    let node = node();
    let given: Vec<Named> =
        corpus().iter().filter(|(_, m)| !m.contains(&0) && !m.is_empty()).cloned().collect();
    let mut imap = session(&node);
    for (name, message) in &given {
        let reply = imap.append("INBOX", "", message).unwrap();
        assert!(reply.ok(), "{name}: {}", reply.status);
    }
    compare(&node, &given, |body, message| body == message);
}

#[test]
fn a_hundred_megabytes_cost_no_more_memory_than_a_hundred_kilobytes() {
    // Without the writer of the index, which takes what it takes whenever it comes to it.
    let roles = Some("smtp-in,submission,imap,jmap,delivery,tasks");
    let node = Node::start(NodeOptions { users: 1, roles, ..NodeOptions::default() }).unwrap();
    let line = b"All work and no play makes a dull message body, line after line after line.\r\n";
    let head = b"From: a@example.org\r\nSubject: large\r\n\r\n";
    let large = [&head[..], &line.repeat(100_000_000 / line.len())].concat();
    let small = [&head[..], &line.repeat(100_000 / line.len())].concat();
    let mut lmtp = Smtp::connect_lmtp(node.listener("lmtp")).unwrap();
    let mut send = |message: &[u8]| lmtp.send("a@example.org", &["u0@example.test"], message).unwrap().0;
    // Enough of them that each thread has had one to store: what a thread keeps for the next is not the message's.
    for _ in 0..200 {
        assert_eq!(send(&small), 250);
    }
    has_its_duties(&node);
    let before = peak(&node);
    assert_eq!(send(&large), 250);
    let growth = peak(&node).saturating_sub(before);
    assert!(growth < 8 << 20, "peak memory grew by {growth} bytes");
    let mut imap = session(&node);
    imap.must("SELECT INBOX").unwrap();
    let reply = imap.must("FETCH 201 (BODY.PEEK[TEXT]<99000000.100>)").unwrap();
    assert!(reply.text().concat().contains("dull message body"), "{:?}", reply.text());
    let growth = peak(&node).saturating_sub(before);
    assert!(growth < 32 << 20, "peak memory grew by {growth} bytes after the fetch");
}

/// On a shared store a node takes on its duties after a while: what they cost is not the message's.
fn has_its_duties(node: &Node) {
    let admin = Http::new(node.listener("admin"));
    wait::until("duties", || {
        let leases = admin.get("/cluster/leases")?.json();
        let held =
            leases["duties"].as_array().is_some_and(|all| all.iter().all(|duty| !duty["node"].is_null()));
        Ok(held.then_some(()))
    })
    .unwrap();
}

/// Peak resident memory in bytes.
fn peak(node: &Node) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", node.pid())).unwrap();
    let line = status.lines().find(|l| l.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}
