//! Drills A9, A10 and A12 over JMAP: quotas under many at once, limits and one more, line ends where none belong.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test ends where it fails")]

use std::process::Command;

use harness::line::Line;
use harness::{Imap, Node, NodeOptions, Smtp, jmap};
use serde_json::{Value, json};

const USING: [&str; 5] = ["core", "mail", "submission", "vacationresponse", "quota"];
const JSON: &str = "Content-Type: application/json\r\n";

fn node() -> Node {
    Node::start(NodeOptions::default()).unwrap()
}

fn session(node: &Node, user: &str) -> Value {
    let answer = jmap::ask(node, Some(user), ("GET", "/jmap/session"), "", b"").unwrap();
    serde_json::from_slice(&answer.body).unwrap()
}

fn account(node: &Node, user: &str) -> String {
    session(node, user)["primaryAccounts"]["urn:ietf:params:jmap:mail"].as_str().unwrap().to_owned()
}

fn request(calls: &Value) -> String {
    let using = USING.map(|name| format!("urn:ietf:params:jmap:{name}"));
    json!({"using": using, "methodCalls": calls}).to_string()
}

/// The answer's arguments.
fn call(node: &Node, user: &str, method: &str, arguments: &Value) -> Value {
    let body = request(&json!([[method, arguments, "0"]]));
    let answer = jmap::ask(node, Some(user), ("POST", "/jmap"), JSON, body.as_bytes()).unwrap();
    let mut told: Value = serde_json::from_slice(&answer.body).unwrap();
    told["methodResponses"][0][1].take()
}

fn mailbox(node: &Node, user: &str, role: &str) -> String {
    let arguments = json!({"accountId": account(node, user), "filter": {"role": role}});
    call(node, user, "Mailbox/query", &arguments)["ids"][0].as_str().unwrap().to_owned()
}

/// A9: by whatever way mail comes in at once, an account has no more than its quota but for one message.
#[test]
fn a_quota_holds_against_all_ways_in_at_once() {
    const QUOTA: u64 = 1_000_000;
    const SIZE: usize = 100_000;
    let node = &node();
    let words = ["account", "quota", "alice@example.test", &QUOTA.to_string(), "--data"];
    assert!(
        Command::new(harness::binary().unwrap()).args(words).arg(node.data()).status().unwrap().success()
    );
    let (account, inbox, drafts) =
        (account(node, "alice"), mailbox(node, "alice", "inbox"), mailbox(node, "alice", "drafts"));
    let text = "x".repeat(SIZE);
    let message = format!("Subject: big\r\n\r\n{text}\r\n");
    let path = format!("/jmap/upload/{account}");
    let blob = jmap::ask(
        node,
        Some("alice"),
        ("POST", &path),
        "Content-Type: message/rfc822\r\n",
        message.as_bytes(),
    );
    let blob: Value = serde_json::from_slice(&blob.unwrap().body).unwrap();
    let imap = || Imap::login(node.listener("imap"), "alice", node.password("alice")).unwrap();
    assert!(imap().append("Archive", "", message.as_bytes()).unwrap().ok());
    let made = |method: &str, arguments: &Value| {
        let told = call(node, "alice", method, arguments);
        let refused = told["notCreated"]["a"]["type"].as_str();
        assert!(told["created"]["a"].is_object() || refused == Some("overQuota"), "{method}: {told}");
    };
    let taken = |reply: &harness::imap::Reply| {
        assert!(reply.ok() || reply.status.starts_with("NO [OVERQUOTA]"), "{}", reply.status);
    };
    let ways: [Box<dyn Fn() + Sync>; 4] = [
        Box::new(|| taken(&imap().append("INBOX", "", message.as_bytes()).unwrap())),
        Box::new(|| {
            let mut imap = imap();
            imap.must("SELECT Archive").unwrap();
            taken(&imap.command("COPY 1 INBOX").unwrap());
        }),
        Box::new(|| {
            let email = json!({"blobId": blob["blobId"], "mailboxIds": {&inbox: true}});
            made("Email/import", &json!({"accountId": account, "emails": {"a": email}}));
        }),
        Box::new(|| {
            let body = json!({"1": {"value": text}});
            let email =
                json!({"mailboxIds": {&drafts: true}, "bodyValues": body, "textBody": [{"partId": "1"}]});
            made("Email/set", &json!({"accountId": account, "create": {"a": email}}));
        }),
    ];
    // As many by JMAP as may be under way of one user.
    std::thread::scope(|scope| ways.iter().flat_map(|way| [way; 4]).for_each(|way| drop(scope.spawn(way))));
    let quota = call(node, "alice", "Quota/get", &json!({"accountId": account, "ids": null}));
    let used = quota["list"][0]["used"].as_u64().unwrap();
    let one = message.len() as u64;
    assert!((QUOTA - 2 * one..=QUOTA + one).contains(&used), "{quota}");
}

