//! The plan of a drill: a TOML file.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use runtime::{ByteSize, HumanDuration};
use serde::{Deserialize, Deserializer};

use super::measure::Part;

/// The plan in the drill's folder, as it was when the drill began.
pub(crate) const KEPT: &str = "plan.toml";

/// What is lost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Scope {
    /// A node, by name or id.
    Node(String),
    /// A zone.
    Zone(String),
    /// A region.
    Region(String),
}

impl Scope {
    /// `node`, `zone` or `region`, and its name.
    pub(crate) fn parts(&self) -> (&'static str, &str) {
        match self {
            Scope::Node(name) => ("node", name),
            Scope::Zone(name) => ("zone", name),
            Scope::Region(name) => ("region", name),
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, name) = self.parts();
        write!(f, "{kind} {name}")
    }
}

impl<'de> Deserialize<'de> for Scope {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let name = |name: &str| name.trim().to_owned();
        match text.split_once(' ') {
            Some(("node", of)) => Ok(Scope::Node(name(of))),
            Some(("zone", of)) => Ok(Scope::Zone(name(of))),
            Some(("region", of)) => Ok(Scope::Region(name(of))),
            _ => Err(serde::de::Error::custom("scope is `node NAME`, `zone NAME` or `region NAME`")),
        }
    }
}

/// A secret, by reference.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Secret {
    /// A file whose first line it is.
    pub(crate) file: Option<PathBuf>,
    /// A variable of the environment.
    pub(crate) env: Option<String>,
}

impl Secret {
    pub(crate) fn read(&self) -> anyhow::Result<String> {
        match (&self.file, &self.env) {
            (Some(file), None) => {
                let text = std::fs::read_to_string(file).with_context(|| file.display().to_string())?;
                Ok(text.lines().next().unwrap_or_default().to_owned())
            }
            (None, Some(name)) => std::env::var(name).with_context(|| format!("${name}")),
            _ => bail!("a password is {{ file = \"…\" }} or {{ env = \"…\" }}"),
        }
    }
}

/// The admin API of a node.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Admin {
    /// Where.
    pub(crate) url: String,
    /// The password of `admin` there.
    pub(crate) password: Secret,
}

/// What users reach, through the balancer, and the account that the probes use.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Mail {
    /// `smtp://host:port`: where mail for the account comes in.
    pub(crate) smtp: String,
    /// `imaps://host:port`, or `imap://host:port` without TLS.
    pub(crate) imap: String,
    /// `submissions://host:port`, or `submission://host:port` without TLS: what sends to the sink.
    pub(crate) submission: Option<String>,
    /// The address of the account.
    pub(crate) account: String,
    /// Its password.
    pub(crate) password: Secret,
    /// Certificates in PEM that TLS trusts; those of the system if absent.
    pub(crate) ca: Option<PathBuf>,
    /// Who sends the probes.
    #[serde(default = "sender")]
    pub(crate) sender: String,
    /// How large the larger messages are: more than `store.inline_max`.
    #[serde(default = "large")]
    pub(crate) large: ByteSize,
}

fn sender() -> String {
    "drill@example.org".to_owned()
}

fn large() -> ByteSize {
    ByteSize(100_000)
}

/// How it is seen that the queue moves.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Queue {
    /// A remote address that the account may send to; without one it is only seen whether entries are overdue.
    pub(crate) sink: Option<String>,
    /// A file in which the ids of what came to the sink stand, each on a line.
    pub(crate) received: Option<PathBuf>,
    /// When something that waits is late.
    pub(crate) late: Option<HumanDuration>,
}

impl Queue {
    /// When something that waits is late.
    pub(crate) fn late(&self) -> Duration {
        self.late.map_or(Duration::from_secs(10), |late| late.0)
    }
}

/// Commands of the operator's, run by `sh -c`. Each may be run more than once.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Hooks {
    /// Prepares.
    pub(crate) before: Option<String>,
    /// Takes back what `before` did.
    pub(crate) after: Option<String>,
    /// Causes the loss.
    pub(crate) fail: Option<String>,
    /// Brings back what was lost.
    pub(crate) restore: Option<String>,
    /// How long each may take.
    pub(crate) timeout: Option<HumanDuration>,
}

impl Hooks {
    /// How long each may take.
    pub(crate) fn timeout(&self) -> Duration {
        self.timeout.map_or(Duration::from_secs(60), |timeout| timeout.0)
    }
}

/// What a part may cost.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Budget {
    /// Longest time without service.
    pub(crate) rto: HumanDuration,
    /// Most that was acknowledged and is not there.
    pub(crate) rpo: u64,
}

impl Default for Budget {
    fn default() -> Self {
        Budget { rto: HumanDuration(Duration::from_secs(30)), rpo: 0 }
    }
}

/// A drill.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Plan {
    /// What is lost.
    pub(crate) scope: Scope,
    /// Whether it is evacuated before.
    #[serde(default)]
    pub(crate) planned: bool,
    /// How many nodes must be online besides.
    #[serde(default = "one")]
    pub(crate) spare: usize,
    /// For how long it stays lost at least.
    #[serde(default = "hold")]
    pub(crate) hold: HumanDuration,
    /// For how long everything has to succeed to count as recovered.
    #[serde(default = "steady")]
    pub(crate) steady: HumanDuration,
    /// How long a step that waits may take.
    #[serde(default = "patience")]
    pub(crate) patience: HumanDuration,
    /// Between two probes of a part.
    #[serde(default = "pace")]
    pub(crate) pace: HumanDuration,
    /// After how long a probe has failed.
    #[serde(default = "timeout")]
    pub(crate) timeout: HumanDuration,
    /// The admin APIs of nodes: not only of those that are to be lost.
    pub(crate) admin: Vec<Admin>,
    /// What users reach.
    pub(crate) mail: Mail,
    /// The queue.
    #[serde(default)]
    pub(crate) queue: Queue,
    /// The operator's commands.
    #[serde(default)]
    pub(crate) hooks: Hooks,
    /// What parts may cost.
    #[serde(default)]
    pub(crate) budget: BTreeMap<Part, Budget>,
    #[serde(skip)]
    text: String,
}

