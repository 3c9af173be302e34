//! Connections through the balancer. What is sent at once is answered one by one.

use anyhow::Context;
use harness::{Imap, Smtp};

use crate::model::{FLAGS, Row};
use crate::time::{Clock, Span, Tick};

/// What every message's subject begins with, before its token.
const SUBJECT: &str = "godwit-";

/// An IMAP session that is logged in.
pub(crate) struct Session {
    imap: Imap,
    tags: u64,
    /// The mailbox that was selected last, if it was found.
    pub(crate) selected: Option<String>,
}

/// What a command came to.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) span: Span,
    pub(crate) ok: bool,
    /// The tagged line.
    pub(crate) status: String,
    pub(crate) untagged: Vec<String>,
}

/// A command, and the moment at which it was asked for.
pub(crate) type Asked = (Tick, String);

impl Session {
    pub(crate) fn login(address: &str, user: usize) -> anyhow::Result<Self> {
        Ok(Session { imap: Imap::login(address, &format!("u{user}"), "secret")?, tags: 0, selected: None })
    }

    /// Sends all commands at once. An error is the connection's.
    pub(crate) fn burst(&mut self, commands: &[Asked], clock: &Clock) -> anyhow::Result<Vec<Answer>> {
        let first = self.tags;
        let mut text = String::new();
        for (_, command) in commands {
            self.tags += 1;
            text.push_str(&format!("x{} {command}\r\n", self.tags));
        }
        self.imap.line.send(text.as_bytes())?;
        let mut answers = Vec::new();
        for (tag, (begun, command)) in (first + 1..).zip(commands) {
            let answer = self.answer(tag, *begun, clock);
            let answer = answer.with_context(|| command.chars().take(60).collect::<String>())?;
            if let Some(name) = command.strip_prefix("SELECT ").or_else(|| command.strip_prefix("EXAMINE ")) {
                self.selected = answer.ok.then(|| name.to_owned());
            }
            answers.push(answer);
        }
        Ok(answers)
    }

    fn answer(&mut self, tag: u64, begun: Tick, clock: &Clock) -> anyhow::Result<Answer> {
        let tag = format!("x{tag} ");
        let mut untagged: Vec<String> = Vec::new();
        loop {
            let line = self.imap.logical_line();
            // What was said last says why.
            let line = line.with_context(|| untagged.last().cloned().unwrap_or_default())?;
            let line = String::from_utf8_lossy(&line).into_owned();
            let Some(status) = line.strip_prefix(&tag) else {
                untagged.push(line);
                continue;
            };
            let (ok, status) = (status.starts_with("OK"), status.to_owned());
            return Ok(Answer { span: Span { begun, ended: clock.tick() }, ok, status, untagged });
        }
    }
}

/// An SMTP or LMTP session, for as many messages as it is used for.
pub(crate) struct Sender {
    smtp: Smtp,
    pub(crate) used: u32,
}

impl Sender {
    pub(crate) fn connect(address: &str, lmtp: bool) -> anyhow::Result<Self> {
        let smtp = if lmtp { Smtp::connect_lmtp(address)? } else { Smtp::connect(address)? };
        Ok(Sender { smtp, used: 0 })
    }

    /// Sends one message; whether it was taken, or what was said instead.
    pub(crate) fn send(&mut self, user: usize, token: u64) -> anyhow::Result<Result<(), String>> {
        self.used += 1;
        let envelope = format!("MAIL FROM:<s@example.org>\r\nRCPT TO:<u{user}@example.test>\r\nDATA\r\n");
        self.smtp.line.send(envelope.as_bytes())?;
        let mut refused = None;
        for expected in [250, 250, 354] {
            let (code, text) = self.smtp.read_reply()?;
            if code != expected {
                refused.get_or_insert(format!("{code} {text:?}"));
            }
        }
        if let Some(refused) = refused {
            self.smtp.command("RSET")?;
            return Ok(Err(refused));
        }
        self.smtp.line.send(format!("{}.\r\n", message(token)).as_bytes())?;
        let (code, text) = self.smtp.read_reply()?;
        Ok(if code == 250 { Ok(()) } else { Err(format!("{code} {text:?}")) })
    }
}

