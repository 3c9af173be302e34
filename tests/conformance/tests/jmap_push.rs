//! What JMAP tells by itself: event sources and WebSockets, on one node and on several.

use std::process::{Command, Stdio};

use anyhow::Context;
use harness::push::{Came, handshake};
use harness::{Cluster, ClusterOptions, EventSource, Imap, Node, NodeOptions, Smtp, WebSocket, jmap, script};
use serde_json::{Value, json};
use servers::PostgreSql;
use servers::postgres::QUICK;

const ALL: &str = "types=*&closeafter=no&ping=0";

fn node() -> anyhow::Result<Node> {
    Node::start(NodeOptions::default())
}

fn listen(node: &Node, query: &str, last: Option<&str>) -> anyhow::Result<EventSource> {
    let login = ("alice@example.test", node.password("alice"));
    EventSource::connect(node.listener("https"), login, query, last)
}

fn socket(node: &Node) -> anyhow::Result<WebSocket> {
    WebSocket::connect(node.listener("https"), ("alice@example.test", node.password("alice")))
}

fn session(node: &Node) -> anyhow::Result<Value> {
    let answer = jmap::ask(node, Some("alice"), ("GET", "/jmap/session"), "", b"")?;
    Ok(serde_json::from_slice(&answer.body)?)
}

fn account(node: &Node) -> anyhow::Result<String> {
    let session = session(node)?;
    let account = session.pointer("/primaryAccounts/urn:ietf:params:jmap:mail").and_then(Value::as_str);
    Ok(account.context("no account")?.to_owned())
}

fn call(node: &Node, name: &str, arguments: &Value) -> anyhow::Result<Value> {
    let using = ["urn:ietf:params:jmap:core", "urn:ietf:params:jmap:mail"];
    let request = json!({"using": using, "methodCalls": [[name, arguments, "0"]]}).to_string();
    let fields = "Content-Type: application/json\r\n";
    let answer = jmap::ask(node, Some("alice"), ("POST", "/jmap"), fields, request.as_bytes())?;
    let said: Value = serde_json::from_slice(&answer.body)?;
    Ok(said["methodResponses"][0][1].clone())
}

/// The types that an event tells of, and the state of the first.
fn told(change: &Value, account: &str) -> (Vec<String>, String) {
    let states = change["changed"][account].as_object().cloned().unwrap_or_default();
    let state = states.values().next().and_then(Value::as_str).unwrap_or_default().to_owned();
    (states.keys().cloned().collect(), state)
}

/// Commands of the operator, on the node that runs.
fn command(node: &Node, words: &[&str], input: &str) -> anyhow::Result<()> {
    let mut child = Command::new(harness::binary()?)
        .args(words)
        .arg("--data")
        .arg(node.data())
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()?;
    std::io::Write::write_all(&mut child.stdin.take().context("no input")?, input.as_bytes())?;
    anyhow::ensure!(child.wait()?.success(), "{words:?}");
    Ok(())
}

/// RFC 8620 §7.1, §7.3; RFC 8621 §1.5
#[test]
fn an_event_source_tells_what_changed() -> anyhow::Result<()> {
    let node = node()?;
    let account = account(&node)?;
    let mut events = listen(&node, ALL, None)?;
    let first = events.event()?.context("the end")?;
    assert!(first.name.is_empty() && first.id.is_some(), "{first:?}");
    script::deliver(&node, "alice", 1)?;
    let delivered = events.state()?;
    let (types, state) = told(&delivered.data, &account);
    assert_eq!(types, ["Email", "EmailDelivery", "Mailbox", "Thread"]);
    assert_eq!(delivered.data["@type"], "StateChange");
    assert_eq!(call(&node, "Email/get", &json!({"accountId": account, "ids": []}))?["state"], *state);
    // Flags are of no concern to those who wait for new mail.
    let mut mail = listen(&node, "types=EmailDelivery&closeafter=state&ping=0", delivered.id.as_deref())?;
    let mut imap = Imap::login(node.listener("imap"), "alice@example.test", node.password("alice"))?;
    imap.must("SELECT INBOX")?;
    imap.must("STORE 1 +FLAGS (\\Seen)")?;
    let (types, seen) = told(&events.state()?.data, &account);
    assert_eq!((types, seen == state), (vec!["Email".to_owned(), "Mailbox".to_owned()], false));
    script::deliver(&node, "alice", 1)?;
    let event = mail.state()?;
    assert_eq!(told(&event.data, &account).0, ["EmailDelivery"]);
    assert_eq!(mail.event()?, None, "closeafter=state");
    // Who comes again hears what was missed, and nothing twice.
    let mut again = listen(&node, "types=Email,Mailbox&closeafter=no&ping=0", delivered.id.as_deref())?;
    let missed = again.event()?.context("the end")?;
    assert_eq!(told(&missed.data, &account).0, ["Email", "Mailbox"]);
    let mut current = listen(&node, ALL, missed.id.as_deref())?;
    assert!(current.event()?.context("the end")?.name.is_empty());
    Ok(())
}

