//! A plain SMTP and LMTP client.

use anyhow::bail;

use crate::line::Line;

/// An SMTP session after its EHLO (or LHLO).
pub struct Smtp {
    /// The connection, for what the helpers below do not do.
    pub line: Line,
    /// The lines of the EHLO reply, without code.
    pub keywords: Vec<String>,
}

impl Smtp {
    /// Connects in clear and says EHLO.
    ///
    /// # Errors
    /// When the server does not welcome it.
    pub fn connect(address: &str) -> anyhow::Result<Self> {
        Self::greeted(Line::connect(address)?, "EHLO")
    }

    /// Connects with TLS from the first byte and says EHLO.
    ///
    /// # Errors
    /// When the server does not welcome it.
    pub fn connect_tls(address: &str) -> anyhow::Result<Self> {
        Self::greeted(Line::connect_tls(address)?, "EHLO")
    }

    /// Connects to an LMTP listener and says LHLO.
    ///
    /// # Errors
    /// When the server does not welcome it.
    pub fn connect_lmtp(address: &str) -> anyhow::Result<Self> {
        Self::greeted(Line::connect(address)?, "LHLO")
    }

    fn greeted(line: Line, hello: &str) -> anyhow::Result<Self> {
        let mut smtp = Self { line, keywords: Vec::new() };
        let (code, text) = smtp.read_reply()?;
        if code != 220 {
            bail!("greeting {code} {text:?}");
        }
        smtp.keywords = smtp.expect(&format!("{hello} client.example.test"), 250)?;
        Ok(smtp)
    }

    /// STARTTLS, handshake, EHLO again.
    ///
    /// # Errors
    /// When any of them fails.
    pub fn start_tls(&mut self) -> anyhow::Result<()> {
        self.expect("STARTTLS", 220)?;
        self.line.start_tls()?;
        self.keywords = self.expect("EHLO client.example.test", 250)?;
        Ok(())
    }

    /// AUTH PLAIN with an initial response.
    ///
    /// # Errors
    /// When the server refuses it.
    pub fn auth_plain(&mut self, user: &str, password: &str) -> anyhow::Result<()> {
        use base64::Engine as _;
        let token = base64::engine::general_purpose::STANDARD.encode(format!("\0{user}\0{password}"));
        self.expect(&format!("AUTH PLAIN {token}"), 235)?;
        Ok(())
    }

    /// Sends a line and reads the reply to it.
    ///
    /// # Errors
    /// When the connection ends.
    pub fn command(&mut self, line: &str) -> anyhow::Result<(u16, Vec<String>)> {
        self.line.send_line(line)?;
        self.read_reply()
    }

    /// [`Smtp::command`] that has to give this code.
    ///
    /// # Errors
    /// Also when the code is another.
    pub fn expect(&mut self, line: &str, code: u16) -> anyhow::Result<Vec<String>> {
        let (got, text) = self.command(line)?;
        if got != code {
            bail!("{line}: {got} {text:?}");
        }
        Ok(text)
    }

    /// One transaction; the message must end in CRLF and is dot-stuffed here. Returns the reply to the final dot.
    ///
    /// # Errors
    /// When a step before is refused or the connection ends.
    pub fn send(&mut self, from: &str, to: &[&str], message: &[u8]) -> anyhow::Result<(u16, Vec<String>)> {
        self.expect(&format!("MAIL FROM:<{from}>"), 250)?;
        for rcpt in to {
            self.expect(&format!("RCPT TO:<{rcpt}>"), 250)?;
        }
        self.expect("DATA", 354)?;
        self.line.send(&stuffed(message))?;
        self.line.send(b".\r\n")?;
        self.read_reply()
    }

    /// The next reply, its lines without code.
    ///
    /// # Errors
    /// When the connection ends or the reply is not one.
    pub fn read_reply(&mut self) -> anyhow::Result<(u16, Vec<String>)> {
        let mut lines = Vec::new();
        loop {
            let line = String::from_utf8_lossy(&self.line.read_line()?).into_owned();
            let code = line.get(..3).unwrap_or_default().parse();
            let Ok(code) = code else { bail!("not a reply: {line}") };
            lines.push(line.get(4..).unwrap_or_default().to_owned());
            if line.as_bytes().get(3) != Some(&b'-') {
                return Ok((code, lines));
            }
        }
    }
}

/// RFC 5321 §4.5.2: a line that begins with a dot gets another.
fn stuffed(message: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(message.len() + 16);
    let mut at_line_start = true;
    for byte in message {
        if at_line_start && *byte == b'.' {
            out.push(b'.');
        }
        out.push(*byte);
        at_line_start = *byte == b'\n' && out.ends_with(b"\r\n");
    }
    out
}