/// A message that says its token.
pub(crate) fn message(token: u64) -> String {
    format!(
        "From: s@example.org\r\nSubject: {SUBJECT}{token}\r\nMessage-ID: <{token}@example.org>\r\n\r\nhello\r\n"
    )
}

/// The row that a FETCH response is, if it has UID, flags and subject.
pub(crate) fn row(line: &str) -> Option<Row> {
    let line = line.strip_prefix("* ")?;
    let (_, fields) = line.split_once(" FETCH (")?;
    let flags = fields.split_once("FLAGS (")?.1.split_once(')')?.0;
    let flags: Vec<&str> = flags.split(' ').collect();
    let number = |after: &str| number_after(fields, after);
    Some(Row {
        uid: u32::try_from(number("UID ")?).ok()?,
        token: number(SUBJECT)?,
        flags: FLAGS.map(|flag| flags.contains(&flag)),
    })
}

/// The number behind a word.
pub(crate) fn number_after(text: &str, word: &str) -> Option<u64> {
    let rest = text.split_once(word)?.1;
    rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

/// How many messages an EXISTS response says there are.
pub(crate) fn exists(untagged: &[String]) -> Option<usize> {
    let number = |line: &String| line.strip_prefix("* ")?.strip_suffix(" EXISTS")?.parse().ok();
    untagged.iter().find_map(number)
}

/// The UID of what a COPYUID or APPENDUID response code says was made.
pub(crate) fn made_uid(answer: &Answer) -> Option<u32> {
    let all = answer.untagged.iter().chain([&answer.status]);
    let code = |line: &String| {
        let (_, code) = line.split_once("[COPYUID ").or_else(|| line.split_once("[APPENDUID "))?;
        code.split_once(']')?.0.rsplit(' ').next()?.parse().ok()
    };
    all.into_iter().find_map(code)
}

/// The UIDs that a SEARCH response lists.
pub(crate) fn found(untagged: &[String]) -> impl Iterator<Item = u32> + '_ {
    let lists = untagged.iter().filter_map(|line| line.strip_prefix("* SEARCH"));
    lists.flat_map(|list| list.split_whitespace()).filter_map(|uid| uid.parse().ok())
}

/// The name that a LIST response is of.
pub(crate) fn listed(line: &str) -> Option<String> {
    let rest = line.strip_prefix("* LIST (")?;
    Some(rest.rsplit(' ').next()?.trim_matches('"').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn responses_are_understood() {
        let line = r#"* 3 FETCH (UID 7 FLAGS (\Seen k1) ENVELOPE (NIL "godwit-12" NIL NIL))"#;
        assert_eq!(row(line), Some(Row { uid: 7, token: 12, flags: [false, true] }));
        assert_eq!(row(r"* 3 FETCH (UID 7 FLAGS (\Seen))"), None);
        let lines = ["* FLAGS ()".to_owned(), "* 12 EXISTS".to_owned()];
        assert_eq!(exists(&lines), Some(12));
        let untagged = vec!["* OK [COPYUID 5 3 9] moved".to_owned()];
        let span = Span { begun: 0, ended: 0 };
        let answer = Answer { span, ok: true, status: "OK done".to_owned(), untagged };
        assert_eq!(made_uid(&answer), Some(9));
        let answer = Answer { status: "OK [APPENDUID 5 8] done".to_owned(), untagged: Vec::new(), ..answer };
        assert_eq!(made_uid(&answer), Some(8));
        assert_eq!(found(&["* SEARCH 1 20".to_owned()]).collect::<Vec<_>>(), [1, 20]);
        assert_eq!(found(&["* SEARCH".to_owned()]).count(), 0);
        assert_eq!(listed(r#"* LIST (\HasNoChildren) "/" b7"#), Some("b7".to_owned()));
    }
}
