//! F3: one node of three is cut off from the store, or from the other nodes: both ways, one way, now and then; and packets
//! are lost. Each node is in a network namespace of its own, PostgreSQL in another; clients are on their node's side.
//!
//! Criterion: the node that is cut off from the store sends its clients away within 5 s (421, NO [UNAVAILABLE], not ready)
//! and never with wrong data; others do its work within 5 s; all heals by itself within 5 s. Cut off from other nodes only,
//! nobody sees more than a later push. No lease is split: no remote mail twice but in the window between answer and record.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context;
use harness::wait::until;
use harness::{Imap, Smtp};

use crate::Options;
use crate::backend::Kind;
use crate::fleet::{Bustle, Fleet, MIX, STORE, percentiles};
use crate::net::Networks;
use crate::sessions::Heard;
use crate::table::Table;

/// Who is cut off.
const CUT: usize = 0;
/// What a node and its clients may take to notice.
const NOTICE: Duration = Duration::from_secs(5);
/// Now and then.
const FLAP: Duration = Duration::from_secs(2);
/// Pushes that are timed.
const PUSHES: usize = 6;
const STORE_NAME: &str = "postgres";

pub(crate) fn run(options: &Options, table: &mut Table) -> anyhow::Result<()> {
    if options.runs_on(Kind::Foundationdb) {
        table.skip("foundationdb", "everything", "its processes are on loopback here");
    }
    if !options.runs_on(Kind::Postgres) {
        return Ok(());
    }
    let Some(mut fleet) = Fleet::start_apart(None)? else {
        table.skip(STORE_NAME, "everything", "no network namespaces here, or no PostgreSQL");
        return Ok(());
    };
    let bustle = fleet.bustle()?;
    let span = Duration::from_secs(options.partition);
    let both: &[(usize, usize)] = &[(CUT, STORE), (STORE, CUT)];
    for (name, cuts) in [("node ↔ store", both), ("node → store", &both[..1]), ("store → node", &both[1..])]
    {
        let outcome = without_store(table, &mut fleet, &bustle, name, cuts, span).context(name);
        table.ends(STORE_NAME, outcome);
    }
    let outcome = flapping(table, &mut fleet, &bustle, span).context("flapping");
    table.ends(STORE_NAME, outcome);
    let nodes = [(CUT, 1), (CUT, 2), (1, CUT), (2, CUT)];
    for (name, cuts) in [("node ↔ nodes", &nodes[..]), ("node → nodes", &nodes[..2])] {
        let outcome = without_others(table, &mut fleet, &bustle, name, cuts, span).context(name);
        table.ends(STORE_NAME, outcome);
    }
    let outcome = lossy(table, &fleet, &bustle, span).context("packets lost");
    table.ends(STORE_NAME, outcome);
    networks(&fleet)?.heal()?;
    bustle.end(&fleet, table, Kind::Postgres, "partitions")
}

fn networks(fleet: &Fleet) -> anyhow::Result<&Networks> {
    fleet.networks.as_ref().context("no networks")
}

fn cut(fleet: &Fleet, cuts: &[(usize, usize)]) -> anyhow::Result<()> {
    cuts.iter().try_for_each(|(from, to)| networks(fleet)?.cut(*from, *to))
}

/// What clients of the node that is cut off were told, and after how long.
#[derive(Default)]
struct Told {
    smtp: Vec<(Duration, Duration, String)>,
    stop: AtomicBool,
}

/// Comes as a new client of SMTP, again and again; says when since `cut`, how long it took, and what it was told.
fn knock(address: &str, told: &Told, cut: Instant) -> Vec<(Duration, Duration, String)> {
    let mut heard = Vec::new();
    while !told.stop.load(Ordering::Relaxed) {
        let begun = Instant::now();
        let what = match Smtp::connect(address) {
            Ok(mut smtp) => match smtp.command("MAIL FROM:<s@example.org>") {
                Ok((code, _)) => code.to_string(),
                Err(error) => format!("{error:#}"),
            },
            Err(error) => format!("{error:#}"),
        };
        heard.push((begun - cut, begun.elapsed(), what));
        std::thread::sleep(Duration::from_millis(200));
    }
    heard
}

