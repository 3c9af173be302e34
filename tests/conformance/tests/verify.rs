//! `godwit store verify` on a whole node: while mail comes in it finds nothing; what was damaged while the node was down it
//! finds and mends, with the node down or up, and clients see their mail.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test ends where it fails")]

use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use harness::{Imap, Node, NodeOptions, Smtp};
use kv::Backend;
use runtime::{SystemClock, SystemRng};
use schema::keys::account::AddressKey;
use schema::keys::mail::*;
use schema::page::Page;
use schema::records::account::AddressTarget;
use schema::{AccountId, Key, MailboxId, Record, Uid};
use serde_json::Value;
use servers::PostgreSql;
use servers::foundationdb::{self, Cluster};
use servers::postgres::QUICK;

const MESSAGES: u32 = 30;

fn message(n: u32) -> Vec<u8> {
    let body = "0123456789\r\n".repeat(if n.is_multiple_of(10) { 60_000 } else { 20 });
    format!("From: s@example.org\r\nSubject: {n}\r\nMessage-ID: <{n}@x>\r\n\r\n{body}").into_bytes()
}

/// What a node stores in, and the servers behind it.
struct Store {
    /// `None`: the node's own, in its data directory.
    url: Option<String>,
    /// Ends when dropped.
    _postgres: Option<PostgreSql>,
    foundationdb: Option<Cluster>,
}

impl Store {
    fn embedded() -> Self {
        Store { url: None, _postgres: None, foundationdb: None }
    }

    fn postgres() -> Option<Self> {
        let server = PostgreSql::start(QUICK)?;
        Some(Store { url: Some(server.url()), _postgres: Some(server), foundationdb: None })
    }

    fn foundationdb() -> Option<Self> {
        let cluster = foundationdb::start()?;
        Some(Store { url: Some(cluster.url()), _postgres: None, foundationdb: Some(cluster) })
    }

    fn is_shared(&self) -> bool {
        self.url.is_some()
    }

    fn node(&self) -> Node {
        let store = Some(self.url.clone().unwrap_or_else(|| "embedded:".to_owned()));
        let node = Node::start(NodeOptions { users: 1, store, ..NodeOptions::default() }).unwrap();
        deliver(&node, 0..MESSAGES);
        let mut session = open(&node);
        session.must("CREATE Work").unwrap();
        session.must("COPY 1:10 Work").unwrap();
        session.must("STORE 3:5 +FLAGS (\\Seen $Work)").unwrap();
        session.must("STORE 30 +FLAGS (\\Deleted)").unwrap();
        session.must("EXPUNGE").unwrap();
        std::fs::write(config(&node), self.settings(&node)).unwrap();
        node
    }

    fn settings(&self, node: &Node) -> String {
        let store = self.url.as_ref().map(|url| format!("[store]\nurl = {url:?}\n")).unwrap_or_default();
        format!("hostname = \"mail.example.test\"\ndata = {:?}\nlog = \"warn\"\n{store}", node.data())
    }

    async fn open(&self, node: &Node) -> kv::Database {
        let (clock, rng) = (SystemClock::shared(), SystemRng::shared());
        let backend: Arc<dyn Backend> = match self.url.as_deref() {
            None => {
                let options = kv_embedded::Options::new(clock.clone(), rng.clone());
                kv_embedded::open(&node.data().join("store"), options).unwrap()
            }
            Some(url) => match self.foundationdb.as_ref() {
                None => kv_postgres::open(url, kv_postgres::Options::default(), clock.clone(), rng.clone())
                    .await
                    .unwrap(),
                Some(cluster) => kv_fdb::open(kv_fdb::Options {
                    cluster_file: Some(cluster.file()),
                    client_library: Some(cluster.client_library()),
                    ..kv_fdb::Options::default()
                })
                .await
                .unwrap(),
            },
        };
        kv::Database::new(backend, clock, rng)
    }

    /// Writes to the store of a node that is down, as a broken disk might.
    fn damage(&self, node: &Node, change: impl Fn(&kv::Transaction, AccountId) + Send + Sync) {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let db = self.open(node).await;
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
}

fn config(node: &Node) -> PathBuf {
    node.data().with_extension("toml")
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
    finds_and_mends(&Store::embedded());
}

#[test]
fn damage_on_postgresql_is_found_and_mended() {
    Store::postgres().iter().for_each(finds_and_mends);
}

#[test]
fn damage_on_foundationdb_is_found_and_mended() {
    Store::foundationdb().iter().for_each(finds_and_mends);
}

fn finds_and_mends(store: &Store) {
    let mut node = store.node();
    assert!(node.stop().unwrap());
    sound(&node, &[]);
    sound(&node, &["--bodies"]);
    sound(&node, &["--account", "u0@example.test", "--bodies"]);
    assert!(!verify(&node, &["--account", "nobody@example.test"]).status.success());

    store.damage(&node, |txn, account| {
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
    finds_nothing(&Store::embedded());
}

/// The command looks at the store itself, beside the node.
#[test]
fn nothing_is_found_on_postgresql_while_mail_comes_in() {
    Store::postgres().iter().for_each(finds_nothing);
}

#[test]
fn nothing_is_found_on_foundationdb_while_mail_comes_in() {
    Store::foundationdb().iter().for_each(finds_nothing);
}

fn finds_nothing(store: &Store) {
    let node = Arc::new(store.node());
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

/// Over the admin API where the store is the node's own; whoever has the mailbox open sees what was mended.
#[test]
fn a_running_node_mends_and_tells_its_sessions() {
    for store in [Some(Store::embedded()), Store::postgres()].iter().flatten() {
        mends_and_tells(store);
    }
}

fn mends_and_tells(store: &Store) {
    let mut node = store.node();
    assert!(node.stop().unwrap());
    store.damage(&node, |txn, account| {
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
    assert!(store.is_shared() || node.log().unwrap().contains("store mended"));
}