/// A10: as many at once as the session says, and one more is told which limit it is (RFC 8620 §3.6.1).
#[test]
fn one_request_more_than_may_be_under_way_is_told_so() {
    let node = node();
    let session = session(&node, "alice");
    let core = &session["capabilities"]["urn:ietf:params:jmap:core"];
    let path = format!("/jmap/upload/{}", account(&node, "alice"));
    let login = format!("alice@example.test:{}", node.password("alice"));
    let login = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, login);
    for (limit, path) in [("maxConcurrentRequests", "/jmap"), ("maxConcurrentUpload", path.as_str())] {
        // All of it but the last octet.
        let begin = || {
            let mut line = Line::connect_tls(node.listener("https")).unwrap();
            let head = format!("POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{JSON}");
            let body = request(&json!([["Core/echo", {}, "0"]]));
            let fields = format!("Authorization: Basic {login}\r\nContent-Length: {}\r\n\r\n", body.len());
            line.send(&[&head, &fields, &body[..body.len() - 1]].concat().into_bytes()).unwrap();
            line
        };
        let most = core[limit].as_u64().unwrap();
        let mut under_way: Vec<Line> = (0..most).map(|_| begin()).collect();
        // Until as many have come so far; this question may itself have taken the place of one.
        let refused = loop {
            let answer =
                jmap::ask(&node, Some("alice"), ("POST", path), JSON, request(&json!([])).as_bytes());
            let answer = answer.unwrap();
            if answer.status == 400 {
                break serde_json::from_slice::<Value>(&answer.body).unwrap();
            }
            under_way.push(begin());
        };
        assert_eq!(refused["type"], "urn:ietf:params:jmap:error:limit");
        assert_eq!(refused["limit"], limit);
        // Others are not concerned, and those under way come to their end.
        assert_eq!(jmap::ask(&node, Some("bob"), ("GET", "/jmap/session"), "", b"").unwrap().status, 200);
        let ended = under_way.iter_mut().map(|line| {
            // Who was refused is cut off.
            let _ = line.send(b"}");
            line.read_to_end().unwrap_or_default()
        });
        let done = ended.filter(|answer| answer.starts_with(b"HTTP/1.1 20")).count();
        assert_eq!(done as u64, most, "{limit}");
    }
}

/// A12: an end of a line in what a client says ends no line in a message, a header or another protocol's answer.
#[test]
fn line_ends_in_names_and_texts_reach_no_header() {
    const EVIL: &str = "x\r\nBcc: mallory@example.test\r\n\r\nbody";
    let node = node();
    let (account, drafts) = (account(&node, "alice"), mailbox(&node, "alice", "drafts"));
    let people = |name: &str, email: &str| json!([{"name": name, "email": email}]);
    let emails = [
        json!({"subject": EVIL}),
        json!({"from": people(EVIL, "alice@example.test")}),
        json!({"to": people("", "a@example.test\r\nBcc: mallory@example.test")}),
        json!({"messageId": ["a@b\r\nBcc: mallory@example.test"]}),
        json!({"header:X-Mine": EVIL}),
        json!({"header:X-Mine:asText": EVIL}),
        json!({"header:X-Mine\r\nBcc": "mallory@example.test"}),
        json!({"header:List-Post:asURLs": ["mailto:a\r\nBcc: mallory@example.test"]}),
        json!({"attachments": [{"partId": "1", "type": "text/plain", "name": EVIL, "cid": "a\r\nBcc: m@x"}], "bodyValues": {"1": {"value": ""}}}),
        json!({"attachments": [{"partId": "1", "type": "text/plain\r\nBcc: m@x"}], "bodyValues": {"1": {"value": ""}}}),
    ];
    let mut create = json!({});
    for (at, mut email) in emails.into_iter().enumerate() {
        email["mailboxIds"] = json!({&drafts: true});
        create[format!("e{at}")] = email;
    }
    let told = call(&node, "alice", "Email/set", &json!({"accountId": account, "create": create}));
    let refused = told["notCreated"].as_object().map_or(0, serde_json::Map::len);
    assert_eq!(told["created"].as_object().map_or(0, serde_json::Map::len) + refused, 10, "{told}");
    for (id, why) in told["notCreated"].as_object().into_iter().flatten() {
        assert_eq!(why["type"], "invalidProperties", "{id}: {why}");
    }
    call(&node, "alice", "Mailbox/set", &json!({"accountId": account, "create": {"a": {"name": EVIL}}}));
    let identity = json!({"name": EVIL, "email": "alice@example.test"});
    call(&node, "alice", "Identity/set", &json!({"accountId": account, "create": {"a": identity}}));
    let vacation = json!({"isEnabled": true, "subject": EVIL, "textBody": "away"});
    call(
        &node,
        "alice",
        "VacationResponse/set",
        &json!({"accountId": account, "update": {"singleton": vacation}}),
    );
    let on = json!({"isEnabled": true});
    call(&node, "alice", "VacationResponse/set", &json!({"accountId": account, "update": {"singleton": on}}));
    let mut smtp = Smtp::connect_tls(node.listener("submissions")).unwrap();
    smtp.auth_plain("bob@example.test", node.password("bob")).unwrap();
    let message = b"From: bob@example.test\r\nTo: alice@example.test\r\nSubject: there?\r\n\r\n";
    assert_eq!(smtp.send("bob@example.test", &["alice@example.test"], message).unwrap().0, 250);
    for (user, mailboxes) in [("alice", ["Drafts", "INBOX"]), ("bob", ["INBOX", "Sent"])] {
        let mut imap = Imap::login(node.listener("imap"), user, node.password(user)).unwrap();
        for line in imap.must("LIST \"\" *").unwrap().text() {
            assert!(line.starts_with("* LIST"), "{line}");
        }
        for mailbox in mailboxes {
            imap.must(&format!("SELECT {mailbox}")).unwrap();
            for (_, body) in imap.bodies().unwrap() {
                let text = String::from_utf8_lossy(&body).into_owned();
                assert!(!text.contains("\nBcc:"), "{mailbox} of {user}: {text}");
            }
        }
    }
}
