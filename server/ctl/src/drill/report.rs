//! What a drill has shown, for programs and for people.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use serde::{Deserialize, Serialize};

use super::journal::{Event, Line};
use super::measure::{Kept, Outage, Part, Sample, Span, outage};
use super::plan::Plan;
use super::steps::{Ended, Step};

/// The report for programs.
pub(crate) const JSON: &str = "report.json";

/// The report for people.
pub(crate) const MARKDOWN: &str = "report.md";

/// What was seen.
pub(crate) struct Findings {
    /// From the loss to its end, if there was one.
    pub(crate) loss: Option<Span>,
    /// From there until all was as before.
    pub(crate) back: Option<Span>,
    pub(crate) samples: Vec<Sample>,
    pub(crate) kept: BTreeMap<Part, Kept>,
}

impl Findings {
    /// Without what was seen to fail when it came back already: that is what coming back has cost, and is counted there.
    fn during_the_loss(&self) -> Vec<Sample> {
        let returning = self.back.map_or(Duration::MAX, |(returning, _)| returning);
        let seen = |sample: &&Sample| sample.failure.is_none() || sample.ended < returning;
        self.samples.iter().filter(seen).cloned().collect()
    }
}

/// A step, as it went.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Went {
    pub(crate) step: Step,
    /// In milliseconds since the epoch.
    pub(crate) begun: i64,
    pub(crate) seconds: Option<f64>,
    /// `done`, `failed`, `undone`, or `begun` if nothing more is known.
    pub(crate) outcome: String,
}

/// A part, as users would have felt it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct PartReport {
    /// While it was lost.
    pub(crate) loss: Outage,
    /// While it came back.
    pub(crate) back: Outage,
    /// What was acknowledged; nothing for parts that acknowledge nothing, or if nobody came to look.
    pub(crate) kept: Option<Kept>,
    /// Longest time without service that is allowed, in seconds.
    pub(crate) budget_rto: f64,
    /// Most that may be lost.
    pub(crate) budget_rpo: u64,
    /// Whether it stayed within that.
    pub(crate) passed: bool,
}

/// What a drill has shown.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Report {
    pub(crate) id: String,
    pub(crate) scope: String,
    pub(crate) planned: bool,
    /// `passed`, `failed` (something cost more than it may) or `gone back` (it did not come to its end).
    pub(crate) outcome: String,
    /// Why it went back, and what is left to undo.
    pub(crate) why: Option<String>,
    pub(crate) steps: Vec<Went>,
    pub(crate) parts: BTreeMap<Part, PartReport>,
}

impl Report {
    pub(crate) fn new(id: &str, plan: &Plan, ended: &Ended, journal: &[Line], found: &Findings) -> Self {
        let part = |part: Part| (part, PartReport::new(part, plan, found));
        let parts: BTreeMap<Part, PartReport> = Part::ALL.into_iter().map(part).collect();
        let (outcome, why) = match ended {
            Ended::Done if parts.values().all(|part| part.passed) => ("passed", None),
            Ended::Done => ("failed", None),
            Ended::WentBack { step, why, left } => {
                let at = step.map(|step| format!("in {step}: ")).unwrap_or_default();
                let left = left.as_ref().map(|left| format!("; {left}: run `godwit drill abort` again"));
                ("gone back", Some(format!("{at}{why}{}", left.unwrap_or_default())))
            }
        };
        let (id, scope) = (id.to_owned(), plan.scope.to_string());
        Report {
            id,
            scope,
            planned: plan.planned,
            outcome: outcome.to_owned(),
            why,
            steps: went(journal),
            parts,
        }
    }

    pub(crate) fn passed(&self) -> bool {
        self.outcome == "passed"
    }

    /// Writes both into the drill's folder.
    pub(crate) fn write(&self, dir: &Path) -> anyhow::Result<()> {
        let json = serde_json::to_string_pretty(self)? + "\n";
        for (name, text) in [(JSON, json), (MARKDOWN, self.markdown())] {
            std::fs::write(dir.join(name), text).with_context(|| format!("{}: {name}", dir.display()))?;
        }
        Ok(())
    }

