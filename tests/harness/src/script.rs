//! Transcripts: what a client says and what the server must answer, in files that a mail admin can read.
//!
//! ```text
//! # a comment, best with the RFC section that is shown
//! ! imap            opens a connection to the listener `imap`; `! imap 2` names it 2
//! ! starttls        the client's side of the handshake; `! starttls 2` on connection 2
//! ! closed          the server has closed the connection, and said nothing more
//! ! ended           the server closes the connection, whatever it says
//! ! deliver bob 3   hands the node three small messages for bob by LMTP
//! S: * OK {{any}}   the next line of the server
//! C: a LOGIN alice {{password:alice}}
//! S+ * CAPABILITY {{any}}   some line before the next `S:` matches, in any order
//! S- * BYE{{any}}           no line before the next `S:` matches
//! S: a OK {{any}}   after S+ or S- lines: skips on to the line that matches
//! C2: NOOP          on connection 2, as are S2: S2+ S2-
//! C. half a line    without CRLF
//! ```
//!
//! In a server line `{{any}}` matches any text and `{{name}}` a run without blanks and parentheses: the first
//! time it is remembered, later (in either direction) it stands for what it was. Also known:
//! `{{password:USER}}`, `{{plain:USER}}` (SASL PLAIN, base64), `{{b64:TEXT}}`, `{{crlf}}`, `{{cr}}`, `{{lf}}`,
//! `{{nul}}`, `{{x:HEX}}` and `{{repeat:N:TEXT}}`. A literal of the server is part of its line, after `{{crlf}}`.

use std::collections::{BTreeMap, VecDeque};

use anyhow::{Context, bail};
use base64::Engine as _;

use crate::line::Line;
use crate::node::Node;
use crate::smtp::Smtp;

/// Plays a transcript against a node.
///
/// # Errors
/// At the first line that does not come as written, with its number.
pub fn play(node: &Node, text: &str) -> anyhow::Result<()> {
    let mut player = Player { node, connections: BTreeMap::new(), variables: BTreeMap::new() };
    for (index, line) in text.lines().enumerate() {
        player.step(line).with_context(|| format!("line {}: {line}", index + 1))?;
    }
    Ok(())
}

struct Player<'a> {
    node: &'a Node,
    connections: BTreeMap<String, Connection>,
    variables: BTreeMap<String, String>,
}

struct Connection {
    line: Line,
    imap: bool,
    wanted: Vec<String>,
    unwanted: Vec<String>,
}

