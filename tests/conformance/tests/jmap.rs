//! JMAP as a client of everyday use speaks it, and what a node does to requests that are too much.

use std::process::Command;

use anyhow::Context as _;
use harness::{Imap, Node, NodeOptions, jmap};
use serde_json::{Value, json};

fn node() -> anyhow::Result<Node> {
    Node::start(NodeOptions::default())
}

/// What curl says with these arguments, by alice.
fn curl(node: &Node, arguments: &[&str], path: &str) -> anyhow::Result<String> {
    let (user, url) = (
        format!("alice@example.test:{}", node.password("alice")),
        format!("https://{}{path}", node.listener("https")),
    );
    let said = Command::new("curl")
        .args(["-sSkL", "--compressed", "-u", &user])
        .args(arguments)
        .arg(url)
        .output()?;
    anyhow::ensure!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
    Ok(String::from_utf8(said.stdout)?)
}

/// Alice's account.
fn account(node: &Node) -> anyhow::Result<Value> {
    let session = jmap::ask(node, Some("alice"), ("GET", "/jmap/session"), "", b"")?;
    let session: Value = serde_json::from_slice(&session.body)?;
    Ok(session["primaryAccounts"]["urn:ietf:params:jmap:mail"].clone())
}

/// What a method answers alice.
fn call(node: &Node, account: &Value, name: &str, more: &Value) -> anyhow::Result<Value> {
    let mut arguments = json!({"accountId": account});
    for (name, value) in more.as_object().into_iter().flatten() {
        arguments[name.as_str()] = value.clone();
    }
    let using = ["core", "mail", "quota"].map(|name| format!("urn:ietf:params:jmap:{name}"));
    let request = json!({"using": using, "methodCalls": [[name, arguments, "0"]]}).to_string();
    let fields = "Content-Type: application/json\r\n";
    let answer = jmap::ask(node, Some("alice"), ("POST", "/jmap"), fields, request.as_bytes())?;
    let answer: Value = serde_json::from_slice(&answer.body)?;
    Ok(answer["methodResponses"][0][1].clone())
}

#[test]
fn curl_finds_the_session_and_asks() -> anyhow::Result<()> {
    let node = node()?;
    for version in ["--http1.1", "--http2"] {
        let session: Value = serde_json::from_str(&curl(&node, &[version], "/.well-known/jmap")?)?;
        assert_eq!(session["username"], "alice@example.test");
        let account = session["primaryAccounts"]["urn:ietf:params:jmap:mail"].clone();
        let request = json!({
            "using": ["urn:ietf:params:jmap:core", "urn:ietf:params:jmap:mail"],
            "methodCalls": [
                ["Core/echo", {"hello": "there"}, "0"],
                ["Mailbox/get", {"accountId": account, "properties": ["role"]}, "1"]
            ]
        });
        let data = request.to_string();
        let post = [version, "-H", "Content-Type: application/json", "-d", &data];
        let response: Value = serde_json::from_str(&curl(&node, &post, "/jmap")?)?;
        assert_eq!(response["methodResponses"][0], json!(["Core/echo", {"hello": "there"}, "0"]));
        let roles = response["methodResponses"][1][1]["list"].as_array().map(Vec::len);
        assert_eq!(roles, Some(6), "{response}");
        let asked = curl(&node, &[version, "-o", "/dev/null", "-w", "%{http_version}"], "/jmap/session")?;
        assert_eq!(asked, if version == "--http2" { "2" } else { "1.1" });
    }
    Ok(())
}

#[test]
fn nobody_logs_in_with_a_wrong_password_and_a_disabled_account_is_out_at_once() -> anyhow::Result<()> {
    let node = node()?;
    let wrong = "Authorization: Basic YWxpY2VAZXhhbXBsZS50ZXN0Ondyb25n\r\n";
    assert_eq!(jmap::ask(&node, None, ("GET", "/jmap/session"), wrong, b"")?.status, 401);
    assert_eq!(jmap::ask(&node, Some("bob"), ("GET", "/jmap/session"), "", b"")?.status, 200);
    let disabled = harness::binary()?;
    let data = node.data().to_path_buf();
    let done = Command::new(disabled)
        .args(["account", "disable", "bob@example.test", "--data"])
        .arg(data)
        .output()?;
    anyhow::ensure!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    assert_eq!(jmap::ask(&node, Some("bob"), ("GET", "/jmap/session"), "", b"")?.status, 403);
    Ok(())
}

