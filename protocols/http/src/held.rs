//! A stream that says when nobody has it any more: not the connection, nor, after an upgrade, who spoke on it then.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::oneshot;

/// The stream.
pub(crate) struct Held<S> {
    stream: S,
    _sign: oneshot::Sender<()>,
}

impl<S> Held<S> {
    /// The stream, and what resolves when it has been dropped.
    pub(crate) fn new(stream: S) -> (Self, impl Future<Output = ()>) {
        let (sign, gone) = oneshot::channel();
        let held = Held { stream, _sign: sign };
        (held, async move {
            let _ = gone.await;
        })
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Held<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, into)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Held<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;

    #[test]
    fn the_last_who_has_it_lets_it_go() {
        let (held, gone) = Held::new(tokio::io::empty());
        let mut gone = Box::pin(gone);
        assert!(gone.as_mut().now_or_never().is_none());
        let upgraded = held;
        assert!(gone.as_mut().now_or_never().is_none());
        drop(upgraded);
        assert!(gone.now_or_never().is_some());
    }
}
