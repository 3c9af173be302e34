//! A large mailbox is deleted, and the node killed before its messages are gone: the node that comes back removes them.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test ends where it fails")]

use std::io::{Read, Write};
use std::net::TcpStream;

use harness::{Imap, Node, NodeOptions, Smtp, wait};

/// Answers of `GET /metrics`.
fn metrics(node: &Node) -> String {
    let address = node.listener("admin");
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET /metrics HTTP/1.0\r\nHost: {address}\r\n\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text
}

#[test]
fn what_a_deleted_mailbox_held_goes_after_a_crash() {
    let mut node = Node::start(NodeOptions { users: 1, ..NodeOptions::default() }).unwrap();
    let mut smtp = Smtp::connect(node.listener("smtp")).unwrap();
    for n in 0..50 {
        let text = format!("From: s@example.org\r\nSubject: {n}\r\n\r\nbody {n}\r\n");
        assert_eq!(smtp.send("s@example.org", &["u0@example.test"], text.as_bytes()).unwrap().0, 250);
    }
    let mut session = Imap::login(node.listener("imap"), "u0", "secret").unwrap();
    session.must("CREATE Work").unwrap();
    session.must("SELECT INBOX").unwrap();
    for _ in 0..60 {
        session.must("COPY 1:50 Work").unwrap();
    }
    session.must("DELETE Work").unwrap();
    node.kill().unwrap();
    node.start_again().unwrap();

    let mut session = Imap::login(node.listener("imap"), "u0", "secret").unwrap();
    assert!(!session.must("LIST \"\" *").unwrap().text().iter().any(|line| line.contains("Work")));
    wait::until("the job", || {
        let text = metrics(&node);
        let emptied = text.lines().any(|line| line.starts_with("mail_emptied_messages_total "));
        Ok((emptied && text.lines().any(|line| line == "mail_emptying_pending 0")).then_some(()))
    })
    .unwrap();
    session.must("CREATE Work").unwrap();
    assert!(session.must("STATUS Work (MESSAGES)").unwrap().text()[0].contains("MESSAGES 0"));
    session.must("SELECT INBOX").unwrap();
    assert_eq!(session.bodies().unwrap().len(), 50);
    assert!(!node.log().unwrap().contains("panicked"));
}
