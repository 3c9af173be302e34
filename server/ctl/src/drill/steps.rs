//! The steps of a drill, their order, and the way back from each.
//!
//! Nothing here does anything: a [`World`] does. So the way back is tried from every step, and with failures in it.

use std::fmt;
use std::str::FromStr;

use runtime::CancellationToken;
use serde::{Deserialize, Serialize};

use super::journal::Event;
use super::plan::{Plan, Scope};

/// A step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Step {
    /// The store says that a drill is under way.
    Lock,
    /// The operator's preparations.
    Before,
    /// The probes begin, and succeed.
    Probe,
    /// What will be lost is evacuated.
    Evacuate,
    /// It is lost.
    Fail,
    /// All that users do succeeds again.
    Recover,
    /// What was lost is brought back.
    Restore,
    /// It serves again.
    Rejoin,
    /// All is as it was before.
    Settle,
    /// What was acknowledged is looked for.
    Judge,
    /// The operator's preparations are taken back.
    After,
    /// The store says that no drill is under way.
    Unlock,
}

impl Step {
    /// All of them, in order.
    pub(crate) const ALL: [Step; 12] = [
        Step::Lock,
        Step::Before,
        Step::Probe,
        Step::Evacuate,
        Step::Fail,
        Step::Recover,
        Step::Restore,
        Step::Rejoin,
        Step::Settle,
        Step::Judge,
        Step::After,
        Step::Unlock,
    ];

    /// In one word.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Step::Lock => "lock",
            Step::Before => "before",
            Step::Probe => "probe",
            Step::Evacuate => "evacuate",
            Step::Fail => "fail",
            Step::Recover => "recover",
            Step::Restore => "restore",
            Step::Rejoin => "rejoin",
            Step::Settle => "settle",
            Step::Judge => "judge",
            Step::After => "after",
            Step::Unlock => "unlock",
        }
    }

    /// What it does, and what undoes it on the way back; nothing where nothing is to be undone.
    fn words(self, scope: &Scope) -> (String, Option<String>) {
        let node = matches!(scope, Scope::Node(_));
        let (does, undo) = match self {
            Step::Lock => ("write into the store that a drill is under way".to_owned(), Some("clear that")),
            Step::Before => ("run hooks.before".to_owned(), Some("run hooks.after")),
            Step::Probe => {
                ("begin the probes, and wait until each succeeds".to_owned(), Some("end the probes"))
            }
            Step::Evacuate if node => (format!("have {scope} drained"), Some("run hooks.restore")),
            Step::Evacuate => (format!("set {scope} to evacuating"), Some("set it to online")),
            Step::Fail => (format!("run hooks.fail: {scope} is lost"), Some("run hooks.restore")),
            Step::Recover => ("wait until all that users do succeeds again".to_owned(), None),
            Step::Restore => ("run hooks.restore".to_owned(), None),
            Step::Rejoin => (format!("set {scope} to online"), None),
            Step::Settle => ("wait until nodes and sites are as they were".to_owned(), None),
            Step::Judge => ("look for all that was acknowledged".to_owned(), None),
            Step::After => ("run hooks.after".to_owned(), None),
            Step::Unlock => ("write into the store that it is over".to_owned(), None),
        };
        (does, undo.map(str::to_owned))
    }

    fn has_undo(self) -> bool {
        matches!(self, Step::Lock | Step::Before | Step::Probe | Step::Evacuate | Step::Fail)
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Step {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Step::ALL
            .into_iter()
            .find(|step| step.name() == text)
            .ok_or_else(|| format!("no step is called {text}"))
    }
}

/// The steps of a plan.
pub(crate) fn sequence(plan: &Plan) -> Vec<Step> {
    let node = matches!(plan.scope, Scope::Node(_));
    let needed = |step: &Step| match step {
        Step::Before => plan.hooks.before.is_some(),
        Step::After => plan.hooks.before.is_some() || plan.hooks.after.is_some(),
        Step::Evacuate => plan.planned,
        Step::Fail => plan.hooks.fail.is_some(),
        Step::Restore => plan.hooks.restore.is_some(),
        Step::Rejoin => plan.planned && !node,
        _ => true,
    };
    Step::ALL.into_iter().filter(needed).collect()
}

