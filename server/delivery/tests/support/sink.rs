//! A server that takes mail and misbehaves as it is told.

use std::net::SocketAddr;
use std::sync::Arc;

use parking_lot::Mutex;
use smtp_proto::data::{Decoder, Step};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// What the sink does.
#[derive(Debug, Clone, Default)]
pub struct Script {
    /// Keywords after EHLO.
    pub keywords: Vec<&'static str>,
    /// It takes connections and says nothing.
    pub silent: bool,
    /// EHLO is not known.
    pub helo_only: bool,
    /// The greeting, if not 220.
    pub greeting: Option<&'static str>,
    /// Replies to RCPT by local part.
    pub rcpt: Vec<(&'static str, &'static str)>,
    /// The reply to DATA, if not 354.
    pub data: Option<&'static str>,
    /// The reply to the final dot, if not 250.
    pub dot: Option<&'static str>,
    /// Cuts the connection before the reply to the final dot.
    pub cut_after_dot: bool,
    /// Octets after the reply to STARTTLS: an injection.
    pub inject: bool,
}

/// A message that the sink took.
#[derive(Debug, Clone)]
pub struct Taken {
    pub mail: String,
    pub rcpt: Vec<String>,
    pub octets: Vec<u8>,
    /// Which connection it came by.
    pub connection: usize,
}

impl Taken {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.octets).into_owned()
    }
}

/// The sink.
#[derive(Clone)]
pub struct Sink {
    pub address: SocketAddr,
    pub script: Arc<Mutex<Script>>,
    pub taken: Arc<Mutex<Vec<Taken>>>,
    /// Every command line.
    pub lines: Arc<Mutex<Vec<String>>>,
    pub connections: Arc<Mutex<usize>>,
}

impl Sink {
    pub async fn start(script: Script) -> Self {
        Self::start_at("127.0.0.1:0".parse().unwrap(), script).await
    }

    pub async fn start_at(address: SocketAddr, script: Script) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let sink = Self {
            address: listener.local_addr().unwrap(),
            script: Arc::new(Mutex::new(script)),
            taken: Arc::default(),
            lines: Arc::default(),
            connections: Arc::default(),
        };
        let serving = sink.clone();
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let sink = serving.clone();
                tokio::spawn(async move {
                    let number = {
                        let mut connections = sink.connections.lock();
                        *connections += 1;
                        *connections
                    };
                    let _ = Session { sink, socket, input: Vec::new(), number }.run().await;
                });
            }
        });
        sink
    }

    pub fn taken(&self) -> Vec<Taken> {
        self.taken.lock().clone()
    }

    pub fn set(&self, change: impl FnOnce(&mut Script)) {
        change(&mut self.script.lock());
    }
}

struct Session {
    sink: Sink,
    socket: TcpStream,
    input: Vec<u8>,
    number: usize,
}

impl Session {
    async fn run(mut self) -> std::io::Result<()> {
        let script = self.sink.script.lock().clone();
        if script.silent {
            let _ = self.line().await?;
        }
        self.say(script.greeting.unwrap_or("220 sink")).await?;
        let (mut mail, mut rcpt) = (String::new(), Vec::new());
        while let Some(line) = self.line().await? {
            let script = self.sink.script.lock().clone();
            self.sink.lines.lock().push(line.clone());
            let verb = line.split([' ', ':']).next().unwrap_or_default().to_ascii_uppercase();
            match verb.as_str() {
                "EHLO" if script.helo_only => self.say("500 what").await?,
                "EHLO" => {
                    let mut reply = String::from("250-sink\r\n");
                    script.keywords.iter().for_each(|keyword| reply.push_str(&format!("250-{keyword}\r\n")));
                    self.say(&format!("{reply}250 HELP")).await?;
                }
                "MAIL" => {
                    mail = line;
                    self.say("250 ok").await?;
                }
                "RCPT" => {
                    let refused = script.rcpt.iter().find(|(local, _)| line.contains(&format!("<{local}@")));
                    if refused.is_none_or(|(_, reply)| reply.starts_with('2')) {
                        rcpt.push(line);
                    }
                    self.say(refused.map_or("250 2.1.5 ok", |(_, reply)| reply)).await?;
                }
                "DATA" if script.data.is_some() => self.say(script.data.unwrap_or_default()).await?,
                "DATA" => {
                    self.say("354 go").await?;
                    let Some(octets) = self.message().await? else { return Ok(()) };
                    self.take(&mut mail, &mut rcpt, octets).await?;
                }
                "BDAT" => {
                    let size: usize = line.split(' ').nth(1).and_then(|n| n.parse().ok()).unwrap_or(0);
                    let Some(octets) = self.exactly(size).await? else { return Ok(()) };
                    self.take(&mut mail, &mut rcpt, octets).await?;
                }
                "STARTTLS" if script.inject => self.say("220 go\r\n250 injected").await?,
                "STARTTLS" => self.say("454 not now").await?,
                "QUIT" => {
                    self.say("221 bye").await?;
                    return Ok(());
                }
                _ => {
                    (mail, rcpt) = (String::new(), Vec::new());
                    self.say("250 ok").await?;
                }
            }
        }
        Ok(())
    }

    async fn take(
        &mut self,
        mail: &mut String,
        rcpt: &mut Vec<String>,
        octets: Vec<u8>,
    ) -> std::io::Result<()> {
        let script = self.sink.script.lock().clone();
        let (mail, rcpt) = (std::mem::take(mail), std::mem::take(rcpt));
        if script.dot.is_none_or(|reply| reply.starts_with('2')) {
            self.sink.taken.lock().push(Taken { mail, rcpt, octets, connection: self.number });
        }
        if script.cut_after_dot {
            return Err(std::io::ErrorKind::ConnectionAborted.into());
        }
        self.say(script.dot.unwrap_or("250 2.0.0 taken")).await
    }

    async fn say(&mut self, reply: &str) -> std::io::Result<()> {
        self.socket.write_all(format!("{reply}\r\n").as_bytes()).await
    }

    async fn line(&mut self) -> std::io::Result<Option<String>> {
        loop {
            if let Some(end) = self.input.windows(2).position(|pair| pair == b"\r\n") {
                let line: Vec<u8> = self.input.drain(..end + 2).collect();
                return Ok(Some(String::from_utf8_lossy(&line[..end]).into_owned()));
            }
            if self.socket.read_buf(&mut self.input).await? == 0 {
                return Ok(None);
            }
        }
    }

    async fn message(&mut self) -> std::io::Result<Option<Vec<u8>>> {
        let (mut decoder, mut octets) = (Decoder::new(), Vec::new());
        loop {
            let mut rest = &self.input[..];
            loop {
                match decoder.next(&mut rest) {
                    Step::Piece(piece) => octets.extend_from_slice(piece),
                    Step::More => break,
                    Step::End => {
                        assert!(!decoder.findings().bare_line_end(), "a client never sends bare line ends");
                        self.input = rest.to_vec();
                        return Ok(Some(octets));
                    }
                }
            }
            self.input.clear();
            if self.socket.read_buf(&mut self.input).await? == 0 {
                return Ok(None);
            }
        }
    }

    async fn exactly(&mut self, size: usize) -> std::io::Result<Option<Vec<u8>>> {
        while self.input.len() < size {
            if self.socket.read_buf(&mut self.input).await? == 0 {
                return Ok(None);
            }
        }
        Ok(Some(self.input.drain(..size).collect()))
    }
}
