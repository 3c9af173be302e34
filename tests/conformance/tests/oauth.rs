//! OAuth 2.0 over real nodes: each step at another one, as a balancer would have it, and what is taken back is gone on all.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test ends where it fails")]

use std::path::Path;
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use harness::jmap::ask_at;
use harness::oauth::{App, FORM, field, form, said};
use harness::{Cluster, ClusterOptions, Line, Node, NodeOptions, wait};
use serde_json::{Value, json};
use servers::PostgreSql;
use servers::postgres::QUICK;

const MAIL: &str = "urn:ietf:params:jmap:mail";

fn tokens(app: &mut App, login: &str) -> (String, String) {
    app.tokens(MAIL, login, "secret").unwrap()
}

fn statuses(app: &App, token: &str) -> Vec<u16> {
    app.statuses(token).unwrap()
}

fn refresh(app: &mut App, token: &str) -> Value {
    said(&app.refresh(token).unwrap())
}

/// An event source by a token, which has begun.
fn listen(address: &str, token: &str) -> Line {
    let mut line = Line::connect_tls(address).unwrap();
    let path = "/jmap/eventsource?types=*&closeafter=no&ping=0";
    let head = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\r\n");
    line.send(head.as_bytes()).unwrap();
    let begun = line.read_until(b"retry").unwrap().unwrap();
    assert!(begun.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&begun));
    line
}

fn command(data: &std::path::Path, words: &[&str]) {
    let done = Command::new(harness::binary().unwrap()).args(words).arg("--data").arg(data).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}

#[test]
fn what_one_node_gives_all_take_and_what_one_takes_back_is_gone() {
    let Some(server) = PostgreSql::start(QUICK) else { return };
    let options = ClusterOptions { nodes: 3, store: server.url(), users: 2, ..ClusterOptions::default() };
    let mut cluster = Cluster::start(&options).unwrap();
    let nodes: Vec<String> = (0..3).map(|node| cluster.listener(node, "https").to_owned()).collect();
    let mut app = App::register(nodes).unwrap();
    let (access, again) = tokens(&mut app, "u0@example.test");
    assert_eq!(statuses(&app, &access), [200, 200, 200]);
    // Rotation: the old one, at another node, ends all.
    let second = refresh(&mut app, &again);
    let (newer, newest) =
        (second["access_token"].as_str().unwrap(), second["refresh_token"].as_str().unwrap());
    assert_eq!(statuses(&app, newer), [200, 200, 200]);
    assert_eq!(refresh(&mut app, &again)["error"], "invalid_grant");
    assert_eq!((statuses(&app, newer), statuses(&app, &access)), (vec![401; 3], vec![401; 3]));
    assert_eq!(refresh(&mut app, newest)["error"], "invalid_grant");

    // Whichever node has signed who the user is, all publish the key.
    let sent = app.log_in("openid", "u0@example.test", "secret").unwrap().unwrap();
    let told = app.exchange(&sent).unwrap();
    let head = told["id_token"].as_str().unwrap().split('.').next().unwrap();
    let head: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(head).unwrap()).unwrap();
    let keys = app.nodes.iter().map(|node| said(&ask_at(node, ("GET", "/oauth/jwks"), "", b"").unwrap()));
    let keys: Vec<Value> = keys.collect();
    assert_eq!((&keys[0]["keys"][0]["kid"], keys[0]["keys"].as_array().unwrap().len()), (&head["kid"], 1));
    assert!(keys.iter().all(|of| *of == keys[0]), "{keys:?}");

    // Who listens elsewhere is sent away.
    let (access, again) = tokens(&mut app, "u0@example.test");
    let (other, _) = tokens(&mut app, "u1@example.test");
    let mut events = listen(cluster.listener(2, "https"), &access);
    let body = form(&[("client_id", &app.client.clone()), ("token", &again)]);
    let revoked =
        ask_at(cluster.listener(0, "https"), ("POST", "/oauth/revoke"), FORM, body.as_bytes()).unwrap();
    assert_eq!(revoked.status, 200);
    assert_eq!(statuses(&app, &access), [401, 401, 401]);
    events.read_to_end().unwrap();
    assert_eq!(statuses(&app, &other), [200, 200, 200], "another's is");

    // So it is with an account that is disabled, and with one whose password changes.
    let (access, again) = tokens(&mut app, "u0@example.test");
    let mut events = listen(cluster.listener(1, "https"), &access);
    command(&cluster.data(0), &["account", "disable", "u0@example.test"]);
    assert_eq!(statuses(&app, &access), [401, 401, 401]);
    events.read_to_end().unwrap();
    assert_eq!(refresh(&mut app, &again)["error"], "invalid_grant");
    assert!(app.log_in(MAIL, "u0@example.test", "secret").unwrap().is_err());
    assert!(cluster.stop().unwrap(), "{}", cluster.log().unwrap());
}

