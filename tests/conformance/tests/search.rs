//! Mail is found by the first search after it was taken: while the index is written, when who writes it is killed, while it
//! is made anew, and when its files are away or damaged (drill F9).

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test ends where it fails")]

use std::process::Command;

use harness::bodies::Bodies;
use harness::node::binary;
use harness::wait::until;
use harness::{Cluster, ClusterOptions, Http, Imap, Node, NodeOptions, Smtp};
use rustix::process::Signal;
use serde_json::Value;
use servers::postgres::QUICK;
use servers::{Fault, PostgreSql};

fn message(n: usize) -> Vec<u8> {
    format!(
        "From: s@example.org\r\nSubject: number {n}\r\n\r\nthe word of it is w{n}x, as it is in no other\r\n"
    )
    .into_bytes()
}

fn send(smtp: &str, n: usize) {
    let mut smtp = Smtp::connect(smtp).unwrap();
    assert_eq!(smtp.send("s@example.org", &["u0@example.test"], &message(n)).unwrap().0, 250);
}

/// How many messages a search finds.
fn found(imap: &str, key: &str) -> usize {
    let mut imap = Imap::login(imap, "u0", "secret").unwrap();
    imap.must("SELECT INBOX").unwrap();
    let reply = imap.must(&format!("SEARCH {key}")).unwrap().text();
    let line = reply.iter().find_map(|line| line.strip_prefix("* SEARCH")).unwrap();
    line.split_whitespace().count()
}

/// An operator's command, whose answer is JSON.
fn godwit(admin: &str, data: &std::path::Path, words: &[&str]) -> Value {
    let mut command = Command::new(binary().unwrap());
    command.args(words).arg("--json").arg("--data").arg(data);
    let answer = command.args(["--admin", &format!("http://{admin}")]).output().unwrap();
    assert!(answer.status.success(), "{words:?}: {}", String::from_utf8_lossy(&answer.stderr));
    serde_json::from_slice(&answer.stdout).unwrap_or_default()
}

/// What the index says of a search, once `good` of it.
fn explained(what: &str, admin: &str, data: &std::path::Path, query: &str, good: impl Fn(&Value) -> bool) {
    let explain = ["search", "explain", "--account", "u0@example.test", query];
    until(what, || {
        let told = godwit(admin, data, &explain);
        Ok(good(&told).then_some(()))
    })
    .unwrap();
}

#[test]
fn mail_is_found_at_once_whoever_writes_the_index() {
    let Some(server) = PostgreSql::start(QUICK) else { return };
    let options = ClusterOptions { nodes: 3, store: server.url(), users: 2, ..ClusterOptions::default() };
    let cluster = Cluster::start(&options).unwrap();
    let command =
        |node: usize, words: &[&str]| godwit(cluster.listener(node, "admin"), &cluster.data(node), words);
    let mut sent = 0;
    let mut check = |nodes: &[usize], times: usize| {
        for _ in 0..times {
            let (taker, reader) = (nodes[sent % nodes.len()], nodes[(sent + 1) % nodes.len()]);
            send(cluster.listener(taker, "smtp"), sent);
            let imap = cluster.listener(reader, "imap");
            assert_eq!(found(imap, &format!("BODY w{sent}x")), 1, "message {sent}");
            sent += 1;
            assert_eq!(found(imap, "TEXT \"as it is in\""), sent);
        }
    };
    check(&[0, 1, 2], 12);
    let admin = cluster.listener(2, "admin");
    explained("the index", admin, &cluster.data(2), "number", |told| told["sure"] == 12);
    check(&[0, 1, 2], 3);

    assert_eq!(command(1, &["search", "rebuild"])["begun"].as_array().unwrap().len(), 16);
    check(&[0, 1, 2], 6);

    // Who writes the account's shard is killed.
    let shard = command(1, &["search", "explain", "--account", "u0@example.test", "x"])["shard"].clone();
    let leases = Http::new(cluster.listener(1, "admin")).get("/cluster/leases").unwrap().json();
    let duties = leases["duties"].as_array().unwrap();
    let duty = duties.iter().find(|duty| duty["duty"] == format!("search shard {shard}")).unwrap();
    let owner = cluster.nodes.iter().position(|node| duty["node"] == node.id).unwrap();
    cluster.signal(owner, Signal::KILL).unwrap();
    let left: Vec<usize> = (0..3).filter(|node| *node != owner).collect();
    check(&left, 8);
    let (admin, data) = (cluster.listener(left[0], "admin"), cluster.data(left[0]));
    explained("a new owner", admin, &data, "number", |told| told["sure"] == 29 && told["tail"] == 0);
    until("the index made anew", || {
        let shards = command(left[1], &["search", "status"]);
        let done = |one: &Value| one["edition"] == 2 && one["building"].is_null();
        Ok(shards.as_array().unwrap().iter().all(done).then_some(()))
    })
    .unwrap();
    check(&left, 3);
}

/// Words that are not many times there, so that the index is larger than what lies in the store.
fn ballast(n: usize) -> Vec<u8> {
    let mut state = n as u64 + 1;
    let mut text = format!("Subject: ballast {n}\r\n\r\n");
    while text.len() < 40_000 {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let word: String = (0..9).map(|at| char::from(b'a' + (state >> (9 + 5 * at)) as u8 % 26)).collect();
        text += &word;
        text += if text.len() % 7 == 0 { "\r\n" } else { " " };
    }
    text.into_bytes()
}

#[test]
fn mail_is_found_when_the_files_of_the_index_are_away() {
    let Some(bodies) = Bodies::s3().unwrap() else { return };
    let (blob, environment) = (Some(bodies.settings().to_owned()), bodies.environment());
    let node = Node::start(NodeOptions { users: 1, blob, environment, ..NodeOptions::default() }).unwrap();
    let (smtp, imap, admin) = (node.listener("smtp"), node.listener("imap"), node.listener("admin"));
    let mut session = Imap::login(imap, "u0", "secret").unwrap();
    for n in 0..60 {
        session.append("INBOX", "", &ballast(n)).unwrap();
    }
    explained("the index", admin, node.data(), "ballast", |told| told["sure"] == 60 && told["tail"] == 0);
    bodies.proxy.set(Fault::Refuse);
    for n in 0..5 {
        send(smtp, n);
        assert_eq!(found(imap, &format!("BODY w{n}x")), 1);
        assert_eq!(found(imap, "SUBJECT ballast"), 60);
    }
    bodies.proxy.set(Fault::None);
    explained("the index again", admin, node.data(), "number", |told| told["sure"] == 5);
    assert_eq!(found(imap, "TEXT \"the word of it\""), 5);
    assert!(!node.log().unwrap().contains("panicked"));
}
