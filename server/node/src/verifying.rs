//! `godwit store verify`: looks whether everything in the store fits together, and mends what does not.
//!
//! A store that is on this machine and open in its node is looked through by that node, over its admin API; any other is
//! opened here. Both tell the same.

use std::collections::BTreeSet;
use std::io::{BufRead, IsTerminal, Write};
use std::path::PathBuf;
use std::time::Duration;

use admin::api;
use anyhow::{Context, bail};
use futures::StreamExt;
use kv::Database;
use runtime::{CancellationToken, Clock, SystemClock, SystemRng};
use verify::{Kind, Verifier};

use crate::config::Config;
use crate::{store, wiring};

/// Findings that one plan mends at most: what is beyond is found by the next run.
const PLAN: usize = 10_000;
/// Bytes of findings that are sent to a node at once: below what its API takes.
const REQUEST: usize = 48 * 1024;
/// Plans that one run carries out: what is mended may bring more to light.
const ROUNDS: usize = 5;
/// Accounts that are looked through one by one after a repair; if more were touched, everything is.
const TOUCHED: usize = 20;
/// Pause between two words about progress.
const PROGRESS: Duration = Duration::from_secs(10);

/// What `godwit store verify` takes.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Arguments {
    /// The configuration of a node of the store
    #[arg(long)]
    config: PathBuf,
    /// Only this account: its address, or its id
    #[arg(long)]
    account: Option<String>,
    /// Read every body and compare it to its hash
    #[arg(long)]
    bodies: bool,
    /// Go on from a cursor that was shown
    #[arg(long)]
    from: Option<String>,
    /// Mend what can be mended, after a plan was shown and agreed to
    #[arg(long)]
    repair: bool,
    /// Agree to the plan beforehand
    #[arg(long, requires = "repair")]
    yes: bool,
    /// Also take away what is lost: messages without body, envelopes without recipients, mail without account
    #[arg(long, requires = "repair")]
    drop_lost: bool,
}

/// Runs it. An error unless nothing is wrong in the end.
pub(crate) async fn run(arguments: Arguments, connection: ctl::Connection) -> anyhow::Result<()> {
    let config = Config::load(&arguments.config).with_context(|| arguments.config.display().to_string())?;
    let access = Access::of(&config, &connection).await?;
    let run = Run { access: &access, json: connection.json, clock: SystemClock::new() };
    let outcome = run.all(&arguments).await;
    if let Access::Here(_, db) = &access {
        db.close().await.context("closing the store")?;
    }
    outcome
}

/// How the store is reached.
enum Access {
    Here(Box<Verifier>, Database),
    Node(ctl::Client),
}

impl Access {
    async fn of(config: &Config, connection: &ctl::Connection) -> anyhow::Result<Self> {
        if let Some(dir) = store::embedded_folder(&config.store, &config.data)?
            && !dir.is_dir()
        {
            bail!("there is no store in {}", dir.display());
        }
        let (clock, rng) = (SystemClock::shared(), SystemRng::shared());
        match store::open(&config.store, &config.data, &clock, &rng).await {
            Ok(db) => {
                // With another place than the recorded one every larger body would count as lost.
                config.body_place()?.keep(&db).await?;
                Ok(Access::Here(Box::new(wiring::verifier(config, &db, &clock, &rng)?), db))
            }
            Err(error) if store::is_locked(&error) => {
                let connection = ctl::Connection { data: config.data.clone(), ..connection.clone() };
                let client = ctl::Client::new(&connection);
                Ok(Access::Node(client.context("the store is open in its node, which has to be asked")?))
            }
            Err(error) => Err(error),
        }
    }

    async fn look(
        &self,
        request: &api::Verify,
        mut each: impl FnMut(api::Verification) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        match self {
            Access::Node(client) => client.follow(&["store", "verify"], request, each).await,
            Access::Here(verifier, _) => {
                let never = CancellationToken::new();
                let events = admin::verification(Verifier::clone(verifier), request, never, false).await;
                let events = events.map_err(|problem| anyhow::anyhow!(problem.detail))?;
                let mut events = std::pin::pin!(events);
                while let Some(event) = events.next().await {
                    each(event)?;
                }
                Ok(())
            }
        }
    }

    async fn mend(
        &self,
        request: api::Repair,
        mut each: impl FnMut(api::Mending) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        match self {
            Access::Node(client) => client.follow(&["store", "repair"], &request, each).await,
            Access::Here(verifier, _) => {
                let mut mendings = std::pin::pin!(admin::mendings(Verifier::clone(verifier), request));
                while let Some(mending) = mendings.next().await {
                    each(mending)?;
                }
                Ok(())
            }
        }
    }
}

