//! An SMTP client: a connection to one server, and the transactions over it.
//!
//! TLS is opportunistic (RFC 7435): it is used wherever it is offered, and whatever the certificate, since the
//! alternative is no TLS. A server whose TLS does not work is spoken to without.

mod stream;
mod tls;
mod transaction;

use std::sync::Arc;
use std::time::Duration;

use smtp_proto::{Capabilities, ClientName, Command, Enhanced, Reply, ReplyParser};
use tokio::time::timeout;

use super::failure::Failure;
use super::route::Target;
use stream::Stream;

pub use stream::{Network, Socket, Tcp};
pub use tls::opportunistic;
pub use transaction::{Outgoing, RecipientReply};

/// How a client behaves.
#[derive(Clone)]
pub struct ClientOptions {
    /// What it says in EHLO.
    pub hostname: ClientName,
    /// Its TLS; without one STARTTLS is not used.
    pub tls: Option<Arc<rustls::ClientConfig>>,
    /// How long it waits.
    pub timeouts: ClientTimeouts,
    /// How it reaches servers.
    pub network: Arc<dyn Network>,
}

/// RFC 5321 §4.5.3.2.
#[derive(Debug, Clone, Copy)]
pub struct ClientTimeouts {
    /// For the connection.
    pub connect: Duration,
    /// For the greeting, and the replies to EHLO, MAIL, RCPT: 5 minutes.
    pub command: Duration,
    /// For the 354: 2 minutes.
    pub data: Duration,
    /// For a block of the message to leave: 3 minutes.
    pub block: Duration,
    /// For the reply to the final dot: 10 minutes. Giving up early makes duplicates.
    pub dot: Duration,
}

impl Default for ClientTimeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(30),
            command: Duration::from_secs(300),
            data: Duration::from_secs(120),
            block: Duration::from_secs(180),
            dot: Duration::from_secs(600),
        }
    }
}

/// A connection that said EHLO.
pub struct Client {
    stream: Stream,
    timeouts: ClientTimeouts,
    capabilities: Capabilities,
    target: Target,
    transactions: u32,
}

impl Client {
    /// Connects and says hello, with TLS if the server has it.
    ///
    /// # Errors
    ///
    /// Why not. Another server may do better.
    pub async fn connect(target: &Target, options: &ClientOptions) -> Result<Self, Failure> {
        let mut client = Self::open(target, options).await.map_err(|failure| failure.at(&target.host))?;
        let Some(tls) = options.tls.as_ref().filter(|_| client.capabilities.starttls) else {
            return Ok(client);
        };
        match client.start_tls(tls, options).await {
            Ok(()) => Ok(client),
            Err(failure) => {
                tracing::debug!(remote = %target.host, %failure, "starttls failed, going on without");
                Self::open(target, options).await.map_err(|failure| failure.at(&target.host))
            }
        }
    }

    /// Connects to the first server of these that answers.
    ///
    /// # Errors
    ///
    /// Why none does: permanent only if all of them refuse for good, since one that is out of reach may still take
    /// the message.
    pub async fn connect_any(targets: &[Target], options: &ClientOptions) -> Result<Self, Failure> {
        let mut worst: Option<Failure> = None;
        for target in targets {
            match Self::connect(target, options).await {
                Ok(client) => return Ok(client),
                Err(failure) if failure.permanent && worst.is_some() => {}
                Err(failure) => worst = Some(failure),
            }
        }
        Err(worst.unwrap_or_else(|| unreachable("no server answers".to_owned())))
    }

    async fn open(target: &Target, options: &ClientOptions) -> Result<Self, Failure> {
        let stream =
            timeout(options.timeouts.connect, Stream::connect(&*options.network, target.address)).await;
        let stream = match stream {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return Err(unreachable(error.to_string())),
            Err(_) => return Err(unreachable("connection timed out".to_owned())),
        };
        let capabilities = Capabilities::default();
        let mut client = Self {
            stream,
            timeouts: options.timeouts,
            capabilities,
            target: target.clone(),
            transactions: 0,
        };
        let greeting = client.read_reply(client.timeouts.command).await?;
        expect("connection", &greeting)?;
        client.hello(&options.hostname).await?;
        Ok(client)
    }

    /// EHLO, and HELO where that is not known (RFC 5321 §3.2).
    async fn hello(&mut self, name: &ClientName) -> Result<(), Failure> {
        let reply = self.command(&Command::Ehlo(name.clone())).await?;
        if reply.is_positive() {
            self.capabilities = Capabilities::of(&reply);
            return Ok(());
        }
        if reply.code == 421 {
            return Err(Failure::reply("EHLO", &reply));
        }
        expect("HELO", &self.command(&Command::Helo(name.clone())).await?)
    }

    /// RFC 3207 §4: after the handshake nothing that was said before counts.
    async fn start_tls(
        &mut self,
        tls: &Arc<rustls::ClientConfig>,
        options: &ClientOptions,
    ) -> Result<(), Failure> {
        expect("STARTTLS", &self.command(&Command::StartTls).await?)?;
        let handshake = self.stream.start_tls(tls, &self.target.host);
        match timeout(options.timeouts.connect, handshake).await {
            Ok(Ok(())) => self.hello(&options.hostname).await,
            Ok(Err(error)) => Err(unreachable(error.to_string())),
            Err(_) => Err(unreachable("TLS handshake timed out".to_owned())),
        }
    }

    /// What the server can do.
    #[must_use]
    pub fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    /// The server.
    #[must_use]
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// Whether TLS is on.
    #[must_use]
    pub fn is_tls(&self) -> bool {
        self.stream.is_tls()
    }

    /// How many messages went over this connection.
    #[must_use]
    pub fn transactions(&self) -> u32 {
        self.transactions
    }

    /// Says good bye. What the server thinks of it does not matter.
    pub async fn quit(mut self) {
        let farewell = async {
            let _ = self.command(&Command::Quit).await;
        };
        let _ = timeout(Duration::from_secs(2), farewell).await;
    }

    /// Sends a command and reads its reply.
    async fn command(&mut self, command: &Command) -> Result<Reply, Failure> {
        self.queue(command);
        self.flush().await?;
        self.read_reply(self.timeouts.command).await
    }

    /// Puts a command in the buffer.
    fn queue(&mut self, command: &Command) {
        command.render(self.stream.out());
    }

    async fn flush(&mut self) -> Result<(), Failure> {
        match timeout(self.timeouts.block, self.stream.flush()).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(broken(error.to_string())),
            Err(_) => Err(broken("write timed out".to_owned())),
        }
    }

    async fn read_reply(&mut self, wait: Duration) -> Result<Reply, Failure> {
        match timeout(wait, self.stream.read_reply(ReplyParser::new())).await {
            Ok(Ok(reply)) => Ok(reply),
            Ok(Err(error)) => Err(broken(error.to_string())),
            Err(_) => Err(broken("read timed out".to_owned())),
        }
    }
}

/// RFC 3463 X.4.1: no answer from host.
fn unreachable(text: String) -> Failure {
    Failure::transient(Enhanced::new(4, 4, 1), text)
}

/// RFC 3463 X.4.2: bad connection.
fn broken(text: String) -> Failure {
    Failure::transient(Enhanced::new(4, 4, 2), text)
}

fn expect(stage: &str, reply: &Reply) -> Result<(), Failure> {
    if reply.is_positive() { Ok(()) } else { Err(Failure::reply(stage, reply)) }
}
