//! What has begun and what is done: JSON lines in the drill's folder, each on the disk before anything goes on.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::Path;

use anyhow::Context;
use runtime::SharedClock;
use serde::{Deserialize, Serialize};

use super::steps::{self, Log, Step};

/// The journal's file.
pub(crate) const FILE: &str = "journal.jsonl";

/// There once somebody wants the drill to end.
pub(crate) const ABORT: &str = "abort";

/// How things were before.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Before {
    /// The nodes that were online, by name.
    pub(crate) nodes: Vec<String>,
    /// Those of them that are to be lost.
    pub(crate) lost: Vec<String>,
}

/// What happens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub(crate) enum Event {
    /// A drill is to begin.
    Drill {
        /// Its name.
        id: String,
        /// How things are.
        before: Before,
    },
    /// A step begins.
    Begin {
        /// Which.
        step: Step,
    },
    /// A step is done.
    Done {
        /// Which.
        step: Step,
    },
    /// A step has failed, or was broken off.
    Failed {
        /// Which.
        step: Step,
        /// Why.
        why: String,
    },
    /// A step is undone.
    Undone {
        /// Which.
        step: Step,
    },
    /// Nothing more will happen.
    Ended {
        /// How.
        outcome: String,
    },
}

/// A line: what happened when, in milliseconds since the epoch.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Line {
    pub(crate) at: i64,
    #[serde(flatten)]
    pub(crate) event: Event,
}

/// The journal of a drill.
pub(crate) struct Journal {
    file: File,
    clock: SharedClock,
    lines: Vec<Line>,
}

impl Journal {
    /// A new one.
    pub(crate) fn create(dir: &Path, clock: SharedClock) -> anyhow::Result<Self> {
        let journal = Self::open(dir, clock, Vec::new())?;
        File::open(dir)?.sync_all().context("the drill's folder")?;
        Ok(journal)
    }

    /// Goes on behind what was read.
    pub(crate) fn open(dir: &Path, clock: SharedClock, lines: Vec<Line>) -> anyhow::Result<Self> {
        let path = dir.join(FILE);
        let file = OpenOptions::new().create(true).append(true).open(&path);
        let mut file = file.with_context(|| path.display().to_string())?;
        if !lines.is_empty() {
            // The line before may have been cut short.
            file.write_all(b"\n\n")?;
        }
        Ok(Journal { file, clock, lines })
    }

    /// All that was noted.
    pub(crate) fn events(&self) -> &[Line] {
        &self.lines
    }
}

impl Log for Journal {
    fn note(&mut self, event: &Event) -> anyhow::Result<()> {
        let line = Line { at: self.clock.now().millis(), event: event.clone() };
        let mut text = serde_json::to_string(&line)?;
        text.push('\n');
        self.file.write_all(text.as_bytes()).and_then(|()| self.file.sync_all()).context("the journal")?;
        self.lines.push(line);
        Ok(())
    }
}

/// What a journal says. A last line that was cut short says nothing: what it was about had not begun.
pub(crate) fn read(dir: &Path) -> anyhow::Result<Vec<Line>> {
    let path = dir.join(FILE);
    let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    let ends = text.ends_with('\n');
    let count = text.lines().count();
    let mut lines = Vec::new();
    for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.is_empty()) {
        match serde_json::from_str(line) {
            Ok(line) => lines.push(line),
            Err(_) if !ends && number + 1 == count => {}
            // Another process went on behind a line that was cut short.
            Err(_) if text.lines().nth(number + 1) == Some("") => {}
            Err(error) => {
                return Err(error).with_context(|| format!("{}, line {}", path.display(), number + 1));
            }
        }
    }
    Ok(lines)
}

/// Which drill it is, and how things were.
pub(crate) fn drill(lines: &[Line]) -> Option<(String, Before)> {
    lines.iter().find_map(|line| match &line.event {
        Event::Drill { id, before } => Some((id.clone(), before.clone())),
        _ => None,
    })
}

/// Anything that holds an event.
pub(crate) trait AsEvent {
    fn event(&self) -> &Event;
}

impl AsEvent for Line {
    fn event(&self) -> &Event {
        &self.event
    }
}

impl AsEvent for Event {
    fn event(&self) -> &Event {
        self
    }
}

/// The steps that have begun and are not undone, the last one first; none if the drill has come to its end.
pub(crate) fn to_undo(events: &[impl AsEvent]) -> Vec<Step> {
    let mut begun: Vec<Step> = Vec::new();
    for event in events {
        match event.event() {
            Event::Begin { step } => begun.push(*step),
            Event::Undone { step } => begun.retain(|other| other != step),
            // The last step: what came before it has been taken back by others.
            Event::Done { step: Step::Unlock } => begun.clear(),
            _ => {}
        }
    }
    steps::to_undo(&begun)
}

#[cfg(test)]
mod tests {
    use super::*;
    use runtime::SystemClock;

    #[test]
    fn what_was_noted_is_read_also_behind_a_line_that_was_cut_short() {
        let dir = tempfile::tempdir().unwrap();
        let mut journal = Journal::create(dir.path(), SystemClock::shared()).unwrap();
        let before = Before { nodes: vec!["a".into(), "b".into()], lost: vec!["a".into()] };
        journal.note(&Event::Drill { id: "d".into(), before: before.clone() }).unwrap();
        for step in [Step::Lock, Step::Probe] {
            journal.note(&Event::Begin { step }).unwrap();
            journal.note(&Event::Done { step }).unwrap();
        }
        journal.note(&Event::Begin { step: Step::Fail }).unwrap();
        let path = dir.path().join(FILE);
        let whole = std::fs::read(&path).unwrap();
        std::fs::write(&path, &whole[..whole.len() - 9]).unwrap();
        let lines = read(dir.path()).unwrap();
        assert_eq!(drill(&lines), Some(("d".to_owned(), before)));
        assert_eq!(to_undo(&lines), [Step::Probe, Step::Lock]);
        let mut journal = Journal::open(dir.path(), SystemClock::shared(), lines).unwrap();
        journal.note(&Event::Undone { step: Step::Probe }).unwrap();
        assert_eq!(to_undo(journal.events()), [Step::Lock]);
        assert_eq!(to_undo(&read(dir.path()).unwrap()), [Step::Lock]);
        journal.note(&Event::Done { step: Step::Unlock }).unwrap();
        assert_eq!(to_undo(&read(dir.path()).unwrap()), []);
    }

    #[test]
    fn a_journal_of_something_else_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        assert!(read(dir.path()).is_err());
        std::fs::write(dir.path().join(FILE), "hello\n{}\n").unwrap();
        assert!(read(dir.path()).unwrap_err().to_string().contains("line 1"));
    }
}
