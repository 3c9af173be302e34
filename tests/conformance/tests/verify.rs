//! `godwit store verify` on a whole node: while mail comes in it finds nothing; what was damaged while the node was down it
//! finds and mends, with the node down or up, and clients see their mail.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test ends where it fails")]

use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use harness::{Imap, Node, NodeOptions, Smtp};
use runtime::{SystemClock, SystemRng};
use schema::keys::account::AddressKey;
use schema::keys::mail::*;
use schema::page::Page;
use schema::records::account::AddressTarget;
use schema::{AccountId, Key, MailboxId, Record, Uid};
use serde_json::Value;

const MESSAGES: u32 = 30;

fn message(n: u32) -> Vec<u8> {
    let body = "0123456789\r\n".repeat(if n.is_multiple_of(10) { 60_000 } else { 20 });
    format!("From: s@example.org\r\nSubject: {n}\r\nMessage-ID: <{n}@x>\r\n\r\n{body}").into_bytes()
}

fn config(node: &Node) -> PathBuf {
    let file = node.data().with_extension("toml");
    let text = format!("hostname = \"mail.example.test\"\ndata = {:?}\nlog = \"warn\"\n", node.data());
    std::fs::write(&file, text).unwrap();
    file
}

fn verify(node: &Node, more: &[&str]) -> Output {
    let mut command = Command::new(harness::node::binary().unwrap());
    command.args(["store", "verify", "--config"]).arg(config(node)).args(more);
    command.stdin(Stdio::null()).output().unwrap()
}

/// Finds nothing.
fn sound(node: &Node, more: &[&str]) -> String {
    let output = verify(node, more);
    let text = String::from_utf8(output.stdout).unwrap();
    let words = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success() && text.contains(": 0 findings"), "{text}{words}");
    text
}

fn kinds(output: &Output) -> Vec<String> {
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    let events = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let mut kinds: Vec<String> =
        events.filter(|e| e["event"] == "finding").map(|e| e["kind"].as_str().unwrap().to_owned()).collect();
    kinds.sort();
    kinds.dedup();
    kinds
}

/// Writes to the store of a node that is down, as a broken disk might.
fn damage(node: &Node, change: impl Fn(&kv::Transaction, AccountId) + Send + Sync) {
    let dir = node.data().join("store");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let (clock, rng) = (SystemClock::shared(), SystemRng::shared());
        let options = kv_embedded::Options::new(clock.clone(), rng.clone());
        let db = kv::Database::new(kv_embedded::open(&dir, options).unwrap(), clock, rng);
        let address = AddressKey { domain: "example.test".into(), local: "u0".into() }.encode();
        let (change, address) = (&change, &address);
        let done = db.transact("damage", |txn| async move {
            let value = txn.get(address).await?.expect("the account is there");
            change(&txn, AccountId(AddressTarget::from_bytes(&value).unwrap().account));
            Ok::<_, kv::Error>(())
        });
        done.await.unwrap();
        db.close().await.unwrap();
    });
}

fn node() -> Node {
    let store = Some("embedded:".to_owned());
    let node = Node::start(NodeOptions { users: 1, store, ..NodeOptions::default() }).unwrap();
    deliver(&node, 0..MESSAGES);
    let mut session = open(&node);
    session.must("CREATE Work").unwrap();
    session.must("COPY 1:10 Work").unwrap();
    session.must("STORE 3:5 +FLAGS (\\Seen $Work)").unwrap();
    session.must("STORE 30 +FLAGS (\\Deleted)").unwrap();
    session.must("EXPUNGE").unwrap();
    node
}

fn deliver(node: &Node, messages: std::ops::Range<u32>) {
    let mut smtp = Smtp::connect(node.listener("smtp")).unwrap();
    for n in messages {
        let (code, text) = smtp.send("s@example.org", &["u0@example.test"], &message(n)).unwrap();
        assert_eq!(code, 250, "{text:?}");
    }
}

fn open(node: &Node) -> Imap {
    let mut session = Imap::login(node.listener("imap"), "u0", "secret").unwrap();
    session.must("SELECT INBOX").unwrap();
    session
}

const INBOX: MailboxId = MailboxId(1);

