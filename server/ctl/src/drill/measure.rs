//! From what probes saw to what users would have felt.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What users do, each measured by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Part {
    /// Mail for the account is taken.
    MailIn,
    /// The account's newest message is read.
    MailRead,
    /// What is sent arrives, or nothing is overdue.
    Queue,
    /// A message is found by its text.
    Search,
    /// A large message is written and read back.
    Bodies,
}

impl Part {
    /// All of them.
    pub(crate) const ALL: [Part; 5] = [Part::MailIn, Part::MailRead, Part::Queue, Part::Search, Part::Bodies];

    /// For people to read.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Part::MailIn => "mail in",
            Part::MailRead => "mail read",
            Part::Queue => "queue",
            Part::Search => "search",
            Part::Bodies => "bodies",
        }
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One probe: when it began and ended, in monotonic time, and why it failed if it did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sample {
    pub(crate) part: Part,
    pub(crate) begun: Duration,
    pub(crate) ended: Duration,
    pub(crate) failure: Option<String>,
}

impl Sample {
    /// For who wants to see more than the report says: when it ended, in milliseconds since the epoch, how many it took, and
    /// why it failed.
    pub(crate) fn line(&self, at: i64) -> String {
        let took = self.ended.saturating_sub(self.begun).as_millis() as u64;
        let value = serde_json::json!({"at": at, "part": self.part, "took": took, "failure": self.failure});
        format!("{value}\n")
    }
}

/// A span of monotonic time.
pub(crate) type Span = (Duration, Duration);

/// What a part has gone through in a span.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Outage {
    /// Probes that ran in it.
    pub(crate) attempts: usize,
    /// Those that failed.
    pub(crate) failures: usize,
    /// Seconds from the begin of the span to the first success that began after the last failure; 0 if none failed, nothing
    /// if none succeeded after it.
    pub(crate) seconds: Option<f64>,
    /// What the last failure was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) last: Option<String>,
}

/// What a part has gone through: of probes that began within the span, or before it and failed in it.
pub(crate) fn outage(samples: &[Sample], part: Part, (from, to): Span) -> Outage {
    let within = |sample: &&Sample| {
        let late = sample.failure.is_some() && sample.begun < from && sample.ended >= from;
        sample.part == part && sample.begun < to && (sample.begun >= from || late)
    };
    let mut seen: Vec<&Sample> = samples.iter().filter(within).collect();
    seen.sort_by_key(|sample| sample.begun);
    let last = seen.iter().rposition(|sample| sample.failure.is_some());
    let failures = seen.iter().filter(|sample| sample.failure.is_some()).count();
    let back = |last: usize| seen.iter().skip(last + 1).map(|sample| sample.ended).min();
    let seconds = match last {
        None => Some(0.0),
        Some(last) => back(last).map(|at| at.saturating_sub(from).as_secs_f64()),
    };
    let last = last.and_then(|last| seen.get(last)?.failure.clone());
    Outage { attempts: seen.len(), failures, seconds, last }
}

/// Why not all parts can be said to have come back since `from`: for as long as `steady` each has to succeed.
pub(crate) fn still_out(
    samples: &[Sample],
    from: Duration,
    now: Duration,
    steady: Duration,
) -> Option<String> {
    let calm = now.saturating_sub(steady).max(from);
    Part::ALL.into_iter().find_map(|part| {
        let own = || samples.iter().filter(|sample| sample.part == part);
        let failed = own().rfind(|sample| sample.failure.is_some() && sample.ended >= calm);
        if let Some(why) = failed.and_then(|sample| sample.failure.clone()) {
            return Some(format!("{part}: {why}"));
        }
        let succeeds = own().any(|sample| sample.begun >= from && sample.failure.is_none());
        (!succeeds || now < from + steady).then(|| format!("{part}: nothing has succeeded yet"))
    })
}

/// What was acknowledged, and what of that is there.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Kept {
    /// What was acknowledged.
    pub(crate) acknowledged: u64,
    /// What of that is not there.
    pub(crate) lost: u64,
    /// What is there more than once.
    pub(crate) doubled: u64,
}

/// Compares what was acknowledged with what is there, and how often.
pub(crate) fn kept(acknowledged: &[String], there: &BTreeMap<String, u32>) -> Kept {
    let times = |id: &String| there.get(id).copied().unwrap_or(0);
    Kept {
        acknowledged: acknowledged.len() as u64,
        lost: acknowledged.iter().filter(|id| times(id) == 0).count() as u64,
        doubled: acknowledged.iter().filter(|id| times(id) > 1).count() as u64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(part: Part, begun: u64, ended: u64, ok: bool) -> Sample {
        let failure = (!ok).then(|| "refused".to_owned());
        Sample { part, begun: Duration::from_secs(begun), ended: Duration::from_secs(ended), failure }
    }

    fn span(from: u64, to: u64) -> Span {
        (Duration::from_secs(from), Duration::from_secs(to))
    }

    #[test]
    fn an_outage_ends_with_the_first_success_after_the_last_failure() {
        let part = Part::MailIn;
        let samples = [
            at(part, 1, 2, true),
            at(part, 9, 14, false),
            at(part, 11, 12, true),
            at(part, 12, 16, false),
            // Begun after it, and ended before it.
            at(part, 13, 15, true),
            at(part, 20, 21, true),
            at(part, 31, 32, false),
            at(Part::Queue, 12, 13, true),
        ];
        let found = outage(&samples, part, span(10, 30));
        assert_eq!((found.attempts, found.failures, found.seconds), (5, 2, Some(5.0)));
        assert_eq!(found.last.as_deref(), Some("refused"));
        assert_eq!(outage(&samples, Part::Queue, span(10, 30)).seconds, Some(0.0));
        assert_eq!(outage(&samples, part, span(30, 40)).seconds, None, "it never came back");
        assert_eq!(outage(&[], part, span(0, 1)).attempts, 0);
    }

    #[test]
    fn recovered_is_what_has_been_well_for_a_while() {
        let seconds = Duration::from_secs;
        let mut samples: Vec<Sample> = Part::ALL.into_iter().map(|part| at(part, 12, 13, true)).collect();
        assert!(still_out(&samples, seconds(10), seconds(13), seconds(5)).is_some(), "too early");
        assert_eq!(still_out(&samples, seconds(10), seconds(15), seconds(5)), None);
        samples.push(at(Part::Search, 11, 14, false));
        assert!(still_out(&samples, seconds(10), seconds(15), seconds(5)).unwrap().starts_with("search"));
        assert_eq!(still_out(&samples, seconds(10), seconds(20), seconds(5)), None);
        samples.retain(|sample| sample.part != Part::Bodies);
        assert!(still_out(&samples, seconds(10), seconds(20), seconds(5)).unwrap().starts_with("bodies"));
    }

    #[test]
    fn what_was_acknowledged_is_counted() {
        let there = [("a".to_owned(), 1), ("b".to_owned(), 2), ("x".to_owned(), 1)].into();
        let ids = ["a", "b", "c"].map(str::to_owned);
        assert_eq!(kept(&ids, &there), Kept { acknowledged: 3, lost: 1, doubled: 1 });
    }
}
