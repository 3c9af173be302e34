//! Transcripts of JMAP: calls, and what must be answered, in files that can be read beside the RFC.
//!
//! ```text
//! # a comment, best with the RFC section that is shown
//! ! deliver alice 2          hands the node two small messages for alice by LMTP
//! ! message alice Subject: x\r\n\r\ny   hands it this one for alice, from nobody
//! ! socket open            opens a WebSocket by who asks (RFC 8887); `! socket binary` sends what is no text
//! >= {"@type": "Request"}  a message over it
//! <= {"@type": "Response"} the next that comes; `<= closed 1003` for its end
//! ! imap alice SELECT INBOX  a command of IMAP by alice, which must succeed; several in one session with ` ; ` between
//! ! user bob                 who asks from here on; alice if nobody is named
//! ! ctl group create team@example.test     a command of an operator
//! > Mailbox/get {"accountId": "{{account}}", "ids": null}
//! < Mailbox/get {"list": [{"name": "INBOX", "id": "{{inbox}}"}, "..."]}
//! >~ Range: bytes=0-3        a field of the request of HTTP that follows
//! >> GET /jmap/session       a request of HTTP; with a type and a body: `>> POST /jmap application/json {}`
//! << 200 {"username": "alice@example.test"}
//! <~ content-type: application/json     a field of that answer, or the beginning of it
//! ```
//!
//! Calls that follow each other are one request; their ids are 0, 1, … and answers are matched in their order. An answer
//! fits if it has at least what is written: members that are not named do not matter, lists are whole unless they end in
//! `"..."`. In texts `{{any}}` stands for whatever is there, and `{{name}}` is remembered the first time and the same later;
//! a member that is `"{{none}}"` must not be there. `{{account}}` is the account of who asks, `{{account:NAME}}` another that he
//! sees, `{{password:USER}}` a password. What is too long to be read: `{{fill:N}}` is N times `x`, `[{{list:N}}]` has N texts,
//! `[{{people:N}}]` N addresses.

use std::collections::BTreeMap;

use anyhow::{Context, bail, ensure};
use base64::Engine as _;
use serde_json::{Map, Value, json};

use crate::line::Line;
use crate::node::Node;
use crate::place::{DOMAIN, Place};
use crate::push::{Came, WebSocket};
use crate::{Imap, Smtp, script};

/// What requests use unless they say otherwise.
const USING: [&str; 8] = [
    "urn:ietf:params:jmap:core",
    "urn:ietf:params:jmap:mail",
    "urn:ietf:params:jmap:submission",
    "urn:ietf:params:jmap:vacationresponse",
    "urn:ietf:params:jmap:blob",
    "urn:ietf:params:jmap:quota",
    "urn:ietf:params:jmap:mdn",
    "urn:ietf:params:jmap:principals",
];

/// Plays a transcript at a place.
///
/// # Errors
/// At the first line that does not come as written, with its number.
pub fn play(place: &dyn Place, text: &str) -> anyhow::Result<()> {
    let mut player = Player::of(place);
    let text = text.replace(DOMAIN, place.domain());
    for (index, line) in text.lines().enumerate() {
        player.step(line).with_context(|| format!("line {}: {line}", index + 1))?;
    }
    player.flush()?;
    ensure!(player.answers.is_empty(), "nobody looked at {:?}", player.answers);
    Ok(())
}

struct Player<'a> {
    place: &'a dyn Place,
    user: String,
    calls: Vec<Value>,
    answers: Vec<Value>,
    /// Fields for the next request of HTTP.
    fields: String,
    last: Option<Answer>,
    socket: Option<WebSocket>,
    variables: BTreeMap<String, Value>,
}

/// What came over HTTP.
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The lines of the head, below the first.
    pub head: Vec<String>,
    /// The body.
    pub body: Vec<u8>,
}

/// One request over HTTPS, with a user's password; on a connection of its own.
///
/// # Errors
/// When there is no answer.
pub fn ask(
    node: &Node,
    user: Option<&str>,
    request: (&str, &str),
    fields: &str,
    body: &[u8],
) -> anyhow::Result<Answer> {
    ask_as(node, user, request, fields, body)
}

/// The same at any place.
///
/// # Errors
/// When there is no answer.
pub fn ask_as(
    place: &dyn Place,
    user: Option<&str>,
    request: (&str, &str),
    fields: &str,
    body: &[u8],
) -> anyhow::Result<Answer> {
    let mut fields = fields.to_owned();
    if let Some(user) = user {
        let login = format!("{user}@{}:{}", place.domain(), place.password(user));
        fields += &authorization(&login);
    }
    ask_at(&place.listener("https"), request, &fields, body)
}

/// The field for a login, `name:password`.
fn authorization(login: &str) -> String {
    format!("Authorization: Basic {}\r\n", base64::engine::general_purpose::STANDARD.encode(login))
}