/// What one look found.
#[derive(Default)]
struct Look {
    /// At most as many as a plan takes.
    findings: Vec<api::Finding>,
    count: u64,
    skipped: u64,
}

struct Run<'a> {
    access: &'a Access,
    json: bool,
    clock: SystemClock,
}

impl Run<'_> {
    async fn all(&self, arguments: &Arguments) -> anyhow::Result<()> {
        let first = api::Verify {
            account: arguments.account.clone(),
            bodies: arguments.bodies,
            from: arguments.from.clone(),
        };
        let mut look = self.look(std::slice::from_ref(&first)).await?;
        for _ in 0..ROUNDS {
            if !arguments.repair || look.findings.is_empty() {
                break;
            }
            look.findings.sort_by_key(|finding| Kind::of_code(&finding.kind).map(Kind::turn));
            self.plan(&look)?;
            if !agreed(arguments.yes)? {
                bail!("nothing was changed");
            }
            if self.mend(&look.findings, arguments.drop_lost).await? == 0 {
                break;
            }
            look = self.look(&again(&look.findings, &first)).await?;
        }
        match (look.count, look.skipped) {
            (0, 0) => Ok(()),
            (0, skipped) => bail!("{skipped} could not be looked at"),
            (1, _) => bail!("1 finding"),
            (count, _) => bail!("{count} findings"),
        }
    }

    async fn look(&self, requests: &[api::Verify]) -> anyhow::Result<Look> {
        let mut look = Look::default();
        for request in requests {
            let (mut told, mut end) = (self.clock.monotonic(), None);
            let each = |event: api::Verification| {
                match &event {
                    api::Verification::Progress { .. }
                        if self.clock.monotonic().saturating_sub(told) < PROGRESS =>
                    {
                        return Ok(());
                    }
                    api::Verification::Progress { .. } => told = self.clock.monotonic(),
                    api::Verification::Finding(finding) => {
                        look.count += 1;
                        if look.findings.len() < PLAN {
                            look.findings.push(finding.clone());
                        }
                    }
                    api::Verification::Skipped { .. } => look.skipped += 1,
                    api::Verification::Done { .. } | api::Verification::Failed { .. } => {
                        end = Some(event.clone());
                    }
                }
                self.say(&event, line_of)
            };
            self.access.look(request, each).await?;
            match end {
                Some(api::Verification::Done { .. }) => {}
                Some(api::Verification::Failed { reason, cursor }) => {
                    bail!("{reason}; go on with --from {cursor}")
                }
                _ => bail!("the answer breaks off"),
            }
        }
        Ok(look)
    }

    fn plan(&self, look: &Look) -> anyhow::Result<()> {
        if self.json {
            return Ok(());
        }
        let mut out = std::io::stdout().lock();
        writeln!(out, "\nplan:")?;
        for (n, finding) in look.findings.iter().enumerate() {
            writeln!(out, "{:>5}. {} {}: {}", n + 1, finding.kind, place(finding), finding.repair)?;
        }
        if look.count > look.findings.len() as u64 {
            writeln!(out, "the other {} come after these", look.count - look.findings.len() as u64)?;
        }
        Ok(out.flush()?)
    }

    /// Mends findings in their order; how many were.
    async fn mend(&self, findings: &[api::Finding], drop_lost: bool) -> anyhow::Result<usize> {
        let mut done = 0;
        let mut rest = findings;
        while !rest.is_empty() {
            let (mut bytes, mut count) = (0, 0);
            for finding in rest {
                bytes += serde_json::to_vec(finding)?.len() + 1;
                if count > 0 && bytes > REQUEST {
                    break;
                }
                count += 1;
            }
            let (some, later) = rest.split_at(count);
            let request = api::Repair { findings: some.to_vec(), drop_lost };
            let each = |mending: api::Mending| {
                done += usize::from(mending.outcome == "done");
                let text = |m: &api::Mending| {
                    Some((true, format!("{}  {}  {}: {}", m.outcome, m.kind, m.row, m.what)))
                };
                self.say(&mending, text)
            };
            self.access.mend(request, each).await?;
            rest = later;
        }
        Ok(done)
    }

    /// Tells something: a document per line, or for people, on standard output or (progress) on standard error.
    fn say<T: serde::Serialize>(
        &self,
        event: &T,
        text: impl Fn(&T) -> Option<(bool, String)>,
    ) -> anyhow::Result<()> {
        if self.json {
            writeln!(std::io::stdout(), "{}", serde_json::to_string(event)?)?;
            return Ok(());
        }
        match text(event) {
            Some((true, line)) => writeln!(std::io::stdout(), "{line}")?,
            Some((false, line)) => writeln!(std::io::stderr(), "{line}")?,
            None => {}
        }
        Ok(())
    }
}

