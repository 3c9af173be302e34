//! The way to one other node: a connection that is made when it is wanted, calls that wait for their turn, and the queue of hints.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use prost::Message as _;
use quinn::{Connection, ReadError, ReadToEndError, RecvStream, SendStream, VarInt};
use runtime::{CancellationToken, Rng, TaskKind};
use schema::NodeId;
use tokio::sync::{Mutex as AsyncMutex, Semaphore};
use tokio::time::timeout;

use crate::authority::name;
use crate::frame::{self, Answer, Frame, HELLO, Hello, NOT_UNDERSTOOD, NotUnderstood};
use crate::node::Shared;
use crate::queue::Queue;
use crate::{Error, limits, metrics};

/// The way to a node.
pub(crate) struct Peer {
    node: NodeId,
    shared: Arc<Shared>,
    state: AsyncMutex<State>,
    queue: Queue,
    turns: Semaphore,
    waiting: AtomicUsize,
    /// Hints that it said it does not understand.
    strange: Arc<Mutex<HashSet<u32>>>,
    /// When it was used last, in monotonic time.
    used: Mutex<Duration>,
    gone: CancellationToken,
}

#[derive(Default)]
struct State {
    link: Option<Link>,
    failures: u32,
    not_before: Duration,
    reason: String,
}

/// A connection with the stream of hints.
#[derive(Clone)]
struct Link {
    connection: Connection,
    hints: Arc<AsyncMutex<SendStream>>,
}

impl Link {
    fn is_open(&self) -> bool {
        self.connection.close_reason().is_none()
    }
}

/// A connection that a call waits on, and what had come over it before.
struct Trial {
    connection: Connection,
    datagrams: u64,
    begun: tokio::time::Instant,
}

impl Trial {
    fn new(connection: &Connection) -> Trial {
        let datagrams = connection.stats().udp_rx.datagrams;
        Trial { connection: connection.clone(), datagrams, begun: tokio::time::Instant::now() }
    }

    /// The call was not answered in time. If nothing at all has come meanwhile, not even an acknowledgement, the peer is gone or
    /// does not know the connection any more, since it began anew: the next call makes another.
    fn give_up(&self) {
        let silent = self.connection.stats().udp_rx.datagrams == self.datagrams;
        if silent && self.begun.elapsed() >= limits::SILENT_CALL {
            self.connection.close(VarInt::from_u32(0), b"no answer");
        }
    }
}

/// Counts who waits for as long as he does.
struct Waiting<'a>(&'a AtomicUsize);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Peer {
    pub(crate) fn new(node: NodeId, shared: Arc<Shared>) -> Arc<Peer> {
        let used = Mutex::new(shared.clock.monotonic());
        let peer = Arc::new(Peer {
            node,
            shared,
            state: AsyncMutex::default(),
            queue: Queue::default(),
            turns: Semaphore::new(limits::CALLS_PER_PEER as usize),
            waiting: AtomicUsize::new(0),
            strange: Arc::default(),
            used,
            gone: CancellationToken::new(),
        });
        let hinting = Arc::clone(&peer).hinting();
        peer.shared.supervisor.spawn(TaskKind::Background, "rpc.hints", hinting);
        peer
    }

    pub(crate) async fn call(
        &self,
        kind: u32,
        message: Vec<u8>,
        deadline: Duration,
    ) -> Result<Answer, Error> {
        self.touch();
        let waiting = self.waiting.fetch_add(1, Ordering::Relaxed);
        let _waiting = Waiting(&self.waiting);
        if waiting >= limits::WAITING {
            return Err(Error::Busy(self.node));
        }
        let over = Mutex::new(None);
        let exchange = self.exchange(kind, &message, deadline, &over);
        match timeout(deadline, exchange).await {
            Ok(answer) => answer,
            Err(_) => {
                let over = over.into_inner();
                over.iter().for_each(Trial::give_up);
                Err(Error::Deadline(self.node))
            }
        }
    }

    async fn exchange(
        &self,
        kind: u32,
        message: &[u8],
        deadline: Duration,
        over: &Mutex<Option<Trial>>,
    ) -> Result<Answer, Error> {
        let begun = self.shared.clock.monotonic();
        let lost = Error::Lost(self.node);
        let _turn = self.turns.acquire().await.map_err(|_| lost.clone())?;
        let link = self.link().await?;
        // If this future is dropped from here on, the streams are, which tells the other end to give up.
        *over.lock() = Some(Trial::new(&link.connection));
        let (mut send, mut receive) = link.connection.open_bi().await.map_err(|_| lost.clone())?;
        let left = deadline.saturating_sub(self.shared.clock.monotonic().saturating_sub(begun));
        send.write_all(&frame::call(kind, left, message)).await.map_err(|_| lost.clone())?;
        send.finish().map_err(|_| lost.clone())?;
        match receive.read_to_end(limits::MESSAGE + 1).await {
            Ok(octets) => Ok(Answer::decode(octets)),
            Err(ReadToEndError::Read(ReadError::Reset(code))) if code == frame::LATE.into() => {
                Err(Error::Deadline(self.node))
            }
            Err(_) => Err(lost),
        }
    }

    /// Puts a hint behind others. Returns false if the peer has said that it does not understand it.
    pub(crate) fn hint(&self, kind: u32, frame: Bytes) -> bool {
        self.touch();
        if self.strange.lock().contains(&kind) {
            return false;
        }
        metrics::hint(if self.queue.push(frame) { "overrun" } else { "queued" });
        true
    }

    /// QUIC's estimate of the round trip, while there is a connection.
    pub(crate) fn round_trip(&self) -> Option<Duration> {
        let state = self.state.try_lock().ok()?;
        state.link.as_ref().filter(|link| link.is_open()).map(|link| link.connection.rtt())
    }

