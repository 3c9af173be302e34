//! Clients that are told what changes: an event source, and a WebSocket. They know no more of either than they need.

use anyhow::{Context, bail, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::Line;

/// An event as it came.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// `state`, `ping`; empty for a block without a name.
    pub name: String,
    /// Its id, if it has one.
    pub id: Option<String>,
    /// Its data; null for none.
    pub data: Value,
}

/// Who listens to an event source (RFC 8620 §7.3).
pub struct EventSource {
    line: Line,
}

impl EventSource {
    /// Connects to a listener of HTTPS and asks; `query` is what is behind the path, `last` the last id.
    ///
    /// # Errors
    /// When the answer is not 200.
    pub fn connect(
        listener: &str,
        (login, password): (&str, &str),
        query: &str,
        last: Option<&str>,
    ) -> anyhow::Result<Self> {
        let mut line = Line::connect_tls(listener)?;
        let last = last.map(|id| format!("Last-Event-ID: {id}\r\n")).unwrap_or_default();
        let token = STANDARD.encode(format!("{login}:{password}"));
        // The body of 1.0 is as it is, without chunks.
        let head = format!(
            "GET /jmap/eventsource?{query} HTTP/1.0\r\nHost: localhost\r\nAuthorization: Basic {token}\r\n{last}\r\n"
        );
        line.send(head.as_bytes())?;
        let status = String::from_utf8_lossy(&line.read_line()?).into_owned();
        ensure!(status.contains(" 200 "), "{status}");
        while !line.read_line()?.is_empty() {}
        Ok(EventSource { line })
    }

    /// The next block that is no comment, none at the end.
    ///
    /// # Errors
    /// When nothing comes for a long time.
    pub fn event(&mut self) -> anyhow::Result<Option<Event>> {
        loop {
            let Some(block) = self.line.read_until(b"\n\n")? else { return Ok(None) };
            let text = String::from_utf8(block)?;
            let mut event = Event { name: String::new(), id: None, data: Value::Null };
            let mut shown = false;
            for line in text.lines() {
                let (name, value) = line.split_once(": ").unwrap_or((line, ""));
                shown |= !name.is_empty() && name != ":";
                match name {
                    "event" => value.clone_into(&mut event.name),
                    "id" => event.id = Some(value.to_owned()),
                    "data" => event.data = serde_json::from_str(value)?,
                    _ => {}
                }
            }
            if shown {
                return Ok(Some(event));
            }
        }
    }

    /// The next change of state.
    ///
    /// # Errors
    /// At the end.
    pub fn state(&mut self) -> anyhow::Result<Event> {
        loop {
            let event = self.event()?.context("the stream has ended")?;
            if event.name == "state" {
                return Ok(event);
            }
        }
    }
}

/// What came over a WebSocket.
#[derive(Debug, Clone, PartialEq)]
pub enum Came {
    /// A message.
    Message(Value),
    /// The end, and its code; 0 if there was none.
    Closed(u16),
}

/// Asks for a WebSocket with further fields; what the server says to that is the line of its status.
///
/// # Errors
/// When it says nothing.
pub fn handshake(
    listener: &str,
    (login, password): (&str, &str),
    fields: &str,
) -> anyhow::Result<(Line, String)> {
    let mut line = Line::connect_tls(listener)?;
    let token = STANDARD.encode(format!("{login}:{password}"));
    let head = format!(
        "GET /jmap/ws HTTP/1.1\r\nHost: localhost\r\nAuthorization: Basic {token}\r\nConnection: Upgrade\r\n\
         Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
         {fields}\r\n"
    );
    line.send(head.as_bytes())?;
    let status = String::from_utf8_lossy(&line.read_line()?).into_owned();
    Ok((line, status))
}

/// Who speaks JMAP over a WebSocket (RFC 8887), in frames that are not parted.
pub struct WebSocket {
    line: Line,
}

impl WebSocket {
    /// Connects to a listener of HTTPS.
    ///
    /// # Errors
    /// When the server does not speak it.
    pub fn connect(listener: &str, login: (&str, &str)) -> anyhow::Result<Self> {
        let (mut line, status) = handshake(listener, login, "Sec-WebSocket-Protocol: jmap\r\n")?;
        ensure!(status.contains(" 101 "), "{status}");
        let mut head = Vec::new();
        loop {
            let field = String::from_utf8_lossy(&line.read_line()?).to_lowercase();
            if field.is_empty() {
                break;
            }
            head.push(field);
        }
        // RFC 6455 §1.3: what the sample nonce becomes.
        for wanted in ["sec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo=", "sec-websocket-protocol: jmap"] {
            ensure!(head.iter().any(|field| field == wanted), "{head:?}");
        }
        Ok(WebSocket { line })
    }

    /// Sends a message.
    ///
    /// # Errors
    /// When the server does not read.
    pub fn say(&mut self, message: &Value) -> anyhow::Result<()> {
        self.send(0x1, message.to_string().as_bytes())
    }

    /// Sends a frame with an opcode.
    ///
    /// # Errors
    /// When the server does not read.
    pub fn send(&mut self, opcode: u8, payload: &[u8]) -> anyhow::Result<()> {
        // RFC 6455 §5.2; a mask of zeros changes nothing.
        let mut frame = vec![0x80 | opcode];
        match payload.len() {
            short @ ..126 => frame.push(0x80 | u8::try_from(short)?),
            long @ ..65_536 => {
                frame.push(0x80 | 126);
                frame.extend(u16::try_from(long)?.to_be_bytes());
            }
            huge => {
                frame.push(0x80 | 127);
                frame.extend((huge as u64).to_be_bytes());
            }
        }
        frame.extend([0; 4]);
        frame.extend(payload);
        self.line.send(&frame)
    }

    /// Sends bytes, be they a frame or not.
    ///
    /// # Errors
    /// When the server does not read.
    pub fn send_raw(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        self.line.send(bytes)
    }

    /// What comes next, but for pings.
    ///
    /// # Errors
    /// When nothing comes for a long time, or something that is no frame.
    pub fn hear(&mut self) -> anyhow::Result<Came> {
        loop {
            let Ok(head) = self.line.read_exact(2) else { return Ok(Came::Closed(0)) };
            let length = match head.get(1).context("a length")? & 0x7f {
                126 => self.line.read_exact(2)?.iter().fold(0, |n, b| n << 8 | usize::from(*b)),
                127 => self.line.read_exact(8)?.iter().fold(0, |n, b| n << 8 | usize::from(*b)),
                short => usize::from(short),
            };
            let payload = self.line.read_exact(length)?;
            match head.first().context("an opcode")? & 0x0f {
                0x1 => return Ok(Came::Message(serde_json::from_slice(&payload)?)),
                0x8 => {
                    let code = payload.iter().take(2).fold(0, |n, b| n << 8 | u16::from(*b));
                    return Ok(Came::Closed(code));
                }
                0x9 => self.send(0xa, &payload)?,
                0xa => {}
                other => bail!("a frame of kind {other}"),
            }
        }
    }

    /// The next message.
    ///
    /// # Errors
    /// At the end.
    pub fn message(&mut self) -> anyhow::Result<Value> {
        match self.hear()? {
            Came::Message(value) => Ok(value),
            Came::Closed(code) => bail!("closed: {code}"),
        }
    }
}