/// What is to be looked through after a repair: what was touched.
fn again(findings: &[api::Finding], first: &api::Verify) -> Vec<api::Verify> {
    let whole = api::Verify { from: None, ..first.clone() };
    let touched: BTreeSet<_> = findings.iter().map(|finding| finding.account.clone()).collect();
    if whole.account.is_some() || touched.len() > TOUCHED || touched.contains(&None) {
        return vec![whole];
    }
    touched
        .into_iter()
        .map(|account| api::Verify { account: account.map(as_asked), ..whole.clone() })
        .collect()
}

/// An account as it is asked for: one that is not in the directory is told as `account 7`.
fn as_asked(name: String) -> String {
    name.strip_prefix("account ").map(str::to_owned).unwrap_or(name)
}

fn place(finding: &api::Finding) -> String {
    let mut words = vec![finding.account.clone().unwrap_or_else(|| "-".to_owned())];
    words.extend(finding.mailbox.clone());
    words.extend(finding.uid.map(|uid| format!("UID {uid}")));
    words.join(" ")
}

fn line_of(event: &api::Verification) -> Option<(bool, String)> {
    match event {
        api::Verification::Finding(f) => {
            let head = format!("{}  {}  {}: {}", f.severity, f.kind, place(f), f.row);
            let key = if f.row.starts_with("unknown key") { format!(" [{}]", f.key) } else { String::new() };
            Some((true, format!("{head}{key}: {}; repair: {}", f.detail, f.repair)))
        }
        api::Verification::Skipped { what } => Some((true, format!("skipped  {what}"))),
        api::Verification::Progress { cursor, rows, bodies } => {
            Some((false, format!("{rows} rows, {bodies} bodies, at {cursor}")))
        }
        api::Verification::Done { rows, bodies, findings } => {
            Some((true, format!("{rows} rows, {bodies} bodies: {findings} findings")))
        }
        // Told as the error it is.
        api::Verification::Failed { .. } => None,
    }
}

/// Whether the operator agrees to the plan.
fn agreed(beforehand: bool) -> anyhow::Result<bool> {
    if beforehand {
        return Ok(true);
    }
    if !std::io::stdin().is_terminal() {
        bail!("a repair wants --yes where nobody can be asked");
    }
    write!(std::io::stdout(), "type yes to do this: ")?;
    std::io::stdout().flush()?;
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line)?;
    Ok(line.trim() == "yes")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(account: Option<&str>) -> api::Finding {
        api::Finding {
            kind: "counters-wrong".to_owned(),
            severity: "wrong".to_owned(),
            account: account.map(str::to_owned),
            mailbox: Some("INBOX".to_owned()),
            uid: Some(7),
            row: "Counters".to_owned(),
            key: "41".to_owned(),
            source: "41".to_owned(),
            detail: "they lie".to_owned(),
            repair: "set them".to_owned(),
        }
    }

    #[test]
    fn a_finding_is_one_line() {
        let line = line_of(&api::Verification::Finding(finding(Some("ann@example.test"))));
        let expected =
            "wrong  counters-wrong  ann@example.test INBOX UID 7: Counters: they lie; repair: set them";
        assert_eq!(line, Some((true, expected.to_owned())));
    }

    #[test]
    fn what_was_touched_is_looked_at_again() {
        let first = api::Verify { from: Some("rows:41".to_owned()), bodies: true, account: None };
        let ann = finding(Some("ann@example.test"));
        let asked = again(&[ann.clone(), finding(Some("account 7")), ann.clone()], &first);
        let accounts: Vec<_> = asked.iter().map(|one| one.account.as_deref()).collect();
        assert_eq!(accounts, [Some("7"), Some("ann@example.test")]);
        assert!(asked.iter().all(|one| one.bodies && one.from.is_none()));
        let all = again(&[ann, finding(None)], &first);
        assert_eq!((all.len(), all[0].account.as_ref()), (1, None));
    }
}