/// One request over HTTPS to `host:port`, on a connection of its own.
///
/// # Errors
/// When there is no answer.
pub fn ask_at(
    address: &str,
    (method, path): (&str, &str),
    fields: &str,
    body: &[u8],
) -> anyhow::Result<Answer> {
    let mut line = Line::connect_tls(address)?;
    let mut head = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{fields}");
    head += &format!("Content-Length: {}\r\n\r\n", body.len());
    line.send(&[head.as_bytes(), body].concat())?;
    let mut answer = line.read_to_end()?;
    let end = answer.windows(4).position(|at| at == b"\r\n\r\n").context("no end of the head")?;
    let text = String::from_utf8_lossy(answer.get(..end).unwrap_or_default()).into_owned();
    let mut lines = text.split("\r\n").map(str::to_owned);
    let status = lines.next().and_then(|line| line.split(' ').nth(1)?.parse().ok()).context("no status")?;
    Ok(Answer { status, head: lines.collect(), body: answer.split_off(end + 4) })
}

impl<'a> Player<'a> {
    fn of(place: &'a dyn Place) -> Self {
        Player {
            place,
            user: "alice".to_owned(),
            calls: Vec::new(),
            answers: Vec::new(),
            fields: String::new(),
            last: None,
            socket: None,
            variables: BTreeMap::new(),
        }
    }

