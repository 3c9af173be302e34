//! Tokens of OAuth 2.0 in IMAP and submission, with curl, and what becomes of sessions that were opened with one.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test ends where it fails")]

use std::process::{Command, Output};

use harness::jmap::ask_at;
use harness::oauth::{App, FORM, form};
use harness::{Cluster, ClusterOptions, Imap, Node, NodeOptions};
use servers::PostgreSql;
use servers::postgres::QUICK;

const MAIL: &str = "urn:ietf:params:jmap:mail";
const BOTH: &str = "urn:ietf:params:jmap:mail urn:ietf:params:jmap:submission";

fn curl(arguments: &[&str]) -> Output {
    Command::new("curl")
        .args(["-sSk", "--max-time", "60"])
        .args(arguments)
        .output()
        .expect("curl is installed")
}

fn words(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr[..]].concat()).into_owned()
}

/// curl speaks OAUTHBEARER where that is offered, and XOAUTH2 if told to.
#[test]
fn curl_sends_and_reads_with_a_token() {
    let node = Node::start(NodeOptions::default()).unwrap();
    let mut app = App::register(vec![node.listener("https").to_owned()]).unwrap();
    let (token, _) = app.tokens(BOTH, "alice@example.test", node.password("alice")).unwrap();
    let (narrow, _) = app.tokens(MAIL, "alice@example.test", node.password("alice")).unwrap();
    let scratch = tempfile::tempdir().unwrap();
    let file = scratch.path().join("message.eml");
    std::fs::write(&file, "From: alice@example.test\r\nSubject: by token\r\n\r\nx\r\n").unwrap();
    let (file, smtps) = (file.to_str().unwrap(), format!("smtps://{}", node.listener("submissions")));
    let imaps = format!("imaps://{}/INBOX", node.listener("imaps"));
    let send = |token: &str, mechanism: &str| {
        let to = ["--mail-from", "alice@example.test", "--mail-rcpt", "alice@example.test", "-T", file];
        let by = ["--user", "alice@example.test", "--oauth2-bearer", token, "--login-options", mechanism];
        curl(&[&[smtps.as_str()][..], &by, &to].concat())
    };
    let read = |user: &str, token: &str, mechanism: &str| {
        let by = ["--user", user, "--oauth2-bearer", token, "--login-options", mechanism];
        curl(&[&[imaps.as_str(), "-X", "SEARCH SUBJECT token"][..], &by].concat())
    };
    for (n, mechanism) in ["AUTH=OAUTHBEARER", "AUTH=XOAUTH2"].into_iter().enumerate() {
        let sent = send(&token, mechanism);
        assert!(sent.status.success(), "{mechanism}: {}", words(&sent));
        let found = read("alice@example.test", &token, mechanism);
        let all: Vec<String> = (1..=n + 1).map(|uid| uid.to_string()).collect();
        assert_eq!(words(&found).trim(), format!("* SEARCH {}", all.join(" ")), "{mechanism}");
        // CURLE_LOGIN_DENIED: a token that nobody was given, one for something else, one of somebody else.
        assert_eq!(send("gwa_guess", mechanism).status.code(), Some(67), "{mechanism}");
        assert_eq!(send(&narrow, mechanism).status.code(), Some(67), "{mechanism}");
        assert_eq!(read("bob@example.test", &token, mechanism).status.code(), Some(67), "{mechanism}");
    }
}

/// What one node takes back ends the sessions at all others, those that wait as well, and nobody else's.
#[test]
fn a_token_that_is_taken_back_ends_sessions_on_other_nodes() {
    let Some(server) = PostgreSql::start(QUICK) else { return };
    let options = ClusterOptions { nodes: 3, store: server.url(), users: 1, ..ClusterOptions::default() };
    let mut cluster = Cluster::start(&options).unwrap();
    let nodes: Vec<String> = (0..3).map(|node| cluster.listener(node, "https").to_owned()).collect();
    let mut app = App::register(nodes).unwrap();
    let (token, _) = app.tokens(BOTH, "u0@example.test", "secret").unwrap();
    let open = |node: usize, token: &str| {
        let mut imap = Imap::connect_tls(cluster.listener(node, "imaps")).unwrap();
        imap.bearer(token).unwrap();
        imap.must("SELECT INBOX").unwrap();
        imap
    };
    let (mut idle, mut busy) = (open(1, &token), open(2, &token));
    idle.line.send_line("i IDLE").unwrap();
    idle.line.read_until(b"+ ").unwrap();
    let mut other = Imap::login(cluster.listener(2, "imap"), "u0@example.test", "secret").unwrap();
    let body = form(&[("client_id", &app.client.clone()), ("token", &token)]);
    let revoked =
        ask_at(cluster.listener(0, "https"), ("POST", "/oauth/revoke"), FORM, body.as_bytes()).unwrap();
    assert_eq!(revoked.status, 200);
    for imap in [&mut idle, &mut busy] {
        let last = String::from_utf8(imap.line.read_to_end().unwrap()).unwrap();
        assert!(last.contains("* BYE "), "{last}");
    }
    other.must("NOOP").unwrap();
    assert!(cluster.stop().unwrap(), "{}", cluster.log().unwrap());
}
