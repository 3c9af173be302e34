//! An account is removed over the command line: its sessions end, its mail goes, others keep theirs, and whoever gets
//! its address afterwards begins with nothing.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test ends where it fails")]

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};

use harness::{Imap, Node, NodeOptions, Smtp, wait};
use serde_json::Value;

const MESSAGES: usize = 240;

/// Runs `godwit …` against the node; what it printed.
fn godwit(node: &Node, arguments: &[&str], input: &str) -> String {
    let mut command = Command::new(harness::node::binary().unwrap());
    command.args(arguments).arg("--data").arg(node.data());
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "godwit {arguments:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// A figure of `/metrics`; 0 where it was never counted.
fn metric(node: &Node, name: &str) -> u64 {
    let address = node.listener("admin");
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET /metrics HTTP/1.0\r\nHost: {address}\r\n\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.map_or(0, |figure| figure.parse().unwrap())
}

fn message(n: usize) -> Vec<u8> {
    format!("From: s@example.org\r\nSubject: {n}\r\n\r\nbody {n}\r\n").into_bytes()
}

fn purged(node: &Node) -> bool {
    let pending: Value =
        serde_json::from_str(&godwit(node, &["account", "list", "--removed", "--json"], "")).unwrap();
    pending.as_array().unwrap().is_empty()
}

#[test]
fn a_removed_account_is_gone_and_its_address_begins_anew() {
    let mut node = Node::start(NodeOptions { users: 1, ..NodeOptions::default() }).unwrap();
    let create = ["account", "create", "ann@example.test", "--password-stdin"];
    godwit(&node, &create, "secret\n");
    let mut smtp = Smtp::connect(node.listener("smtp")).unwrap();
    for n in 0..MESSAGES {
        // Both hold the same body.
        let (code, text) =
            smtp.send("s@example.org", &["ann@example.test", "u0@example.test"], &message(n)).unwrap();
        assert_eq!(code, 250, "{text:?}");
    }
    let mut session = Imap::login(node.listener("imap"), "ann", "secret").unwrap();
    session.must("CREATE Work").unwrap();
    session.must("SELECT INBOX").unwrap();
    session.must("COPY 1:50 Work").unwrap();

    godwit(&node, &["account", "delete", "ann@example.test"], "");
    let last = session.command("NOOP");
    assert!(last.is_err() || last.unwrap().text().iter().any(|line| line.starts_with("* BYE")));
    assert!(Imap::login(node.listener("imap"), "ann", "secret").is_err());
    smtp.expect("MAIL FROM:<s@example.org>", 250).unwrap();
    smtp.expect("RCPT TO:<ann@example.test>", 550).unwrap();
    // A crash in the midst of it, or behind it, changes nothing. Who counts afterwards is another process.
    let before = metric(&node, "mail_purged_emails_total");
    node.kill().unwrap();
    node.start_again().unwrap();
    let password = "a new password";
    godwit(&node, &create, &format!("{password}\n"));
    wait::until("the purge", || Ok(purged(&node).then_some(()))).unwrap();
    let counted = before + metric(&node, "mail_purged_emails_total");
    assert!(counted <= MESSAGES as u64, "{counted} emails purged: none twice");

    let mut anew =
        Imap::login(node.listener("imap"), "ann@example.test", &format!("\"{password}\"")).unwrap();
    assert!(anew.must("STATUS INBOX (MESSAGES)").unwrap().text()[0].contains("MESSAGES 0"));
    assert!(!anew.must("LIST \"\" *").unwrap().text().iter().any(|line| line.contains("Work")));
    let mut smtp = Smtp::connect(node.listener("smtp")).unwrap();
    assert_eq!(smtp.send("s@example.org", &["ann@example.test"], &message(1)).unwrap().0, 250);
    anew.must("SELECT INBOX").unwrap();
    assert_eq!(anew.bodies().unwrap().len(), 1);
    let mut other = Imap::login(node.listener("imap"), "u0", "secret").unwrap();
    other.must("SELECT INBOX").unwrap();
    assert_eq!(other.bodies().unwrap().len(), MESSAGES);
    assert!(!node.log().unwrap().contains("panicked"));
}

#[test]
fn progress_is_seen_in_metrics() {
    let node = Node::start(NodeOptions { users: 1, ..NodeOptions::default() }).unwrap();
    let mut smtp = Smtp::connect(node.listener("smtp")).unwrap();
    for n in 0..MESSAGES {
        assert_eq!(smtp.send("s@example.org", &["u0@example.test"], &message(n)).unwrap().0, 250);
    }
    godwit(&node, &["account", "delete", "u0@example.test"], "");
    wait::until("the purge", || Ok((metric(&node, "mail_purges_finished_total") == 1).then_some(())))
        .unwrap();
    assert_eq!(metric(&node, "mail_purged_emails_total"), MESSAGES as u64);
    assert!(metric(&node, "mail_purged_rows_total") > 10 * MESSAGES as u64);
    wait::until("none pending", || Ok((metric(&node, "mail_purges_pending") == 0).then_some(()))).unwrap();
    assert!(purged(&node));
}