#[test]
fn what_an_event_source_refuses() -> anyhow::Result<()> {
    let node = node()?;
    let ask = |user: Option<&str>, query: &str| {
        jmap::ask(&node, user, ("GET", &format!("/jmap/eventsource?{query}")), "", b"")
    };
    for query in ["ping=x", "closeafter=never", "types="] {
        assert_eq!(ask(Some("alice"), query)?.status, 400, "{query}");
    }
    assert_eq!(ask(None, ALL)?.status, 401);
    let listeners: Vec<_> = (0..64).map(|_| listen(&node, ALL, None)).collect::<Result<_, _>>()?;
    let refused = ask(Some("alice"), ALL)?;
    assert_eq!(refused.status, 400);
    let problem: Value = serde_json::from_slice(&refused.body)?;
    assert_eq!(problem["limit"], "maxConcurrentListeners");
    drop(listeners);
    Ok(())
}

#[test]
fn who_may_not_stay_is_sent_away() -> anyhow::Result<()> {
    let node = node()?;
    let (mut events, mut socket) = (listen(&node, ALL, None)?, socket(&node)?);
    events.event()?;
    socket.say(&json!({"@type": "WebSocketPushEnable", "dataTypes": null}))?;
    socket.say(&json!({"@type": "Request", "using": [], "methodCalls": []}))?;
    socket.message()?;
    command(&node, &["account", "password", "alice@example.test"], "another one\n")?;
    while events.event()?.is_some() {}
    assert_eq!(socket.hear()?, Came::Closed(1008));
    Ok(())
}

#[test]
fn a_drain_sends_all_away_politely() -> anyhow::Result<()> {
    let mut node = node()?;
    let (mut events, mut socket) = (listen(&node, ALL, None)?, socket(&node)?);
    events.event()?;
    socket.say(&json!({"@type": "Request", "using": [], "methodCalls": []}))?;
    socket.message()?;
    let ending = std::thread::spawn(move || node.stop());
    assert!(events.event()?.is_some(), "when to come again");
    assert_eq!(events.event()?, None);
    // RFC 6455 §7.4.1 and its registry: service restart.
    assert_eq!(socket.hear()?, Came::Closed(1012));
    drop(socket);
    assert!(ending.join().map_err(|_| anyhow::anyhow!("panicked"))??);
    Ok(())
}

