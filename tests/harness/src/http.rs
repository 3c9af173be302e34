//! A plain HTTP client: one request, one answer, one connection.

use std::io::{Read, Write};
use std::net::TcpStream;

use anyhow::Context;
use base64::Engine as _;
use serde_json::Value;

use crate::wait::PATIENCE;

/// A server and how it is asked.
#[derive(Debug, Clone)]
pub struct Http {
    address: String,
    password: Option<String>,
}

/// What it answered.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status.
    pub status: u16,
    body: Vec<u8>,
}

impl Answer {
    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON; null if it is none.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

impl Http {
    /// The server at `host:port`, without credentials.
    pub fn new(address: &str) -> Self {
        Http { address: address.to_owned(), password: None }
    }

    /// With the password of the user `admin`.
    #[must_use]
    pub fn with_password(self, password: &str) -> Self {
        Http { password: Some(password.to_owned()), ..self }
    }

    /// GET.
    ///
    /// # Errors
    /// When there is no answer.
    pub fn get(&self, path: &str) -> anyhow::Result<Answer> {
        self.ask("GET", path, "")
    }

    /// POST without a body.
    ///
    /// # Errors
    /// When there is no answer.
    pub fn post(&self, path: &str) -> anyhow::Result<Answer> {
        self.ask("POST", path, "")
    }

    /// DELETE.
    ///
    /// # Errors
    /// When there is no answer.
    pub fn delete(&self, path: &str) -> anyhow::Result<Answer> {
        self.ask("DELETE", path, "")
    }

    /// PUT with a JSON body.
    ///
    /// # Errors
    /// When there is no answer.
    pub fn put(&self, path: &str, body: &str) -> anyhow::Result<Answer> {
        self.ask("PUT", path, body)
    }

    fn ask(&self, method: &str, path: &str, body: &str) -> anyhow::Result<Answer> {
        let mut stream = TcpStream::connect(&self.address)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut head = format!("{method} {path} HTTP/1.0\r\nHost: localhost\r\n");
        head += &format!("Content-Type: application/json\r\nContent-Length: {}\r\n", body.len());
        if let Some(password) = &self.password {
            let token = base64::engine::general_purpose::STANDARD.encode(format!("admin:{password}"));
            head += &format!("Authorization: Basic {token}\r\n");
        }
        stream.write_all(format!("{head}\r\n{body}").as_bytes())?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        let end = answer.windows(4).position(|at| at == b"\r\n\r\n").context("no end of the head")?;
        let line = String::from_utf8_lossy(answer.get(..end).unwrap_or_default()).into_owned();
        let status = line.split(' ').nth(1).context("no status")?.parse()?;
        Ok(Answer { status, body: answer.split_off(end + 4) })
    }
}