/// The steps of a plan, for people to read.
pub(crate) fn table(plan: &Plan) -> String {
    let line = |(number, step): (usize, &Step)| {
        let (does, undo) = step.words(&plan.scope);
        let undo = undo.unwrap_or_else(|| "-".to_owned());
        format!("{:>2}  {:<9} {does:<58} on the way back: {undo}\n", number + 1, step.name())
    };
    sequence(plan).iter().enumerate().map(line).collect()
}

/// What steps act on.
pub(crate) trait World {
    /// Does a step. Dropped in the midst of it, it may be half done.
    async fn act(&mut self, step: Step) -> anyhow::Result<()>;

    /// Undoes a step that was done, half done or not done at all, whether it was undone before or not.
    async fn undo(&mut self, step: Step) -> anyhow::Result<()>;

    /// Waits until all is as it was.
    async fn as_before(&mut self) -> anyhow::Result<()>;
}

/// Where it is written what has begun and what is done.
pub(crate) trait Log {
    /// Writes it so that it outlives this process.
    fn note(&mut self, event: &Event) -> anyhow::Result<()>;
}

/// How a drill ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Ended {
    /// All steps are done.
    Done,
    /// It went back to the start.
    WentBack {
        /// The step that failed, or in which it was told to end.
        step: Option<Step>,
        /// Why.
        why: String,
        /// What could not be undone, and why; it is to be tried again.
        left: Option<String>,
    },
}

/// Does the steps; goes back if one fails, or when told to stop.
pub(crate) async fn run(
    steps: &[Step],
    world: &mut impl World,
    log: &mut impl Log,
    stop: &CancellationToken,
    abort_after: Option<Step>,
) -> Ended {
    let mut begun = Vec::new();
    for step in steps {
        let done = async {
            log.note(&Event::Begin { step: *step })?;
            begun.push(*step);
            tokio::select! {
                biased;
                () = stop.cancelled() => anyhow::bail!("told to end"),
                done = world.act(*step) => done?,
            }
            log.note(&Event::Done { step: *step })?;
            anyhow::ensure!(abort_after != Some(*step), "told to end after it");
            Ok(())
        };
        let done: anyhow::Result<()> = done.await;
        if let Err(error) = done {
            let why = format!("{error:#}");
            // If not even this can be written, going back matters more.
            let _ = log.note(&Event::Failed { step: *step, why: why.clone() });
            let left = go_back(&to_undo(&begun), world, log).await.err().map(|error| format!("{error:#}"));
            return Ended::WentBack { step: Some(*step), why, left };
        }
    }
    Ended::Done
}

/// Those that are to be undone, the last one first.
pub(crate) fn to_undo(begun: &[Step]) -> Vec<Step> {
    begun.iter().rev().copied().filter(|step| step.has_undo()).collect()
}

