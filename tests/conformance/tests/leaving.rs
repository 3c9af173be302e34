//! A node that leaves: balancers are told, nothing is cut short, clients are sent away politely, duties go to others.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test ends where it fails")]

use std::time::{Duration, Instant};

use harness::{Cluster, ClusterOptions, Http, Imap, Smtp, wait};
use rustix::process::Signal;
use serde_json::Value;
use servers::PostgreSql;
use servers::postgres::QUICK;

fn cluster(server: &PostgreSql) -> Cluster {
    let store = server.url();
    Cluster::start(&ClusterOptions { nodes: 3, store, users: 1, ..ClusterOptions::default() }).unwrap()
}

/// The admin API of a node.
fn admin(cluster: &Cluster, node: usize) -> Http {
    let password = std::fs::read_to_string(cluster.data(node).join("admin-password")).unwrap();
    Http::new(cluster.listener(node, "admin")).with_password(password.trim())
}

fn nodes(cluster: &Cluster, asked: usize) -> Vec<Value> {
    let page = admin(cluster, asked).get("/api/v1/nodes").unwrap().json();
    page["items"].as_array().unwrap().clone()
}

fn state(cluster: &Cluster, asked: usize, node: usize) -> String {
    let id = cluster.nodes[node].id;
    let found = nodes(cluster, asked).into_iter().find(|n| n["id"] == id);
    found.map_or_else(String::new, |node| node["state"].as_str().unwrap().to_owned())
}

#[test]
fn a_node_leaves_when_another_is_asked_and_cuts_nothing_short() {
    let Some(server) = PostgreSql::start(QUICK) else { return };
    let cluster = cluster(&server);
    let mut idle = Imap::login(cluster.listener(1, "imap"), "u0", "secret").unwrap();
    idle.must("SELECT INBOX").unwrap();
    idle.line.send_line("i IDLE").unwrap();
    assert!(idle.line.read_line().unwrap().starts_with(b"+"));
    let mut waiting = Smtp::connect(cluster.listener(1, "smtp")).unwrap();
    let mut lmtp = Smtp::connect_lmtp(cluster.listener(1, "lmtp")).unwrap();
    let mut busy = Smtp::connect(cluster.listener(1, "smtp")).unwrap();
    busy.expect("MAIL FROM:<s@example.org>", 250).unwrap();
    busy.expect("RCPT TO:<u0@example.test>", 250).unwrap();
    busy.expect("DATA", 354).unwrap();
    busy.line.send(b"From: s@example.org\r\nSubject: half\r\n").unwrap();
    let begun = Instant::now();
    let name =
        nodes(&cluster, 0).into_iter().find(|n| n["id"] == cluster.nodes[1].id).unwrap()["name"].clone();
    let asked = admin(&cluster, 0).post(&format!("/api/v1/nodes/{}/drain", name.as_str().unwrap())).unwrap();
    assert_eq!(asked.status, 202, "{}", asked.text());
    // Politely, each in its own words.
    while !idle.line.read_line().unwrap().starts_with(b"* BYE") {}
    assert_eq!(waiting.read_reply().unwrap().0, 421);
    let (code, text) = lmtp.read_reply().unwrap();
    assert!(code == 421 && text[0].starts_with("4.3.2"), "{code} {text:?}");
    let ready = admin(&cluster, 1).get("/readyz").unwrap();
    assert!(ready.status == 503 && ready.text().contains("draining"), "{}", ready.text());
    // Who is in the middle of a message finishes it.
    busy.line.send(b"\r\nrest\r\n.\r\n").unwrap();
    assert_eq!(busy.read_reply().unwrap().0, 250);
    assert_eq!(busy.read_reply().unwrap().0, 421);
    wait::until("the goodbye", || Ok((state(&cluster, 0, 1) == "left").then_some(()))).unwrap();
    assert!(begun.elapsed() < Duration::from_secs(90));
    let mut imap = Imap::login(cluster.listener(2, "imap"), "u0", "secret").unwrap();
    assert!(imap.must("SELECT INBOX").unwrap().text().iter().any(|line| line == "* 1 EXISTS"));
    assert_eq!(state(&cluster, 2, 0), "online");
    // It is known until it is forgotten.
    let path = format!("/api/v1/nodes/{}", name.as_str().unwrap());
    assert_eq!(admin(&cluster, 0).delete(&path).unwrap().status, 204);
    assert_eq!(nodes(&cluster, 0).len(), 2);
}

#[test]
fn one_that_is_killed_is_down_and_not_forgotten_while_it_runs() {
    let Some(server) = PostgreSql::start(QUICK) else { return };
    let cluster = cluster(&server);
    cluster.signal(2, Signal::KILL).unwrap();
    wait::until("the death", || Ok((state(&cluster, 0, 2) == "down").then_some(()))).unwrap();
    assert_eq!(
        admin(&cluster, 0).delete(&format!("/api/v1/nodes/{}", cluster.nodes[1].id)).unwrap().status,
        409
    );
    // Itself, by its own API.
    assert_eq!(admin(&cluster, 1).post("/api/v1/node/drain").unwrap().status, 202);
    wait::until("the goodbye", || Ok((state(&cluster, 0, 1) == "left").then_some(()))).unwrap();
}
