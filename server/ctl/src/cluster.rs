//! `godwit cluster …`: how the cluster is, for a person at 3 a.m.

use std::io::Write;

use admin::cluster::{Health, Leases, Level, Member, Observed, Reason, Slot, Status};

use crate::client::Client;
use crate::command::Cluster;
use crate::level::level;
use crate::output::{print, table};

pub(crate) async fn cluster(client: &Client, command: Cluster, json: bool) -> anyhow::Result<()> {
    match command {
        Cluster::Status => {
            let health: Health = client.page(&["cluster", "health"]).await?;
            if json { document(&health) } else { say(&status(&health)) }
        }
        Cluster::Health { schema: true } => {
            document(&client.page::<serde_json::Value>(&["cluster", "health", "schema"]).await?)
        }
        Cluster::Health { schema: false } => document(&client.page::<Health>(&["cluster", "health"]).await?),
        Cluster::Level { raise } => level(client, raise, json).await,
        Cluster::Leases => leases(&client.page(&["cluster", "leases"]).await?, json),
        Cluster::Queues => queues(&client.page::<Vec<Slot>>(&["cluster", "queues"]).await?, json),
    }
}

fn document(value: &impl serde::Serialize) -> anyhow::Result<()> {
    say(&(serde_json::to_string_pretty(value)? + "\n"))
}

fn say(text: &str) -> anyhow::Result<()> {
    Ok(write!(std::io::stdout().lock(), "{text}")?)
}

/// All on one screen, what matters most first.
fn status(health: &Health) -> String {
    let seen = &health.observed;
    let color = match health.status {
        Status::Green => "GREEN",
        Status::Yellow => "YELLOW",
        Status::Red => "RED",
    };
    let (me, level) = (&seen.seen_by, seen.level);
    let level =
        level.map_or_else(String::new, |l| format!(", feature level {} of {}", l.current, l.possible));
    let mut text =
        format!("{color}, as node {} ({}) sees it; version {}{level}\n", me.name, me.id, me.version);
    for reason in &health.reasons {
        text.push_str(&why(reason, seen.time));
    }
    text.push('\n');
    text.push_str(&members(&seen.members));
    text.push('\n');
    text + &facts(seen)
}

fn why(reason: &Reason, now: i64) -> String {
    let level = match reason.level {
        Level::Yellow => "yellow",
        Level::Red => "RED",
    };
    let since = span(now - reason.since);
    let code = reason.code.name();
    format!("\n{level:<7} {code}, for {since}\n        {}\n        see {}\n", reason.text, reason.runbook)
}

fn members(members: &[Member]) -> String {
    let rows: Vec<[String; 10]> = members.iter().map(row).collect();
    let titles = ["NODE", "ID", "STATE", "ZONE", "VERSION", "RENEWED", "HEARD", "PHI", "LOAD", "DUTIES"];
    table(titles, &rows)
}

fn row(member: &Member) -> [String; 10] {
    let zone = [&*member.region, &*member.zone].into_iter().filter(|name| !name.is_empty());
    let ago = |millis: Option<u64>| {
        millis.map_or_else(|| "-".to_owned(), |m| format!("{:.1} s", m as f64 / 1000.0))
    };
    [
        member.name.clone(),
        member.id.to_string(),
        member.state.name().to_owned(),
        zone.collect::<Vec<_>>().join("/"),
        member.version.clone(),
        ago(member.unrenewed),
        ago(member.silence),
        member.phi.map_or_else(|| "-".to_owned(), |phi| format!("{phi:.1}")),
        member.load.map_or_else(|| "-".to_owned(), |load| format!("{} %", load / 10)),
        member.duties.to_string(),
    ]
}

