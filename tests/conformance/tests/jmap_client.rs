//! A real client of JMAP, jmapc of PyPI, against a real node.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};
use harness::{Node, NodeOptions, Smtp};

/// The Python of the folder that `make test-deps` makes.
fn python() -> anyhow::Result<PathBuf> {
    let named = std::env::var_os("GODWIT_JMAPC")
        .context("GODWIT_JMAPC: `make test` installs jmapc and says where")?;
    Ok(Path::new(&named).join("bin/python"))
}

fn deliver(node: &Node) -> anyhow::Result<()> {
    let (mut lmtp, to) = (Smtp::connect_lmtp(node.listener("lmtp"))?, "alice@example.test");
    for n in 1..=5 {
        let message = format!(
            "From: Sender <sender@example.org>\r\nTo: {to}\r\nSubject: Numbered {n}\r\n\
             Date: Sat, 21 Nov 2026 10:00:00 +0000\r\nMessage-ID: <numbered-{n}@example.org>\r\n\
             Content-Type: text/plain; charset=utf-8\r\n\r\nBody of {n}: grüße.\r\n"
        );
        let (code, text) = lmtp.send("sender@example.org", &[to], message.as_bytes())?;
        ensure!(code == 250, "{code} {text:?}");
    }
    Ok(())
}

#[test]
fn jmapc_works_through_a_day() -> anyhow::Result<()> {
    let node = Node::start(NodeOptions::default())?;
    deliver(&node)?;
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("clients/jmapc_day.py");
    let mut jmapc = Command::new(python()?);
    jmapc.arg(script).arg(node.listener("https")).env("REQUESTS_CA_BUNDLE", &node.announced.certificate);
    for user in ["alice", "bob"] {
        jmapc.arg(format!("{user}@example.test")).arg(node.password(user));
    }
    let output = jmapc.output().context("jmapc's Python")?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}