/// Undoes steps, in this order. What fails does not keep the others from being undone, but the lock stays.
pub(crate) async fn go_back(
    steps: &[Step],
    world: &mut impl World,
    log: &mut impl Log,
) -> anyhow::Result<()> {
    let mut failures = Vec::new();
    for step in steps {
        let undone = match step {
            Step::Lock if failures.is_empty() => match world.as_before().await {
                Ok(()) => world.undo(Step::Lock).await,
                Err(error) => Err(error),
            },
            Step::Lock => break,
            step => world.undo(*step).await,
        };
        match undone.and_then(|()| log.note(&Event::Undone { step: *step })) {
            Ok(()) => {}
            Err(error) => failures.push(format!("{step}: {error:#}")),
        }
    }
    anyhow::ensure!(failures.is_empty(), "not undone: {}", failures.join("; "));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drill::journal;

    /// What can be seen of the world.
    #[derive(Debug, Clone, Default, PartialEq, Eq)]
    struct State {
        locked: bool,
        prepared: bool,
        probing: bool,
        evacuated: bool,
        lost: bool,
    }

    /// How a step ends badly.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    enum Trouble {
        Before,
        After,
        Killed,
    }

    #[derive(Default)]
    struct Fake {
        state: State,
        trouble: Option<(Step, Trouble)>,
        /// Undoing these fails, once.
        stubborn: Vec<Step>,
        /// Of a node: it was drained, and only the hook brings it back.
        node: bool,
    }

    impl Fake {
        fn apply(&mut self, step: Step) {
            let state = &mut self.state;
            match step {
                Step::Lock => state.locked = true,
                Step::Before => state.prepared = true,
                Step::Probe => state.probing = true,
                Step::Evacuate if self.node => state.lost = true,
                Step::Evacuate => state.evacuated = true,
                Step::Fail => state.lost = true,
                Step::Restore => state.lost = false,
                Step::Rejoin => state.evacuated = false,
                Step::Judge => state.probing = false,
                Step::After => state.prepared = false,
                Step::Unlock => state.locked = false,
                Step::Recover | Step::Settle => {}
            }
        }
    }

    impl World for Fake {
        async fn act(&mut self, step: Step) -> anyhow::Result<()> {
            let trouble = self.trouble.filter(|(at, _)| *at == step).map(|(_, trouble)| trouble);
            if trouble != Some(Trouble::Before) {
                self.apply(step);
            }
            match trouble {
                None => Ok(()),
                Some(Trouble::Killed) => std::future::pending().await,
                Some(trouble) => anyhow::bail!("{trouble:?}"),
            }
        }

        async fn undo(&mut self, step: Step) -> anyhow::Result<()> {
            if let Some(at) = self.stubborn.iter().position(|stubborn| *stubborn == step) {
                self.stubborn.remove(at);
                anyhow::bail!("not now");
            }
            match step {
                Step::Lock => self.state.locked = false,
                Step::Before => self.state.prepared = false,
                Step::Probe => self.state.probing = false,
                Step::Evacuate if self.node => self.state.lost = false,
                Step::Evacuate => self.state.evacuated = false,
                Step::Fail => self.state.lost = false,
                _ => anyhow::bail!("{step} has no undo"),
            }
            Ok(())
        }

        async fn as_before(&mut self) -> anyhow::Result<()> {
            let rest = State { locked: self.state.locked, ..State::default() };
            anyhow::ensure!(self.state == rest, "{:?}", self.state);
            Ok(())
        }
    }

    #[derive(Default)]
    struct Paper(Vec<Event>);

    impl Log for Paper {
        fn note(&mut self, event: &Event) -> anyhow::Result<()> {
            self.0.push(event.clone());
            Ok(())
        }
    }

    fn plans() -> Vec<Plan> {
        let mut plans = Vec::new();
        for scope in ["node n1", "zone a", "region r"] {
            for planned in [true, false] {
                for hooks in
                    ["fail = 'x'\nrestore = 'y'", "fail = 'x'\nrestore = 'y'\nbefore = 'b'\nafter = 'a'"]
                {
                    plans.push(Plan::example(scope, planned, hooks));
                }
            }
        }
        plans
    }

    fn fake(plan: &Plan, trouble: Option<(Step, Trouble)>) -> Fake {
        Fake { trouble, node: matches!(plan.scope, Scope::Node(_)), ..Fake::default() }
    }

    #[tokio::test]
    async fn to_its_end_a_drill_leaves_nothing_behind() {
        for plan in plans() {
            let (mut world, mut log) = (fake(&plan, None), Paper::default());
            let ended = run(&sequence(&plan), &mut world, &mut log, &CancellationToken::new(), None).await;
            assert_eq!((ended, &world.state), (Ended::Done, &State::default()));
        }
    }

    /// Every plan, every step, every way for it to fail, and every set of undoings that fail at first.
    #[tokio::test]
    async fn from_every_step_the_way_leads_back_to_the_start() {
        let undoable: Vec<Step> = Step::ALL.into_iter().filter(|step| step.has_undo()).collect();
        let mut tried = 0;
        for plan in plans() {
            for step in sequence(&plan) {
                for trouble in [Trouble::Before, Trouble::After] {
                    for mask in 0..1 << undoable.len() {
                        let mut world = fake(&plan, Some((step, trouble)));
                        let chosen = undoable.iter().enumerate().filter(|(n, _)| mask >> n & 1 == 1);
                        world.stubborn = chosen.map(|(_, step)| *step).collect();
                        let mut log = Paper::default();
                        let stop = CancellationToken::new();
                        let ended = run(&sequence(&plan), &mut world, &mut log, &stop, None).await;
                        let Ended::WentBack { left, .. } = &ended else { panic!("{ended:?}") };
                        assert_eq!(left.is_none(), journal::to_undo(&log.0).is_empty(), "{step} {mask:b}");
                        // As `abort` does, until nothing is left: the lock may fail after the others.
                        for _ in 0..2 {
                            let _ = go_back(&journal::to_undo(&log.0), &mut world, &mut log).await;
                        }
                        assert_eq!(world.state, State::default(), "{step} {trouble:?} {mask:b}");
                        assert!(journal::to_undo(&log.0).is_empty());
                        tried += 1;
                    }
                }
            }
        }
        assert!(tried > 1000, "{tried}");
    }

    /// The process dies in a step: what is in the journal is enough.
    #[tokio::test]
    async fn what_a_dead_process_has_begun_is_undone_by_another() {
        for plan in plans() {
            for step in sequence(&plan) {
                let (mut world, mut log) = (fake(&plan, Some((step, Trouble::Killed))), Paper::default());
                let (stop, steps) = (CancellationToken::new(), sequence(&plan));
                let dies = std::future::ready(());
                tokio::select! {
                    biased;
                    _ = run(&steps, &mut world, &mut log, &stop, None) => panic!("it ended"),
                    () = dies => {}
                }
                world.trouble = None;
                go_back(&journal::to_undo(&log.0), &mut world, &mut log).await.unwrap();
                assert_eq!(world.state, State::default(), "{step}");
            }
        }
    }

    #[tokio::test]
    async fn told_to_end_it_ends_and_goes_back() {
        let plan = Plan::example("zone a", true, "fail = 'x'\nrestore = 'y'");
        for step in sequence(&plan) {
            let (mut world, mut log) = (fake(&plan, None), Paper::default());
            let (stop, steps) = (CancellationToken::new(), sequence(&plan));
            let ended = run(&steps, &mut world, &mut log, &stop, Some(step)).await;
            assert!(matches!(ended, Ended::WentBack { step: Some(at), left: None, .. } if at == step));
            assert_eq!(world.state, State::default(), "{step}");
        }
        let (mut world, mut log) = (fake(&plan, None), Paper::default());
        let stop = CancellationToken::new();
        stop.cancel();
        let ended = run(&sequence(&plan), &mut world, &mut log, &stop, None).await;
        assert!(matches!(ended, Ended::WentBack { step: Some(Step::Lock), .. }));
    }

    #[test]
    fn steps_are_what_a_plan_needs() {
        let plan = Plan::example("node n1", true, "restore = 'y'");
        let names: Vec<&str> = sequence(&plan).into_iter().map(Step::name).collect();
        let all = ["lock", "probe", "evacuate", "recover", "restore", "settle", "judge", "unlock"];
        assert_eq!(names, all);
        let text = table(&plan);
        assert!(
            text.contains(" 3  evacuate  have node n1 drained") && text.contains("run hooks.restore"),
            "{text}"
        );
        for step in Step::ALL {
            assert_eq!(step.name().parse(), Ok(step));
            assert_eq!(step.has_undo(), step.words(&plan.scope).1.is_some());
        }
    }
}