impl Player<'_> {
    fn step(&mut self, line: &str) -> anyhow::Result<()> {
        let line = line.trim_start();
        if line.is_empty() || line.starts_with('#') {
            return Ok(());
        }
        if let Some(directive) = line.strip_prefix("! ") {
            return self.direct(directive);
        }
        let mark = line.find([':', '+', '-', '.']).context("no mark")?;
        let (head, rest) = line.split_at(mark);
        let (side, name) = head.split_at_checked(1).context("no side")?;
        let text = rest.get(1..).unwrap_or_default();
        let text = text.strip_prefix(' ').unwrap_or(text);
        match (side, rest.chars().next()) {
            ("C", Some(':')) => self.send(name, &format!("{text}{{{{crlf}}}}")),
            ("C", Some('.')) => self.send(name, text),
            ("S", Some(':')) => self.expect(name, text),
            ("S", Some('+')) => {
                self.connection(name)?.wanted.push(text.to_owned());
                Ok(())
            }
            ("S", Some('-')) => {
                self.connection(name)?.unwanted.push(text.to_owned());
                Ok(())
            }
            _ => bail!("neither C nor S"),
        }
    }

    fn direct(&mut self, directive: &str) -> anyhow::Result<()> {
        let words: Vec<&str> = directive.split_whitespace().collect();
        let name = words.get(1).copied().unwrap_or_default();
        match words.first().copied() {
            Some("starttls") => self.connection(name)?.line.start_tls(),
            Some("ended") => self.connection(name)?.line.read_to_end().map(drop),
            Some("closed") => {
                let rest = self.connection(name)?.line.read_to_end()?;
                anyhow::ensure!(rest.is_empty(), "still came: {}", String::from_utf8_lossy(&rest));
                Ok(())
            }
            Some("deliver") => {
                let count = words.get(2).copied().unwrap_or("1").parse()?;
                deliver(self.node, name, count)
            }
            Some(listener) => {
                let address = self.node.listener(listener);
                let tls = matches!(listener, "imaps" | "submissions");
                let line = if tls { Line::connect_tls(address)? } else { Line::connect(address)? };
                let imap = listener.starts_with("imap");
                let connection = Connection { line, imap, wanted: Vec::new(), unwanted: Vec::new() };
                self.connections.insert(name.to_owned(), connection);
                Ok(())
            }
            None => bail!("an empty directive"),
        }
    }

    fn connection(&mut self, name: &str) -> anyhow::Result<&mut Connection> {
        self.connections.get_mut(name).with_context(|| format!("no connection {name:?}"))
    }

    fn send(&mut self, name: &str, text: &str) -> anyhow::Result<()> {
        let bytes: Vec<u8> = pieces(text)
            .into_iter()
            .map(|piece| match piece {
                Piece::Text(text) => Ok(text.as_bytes().to_vec()),
                Piece::Hole(hole) => self.fixed(hole)?.with_context(|| format!("{hole} has no value yet")),
            })
            .collect::<anyhow::Result<Vec<_>>>()?
            .concat();
        self.connection(name)?.line.send(&bytes)
    }

    fn expect(&mut self, name: &str, pattern: &str) -> anyhow::Result<()> {
        let connection = self.connection(name)?;
        let imap = connection.imap;
        let mut wanted: VecDeque<String> = std::mem::take(&mut connection.wanted).into();
        let unwanted = std::mem::take(&mut connection.unwanted);
        // A tagged answer may have untagged ones before it that the transcript does not care about.
        let tagged = imap && !pattern.starts_with(['*', '+']);
        let skipping = tagged || !wanted.is_empty() || !unwanted.is_empty();
        let mut seen = Vec::new();
        loop {
            let line = self.logical_line(name).with_context(|| format!("after {seen:#?}"))?;
            let mut text = String::from_utf8_lossy(&line).into_owned();
            // The last line of an SMTP reply is told by the blank; what it says counts like the lines before.
            let last = imap || text.as_bytes().get(3) != Some(&b'-');
            if !imap && last && wanted.len() == 1 {
                let as_line = text.replacen(' ', "-", 1);
                if let Some(pattern) = wanted.front().cloned()
                    && self.matches(&pattern, &as_line)?
                {
                    wanted.pop_front();
                }
            }
            if !imap && skipping && !last {
                text.replace_range(3..4, "-");
            }
            if last && self.matches(pattern, &text)? {
                anyhow::ensure!(wanted.is_empty(), "never came: {wanted:?}; came: {seen:#?}");
                return Ok(());
            }
            anyhow::ensure!(skipping, "came: {text:?}");
            for pattern in &unwanted {
                anyhow::ensure!(!self.matches(pattern, &text)?, "unwanted: {text:?}");
            }
            for at in 0..wanted.len() {
                let hit = match wanted.get(at) {
                    Some(pattern) => self.matches(&pattern.clone(), &text)?,
                    None => false,
                };
                if hit {
                    wanted.remove(at);
                    break;
                }
            }
            let ended = text.split(' ').nth(1).is_some_and(|w| matches!(w, "OK" | "NO" | "BAD"));
            anyhow::ensure!(!ended || text.starts_with('*'), "ended with {text:?} after {seen:#?}");
            seen.push(text);
        }
    }

    fn logical_line(&mut self, name: &str) -> anyhow::Result<Vec<u8>> {
        let connection = self.connection(name)?;
        let mut whole = Vec::new();
        loop {
            let line = connection.line.read_line()?;
            whole.extend_from_slice(&line);
            let size = if connection.imap { literal_size(&line) } else { None };
            let Some(size) = size else { return Ok(whole) };
            whole.extend_from_slice(b"\r\n");
            whole.extend(connection.line.read_exact(size)?);
        }
    }

    /// The bytes of a hole that stands for something fixed; `None` for one that is to be matched or remembered.
    fn fixed(&self, hole: &str) -> anyhow::Result<Option<Vec<u8>>> {
        let (kind, argument) = hole.split_once(':').unwrap_or((hole, ""));
        let base64 = base64::engine::general_purpose::STANDARD;
        Ok(Some(match kind {
            "crlf" => b"\r\n".to_vec(),
            "cr" => b"\r".to_vec(),
            "lf" => b"\n".to_vec(),
            "nul" => vec![0],
            "password" => self.node.password(argument).into(),
            "plain" => {
                let password = self.node.password(argument);
                base64.encode(format!("\0{argument}@example.test\0{password}")).into()
            }
            "b64" => base64.encode(argument).into(),
            "x" => hex(argument)?,
            "repeat" => {
                let (count, text) = argument.split_once(':').context("repeat:N:TEXT")?;
                text.repeat(count.parse()?).into()
            }
            name => match self.variables.get(name) {
                Some(value) => value.clone().into(),
                None => return Ok(None),
            },
        }))
    }

    /// Whether a line fits a pattern; what it captured is remembered only then.
    fn matches(&mut self, pattern: &str, line: &str) -> anyhow::Result<bool> {
        let mut parts = Vec::new();
        for piece in pieces(pattern) {
            parts.push(match piece {
                Piece::Text(text) => Part::Text(text.to_owned()),
                Piece::Hole("any") => Part::Any,
                Piece::Hole(hole) => match self.fixed(hole)? {
                    Some(bytes) => Part::Text(String::from_utf8_lossy(&bytes).into_owned()),
                    None => Part::Capture(hole.to_owned()),
                },
            });
        }
        let mut captured = Vec::new();
        let fits = fits(&parts, line, &mut captured);
        if fits {
            self.variables.extend(captured);
        }
        Ok(fits)
    }
}