    /// For people to read.
    pub(crate) fn markdown(&self) -> String {
        let how = if self.planned { "evacuated before" } else { "without warning" };
        let mut text = format!("# Drill {}: loss of {}, {how}\n\n", self.id, self.scope);
        let _ = writeln!(
            text,
            "**{}**{}\n",
            self.outcome,
            self.why.as_ref().map(|why| format!(" ({why})")).unwrap_or_default()
        );
        text.push_str("| part | RTO | allowed | coming back | probes failed | acknowledged | lost | allowed | twice | |\n");
        text.push_str("|---|---|---|---|---|---|---|---|---|---|\n");
        for (part, of) in &self.parts {
            let count = |count: fn(&Kept) -> u64| {
                of.kept.as_ref().map_or_else(|| "-".to_owned(), |kept| count(kept).to_string())
            };
            let _ = writeln!(
                text,
                "| {part} | {} | {:.1} s | {} | {} of {} | {} | {} | {} | {} | {} |",
                seconds(of.loss.seconds),
                of.budget_rto,
                seconds(of.back.seconds),
                of.loss.failures + of.back.failures,
                of.loss.attempts + of.back.attempts,
                count(|kept| kept.acknowledged),
                count(|kept| kept.lost),
                of.budget_rpo,
                count(|kept| kept.doubled),
                if of.passed { "ok" } else { "**NOT OK**" },
            );
        }
        for (part, of) in &self.parts {
            if let Some(last) = of.loss.last.as_ref().or(of.back.last.as_ref()) {
                let _ = writeln!(text, "\nLast failure of {part}: {last}");
            }
        }
        text.push_str("\n| step | took | |\n|---|---|---|\n");
        for step in &self.steps {
            let _ = writeln!(text, "| {} | {} | {} |", step.step, seconds(step.seconds), step.outcome);
        }
        text
    }
}

fn seconds(seconds: Option<f64>) -> String {
    seconds.map_or_else(|| "never".to_owned(), |seconds| format!("{seconds:.1} s"))
}

impl PartReport {
    fn new(part: Part, plan: &Plan, found: &Findings) -> Self {
        let of = |samples: &[Sample], span: Option<Span>| {
            span.map(|span| outage(samples, part, span)).unwrap_or_default()
        };
        let (loss, back) = (of(&found.during_the_loss(), found.loss), of(&found.samples, found.back));
        let kept = found.kept.get(&part).cloned();
        let budget = plan.budget(part);
        let rto = budget.rto.0.as_secs_f64();
        let within = |outage: &Outage| outage.seconds.is_some_and(|seconds| seconds <= rto);
        let lost = kept.as_ref().map_or(0, |kept| kept.lost);
        let passed = within(&loss) && within(&back) && lost <= budget.rpo;
        PartReport { loss, back, kept, budget_rto: rto, budget_rpo: budget.rpo, passed }
    }
}

