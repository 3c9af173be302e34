//! One `godwit dev` process with a data directory of its own.

use std::collections::BTreeMap;
use std::hash::{Hash, Hasher};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};

use anyhow::{Context, bail};
use rustix::process::{Pid, Signal, kill_process};
use serde::Deserialize;
use servers::PostgreSql;
use servers::postgres::QUICK;

/// What a node is started with; the default is what `godwit dev` does by itself, on free ports.
#[derive(Debug, Clone, Default)]
pub struct NodeOptions {
    /// `--users N`: u0…u(N−1) with the password "secret".
    pub users: u32,
    /// `--relay HOST:PORT`: where remote mail goes.
    pub relay: Option<String>,
    /// `--proxy NETWORK`: what a balancer connects from.
    pub proxy: Option<String>,
    /// The program, if not the one under test.
    pub program: Option<PathBuf>,
    /// `--blob FILE`: where larger bodies lie.
    pub blob: Option<PathBuf>,
    /// A limit on the process's address space or files, as `ulimit` arguments, for the drills on scarcity.
    pub ulimit: Option<String>,
    /// Control groups (folders of the first version's hierarchies) that the process joins before it begins.
    pub groups: Vec<PathBuf>,
    /// Environment variables.
    pub environment: Vec<(String, String)>,
    /// The data directory; a temporary one unless named.
    pub data: Option<PathBuf>,
    /// `--store URL`, or `postgres:` for a PostgreSQL that is started for this node alone and ends with it. Unless named
    /// it is what `GODWIT_STORE` says, in which `{}` becomes a word of this node's own, and the embedded one without.
    pub store: Option<String>,
    /// `--regions NAME`: where it is.
    pub region: Option<String>,
    /// `--resolver ADDRESS:PORT`: the DNS server that is asked.
    pub resolver: Option<String>,
    /// `--push-authority FILE`: who has signed the certificates of push services on this machine.
    pub push_authority: Option<PathBuf>,
    /// `--smime-authorities FILE`: who is believed about signatures of mail.
    pub smime_authorities: Option<PathBuf>,
    /// `--listen NAME=ADDRESS`: where listeners are, instead of on free ports.
    pub listen: Vec<String>,
    /// `--lb-grace` and `--drain-grace`: how long it goes on when it ends, and how long clients have then.
    pub graces: Option<(&'static str, &'static str)>,
    /// `--roles A,B,…`: what it works on, if not on everything.
    pub roles: Option<&'static str>,
    /// Whether it has the same ports again when it is started again.
    pub same_ports: bool,
}

/// The one JSON document that `godwit dev --json` prints.
#[derive(Debug, Clone, Deserialize)]
pub struct Announcement {
    /// Its id in the cluster.
    pub node: u32,
    /// Listener name to `host:port`.
    pub listeners: BTreeMap<String, String>,
    /// The accounts that exist.
    pub accounts: Vec<Account>,
    /// Path of the self-signed certificate.
    pub certificate: PathBuf,
}

/// An account as announced.
#[derive(Debug, Clone, Deserialize)]
pub struct Account {
    /// Full address.
    pub address: String,
    /// Password in clear: these are demo accounts.
    pub password: String,
}

/// A running node. Dropped, it is killed.
#[derive(Debug)]
pub struct Node {
    child: Child,
    /// Its standard input: it ends with this process.
    _input: Option<ChildStdin>,
    /// What it announced.
    pub announced: Announcement,
    options: NodeOptions,
    data: PathBuf,
    _server: Option<PostgreSql>,
    _scratch: Option<tempfile::TempDir>,
}

impl Node {
    /// Starts a node and returns once it has announced its listeners.
    ///
    /// # Errors
    /// When the binary is missing or does not announce itself; its last words are in the error.
    pub fn start(mut options: NodeOptions) -> anyhow::Result<Self> {
        let (data, scratch) = match &options.data {
            Some(dir) => (dir.clone(), None),
            None => {
                let dir = tempfile::tempdir()?;
                (dir.path().join("data"), Some(dir))
            }
        };
        if options.store.is_none() {
            options.store = shared_store(&data);
        }
        let server = own_server(&mut options)?;
        let (child, input, announced) = spawn(command(&options, &data)?, &data)?;
        Ok(Self { child, _input: input, announced, options, data, _server: server, _scratch: scratch })
    }

