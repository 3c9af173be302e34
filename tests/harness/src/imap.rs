//! A plain IMAP client: one command, its untagged lines, its tagged line.

use anyhow::{Context, bail};

use crate::line::Line;

/// What a command gave: logical lines (literals included), and the tagged status without the tag.
#[derive(Debug, Clone)]
pub struct Reply {
    /// Untagged responses, literals inlined as they came.
    pub untagged: Vec<Vec<u8>>,
    /// `OK …`, `NO …` or `BAD …`.
    pub status: String,
}

impl Reply {
    /// Whether the tagged line was OK.
    pub fn ok(&self) -> bool {
        self.status.starts_with("OK")
    }

    /// The untagged responses as text, lossily.
    pub fn text(&self) -> Vec<String> {
        self.untagged.iter().map(|l| String::from_utf8_lossy(l).into_owned()).collect()
    }
}

/// An IMAP session.
pub struct Imap {
    /// The connection, for what the helpers below do not do.
    pub line: Line,
    tags: u32,
}

impl Imap {
    /// Connects and reads the greeting.
    ///
    /// # Errors
    /// When there is no greeting.
    pub fn connect(address: &str) -> anyhow::Result<Self> {
        Self::greeted(Line::connect(address)?)
    }

    /// Connects with TLS from the first byte and reads the greeting.
    ///
    /// # Errors
    /// When there is no greeting.
    pub fn connect_tls(address: &str) -> anyhow::Result<Self> {
        Self::greeted(Line::connect_tls(address)?)
    }

    fn greeted(mut line: Line) -> anyhow::Result<Self> {
        let greeting = line.read_line()?;
        if !greeting.starts_with(b"* OK") {
            bail!("greeting {:?}", String::from_utf8_lossy(&greeting));
        }
        Ok(Self { line, tags: 0 })
    }

    /// Connects in clear on loopback and logs in.
    ///
    /// # Errors
    /// When either fails.
    pub fn login(address: &str, user: &str, password: &str) -> anyhow::Result<Self> {
        let mut imap = Self::connect(address)?;
        imap.must(&format!("LOGIN {user} {password}"))?;
        Ok(imap)
    }

    /// AUTHENTICATE OAUTHBEARER (RFC 7628) with an initial response.
    ///
    /// # Errors
    /// When the server refuses it.
    pub fn bearer(&mut self, token: &str) -> anyhow::Result<()> {
        use base64::Engine as _;
        let shown = format!("n,,\u{1}auth=Bearer {token}\u{1}\u{1}");
        let shown = base64::engine::general_purpose::STANDARD.encode(shown);
        self.must(&format!("AUTHENTICATE OAUTHBEARER {shown}")).map(drop)
    }

    /// Sends a command and reads to its tagged line.
    ///
    /// # Errors
    /// When the connection ends before.
    pub fn command(&mut self, text: &str) -> anyhow::Result<Reply> {
        let tag = self.next_tag();
        self.line.send_line(&format!("{tag} {text}"))?;
        self.reply(&tag)
    }

    /// [`Imap::command`] that has to end in OK.
    ///
    /// # Errors
    /// Also when the server says NO or BAD.
    pub fn must(&mut self, text: &str) -> anyhow::Result<Reply> {
        let reply = self.command(text)?;
        if !reply.ok() {
            bail!("{text}: {} (after {:?})", reply.status, reply.text());
        }
        Ok(reply)
    }

    /// APPENDs a message with a synchronizing literal.
    ///
    /// # Errors
    /// When the connection ends; a NO is in the reply.
    pub fn append(&mut self, mailbox: &str, options: &str, message: &[u8]) -> anyhow::Result<Reply> {
        let tag = self.next_tag();
        self.line.send_line(&format!("{tag} APPEND {mailbox} {options}{{{}}}", message.len()))?;
        let go = self.line.read_line()?;
        if !go.starts_with(b"+") {
            bail!("no continuation: {:?}", String::from_utf8_lossy(&go));
        }
        self.line.send(message)?;
        self.line.send(b"\r\n")?;
        self.reply(&tag)
    }

    /// The body of each message of the selected mailbox, by UID.
    ///
    /// # Errors
    /// When FETCH fails or its answer has no body literal.
    pub fn bodies(&mut self) -> anyhow::Result<Vec<(u32, Vec<u8>)>> {
        let reply = self.must("UID FETCH 1:* (BODY.PEEK[])")?;
        reply.untagged.iter().filter(|l| l.contains(&b'{')).map(|l| body_of(l)).collect()
    }

    fn next_tag(&mut self) -> String {
        self.tags += 1;
        format!("t{}", self.tags)
    }

    fn reply(&mut self, tag: &str) -> anyhow::Result<Reply> {
        let mut untagged = Vec::new();
        loop {
            let line = self.logical_line()?;
            if let Some(status) = line.strip_prefix(tag.as_bytes()).and_then(|r| r.strip_prefix(b" ")) {
                return Ok(Reply { untagged, status: String::from_utf8_lossy(status).into_owned() });
            }
            untagged.push(line);
        }
    }

    /// A line with the literals it announces, CRLFs between them kept.
    ///
    /// # Errors
    /// When the connection ends before.
    pub fn logical_line(&mut self) -> anyhow::Result<Vec<u8>> {
        let mut whole = Vec::new();
        loop {
            let line = self.line.read_line()?;
            let literal = literal_size(&line);
            whole.extend_from_slice(&line);
            let Some(size) = literal else { return Ok(whole) };
            whole.extend_from_slice(b"\r\n");
            whole.extend(self.line.read_exact(size)?);
        }
    }
}

fn literal_size(line: &[u8]) -> Option<usize> {
    let inner = line.strip_suffix(b"}")?;
    let open = inner.iter().rposition(|b| *b == b'{')?;
    std::str::from_utf8(inner.get(open + 1..)?).ok()?.parse().ok()
}

/// UID and literal of one `* n FETCH (UID u BODY[] {size}…)` line.
fn body_of(line: &[u8]) -> anyhow::Result<(u32, Vec<u8>)> {
    let at = line.windows(2).position(|w| w == b"\r\n").context("no literal")?;
    let head = line.get(..at).unwrap_or_default();
    let size = literal_size(head).context("no literal size")?;
    let body = line.get(at + 2..at + 2 + size).context("short literal")?.to_vec();
    let rest = [head, line.get(at + 2 + size..).unwrap_or_default()].concat();
    let text = String::from_utf8_lossy(&rest).into_owned();
    let uid = text.split("UID ").nth(1).context("no UID")?;
    let uid = uid.split(|c: char| !c.is_ascii_digit()).next().unwrap_or_default().parse()?;
    Ok((uid, body))
}
