//! The accept loop, and the way of a socket to its session.

use crate::gate::{Gate, Ticket};
use crate::proxy::{Parsed, parse};
use crate::{Connection, Networks, TlsAcceptor, connection, limits};
use futures::future::BoxFuture;
use runtime::{SharedClock, Shutdown, Supervisor, TaskKind};
use rustix::io::Errno;
use std::fs::File;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::{Instant, sleep, timeout_at};

/// A language that clients speak.
pub trait Protocol: Send + Sync + 'static {
    /// Its name in logs and metrics, such as `imap`.
    fn name(&self) -> &'static str;

    /// Serves one client from the greeting to the end.
    fn serve(&self, connection: Connection, context: SessionContext) -> BoxFuture<'static, ()>;

    /// What a client is told that cannot be let in now: a complete line, or nothing.
    fn refuse(&self) -> &'static [u8];
}

/// What a session gets besides its connection.
#[derive(Clone)]
pub struct SessionContext {
    /// A number for logs, different for each session of this process.
    pub id: u64,
    /// When `drain` comes, which is when it is this session's turn, finish the command and say goodbye.
    pub shutdown: Shutdown,
    /// Where time comes from.
    pub clock: SharedClock,
    /// What STARTTLS needs; none where TLS is not offered.
    pub tls: Option<TlsAcceptor>,
}

/// What a listener is told.
#[derive(Clone)]
pub struct ListenerOptions {
    /// Where to listen; port 0 means any free one.
    pub address: SocketAddr,
    /// What TLS needs. For a listener that is not implicit it is handed to the session for STARTTLS.
    pub tls: Option<TlsAcceptor>,
    /// Whether the client begins with TLS.
    pub implicit_tls: bool,
    /// Networks of balancers, which begin with a PROXY header. Others must not send one.
    pub proxies: Networks,
}

/// A bound socket and the protocol spoken there. Clients may connect as soon as it is bound; they are greeted
/// once [`Listener::spawn`] was called.
pub struct Listener {
    socket: TcpListener,
    address: SocketAddr,
    door: Arc<Door>,
    /// Taken when it is bound: clients may use up all descriptors before the first is accepted.
    reserve: Reserve,
}

/// What every session task of a listener shares.
struct Door {
    protocol: Arc<dyn Protocol>,
    options: ListenerOptions,
    gate: Arc<Gate>,
    clock: SharedClock,
    shutdown: Shutdown,
}

static SESSIONS: AtomicU64 = AtomicU64::new(1);

impl Listener {
    /// Binds and listens.
    ///
    /// # Errors
    /// What the system says: the port is taken, or may not be used; or TLS is implicit and there is none.
    pub fn bind(
        options: ListenerOptions,
        protocol: Arc<dyn Protocol>,
        gate: Arc<Gate>,
        clock: SharedClock,
        shutdown: Shutdown,
    ) -> io::Result<Self> {
        if options.implicit_tls && options.tls.is_none() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "implicit TLS needs a certificate"));
        }
        let socket = if options.address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        // A restart must not wait for the connections of the process before it to be forgotten.
        socket.set_reuseaddr(true)?;
        socket.bind(options.address)?;
        let socket = socket.listen(limits::BACKLOG)?;
        let address = socket.local_addr()?;
        let door = Arc::new(Door { protocol, options, gate, clock, shutdown });
        Ok(Listener { socket, address, door, reserve: Reserve::new()? })
    }

    /// Where it listens, with the port the system chose.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Accepts until the drain, each session in a task of its own; then sends the sessions away, in turns if there are many.
    pub fn spawn(self, supervisor: &Supervisor) {
        let sessions = supervisor.clone();
        let gate = Arc::clone(&self.door.gate);
        supervisor.spawn(TaskKind::Listener, "listener", async move {
            self.run(sessions).await;
            gate.farewell().await;
        });
    }

    async fn run(mut self, supervisor: Supervisor) {
        loop {
            let accepted = tokio::select! {
                () = self.door.shutdown.drain.cancelled() => return,
                accepted = self.socket.accept() => accepted,
            };
            match accepted {
                Ok((stream, _)) => self.admit(stream, &supervisor),
                Err(error) if is_shortage(&error) => self.shed(&error).await,
                // The client was gone before we came to it.
                Err(error) => tracing::debug!(%error, "accept failed"),
            }
        }
    }

    /// Lets a client in, or refuses it.
    fn admit(&self, stream: TcpStream, supervisor: &Supervisor) {
        let door = &self.door;
        let name = door.protocol.name();
        metrics::counter!("net_connections_total", "protocol" => name).increment(1);
        let Some(ticket) = door.gate.enter() else {
            return door.refuse(&stream, "connections");
        };
        // One that fails here was closed by the client already.
        let Ok(connection) = Connection::new(stream) else { return };
        supervisor.spawn(TaskKind::Session, name, Arc::clone(door).session(connection, ticket));
    }

    /// No file descriptor is left for a new client. The reserve is given up for a moment to accept and close
    /// one, so that it is refused instead of left waiting; and there is a pause, so that this does not take
    /// the time of the sessions that may give descriptors back.
    async fn shed(&mut self, error: &io::Error) {
        tracing::warn!(%error, protocol = self.door.protocol.name(), "cannot accept, refusing");
        self.reserve.release();
        // Polled once: if nobody waits any more, there is nobody to refuse.
        let accepted = futures::FutureExt::now_or_never(self.socket.accept());
        if let Some(Ok((stream, _))) = accepted {
            self.door.refuse(&stream, "descriptors");
        }
        self.reserve.refill();
        tokio::select! {
            () = self.door.shutdown.drain.cancelled() => {}
            () = sleep(limits::ACCEPT_PAUSE) => {}
        }
    }
}