    /// Whether nobody has used it for so long.
    pub(crate) fn is_idle(&self, time: Duration) -> bool {
        self.shared.clock.monotonic().saturating_sub(*self.used.lock()) >= time
    }

    /// Ends its connection; it is made again if it is wanted.
    pub(crate) async fn disconnect(&self) {
        if let Some(link) = self.state.lock().await.link.take() {
            link.connection.close(VarInt::from_u32(0), b"");
        }
    }

    /// Sends no more hints.
    pub(crate) fn stop(&self) {
        self.gone.cancel();
    }

    fn touch(&self) {
        *self.used.lock() = self.shared.clock.monotonic();
    }

    /// The connection, made if there is none. Of those who want it at once one makes it. After a failure nobody tries for a while.
    async fn link(&self) -> Result<Link, Error> {
        let mut state = self.state.lock().await;
        if let Some(link) = state.link.as_ref().filter(|link| link.is_open()) {
            return Ok(link.clone());
        }
        state.link = None;
        let now = self.shared.clock.monotonic();
        let made = if now < state.not_before {
            Err(state.reason.clone())
        } else {
            let made = timeout(limits::CONNECT, self.connect())
                .await
                .unwrap_or_else(|_| Err("no answer".to_owned()));
            metrics::connect(if made.is_ok() { "ok" } else { "failed" });
            made
        };
        match made {
            Ok(link) => {
                *state = State { link: Some(link.clone()), ..State::default() };
                Ok(link)
            }
            Err(reason) => {
                if now >= state.not_before {
                    state.failures += 1;
                    state.not_before =
                        self.shared.clock.monotonic() + pause(state.failures, &*self.shared.rng);
                    state.reason.clone_from(&reason);
                }
                Err(Error::Unreachable { node: self.node, reason })
            }
        }
    }

    async fn connect(&self) -> Result<Link, String> {
        let address: SocketAddr =
            self.shared.addresses.address(self.node).ok_or("its address is not known")?;
        let (config, cluster) = self.shared.client();
        let connecting = self.shared.endpoint.connect_with(config, address, &name(self.node, &cluster));
        let connection =
            connecting.map_err(|error| error.to_string())?.await.map_err(|error| error.to_string())?;
        let (mut send, mut receive) = connection.open_bi().await.map_err(|error| error.to_string())?;
        let hello = Hello { node: self.shared.me.0, version: self.shared.version.clone() };
        let hello = Frame::new(HELLO, true, &hello).encode();
        send.write_all(&hello).await.map_err(|error| error.to_string())?;
        let welcome = Frame::read(&mut receive).await.filter(|frame| frame.kind == HELLO);
        let welcome = welcome.and_then(|frame| Hello::decode(frame.message).ok()).ok_or_else(|| {
            let reason = connection.close_reason().map(|reason| reason.to_string());
            reason.unwrap_or_else(|| "no greeting".to_owned())
        })?;
        tracing::debug!(node = %self.node, version = welcome.version, "connected");
        // A newer version may understand more than the one before.
        self.strange.lock().clear();
        let listening = listening(receive, Arc::clone(&self.strange));
        self.shared.supervisor.spawn(TaskKind::Session, "rpc.control", listening);
        Ok(Link { connection, hints: Arc::new(AsyncMutex::new(send)) })
    }

    /// Sends hints as they come, as long as the peer is wanted.
    async fn hinting(self: Arc<Self>) {
        tokio::select! {
            () = self.gone.cancelled() => {}
            () = self.send_hints() => {}
        }
    }

    async fn send_hints(&self) {
        loop {
            self.queue.filled().await;
            let Ok(link) = self.link().await else {
                let not_before = self.state.lock().await.not_before;
                let pause = not_before.saturating_sub(self.shared.clock.monotonic());
                tokio::time::sleep(pause.max(limits::PAUSE_FIRST)).await;
                continue;
            };
            let mut hints = link.hints.lock().await;
            while let Some(frame) = self.queue.pop() {
                let sent = hints.write_all(&frame).await;
                metrics::hint(if sent.is_ok() { "sent" } else { "lost" });
                if sent.is_err() {
                    // Without its stream of hints a connection is of no use.
                    link.connection.close(VarInt::from_u32(0), b"");
                    break;
                }
            }
        }
    }
}

/// How long nobody tries after so many failures: doubles with each, and is random in its second half, so that those who lost a
/// node together do not come back together.
fn pause(failures: u32, rng: &dyn Rng) -> Duration {
    let longest = (limits::PAUSE_FIRST * (1 << failures.saturating_sub(1).min(10))).min(limits::PAUSE_LAST);
    let half = u64::try_from(longest.as_micros()).unwrap_or(0) / 2;
    Duration::from_micros(half + rng.below(half))
}

/// What the peer says about hints.
async fn listening(mut receive: RecvStream, strange: Arc<Mutex<HashSet<u32>>>) {
    while let Some(frame) = Frame::read(&mut receive).await {
        if frame.kind == NOT_UNDERSTOOD
            && let Ok(what) = NotUnderstood::decode(frame.message)
        {
            metrics::hint("not_understood");
            strange.lock().insert(what.kind);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use runtime::SeededRng;

    #[test]
    fn pauses_double_up_to_the_longest() {
        let rng = SeededRng::new(1);
        for (failures, longest) in [(0, 50), (1, 50), (2, 100), (5, 800), (7, 3200), (8, 5000), (1000, 5000)]
        {
            let longest = Duration::from_millis(longest);
            for _ in 0..100 {
                let pause = pause(failures, &rng);
                assert!(pause >= longest / 2 && pause < longest, "{failures}: {pause:?}");
            }
        }
    }
}
