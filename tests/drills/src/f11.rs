//! F11: a rolling upgrade, rolled back, done again, and the feature level raised, under load (three nodes on PostgreSQL, HAProxy).
//!
//! Criterion: no message that was acknowledged is lost or there twice, no reading lacks what was acknowledged before it; sessions end
//! politely (421, BYE, 503) and in no other way; who listens (IDLE) is back within 5 s; the slowest hundredth of messages takes at most
//! twice as long as before, while a node is exchanged. Until the level is raised the old version may come back; after it, it
//! is refused and says why, and every record of the former format is written anew.
//!
//! The load is what the machine bears: `--senders`, `--idle`.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context;
use harness::traffic::{Found, Mix, Traffic};
use harness::wait::until;
use harness::{Fleet, NodeOptions, Smtp, binary, previous_binary};
use schema::level::LAST;

use crate::Options;
use crate::backend::Kind;
use crate::table::Table;

/// Accounts, at least.
const USERS: usize = 16;
/// Sessions in IDLE that an account has: whoever has more has all of them told of each message.
const DEVICES: usize = 4;
const READERS: usize = 8;
/// Of a client between two requests: nobody waits for a processor that is all theirs.
const PAUSE: Duration = Duration::from_millis(20);
/// Clients of JMAP.
const ASKERS: usize = 8;
/// Remote mail that waits, of each phase.
const QUEUED: usize = 50;
/// Where nobody listens.
const NOWHERE: &str = "127.0.0.1:1";
/// For balancers and for clients, as nodes have them that are not told otherwise.
const GRACES: (&str, &str) = ("10s", "1m");
/// Within which who listens is back.
const BACK: Duration = Duration::from_secs(5);

pub(crate) fn run(options: &Options, table: &mut Table) -> anyhow::Result<()> {
    if !options.runs_on(Kind::Postgres) {
        return Ok(());
    }
    let (new, old) = (binary()?, previous_binary()?);
    let users = USERS.max(options.idle / DEVICES);
    let nodes = NodeOptions {
        users: u32::try_from(users)?,
        relay: Some(NOWHERE.to_owned()),
        program: Some(old.clone()),
        graces: Some(GRACES),
        ..NodeOptions::default()
    };
    let Some(mut fleet) = Fleet::start(nodes)? else {
        table.skip("postgres", "everything", "HAProxy or PostgreSQL is not installed");
        return Ok(());
    };
    let mix = Mix {
        senders: options.senders,
        readers: READERS,
        listeners: options.idle,
        askers: ASKERS,
        users,
        pause: PAUSE,
    };
    let traffic = Traffic::start(["smtp", "imap", "http"].map(|name| fleet.listener(name)), mix);
    until("listeners", || Ok((traffic.listening() == options.idle).then_some(())))?;
    // All come at once to nodes that know none of them: what that is like is F14's.
    let coming = traffic.tally().failures.len();
    let drill = Drill { options, traffic: &traffic };
    let before = drill.phase("as it is", || Ok(()))?;
    submit(&fleet, 0)?;
    let upgraded = drill.phase("upgrade, and back", || {
        all(&mut fleet, &new)?;
        submit(&fleet, 1)?;
        all(&mut fleet, &old)
    })?;
    let again = drill.phase("upgrade", || all(&mut fleet, &new))?;
    raise(&fleet, table, &old)?;
    let after = drill.phase("level raised", || Ok(()))?;
    told(table, &[&before, &upgraded, &again, &after]);
    let (tally, found) = traffic.stop()?;
    let figure = format!("{} acknowledged, {} unanswered, {found:?}", tally.taken(), tally.unanswered);
    let well = found == Found { messages: found.messages, ..Found::default() };
    table.row("postgres", "lost 0, duplicates 0", &figure, well);
    let figure = format!("{} readings, {} stale {:?}", tally.read, tally.stale.len(), tally.stale.first());
    table.row("postgres", "every reading has what was acknowledged before", &figure, tally.stale.is_empty());
    let failures = tally.failures.get(coming..).unwrap_or_default();
    let (polite, first) = (tally.polite, failures.first());
    let figure =
        format!("{polite} polite, {} otherwise {first:?}; {coming} put off at first", failures.len());
    table.row("postgres", "sessions end politely or not at all", &figure, failures.is_empty());
    let (p50, p99, last) = (tally.away(0.5), tally.away(0.99), tally.away(1.0));
    let figure =
        format!("{} came back after p50 {p50:.1?}, p99 {p99:.1?}, last {last:.1?}", tally.came_back());
    table.row("postgres", "who listens is back within 5 s", &figure, last <= BACK);
    Ok(())
}

