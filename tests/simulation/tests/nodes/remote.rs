//! Somebody else's mail server.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use delivery::outbound::client::{Network, Socket};
use delivery::outbound::resolver::{MxRecord, ResolveError, Resolver};
use futures::future::{BoxFuture, FutureExt};
use kv::fault::Gate;
use parking_lot::Mutex;
use runtime::SharedRng;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, DuplexStream};

/// Octets on their way.
const WINDOW: usize = 4096;

/// How it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mood {
    Well,
    /// Nobody listens.
    Away,
    /// It takes no message now.
    Full,
    /// It takes messages, and some answers are lost.
    Cuts,
}

struct State {
    mood: Mutex<Mood>,
    taken: Mutex<BTreeMap<String, usize>>,
    rng: SharedRng,
}

/// The server: a cheap handle.
#[derive(Clone)]
pub(crate) struct Remote(Arc<State>);

impl Remote {
    pub(crate) fn new(rng: SharedRng) -> Self {
        Remote(Arc::new(State { mood: Mutex::new(Mood::Well), taken: Mutex::default(), rng }))
    }

    pub(crate) fn be(&self, mood: Mood) {
        *self.0.mood.lock() = mood;
    }

    /// How often each message was taken.
    pub(crate) fn taken(&self) -> BTreeMap<String, usize> {
        self.0.taken.lock().clone()
    }

    fn mood(&self) -> Mood {
        *self.0.mood.lock()
    }

    /// One connection, from a process that sleeps while its gate is shut: then nothing comes from it.
    async fn serve(self, socket: DuplexStream, gate: Gate) -> io::Result<()> {
        let mut socket = BufReader::new(socket);
        socket.get_mut().write_all(b"220 remote.example\r\n").await?;
        let mut line = String::new();
        loop {
            line.clear();
            if socket.read_line(&mut line).await? == 0 {
                return Ok(());
            }
            gate.pass().await;
            let reply: &[u8] = match line.get(..4).unwrap_or_default() {
                "EHLO" => b"250 remote.example\r\n",
                "DATA" => {
                    socket.get_mut().write_all(b"354 go on\r\n").await?;
                    match self.message(&mut socket, &gate).await? {
                        Some(reply) => reply,
                        None => return Ok(()),
                    }
                }
                "QUIT" => b"221 bye\r\n",
                _ => b"250 ok\r\n",
            };
            socket.get_mut().write_all(reply).await?;
        }
    }

    /// Reads a message and says something; nothing if the connection is to end instead.
    async fn message(
        &self,
        socket: &mut BufReader<DuplexStream>,
        gate: &Gate,
    ) -> io::Result<Option<&'static [u8]>> {
        let (mut line, mut id) = (String::new(), None);
        loop {
            line.clear();
            if socket.read_line(&mut line).await? == 0 {
                return Ok(None);
            }
            if line == ".\r\n" {
                break;
            }
            if id.is_none() {
                id = line.strip_prefix("X-Id: ").map(|id| id.trim_end().to_owned());
            }
        }
        gate.pass().await;
        tokio::time::sleep(Duration::from_millis(self.0.rng.below(500))).await;
        let mood = self.mood();
        if mood == Mood::Full {
            return Ok(Some(b"452 4.3.1 come again\r\n"));
        }
        // Notifications have none.
        if let Some(id) = id {
            *self.0.taken.lock().entry(id).or_default() += 1;
        }
        let cut = mood == Mood::Cuts && self.0.rng.below(3) == 0;
        Ok((!cut).then_some(b"250 taken\r\n"))
    }
}

/// How one process reaches it.
pub(crate) struct Line {
    pub(crate) remote: Remote,
    pub(crate) gate: Gate,
}

impl Network for Line {
    fn connect(&self, _: SocketAddr) -> BoxFuture<'_, io::Result<Box<dyn Socket>>> {
        async move {
            self.gate.pass().await;
            if self.remote.mood() == Mood::Away {
                return Err(io::ErrorKind::ConnectionRefused.into());
            }
            let (ours, theirs) = tokio::io::duplex(WINDOW);
            tokio::spawn(self.remote.clone().serve(theirs, self.gate.clone()));
            Ok(Box::new(ours) as Box<dyn Socket>)
        }
        .boxed()
    }
}

/// All domains are there.
pub(crate) struct Names;

impl Resolver for Names {
    fn mx<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Vec<MxRecord>, ResolveError>> {
        async { Ok(Vec::new()) }.boxed()
    }

    fn addresses<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Vec<std::net::IpAddr>, ResolveError>> {
        async { Ok(vec![[192, 0, 2, 1].into()]) }.boxed()
    }
}
