//! HAProxy of Debian's package before three nodes, with the configuration of ops/deploy.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::process::{Process, free_ports};

/// What HAProxy connects from: nodes that trust it take everybody else's word for what it is.
pub const SOURCE: &str = "127.0.0.2";

/// The listeners that it stands before.
const LISTENERS: [&str; 8] = ["smtp", "submission", "submissions", "lmtp", "imap", "imaps", "http", "https"];

/// HAProxy; it ends with this value.
#[derive(Debug)]
pub struct HaProxy {
    _process: Process,
    listeners: BTreeMap<&'static str, SocketAddr>,
}

/// Listener name to `host:port`, of one node.
pub type Node = BTreeMap<String, String>;

impl HaProxy {
    /// Before these nodes, on free ports; `None` (with a word on standard error) where it is not installed.
    ///
    /// # Panics
    /// When a node lacks a listener or HAProxy does not start.
    pub fn start(nodes: [&Node; 3]) -> Option<Self> {
        let ports: [u16; LISTENERS.len()] = free_ports();
        Self::start_at(nodes, ports)
    }

    /// The same, on these ports: smtp, submission, submissions, lmtp, imap, imaps, http, https.
    ///
    /// # Panics
    /// As [`HaProxy::start`].
    pub fn start_at(nodes: [&Node; 3], ports: [u16; LISTENERS.len()]) -> Option<Self> {
        Self::start_on(Ipv4Addr::LOCALHOST, nodes, ports)
    }

    /// The same, on an address of this machine.
    ///
    /// # Panics
    /// As [`HaProxy::start`].
    pub fn start_on(address: Ipv4Addr, nodes: [&Node; 3], ports: [u16; LISTENERS.len()]) -> Option<Self> {
        let Some(program) = installed() else {
            eprintln!("skipped: no HAProxy");
            return None;
        };
        let listeners: BTreeMap<&'static str, SocketAddr> = LISTENERS
            .into_iter()
            .zip(ports)
            .map(|(name, port)| (name, SocketAddr::from((address, port))))
            .collect();
        // It ends with this process, and a signal from the terminal is for this process to act on.
        let mut command = Command::new("setpriv");
        command
            .args(["--pdeathsig=TERM", "setsid"])
            .arg(program)
            .args(["-db", "-q", "-f"])
            .arg(configuration());
        command.env("GODWIT_PROXY_SOURCE", SOURCE);
        for (name, address) in &listeners {
            command.env(format!("GODWIT_{}", name.to_uppercase()), address.to_string());
        }
        for (number, node) in (1..).zip(nodes) {
            for name in LISTENERS {
                command.env(format!("GODWIT_N{number}_{}", name.to_uppercase()), &node[name]);
            }
            let admin: SocketAddr = node["admin"].parse().unwrap();
            command.env(format!("GODWIT_N{number}_ADDRESS"), admin.ip().to_string());
            command.env(format!("GODWIT_N{number}_ADMIN_PORT"), admin.port().to_string());
        }
        let mut process = Process::start(&mut command);
        process.wait_to_listen(listeners["smtp"]);
        Some(Self { _process: process, listeners })
    }

    /// Where it listens, by name.
    pub fn listeners(&self) -> &BTreeMap<&'static str, SocketAddr> {
        &self.listeners
    }

    /// `host:port` of a listener.
    ///
    /// # Panics
    /// When there is no such listener.
    pub fn listener(&self, name: &str) -> String {
        self.listeners[name].to_string()
    }
}

/// Whether it is there.
pub fn is_installed() -> bool {
    installed().is_some()
}

/// The configuration that is delivered.
fn configuration() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../ops/deploy/haproxy/haproxy.cfg")
}

/// Debian puts it where only root looks.
fn installed() -> Option<PathBuf> {
    ["/usr/sbin/haproxy", "/usr/local/sbin/haproxy"].into_iter().map(PathBuf::from).find(|path| path.exists())
}
