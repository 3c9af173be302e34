//! What that means which is seen.

use std::time::Duration;

use super::{Certificate, Code, Level, Member, Observed, State};

/// Something that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// What kind of thing it is.
    pub code: Code,
    /// How bad it is.
    pub level: Level,
    /// Which one of the kind: two with the same are the same one, at another time.
    pub subject: String,
    /// In words.
    pub text: String,
}

/// A store that takes longer for one read is slow.
const SLOW_STORE: f64 = 500.0;
/// A lease that was not renewed for so much of its time, in percent, is late.
const LATE_LEASE: u64 = 60;
/// A node that renews its lease and is silent beyond this phi is cut off from this one.
const SILENT: f64 = 3.5;
/// A duty is without anybody for a moment whenever it changes hands.
const ORPHANED: Duration = Duration::from_secs(8);
/// By then any node would have taken it.
const ORPHANED_BADLY: Duration = Duration::from_secs(60);
/// Mail that is due for longer is late.
const LATE_MAIL: Duration = Duration::from_secs(5 * 60);
/// Senders begin to ask.
const VERY_LATE_MAIL: Duration = Duration::from_secs(3600);
/// Mail is indexed within seconds; a search finds it anyway, and takes longer the more there is of it.
const LATE_INDEX: Duration = Duration::from_secs(2 * 60);
/// Between two looks for changes lies a second.
const LATE_CHANGES: Duration = Duration::from_secs(5);
/// Before a certificate of clients' ends somebody has to act.
const CERTIFICATE: Duration = Duration::from_secs(14 * 86_400);
/// That of other nodes is renewed with two thirds of its week left.
const CLUSTER_CERTIFICATE: Duration = Duration::from_secs(2 * 86_400);
/// So much of the connections that may be, in percent, is almost all.
const FULL: u64 = 90;
/// A disk with less of its room left, in percent, is almost full; and one with less is as good as full.
const DISK: (u64, u64) = (5, 1);
/// A jump of the clock is told for so long.
const STEP: Duration = Duration::from_secs(5 * 60);

/// What is wrong.
pub fn judge(seen: &Observed) -> Vec<Verdict> {
    let parts = [own(seen), store(seen), members(seen), work(seen), machine(seen), certificates(seen)];
    parts.concat()
}

