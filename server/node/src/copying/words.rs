//! What the command says: to people, or as a line of JSON for each event.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};
use transfer::{Finished, Report};

/// How it speaks.
#[derive(Debug, Clone)]
pub(super) struct Words {
    json: bool,
    from: PathBuf,
    to: PathBuf,
}

impl Words {
    pub(super) fn new(json: bool, from: &Path, to: &Path) -> Self {
        Words { json, from: from.to_owned(), to: to.to_owned() }
    }

    /// The command with an option.
    fn command(&self, option: &str) -> String {
        format!("godwit store copy --from {} --to {} {option}", self.from.display(), self.to.display())
    }

    fn say(&self, event: &Value, text: &str) -> anyhow::Result<()> {
        let mut out = std::io::stdout().lock();
        let line = if self.json { event.to_string() } else { text.to_owned() };
        writeln!(out, "{line}")?;
        Ok(out.flush()?)
    }

    pub(super) fn begun(&self, again: bool) -> anyhow::Result<()> {
        let text = match again {
            true => "going on with the copy that is there",
            false => "copying",
        };
        self.say(&json!({ "event": "begun", "again": again }), text)
    }

    /// On standard error for people, who may not want it; lost words are no failure.
    pub(super) fn progress(&self, last: &Report, now: &Report, time: Duration) {
        let seconds = time.as_secs_f64().max(0.001);
        let before = if last.pass == now.pass { last.bytes + last.body_bytes } else { 0 };
        let rate = (now.bytes + now.body_bytes).saturating_sub(before) as f64 / seconds;
        if self.json {
            let mut event = event("progress", now);
            if let Some(event) = event.as_object_mut() {
                event.insert("bytes_per_second".to_owned(), json!(rate.round()));
            }
            let _ = self.say(&event, "");
            return;
        }
        let Report { pass, rows, bodies, .. } = now;
        let (bytes, body_bytes) = (size(now.bytes), size(now.body_bytes));
        let _ = writeln!(
            std::io::stderr(),
            "pass {pass}: {rows} rows ({bytes}) read, {} changes, {bodies} bodies ({body_bytes}), {}/s",
            now.changes(),
            size(rate as u64)
        );
    }

    pub(super) fn passed(&self, report: &Report) -> anyhow::Result<()> {
        self.say(&event("pass", report), &summary(report))
    }

    pub(super) fn what_next(&self, embedded: bool) -> anyhow::Result<()> {
        let finish = self.command("--finish");
        let (from, to) = (self.from.display(), self.to.display());
        let stop = match embedded {
            true => "Stop the node",
            false => "Stop every node",
        };
        let text = format!(
            "\nThe copy is as near as it gets while nodes write; running this again brings it nearer. To hand over:\n\
             \n 1. {stop} of {from}. Mail waits at its senders meanwhile, or at a node that is not of this store.\
             \n 2. {finish}\
             \n    compares both stores, copies what is left, and reads every body of the copy. It ends with an error\
             \n    if anything differs, or if anybody has written meanwhile.\
             \n 3. Start the nodes of {to}.\n\
             \nFrom step 2 on no node starts on {from}. To go back before clients use the copy:\
             \n    {}",
            self.command("--abandon")
        );
        self.say(&json!({ "event": "next", "command": finish }), &text)
    }

    pub(super) fn waiting(&self) -> anyhow::Result<()> {
        let text = "somebody still writes: nodes that run end by themselves when they see the seal; waiting";
        self.say(&json!({ "event": "waiting" }), text)
    }

    pub(super) fn finished(&self, finished: &Finished) -> anyhow::Result<()> {
        let mut event = event("finished", &finished.pass);
        let bodies = match &finished.bodies {
            Some(read) => {
                format!(
                    "{} bodies ({}) read, {} damaged or missing",
                    read.bodies,
                    size(read.bytes),
                    read.faults
                )
            }
            None => "bodies not read".to_owned(),
        };
        if let Some(event) = event.as_object_mut() {
            event.insert("version".to_owned(), json!(finished.version));
            let read = finished.bodies.as_ref();
            event.insert("bodies_read".to_owned(), json!(read.map(|read| read.bodies)));
            event.insert("bodies_bytes".to_owned(), json!(read.map(|read| read.bytes)));
            event.insert("bodies_damaged".to_owned(), json!(read.map(|read| read.faults)));
        }
        let (from, to) = (self.from.display(), self.to.display());
        let text = format!(
            "{}\nverified: {} rows ({}) are the same on both sides; {bodies}\n\
             \nThe copy is finished: start the nodes of {to}. The store of {from} is sealed, no node starts on it:\n\
             both must not serve, since clients take each for the other.",
            summary(&finished.pass),
            finished.pass.rows,
            size(finished.pass.bytes),
        );
        self.say(&event, &text)
    }

    pub(super) fn finished_before(&self) -> anyhow::Result<()> {
        let text = format!("This copy is finished already. Start the nodes of {}.", self.to.display());
        self.say(&json!({ "event": "finished_before" }), &text)
    }

    pub(super) fn abandoned(&self) -> anyhow::Result<()> {
        let (from, to) = (self.from.display(), self.to.display());
        let text = format!(
            "The store of {from} may be served again, and the one of {to} may not: it is an unfinished copy."
        );
        self.say(&json!({ "event": "abandoned" }), &text)
    }

    pub(super) fn what_after_failure(&self) -> String {
        format!(
            "the copy is not finished, and no node starts on the store of {}: run this again, or go back with \
             `{}`",
            self.from.display(),
            self.command("--abandon")
        )
    }
}

fn event(name: &str, report: &Report) -> Value {
    json!({
        "event": name,
        "pass": report.pass,
        "rows": report.rows,
        "bytes": report.bytes,
        "written": report.written,
        "cleared": report.cleared,
        "bodies": report.bodies,
        "body_bytes": report.body_bytes,
        "damaged": report.damaged,
    })
}

fn summary(report: &Report) -> String {
    let Report { pass, rows, written, cleared, bodies, damaged, .. } = report;
    let (bytes, body_bytes) = (size(report.bytes), size(report.body_bytes));
    let damaged = if *damaged > 0 { format!(", {damaged} bodies are lost") } else { String::new() };
    format!(
        "pass {pass} done: {rows} rows ({bytes}) read, {written} written, {cleared} ranges cleared, {bodies} bodies \
         ({body_bytes}) carried{damaged}"
    )
}

/// Bytes for people.
fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "kB", "MB", "GB", "TB"];
    let (mut value, mut unit) = (bytes as f64, 0);
    while value >= 1_000.0 && unit + 1 < UNITS.len() {
        value /= 1_000.0;
        unit += 1;
    }
    let name = UNITS.get(unit).copied().unwrap_or_default();
    if unit == 0 { format!("{bytes} {name}") } else { format!("{value:.1} {name}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_short() {
        let sizes = [0, 999, 1_000, 1_550_000, 2_000_000_000_000, u64::MAX].map(size);
        assert_eq!(sizes, ["0 B", "999 B", "1.0 kB", "1.6 MB", "2.0 TB", "18446744.1 TB"]);
    }

    #[test]
    fn a_summary_names_what_was_lost() {
        let report = Report { pass: 2, rows: 10, bytes: 20, written: 3, ..Report::default() };
        assert_eq!(
            summary(&report),
            "pass 2 done: 10 rows (20 B) read, 3 written, 0 ranges cleared, 0 bodies (0 B) carried"
        );
        assert!(summary(&Report { damaged: 1, ..report }).ends_with(", 1 bodies are lost"));
        assert_eq!(event("pass", &report)["written"], 3);
    }
}
