//! What each thing that may be seen means.

use super::*;
use crate::cluster::{Clock, Connections, Disk, Duties, MailProbe, Probe, Queue, Seer};

const NOW: i64 = 1_800_000_000_000;
const DAY: i64 = 86_400_000;

fn member(id: u32) -> Member {
    Member {
        id,
        name: format!("n{id}"),
        state: State::Online,
        alive: Some(true),
        phi: Some(1.0),
        silence: Some(900),
        unrenewed: Some(700),
        ..Member::default()
    }
}

/// Three nodes, all well.
fn well() -> Observed {
    Observed {
        time: NOW,
        seen_by: Seer {
            id: 1,
            name: "n1".into(),
            state: State::Online,
            lease: true,
            unrenewed: 900,
            lease_time: 3000,
            ..Seer::default()
        },
        members: vec![member(1), member(2), member(3)],
        store: Probe { latency: Some(3.0), error: None },
        certificates: vec![
            Certificate { what: "c.pem".into(), internal: false, expires: NOW + 90 * DAY },
            Certificate { what: "n1".into(), internal: true, expires: NOW + 5 * DAY },
        ],
        connections: Connections { open: 10, most: 1000 },
        disk: Some(Disk { free: 50, size: 100 }),
        mail_probe: Some(MailProbe { latency: Some(20), arrived: Some(NOW - 20_000), error: None }),
        queue: Queue { slots: 64, oldest_due: Some(NOW - 1000), ..Queue::default() },
        ..Observed::default()
    }
}

fn found(change: impl FnOnce(&mut Observed)) -> Vec<(&'static str, Level)> {
    let mut seen = well();
    change(&mut seen);
    judge(&seen).into_iter().map(|verdict| (verdict.code.name(), verdict.level)).collect()
}

#[test]
fn all_is_well() {
    assert_eq!(judge(&well()), []);
    assert_eq!(judge(&Observed::default()), [], "a node that begins has seen nothing");
}

#[test]
fn a_node_that_dies_is_late_then_down_and_named() {
    let mut seen = well();
    seen.members[1].unrenewed = Some(2500);
    assert_eq!(judge(&seen)[0].text, "node n2 (2) did not renew its lease for 2.5 s");
    seen.members[1] = Member { state: State::Down, unrenewed: None, alive: Some(false), ..member(2) };
    let verdicts = judge(&seen);
    assert_eq!((verdicts.len(), verdicts[0].code, &verdicts[0].subject[..]), (1, Code::NodeDown, "n2"));
}

#[test]
fn a_node_that_only_gossip_misses_is_silent() {
    let silent = [("NODE_SILENT", Level::Yellow)];
    assert_eq!(found(|seen| seen.members[2].phi = Some(4.5)), silent);
    assert_eq!(found(|seen| seen.members[2].alive = Some(false)), silent);
    assert_eq!(found(|seen| seen.members[0].alive = Some(false)), [], "it knows that it is there itself");
    let leaving = |seen: &mut Observed| {
        seen.members[2] = Member { state: State::Draining, alive: Some(false), ..member(3) };
    };
    assert_eq!(found(leaving), []);
}

#[test]
fn a_node_that_cannot_work_says_so() {
    assert_eq!(found(|seen| seen.seen_by.lease = false), [("NOT_JOINED", Level::Red)]);
    assert_eq!(found(|seen| seen.seen_by.unrenewed = 1900), [("LEASE_LATE", Level::Red)]);
    assert_eq!(found(|seen| seen.store.error = Some("gone".into())), [("STORE_DOWN", Level::Red)]);
    assert_eq!(found(|seen| seen.store.latency = Some(501.0)), [("STORE_SLOW", Level::Yellow)]);
    assert_eq!(found(|seen| seen.bodies.error = Some("gone".into())), [("BODIES_DOWN", Level::Yellow)]);
    assert_eq!(found(|seen| seen.changes.since_look = Some(5001)), [("CHANGES_LATE", Level::Yellow)]);
    let refused = [("CONFIGURATION_REFUSED", Level::Yellow)];
    assert_eq!(found(|seen| seen.configuration = Some("line 3".into())), refused);
}

#[test]
fn a_node_that_leaves_has_no_lease_and_looks_for_nothing() {
    let leaving = |seen: &mut Observed| {
        seen.seen_by.state = State::Draining;
        seen.seen_by.lease = false;
        seen.changes.since_look = Some(60_000);
    };
    assert_eq!(found(leaving), []);
}

#[test]
fn work_that_nobody_does_is_told() {
    let orphans =
        |orphaned_for| found(|seen| seen.duties = Duties { orphans: 2, orphaned_for, ..Duties::default() });
    assert_eq!(orphans(3000), []);
    assert_eq!(orphans(9000), [("DUTY_ORPHANED", Level::Yellow)]);
    assert_eq!(orphans(61_000), [("DUTY_ORPHANED", Level::Red)]);
    let due = |ago| found(|seen| seen.queue.oldest_due = Some(NOW - ago));
    assert_eq!((due(-DAY), due(299_000)), (vec![], vec![]));
    assert_eq!(due(301_000), [("QUEUE_LATE", Level::Yellow)]);
    assert_eq!(due(DAY), [("QUEUE_LATE", Level::Red)]);
    let probe = MailProbe { error: Some("no".into()), ..MailProbe::default() };
    assert_eq!(found(|seen| seen.mail_probe = Some(probe)), [("MAIL_PROBE_FAILED", Level::Yellow)]);
}

#[test]
fn the_machine_is_looked_at() {
    assert_eq!(found(|seen| seen.connections.open = 900), [("CONNECTIONS_FULL", Level::Yellow)]);
    let disk = |free| found(|seen| seen.disk = Some(Disk { free, size: 1000 }));
    assert_eq!(disk(50), []);
    assert_eq!(disk(49), [("DISK_LOW", Level::Yellow)]);
    assert_eq!(disk(9), [("DISK_LOW", Level::Red)]);
    let step = |ago| found(|seen| seen.clock = Clock { step: Some(-3_600_000), step_ago: Some(ago) });
    assert_eq!(step(1000), [("CLOCK_STEPPED", Level::Yellow)]);
    assert_eq!(step(301_000), []);
}

#[test]
fn certificates_are_told_of_before_they_end() {
    let ends = |at: usize, left| found(|seen| seen.certificates[at].expires = NOW + left);
    assert_eq!(ends(0, 15 * DAY), []);
    assert_eq!(ends(0, 13 * DAY), [("CERTIFICATE_EXPIRES", Level::Yellow)]);
    assert_eq!(ends(0, 0), [("CERTIFICATE_EXPIRES", Level::Red)]);
    assert_eq!(ends(1, DAY), [("CLUSTER_CERTIFICATE_EXPIRES", Level::Yellow)]);
    assert_eq!(ends(1, -DAY), [("CLUSTER_CERTIFICATE_EXPIRES", Level::Red)]);
}

#[test]
fn nobody_wonders_at_the_silence_of_a_site_that_is_offline() {
    let away = |site: &str| {
        let site = site.to_owned();
        found(|seen| seen.members[1] = Member { state: State::Down, site, alive: Some(false), ..member(2) })
    };
    assert_eq!(away("offline"), []);
    assert_ne!(away("evacuating"), []);
}

#[test]
fn mail_that_waits_for_the_index() {
    use crate::cluster::Search;
    let waits = |lag| move |seen: &mut Observed| seen.search = Search { lag, ..Search::default() };
    assert_eq!(found(waits(Some(60_000))), []);
    assert_eq!(found(waits(Some(121_000))), [("INDEX_LATE", Level::Yellow)]);
}
