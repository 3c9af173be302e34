//! F12: the datacenter that leads is lost, under load, and comes back; several times.
//!
//! Criterion: users who come with new connections are served again within 30 s at p99, by SMTP and by IMAP, after the loss and
//! when the region comes back; RPO 0: of what got its 250 nothing is lost and nothing is there twice, and every body is what
//! was sent. Each loss is `godwit drill start` (its probes and its report too), as in REGION, which tries planned ones and the way
//! back from each step.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use harness::{Imap, Smtp};

use crate::Options;
use crate::fleet::percentiles;
use crate::oracle::{Ledger, Mix};
use crate::region::{STORE, Scene, USERS};
use crate::rehearsal::rows;
use crate::table::Table;
use crate::watch::{Users, Visit, waits};

/// Who comes with new connections, for each protocol.
const VISITORS: usize = 4;
/// Who sends, over connections that stay.
const MIX: Mix = Mix { senders: 1, users: USERS as usize, size: 2_000, large: 60_000 };
/// Bound of the criterion.
const RTO: Duration = Duration::from_secs(30);

pub(crate) fn run(options: &Options, table: &mut Table) -> anyhow::Result<()> {
    let Some(scene) = Scene::start(table)? else { return Ok(()) };
    let mut ledger = Ledger::default();
    let (smtp, imap) = (scene.balancers("smtp"), scene.balancers("imap"));
    let load = ledger.load_at(&smtp, MIX);
    let same = ledger.same();
    let mail = Users::start(VISITORS, move |user| somewhere(&smtp, |address| deliver(&same, address, user)));
    let read = Users::start(VISITORS, move |user| somewhere(&imap, |address| read(address, user)));
    let mut spans = Vec::new();
    for round in 0..options.losses {
        let report = scene.drill(false, &format!("round{round}"))?;
        rows(table, STORE, &format!("loss {}", round + 1), &report);
        let (lost, returned) = scene.last_loss()?;
        spans.push([(lost, returned), (returned, Instant::now())]);
    }
    let (mail, read) = (mail.stop(), read.stop());
    let sent = load.stop();
    for (name, visits) in [("SMTP", &mail), ("IMAP", &read)] {
        for (when, which) in [("the loss", 0), ("the return", 1)] {
            let spans: Vec<(Instant, Instant)> =
                spans.iter().filter_map(|of| of.get(which).copied()).collect();
            recovered(table, &format!("{name}, {when}"), visits, &spans);
        }
    }
    let wrong = scene.with_survivor(|node| ledger.check(node, MIX.users))?;
    let refused = ledger.refused();
    let figure = format!(
        "{} messages acknowledged ({} deferred, {} unanswered); wrong: {wrong:?}; 5xx: {refused:?}",
        ledger.acknowledged(),
        sent.deferred,
        sent.unanswered
    );
    let criterion = "RPO 0: lost 0, duplicates 0, every acknowledged message readable as it was sent";
    table.row(STORE, criterion, &figure, wrong.is_empty() && refused.is_empty());
    Ok(())
}

/// A row: how long all users waited, over all rounds.
fn recovered(table: &mut Table, what: &str, visits: &[Visit], spans: &[(Instant, Instant)]) {
    let all: Vec<Option<Duration>> = spans.iter().flat_map(|(from, to)| waits(visits, *from, *to)).collect();
    let never = all.iter().filter(|wait| wait.is_none()).count();
    let mut times: Vec<Duration> = all.into_iter().flatten().collect();
    let (p50, p99, last) = percentiles(&mut times);
    let figure = format!(
        "{} users in {} rounds: p50 {p50:.1?}, p99 {p99:.1?}, last {last:.1?}; {never} never",
        VISITORS,
        spans.len()
    );
    let passed = never == 0 && !times.is_empty() && p99 <= RTO;
    table.row(STORE, &format!("{what}: served again within 30 s at p99"), &figure, passed);
}

/// Tries one address after the other, as clients do that know several.
fn somewhere(addresses: &[String], visit: impl Fn(&str) -> anyhow::Result<()>) -> anyhow::Result<()> {
    let mut outcome = Err(anyhow::anyhow!("no address"));
    for address in addresses {
        outcome = visit(address);
        if outcome.is_ok() {
            break;
        }
    }
    outcome
}

fn deliver(ledger: &Ledger, address: &str, user: usize) -> anyhow::Result<()> {
    let mut smtp = Smtp::connect(address)?;
    ensure!(ledger.send_one(&mut smtp, user % MIX.users, MIX.size)?, "deferred or refused");
    Ok(())
}

fn read(address: &str, user: usize) -> anyhow::Result<()> {
    let mut imap = Imap::login(address, &format!("u{}", user % MIX.users), "secret")?;
    imap.must("SELECT INBOX").context("SELECT")?;
    imap.must("FETCH * (FLAGS BODY.PEEK[HEADER])").context("FETCH")?;
    Ok(())
}