fn one() -> usize {
    1
}

fn seconds(seconds: u64) -> HumanDuration {
    HumanDuration(Duration::from_secs(seconds))
}

fn hold() -> HumanDuration {
    seconds(20)
}

fn steady() -> HumanDuration {
    seconds(5)
}

fn patience() -> HumanDuration {
    seconds(180)
}

fn pace() -> HumanDuration {
    seconds(1)
}

fn timeout() -> HumanDuration {
    seconds(5)
}

impl Plan {
    /// Reads one.
    pub(crate) fn load(file: &Path) -> anyhow::Result<Self> {
        let text =
            std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
        Self::parse(&text).with_context(|| file.display().to_string())
    }

    pub(crate) fn parse(text: &str) -> anyhow::Result<Self> {
        let mut plan: Plan = toml::from_str(text)?;
        text.clone_into(&mut plan.text);
        plan.check()?;
        Ok(plan)
    }

    /// Keeps it in the drill's folder.
    pub(crate) fn keep(&self, dir: &Path) -> anyhow::Result<()> {
        let file = dir.join(KEPT);
        std::fs::write(&file, &self.text)?;
        std::fs::File::open(&file)?.sync_all().with_context(|| file.display().to_string())
    }

    /// What a part may cost.
    pub(crate) fn budget(&self, part: Part) -> Budget {
        self.budget.get(&part).copied().unwrap_or_default()
    }

    fn check(&self) -> anyhow::Result<()> {
        let node = matches!(self.scope, Scope::Node(_));
        ensure!(!self.scope.parts().1.is_empty(), "scope names nothing");
        ensure!(!self.admin.is_empty(), "no [[admin]] is named");
        ensure!(self.planned || self.hooks.fail.is_some(), "hooks.fail is what causes an unplanned loss");
        let lost = self.hooks.fail.is_some() || (node && self.planned);
        ensure!(!lost || self.hooks.restore.is_some(), "hooks.restore has to bring back what is lost");
        let queue = &self.queue;
        ensure!(
            queue.sink.is_some() == queue.received.is_some(),
            "queue.sink and queue.received go together"
        );
        ensure!(queue.sink.is_none() || self.mail.submission.is_some(), "queue.sink needs mail.submission");
        ensure!(
            !self.pace.0.is_zero() && !self.timeout.0.is_zero(),
            "pace and timeout are more than nothing"
        );
        Ok(())
    }

    /// A plan for tests.
    #[cfg(test)]
    pub(crate) fn example(scope: &str, planned: bool, hooks: &str) -> Plan {
        let text = format!(
            "scope = {scope:?}\nplanned = {planned}\n[[admin]]\nurl = \"http://127.0.0.1:1\"\npassword.env = \"X\"\n\
             [mail]\nsmtp = \"smtp://127.0.0.1:1\"\nimap = \"imap://127.0.0.1:1\"\naccount = \"a@example.test\"\n\
             password.env = \"X\"\n[hooks]\n{hooks}\n"
        );
        Plan::parse(&text).unwrap()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_delivered_example_is_a_plan() {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../ops/deploy/drill/example.toml");
        let plan = Plan::load(&file).unwrap();
        assert_eq!(plan.scope, Scope::Zone("b".into()));
        assert!(plan.hooks.fail.is_some() && plan.queue.sink.is_some());
        assert_eq!(plan.budget(Part::MailIn).rpo, 0);
    }

    #[test]
    fn plans_that_cannot_be_are_refused() {
        let base = Plan::example("zone a", false, "fail = 'x'\nrestore = 'y'").text;
        let with = |from: &str, to: &str| Plan::parse(&base.replace(from, to)).unwrap_err();
        assert!(format!("{:#}", with("zone a", "house a")).contains("scope is"));
        assert!(with("zone a", "zone ").to_string().contains("names nothing"));
        assert!(with("fail = 'x'", "").to_string().contains("hooks.fail"));
        assert!(with("restore = 'y'", "").to_string().contains("hooks.restore"));
        assert!(with("[hooks]", "[queue]\nsink = \"a@b\"\n[hooks]").to_string().contains("go together"));
        assert!(format!("{:#}", with("[hooks]", "[hooks]\nfall = 'x'")).contains("unknown field"));
        assert!(format!("{:#}", with("[hooks]", "[budget.cake]\n[hooks]")).contains("cake"));
        let spares = Plan::parse(&base.replace("planned", "spare = 2\nplanned")).unwrap();
        assert_eq!((spares.spare, spares.budget(Part::Queue).rto.0), (2, Duration::from_secs(30)));
    }

    #[test]
    fn a_password_is_in_a_file_or_in_the_environment() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("password");
        std::fs::write(&file, "secret\n").unwrap();
        assert_eq!(Secret { file: Some(file.clone()), env: None }.read().unwrap(), "secret");
        assert!(Secret { file: Some(file), env: Some("X".into()) }.read().is_err());
        assert!(Secret { file: None, env: Some("GODWIT_NO_SUCH_VARIABLE".into()) }.read().is_err());
    }
}