enum Piece<'a> {
    Text(&'a str),
    Hole(&'a str),
}

enum Part {
    Text(String),
    Any,
    Capture(String),
}

/// Cuts a line at its `{{holes}}`.
fn pieces(mut text: &str) -> Vec<Piece<'_>> {
    let mut out = Vec::new();
    while let Some((before, rest)) = text.split_once("{{") {
        let Some((hole, after)) = rest.split_once("}}") else { break };
        out.push(Piece::Text(before));
        out.push(Piece::Hole(hole));
        text = after;
    }
    out.push(Piece::Text(text));
    out
}

fn fits(parts: &[Part], line: &str, captured: &mut Vec<(String, String)>) -> bool {
    let Some((first, rest)) = parts.split_first() else { return line.is_empty() };
    match first {
        Part::Text(text) => line.strip_prefix(text.as_str()).is_some_and(|l| fits(rest, l, captured)),
        Part::Any => boundaries(line).any(|at| fits(rest, line.get(at..).unwrap_or_default(), captured)),
        Part::Capture(name) => {
            let end = line.find([' ', '(', ')', ']']).unwrap_or(line.len());
            boundaries(line).filter(|at| (1..=end).contains(at)).collect::<Vec<_>>().into_iter().rev().any(
                |at| {
                    let (taken, left) = line.split_at(at);
                    captured.push((name.clone(), taken.to_owned()));
                    fits(rest, left, captured) || {
                        captured.pop();
                        false
                    }
                },
            )
        }
    }
}

fn boundaries(line: &str) -> impl Iterator<Item = usize> + '_ {
    (0..=line.len()).filter(|at| line.is_char_boundary(*at))
}

fn literal_size(line: &[u8]) -> Option<usize> {
    let inner = line.strip_suffix(b"}")?;
    let open = inner.iter().rposition(|b| *b == b'{')?;
    std::str::from_utf8(inner.get(open + 1..)?).ok()?.parse().ok()
}

fn hex(text: &str) -> anyhow::Result<Vec<u8>> {
    let digits: Vec<char> = text.chars().collect();
    digits.chunks(2).map(|pair| Ok(u8::from_str_radix(&pair.iter().collect::<String>(), 16)?)).collect()
}

/// Hands a node small messages for a user by LMTP.
///
/// # Errors
/// When one is not taken.
pub fn deliver(node: &Node, user: &str, count: u32) -> anyhow::Result<()> {
    deliver_to(node.listener("lmtp"), &format!("{user}@example.test"), count)
}

/// The same to a listener for LMTP, and for any address.
///
/// # Errors
/// When one is not taken.
pub fn deliver_to(listener: &str, address: &str, count: u32) -> anyhow::Result<()> {
    let mut lmtp = Smtp::connect_lmtp(listener)?;
    for n in 1..=count {
        let message = format!(
            "From: Carol <carol@example.org>\r\nTo: <{address}>\r\nSubject: Message {n}\r\n\
             Date: Sat, 21 Nov 2026 10:0{}:00 +0000\r\nMessage-ID: <m{n}@example.org>\r\n\r\nBody {n}\r\n",
            n % 10
        );
        let (code, text) = lmtp.send("carol@example.org", &[address], message.as_bytes())?;
        anyhow::ensure!(code == 250, "{code} {text:?}");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn captures(pattern: &str, line: &str) -> Option<Vec<(String, String)>> {
        let parts: Vec<Part> = pieces(pattern)
            .into_iter()
            .map(|piece| match piece {
                Piece::Text(text) => Part::Text(text.into()),
                Piece::Hole("any") => Part::Any,
                Piece::Hole(name) => Part::Capture(name.into()),
            })
            .collect();
        let mut captured = Vec::new();
        fits(&parts, line, &mut captured).then_some(captured)
    }

    #[test]
    fn holes_match_and_remember() {
        let got = captures("* OK [UIDNEXT {{next}}] {{any}}", "* OK [UIDNEXT 4] predicted").unwrap();
        assert_eq!(got, vec![("next".to_owned(), "4".to_owned())]);
        assert!(captures("a OK {{any}}", "a NO [LIMIT] too much").is_none());
        assert!(captures("* {{n}} EXISTS", "* 12 EXISTS").is_some());
        assert!(captures("* {{n}} EXISTS", "* 12 34 EXISTS").is_none());
        assert!(captures("exact", "exact and more").is_none());
    }
}
