//! A zone is evacuated under load and comes back: nothing is lost, its nodes are not ready, their duties move.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test ends where it fails")]

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};

use harness::{Cluster, ClusterOptions, Http, Imap, Smtp, wait};
use servers::PostgreSql;
use servers::postgres::QUICK;

/// Two nodes in zone a, one in zone b.
fn cluster(server: &PostgreSql) -> Cluster {
    let options = ClusterOptions {
        nodes: 3,
        store: server.url(),
        users: 1,
        zones: vec!["a".to_owned(), "b".to_owned()],
        ..ClusterOptions::default()
    };
    Cluster::start(&options).unwrap()
}

fn admin(cluster: &Cluster, node: usize) -> Http {
    let password = std::fs::read_to_string(cluster.data(node).join("admin-password")).unwrap();
    Http::new(cluster.listener(node, "admin")).with_password(password.trim())
}

fn set(cluster: &Cluster, zone: &str, state: &str, force: bool) -> u16 {
    let body = format!(r#"{{"state": "{state}", "reason": "a test", "force": {force}}}"#);
    admin(cluster, 1).put(&format!("/api/v1/sites/zone/{zone}"), &body).unwrap().status
}

fn ready(cluster: &Cluster, node: usize) -> (u16, String) {
    let answer = admin(cluster, node).get("/readyz").unwrap();
    (answer.status, answer.text())
}

/// Sends by turns to all nodes until it is told to end; returns what was taken.
fn send(cluster: &Cluster, end: &AtomicBool) -> BTreeSet<String> {
    let mut taken = BTreeSet::new();
    for n in 0.. {
        if end.load(Ordering::Acquire) {
            break;
        }
        let id = format!("m{n}");
        let message = format!("From: s@example.org\r\nSubject: {id}\r\n\r\nbody\r\n");
        // Who is sent away between two commands tries again, as servers do.
        let sent = Smtp::connect(cluster.listener(n % 3, "smtp"))
            .and_then(|mut smtp| smtp.send("s@example.org", &["u0@example.test"], message.as_bytes()));
        if sent.is_ok_and(|(code, _)| code == 250) {
            taken.insert(id);
        }
    }
    taken
}

fn stored(cluster: &Cluster) -> Vec<String> {
    let mut imap = Imap::login(cluster.listener(1, "imap"), "u0", "secret").unwrap();
    imap.must("SELECT INBOX").unwrap();
    let bodies = imap.bodies().unwrap();
    let subject = |body: &[u8]| {
        let text = String::from_utf8_lossy(body).into_owned();
        text.lines().find_map(|line| line.strip_prefix("Subject: ").map(str::to_owned)).unwrap()
    };
    bodies.iter().map(|(_, body)| subject(body)).collect()
}

/// What `/readyz` of a node says whose site is evacuated.
const EVACUATING: (u16, &str) = (503, "site: evacuating\n");

#[test]
fn a_zone_is_evacuated_and_comes_back_and_nothing_is_lost() {
    let Some(server) = PostgreSql::start(QUICK) else { return };
    let mut cluster = cluster(&server);
    let duties = |node: usize| cluster.metric(node, "ownership_held").unwrap();
    wait::until("duties of all", || Ok((0..3).all(|node| duties(node) > 0.0).then_some(()))).unwrap();
    let mut idle = Imap::login(cluster.listener(0, "imap"), "u0", "secret").unwrap();
    idle.must("SELECT INBOX").unwrap();
    idle.line.send_line("i IDLE").unwrap();
    let end = AtomicBool::new(false);
    let (cluster_ref, end_ref) = (&cluster, &end);
    let taken = std::thread::scope(|scope| {
        let sender = scope.spawn(move || send(cluster_ref, end_ref));
        assert_eq!(set(&cluster, "a", "evacuating", false), 204);
        while !idle.line.read_line().unwrap().starts_with(b"* BYE") {}
        // Each node of the zone reads of it when it looks.
        let evacuating = || {
            [0, 2]
                .map(|node| ready(&cluster, node))
                .iter()
                .all(|told| (told.0, told.1.as_str()) == EVACUATING)
        };
        wait::until("both nodes to be away", || Ok(evacuating().then_some(()))).unwrap();
        assert_eq!(ready(&cluster, 1).0, 200);
        wait::until("the hand-over", || Ok((duties(0) + duties(2) == 0.0 && duties(1) > 0.0).then_some(())))
            .unwrap();
        assert_eq!(set(&cluster, "b", "standby", false), 409, "the last one stays");
        // Whoever comes all the same is served.
        Imap::login(cluster.listener(0, "imap"), "u0", "secret").unwrap().must("NOOP").unwrap();
        assert_eq!(set(&cluster, "a", "online", false), 204);
        wait::until("readiness", || Ok((ready(&cluster, 0).0 == 200).then_some(()))).unwrap();
        wait::until("duties again", || Ok((duties(0) > 0.0 && duties(2) > 0.0).then_some(()))).unwrap();
        end.store(true, Ordering::Release);
        sender.join().unwrap()
    });
    let stored = stored(&cluster);
    let there: BTreeSet<String> = stored.iter().cloned().collect();
    assert!(!taken.is_empty() && taken.is_subset(&there), "{:?}", taken.difference(&there));
    assert_eq!(stored.len(), there.len(), "nothing is there twice");
    assert!(cluster.stop().unwrap(), "{}", cluster.log().unwrap());
}