    /// `host:port` of a listener.
    ///
    /// # Panics
    /// When the node announced no such listener: the test asks for nonsense.
    #[allow(clippy::panic, reason = "a test's own mistake")]
    pub fn listener(&self, name: &str) -> &str {
        self.announced.listeners.get(name).unwrap_or_else(|| panic!("no listener {name}"))
    }

    /// The password of a demo account, by the local part of its address.
    ///
    /// # Panics
    /// When there is no such account: the test asks for nonsense.
    #[allow(clippy::panic, reason = "a test's own mistake")]
    pub fn password(&self, user: &str) -> &str {
        let account = self.announced.accounts.iter().find(|a| a.address.split('@').next() == Some(user));
        account.map_or_else(|| panic!("no account {user}"), |a| a.password.as_str())
    }

    /// The data directory.
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// The process's id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// SIGKILL: no goodbye, no flush.
    ///
    /// # Errors
    /// When the process cannot be signalled.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// SIGTERM, and waits for the process to be gone. Returns whether it ended with status 0.
    ///
    /// # Errors
    /// When the process cannot be signalled.
    pub fn stop(&mut self) -> anyhow::Result<bool> {
        self.signal(Signal::TERM)?;
        Ok(self.child.wait()?.success())
    }

    /// Whether the process has ended by itself, and if so whether with status 0.
    ///
    /// # Errors
    /// When that cannot be told.
    pub fn ended(&mut self) -> anyhow::Result<Option<bool>> {
        Ok(self.child.try_wait()?.map(|status| status.success()))
    }

    /// Processor time used so far, in hundredths of a second, from /proc.
    ///
    /// # Errors
    /// When the process is gone.
    pub fn processor_time(&self) -> anyhow::Result<u64> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let field = |at: usize| anyhow::Ok(fields.get(at).context("a short line")?.parse::<u64>()?);
        Ok(field(11)? + field(12)?)
    }

    /// Sends it a signal.
    ///
    /// # Errors
    /// When the process cannot be signalled.
    pub fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        Ok(kill_process(Pid::from_child(&self.child), signal)?)
    }

    /// Starts it again on the same data, after [`Node::kill`] or [`Node::stop`]. Its ports may be others, unless they
    /// were to be the same.
    ///
    /// # Errors
    /// As [`Node::start`].
    pub fn start_again(&mut self) -> anyhow::Result<()> {
        if self.options.same_ports {
            self.options.listen = self.addresses();
        }
        (self.child, self._input, self.announced) = spawn(command(&self.options, &self.data)?, &self.data)?;
        Ok(())
    }

    /// Starts another program in its place, at its addresses.
    ///
    /// # Errors
    /// As [`Node::start`].
    pub fn start_again_as(&mut self, program: PathBuf) -> anyhow::Result<()> {
        self.options.program = Some(program);
        self.options.listen = self.addresses();
        (self.child, self._input, self.announced) = spawn(command(&self.options, &self.data)?, &self.data)?;
        Ok(())
    }

    /// Where its listeners are, as `--listen` takes it; what is not announced stays where it was to be.
    fn addresses(&self) -> Vec<String> {
        let announced = &self.announced.listeners;
        let silent = |listen: &&String| {
            let (name, _) = listen.split_once('=').unwrap_or_default();
            !announced.iter().any(|(known, _)| known == name)
        };
        let told = announced.iter().map(|(name, address)| format!("{name}={address}"));
        self.options.listen.iter().filter(silent).cloned().chain(told).collect()
    }

    /// Resident memory in bytes, from /proc.
    ///
    /// # Errors
    /// When the process is gone.
    pub fn resident(&self) -> anyhow::Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find(|l| l.starts_with("VmRSS:")).context("no VmRSS")?;
        let kib: u64 = line.split_whitespace().nth(1).context("no figure")?.parse()?;
        Ok(kib * 1024)
    }

    /// What the node has written to its log so far.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn log(&self) -> anyhow::Result<String> {
        Ok(std::fs::read_to_string(log_path(&self.data))?)
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // An already dead child makes both calls fail, which is what we want of it here.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The binary under test: `GODWIT_BIN`, or the one that cargo built beside this test.
///
/// # Errors
/// When it is not there.
pub fn binary() -> anyhow::Result<PathBuf> {
    if let Some(path) = std::env::var_os("GODWIT_BIN") {
        return Ok(path.into());
    }
    let exe = std::env::current_exe()?;
    let found = exe.ancestors().map(|dir| dir.join("godwit")).find(|p| p.is_file());
    found.context("no godwit binary beside the test: `make conformance` builds it first")
}