/// RFC 9425: what becomes of quotas is told to the number, with each change of mail and of limits.
#[test]
fn quotas_follow_mail_and_limits() -> anyhow::Result<()> {
    let node = node()?;
    let account = account(&node)?;
    let call = |name: &str, more: Value| call(&node, &account, name, &more);
    let limit = |octets: &str| {
        let words = ["account", "quota", "alice@example.test", octets, "--data"];
        let done = Command::new(harness::binary()?).args(words).arg(node.data()).output()?;
        anyhow::ensure!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        Ok(())
    };
    let first = call("Quota/get", json!({"ids": null}))?;
    limit("1000000")?;
    let changes = call("Quota/changes", json!({"sinceState": first["state"]}))?;
    assert_eq!((&changes["created"], &changes["updatedProperties"]), (&json!(["octets"]), &Value::Null));
    let second = call("Quota/get", json!({"ids": null}))?;
    let quota = &second["list"][0];
    assert_eq!((&quota["resourceType"], &quota["hardLimit"]), (&json!("octets"), &json!(1_000_000)));
    assert_eq!((&quota["scope"], &quota["types"]), (&json!("account"), &json!(["Email"])));
    harness::script::deliver(&node, "alice", 1)?;
    let changes = call("Quota/changes", json!({"sinceState": second["state"]}))?;
    assert_eq!((&changes["updated"], &changes["updatedProperties"]), (&json!(["octets"]), &json!(["used"])));
    let third = call("Quota/get", json!({"ids": ["octets"], "properties": ["used"]}))?;
    assert!(third["list"][0]["used"].as_u64() > quota["used"].as_u64(), "{third}");
    assert_eq!(changes["newState"], third["state"]);
    let moved = call("Quota/queryChanges", json!({"sinceQueryState": first["state"]}))?;
    assert_eq!(moved["added"], json!([{"id": "octets", "index": 0}]));
    limit("0")?;
    let changes = call("Quota/changes", json!({"sinceState": third["state"]}))?;
    assert_eq!(changes["destroyed"], json!(["octets"]));
    Ok(())
}

/// What a name has: how many messages, its UIDVALIDITY, and the id of its mailbox.
fn status(imap: &mut Imap, name: &str) -> anyhow::Result<(u64, u64, String)> {
    let told = imap.must(&format!("STATUS {name} (MESSAGES UIDVALIDITY MAILBOXID)"))?.text().concat();
    let after = |item: &str| {
        let (_, rest) = told.split_once(item).with_context(|| told.clone())?;
        anyhow::Ok(rest.split([' ', '(', ')', '\r']).find(|word| !word.is_empty()).unwrap_or_default())
    };
    Ok((after("MESSAGES")?.parse()?, after("UIDVALIDITY")?.parse()?, after("MAILBOXID")?.to_owned()))
}

/// Who knows mailboxes by their names sees that others have them (RFC 9051 §2.3.1.1, §6.3.6).
#[test]
fn names_that_are_exchanged_are_other_mailboxes_for_imap() -> anyhow::Result<()> {
    let node = node()?;
    let mut imap = Imap::login(node.listener("imap"), "alice@example.test", node.password("alice"))?;
    for name in ["A", "A/below", "B"] {
        imap.must(&format!("CREATE {name}"))?;
    }
    imap.append("A", "", b"Subject: x\r\n\r\ny\r\n")?;
    let before = (status(&mut imap, "A")?, status(&mut imap, "B")?);
    let (a, b) = (before.0.2.as_str(), before.1.2.as_str());
    let update = json!({"update": {a: {"name": "B"}, b: {"name": "A"}}});
    let set = call(&node, &account(&node)?, "Mailbox/set", &update)?;
    assert_eq!(set["updated"], json!({a: null, b: null}), "{set}");
    let after = (status(&mut imap, "A")?, status(&mut imap, "B")?);
    assert_eq!((after.0.0, after.1.0), (0, 1), "their messages go with them");
    assert_eq!((after.0.2.as_str(), after.1.2.as_str()), (b, a));
    assert!(after.0.1 > before.0.1 && after.1.1 > before.1.1, "{before:?} {after:?}");
    let listed = imap.must("LIST \"\" (A B A/* B/*)")?.text();
    let name = |line: &String| line.trim_end().rsplit(' ').next().map(|name| name.replace('"', ""));
    let mut names: Vec<String> = listed.iter().filter_map(name).collect();
    names.sort_unstable();
    assert_eq!(names, ["A", "B", "B/below"]);
    Ok(())
}

/// A10: what is deep, or grows, is refused, and the node goes on.
#[test]
fn what_is_too_much_is_refused() -> anyhow::Result<()> {
    let node = node()?;
    let post = |body: &[u8]| {
        let answer =
            jmap::ask(&node, Some("alice"), ("POST", "/jmap"), "Content-Type: application/json\r\n", body)?;
        let said: Value = serde_json::from_slice(&answer.body)?;
        anyhow::Ok((answer.status, said))
    };
    let (status, said) = post("[".repeat(1 << 20).as_bytes())?;
    assert_eq!((status, said["type"].as_str()), (400, Some("urn:ietf:params:jmap:error:notRequest")));
    let (status, said) = post(format!("[{}0]", "0,".repeat(1 << 20)).as_bytes())?;
    assert_eq!((status, said["limit"].as_str()), (400, Some("maxSizeRequest")));
    let both = |of: usize| json!({"resultOf": of.to_string(), "name": "Core/echo", "path": ""});
    let mut calls = vec![json!(["Core/echo", {"a": vec![0; 20_000]}, "0"])];
    calls
        .extend((1..16).map(|n| json!(["Core/echo", {"#a": both(n - 1), "#b": both(n - 1)}, n.to_string()])));
    let request = json!({"using": ["urn:ietf:params:jmap:core"], "methodCalls": calls});
    let (status, said) = post(request.to_string().as_bytes())?;
    assert_eq!(status, 200);
    assert_eq!(said["methodResponses"][15][0], "error");
    assert_eq!(curl(&node, &["-o", "/dev/null", "-w", "%{http_code}"], "/jmap/session")?, "200");
    Ok(())
}