/// A line for each other thing that is looked at.
fn facts(seen: &Observed) -> String {
    let probe =
        |error: &Option<String>, well: String| error.clone().map_or(well, |error| format!("FAILS: {error}"));
    let latency =
        seen.store.latency.map_or_else(|| "not asked yet".to_owned(), |ms| format!("answers in {ms:.1} ms"));
    let queue = &seen.queue;
    let more = if queue.more { "more than " } else { "" };
    let due = match queue.oldest_due.map(|due| due - seen.time) {
        None => String::new(),
        Some(due) if due > 0 => format!(", the next is due in {}", span(due)),
        Some(due) => format!(", the oldest has been due for {}", span(-due)),
    };
    let mut lines = vec![
        ("store", probe(&seen.store.error, latency)),
        ("bodies", probe(&seen.bodies.error, "no trouble".to_owned())),
        ("duties", format!("{}, {} of them nobody's", seen.duties.all, seen.duties.orphans)),
        ("queue", format!("{more}{} wait in this node's {} slots{due}", queue.waiting, queue.slots)),
        ("clients", format!("{} of {}", seen.connections.open, seen.connections.most)),
    ];
    if let Some(mail) = &seen.mail_probe {
        let well = mail.latency.map_or_else(|| "not sent yet".to_owned(), |ms| format!("arrived in {ms} ms"));
        lines.push(("mail", probe(&mail.error, well)));
    }
    for certificate in &seen.certificates {
        let left = span(certificate.expires - seen.time);
        lines.push(("shown", format!("certificate {}, good for {left}", certificate.what)));
    }
    lines.into_iter().map(|(name, fact)| format!("{name:<8} {fact}\n")).collect()
}

/// A length of time in two words at most; of one that is over nothing is left.
fn span(millis: i64) -> String {
    let seconds = millis.max(0) / 1000;
    match seconds {
        ..60 => format!("{seconds} s"),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        3600..86_400 => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
        _ => format!("{} days", seconds / 86_400),
    }
}

fn leases(leases: &Leases, json: bool) -> anyhow::Result<()> {
    print(json, &leases.duties, ["DUTY", "NODE", "ID", "EPOCH"], |duty| {
        let number = |number: Option<u64>| number.map_or_else(|| "-".to_owned(), |number| number.to_string());
        let name = duty.name.clone().unwrap_or_else(|| "NOBODY".to_owned());
        [duty.duty.clone(), name, number(duty.node.map(u64::from)), number(duty.epoch)]
    })
}

fn queues(slots: &[Slot], json: bool) -> anyhow::Result<()> {
    print(json, slots, ["SLOT", "NODE", "WAITING"], |slot| {
        let more = if slot.more { "+" } else { "" };
        let node = slot.node.map_or_else(|| "NOBODY".to_owned(), |node| node.to_string());
        [slot.slot.to_string(), node, format!("{}{more}", slot.waiting)]
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use admin::cluster::{Code, Ledger, State, judge};
    use runtime::Timestamp;

    fn health() -> Health {
        let node = |id: u32, state| Member { id, name: format!("n{id}"), state, ..Member::default() };
        let mut observed = Observed {
            time: 1_800_000_130_000,
            members: vec![node(1, State::Online), node(2, State::Down)],
            ..Observed::default()
        };
        observed.seen_by.name = "n1".into();
        observed.seen_by.id = 1;
        observed.store.latency = Some(2.25);
        let (status, mut reasons) = Ledger::default().enter(judge(&observed), Timestamp(0));
        reasons[0].since = 1_800_000_000_000;
        Health { status, reasons, observed }
    }

    #[test]
    fn the_worst_comes_first_with_what_to_do() {
        let text = status(&health());
        let begin = "YELLOW, as node n1 (1) sees it; version \n\nyellow  NODE_DOWN, for 2 min 10 s\n        node n2 (2) is gone";
        assert!(text.starts_with(begin), "{text}");
        assert!(text.contains(&Code::NodeDown.runbook()), "{text}");
        assert!(text.contains("\nn2    2   down ") && text.contains("store    answers in 2.2 ms"), "{text}");
    }

    #[test]
    fn spans_are_short() {
        let spans = [-5, 59_000, 60_000, 7_260_000, 200_000_000].map(span);
        assert_eq!(spans, ["0 s", "59 s", "1 min 0 s", "2 h 1 min", "2 days"]);
    }
}
