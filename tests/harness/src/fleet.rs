//! Three nodes on one PostgreSQL behind HAProxy, each of which may be exchanged for one of another version.

use std::path::PathBuf;

use anyhow::{Context, ensure};
use serde_json::Value;
use servers::haproxy::SOURCE;
use servers::postgres::QUICK;
use servers::{HaProxy, PostgreSql};

use crate::node::{Node, NodeOptions, binary};

/// The program before the last feature level: `GODWIT_PREVIOUS`, or what is built beside this test.
///
/// # Errors
/// When it is not there.
pub fn previous_binary() -> anyhow::Result<PathBuf> {
    if let Some(path) = std::env::var_os("GODWIT_PREVIOUS") {
        return Ok(path.into());
    }
    let exe = std::env::current_exe()?;
    let found = exe.ancestors().map(|dir| dir.join("previous/godwit")).find(|path| path.is_file());
    found.context("no previous version beside the test: `make previous` builds it")
}

/// The nodes, the store and the balancer. Dropped, all are ended.
#[derive(Debug)]
pub struct Fleet {
    /// The nodes, by number.
    pub nodes: Vec<Node>,
    balancer: HaProxy,
    options: NodeOptions,
    _store: PostgreSql,
}

impl Fleet {
    /// Three nodes, on one PostgreSQL and behind the balancer. `None`, with a word on standard error, where PostgreSQL or HAProxy is
    /// not installed.
    ///
    /// # Errors
    /// When a node does not start.
    pub fn start(options: NodeOptions) -> anyhow::Result<Option<Self>> {
        let Some(store) = PostgreSql::start(QUICK) else { return Ok(None) };
        let options =
            NodeOptions { store: Some(store.url()), proxy: Some(format!("{SOURCE}/32")), ..options };
        let nodes: Vec<Node> = (0..3).map(|_| Node::start(options.clone())).collect::<anyhow::Result<_>>()?;
        let three: &[Node; 3] = nodes.as_slice().try_into().context("three nodes")?;
        let Some(balancer) = HaProxy::start(three.each_ref().map(|node| &node.announced.listeners)) else {
            return Ok(None);
        };
        Ok(Some(Self { nodes, balancer, options, _store: store }))
    }

    /// `host:port` of the balancer's listener.
    ///
    /// # Panics
    /// When there is no such listener: the test asks for nonsense.
    pub fn listener(&self, name: &str) -> String {
        self.balancer.listener(name)
    }

    /// SIGTERM to a node; when it is gone, another program takes its place, name and addresses.
    ///
    /// # Errors
    /// When the node does not end well, or the other one does not start.
    pub fn replace(&mut self, number: usize, program: PathBuf) -> anyhow::Result<()> {
        let node = self.nodes.get_mut(number).context("no such node")?;
        let well = node.stop()?;
        ensure!(well, "node {number} did not end well: {}", node.log()?);
        node.start_again_as(program).with_context(|| format!("node {number}"))
    }

    /// A node more, which no client is led to.
    ///
    /// # Errors
    /// When it does not start; its last words are in the error.
    pub fn start_one_more(&self, program: PathBuf) -> anyhow::Result<Node> {
        Node::start(NodeOptions { program: Some(program), ..self.options.clone() })
    }

    /// What the operator's command says, asked of a node.
    ///
    /// # Errors
    /// When it fails; what it says on standard error is in the error.
    pub fn command(&self, number: usize, words: &[&str]) -> anyhow::Result<String> {
        let node = self.nodes.get(number).context("no such node")?;
        let mut command = std::process::Command::new(binary()?);
        command.args(words).arg("--data").arg(node.data());
        let output = command.args(["--admin", &format!("http://{}", node.listener("admin"))]).output()?;
        let error = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{words:?}: {error}");
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// All entries of the queue.
    ///
    /// # Errors
    /// The command's.
    pub fn queue(&self) -> anyhow::Result<Vec<Value>> {
        Ok(serde_json::from_str(&self.command(0, &["queue", "list", "--json"])?)?)
    }

    /// Holds all entries of the queue. What is held only the job that follows a raise of the level writes anew: an attempt in between
    /// would do so as well, and the job would count one less.
    ///
    /// # Errors
    /// The commands'.
    pub fn hold_queue(&self) -> anyhow::Result<()> {
        for entry in self.queue()? {
            self.command(0, &["queue", "hold", &entry["id"].to_string()])?;
        }
        Ok(())
    }
}