/// What a while came to.
struct Phase {
    name: &'static str,
    rate: f64,
    p50: Duration,
    p99: Duration,
}

struct Drill<'a> {
    options: &'a Options,
    traffic: &'a Traffic,
}

impl Drill<'_> {
    fn phase(&self, name: &'static str, what: impl FnOnce() -> anyhow::Result<()>) -> anyhow::Result<Phase> {
        self.traffic.begin_phase();
        let (begun, before) = (Instant::now(), self.traffic.tally().taken());
        what().context(name)?;
        std::thread::sleep(self.options.span().saturating_sub(begun.elapsed()));
        let tally = self.traffic.tally();
        let rate = (tally.taken() - before) as f64 / begun.elapsed().as_secs_f64();
        Ok(Phase { name, rate, p50: tally.time(0.5), p99: tally.time(0.99) })
    }
}

fn all(fleet: &mut Fleet, program: &Path) -> anyhow::Result<()> {
    (0..3).try_for_each(|number| fleet.replace(number, program.to_owned()))
}

/// Remote mail by an authenticated user, which waits in the queue.
fn submit(fleet: &Fleet, phase: usize) -> anyhow::Result<()> {
    for n in 0..QUEUED {
        let mut smtp = Smtp::connect_tls(&fleet.listener("submissions"))?;
        smtp.auth_plain("u0@example.test", "secret")?;
        let to = format!("r@d{n}.p{phase}.example.net");
        smtp.send("u0@example.test", &[&to], b"Subject: x\r\n\r\nx\r\n")?;
    }
    Ok(())
}

fn raise(fleet: &Fleet, table: &mut Table, old: &Path) -> anyhow::Result<()> {
    fleet.hold_queue()?;
    let begun = Instant::now();
    fleet.command(0, &["cluster", "level", "raise"])?;
    let mut told = String::new();
    until("old records to be rewritten", || {
        told = fleet.command(0, &["cluster", "level"])?;
        Ok(told.contains("all are of the current format").then_some(()))
    })
    .with_context(|| told.clone())?;
    let line = told.lines().find(|line| line.starts_with("old records")).unwrap_or_default();
    let figure = format!("{line} after {:.1?}", begun.elapsed());
    let all = format!("{} of {}", 2 * QUEUED, 2 * QUEUED);
    table.row("postgres", "the level is raised, and old records are rewritten", &figure, line.contains(&all));
    let refused = fleet.start_one_more(old.to_owned()).map(drop);
    let why = refused.as_ref().err().map(|error| format!("{error:#}")).unwrap_or_default();
    let said = format!("the cluster is at feature level {LAST}, this program supports 1 at most");
    let at = why.find(&said).map_or("it came in, or said something else", |_| &said);
    table.row("postgres", "the version before is refused, and says why", at, why.contains(&said));
    Ok(())
}

fn told(table: &mut Table, phases: &[&Phase]) {
    let Some(before) = phases.first() else { return };
    for phase in phases {
        let figure = format!("{:.0}/s, p50 {:.0?}, p99 {:.0?}", phase.rate, phase.p50, phase.p99);
        let criterion = format!("{}: p99 at most twice as long", phase.name);
        table.row("postgres", &criterion, &figure, phase.p99 <= 2 * before.p99);
    }
}
