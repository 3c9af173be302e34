//! F8: the DNS is down, fails, is 10 s late, has thousands of records for one name, or goes in circles.
//!
//! Criterion: mail for destinations that cannot be looked up waits, and none of it goes back before it expires; mail for others
//! is sent within 10 s; at no time are more names asked for than attempts may run (16 for each of the queue's 64 slots, in all
//! nodes together); when the DNS is well again all that waited is sent. Each node is in a network namespace of its own, with
//! a DNS server and a next server on port 25.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::Context;

use crate::Options;
use crate::backend::Kind;
use crate::dns::{Dns, Mood, ZONES};
use crate::fleet::{Bustle, Fleet};
use crate::remote::fill;
use crate::sink::What;
use crate::table::Table;

/// Destinations of each zone: with those that are well fewer than there is room for in a slot.
const EACH: usize = 100;
/// Others may have to wait for so long.
const OTHERS: Duration = Duration::from_secs(10);
/// Attempts that may run at a time.
const AT_ONCE: usize = 64 * 16;
/// The longest wait of a demo's schedule, twice, and some.
const DRAINED: Duration = Duration::from_secs(200);

pub(crate) fn run(options: &Options, table: &mut Table) -> anyhow::Result<()> {
    if !options.runs_on(Kind::Postgres) {
        return Ok(());
    }
    let dns = Dns::default();
    let Some(fleet) = Fleet::start_apart(Some(&dns))? else {
        table.skip("postgres", "everything", "no network namespaces here, or no PostgreSQL");
        return Ok(());
    };
    let bustle = fleet.bustle()?;
    let outcome = zones(options, table, &fleet, &bustle, &dns);
    table.ends("postgres", outcome);
    // What went back would be a message that nobody sent.
    bustle.end(&fleet, table, Kind::Postgres, "a DNS that fails (nothing went back)")
}

fn zones(
    options: &Options,
    table: &mut Table,
    fleet: &Fleet,
    bustle: &Bustle,
    dns: &Dns,
) -> anyhow::Result<()> {
    dns.set(Mood::Zones);
    let begun = Instant::now();
    let node = fleet.node(0)?;
    let name = |n: usize| format!("x{n}.{}", ZONES.get(n % ZONES.len()).copied().unwrap_or_default());
    let filled = fleet.within(0, || fill(node, EACH * ZONES.len(), name))??;
    let submitted = Instant::now();
    std::thread::sleep(options.span() * 2);
    let others = bustle.waits(fleet, submitted);
    let figure = format!("{} sent, {} wait; the longest {:.1?}", others.sent, others.waiting, others.longest);
    let criterion = "zones that fail: mail for others is sent within 10 s";
    table.row("postgres", criterion, &figure, others.sent > 0 && others.longest <= OTHERS);
    let sent = sent(fleet, begun);
    let of = |zone: &str| sent.iter().filter(|domain| domain.ends_with(zone)).count();
    let counts: Vec<String> = ZONES.iter().map(|zone| format!("{zone} {}", of(zone))).collect();
    let figure = format!("of {EACH} each, sent: {}", counts.join(", "));
    let waits = ["silent.test", "servfail.test", "loop.test"].into_iter().all(|zone| of(zone) == 0);
    let criterion = "thousands of records are no obstacle; what cannot be looked up waits";
    table.row("postgres", criterion, &figure, waits && of("many.test") > 0);

    dns.set(Mood::Down);
    std::thread::sleep(options.span());
    let figure = format!("{} names at most", dns.most());
    table.row(
        "postgres",
        &format!("no more than {AT_ONCE} names are asked for at a time"),
        &figure,
        dns.most() <= AT_ONCE,
    );
    dns.set(Mood::Well);
    let well = Instant::now();
    while self::sent(fleet, begun).len() < filled && well.elapsed() < DRAINED {
        std::thread::sleep(Duration::from_millis(500));
    }
    let now = self::sent(fleet, begun).len();
    let figure = format!("{now} of {filled} after {:.0?}", well.elapsed());
    table.row("postgres", "the DNS is well: all that waited is sent", &figure, now == filled);
    (now > 0).then_some(()).context("nothing was sent")
}

/// Destinations in the zones that something was sent to.
fn sent(fleet: &Fleet, since: Instant) -> BTreeSet<String> {
    let taken = fleet.sinks.since(since).into_iter().filter(|event| event.what == What::Taken);
    taken.map(|event| event.domain).filter(|domain| ZONES.iter().any(|zone| domain.ends_with(zone))).collect()
}
