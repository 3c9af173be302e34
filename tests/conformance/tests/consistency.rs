//! Read your writes behind a balancer: what one node has answered is seen at any node. A short form of `drill run RYW`.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test ends where it fails")]

use std::time::Duration;

use consistency::{Endpoints, Options, Report};
use harness::{Cluster, ClusterOptions};
use servers::haproxy::SOURCE;
use servers::postgres::QUICK;
use servers::{HaProxy, PostgreSql};

const ACCOUNTS: usize = 6;

/// Long enough on any machine; what ends it is the number of operations.
const LONGEST: Duration = Duration::from_secs(300);

fn run(operations: u64, plant: u64) -> Option<Report> {
    let server = PostgreSql::start(QUICK)?;
    let options = ClusterOptions {
        nodes: 3,
        store: server.url(),
        users: ACCOUNTS as u32,
        proxy: Some(format!("{SOURCE}/32")),
        ..ClusterOptions::default()
    };
    let mut cluster = Cluster::start(&options).unwrap();
    let [a, b, c] = &cluster.nodes[..] else { panic!("three nodes were asked for") };
    let balancer = HaProxy::start([a, b, c].map(|node| &node.listeners))?;
    let [imap, smtp, lmtp] = ["imap", "smtp", "lmtp"].map(|name| balancer.listener(name));
    let options = Options { seed: 1, operations, time: LONGEST, workers: 12, accounts: ACCOUNTS, plant };
    let report = consistency::run(Endpoints { imap, smtp, lmtp }, &options, &mut |_, _| ());
    eprintln!("{report:#?}");
    assert!(cluster.stop().unwrap(), "{}", cluster.log().unwrap());
    Some(report)
}

#[test]
fn what_was_answered_is_seen_at_any_node() {
    let Some(report) = run(3_000, 0) else { return };
    assert!(report.total() >= 3_000, "it took too long: {report:#?}");
    assert!(report.violations == 0 && report.refused == 0, "{report:#?}");
}

#[test]
fn answers_that_are_out_of_date_are_noticed() {
    let Some(report) = run(1_000, 5) else { return };
    assert!(report.planted > 0 && report.violations > 0, "{report:#?}");
}
