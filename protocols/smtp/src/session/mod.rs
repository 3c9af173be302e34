//! One session: a connection, where it stands, and the loop that reads commands and answers them.
//!
//! Replies are written to the connection's buffer and sent when the input is used up, so that a pipelined group
//! of commands gets its replies in one packet (RFC 2920 §3.2).

mod auth;
mod bdat;
mod data;
mod hello;
mod intake;
mod keywords;
mod mail;
mod rcpt;
mod simple;
mod starttls;
mod table;
mod transaction;

use std::sync::Arc;
use std::time::Duration;

use accounts::Authenticator;
use futures::future::{BoxFuture, FutureExt, pending};
use net::{Connection, Protocol, SessionContext};
use parking_lot::Mutex;
use runtime::{SharedRng, Timestamp};
use smtp_proto::{Command, Enhanced, Frame, Framer, Reply, SyntaxError, limits};
use tokio::time::Instant;

pub use keywords::keywords;

use crate::{Acceptor, Config, Policy, Role, SessionInfo, Verdict, metric};
use transaction::Transaction;

/// A listener's protocol.
pub struct Service(Arc<Server>);

impl Service {
    /// Serves clients as `server` says.
    #[must_use]
    pub fn new(server: Server) -> Self {
        Self(Arc::new(server))
    }
}

/// What the sessions of one listener share.
pub struct Server {
    /// How they behave.
    pub config: Config,
    /// What may pass.
    pub policy: Arc<dyn Policy>,
    /// Who takes the messages.
    pub acceptor: Arc<dyn Acceptor>,
    /// Who knows passwords; needed by [`Role::Submission`].
    pub authenticator: Option<Arc<dyn Authenticator>>,
    /// For message ids.
    pub rng: SharedRng,
}

impl Protocol for Service {
    fn name(&self) -> &'static str {
        self.0.config.role.as_str()
    }

    fn serve(&self, connection: Connection, context: SessionContext) -> BoxFuture<'static, ()> {
        Session::new(Arc::clone(&self.0), connection, context).run().boxed()
    }

    /// RFC 5321 §3.1, §3.8.
    fn refuse(&self) -> &'static [u8] {
        b"421 4.7.0 Too many connections, try again later\r\n"
    }
}

/// Why a session ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// It was said already: QUIT, or a reply that closes.
    Said,
    /// The client is gone.
    Gone,
    /// The client speaks another protocol: nothing is said to it.
    Foreign,
    /// The client said nothing for too long.
    Timeout,
    /// The server is going away.
    Draining,
    /// The account was disabled or removed, or what was shown is not good any more.
    Revoked,
}

/// A session.
pub(crate) struct Session {
    server: Arc<Server>,
    conn: Connection,
    context: SessionContext,
    info: SessionInfo,
    framer: Framer,
    transaction: Option<Box<Transaction>>,
    /// Resolves when who is logged in may not stay. Never locked: it makes the session one that threads may share.
    revoked: Mutex<BoxFuture<'static, ()>>,
    /// When the token of who is logged in is not good any more.
    until: Option<Timestamp>,
    errors: u32,
    commands: u32,
    auth_failures: u32,
}

/// How long the last reply may take to leave.
const FAREWELL: Duration = Duration::from_secs(5);

impl Session {
    fn new(server: Arc<Server>, mut conn: Connection, context: SessionContext) -> Self {
        conn.set_write_timeout(server.config.timeouts.block);
        let info = SessionInfo {
            role: server.config.role,
            peer: conn.peer(),
            local: conn.local(),
            hello: None,
            extended: false,
            tls: conn.tls_info(),
            identity: None,
        };
        Self {
            server,
            conn,
            context,
            info,
            framer: Framer::new(),
            transaction: None,
            revoked: Mutex::new(pending().boxed()),
            until: None,
            errors: 0,
            commands: 0,
            auth_failures: 0,
        }
    }

    /// Serves the connection to its end.
    pub(crate) async fn run(mut self) {
        let end = match self.converse().await {
            Ok(()) => End::Said,
            Err(end) => end,
        };
        match end {
            End::Said | End::Foreign => {}
            End::Gone => return,
            // RFC 5321 §3.8: 421 before closing; RFC 3463 X.4.2, X.3.2.
            End::Timeout => self.reply(&Reply::new(421, Enhanced::new(4, 4, 2), "Timeout, closing")),
            End::Draining => self.reply(&Reply::new(421, Enhanced::new(4, 3, 2), "Going down, try again")),
            End::Revoked => {
                self.reply(&Reply::new(421, Enhanced::new(4, 7, 0), "This login is not good any more"));
            }
        }
        let _ = tokio::time::timeout(FAREWELL, self.conn.close()).await;
    }

