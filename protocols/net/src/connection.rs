//! One client: a socket, plain or under TLS, with what was read and not used and what is to be sent.

use crate::buffer::Buffer;
use crate::gate::Ticket;
use crate::limits;
use crate::tls::{Outbound, Tls, TlsAcceptor, TlsInfo};
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};

/// A client's connection.
///
/// Input is looked at with [`buffer`](Self::buffer) and used up with [`consume`](Self::consume);
/// [`fill`](Self::fill) brings more. Output is collected by [`write`](Self::write) and sent by
/// [`flush`](Self::flush).
#[derive(Debug)]
pub struct Connection {
    pub(crate) stream: TcpStream,
    pub(crate) tls: Option<Box<Tls>>,
    pub(crate) input: Buffer,
    pub(crate) output: Buffer,
    peer: SocketAddr,
    local: SocketAddr,
    pub(crate) ended: bool,
    read_timeout: Duration,
    pub(crate) write_timeout: Duration,
    /// When the present silence becomes too long; set by the first `fill` that waits in it.
    silence_ends: Option<Instant>,
    deadline: Option<Instant>,
    ticket: Option<Ticket>,
}

impl Connection {
    /// Takes over an accepted socket.
    pub fn new(stream: TcpStream) -> io::Result<Self> {
        let (peer, local) = (stream.peer_addr()?, stream.local_addr()?);
        // Replies are written whole; waiting for more to send with them only costs time.
        stream.set_nodelay(true)?;
        Ok(Connection {
            stream,
            tls: None,
            input: Buffer::default(),
            output: Buffer::default(),
            peer,
            local,
            ended: false,
            read_timeout: limits::READ_TIMEOUT,
            write_timeout: limits::WRITE_TIMEOUT,
            silence_ends: None,
            deadline: None,
            ticket: None,
        })
    }

    pub(crate) fn keep(&mut self, ticket: Ticket) {
        self.ticket = Some(ticket);
    }

    pub(crate) fn set_peer(&mut self, peer: SocketAddr) {
        self.peer = peer;
    }

    /// The client's address: as the balancer says it, behind one.
    pub fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// Our own address.
    pub fn local(&self) -> SocketAddr {
        self.local
    }

    /// Whether what is read and written now is protected.
    pub fn is_tls(&self) -> bool {
        self.tls.is_some()
    }

    /// What was agreed on in the TLS handshake.
    pub fn tls_info(&self) -> Option<TlsInfo> {
        self.tls.as_ref().map(|tls| tls.info())
    }

    /// How long the client may be silent. Counts from now, and then from each time input came.
    pub fn set_read_timeout(&mut self, timeout: Duration) {
        self.read_timeout = timeout;
        self.silence_ends = None;
    }

    /// How long the client may take to accept output.
    pub fn set_write_timeout(&mut self, timeout: Duration) {
        self.write_timeout = timeout;
    }

    /// When [`fill`](Self::fill) fails however much input comes before: for phases that must end in time even
    /// if the client sends a byte a second, such as logging in. None lifts it.
    pub fn set_deadline(&mut self, deadline: Option<Instant>) {
        self.deadline = deadline;
    }

    /// What was read and not consumed.
    pub fn buffer(&self) -> &[u8] {
        self.input.data()
    }

    /// The first `n` bytes of [`buffer`](Self::buffer) are done with.
    pub fn consume(&mut self, n: usize) {
        self.input.consume(n);
    }

