//! Bodies of requests, which have to come fast enough: a client that sends a byte now and then does not hold a place.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::{Body, HttpBody};
use bytes::Bytes;
use hyper::body::{Frame, SizeHint};
use tokio::time::{Instant, Sleep, sleep_until};

use crate::Options;

/// A body that fails when it comes too slowly.
pub(crate) struct Paced<B> {
    body: B,
    silence: Duration,
    slowest: u64,
    began: Instant,
    /// When the last piece came.
    last: Instant,
    received: u64,
    /// Set while it is waited for.
    timer: Option<Pin<Box<Sleep>>>,
}

impl<B> Paced<B> {
    /// Time counts from now.
    pub(crate) fn new(body: B, options: &Options) -> Self {
        let now = Instant::now();
        let (silence, slowest) = (options.body_silence, options.slowest_body.max(1));
        Paced { body, silence, slowest, began: now, last: now, received: 0, timer: None }
    }

    fn deadline(&self) -> Instant {
        let earned = Duration::from_secs(self.received / self.slowest);
        (self.last + self.silence).min(self.began + self.silence + earned)
    }
}

type Failure = Box<dyn std::error::Error + Send + Sync>;

impl<B> HttpBody for Paced<B>
where
    B: HttpBody<Data = Bytes> + Unpin,
    B::Error: Into<Failure>,
{
    type Data = Bytes;
    type Error = Failure;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Failure>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(cx) {
            self.timer = None;
            self.last = Instant::now();
            let came = frame.as_ref().and_then(|frame| frame.as_ref().ok()?.data_ref().map(Bytes::len));
            self.received += came.unwrap_or(0) as u64;
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        let deadline = self.deadline();
        ready!(self.timer.get_or_insert_with(|| Box::pin(sleep_until(deadline))).as_mut().poll(cx));
        Poll::Ready(Some(Err(io::Error::new(io::ErrorKind::TimedOut, "the body comes too slowly").into())))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A body that holds something until it has been sent, or given up.
pub(crate) struct Counted<H> {
    body: Body,
    _holds: H,
}

impl<H> Counted<H> {
    pub(crate) fn new(body: Body, holds: H) -> Self {
        Counted { body, _holds: holds }
    }
}

impl<H: Unpin> HttpBody for Counted<H> {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::{StreamExt, stream};

    async fn read(pieces: usize, pause: Duration) -> Result<usize, String> {
        let body = stream::iter(0..pieces).then(move |_| async move {
            tokio::time::sleep(pause).await;
            Ok::<_, io::Error>(Bytes::from_static(&[0; 100]))
        });
        let options = Options { slowest_body: 100, ..Options::default() };
        let paced = Paced::new(Body::from_stream(body.boxed()), &options);
        let read = axum::body::to_bytes(Body::new(paced), usize::MAX).await;
        read.map(|bytes| bytes.len()).map_err(|error| error.to_string())
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_comes_fast_enough_or_not() {
        assert_eq!(read(500, Duration::from_millis(900)).await, Ok(50_000));
        for (pieces, pause) in [(1, Duration::from_secs(31)), (1000, Duration::from_secs(2))] {
            let error = read(pieces, pause).await.unwrap_err();
            assert!(error.contains("too slowly"), "{error}");
        }
    }
}