    async fn converse(&mut self) -> Result<(), End> {
        self.greet().await?;
        loop {
            let input = self.read_command().await?;
            // Chunks are bounded by the message's size: some clients send 8 KiB at a time.
            if !matches!(&input, Input::Command(Command::Bdat(chunk)) if chunk.size > 0) {
                self.commands += 1;
            }
            // A message that has begun may be finished.
            let over = self.until.is_some_and(|until| until <= self.context.clock.now());
            if over && self.transaction.is_none() {
                return Err(End::Revoked);
            }
            if self.commands > self.server.config.max_commands {
                self.reply(&Reply::new(421, Enhanced::new(4, 7, 0), "Too many commands"));
                return Err(End::Said);
            }
            match input {
                Input::Command(command) => self.dispatch(command).await?,
                Input::Bad(error) => self.refuse(&error.reply())?,
                Input::Lost(error) => {
                    self.reply(&error.reply());
                    return Err(End::Said);
                }
                Input::Foreign => return Err(End::Foreign),
            }
            self.conn.relieve().await.map_err(|_| End::Gone)?;
        }
    }

    /// RFC 5321 §4.3.1: the server speaks first. LMTP and ESMTP are named (RFC 2033 §4).
    async fn greet(&mut self) -> Result<(), End> {
        let verdict = self.server.policy.connect(&self.info).await;
        self.obey(verdict)?.map_err(|_| End::Said)?;
        let protocol = if self.info.role == Role::Lmtp { "LMTP" } else { "ESMTP" };
        self.reply(&Reply::plain(220, format!("{} {protocol} ready", self.server.config.hostname)));
        Ok(())
    }

    /// Runs a command that the table admits.
    async fn dispatch(&mut self, command: Command) -> Result<(), End> {
        if let Err(reply) = table::admit(command.verb(), self.info.role, self.stage()) {
            return match command {
                Command::Bdat(bdat) => self.refuse_chunk(bdat, reply).await,
                _ => self.refuse(&reply),
            };
        }
        match command {
            Command::Ehlo(name) | Command::Lhlo(name) => self.hello(name, true).await,
            Command::Helo(name) => self.hello(name, false).await,
            Command::StartTls => self.start_tls().await,
            Command::Auth(auth) => Box::pin(self.auth(auth)).await,
            Command::Mail(mail) => self.mail(mail).await,
            Command::Rcpt(rcpt) => self.rcpt(rcpt).await,
            Command::Data => Box::pin(self.data()).await,
            Command::Bdat(bdat) => Box::pin(self.bdat(bdat)).await,
            Command::Rset => self.rset(),
            Command::Vrfy(_) => self.vrfy(),
            Command::Expn(_) => self.expn(),
            Command::Help(_) => self.help(),
            Command::Noop(_) => self.noop(),
            Command::Quit => self.quit(),
        }
    }

    fn stage(&self) -> table::Stage {
        let transaction = self.transaction.as_deref();
        table::Stage {
            hello: self.info.hello.is_some(),
            authenticated: self.info.identity.is_some(),
            mail: transaction.is_some(),
            recipient: transaction.is_some_and(|t| !t.envelope.recipients.is_empty()),
            chunk: transaction.is_some_and(|t| t.chunks.is_some()),
        }
    }

    /// Reads one command line.
    async fn read_command(&mut self) -> Result<Input, End> {
        let timeouts = &self.server.config.timeouts;
        let stranger = self.info.role == Role::Submission && self.info.identity.is_none();
        let wait = if stranger { timeouts.before_auth } else { timeouts.command };
        self.wait_at_most(wait, wait);
        let input = self.read_line(limits::COMMAND_LINE, Input::parse).await?;
        Ok(input.unwrap_or(Input::Bad(SyntaxError::MalformedLine)))
    }

    /// From now on, input must come within `silence` after what came before it, and all of it within `whole`.
    fn wait_at_most(&mut self, silence: Duration, whole: Duration) {
        self.conn.set_read_timeout(silence);
        self.conn.set_deadline(Some(Instant::now() + whole));
    }

    /// Reads one line and gives it to `parse`; `None` if the line was malformed or too long.
    async fn read_line<T>(&mut self, limit: usize, parse: impl FnOnce(&[u8]) -> T) -> Result<Option<T>, End> {
        loop {
            let buffer = self.conn.buffer();
            let consume = match self.framer.next(buffer, limit) {
                Frame::Line { end, consume } => {
                    let value = parse(&buffer[..end]);
                    self.conn.consume(consume);
                    return Ok(Some(value));
                }
                Frame::Malformed { consume } | Frame::TooLong { consume } => {
                    self.conn.consume(consume);
                    return Ok(None);
                }
                // A TLS handshake where none is expected never ends a line: nobody gains by waiting.
                Frame::Incomplete { .. } if buffer.starts_with(&[0x16, 0x03]) => return Err(End::Foreign),
                Frame::Incomplete { consume } => consume,
            };
            if consume == 0 {
                self.fill().await?;
            }
            self.conn.consume(consume);
        }
    }