/// One descriptor kept for the moment when there is no other.
struct Reserve(Option<File>);

impl Reserve {
    fn new() -> io::Result<Self> {
        Ok(Reserve(Some(File::open("/dev/null")?)))
    }

    fn release(&mut self) {
        self.0 = None;
    }

    fn refill(&mut self) {
        self.0 = File::open("/dev/null").ok();
    }
}

/// EMFILE, ENFILE, ENOBUFS, ENOMEM: the system lacks something; accepting again at once would fail again.
fn is_shortage(error: &io::Error) -> bool {
    let shortages = [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM];
    shortages.iter().any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
}

impl Door {
    fn refuse(&self, stream: &TcpStream, reason: &'static str) {
        metrics::counter!("net_connections_refused_total", "protocol" => self.protocol.name(), "reason" => reason)
            .increment(1);
        if !self.options.implicit_tls {
            let _ = connection::refuse(stream, self.protocol.refuse());
        }
    }

    async fn session(self: Arc<Self>, connection: Connection, ticket: Ticket) {
        // Boxed: the room of the preparation is not kept while the session runs.
        let Some(connection) = Box::pin(self.prepare(connection, ticket)).await else { return };
        let id = SESSIONS.fetch_add(1, Ordering::Relaxed);
        let context = SessionContext {
            id,
            shutdown: self.gate.signals(&self.shutdown, id),
            clock: Arc::clone(&self.clock),
            tls: self.options.tls.clone().filter(|_| !self.options.implicit_tls),
        };
        let session = self.protocol.serve(connection, context);
        session.await;
    }

    /// The PROXY header, the limit of the address, and TLS where it comes first.
    async fn prepare(&self, mut connection: Connection, mut ticket: Ticket) -> Option<Connection> {
        let name = self.protocol.name();
        if self.options.proxies.contain(connection.peer().ip()) {
            let read = timeout_at(Instant::now() + limits::PROXY_TIME, read_proxy(&mut connection)).await;
            if !matches!(read, Ok(Ok(()))) {
                metrics::counter!("net_proxy_headers_failed_total", "protocol" => name).increment(1);
                tracing::debug!(protocol = name, peer = %connection.peer(), "no usable PROXY header");
                return None;
            }
        }
        if !ticket.claim_address(connection.peer().ip()) {
            metrics::counter!("net_connections_refused_total", "protocol" => name, "reason" => "address")
                .increment(1);
            if !self.options.implicit_tls {
                connection.refuse(self.protocol.refuse());
            }
            return None;
        }
        connection.keep(ticket);
        if self.options.implicit_tls { self.shake_hands(connection).await } else { Some(connection) }
    }

    async fn shake_hands(&self, mut connection: Connection) -> Option<Connection> {
        let (name, acceptor) = (self.protocol.name(), self.options.tls.as_ref()?);
        if !connection.ticket()?.begin_handshake() {
            metrics::counter!("net_connections_refused_total", "protocol" => name, "reason" => "handshakes")
                .increment(1);
            return None;
        }
        let done = connection.begin_in_tls(acceptor).await;
        connection.ticket()?.end_handshake();
        match done {
            Ok(_) => Some(connection),
            Err(error) => {
                metrics::counter!("net_tls_handshakes_failed_total", "protocol" => name).increment(1);
                tracing::debug!(protocol = name, peer = %connection.peer(), %error, "handshake failed");
                None
            }
        }
    }
}

async fn read_proxy(connection: &mut Connection) -> io::Result<()> {
    loop {
        match parse(connection.buffer()) {
            Parsed::Complete { length, source } => {
                connection.consume(length);
                if let Some(source) = source {
                    connection.set_peer(source);
                }
                return Ok(());
            }
            Parsed::Invalid => return Err(io::ErrorKind::InvalidData.into()),
            Parsed::Incomplete => {
                if connection.fill().await? == 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
            }
        }
    }
}
