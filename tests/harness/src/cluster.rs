//! Several `godwit dev` nodes on one store, as `godwit dev --nodes N` starts them.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};

use anyhow::{Context, bail};
use rustix::process::{Pid, Signal, kill_process};
use serde::Deserialize;

use crate::node::{Account, binary};
use crate::wait;

/// What several nodes are started with.
#[derive(Debug, Clone, Default)]
pub struct ClusterOptions {
    /// `--nodes N`.
    pub nodes: u32,
    /// `--store URL`.
    pub store: String,
    /// `--users N`: u0…u(N−1) with the password "secret".
    pub users: u32,
    /// `--relay HOST:PORT`: where remote mail goes.
    pub relay: Option<String>,
    /// `--proxy NETWORK`: what a balancer connects from.
    pub proxy: Option<String>,
    /// `--zones A,B`: the nodes are in them by turns.
    pub zones: Vec<String>,
    /// `--regions A,B`: the nodes are in them by turns.
    pub regions: Vec<String>,
    /// `--push-authority FILE`: who has signed the certificates of push services on this machine.
    pub push_authority: Option<PathBuf>,
    /// `--port-base N`; 0 for free ports.
    pub port_base: u16,
    /// `--restart`.
    pub restart: bool,
}

/// A node as announced.
#[derive(Debug, Clone, Deserialize)]
pub struct Member {
    /// Its id in the cluster.
    pub id: u32,
    /// Its process.
    pub pid: u32,
    /// Listener name to `host:port`.
    pub listeners: BTreeMap<String, String>,
}

#[derive(Debug, Deserialize)]
struct Announcement {
    nodes: Vec<Member>,
    accounts: Vec<Account>,
    certificate: PathBuf,
}

/// Running nodes. Dropped, they are killed.
#[derive(Debug)]
pub struct Cluster {
    parent: Child,
    /// Its standard input: it ends with this process, and the nodes with it.
    _input: Option<ChildStdin>,
    /// The nodes, by number.
    pub nodes: Vec<Member>,
    /// The demo accounts.
    pub accounts: Vec<Account>,
    /// The certificate that all nodes show.
    pub certificate: PathBuf,
    scratch: tempfile::TempDir,
}

impl Cluster {
    /// Starts the nodes and returns once all have announced themselves.
    ///
    /// # Errors
    /// When the binary is missing or does not announce nodes; its last words are in the error.
    pub fn start(options: &ClusterOptions) -> anyhow::Result<Self> {
        let scratch = tempfile::tempdir()?;
        let log = std::fs::File::create(scratch.path().join("log"))?;
        let mut command = Command::new(binary()?);
        command.args(["dev", "--json", "--with-parent", "--nodes", &options.nodes.to_string()]);
        command.args(["--port-base", &options.port_base.to_string()]);
        // A signal from the terminal is for whoever started the nodes to act on.
        command.process_group(0);
        command.args(["--store", &options.store, "--users", &options.users.to_string(), "--data"]);
        command.arg(scratch.path().join("data"));
        if let Some(relay) = &options.relay {
            command.args(["--relay", relay]);
        }
        if let Some(network) = &options.proxy {
            command.args(["--proxy", network]);
        }
        for (option, names) in [("--zones", &options.zones), ("--regions", &options.regions)] {
            if !names.is_empty() {
                command.args([option, &names.join(",")]);
            }
        }
        if let Some(file) = &options.push_authority {
            command.arg("--push-authority").arg(file);
        }
        if options.restart {
            command.arg("--restart");
        }
        let mut parent = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(log).spawn()?;
        let input = parent.stdin.take();
        let mut line = String::new();
        BufReader::new(parent.stdout.take().context("no standard output")?).read_line(&mut line)?;
        match serde_json::from_str(&line) {
            Ok(Announcement { nodes, accounts, certificate }) => {
                Ok(Self { parent, _input: input, nodes, accounts, certificate, scratch })
            }
            Err(error) => {
                let _ = parent.kill();
                let _ = parent.wait();
                let log = std::fs::read_to_string(scratch.path().join("log")).unwrap_or_default();
                bail!("no nodes were announced ({error}); the log says: {log}")
            }
        }
    }

    /// The process that started the nodes: at SIGUSR1 it starts those again that have ended.
    pub fn parent(&self) -> u32 {
        self.parent.id()
    }

    /// `host:port` of a node's listener.
    ///
    /// # Panics
    /// When there is no such node or listener: the test asks for nonsense.
    #[allow(clippy::panic, reason = "a test's own mistake")]
    pub fn listener(&self, node: usize, name: &str) -> &str {
        let found = self.nodes.get(node).and_then(|node| node.listeners.get(name));
        found.unwrap_or_else(|| panic!("no listener {name} of node {node}"))
    }

    /// Sends a signal to a node.
    ///
    /// # Errors
    /// When the process cannot be signalled.
    pub fn signal(&self, node: usize, signal: Signal) -> anyhow::Result<()> {
        let pid = self.nodes.get(node).and_then(|node| Pid::from_raw(i32::try_from(node.pid).ok()?));
        Ok(kill_process(pid.context("no such node")?, signal)?)
    }

    /// What the nodes have written to their log so far.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn log(&self) -> anyhow::Result<String> {
        Ok(std::fs::read_to_string(self.scratch.path().join("log"))?)
    }

    /// Waits until all nodes know of all: until then changes are told by looks.
    ///
    /// # Errors
    /// When they do not find each other.
    pub fn together(&self) -> anyhow::Result<()> {
        let all = u32::try_from(self.nodes.len())?;
        wait::until("nodes that know each other", || {
            for node in 0..self.nodes.len() {
                if self.metric(node, "membership_nodes")? < f64::from(all) {
                    return Ok(None);
                }
            }
            Ok(Some(()))
        })
    }

    /// A figure of a node's `/metrics`, over all labels; 0 where it was never counted.
    ///
    /// # Errors
    /// When the node does not answer.
    pub fn metric(&self, node: usize, name: &str) -> anyhow::Result<f64> {
        let address = self.listener(node, "admin");
        let mut stream = TcpStream::connect(address)?;
        write!(stream, "GET /metrics HTTP/1.0\r\nHost: {address}\r\n\r\n")?;
        let mut text = String::new();
        stream.read_to_string(&mut text)?;
        let figure = |line: &str| {
            let rest = line.strip_prefix(name)?;
            rest.starts_with([' ', '{']).then(|| rest.rsplit(' ').next()?.parse::<f64>().ok())?
        };
        Ok(text.lines().filter_map(figure).sum())
    }

    /// The folder of a node's data.
    pub fn data(&self, node: usize) -> PathBuf {
        Path::new(self.scratch.path()).join("data").join(format!("n{}", node + 1))
    }

    /// SIGTERM to all, and waits for them to be gone. Returns whether all went well.
    ///
    /// # Errors
    /// When the process cannot be signalled.
    pub fn stop(&mut self) -> anyhow::Result<bool> {
        kill_process(Pid::from_child(&self.parent), Signal::TERM)?;
        Ok(self.parent.wait()?.success())
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // They may have gone already, which is what we want of them here.
        let _ = self.parent.kill();
        let _ = self.parent.wait();
        for node in 0..self.nodes.len() {
            let _ = self.signal(node, Signal::KILL);
        }
    }
}