/// A part of the store that all tests are to run on. A node that comes back to its data directory finds the same part.
fn shared_store(data: &Path) -> Option<String> {
    let url = std::env::var("GODWIT_STORE").ok()?;
    let mut hash = std::hash::DefaultHasher::new();
    data.hash(&mut hash);
    Some(url.replace("{}", &format!("{:016x}", hash.finish())))
}

/// The PostgreSQL that the store `postgres:` asks for.
fn own_server(options: &mut NodeOptions) -> anyhow::Result<Option<PostgreSql>> {
    if options.store.as_deref() != Some("postgres:") {
        return Ok(None);
    }
    let server = PostgreSql::start(QUICK).context("no PostgreSQL is installed")?;
    options.store = Some(server.url());
    Ok(Some(server))
}

fn log_path(data: &Path) -> PathBuf {
    data.with_extension("log")
}

fn command(options: &NodeOptions, data: &Path) -> anyhow::Result<Command> {
    let join = options.groups.iter().map(|group| format!("echo $$ > {}/cgroup.procs && ", group.display()));
    let limit = options.ulimit.iter().map(|limit| format!("ulimit {limit} && "));
    let before: String = join.chain(limit).collect();
    let program = options.program.clone().map_or_else(binary, Ok)?;
    let mut command = Command::new("sh");
    command.arg("-c").arg(format!("{before}exec \"$0\" \"$@\"")).arg(program);
    command.envs(options.environment.iter().map(|(name, value)| (name, value)));
    command.args(["dev", "--json", "--port-base", "0", "--data"]).arg(data);
    if options.program.is_none() {
        // Another program may be an older one, which does not know this.
        command.arg("--with-parent");
    }
    command.args(["--users", &options.users.to_string()]);
    if let Some(relay) = &options.relay {
        command.args(["--relay", relay]);
    }
    if let Some(network) = &options.proxy {
        command.args(["--proxy", network]);
    }
    if let Some(file) = &options.blob {
        command.arg("--blob").arg(file);
    }
    if let Some(store) = &options.store {
        command.args(["--store", store]);
    }
    if let Some(region) = &options.region {
        command.args(["--regions", region]);
    }
    if let Some(server) = &options.resolver {
        command.args(["--resolver", server]);
    }
    if let Some(roles) = options.roles {
        command.args(["--roles", roles]);
    }
    if let Some((balancers, clients)) = options.graces {
        command.args(["--lb-grace", balancers, "--drain-grace", clients]);
    }
    if let Some(file) = &options.push_authority {
        command.arg("--push-authority").arg(file);
    }
    if let Some(file) = &options.smime_authorities {
        command.arg("--smime-authorities").arg(file);
    }
    if !options.listen.is_empty() {
        command.args(["--listen", &options.listen.join(",")]);
    }
    Ok(command)
}

fn spawn(mut command: Command, data: &Path) -> anyhow::Result<(Child, Option<ChildStdin>, Announcement)> {
    let log = std::fs::OpenOptions::new().create(true).append(true).open(log_path(data))?;
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(log).spawn()?;
    let input = child.stdin.take();
    let stdout = child.stdout.take().context("no standard output")?;
    let mut first = String::new();
    BufReader::new(stdout).read_line(&mut first)?;
    match serde_json::from_str(&first) {
        Ok(announced) => Ok((child, input, announced)),
        Err(error) => {
            let _ = child.kill();
            let _ = child.wait();
            let log = std::fs::read_to_string(log_path(data)).unwrap_or_default();
            bail!("the node announced nothing ({error}); its log ends: {}", tail(&log))
        }
    }
}

fn tail(text: &str) -> &str {
    let start = text.char_indices().rev().nth(2000).map_or(0, |(at, _)| at);
    text.get(start..).unwrap_or(text)
}