fn verdict(code: Code, level: Level, subject: impl Into<String>, text: impl Into<String>) -> Verdict {
    Verdict { code, level, subject: subject.into(), text: text.into() }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

fn seconds(millis: u64) -> String {
    format!("{}.{} s", millis / 1000, millis % 1000 / 100)
}

/// The node that looks.
fn own(seen: &Observed) -> Vec<Verdict> {
    let (me, mut found) = (&seen.seen_by, Vec::new());
    if me.state != State::Online {
        // It has none yet, or gives it back.
    } else if !me.lease {
        let text = format!("node {} has lost its lease: others work on what it had", me.name);
        found.push(verdict(Code::NotJoined, Level::Red, &me.name, text));
    } else if me.unrenewed > me.lease_time.saturating_mul(LATE_LEASE) / 100 {
        let text = format!("node {} could not renew its own lease for {}", me.name, seconds(me.unrenewed));
        found.push(verdict(Code::LeaseLate, Level::Red, &me.name, text));
    }
    if let Some(why) = &seen.configuration {
        let text = format!("node {} goes on with its old configuration: {why}", me.name);
        found.push(verdict(Code::ConfigurationRefused, Level::Yellow, &me.name, text));
    }
    found
}

fn store(seen: &Observed) -> Vec<Verdict> {
    let (name, mut found) = (&seen.seen_by.name, Vec::new());
    match (&seen.store.error, seen.store.latency) {
        (Some(why), _) => {
            let text = format!("the store does not answer node {name}: {why}");
            found.push(verdict(Code::StoreDown, Level::Red, "", text));
        }
        (None, Some(latency)) if latency > SLOW_STORE => {
            let text = format!("a read of the store took {latency:.0} ms at node {name}");
            found.push(verdict(Code::StoreSlow, Level::Yellow, "", text));
        }
        _ => {}
    }
    if let Some(why) = &seen.bodies.error {
        let text = format!("larger bodies wait at node {name}, {why}");
        found.push(verdict(Code::BodiesDown, Level::Yellow, "", text));
    }
    let serves = seen.seen_by.state == State::Online;
    if let Some(ago) = seen.changes.since_look.filter(|ago| serves && *ago > millis(LATE_CHANGES)) {
        let text = format!("node {name} looked {} ago for changes made on others", seconds(ago));
        found.push(verdict(Code::ChangesLate, Level::Yellow, "", text));
    }
    found
}

fn members(seen: &Observed) -> Vec<Verdict> {
    let others = seen.members.iter().filter(|member| member.id != seen.seen_by.id);
    let lease = seen.seen_by.lease_time;
    others.filter_map(|member| about(member, lease)).collect()
}

/// The worst that there is to say about another node.
fn about(member: &Member, lease: u64) -> Option<Verdict> {
    let Member { name, id, state, .. } = member;
    if member.site == schema::SiteState::Offline.name() {
        // Somebody has said that nothing will be heard of it.
        return None;
    }
    let say = |code, text| Some(verdict(code, Level::Yellow, name, text));
    if *state == State::Down {
        return say(Code::NodeDown, format!("node {name} ({id}) is gone and did not say goodbye"));
    }
    if let Some(late) = member.unrenewed.filter(|late| *late > lease.saturating_mul(LATE_LEASE) / 100) {
        return say(
            Code::LeaseLate,
            format!("node {name} ({id}) did not renew its lease for {}", seconds(late)),
        );
    }
    let silent = member.alive == Some(false) || member.phi.is_some_and(|phi| phi > SILENT);
    if silent && *state == State::Online {
        let silence = member.silence.map_or_else(|| "long".to_owned(), seconds);
        let text = format!("node {name} ({id}) renews its lease, and gossip has not heard it for {silence}");
        return say(Code::NodeSilent, text);
    }
    None
}

fn work(seen: &Observed) -> Vec<Verdict> {
    let mut found = Vec::new();
    let duties = &seen.duties;
    if duties.orphans > 0 && duties.orphaned_for > millis(ORPHANED) {
        let bad = duties.orphaned_for > millis(ORPHANED_BADLY);
        let (count, which) = (duties.orphans, duties.orphaned.join(", "));
        let text = format!("nobody works on {count} duties, for {}: {which}", seconds(duties.orphaned_for));
        found.push(verdict(Code::DutyOrphaned, if bad { Level::Red } else { Level::Yellow }, "", text));
    }
    let late = seen.queue.oldest_due.map_or(0, |due| u64::try_from(seen.time - due).unwrap_or(0));
    if late > millis(LATE_MAIL) {
        let bad = late > millis(VERY_LATE_MAIL);
        let text = format!("mail has been due for {}, and is not sent", seconds(late));
        found.push(verdict(Code::QueueLate, if bad { Level::Red } else { Level::Yellow }, "", text));
    }
    if let Some(lag) = seen.search.lag.filter(|lag| *lag > millis(LATE_INDEX)) {
        let (name, why) = (&seen.seen_by.name, seen.search.error.as_deref().unwrap_or("there is much of it"));
        let text = format!("mail has waited for {} for the index at node {name}: {why}", seconds(lag));
        found.push(verdict(Code::IndexLate, Level::Yellow, "", text));
    }
    if let Some(why) = seen.mail_probe.as_ref().and_then(|probe| probe.error.as_ref()) {
        let text = format!("a message that node {} sent itself did not arrive: {why}", seen.seen_by.name);
        found.push(verdict(Code::MailProbeFailed, Level::Yellow, "", text));
    }
    found
}

/// What the node stands on.
fn machine(seen: &Observed) -> Vec<Verdict> {
    let (name, mut found) = (&seen.seen_by.name, Vec::new());
    let (open, most) = (seen.connections.open, seen.connections.most);
    if most > 0 && open.saturating_mul(100) >= most.saturating_mul(FULL) {
        let text = format!("node {name} has {open} clients of {most} that it takes");
        found.push(verdict(Code::ConnectionsFull, Level::Yellow, "", text));
    }
    if let Some(disk) = seen.disk.as_ref().filter(|disk| disk.size > 0) {
        let left = disk.free.saturating_mul(100);
        let below = |percent: u64| left < disk.size.saturating_mul(percent);
        if below(DISK.0) {
            let text = format!("the disk of node {name}'s data has {} MB left", disk.free / 1_000_000);
            let level = if below(DISK.1) { Level::Red } else { Level::Yellow };
            found.push(verdict(Code::DiskLow, level, "", text));
        }
    }
    if let (Some(step), Some(ago)) = (seen.clock.step, seen.clock.step_ago)
        && ago <= millis(STEP)
    {
        let way = if step < 0 { "back" } else { "forward" };
        let (by, ago) = (seconds(step.unsigned_abs()), seconds(ago));
        let text = format!("the clock of node {name} jumped {way} by {by}, {ago} ago");
        found.push(verdict(Code::ClockStepped, Level::Yellow, "", text));
    }
    found
}

fn certificates(seen: &Observed) -> Vec<Verdict> {
    seen.certificates.iter().filter_map(|certificate| expires(seen, certificate)).collect()
}

fn expires(seen: &Observed, certificate: &Certificate) -> Option<Verdict> {
    let Certificate { what, internal, expires } = certificate;
    let (code, early) = match internal {
        true => (Code::ClusterCertificateExpires, CLUSTER_CERTIFICATE),
        false => (Code::CertificateExpires, CERTIFICATE),
    };
    let left = expires - seen.time;
    if left <= 0 {
        return Some(verdict(code, Level::Red, what, format!("certificate {what} is good no more")));
    }
    let left = left.unsigned_abs();
    (left < millis(early)).then(|| {
        let hours = left / 3_600_000;
        let text = format!("certificate {what} is good for {} d {} h more", hours / 24, hours % 24);
        verdict(code, Level::Yellow, what, text)
    })
}

#[cfg(test)]
#[path = "judge_tests.rs"]
mod tests;
