//! The future of a read: free of allocation where the answer is at hand.

use crate::Error;
use futures::future::BoxFuture;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

/// The answer to a read: already here (a backend in this process, own writes), or on its way.
#[must_use = "a read does nothing until it is awaited"]
pub enum ReadFuture<'a, T> {
    /// The answer; taken when polled.
    Ready(Option<Result<T, Error>>),
    /// The answer is on its way.
    Boxed(BoxFuture<'a, Result<T, Error>>),
}

impl<'a, T> ReadFuture<'a, T> {
    /// An answer that is here.
    pub fn ready(answer: Result<T, Error>) -> Self {
        ReadFuture::Ready(Some(answer))
    }

    /// An answer that must be waited for.
    pub fn boxed(future: impl Future<Output = Result<T, Error>> + Send + 'a) -> Self {
        ReadFuture::Boxed(Box::pin(future))
    }
}

// The answer inside `Ready` is moved out when polled and never pinned.
impl<T> Unpin for ReadFuture<'_, T> {}

impl<T> Future for ReadFuture<'_, T> {
    type Output = Result<T, Error>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut *self {
            // As for any future, polling again after the answer was given is a mistake; it waits forever.
            ReadFuture::Ready(answer) => answer.take().map_or(Poll::Pending, Poll::Ready),
            ReadFuture::Boxed(future) => future.as_mut().poll(context),
        }
    }
}

impl<T> fmt::Debug for ReadFuture<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ReadFuture::Ready(_) => "ReadFuture::Ready",
            ReadFuture::Boxed(_) => "ReadFuture::Boxed",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn both_forms_give_their_answer() {
        assert_eq!(ReadFuture::ready(Ok(1)).await, Ok(1));
        let later = ReadFuture::boxed(async {
            tokio::task::yield_now().await;
            Ok(2)
        });
        assert_eq!(later.await, Ok(2));
        assert_eq!(ReadFuture::<()>::ready(Err(Error::too_old())).await, Err(Error::too_old()));
    }
}
