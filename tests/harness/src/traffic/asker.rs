//! Clients of JMAP: they keep their connection and their state, and ask what has changed.

use anyhow::{Context, bail, ensure};
use base64::Engine as _;
use serde_json::{Value, json};

use super::{EACH, End, Shared};
use crate::line::Line;

/// What came over HTTP.
enum Came {
    Answer {
        body: Value,
        /// The server ends the connection after it.
        last: bool,
    },
    /// The server sends its clients elsewhere (503), or closed a connection on which nothing was under way: RFC 9112 §9.5 has
    /// clients open another one.
    Away,
}

struct Session {
    line: Line,
    credentials: String,
    account: Value,
    last: bool,
}

impl Session {
    /// `None` if the server sends the client elsewhere.
    fn open(address: &str, user: usize) -> anyhow::Result<Option<Self>> {
        let credentials = base64::engine::general_purpose::STANDARD.encode(format!("u{user}:secret"));
        let mut session =
            Session { line: Line::connect(address)?, credentials, account: Value::Null, last: false };
        let Some(found) = session.ask("GET /jmap/session", "")? else { return Ok(None) };
        session.account = found["primaryAccounts"]["urn:ietf:params:jmap:mail"].clone();
        ensure!(session.account.is_string(), "no account: {found}");
        Ok(Some(session))
    }

    /// What is in the answer; `None` if the server sends the client elsewhere.
    fn ask(&mut self, request: &str, body: &str) -> anyhow::Result<Option<Value>> {
        let head = format!(
            "{request} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Basic {}\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n",
            self.credentials,
            body.len()
        );
        // A connection that is closed already may say so here or when the answer is read.
        let sent = self.line.send(format!("{head}{body}").as_bytes());
        match read(&mut self.line).with_context(|| format!("{request} {body} ({sent:?})"))? {
            Came::Answer { body, last } => {
                self.last = last;
                Ok(Some(body))
            }
            Came::Away => Ok(None),
        }
    }

    fn call(&mut self, calls: &Value) -> anyhow::Result<Option<Value>> {
        let using = ["urn:ietf:params:jmap:core", "urn:ietf:params:jmap:mail"];
        let request = json!({"using": using, "methodCalls": calls}).to_string();
        Ok(self.ask("POST /jmap", &request)?.map(|mut answer| answer["methodResponses"].take()))
    }
}

fn read(line: &mut Line) -> anyhow::Result<Came> {
    let Some(status) = line.try_read_line()? else { return Ok(Came::Away) };
    let status = String::from_utf8_lossy(&status).into_owned();
    let (mut length, mut last) = (0, false);
    loop {
        let field = String::from_utf8_lossy(&line.read_line()?).to_lowercase();
        match field.split_once(": ") {
            Some(("content-length", value)) => length = value.parse()?,
            Some(("connection", value)) => last = value == "close",
            Some(_) => {}
            None => break,
        }
    }
    let body = line.read_exact(length)?;
    match status.split(' ').nth(1) {
        Some("200") => Ok(Came::Answer { body: serde_json::from_slice(&body)?, last }),
        Some("503") => Ok(Came::Away),
        _ => bail!("{status}: {}", String::from_utf8_lossy(&body)),
    }
}

impl Shared {
    /// Asks for the mailboxes and what has changed, as a client does that was told to look.
    pub(super) fn ask(&self, number: usize) -> anyhow::Result<End> {
        let user = number % self.mix.users;
        let Some(mut session) = Session::open(&self.http, user)? else { return Ok(End::Polite) };
        let mut state = Value::Null;
        for _ in 0..EACH {
            if session.last {
                return Ok(End::Polite);
            }
            if self.stopped() {
                break;
            }
            let before = self.acknowledged_for(user);
            let account = &session.account;
            let mut calls = vec![json!(["Mailbox/get", {"accountId": account, "ids": null}, "0"])];
            calls.push(match state.is_null() {
                true => json!(["Email/get", {"accountId": account, "ids": []}, "1"]),
                false => json!(["Email/changes", {"accountId": account, "sinceState": state}, "1"]),
            });
            let Some(came) = session.call(&Value::from(calls))? else { return Ok(End::Polite) };
            let inbox =
                came[0][1]["list"].as_array().into_iter().flatten().find(|one| one["role"] == "inbox");
            self.compare("JMAP", user, before, inbox.and_then(|inbox| inbox["totalEmails"].as_u64()));
            let next = &came[1][1];
            state = [&next["newState"], &next["state"]]
                .into_iter()
                .find(|state| state.is_string())
                .cloned()
                .with_context(|| came.to_string())?;
            std::thread::sleep(self.mix.pause);
        }
        Ok(End::Stopped)
    }
}
