//! Passwords of applications and second factors over real nodes: made on one, good on all, and gone from all.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test ends where it fails")]

use std::process::Command;

use base64::Engine as _;
use harness::jmap::ask_at;
use harness::{Cluster, ClusterOptions, Imap, Smtp};
use servers::PostgreSql;
use servers::postgres::QUICK;

const USER: &str = "u0@example.test";

fn command(data: &std::path::Path, words: &[&str]) -> String {
    let done = Command::new(harness::binary().unwrap()).args(words).arg("--data").arg(data).output().unwrap();
    assert!(done.status.success(), "{words:?}: {}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout).unwrap().trim().to_owned()
}

/// What Basic says.
fn session(address: &str, password: &str) -> u16 {
    let shown = base64::engine::general_purpose::STANDARD.encode(format!("{USER}:{password}"));
    let fields = format!("Authorization: Basic {shown}\r\n");
    ask_at(address, ("GET", "/jmap/session"), &fields, b"").unwrap().status
}

#[test]
fn a_password_of_an_application_opens_all_but_the_page_and_its_end_ends_what_it_opened() {
    let Some(server) = PostgreSql::start(QUICK) else { return };
    let options = ClusterOptions { nodes: 3, store: server.url(), users: 1, ..ClusterOptions::default() };
    let mut cluster = Cluster::start(&options).unwrap();
    let data = cluster.data(0).to_path_buf();
    let phone = command(&data, &["account", "app-password", "add", USER, "phone"]);
    let laptop = command(&data, &["account", "app-password", "add", USER, "laptop"]);
    let listed = command(&data, &["account", "app-password", "list", USER]);
    assert!(listed.contains("phone") && listed.contains("laptop") && !listed.contains(&phone), "{listed}");

    let open = |node: usize, password: &str| {
        let mut imap = Imap::login(cluster.listener(node, "imap"), USER, password).unwrap();
        imap.must("SELECT INBOX").unwrap();
        imap
    };
    let (mut idle, mut other) = (open(1, &phone), open(2, &laptop));
    idle.line.send_line("i IDLE").unwrap();
    idle.line.read_until(b"+ ").unwrap();
    let mut smtp = Smtp::connect_tls(cluster.listener(2, "submissions")).unwrap();
    smtp.auth_plain(USER, &phone).unwrap();
    for node in 0..3 {
        assert_eq!(session(cluster.listener(node, "https"), &phone), 200);
    }
    let mut app = harness::oauth::App::register(vec![cluster.listener(1, "https").to_owned()]).unwrap();
    let page = app.log_in("urn:ietf:params:jmap:mail", USER, &phone).unwrap();
    assert_eq!(page.err().unwrap().status, 403, "the page takes the account's own password only");

    let id =
        listed.lines().find(|line| line.contains("phone")).and_then(|line| line.split(' ').next()).unwrap();
    command(&data, &["account", "app-password", "remove", USER, id]);
    let last = String::from_utf8(idle.line.read_to_end().unwrap()).unwrap();
    assert!(last.contains("* BYE "), "{last}");
    let last = String::from_utf8(smtp.line.read_to_end().unwrap()).unwrap();
    assert!(last.starts_with("421 "), "{last}");
    for node in 0..3 {
        assert_eq!(session(cluster.listener(node, "https"), &phone), 401);
        assert_eq!(session(cluster.listener(node, "https"), &laptop), 200);
        assert_eq!(session(cluster.listener(node, "https"), "secret"), 200);
    }
    other.must("NOOP").unwrap();
    assert!(cluster.stop().unwrap(), "{}", cluster.log().unwrap());
}

/// What a device shows now that has read that.
fn shown(uri: &str) -> String {
    let secret = uri.split("secret=").nth(1).and_then(|rest| rest.split('&').next()).unwrap();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    accounts::testing::code(secret, now.as_millis().try_into().unwrap())
}

#[test]
fn a_code_is_asked_for_on_the_page_and_programs_want_something_else_than_the_password() {
    let Some(server) = PostgreSql::start(QUICK) else { return };
    let options = ClusterOptions { nodes: 3, store: server.url(), users: 1, ..ClusterOptions::default() };
    let mut cluster = Cluster::start(&options).unwrap();
    let data = cluster.data(0).to_path_buf();
    let phone = command(&data, &["account", "app-password", "add", USER, "phone"]);
    let mut idle = Imap::login(cluster.listener(1, "imap"), USER, "secret").unwrap();
    idle.must("SELECT INBOX").unwrap();
    idle.line.send_line("i IDLE").unwrap();
    idle.line.read_until(b"+ ").unwrap();
    let enrolled = command(&data, &["account", "totp", "add", USER]);
    let lines: Vec<&str> = enrolled.lines().collect();
    assert_eq!(lines.len(), 11, "{enrolled}");
    assert!(lines[0].starts_with("otpauth://totp/example.test:u0%40example.test?secret="), "{}", lines[0]);
    assert_eq!(session(cluster.listener(2, "https"), "secret"), 200, "not before it is confirmed");
    command(&data, &["account", "totp", "confirm", USER, &shown(lines[0])]);

    let last = String::from_utf8(idle.line.read_to_end().unwrap()).unwrap();
    assert!(last.contains("* BYE "), "{last}");
    for node in 0..3 {
        assert!(Imap::login(cluster.listener(node, "imap"), USER, "secret").is_err());
        let mut smtp = Smtp::connect_tls(cluster.listener(node, "submissions")).unwrap();
        assert!(smtp.auth_plain(USER, "secret").is_err());
        assert_eq!(session(cluster.listener(node, "https"), "secret"), 401);
        assert_eq!(session(cluster.listener(node, "https"), &phone), 200);
        Imap::login(cluster.listener(node, "imap"), USER, &phone).unwrap();
    }
    // Each request at another node: the word of one is known to all, and a code is used up for all.
    let nodes: Vec<String> = (0..3).map(|node| cluster.listener(node, "https").to_owned()).collect();
    let mut app = harness::oauth::App::register(nodes).unwrap();
    let page = app.log_in("urn:ietf:params:jmap:mail", USER, "secret").unwrap().err().unwrap();
    assert_eq!(page.status, 200, "{}", page.text);
    let word = page.hidden("word").unwrap().to_owned();
    let says =
        |code: &str| [("word", word.clone()), ("code", code.to_owned()), ("answer", "allow".to_owned())];
    let enter = |app: &mut harness::oauth::App, code: &str| {
        let says = says(code);
        let says: Vec<(&str, &str)> = says.iter().map(|(name, value)| (*name, value.as_str())).collect();
        app.answer(&page, &says).unwrap()
    };
    assert_eq!(enter(&mut app, "12345").err().unwrap().status, 403);
    let sent = enter(&mut app, lines[4]).unwrap_or_else(|page| panic!("{}", page.text));
    let told = app.exchange(&sent).unwrap();
    let token = told["access_token"].as_str().unwrap();
    assert_eq!(app.statuses(token).unwrap(), [200, 200, 200]);
    for node in 0..3 {
        let mut imap = Imap::connect_tls(cluster.listener(node, "imaps")).unwrap();
        imap.bearer(token).unwrap();
    }
    let state = command(&data, &["account", "totp", "show", USER]);
    assert!(state.contains("on") && state.contains('9'), "{state}");
    command(&data, &["account", "totp", "remove", USER]);
    assert_eq!(session(cluster.listener(1, "https"), "secret"), 200);
    assert!(cluster.stop().unwrap(), "{}", cluster.log().unwrap());
}