#[test]
fn damage_is_found_and_mended_with_the_node_down() {
    let mut node = node();
    assert!(node.stop().unwrap());
    sound(&node, &[]);
    sound(&node, &["--bodies"]);
    sound(&node, &["--account", "u0@example.test", "--bodies"]);
    assert!(!verify(&node, &["--account", "nobody@example.test"]).status.success());

    damage(&node, |txn, account| {
        let mailbox = INBOX;
        txn.set(&CountersKey { account, mailbox }.encode(), &[7; 20]);
        txn.clear(&MessageKey { account, mailbox, uid: Uid::new(4).unwrap() }.encode());
        txn.set(&FlagKey { account, mailbox, flag: FlagNumber::system(2), uid: Uid::MIN }.encode(), b"");
        txn.clear(&MailboxKey { account, mailbox: MailboxId(7) }.encode());
    });
    let found = verify(&node, &["--json"]);
    assert!(!found.status.success());
    let all = ["counters-wrong", "index-stale", "mailbox-lost", "message-lost", "page-ghost", "quota-wrong"];
    assert_eq!(kinds(&found), all);
    let text = String::from_utf8(verify(&node, &[]).stdout).unwrap();
    assert!(text.contains("u0@example.test INBOX UID 4: Message"), "{text}");

    let refused = verify(&node, &["--repair"]);
    assert!(!refused.status.success());
    let text = String::from_utf8(refused.stdout).unwrap();
    assert!(text.contains("plan:\n") && text.contains("rebuild the message"), "{text}");
    assert_eq!(kinds(&verify(&node, &["--json"])), all, "nothing was changed");
    let mended = verify(&node, &["--repair", "--yes"]);
    assert!(mended.status.success(), "{mended:?}");
    sound(&node, &["--bodies"]);

    node.start_again().unwrap();
    let mut session = open(&node);
    assert_eq!(session.bodies().unwrap().len(), 29);
    let status = session.must("STATUS Work (MESSAGES)").unwrap().text().join(" ");
    assert!(status.contains("MESSAGES 10"), "{status}");
    let flags = session.must("UID FETCH 4 (FLAGS)").unwrap().text().join(" ");
    assert!(flags.contains("\\Seen") && flags.contains("$Work"), "{flags}");
    deliver(&node, 30..31);
    sound(&node, &["--bodies"]);
}

#[test]
fn a_running_node_finds_nothing_while_mail_comes_in() {
    let node = Arc::new(node());
    let stop = Arc::new(AtomicBool::new(false));
    let writers: Vec<_> = (0..2)
        .map(|writer| {
            let (node, stop) = (Arc::clone(&node), Arc::clone(&stop));
            std::thread::spawn(move || {
                let mut session = open(&node);
                let mut n = 1_000 * (writer + 1);
                while !stop.load(Ordering::Relaxed) {
                    deliver(&node, n..n + 5);
                    n += 5;
                    for command in [
                        "NOOP",
                        "STORE 1:* +FLAGS (\\Seen)",
                        "COPY 1:3 Work",
                        "STORE 2 +FLAGS (\\Deleted)",
                        "EXPUNGE",
                    ] {
                        // A message may have gone meanwhile.
                        session.command(command).unwrap();
                    }
                }
                n
            })
        })
        .collect();
    for more in [&[][..], &["--bodies"], &["--account", "u0@example.test"], &["--account", "u0@example.test"]]
    {
        sound(&node, more);
    }
    stop.store(true, Ordering::Relaxed);
    for writer in writers {
        assert!(writer.join().unwrap() > 1_005, "mail came in");
    }
    sound(&node, &["--bodies"]);
    assert!(!node.log().unwrap().contains("panicked"));
}

/// Over the admin API; whoever has the mailbox open sees what was mended.
#[test]
fn a_running_node_mends_and_tells_its_sessions() {
    let mut node = node();
    assert!(node.stop().unwrap());
    damage(&node, |txn, account| {
        let mut page = Page::from_run(1, 29);
        page.remove(6);
        txn.set(&PageKey { account, mailbox: INBOX, page: 0 }.encode(), &page.to_bytes());
    });
    node.start_again().unwrap();
    let mut session = open(&node);
    assert_eq!(session.bodies().unwrap().len(), 28, "SELECT does not show it");
    assert_eq!(kinds(&verify(&node, &["--json"])), ["page-lacks"]);
    let mended = verify(&node, &["--repair", "--yes"]);
    assert!(mended.status.success(), "{mended:?}");
    session.must("NOOP").unwrap();
    let search = session.must("UID SEARCH SUBJECT 5").unwrap().text().join(" ");
    assert!(search.contains(" 31"), "it has a new UID: {search}");
    assert_eq!(session.bodies().unwrap().len(), 29);
    sound(&node, &[]);
    assert!(node.log().unwrap().contains("store mended"));
}
