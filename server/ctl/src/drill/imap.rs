//! Reading what probes have written.

use std::collections::BTreeMap;

use anyhow::{Context, bail, ensure};

use super::plan::Plan;
use super::smtp::FIELD;
use super::wire::{Trust, Wire};

/// UIDs below the one that is looked for that are searched as well.
const SEARCHED: u32 = 10;

/// A session with INBOX selected.
pub(crate) struct Imap {
    wire: Wire,
    tags: u32,
}

impl Imap {
    /// Logs in and selects INBOX.
    pub(crate) async fn login(plan: &Plan, trust: &Trust) -> anyhow::Result<Self> {
        let mut wire = Wire::connect(&plan.mail.imap, "imap", trust).await?;
        ensure!(wire.line().await?.starts_with(b"* OK"), "no greeting");
        let mut imap = Imap { wire, tags: 0 };
        let login = format!("LOGIN {} {}", quoted(&plan.mail.account)?, quoted(&plan.mail.password.read()?)?);
        imap.command(&login).await.context("LOGIN")?;
        imap.command("SELECT INBOX").await?;
        Ok(imap)
    }

    /// Reads the newest message, and returns its UID; an error if there is none.
    pub(crate) async fn newest(&mut self) -> anyhow::Result<u32> {
        let lines = self.command(&format!("FETCH * (UID BODY.PEEK[HEADER.FIELDS ({FIELD})])")).await?;
        lines.iter().find_map(|line| uid_in(line)).context("nothing is there")
    }

    /// Whether a text is found in one of the messages up to a UID. Few are searched, since nodes refuse what costs too much.
    pub(crate) async fn search(&mut self, last: u32, text: &str) -> anyhow::Result<()> {
        let first = last.saturating_sub(SEARCHED).max(1);
        let lines = self.command(&format!("UID SEARCH UID {first}:{last} TEXT {}", quoted(text)?)).await?;
        let found = lines.iter().any(|line| line.starts_with(b"* SEARCH ") && line.len() > 9);
        ensure!(found, "{text} is not found");
        Ok(())
    }

    /// Appends a message, and returns its UID.
    pub(crate) async fn append(&mut self, message: &[u8]) -> anyhow::Result<u32> {
        self.tags += 1;
        let tag = format!("t{}", self.tags);
        self.wire.say(&format!("{tag} APPEND INBOX {{{}}}", message.len())).await?;
        let go = self.wire.line().await?;
        ensure!(go.starts_with(b"+"), "{}", String::from_utf8_lossy(&go));
        self.wire.send(message).await?;
        self.wire.say("").await?;
        let (_, status) = self.reply(&tag).await?;
        let uid = status
            .split_once("[APPENDUID ")
            .and_then(|(_, rest)| rest.split([' ', ']']).nth(1)?.parse().ok());
        uid.with_context(|| format!("no APPENDUID: {status}"))
    }

    /// A message as it was appended.
    pub(crate) async fn body(&mut self, uid: u32) -> anyhow::Result<Vec<u8>> {
        let lines = self.command(&format!("UID FETCH {uid} BODY.PEEK[]")).await?;
        let line = lines.into_iter().find(|line| line.contains(&b'{')).context("it is not there")?;
        let begin = line.iter().position(|byte| *byte == b'\n').context("no literal")? + 1;
        Ok(line.get(begin..line.len().saturating_sub(1)).unwrap_or_default().to_vec())
    }

    /// The ids of all that is there, and how often each is.
    pub(crate) async fn ids(&mut self) -> anyhow::Result<BTreeMap<String, u32>> {
        let mut ids = BTreeMap::new();
        for line in self.command(&format!("UID FETCH 1:* (BODY.PEEK[HEADER.FIELDS ({FIELD})])")).await? {
            if let Some(id) = id_in(&line) {
                *ids.entry(id).or_default() += 1;
            }
        }
        Ok(ids)
    }

    /// Has a command done; returns its untagged responses.
    async fn command(&mut self, text: &str) -> anyhow::Result<Vec<Vec<u8>>> {
        self.tags += 1;
        let tag = format!("t{}", self.tags);
        self.wire.say(&format!("{tag} {text}")).await?;
        Ok(self.reply(&tag).await?.0)
    }

    async fn reply(&mut self, tag: &str) -> anyhow::Result<(Vec<Vec<u8>>, String)> {
        let mut untagged = Vec::new();
        loop {
            let line = self.logical_line().await?;
            let tagged = line.strip_prefix(tag.as_bytes()).and_then(|rest| rest.strip_prefix(b" "));
            let Some(status) = tagged.map(|status| String::from_utf8_lossy(status).into_owned()) else {
                untagged.push(line);
                continue;
            };
            if !status.starts_with("OK") {
                bail!("{status}");
            }
            return Ok((untagged, status));
        }
    }

    /// A line with its literals, each behind a line break.
    async fn logical_line(&mut self) -> anyhow::Result<Vec<u8>> {
        let mut line = self.wire.line().await?;
        while let Some(count) = literal(&line) {
            line.push(b'\n');
            line.extend(self.wire.exactly(count).await?);
            line.extend(self.wire.line().await?);
        }
        Ok(line)
    }
}

/// The size of the literal that a line ends with announces.
fn literal(line: &[u8]) -> Option<usize> {
    let rest = line.strip_suffix(b"}")?;
    let begin = rest.iter().rposition(|byte| *byte == b'{')? + 1;
    std::str::from_utf8(rest.get(begin..)?).ok()?.parse().ok()
}

/// RFC 9051 §9: a quoted string.
fn quoted(text: &str) -> anyhow::Result<String> {
    ensure!(!text.contains(['\r', '\n', '\0']), "a line break in {text:?}");
    Ok(format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"")))
}

/// The UID in a response to FETCH.
fn uid_in(line: &[u8]) -> Option<u32> {
    let text = String::from_utf8_lossy(line);
    let rest = text.strip_prefix("* ")?.split_once("UID ")?.1;
    rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

/// The id in a response that has its field.
fn id_in(line: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(line);
    let value = text.lines().find_map(|line| {
        let (name, value) = line.split_once(": ")?;
        name.eq_ignore_ascii_case(FIELD).then_some(value)
    })?;
    Some(value.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read() {
        assert_eq!(literal(b"* 1 FETCH (BODY[] {12}"), Some(12));
        assert_eq!((literal(b"* OK {x}"), literal(b"* OK")), (None, None));
        assert_eq!(id_in(b"* 1 FETCH (BODY[..] {9}\nx-godwit-drill: d1n2\r\n\r\n)"), Some("d1n2".to_owned()));
        assert_eq!(id_in(b"* 1 FETCH (UID 1)"), None);
        assert_eq!((uid_in(b"* 9 FETCH (UID 446 BODY[..] {0}\n)"), uid_in(b"* OK")), (Some(446), None));
        assert_eq!(quoted("a\"b\\").unwrap(), "\"a\\\"b\\\\\"");
        assert!(quoted("a\nb").is_err());
    }
}