    fn step(&mut self, line: &str) -> anyhow::Result<()> {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            return Ok(());
        }
        let (mark, rest) = line.split_once(' ').context("no mark")?;
        match mark {
            "!" => self.direct(rest),
            ">" => self.call(rest),
            "<" => self.expect(rest),
            ">~" => self.field(rest),
            ">>" => self.request(rest),
            "<<" => self.expect_http(rest),
            "<~" => self.expect_field(rest),
            ">=" => self.say(rest),
            "<=" => self.hear(rest),
            _ => bail!("neither a call nor an answer"),
        }
    }

    fn direct(&mut self, directive: &str) -> anyhow::Result<()> {
        self.flush()?;
        let (word, rest) = directive.split_once(' ').context("a directive has a subject")?;
        match word {
            "user" => {
                rest.clone_into(&mut self.user);
                Ok(())
            }
            "deliver" => {
                let (user, count) = rest.split_once(' ').unwrap_or((rest, "1"));
                let address = format!("{user}@{}", self.place.domain());
                script::deliver_to(&self.place.listener("lmtp"), &address, count.parse()?)
            }
            "message" => {
                let (user, text) = rest.split_once(' ').context("a message")?;
                let address = format!("{user}@{}", self.place.domain());
                let text = self.filled(text)?.replace("\\r\\n", "\r\n") + "\r\n";
                let mut lmtp = Smtp::connect_lmtp(&self.place.listener("lmtp"))?;
                let (code, said) = lmtp.send("", &[&address], text.as_bytes())?;
                ensure!(code == 250, "{code} {said:?}");
                Ok(())
            }
            "socket" if rest == "open" => {
                let login = format!("{}@{}", self.user, self.place.domain());
                let password = self.place.password(&self.user);
                let socket = WebSocket::connect(&self.place.listener("https"), (&login, &password))?;
                self.socket = Some(socket);
                Ok(())
            }
            "socket" => self.socket.as_mut().context("no WebSocket")?.send(0x2, b"binary"),
            "imap" => {
                let (user, commands) = rest.split_once(' ').context("a command of IMAP")?;
                let login = format!("{user}@{}", self.place.domain());
                let mut imap = Imap::login(&self.place.listener("imap"), &login, &self.place.password(user))?;
                commands.split(" ; ").try_for_each(|command| imap.must(command).map(drop))
            }
            "ctl" => {
                let words: Vec<&str> = rest.split(' ').collect();
                self.place.command(&words)
            }
            _ => bail!("an unknown directive"),
        }
    }

    fn call(&mut self, rest: &str) -> anyhow::Result<()> {
        ensure!(self.answers.is_empty(), "nobody looked at {:?}", self.answers);
        let (name, arguments) = rest.split_once(' ').context("a method and its arguments")?;
        let arguments: Value = serde_json::from_str(&self.filled(arguments)?)?;
        self.calls.push(json!([name, arguments, self.calls.len().to_string()]));
        Ok(())
    }

    /// One request by who asks, on a connection of its own.
    fn ask(&self, request: (&str, &str), fields: &str, body: &[u8]) -> anyhow::Result<Answer> {
        let user = Some(self.user.as_str()).filter(|user| *user != "nobody");
        ask_as(self.place, user, request, fields, body)
    }

    /// Sends the calls that wait.
    fn flush(&mut self) -> anyhow::Result<()> {
        if self.calls.is_empty() {
            return Ok(());
        }
        let request = json!({"using": USING, "methodCalls": std::mem::take(&mut self.calls)}).to_string();
        let fields = "Content-Type: application/json\r\n";
        let answer = self.ask(("POST", "/jmap"), fields, request.as_bytes())?;
        let body = String::from_utf8_lossy(&answer.body).into_owned();
        ensure!(answer.status == 200, "{} {body}", answer.status);
        let response: Value = serde_json::from_str(&body)?;
        let answers = response.get("methodResponses").and_then(Value::as_array).context("no answers")?;
        self.answers.clone_from(answers);
        Ok(())
    }

    fn expect(&mut self, rest: &str) -> anyhow::Result<()> {
        self.flush()?;
        ensure!(!self.answers.is_empty(), "there is no further answer");
        let answer = self.answers.remove(0);
        let (name, wanted) = rest.split_once(' ').unwrap_or((rest, "{}"));
        ensure!(answer.get(0).and_then(Value::as_str) == Some(name), "came: {answer}");
        let wanted: Value = serde_json::from_str(wanted)?;
        let came = answer.get(1).cloned().unwrap_or_default();
        self.fits(&wanted, &came).with_context(|| format!("came: {came}"))
    }

    fn field(&mut self, rest: &str) -> anyhow::Result<()> {
        self.flush()?;
        let field = self.filled(rest)?;
        self.fields += &format!("{field}\r\n");
        Ok(())
    }

    fn request(&mut self, rest: &str) -> anyhow::Result<()> {
        self.flush()?;
        let rest = self.filled(rest)?;
        let mut words = rest.splitn(4, ' ');
        let (method, path) = (words.next().context("a method")?, words.next().context("a path")?);
        let mut fields = std::mem::take(&mut self.fields);
        fields.extend(words.next().map(|kind| format!("Content-Type: {kind}\r\n")));
        let body = words.next().unwrap_or_default().replace("\\r\\n", "\r\n");
        self.last = Some(self.ask((method, path), &fields, body.as_bytes())?);
        Ok(())
    }

    fn expect_http(&mut self, rest: &str) -> anyhow::Result<()> {
        let (status, wanted) = rest.split_once(' ').unwrap_or((rest, ""));
        let answer = self.last.as_ref().context("nothing was asked")?;
        let body = String::from_utf8_lossy(&answer.body).into_owned();
        ensure!(answer.status.to_string() == status, "came: {} {body}", answer.status);
        if wanted.starts_with('{') {
            let came: Value = serde_json::from_str(&body).with_context(|| body.clone())?;
            return self.fits(&serde_json::from_str(wanted)?, &came).with_context(|| format!("came: {came}"));
        }
        ensure!(wanted.is_empty() || body == wanted.replace("\\r\\n", "\r\n"), "came: {body:?}");
        Ok(())
    }

    fn say(&mut self, message: &str) -> anyhow::Result<()> {
        self.flush()?;
        let message = self.filled(message)?;
        self.socket.as_mut().context("no WebSocket")?.send(0x1, message.as_bytes())
    }

    fn hear(&mut self, wanted: &str) -> anyhow::Result<()> {
        match self.socket.as_mut().context("no WebSocket")?.hear()? {
            Came::Closed(code) => ensure!(wanted == format!("closed {code}"), "closed: {code}"),
            Came::Message(came) => {
                let wanted = serde_json::from_str(wanted).with_context(|| format!("came: {came}"))?;
                self.fits(&wanted, &came).with_context(|| format!("came: {came}"))?;
            }
        }
        Ok(())
    }

    fn expect_field(&mut self, wanted: &str) -> anyhow::Result<()> {
        let wanted = self.filled(wanted)?.to_lowercase();
        let answer = self.last.as_ref().context("nothing was asked")?;
        let there = answer.head.iter().any(|line| line.to_lowercase().starts_with(&wanted));
        ensure!(there, "came: {:?}", answer.head);
        Ok(())
    }

    /// A text with what is known in its `{{holes}}`.
    fn filled(&mut self, text: &str) -> anyhow::Result<String> {
        let (mut out, mut rest) = (String::new(), text);
        while let Some((before, more)) = rest.split_once("{{") {
            let (hole, after) = more.split_once("}}").context("a hole without an end")?;
            out += before;
            out += &self.value_of(hole)?;
            rest = after;
        }
        Ok(out + rest)
    }

    fn value_of(&mut self, hole: &str) -> anyhow::Result<String> {
        if let Some(user) = hole.strip_prefix("password:") {
            return Ok(self.place.password(user));
        }
        if let Some(count) = hole.strip_prefix("fill:") {
            return Ok("x".repeat(count.parse()?));
        }
        if let Some(count) = hole.strip_prefix("list:") {
            let count: usize = count.parse()?;
            return Ok((0..count).map(|n| format!("\"x{n}\"")).collect::<Vec<_>>().join(","));
        }
        if let Some(count) = hole.strip_prefix("people:") {
            let count: usize = count.parse()?;
            let one = |n| format!("{{\"email\": \"x{n}@{}\"}}", self.place.domain());
            return Ok((0..count).map(one).collect::<Vec<_>>().join(","));
        }
        if hole == "account" {
            return self.account();
        }
        if let Some(name) = hole.strip_prefix("account:") {
            return self.account_of(name);
        }
        let value = self.variables.get(hole).with_context(|| format!("{hole} has no value yet"))?;
        Ok(value.as_str().map_or_else(|| value.to_string(), str::to_owned))
    }

    /// The account of who asks.
    fn account(&mut self) -> anyhow::Result<String> {
        let name = format!("account of {}", self.user);
        if !self.variables.contains_key(&name) {
            let answer = self.ask(("GET", "/jmap/session"), "", b"")?;
            let session: Value = serde_json::from_slice(&answer.body)?;
            let account = session.pointer("/primaryAccounts/urn:ietf:params:jmap:mail").cloned();
            self.variables.insert(name.clone(), account.context("no account")?);
        }
        let account = self.variables.get(&name).and_then(Value::as_str);
        Ok(account.context("no account")?.to_owned())
    }

    /// An account that who asks sees, by its name: principals tell of those that nothing is subscribed to as well (RFC 9670 §1.4).
    fn account_of(&mut self, name: &str) -> anyhow::Result<String> {
        let call = json!(["Principal/get", {"accountId": self.account()?, "ids": null}, "0"]);
        let request = json!({"using": USING, "methodCalls": [call]}).to_string();
        let answer = self.ask(("POST", "/jmap"), "Content-Type: application/json\r\n", request.as_bytes())?;
        let answer: Value = serde_json::from_slice(&answer.body)?;
        let principals = answer.pointer("/methodResponses/0/1/list").and_then(Value::as_array);
        let accounts =
            principals.context("no principals")?.iter().filter_map(|one| one["accounts"].as_object());
        let named = |(_, account): &(&String, &Value)| account.get("name").is_some_and(|one| *one == name);
        let found = accounts.flatten().find(named).map(|(id, _)| id.clone());
        found.with_context(|| format!("no account {name}"))
    }

    fn fits(&mut self, wanted: &Value, came: &Value) -> anyhow::Result<()> {
        match (wanted, came) {
            (Value::Object(wanted), Value::Object(came)) => self.members_fit(wanted, came),
            (Value::Array(wanted), Value::Array(came)) => self.items_fit(wanted, came),
            (Value::String(text), _) if text == "{{any}}" => Ok(()),
            (Value::String(text), _) if is_hole(text) => {
                let name = text.trim_start_matches('{').trim_end_matches('}').to_owned();
                if name == "account" {
                    ensure!(came.as_str() == Some(self.account()?.as_str()), "{came} is not the account");
                    return Ok(());
                }
                let known = self.variables.entry(name.clone()).or_insert_with(|| came.clone());
                ensure!(known == came, "{name} is {known}, not {came}");
                Ok(())
            }
            (Value::String(text), Value::String(came)) => {
                ensure!(self.filled(text)? == *came, "{came:?} in place of {text:?}");
                Ok(())
            }
            (wanted, came) => {
                ensure!(wanted == came, "{came} in place of {wanted}");
                Ok(())
            }
        }
    }

    fn members_fit(&mut self, wanted: &Map<String, Value>, came: &Map<String, Value>) -> anyhow::Result<()> {
        for (name, wanted) in wanted {
            let name = self.filled(name)?;
            if wanted == "{{none}}" {
                ensure!(!came.contains_key(&name), "there is {name:?}");
                continue;
            }
            let came = came.get(&name).with_context(|| format!("there is no {name:?}"))?;
            self.fits(wanted, came).with_context(|| format!("at {name:?}"))?;
        }
        Ok(())
    }

    fn items_fit(&mut self, wanted: &[Value], came: &[Value]) -> anyhow::Result<()> {
        let open = wanted.last().and_then(Value::as_str) == Some("...");
        let wanted = if open { wanted.get(..wanted.len() - 1).unwrap_or_default() } else { wanted };
        ensure!(came.len() == wanted.len() || (open && came.len() > wanted.len()), "{} items", came.len());
        for (wanted, came) in wanted.iter().zip(came) {
            self.fits(wanted, came)?;
        }
        Ok(())
    }
}

fn is_hole(text: &str) -> bool {
    text.starts_with("{{") && text.ends_with("}}") && text.matches("{{").count() == 1 && !text.contains(':')
}