    /// Waits for input and appends it to [`buffer`](Self::buffer). Returns how many bytes came; 0 at the end of
    /// input.
    ///
    /// May be dropped while it waits, and called again: nothing is lost, and the time of silence goes on
    /// counting. While it waits no buffer is held, unless there is input that was not consumed.
    ///
    /// # Errors
    /// `TimedOut` when the client is silent for too long or the deadline has come; `InvalidData` when its TLS
    /// records are wrong or there are more than [`limits::INPUT`] bytes that nobody consumed; else what the
    /// socket says.
    pub async fn fill(&mut self) -> io::Result<usize> {
        // Before input that is there already is even looked at: it may never end.
        if self.deadline.is_some_and(|deadline| deadline <= Instant::now()) {
            return Err(timed_out("the deadline has come"));
        }
        loop {
            let before = self.input.len();
            if self.tls.is_some() {
                self.settle_records().await?;
                if self.input.len() > before {
                    self.silence_ends = None;
                    return Ok(self.input.len() - before);
                }
            }
            if self.ended {
                return Ok(0);
            }
            if self.input.len() > limits::INPUT {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidData,
                    "more input than anything here needs",
                ));
            }
            self.wait_for_input().await?;
            let came = self.read_some()?;
            if came > 0 && self.tls.is_none() {
                self.silence_ends = None;
                return Ok(came);
            }
        }
    }

    /// Gives back the memory of buffers that are empty; for sessions that are about to wait for something else than input, of
    /// which there may be thousands.
    pub fn release(&mut self) {
        self.input.release();
        self.output.release();
        if let Some(tls) = &mut self.tls {
            tls.incoming.release();
            tls.outgoing.release();
        }
    }

    /// Bytes of memory that buffers of a session without TLS hold.
    #[cfg(test)]
    pub(crate) fn held(&self) -> usize {
        self.input.capacity() + self.output.capacity()
    }

    /// Resolves when the socket has something to read, with no buffer held meanwhile.
    async fn wait_for_input(&mut self) -> io::Result<()> {
        self.release();
        let silence_ends = *self.silence_ends.get_or_insert_with(|| Instant::now() + self.read_timeout);
        let until = self.deadline.map_or(silence_ends, |deadline| deadline.min(silence_ends));
        timeout_at(until, self.stream.readable())
            .await
            .unwrap_or_else(|_| Err(timed_out("the client is silent")))
    }

    /// Reads once from the socket; 0 means that nothing was there after all, or the end, which is noted.
    pub(crate) fn read_some(&mut self) -> io::Result<usize> {
        let into = match &mut self.tls {
            Some(tls) => &mut tls.incoming,
            None => &mut self.input,
        };
        match self.stream.try_read_buf(into.room(limits::READ_SIZE)) {
            Ok(0) => {
                self.ended = true;
                Ok(0)
            }
            Ok(n) => Ok(n),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
            Err(error) => Err(error),
        }
    }

    /// Reads once from the socket and forgets it; notes the end.
    pub(crate) fn discard_some(&mut self) -> io::Result<usize> {
        self.input.consume(usize::MAX);
        match self.stream.try_read_buf(self.input.room(4096)) {
            Ok(0) => {
                self.ended = true;
                Ok(0)
            }
            Ok(n) => Ok(n),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
            Err(error) => Err(error),
        }
    }

    /// Turns the ciphertext that is here into plaintext, and sends what TLS has to say of its own.
    async fn settle_records(&mut self) -> io::Result<()> {
        let Some(tls) = &mut self.tls else { return Ok(()) };
        if tls.incoming.is_empty() {
            return Ok(());
        }
        let settled = tls.turn(&mut self.input, Outbound::Nothing);
        self.ended |= tls.peer_closed;
        if !tls.outgoing.is_empty() {
            self.send_sealed().await?;
        }
        settled
    }

    /// Collects `bytes` to be sent, and sends when much has been collected: so a client that does not read
    /// makes this wait, and in the end fail, instead of filling memory.
    ///
    /// # Errors
    /// As [`flush`](Self::flush).
    pub async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        if bytes.len() >= limits::DIRECT_WRITE {
            return self.write_through(bytes).await;
        }
        self.output.push(bytes);
        if self.output.len() >= limits::HIGH_WATER { self.flush().await } else { Ok(()) }
    }

    /// Collects `bytes` to be sent, whatever has been collected. For what is small and bounded.
    pub fn queue(&mut self, bytes: &[u8]) {
        self.output.push(bytes);
    }

    /// The output to render into directly. Follow it with [`relieve`](Self::relieve) or a flush.
    pub fn output(&mut self) -> &mut Vec<u8> {
        self.output.room(0)
    }

    /// Bytes that wait to be sent.
    pub fn queued(&self) -> usize {
        self.output.len()
    }

    /// Flushes if much has been collected.
    ///
    /// # Errors
    /// As [`flush`](Self::flush).
    pub async fn relieve(&mut self) -> io::Result<()> {
        if self.output.len() >= limits::HIGH_WATER { self.flush().await } else { Ok(()) }
    }

    /// Sends all that was collected and returns when the kernel has it.
    ///
    /// May be dropped while it waits, and called again: nothing is sent twice or lost.
    ///
    /// # Errors
    /// `TimedOut` when the client accepts less than the write timeout and [`limits::SLOWEST_READER`] ask for;
    /// else what the socket says.
    pub async fn flush(&mut self) -> io::Result<()> {
        if self.tls.is_none() {
            let (stream, output) = (&self.stream, &mut self.output);
            return send(stream, output, &[], self.write_timeout).await;
        }
        self.seal_output()?;
        self.send_sealed().await
    }

    fn seal_output(&mut self) -> io::Result<()> {
        if let Some(tls) = &mut self.tls
            && !self.output.is_empty()
        {
            tls.turn(&mut self.input, Outbound::Data(self.output.data()))?;
            self.output.consume(usize::MAX);
        }
        Ok(())
    }

    async fn send_sealed(&mut self) -> io::Result<()> {
        match &mut self.tls {
            Some(tls) => send(&self.stream, &mut tls.outgoing, &[], self.write_timeout).await,
            None => Ok(()),
        }
    }

    /// Sends what was collected and `bytes` after it, without collecting them too.
    async fn write_through(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.tls.is_none() {
            return send(&self.stream, &mut self.output, bytes, self.write_timeout).await;
        }
        for piece in bytes.chunks(limits::HIGH_WATER) {
            self.seal_output()?;
            if let Some(tls) = &mut self.tls {
                tls.turn(&mut self.input, Outbound::Data(piece))?;
            }
            self.send_sealed().await?;
        }
        Ok(())
    }

    /// Begins TLS: sends what is collected, forgets what was read, and shakes hands.
    ///
    /// Returns how many bytes of plaintext were read and not consumed. They are discarded: somebody on the way
    /// may have put them there (RFC 3207 §4.2, RFC 9051 §6.2.1). A session that gets more than 0 should end.
    ///
    /// # Errors
    /// `TimedOut` after [`limits::HANDSHAKE_TIME`]; `InvalidData` when no agreement is found, after the alert
    /// was sent; `AlreadyExists` when TLS is on already; else what the socket says.
    pub fn start_tls(&mut self, acceptor: &TlsAcceptor) -> impl Future<Output = io::Result<usize>> + '_ {
        let acceptor = acceptor.clone();
        // Boxed: it runs once, and its room is not kept by a session that then waits for hours.
        Box::pin(async move {
            if self.tls.is_some() {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            self.flush().await?;
            let discarded = self.input.discard();
            self.tls = Some(Box::new(Tls::new(&acceptor)?));
            self.shake_hands_in_time().await?;
            Ok(discarded)
        })
    }

    /// Begins TLS on a port where it comes first (RFC 8314 §3): what came behind a PROXY header is of the handshake.
    ///
    /// # Errors
    /// As [`Connection::start_tls`].
    pub fn begin_in_tls(&mut self, acceptor: &TlsAcceptor) -> impl Future<Output = io::Result<()>> + '_ {
        let acceptor = acceptor.clone();
        Box::pin(async move {
            let mut tls = Tls::new(&acceptor)?;
            tls.incoming = std::mem::take(&mut self.input);
            self.tls = Some(Box::new(tls));
            self.shake_hands_in_time().await
        })
    }

    async fn shake_hands_in_time(&mut self) -> io::Result<()> {
        let until = Instant::now() + limits::HANDSHAKE_TIME;
        let done = timeout_at(until, self.shake_hands()).await;
        done.unwrap_or_else(|_| Err(timed_out("the handshake takes too long")))
    }

    async fn shake_hands(&mut self) -> io::Result<()> {
        self.silence_ends = None;
        self.settle_records().await?;
        loop {
            self.wait_for_input().await?;
            if self.read_some()? == 0 && self.ended {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.settle_records().await?;
            if self.tls.as_ref().is_some_and(|tls| tls.established) {
                self.silence_ends = None;
                return Ok(());
            }
            if self.ended {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    /// Says goodbye: sends what is collected, closes TLS and the socket, and lets the client read our last
    /// words before the kernel forgets them. Errors no longer matter.
    pub async fn close(mut self) {
        let _ = Box::pin(self.finish()).await;
    }

    async fn finish(&mut self) -> io::Result<()> {
        self.flush().await?;
        if let Some(tls) = &mut self.tls {
            tls.turn(&mut self.input, Outbound::Close)?;
            self.send_sealed().await?;
        }
        self.stream.shutdown().await?;
        let until = Instant::now() + limits::LINGER_TIME;
        let mut left = limits::LINGER;
        while !self.ended && left > 0 {
            timeout_at(until, self.stream.readable()).await.map_err(|_| timed_out("lingering"))??;
            left = left.saturating_sub(self.discard_some()?);
        }
        Ok(())
    }

    /// Writes `line` if the socket takes it at once: for those who are refused, who may not cost time.
    pub(crate) fn refuse(&self, line: &[u8]) {
        let _ = refuse(&self.stream, line);
    }

    pub(crate) fn ticket(&mut self) -> Option<&mut Ticket> {
        self.ticket.as_mut()
    }
}

pub(crate) fn refuse(stream: &TcpStream, line: &[u8]) -> io::Result<usize> {
    use std::os::fd::AsFd;
    // Not through the reactor, which has not seen this socket yet and would say that it is not ready.
    Ok(rustix::io::write(stream.as_fd(), line)?)
}

/// Sends `queued` and then `more`; what was sent of `queued` is gone from it.
async fn send(stream: &TcpStream, queued: &mut Buffer, more: &[u8], timeout: Duration) -> io::Result<()> {
    if queued.is_empty() && more.is_empty() {
        return Ok(());
    }
    let mut more = more;
    let bytes = (queued.len() + more.len()) as u64;
    let mut until = None;
    while !queued.is_empty() || !more.is_empty() {
        let sent = if more.is_empty() {
            stream.try_write(queued.data())
        } else {
            stream.try_write_vectored(&[io::IoSlice::new(queued.data()), io::IoSlice::new(more)])
        };
        match sent {
            Ok(n) => {
                let of_queued = n.min(queued.len());
                queued.consume(of_queued);
                more = &more[n - of_queued..];
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                let limit = timeout + Duration::from_secs(bytes / limits::SLOWEST_READER);
                let until = *until.get_or_insert_with(|| Instant::now() + limit);
                let ready = timeout_at(until, stream.writable()).await;
                ready.unwrap_or_else(|_| Err(timed_out("the client does not read")))?;
            }
            Err(error) => return Err(error),
        }
    }
    queued.release();
    Ok(())
}

fn timed_out(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, what)
}
