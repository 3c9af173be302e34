//! Waiting for a key to change: for backends that wake those who wait themselves.

use crate::Error;
use bytes::Bytes;
use futures::future::BoxFuture;
use tokio::sync::oneshot;

/// Someone who waits until the value of a key is not the one seen. Who waits for a watch that is dropped is told
/// so by a retryable error.
#[derive(Debug)]
pub struct Watch {
    /// The key.
    pub key: Bytes,
    /// Its value, as the transaction saw it.
    pub seen: Option<Bytes>,
    wake: oneshot::Sender<()>,
}

impl Watch {
    /// A watch, and the future that resolves when it wakes.
    pub fn new(key: &[u8], seen: Option<Bytes>) -> (Self, BoxFuture<'static, Result<(), Error>>) {
        let (wake, woken) = oneshot::channel();
        let lost = |_| Error::unavailable("watch ended without a commit or with the store");
        (
            Watch { key: Bytes::copy_from_slice(key), seen, wake },
            Box::pin(async move { woken.await.map_err(lost) }),
        )
    }

    /// Wakes who waits.
    pub fn wake(self) {
        // Nobody listens any more if this fails, and that is as good.
        let _ = self.wake.send(());
    }

    /// Whether nobody waits any more.
    pub fn is_abandoned(&self) -> bool {
        self.wake.is_closed()
    }
}
