//! Nodes of two versions on one store, exchanged one by one under load: upgraded, rolled back, upgraded again, and the feature
//! level raised. A short form of the drill F11.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test ends where it fails")]

use std::time::Duration;

use harness::traffic::{Found, Mix, Traffic};
use harness::{Fleet, NodeOptions, Smtp, binary, previous_binary, wait};
use schema::level::LAST;
use serde_json::Value;

const USERS: usize = 4;
/// Where nobody listens: remote mail waits.
const NOWHERE: &str = "127.0.0.1:1";

fn level(fleet: &Fleet) -> Value {
    serde_json::from_str(&fleet.command(0, &["cluster", "level", "--json"]).unwrap()).unwrap()
}

/// Remote mail by an authenticated user, through the balancer.
fn submit(fleet: &Fleet, numbers: std::ops::Range<usize>) {
    for n in numbers {
        let mut smtp = Smtp::connect_tls(&fleet.listener("submissions")).unwrap();
        smtp.auth_plain("u0@example.test", "secret").unwrap();
        let to = format!("r@d{n}.example.net");
        let sent = smtp.send("u0@example.test", &[&to], b"Subject: x\r\n\r\nx\r\n").unwrap();
        assert_eq!(sent.0, 250, "{sent:?}");
    }
}

#[test]
fn nodes_are_upgraded_rolled_back_and_the_level_raised_under_load() {
    let (new, old) = (binary().unwrap(), previous_binary().unwrap());
    let options = NodeOptions {
        users: USERS as u32,
        relay: Some(NOWHERE.to_owned()),
        program: Some(old.clone()),
        ..NodeOptions::default()
    };
    let Some(mut fleet) = Fleet::start(options).unwrap() else {
        return;
    };
    let pause = Duration::from_millis(20);
    let mix = Mix { senders: 3, readers: 3, listeners: 6, askers: 2, users: USERS, pause };
    let traffic = Traffic::start(["smtp", "imap", "http"].map(|name| fleet.listener(name)), mix);
    let flows = |traffic: &Traffic| {
        let before = traffic.tally();
        wait::until("mail to flow", || {
            let now = traffic.tally();
            Ok((now.taken() > before.taken() + 20 && now.read > before.read + 20).then_some(()))
        })
        .unwrap();
        wait::until("listeners", || Ok((traffic.listening() == 6).then_some(()))).unwrap();
    };
    flows(&traffic);
    submit(&fleet, 0..3);

    // Two of three are upgraded: nobody writes otherwise yet, and the level cannot be raised.
    for number in [0, 1] {
        fleet.replace(number, new.clone()).unwrap();
        flows(&traffic);
    }
    submit(&fleet, 3..6);
    assert_eq!(level(&fleet)["supported"], 1);
    let refused = fleet.command(0, &["cluster", "level", "raise", "2"]).unwrap_err().to_string();
    assert!(refused.contains("supports feature level 1 at most"), "{refused}");

    // Back, as if the new version were no good.
    for number in [0, 1] {
        fleet.replace(number, old.clone()).unwrap();
    }
    flows(&traffic);
    submit(&fleet, 6..9);

    for number in 0..3 {
        fleet.replace(number, new.clone()).unwrap();
        flows(&traffic);
    }
    let before = level(&fleet);
    assert_eq!((&before["current"], &before["supported"]), (&1.into(), &LAST.into()), "{before}");
    fleet.hold_queue().unwrap();
    fleet.command(0, &["cluster", "level", "raise"]).unwrap();
    submit(&fleet, 9..12);
    let rewritten = wait::until("old records to be rewritten", || {
        let level = level(&fleet);
        Ok((!level["rewriting"]["finished"].is_null()).then_some(level))
    })
    .unwrap();
    assert_eq!(rewritten["current"], LAST);
    assert_eq!(rewritten["rewriting"]["rewritten"], 9, "{rewritten}");
    flows(&traffic);

    // Who does not know the level does not come in, and says why.
    let refused = format!("{:#}", fleet.start_one_more(old.clone()).unwrap_err());
    assert!(
        refused.contains(&format!("the cluster is at feature level {LAST}, this program supports 1 at most")),
        "{refused}"
    );
    let refused = format!("{:#}", fleet.replace(2, old).unwrap_err());
    assert!(refused.contains(&format!("the cluster is at feature level {LAST}")), "{refused}");
    flows(&traffic);

    // All remote mail is in the queue once; who submitted it is known of what came after the raise.
    let entries = fleet.queue().unwrap();
    let known = |entry: &&Value| entry["submitter"] == "u0@example.test";
    assert_eq!((entries.len(), entries.iter().filter(known).count()), (12, 3), "{entries:?}");

    let (tally, found) = traffic.stop().unwrap();
    let messages = found.messages;
    assert_eq!(found, Found { messages, ..Found::default() }, "lost 0, twice 0");
    assert!(messages >= tally.taken());
    assert!(tally.stale.is_empty(), "{:?}", tally.stale);
    eprintln!(
        "{} messages, {} readings, {} polite ends, failures {:?}, IDLE away p99 {:?}",
        tally.taken(),
        tally.read,
        tally.polite,
        tally.failures,
        tally.away(0.99)
    );
}