#[test]
fn a_token_is_good_for_what_was_allowed() {
    let node = Node::start(NodeOptions::default()).unwrap();
    let mut app = App::register(vec![node.listener("https").to_owned()]).unwrap();
    let (token, _) = app.tokens(MAIL, "alice@example.test", node.password("alice")).unwrap();
    let fields = format!("Authorization: Bearer {token}\r\nContent-Type: application/json\r\n");
    let mut post = |using: &[&str], method: &str| {
        let using: Vec<String> = using.iter().map(|name| format!("urn:ietf:params:jmap:{name}")).collect();
        let calls = json!([[method, {"accountId": "x", "ids": []}, "0"]]);
        let request = json!({"using": using, "methodCalls": calls}).to_string();
        app.ask(("POST", "/jmap"), &fields, &request).unwrap()
    };
    assert_eq!(post(&["core", "mail"], "Mailbox/get").status, 200);
    let refused = post(&["core", "mail", "submission"], "Identity/get");
    assert_eq!(refused.status, 403);
    let told = field(&refused, "www-authenticate");
    assert!(told.contains("insufficient_scope") && told.contains("jmap:submission"), "{told}");
    // RFC 9728 §5.1: who has no token is told where they come from.
    let none = app.ask(("GET", "/jmap/session"), "", "").unwrap();
    let told =
        none.head.iter().find(|line| line.to_lowercase().starts_with("www-authenticate: bearer")).unwrap();
    let place = "resource_metadata=\"https://localhost/.well-known/oauth-protected-resource\"";
    assert!(told.contains(place), "{told}");
    let place = said(&app.ask(("GET", "/.well-known/oauth-protected-resource"), "", "").unwrap());
    assert_eq!(place["authorization_servers"], json!(["https://localhost"]));
    let server = said(&app.ask(("GET", "/.well-known/oauth-authorization-server"), "", "").unwrap());
    assert_eq!(server["issuer"], "https://localhost");
}

/// A client of OpenID Connect that others have written.
#[test]
fn authlib_logs_a_user_in() {
    let named = std::env::var_os("GODWIT_AUTHLIB").expect("`make test` installs Authlib and says where");
    let node = Node::start(NodeOptions::default()).unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("clients/authlib_login.py");
    let mut authlib = Command::new(Path::new(&named).join("bin/python"));
    authlib.arg(script).arg(node.listener("https")).arg("alice@example.test").arg(node.password("alice"));
    let done = authlib.env("REQUESTS_CA_BUNDLE", &node.announced.certificate).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let log = node.log().unwrap();
    assert!(!log.contains("ERROR") && !log.contains("panicked"), "{log}");
}

/// What is no request of OAuth leaves no trace: not in the store, not in the log.
#[test]
fn hostile_input_leaves_no_trace() {
    let node = Node::start(NodeOptions::default()).unwrap();
    let mut app = App::register(vec![node.listener("https").to_owned()]).unwrap();
    let file = node.data().with_extension("toml");
    std::fs::write(&file, format!("hostname = \"mail.example.test\"\ndata = {:?}\n", node.data())).unwrap();
    let paths = ["token", "revoke", "introspect", "register", "device", "authorize"]
        .map(|name| format!("/oauth/{name}"));
    let huge = "a=".to_owned() + &"x".repeat(100_000);
    let deep = "[".repeat(15_000);
    let twice = format!("client_id={0}&client_id={0}", app.client);
    for path in &paths {
        for body in [huge.as_str(), "%ff=%00", "=", "&&&", "\u{0}\u{1}", &deep, &twice, "client_id=%zz"] {
            for kind in [FORM, "Content-Type: application/json\r\n", ""] {
                let status = app.ask(("POST", path), kind, body).unwrap().status;
                assert!((400..500).contains(&status), "{path} {kind} {status}");
            }
        }
    }
    for query in ["", "client_id", "client_id=%ff", "client_id=gwa_%00", &twice, "a=b&a=b"] {
        assert_eq!(
            app.ask(("GET", &format!("/oauth/authorize?{query}")), "", "").unwrap().status,
            400,
            "{query}"
        );
    }
    for token in ["gwa_", "gwa_AAAA", &format!("gwa_{}", "A".repeat(59)), &"x".repeat(8_000), "é"] {
        assert_eq!(statuses(&app, token), [401], "{token}");
    }
    let mut verify = Command::new(harness::binary().unwrap());
    let found = verify.args(["store", "verify", "--config"]).arg(&file).output().unwrap();
    let words = [found.stdout, found.stderr].map(|words| String::from_utf8_lossy(&words).into_owned());
    assert!(found.status.success() && words[0].contains(": 0 findings"), "{words:?}");
    let log = node.log().unwrap();
    assert!(!log.contains("ERROR") && !log.contains("panicked"), "{log}");
    wait::until("the node to be well", || {
        let answer = app.ask(("GET", "/.well-known/oauth-authorization-server"), "", "").unwrap();
        Ok((answer.status == 200).then_some(()))
    })
    .unwrap();
}
