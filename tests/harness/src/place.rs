//! Where a transcript of JMAP is played: a node, or several behind a balancer, which all transcripts share.

use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context, ensure};

use crate::{Fleet, Node, binary};

/// The domain that transcripts speak of.
pub const DOMAIN: &str = "example.test";

/// What a transcript needs to know of where it is played.
pub trait Place {
    /// `host:port` of a listener.
    fn listener(&self, name: &str) -> String;
    /// The password of a user.
    fn password(&self, user: &str) -> String;
    /// What is to be read in the place of [`DOMAIN`].
    fn domain(&self) -> &str;
    /// A command of an operator.
    ///
    /// # Errors
    /// When it fails; what it says on standard error is in the error.
    fn command(&self, words: &[&str]) -> anyhow::Result<()>;
}

impl Place for Node {
    fn listener(&self, name: &str) -> String {
        Node::listener(self, name).to_owned()
    }

    fn password(&self, user: &str) -> String {
        Node::password(self, user).to_owned()
    }

    fn domain(&self) -> &str {
        DOMAIN
    }

    fn command(&self, words: &[&str]) -> anyhow::Result<()> {
        let said = Command::new(binary()?).args(words).arg("--data").arg(self.data()).output()?;
        ensure!(said.status.success(), "{words:?}: {}", String::from_utf8_lossy(&said.stderr));
        Ok(())
    }
}

/// Alice, Bob and an administrator of a domain of their own in a cluster: each connection goes to another node, each command as well.
#[derive(Debug)]
pub struct Tenant<'f> {
    fleet: &'f Fleet,
    domain: String,
    turn: AtomicUsize,
}

impl<'f> Tenant<'f> {
    /// Makes the domain, whose name is as long as [`DOMAIN`] is, and its accounts.
    ///
    /// # Errors
    /// When there are too many of them, or the commands fail.
    pub fn create(fleet: &'f Fleet, number: usize) -> anyhow::Result<Self> {
        let domain = format!("play{number:03}.test");
        ensure!(domain.len() == DOMAIN.len(), "sizes in transcripts would be others in {domain}");
        let tenant = Tenant { fleet, domain, turn: AtomicUsize::new(number) };
        tenant.command(&["domain", "create", &tenant.domain])?;
        for user in ["admin", "alice", "bob"] {
            let address = format!("{user}@{}", tenant.domain);
            tenant.said(&["account", "create", &address, "--password-stdin"], &tenant.password(user))?;
        }
        Ok(tenant)
    }

    fn said(&self, words: &[&str], input: &str) -> anyhow::Result<()> {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let node = self.fleet.nodes.get(turn % self.fleet.nodes.len()).context("a fleet has nodes")?;
        let mut command = Command::new(binary()?);
        command.args(words).arg("--data").arg(node.data());
        command.args(["--admin", &format!("http://{}", node.listener("admin"))]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?;
        let mut pipe = child.stdin.take().context("no standard input")?;
        std::io::Write::write_all(&mut pipe, format!("{input}\n").as_bytes())?;
        drop(pipe);
        let said = child.wait_with_output()?;
        ensure!(said.status.success(), "{words:?}: {}", String::from_utf8_lossy(&said.stderr));
        Ok(())
    }
}

impl Place for Tenant<'_> {
    fn listener(&self, name: &str) -> String {
        self.fleet.listener(name)
    }

    fn password(&self, user: &str) -> String {
        format!("password-of-{user}")
    }

    fn domain(&self) -> &str {
        &self.domain
    }

    fn command(&self, words: &[&str]) -> anyhow::Result<()> {
        self.said(words, "")
    }
}