/// The steps by the journal.
fn went(journal: &[Line]) -> Vec<Went> {
    let mut steps: Vec<Went> = Vec::new();
    for line in journal {
        let (step, outcome) = match &line.event {
            Event::Begin { step } => {
                steps.push(Went { step: *step, begun: line.at, seconds: None, outcome: "begun".to_owned() });
                continue;
            }
            Event::Done { step } => (*step, "done"),
            Event::Failed { step, .. } => (*step, "failed"),
            Event::Undone { step } => (*step, "undone"),
            _ => continue,
        };
        if let Some(went) = steps.iter_mut().rfind(|went| went.step == step) {
            // How long the step took, not how long it stood.
            went.seconds.get_or_insert((line.at - went.begun) as f64 / 1000.0);
            outcome.clone_into(&mut went.outcome);
        }
    }
    steps
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(at: i64, event: Event) -> Line {
        Line { at, event }
    }

    fn found(lost: u64, ended: u64) -> Findings {
        let seconds = Duration::from_secs;
        let sample = |part, begun, ended, failure: Option<&str>| Sample {
            part,
            begun: seconds(begun),
            ended: seconds(ended),
            failure: failure.map(str::to_owned),
        };
        let mut samples: Vec<Sample> = Part::ALL
            .into_iter()
            .flat_map(|part| [20, 105].map(|at| sample(part, at, at + 1, None)))
            .collect();
        samples.push(sample(Part::MailIn, 11, 12, Some("refused")));
        samples.push(sample(Part::MailIn, 13, ended, None));
        let kept = Kept { acknowledged: 7, lost, doubled: 0 };
        Findings {
            loss: Some((seconds(10), seconds(100))),
            back: Some((seconds(100), seconds(110))),
            samples,
            kept: [(Part::MailIn, kept)].into(),
        }
    }

    #[test]
    fn a_drill_passes_within_its_budgets() {
        let plan = Plan::example("zone a", false, "fail = 'x'\nrestore = 'y'\n[budget.mail_in]\nrto = '5s'");
        let report = |lost, ended| Report::new("d1", &plan, &Ended::Done, &[], &found(lost, ended));
        let good = report(0, 14);
        assert!(good.passed(), "{good:?}");
        assert!(
            good.markdown().contains("| mail in | 4.0 s | 5.0 s | 0.0 s | 1 of 4 | 7 | 0 | 0 | 0 | ok |")
        );
        assert_eq!(report(1, 14).outcome, "failed");
        assert_eq!(report(0, 16).outcome, "failed");
        let text = serde_json::to_string(&good).unwrap();
        assert_eq!(serde_json::from_str::<Report>(&text).unwrap(), good);
    }

    #[test]
    fn what_fails_as_it_comes_back_is_counted_there_and_once() {
        let plan = Plan::example("zone a", false, "fail = 'x'\nrestore = 'y'");
        let mut found = found(0, 14);
        let (begun, ended) = (Duration::from_secs(99), Duration::from_secs(104));
        let hung = Sample { part: Part::Search, begun, ended, failure: Some("hung".into()) };
        found.samples.push(hung);
        let report = Report::new("d1", &plan, &Ended::Done, &[], &found);
        let search = &report.parts[&Part::Search];
        assert_eq!((search.loss.failures, search.back.failures), (0, 1));
        assert_eq!((search.loss.seconds, search.back.seconds), (Some(0.0), Some(6.0)));
        // While nothing comes back it belongs to the loss.
        found.back = None;
        let report = Report::new("d1", &plan, &Ended::Done, &[], &found);
        assert_eq!(report.parts[&Part::Search].loss.failures, 1);
    }

    #[test]
    fn one_that_went_back_says_where_and_why() {
        let plan = Plan::example("node n1", false, "fail = 'x'\nrestore = 'y'");
        let left = Some("not undone: fail: no".to_owned());
        let ended = Ended::WentBack { step: Some(Step::Fail), why: "hooks.fail: exit 1".into(), left };
        let journal = [
            line(0, Event::Begin { step: Step::Lock }),
            line(500, Event::Done { step: Step::Lock }),
            line(600, Event::Begin { step: Step::Fail }),
            line(2600, Event::Failed { step: Step::Fail, why: "x".into() }),
            line(9000, Event::Undone { step: Step::Lock }),
        ];
        let report = Report::new("d1", &plan, &ended, &journal, &found(0, 14));
        let text = report.markdown();
        assert!(text.contains("**gone back** (in fail: hooks.fail: exit 1; not undone"), "{text}");
        assert!(
            text.contains("| lock | 0.5 s | undone |") && text.contains("| fail | 2.0 s | failed |"),
            "{text}"
        );
        let dir = tempfile::tempdir().unwrap();
        report.write(dir.path()).unwrap();
        assert_eq!(std::fs::read_to_string(dir.path().join(MARKDOWN)).unwrap(), text);
    }
}
