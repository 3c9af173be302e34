//! What nodes say of each other: a cause is told with its name, and clears by itself.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test ends where it fails")]

use std::process::Command;

use harness::{Cluster, ClusterOptions, Http, binary, wait};
use rustix::process::Signal;
use serde_json::Value;
use servers::PostgreSql;
use servers::postgres::QUICK;

fn cluster(server: &PostgreSql) -> Cluster {
    let store = server.url();
    Cluster::start(&ClusterOptions { nodes: 3, store, ..ClusterOptions::default() }).unwrap()
}

fn health(cluster: &Cluster, node: usize) -> Value {
    Http::new(cluster.listener(node, "admin")).get("/cluster/health").unwrap().json()
}

/// The text of a reason, by its code.
fn reason(cluster: &Cluster, node: usize, code: &str) -> Option<String> {
    let health = health(cluster, node);
    let found = health["reasons"].as_array().unwrap().iter().find(|reason| reason["code"] == code)?;
    Some(found["text"].as_str().unwrap().to_owned())
}

/// Waits until a node tells of another, or does not any more.
fn until(cluster: &Cluster, node: usize, code: &str, told: bool) -> Option<String> {
    let what = format!("{code} {told} at {node}");
    let look = || {
        let reason = reason(cluster, node, code);
        Ok((reason.is_some() == told).then_some(reason))
    };
    wait::until(&what, look).unwrap()
}

fn all_there(cluster: &Cluster) {
    for node in 0..3 {
        let look = || {
            let members = health(cluster, node)["members"].clone();
            let well = |member: &Value| member["state"] == "online" && member["alive"] == true;
            Ok((members.as_array().unwrap().iter().filter(|m| well(m)).count() == 3).then_some(()))
        };
        wait::until("three members", look).unwrap();
    }
}

#[test]
fn a_node_that_sleeps_or_dies_is_named_by_the_others_until_it_is_back() {
    let Some(server) = PostgreSql::start(QUICK) else { return };
    let cluster = cluster(&server);
    all_there(&cluster);
    let id = format!("({})", cluster.nodes[1].id);
    cluster.signal(1, Signal::STOP).unwrap();
    for node in [0, 2] {
        let text = until(&cluster, node, "NODE_DOWN", true).unwrap();
        assert!(text.contains(&id), "{text}");
        let health = health(&cluster, node);
        assert_ne!(health["status"], "green");
    }
    let strict = Http::new(cluster.listener(0, "admin")).get("/cluster/health?strict").unwrap();
    assert_eq!(strict.status, 503);
    // All that it had is others'.
    let look = || {
        let held = health(&cluster, 0)["duties"].clone();
        let others = held["held"].as_array().unwrap().iter().all(|held| held["node"] != cluster.nodes[1].id);
        Ok((others && held["orphans"] == 0).then_some(()))
    };
    wait::until("the takeover", look).unwrap();
    cluster.signal(1, Signal::CONT).unwrap();
    until(&cluster, 0, "NODE_DOWN", false);
    until(&cluster, 2, "NODE_DOWN", false);
    cluster.signal(2, Signal::KILL).unwrap();
    let text = until(&cluster, 0, "NODE_DOWN", true).unwrap();
    assert!(text.contains(&format!("({})", cluster.nodes[2].id)), "{text}");
    let shown = Command::new(binary().unwrap())
        .args(["cluster", "status", "--data"])
        .arg(cluster.data(0))
        .output()
        .unwrap();
    let shown = String::from_utf8(shown.stdout).unwrap();
    assert!(shown.contains("NODE_DOWN") && shown.contains("ops/runbooks/health/NODE_DOWN.md"), "{shown}");
    // Gone for good.
    let forget = Command::new(binary().unwrap())
        .args(["node", "forget", &cluster.nodes[2].id.to_string(), "--data"])
        .arg(cluster.data(0))
        .status();
    assert!(forget.unwrap().success());
    until(&cluster, 0, "NODE_DOWN", false);
    until(&cluster, 1, "NODE_DOWN", false);
}

#[test]
fn who_says_goodbye_is_not_missed() {
    let Some(server) = PostgreSql::start(QUICK) else { return };
    let cluster = cluster(&server);
    all_there(&cluster);
    let drained = Command::new(binary().unwrap())
        .args(["node", "drain", &cluster.nodes[2].id.to_string(), "--data"])
        .arg(cluster.data(0))
        .status();
    assert!(drained.unwrap().success());
    let look = || {
        let health = health(&cluster, 0);
        assert!(!health["reasons"].to_string().contains("NODE_DOWN"), "{health}");
        Ok((health["members"].as_array().unwrap().len() == 2).then_some(()))
    };
    wait::until("the goodbye", look).unwrap();
    let leases = Http::new(cluster.listener(0, "admin")).get("/cluster/leases").unwrap().json();
    let duties = leases["duties"].as_array().unwrap();
    assert!(duties.iter().all(|duty| duty["node"] != cluster.nodes[2].id), "{leases}");
    let slots = Http::new(cluster.listener(0, "admin")).get("/cluster/queues").unwrap().json();
    assert_eq!(slots.as_array().unwrap().len(), 64);
}

/// A store that is not there is red, and said; when it is back all is well.
#[test]
fn a_store_that_stops_is_red_until_it_goes_on() {
    let Some(mut server) = PostgreSql::start(QUICK) else { return };
    let cluster = cluster(&server);
    all_there(&cluster);
    server.kill();
    until(&cluster, 0, "STORE_DOWN", true);
    let answer = Http::new(cluster.listener(0, "admin")).get("/cluster/health").unwrap();
    assert_eq!((answer.status, &answer.json()["status"]), (503, &Value::from("red")));
    server.run();
    until(&cluster, 0, "STORE_DOWN", false);
}