/// The node cannot reach the store, or is not reached by it.
fn without_store(
    table: &mut Table,
    fleet: &mut Fleet,
    bustle: &Bustle,
    name: &str,
    cuts: &[(usize, usize)],
    span: Duration,
) -> anyhow::Result<()> {
    // Its lease lasts 3 s, and as long it may still believe in it.
    let at = fleet.hit(CUT, Duration::from_secs(4));
    cut(fleet, cuts)?;
    let mut told = Told::default();
    let address = fleet.node(CUT)?.listener("smtp").to_owned();
    let (shared, here) = (&*fleet, &told);
    let (taken, not_ready, health, smtp) = std::thread::scope(|scope| {
        let knocking = scope.spawn(|| shared.within(CUT, || knock(&address, here, at)));
        let not_ready = until("not ready", || Ok((shared.ready(CUT)? != 200).then_some(at.elapsed())));
        let watching = scope.spawn(|| health_of(shared, at, false));
        let taken = bustle.takeover(shared, CUT, at);
        let health = watching.join().map_err(|_| anyhow::anyhow!("panicked"))?;
        std::thread::sleep(span.saturating_sub(at.elapsed()));
        here.stop.store(true, Ordering::Relaxed);
        let smtp = knocking.join().map_err(|_| anyhow::anyhow!("panicked"));
        anyhow::Ok((taken, not_ready, health, smtp??))
    })?;
    told.smtp = smtp;
    networks(fleet)?.heal()?;
    let healed = Instant::now();
    let back = recovery(fleet, bustle, healed)?;
    fleet.over(CUT);
    let cleared = health_of(fleet, healed, true)?;
    let (_, p99, last) = percentiles(&mut taken?);
    row_of_smtp(table, name, &told);
    row_of_imap(table, name, &bustle.readers.heard(), at, healed);
    let not_ready = not_ready?;
    table.row(
        STORE_NAME,
        &format!("{name}: not ready within 5 s"),
        &format!("{not_ready:.2?}"),
        not_ready <= NOTICE,
    );
    let figure = format!("p99 {p99:.2?}, last {last:.2?}");
    table.row(STORE_NAME, &format!("{name}: others try what was its own within 5 s"), &figure, p99 <= NOTICE);
    table.row(
        STORE_NAME,
        &format!("{name}: heals by itself within 5 s"),
        &format!("{back:.2?}"),
        back <= NOTICE,
    );
    row_of_health(table, name, health?, cleared);
    fleet.wait_for_remote(Instant::now())
}

/// New sessions are sent away at once when the node has noticed, and none waits longer than it may take to.
fn row_of_smtp(table: &mut Table, name: &str, told: &Told) {
    let late: Vec<_> = told.smtp.iter().filter(|(since, ..)| *since >= NOTICE).collect();
    let away = late.iter().filter(|(.., what)| what.contains("421")).count();
    let longest = told.smtp.iter().map(|(_, took, _)| *took).max().unwrap_or_default();
    let first = told.smtp.iter().find(|(.., what)| what.contains("421")).map(|(since, ..)| *since);
    let other = late.iter().map(|(.., what)| what).find(|what| !what.contains("421"));
    let figure = format!(
        "{away} of {} later sessions 421 (else {other:?}), the first {first:.1?} after the cut; longest answer {longest:.2?}",
        late.len()
    );
    let passed = !late.is_empty() && away == late.len() && longest <= NOTICE;
    table.row(STORE_NAME, &format!("{name}: new sessions of SMTP hear 421 within 5 s"), &figure, passed);
}

/// Commands are answered with NO [UNAVAILABLE] within 5 s whenever they were begun.
fn row_of_imap(table: &mut Table, name: &str, heard: &[Heard], cut: Instant, healed: Instant) {
    let during = |one: &&Heard| one.node == CUT && one.begun + one.took >= cut && one.begun < healed;
    let during: Vec<&Heard> = heard.iter().filter(during).collect();
    let longest = during.iter().map(|one| one.took).max().unwrap_or_default();
    let refused = during.iter().filter(|one| one.trouble.is_some()).count();
    let unavailable = |one: &&&Heard| one.trouble.as_ref().is_none_or(|text| text.contains("[UNAVAILABLE]"));
    let other = during.iter().find(|one| !unavailable(one)).and_then(|one| one.trouble.clone());
    let figure =
        format!("{refused} of {} commands, longest {longest:.2?}; other words: {other:?}", during.len());
    let passed = refused > 0 && longest <= NOTICE && other.is_none();
    table.row(
        STORE_NAME,
        &format!("{name}: commands of IMAP hear NO [UNAVAILABLE] within 5 s"),
        &figure,
        passed,
    );
}

