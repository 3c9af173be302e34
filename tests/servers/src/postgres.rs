//! A PostgreSQL of a test's own, from Debian's package, in a folder of its own.

use std::fs::{OpenOptions, Permissions};
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::process::free_ports;

/// Settings for tests that do not cut the power: without fsync, and with connections for many nodes.
pub const QUICK: &[&str] = &["fsync=off", "max_connections=400"];

/// A server that ends with its value.
#[derive(Debug)]
pub struct PostgreSql {
    dir: TempDir,
    bin: PathBuf,
    /// PostgreSQL refuses to run as root; then it runs as this user and group.
    user: Option<u32>,
    port: u16,
    settings: Vec<String>,
    process: Option<Child>,
}

/// The newest of the installed versions.
fn installed() -> Option<PathBuf> {
    let mut versions: Vec<(u32, PathBuf)> = std::fs::read_dir("/usr/lib/postgresql")
        .ok()?
        .flatten()
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path().join("bin"))))
        .filter(|(version, bin)| *version >= 15 && bin.join("initdb").exists())
        .collect();
    versions.sort();
    versions.pop().map(|(_, bin)| bin)
}

impl PostgreSql {
    /// A new server with `settings` (`name=value`), one user `godwit` whom it trusts, and the database `postgres`; `None`
    /// (with a word on standard error) where PostgreSQL is not installed.
    pub fn start(settings: &[&str]) -> Option<Self> {
        let Some(bin) = installed() else {
            eprintln!("skipped: no PostgreSQL");
            return None;
        };
        let mut server = Self::new(bin, settings);
        let data = server.data();
        server
            .tool("initdb", &["-D", &data, "-U", "godwit", "-A", "trust", "-N", "--no-locale", "-E", "UTF8"]);
        server.run();
        Some(server)
    }

    fn new(bin: PathBuf, settings: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let user = id("-u", None).filter(|uid| *uid == 0).and_then(|_| id("-u", Some("nobody")));
        if let Some(user) = user {
            chown(dir.path(), Some(user), Some(user)).unwrap();
        }
        let [port] = free_ports();
        let settings = settings.iter().map(|setting| (*setting).to_owned()).collect();
        Self { dir, bin, user, port, settings, process: None }
    }

    /// A standby of this server that streams from it, under the name `name`.
    pub fn standby(&self, name: &str) -> Self {
        let mut standby = Self::new(self.bin.clone(), &[]);
        standby.settings.clone_from(&self.settings);
        let (data, port) = (standby.data(), self.port.to_string());
        standby.tool(
            "pg_basebackup",
            &["-D", &data, "-R", "-N", "-c", "fast", "-U", "godwit", "-h", "127.0.0.1", "-p", &port],
        );
        let primary = format!("host=127.0.0.1 port={port} user=godwit application_name={name}");
        standby.settings.push(format!("primary_conninfo={primary}"));
        standby.run();
        standby
    }

    /// Its port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its database, as its user.
    pub fn url(&self) -> String {
        format!("postgres://godwit@127.0.0.1:{}/postgres", self.port)
    }

    /// The folder with its Unix socket.
    pub fn sockets(&self) -> &Path {
        self.dir.path()
    }

    /// A file of the server's, beside its folder `data`; for its eyes only.
    pub fn write(&self, name: &str, content: &str) -> PathBuf {
        let path = self.dir.path().join(name);
        std::fs::write(&path, content).unwrap();
        std::fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        if let Some(user) = self.user {
            chown(&path, Some(user), Some(user)).unwrap();
        }
        path
    }

    /// One more setting (`name=value`), from the next [`PostgreSql::run`] on.
    pub fn set(&mut self, setting: &str) {
        self.settings.push(setting.to_owned());
    }

    /// Starts it and waits until it answers.
    pub fn run(&mut self) {
        let (begun, port) = (Instant::now(), self.port.to_string());
        let ready = ["-q", "-U", "godwit", "-h", "127.0.0.1", "-p", &port];
        while self.process.is_none() || !self.command("pg_isready", &ready).status().unwrap().success() {
            assert!(begun.elapsed() < Duration::from_secs(30), "PostgreSQL does not start: {}", self.log());
            // It gives up at once while helpers of one that was killed are still there.
            let ended = self.process.as_mut().is_none_or(|process| process.try_wait().unwrap().is_some());
            if ended {
                self.process = Some(self.spawn());
            }
        }
    }

    fn spawn(&self) -> Child {
        let (data, port) = (self.data(), self.port.to_string());
        let sockets = self.dir.path().to_str().unwrap().to_owned();
        let mut args = vec!["-D", &data, "-p", &port, "-k", &sockets, "-c", "listen_addresses=127.0.0.1"];
        self.settings.iter().for_each(|setting| args.extend(["-c", setting]));
        let log =
            OpenOptions::new().create(true).append(true).open(self.dir.path().join("server.log")).unwrap();
        self.command("postgres", &args).stderr(log).stdout(Stdio::null()).spawn().unwrap()
    }

    /// Kills it without warning; [`PostgreSql::run`] starts it again.
    pub fn kill(&mut self) {
        self.end("-KILL");
    }

    /// Kills the process behind one connection, as the kernel does when memory is short.
    pub fn kill_a_helper(&self) {
        let pid = self.sql("SELECT min(pid) FROM pg_stat_activity WHERE application_name = 'godwit'");
        assert!(Command::new("kill").args(["-KILL", &pid]).status().unwrap().success());
    }

    fn end(&mut self, signal: &str) {
        if let Some(mut process) = self.process.take() {
            let _ = Command::new("kill").args([signal, &process.id().to_string()]).status();
            let _ = process.wait();
        }
    }

    /// Makes a standby the primary.
    pub fn promote(&self) {
        self.tool("pg_ctl", &["promote", "-w", "-s", "-D", &self.data()]);
    }

    /// What psql says to `query`.
    pub fn sql(&self, query: &str) -> String {
        let port = self.port.to_string();
        let args = ["-XAtq", "-h", "127.0.0.1", "-p", &port, "-U", "godwit", "-d", "postgres", "-c", query];
        let output = self.command("psql", &args).output().unwrap();
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    fn data(&self) -> String {
        self.dir.path().join("data").to_str().unwrap().to_owned()
    }

    /// What it has written to its log.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("server.log")).unwrap_or_default()
    }

    fn tool(&self, name: &str, args: &[&str]) {
        let output = self.command(name, args).output().unwrap();
        assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
    }

    /// The program, which ends with this process.
    fn command(&self, name: &str, args: &[&str]) -> Command {
        let mut command = match self.user {
            Some(user) => {
                let mut command = Command::new("setpriv");
                command.args([format!("--reuid={user}"), format!("--regid={user}")]);
                command.args(["--clear-groups", "--pdeathsig=QUIT"]).arg(self.bin.join(name));
                command
            }
            None => Command::new(self.bin.join(name)),
        };
        // A signal from the terminal is for whoever started the server to act on.
        command.args(args).current_dir(self.dir.path()).env("LC_ALL", "C").process_group(0);
        command
    }
}

impl Drop for PostgreSql {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("PostgreSQL's log:\n{}", self.log());
        }
        self.end("-QUIT");
    }
}

fn id(what: &str, user: Option<&str>) -> Option<u32> {
    let output = Command::new("id").arg(what).args(user).output().ok()?;
    String::from_utf8_lossy(&output.stdout).trim().parse().ok()
}
