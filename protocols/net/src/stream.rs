//! A connection as a stream that is polled, for protocols whose library wants one.
//!
//! The way of the bytes is that of [`Connection`]: the same buffers, the same TLS, the same patience with a client that does
//! not read. Silence is the library's matter.

use crate::tls::Outbound;
use crate::{Connection, limits};
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};

/// What [`Connection::into_stream`] gives.
#[derive(Debug)]
pub struct Stream {
    connection: Connection,
    /// When a client that takes no output has been waited for long enough; none while none waits.
    patience: Option<Pin<Box<Sleep>>>,
    closing: Closing,
}

#[derive(Debug, PartialEq, Eq)]
enum Closing {
    Open,
    /// TLS has been closed; what is queued goes out.
    Closed,
    /// Read from, so that what the peer still sends does not make the kernel take back our last words.
    Lingering {
        left: usize,
    },
}

impl Connection {
    /// The connection as a stream. What was read and not consumed is read first.
    pub fn into_stream(self) -> Stream {
        Stream { connection: self, patience: None, closing: Closing::Open }
    }
}

impl Stream {
    fn queued(&self) -> usize {
        self.connection.tls.as_ref().map_or(self.connection.output.len(), |tls| tls.outgoing.len())
    }

    /// Sends what the socket takes until no more than `most` bytes are queued.
    fn poll_send(&mut self, cx: &mut Context<'_>, most: usize) -> Poll<io::Result<()>> {
        while self.queued() > most {
            let connection = &mut self.connection;
            let queue = match &mut connection.tls {
                Some(tls) => &mut tls.outgoing,
                None => &mut connection.output,
            };
            match connection.stream.try_write(queue.data()) {
                Ok(sent) => {
                    queue.consume(sent);
                    self.be_patient(sent);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let timeout = connection.write_timeout;
                    let patience = self.patience.get_or_insert_with(|| Box::pin(sleep(timeout)));
                    if patience.as_mut().poll(cx).is_ready() {
                        return Poll::Ready(Err(timed_out("the client does not read")));
                    }
                    ready!(connection.stream.poll_write_ready(cx))?;
                }
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        if self.queued() == 0 {
            self.patience = None;
            self.connection.output.release();
            if let Some(tls) = &mut self.connection.tls {
                tls.outgoing.release();
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Who takes bytes at the least rate is waited for as long as that lasts.
    fn be_patient(&mut self, sent: usize) {
        if let Some(patience) = &mut self.patience {
            let earned = Duration::from_millis(sent as u64 * 1000 / limits::SLOWEST_READER);
            let until = patience.deadline() + earned;
            // No more than if the wait had begun now: a fast reader does not earn hours of silence.
            let most = Instant::now() + self.connection.write_timeout + earned;
            patience.as_mut().reset(until.min(most));
        }
    }

    /// Brings plaintext into the input, or the end.
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.connection.input.is_empty() && !self.connection.ended {
            self.settle(cx)?;
            let connection = &mut self.connection;
            if !connection.input.is_empty() || connection.ended {
                break;
            }
            if connection.stream.poll_read_ready(cx)?.is_pending() {
                connection.input.release();
                if let Some(tls) = &mut connection.tls {
                    tls.incoming.release();
                }
                return Poll::Pending;
            }
            connection.read_some()?;
        }
        Poll::Ready(Ok(()))
    }

    /// Turns the ciphertext that is here into plaintext. What TLS has to say of its own is sent as far as the socket takes
    /// it; the rest goes with what is written next.
    fn settle(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        let connection = &mut self.connection;
        let Some(tls) = &mut connection.tls else { return Ok(()) };
        if tls.incoming.is_empty() {
            return Ok(());
        }
        let settled = tls.turn(&mut connection.input, Outbound::Nothing);
        connection.ended |= tls.peer_closed;
        if let Poll::Ready(Err(error)) = self.poll_send(cx, 0) {
            return Err(error);
        }
        settled
    }

    fn close_tls(&mut self) -> io::Result<()> {
        let connection = &mut self.connection;
        match &mut connection.tls {
            Some(tls) => tls.turn(&mut connection.input, Outbound::Close),
            None => Ok(()),
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        ready!(self.poll_fill(cx))?;
        let input = &mut self.connection.input;
        let taken = input.len().min(into.remaining());
        into.put_slice(input.data().get(..taken).unwrap_or_default());
        input.consume(taken);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.poll_send(cx, limits::HIGH_WATER))?;
        let piece = bytes.get(..limits::HIGH_WATER).unwrap_or(bytes);
        let connection = &mut self.connection;
        match &mut connection.tls {
            Some(tls) => tls.turn(&mut connection.input, Outbound::Data(piece))?,
            None => connection.output.push(piece),
        }
        Poll::Ready(Ok(piece.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_send(cx, 0)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.closing == Closing::Open {
            self.close_tls()?;
            self.closing = Closing::Closed;
        }
        if self.closing == Closing::Closed {
            ready!(self.poll_send(cx, 0))?;
            ready!(Pin::new(&mut self.connection.stream).poll_shutdown(cx))?;
            self.closing = Closing::Lingering { left: limits::LINGER };
            self.patience = Some(Box::pin(sleep(limits::LINGER_TIME)));
        }
        while let Closing::Lingering { left } = self.closing {
            if self.connection.ended || left == 0 {
                break;
            }
            let patience = self.patience.get_or_insert_with(|| Box::pin(sleep(limits::LINGER_TIME)));
            if patience.as_mut().poll(cx).is_ready() {
                break;
            }
            ready!(self.connection.stream.poll_read_ready(cx))?;
            let connection = &mut self.connection;
            let came = connection.discard_some()?;
            self.closing = Closing::Lingering { left: left.saturating_sub(came) };
        }
        Poll::Ready(Ok(()))
    }
}

fn timed_out(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, what)
}