    /// Sends what is written and waits for more octets. Between transactions, a drain ends the wait; the end of the account
    /// does so at any time, and what it was sending is not taken.
    async fn fill(&mut self) -> Result<(), End> {
        self.conn.flush().await.map_err(|_| End::Gone)?;
        let idle = self.transaction.is_none();
        let shutdown = &self.context.shutdown;
        let filled = tokio::select! {
            biased;
            () = shutdown.stop.cancelled() => return Err(End::Draining),
            () = shutdown.drain.cancelled(), if idle => return Err(End::Draining),
            () = self.revoked.get_mut() => return Err(End::Revoked),
            filled = self.conn.fill() => filled,
        };
        match filled {
            Ok(octets) if octets > 0 => Ok(()),
            Err(error) if error.kind() == std::io::ErrorKind::TimedOut => Err(End::Timeout),
            _ => Err(End::Gone),
        }
    }

    /// Writes a reply.
    fn reply(&mut self, reply: &Reply) {
        reply.render(self.conn.output());
    }

    /// Writes a reply that refuses. A client that is refused too often is sent away.
    fn refuse(&mut self, reply: &Reply) -> Result<(), End> {
        self.reply(reply);
        metric::refused(self.info.role, reply);
        if reply.code == 421 {
            return Err(End::Said);
        }
        self.count_error()
    }

    fn count_error(&mut self) -> Result<(), End> {
        self.errors += 1;
        if self.errors < self.server.config.max_errors {
            return Ok(());
        }
        self.reply(&Reply::new(421, Enhanced::new(4, 7, 0), "Too many errors"));
        Err(End::Said)
    }

    /// Does what a policy said: `Ok(Err(()))` when the command was refused and the session goes on.
    fn obey(&mut self, verdict: Verdict) -> Result<Result<(), ()>, End> {
        match verdict {
            Verdict::Accept => Ok(Ok(())),
            Verdict::Refuse(reply) => self.refuse(&reply).map(Err),
            Verdict::Close(reply) => {
                self.reply(&reply);
                metric::refused(self.info.role, &reply);
                Err(End::Said)
            }
        }
    }
}

/// A line that was read.
enum Input {
    Command(Command),
    Bad(SyntaxError),
    /// A BDAT whose size cannot be told: the chunk after it cannot be told from commands, so the session ends.
    Lost(SyntaxError),
    /// Another protocol.
    Foreign,
}

impl Input {
    fn parse(line: &[u8]) -> Self {
        match Command::parse(line) {
            Ok(command) => Self::Command(command),
            Err(_) if is_foreign(line) => Self::Foreign,
            Err(error) if announces_chunk(line) => Self::Lost(error),
            Err(error) => Self::Bad(error),
        }
    }
}

/// Whether a chunk follows a line that is no command, of a size nobody can tell. After a bare `BDAT` none does.
fn announces_chunk(line: &[u8]) -> bool {
    line.get(..5).is_some_and(|verb| verb.eq_ignore_ascii_case(b"BDAT "))
        && !line[5..].trim_ascii().is_empty()
}

/// Whether a line belongs to another protocol whose client a web page can drive (ALPACA, cross-protocol
/// scripting): such a connection is closed without a word.
fn is_foreign(line: &[u8]) -> bool {
    let verb = line.split(|b| *b == b' ').next().unwrap_or_default();
    let http = [&b"GET"[..], b"POST", b"PUT", b"HEAD", b"CONNECT", b"OPTIONS", b"DELETE", b"PATCH", b"PRI"];
    http.contains(&verb) || verb.eq_ignore_ascii_case(b"host:")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use net::SessionContext;
    use runtime::{ManualClock, SeededRng, Shutdown, Timestamp};

    use super::*;
    use crate::{BodyWriter, Envelope, OpenPolicy, RecipientVerdict};

    struct Nobody;

    impl Acceptor for Nobody {
        fn recipient<'a>(
            &'a self,
            _: &'a SessionInfo,
            _: &'a Envelope,
            _: &'a smtp_proto::Rcpt,
        ) -> BoxFuture<'a, RecipientVerdict> {
            futures::future::ready(RecipientVerdict::UnknownUser).boxed()
        }

        fn body<'a>(
            &'a self,
            _: &'a SessionInfo,
            _: &'a Envelope,
        ) -> BoxFuture<'a, Result<Box<dyn BodyWriter>, Reply>> {
            futures::future::ready(Err(Reply::plain(451, "no"))).boxed()
        }
    }

    /// Ten thousand silent clients must not cost more than their sockets (drill A1).
    #[tokio::test]
    async fn a_waiting_session_is_small() {
        let (conn, _client) = net::testing::pair().await.unwrap();
        let server = Server {
            config: Config::new(Role::Mx, "x"),
            policy: Arc::new(OpenPolicy),
            acceptor: Arc::new(Nobody),
            authenticator: None,
            rng: Arc::new(SeededRng::new(1)),
        };
        let clock = Arc::new(ManualClock::new(Timestamp::from_secs(0)));
        let context = SessionContext { id: 1, shutdown: Shutdown::new(), clock, tls: None };
        let session = Session::new(Arc::new(server), conn, context).run();
        assert!(std::mem::size_of_val(&session) <= 3000, "{}", std::mem::size_of_val(&session));
    }
}