/// Until the node takes mail, shows it, and is ready.
fn recovery(fleet: &Fleet, bustle: &Bustle, healed: Instant) -> anyhow::Result<Duration> {
    let node = fleet.node(CUT)?;
    fleet.within(CUT, || {
        until("service again", || {
            let taken = Smtp::connect(node.listener("smtp"))
                .and_then(|mut smtp| bustle.ledger.send_one(&mut smtp, 0, MIX.size))
                .unwrap_or(false);
            let shown = taken
                && Imap::login(node.listener("imap"), "u0", "secret")
                    .and_then(|mut imap| imap.must("SELECT INBOX"))
                    .is_ok();
            Ok((shown && fleet.ready(CUT)? == 200).then(|| healed.elapsed()))
        })
    })?
}

/// How long after `since` the health of another node shows that one is away, or none is; `None` where there is no such thing.
fn health_of(fleet: &Fleet, since: Instant, well: bool) -> anyhow::Result<Option<Duration>> {
    const AWAY: [&str; 3] = ["NODE_DOWN", "NODE_SILENT", "LEASE_LATE"];
    until("the cluster's health", || {
        let Some(reasons) = fleet.health(1)? else { return Ok(Some(None)) };
        let away = reasons.iter().any(|code| AWAY.contains(&code.as_str()));
        Ok((away != well).then(|| Some(since.elapsed())))
    })
}

fn row_of_health(table: &mut Table, name: &str, shown: Option<Duration>, cleared: Option<Duration>) {
    let criterion = format!("{name}: health of others shows it within 5 s and clears by itself");
    let (Some(shown), Some(cleared)) = (shown, cleared) else {
        table.skip(STORE_NAME, &criterion, "no health of the cluster");
        return;
    };
    let figure = format!("after {shown:.2?}; clear {cleared:.2?} after the end");
    table.row(STORE_NAME, &criterion, &figure, shown <= NOTICE);
}

/// The store is away for 2 s, there for 2 s, and so on.
fn flapping(table: &mut Table, fleet: &mut Fleet, bustle: &Bustle, span: Duration) -> anyhow::Result<()> {
    let begun = Instant::now();
    let mut times = 0;
    while begun.elapsed() < span {
        fleet.hit(CUT, Duration::from_secs(4));
        cut(fleet, &[(CUT, STORE), (STORE, CUT)])?;
        std::thread::sleep(FLAP);
        networks(fleet)?.heal()?;
        std::thread::sleep(FLAP);
        times += 1;
    }
    let healed = Instant::now();
    let back = recovery(fleet, bustle, healed)?;
    fleet.over(CUT);
    let figure = format!("{times} cuts of 2 s; {back:.2?}");
    table.row(STORE_NAME, "node ↔ store, now and then: heals by itself within 5 s", &figure, back <= NOTICE);
    fleet.wait_for_remote(Instant::now())
}

/// The node and the others do not hear of each other, or one side does not.
fn without_others(
    table: &mut Table,
    fleet: &mut Fleet,
    bustle: &Bustle,
    name: &str,
    cuts: &[(usize, usize)],
    span: Duration,
) -> anyhow::Result<()> {
    let begun = Instant::now();
    cut(fleet, cuts)?;
    std::thread::sleep(span / 2);
    let mut pushes = Vec::new();
    for n in 0..PUSHES {
        let (from, to) = if n % 2 == 0 { (CUT, 1) } else { (1, CUT) };
        pushes.push(fleet.push(&bustle.ledger, from, to)?);
    }
    std::thread::sleep(span.saturating_sub(begun.elapsed()));
    networks(fleet)?.heal()?;
    let (p50, _, last) = percentiles(&mut pushes);
    let figure = format!("p50 {p50:.2?}, last {last:.2?}");
    let criterion = format!("{name}: who waits hears within 2 s (and a look's time)");
    table.row(STORE_NAME, &criterion, &figure, last <= Duration::from_millis(2_500));
    fleet.wait_for_remote(Instant::now())
}

/// Of all packets to each node and the store 5 % are lost.
fn lossy(table: &mut Table, fleet: &Fleet, bustle: &Bustle, span: Duration) -> anyhow::Result<()> {
    (0..=STORE).try_for_each(|n| networks(fleet)?.lose(n, 5))?;
    let (begun, before) = (Instant::now(), bustle.ledger.acknowledged());
    std::thread::sleep(span);
    let (taken, took) = (bustle.ledger.acknowledged() - before, begun.elapsed());
    networks(fleet)?.heal()?;
    let figure = format!("{:.0} messages a second", taken as f64 / took.as_secs_f64());
    table.row(STORE_NAME, "5 % of packets lost: mail flows", &figure, taken > 0);
    fleet.wait_for_remote(Instant::now())
}
