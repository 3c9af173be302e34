//! What other servers tell of mail that was handed on to them (RFC 8621 §7 `deliveryStatus`): the submission goes out under a
//! name, and the notification that comes back by that name is noted with it.

#![allow(clippy::expect_used, reason = "a test ends where it fails")]

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use harness::wait::until;
use harness::{Node, NodeOptions, jmap};

/// The lines of MAIL that the next server was given.
type Mails = Arc<Mutex<Vec<String>>>;

/// A mail server that offers DSN and takes everything.
fn next() -> anyhow::Result<(SocketAddr, Mails)> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let (address, mails) = (listener.local_addr()?, Mails::default());
    let shared = Arc::clone(&mails);
    std::thread::spawn(move || {
        while let Ok((socket, _)) = listener.accept() {
            // Whatever ends it: the next one comes.
            let _ = serve(&socket, &shared);
        }
    });
    Ok((address, mails))
}

fn serve(socket: &TcpStream, mails: &Mails) -> std::io::Result<()> {
    let say = |text: &str| (&mut &*socket).write_all(format!("{text}\r\n").as_bytes());
    say("220 next")?;
    let mut within = false;
    for line in BufReader::new(socket.try_clone()?).lines() {
        let line = line?;
        match line.get(..4).unwrap_or_default() {
            _ if within && line == "." => {
                within = false;
                say("250 taken")?;
            }
            _ if within => {}
            "EHLO" => say("250-next\r\n250 DSN")?,
            "MAIL" => {
                mails.lock().expect("nobody panics").push(line);
                say("250 fine")?;
            }
            "DATA" => {
                within = true;
                say("354 go on")?;
            }
            "QUIT" => return say("221 bye"),
            _ => say("250 fine")?,
        }
    }
    Ok(())
}

/// A notification for alice, of what went out as `name`: of b that it came, of c that it did not.
fn notification(name: &str) -> String {
    let of = |address: &str, rest: &str| format!("Final-Recipient: rfc822; {address}\\r\\n{rest}\\r\\n");
    let fields = format!(
        "Original-Envelope-Id: {name}\\r\\nReporting-MTA: dns; mx.elsewhere.test\\r\\n\\r\\n{}\\r\\n{}",
        of("b@elsewhere.test", "Action: delivered\\r\\nStatus: 2.0.0"),
        of(
            "c@elsewhere.test",
            "Action: failed\\r\\nStatus: 5.1.1\\r\\nDiagnostic-Code: smtp; 550 5.1.1 nobody"
        ),
    );
    format!(
        "! message alice Content-Type: multipart/report; report-type=delivery-status; boundary=b\\r\\n\\r\\n\
         --b\\r\\n\\r\\ntext\\r\\n--b\\r\\nContent-Type: message/delivery-status\\r\\n\\r\\n{fields}\\r\\n--b--\n"
    )
}

#[test]
fn what_was_handed_on_is_told_of_by_who_has_it() -> anyhow::Result<()> {
    let (address, mails) = next()?;
    let node = Node::start(NodeOptions { relay: Some(address.to_string()), ..NodeOptions::default() })?;
    let sent = r##"> Mailbox/query {"accountId": "{{account}}", "filter": {"role": "drafts"}}
        > Identity/get {"accountId": "{{account}}"}
        < Mailbox/query {"ids": ["{{drafts}}"]}
        < Identity/get {"list": [{"id": "{{me}}"}]}
        > Email/set {"accountId": "{{account}}", "create": {"m": {"mailboxIds": {"{{drafts}}": true}, "from": [{"email": "alice@example.test"}], "to": [{"email": "b@elsewhere.test"}, {"email": "c@elsewhere.test"}]}}}
        > EmailSubmission/set {"accountId": "{{account}}", "create": {"s": {"identityId": "{{me}}", "emailId": "#m"}}}
        < Email/set {"created": {"m": {}}}
        < EmailSubmission/set {"created": {"s": {}}}"##;
    jmap::play(&node, sent)?;
    let status = |b: &str, c: &str| {
        format!(
            r##"> EmailSubmission/query {{"accountId": "{{{{account}}}}"}}
            > EmailSubmission/get {{"accountId": "{{{{account}}}}"}}
            < EmailSubmission/query {{"ids": ["{{{{s}}}}"]}}
            < EmailSubmission/get {{"list": [{{"deliveryStatus": {{"b@elsewhere.test": {b}, "c@elsewhere.test": {c}}}}}]}}"##
        )
    };
    let unknown = r#"{"smtpReply": "250 2.0.0 taken", "delivered": "unknown", "displayed": "unknown"}"#;
    until("it is handed on", || Ok(jmap::play(&node, &status(unknown, unknown)).ok()))?;
    let line = mails.lock().expect("nobody panics").first().cloned().unwrap_or_default();
    let name = line.split_once(" ENVID=").and_then(|(_, name)| name.split(' ').next()).unwrap_or_default();
    assert!(name.starts_with('S'), "RFC 3461 §4.4: it has a name: {line}");
    let delivered = r#"{"smtpReply": "250 2.0.0 taken", "delivered": "yes", "displayed": "unknown"}"#;
    let failed = r#"{"smtpReply": "550 5.1.1 nobody", "delivered": "no", "displayed": "unknown"}"#;
    jmap::play(&node, &(notification(name) + &status(delivered, failed)))?;
    Ok(())
}