/// RFC 8887
#[test]
fn requests_and_changes_go_over_a_web_socket() -> anyhow::Result<()> {
    let node = node()?;
    let capability = session(&node)?["capabilities"]["urn:ietf:params:jmap:websocket"].clone();
    assert_eq!(capability, json!({"url": "wss://localhost/jmap/ws", "supportsPush": true}));
    let account = account(&node)?;
    let mut socket = socket(&node)?;
    let core = "urn:ietf:params:jmap:core";
    socket.say(&json!({
        "@type": "Request", "id": "R1", "using": [core], "methodCalls": [["Core/echo", {"hello": true}, "c"]]
    }))?;
    let answer = socket.message()?;
    assert_eq!((&answer["@type"], &answer["requestId"]), (&json!("Response"), &json!("R1")));
    assert_eq!(answer["methodResponses"], json!([["Core/echo", {"hello": true}, "c"]]));
    for (message, kind, id) in [
        (
            json!({"@type": "Request", "id": "R2", "using": ["x"], "methodCalls": []}),
            "unknownCapability",
            "R2",
        ),
        (json!({"@type": "Request", "id": "R3", "using": []}), "notRequest", "R3"),
        (json!({"@type": "What", "id": "R4"}), "notRequest", "R4"),
    ] {
        socket.say(&message)?;
        let error = socket.message()?;
        assert_eq!((&error["@type"], &error["requestId"]), (&json!("RequestError"), &json!(id)));
        assert_eq!(error["type"], format!("urn:ietf:params:jmap:error:{kind}"));
    }
    socket.send(0x1, b"{")?;
    assert_eq!(socket.message()?["type"], "urn:ietf:params:jmap:error:notJSON");
    // Nothing is told that was not asked for.
    script::deliver(&node, "alice", 1)?;
    socket.say(&json!({"@type": "WebSocketPushEnable", "dataTypes": ["Email", "EmailDelivery"]}))?;
    socket.say(&json!({"@type": "Request", "id": "R5", "using": [core], "methodCalls": []}))?;
    assert_eq!(socket.message()?["requestId"], "R5");
    script::deliver(&node, "alice", 1)?;
    let change = socket.message()?;
    assert_eq!(told(&change, &account).0, ["Email", "EmailDelivery"]);
    socket.say(&json!({"@type": "WebSocketPushDisable"}))?;
    socket.say(&json!({"@type": "Request", "id": "R6", "using": [core], "methodCalls": []}))?;
    assert_eq!(socket.message()?["requestId"], "R6");
    script::deliver(&node, "alice", 1)?;
    socket.say(
        &json!({"@type": "WebSocketPushEnable", "dataTypes": ["Thread"], "pushState": change["pushState"]}),
    )?;
    assert_eq!(told(&socket.message()?, &account).0, ["Thread"]);
    // RFC 8887 §4.2: text and nothing else.
    socket.send(0x2, b"{}")?;
    assert_eq!(socket.hear()?, Came::Closed(1003));
    Ok(())
}

#[test]
fn web_sockets_have_limits() -> anyhow::Result<()> {
    let node = node()?;
    let mut long = socket(&node)?;
    // A frame that says it is longer than a request may be, and no more of it.
    let mut head = vec![0x81, 0x80 | 127];
    head.extend(20_000_000_u64.to_be_bytes());
    head.extend([0; 4]);
    long.send_raw(&head)?;
    assert_eq!(long.hear()?, Came::Closed(1009));
    let login = ("alice@example.test", node.password("alice"));
    for (fields, status) in [
        ("", "400"),
        ("Sec-WebSocket-Protocol: xmpp\r\n", "400"),
        ("Sec-WebSocket-Protocol: jmap\r\nOrigin: https://evil.test\r\n", "403"),
        ("Sec-WebSocket-Protocol: xmpp, jmap\r\nOrigin: https://localhost\r\n", "101"),
    ] {
        let (_, said) = handshake(node.listener("https"), login, fields)?;
        assert!(said.starts_with(&format!("HTTP/1.1 {status}")), "{fields} {said}");
    }
    Ok(())
}

/// What one node takes, a client of another hears of; and one that goes to a third then has missed nothing.
#[test]
fn clients_of_other_nodes_hear_of_it() -> anyhow::Result<()> {
    let Some(server) = PostgreSql::start(QUICK) else { return Ok(()) };
    let options = ClusterOptions { nodes: 3, store: server.url(), users: 1, ..ClusterOptions::default() };
    let mut cluster = Cluster::start(&options)?;
    let login = ("u0@example.test", "secret");
    let mut events = EventSource::connect(cluster.listener(1, "https"), login, ALL, None)?;
    events.event()?;
    let deliver = |node: usize| -> anyhow::Result<()> {
        let mut smtp = Smtp::connect(cluster.listener(node, "smtp"))?;
        let message = b"From: s@example.org\r\nSubject: s\r\n\r\nbody\r\n";
        anyhow::ensure!(smtp.send("s@example.org", &["u0@example.test"], message)?.0 == 250);
        Ok(())
    };
    let mut last = None;
    for _ in 0..5 {
        deliver(0)?;
        let event = events.state()?;
        assert!(event.data["changed"].as_object().is_some_and(|changed| changed.len() == 1), "{event:?}");
        last = event.id;
    }
    drop(events);
    deliver(1)?;
    let mut third = EventSource::connect(cluster.listener(2, "https"), login, ALL, last.as_deref())?;
    assert_eq!(third.event()?.context("the end")?.name, "state");
    drop(third);
    assert!(cluster.stop()?, "{}", cluster.log()?);
    Ok(())
}
