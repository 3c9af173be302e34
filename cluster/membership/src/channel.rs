//! A network in one process, for tests: it loses, repeats, delays and so reorders, and can be cut.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use runtime::SharedRng;
use tokio::sync::mpsc;

use crate::network::{Datagrams, Network};

/// Datagrams that wait at a socket; more are lost, as in a socket's buffer.
const WAITING: usize = 4096;

/// How the network treats a datagram.
#[derive(Debug, Clone, Copy, Default)]
pub struct Conditions {
    /// So many of 1,000 are lost.
    pub lost: u64,
    /// So many of 1,000 come twice.
    pub repeated: u64,
    /// Each takes up to so long; so they overtake each other.
    pub delay: Duration,
}

/// What a socket has sent and received, in datagrams and octets.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Datagrams sent.
    pub datagrams_out: u64,
    /// Octets sent.
    pub octets_out: u64,
    /// Octets received.
    pub octets_in: u64,
}

/// The network: a cheap handle.
#[derive(Clone)]
pub struct Channel {
    shared: Arc<Mutex<Shared>>,
    rng: SharedRng,
}

type Inbox = mpsc::Sender<(SocketAddr, Vec<u8>)>;

#[derive(Default)]
struct Shared {
    conditions: Conditions,
    sockets: BTreeMap<SocketAddr, Inbox>,
    /// From whom nothing comes to whom.
    cut: BTreeSet<(SocketAddr, SocketAddr)>,
    traffic: BTreeMap<SocketAddr, Traffic>,
}

impl Channel {
    /// A network that does as in `conditions`; all chance comes from `rng`.
    pub fn new(rng: SharedRng, conditions: Conditions) -> Channel {
        let shared = Shared { conditions, ..Shared::default() };
        Channel { shared: Arc::new(Mutex::new(shared)), rng }
    }

    /// From now on as in `conditions`.
    pub fn set_conditions(&self, conditions: Conditions) {
        self.shared.lock().conditions = conditions;
    }

    /// Nothing comes from one to the other any more; the other way round it does.
    pub fn cut(&self, from: SocketAddr, to: SocketAddr) {
        self.shared.lock().cut.insert((from, to));
    }

    /// Nothing comes through between these two groups.
    pub fn part(&self, one: &[SocketAddr], other: &[SocketAddr]) {
        for (a, b) in one.iter().flat_map(|a| other.iter().map(move |b| (*a, *b))) {
            self.cut(a, b);
            self.cut(b, a);
        }
    }

    /// Everything comes through again.
    pub fn mend(&self) {
        self.shared.lock().cut.clear();
    }

    /// What each socket has sent and received so far.
    pub fn traffic(&self) -> BTreeMap<SocketAddr, Traffic> {
        self.shared.lock().traffic.clone()
    }

    fn send(&self, from: SocketAddr, to: SocketAddr, datagram: &[u8]) {
        let mut shared = self.shared.lock();
        let traffic = shared.traffic.entry(from).or_default();
        traffic.datagrams_out += 1;
        traffic.octets_out += datagram.len() as u64;
        let Conditions { lost, repeated, delay } = shared.conditions;
        let Some(inbox) = shared.sockets.get(&to).cloned().filter(|_| !shared.cut.contains(&(from, to)))
        else {
            return;
        };
        if self.rng.below(1000) < lost {
            return;
        }
        let copies = if self.rng.below(1000) < repeated { 2 } else { 1 };
        shared.traffic.entry(to).or_default().octets_in += datagram.len() as u64 * copies;
        drop(shared);
        for _ in 0..copies {
            let (inbox, datagram) = (inbox.clone(), datagram.to_vec());
            let delay = Duration::from_micros(self.rng.below(u64::try_from(delay.as_micros()).unwrap_or(0)));
            if delay.is_zero() {
                let _ = inbox.try_send((from, datagram));
                continue;
            }
            tokio::spawn(async move {
                tokio::time::sleep(delay).await;
                let _ = inbox.try_send((from, datagram));
            });
        }
    }
}

#[async_trait]
impl Network for Channel {
    async fn bind(&self, address: SocketAddr) -> io::Result<Box<dyn Datagrams>> {
        let (inbox, waiting) = mpsc::channel(WAITING);
        let mut shared = self.shared.lock();
        if shared.sockets.get(&address).is_some_and(|inbox| !inbox.is_closed()) {
            return Err(io::ErrorKind::AddrInUse.into());
        }
        shared.sockets.insert(address, inbox);
        Ok(Box::new(End { channel: self.clone(), address, waiting: tokio::sync::Mutex::new(waiting) }))
    }
}

struct End {
    channel: Channel,
    address: SocketAddr,
    waiting: tokio::sync::Mutex<mpsc::Receiver<(SocketAddr, Vec<u8>)>>,
}

#[async_trait]
impl Datagrams for End {
    async fn send(&self, to: SocketAddr, datagram: &[u8]) -> io::Result<()> {
        self.channel.send(self.address, to, datagram);
        Ok(())
    }

    async fn receive(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        let received = self.waiting.lock().await.recv().await;
        let (from, datagram) = received.ok_or(io::ErrorKind::BrokenPipe)?;
        let len = datagram.len().min(buffer.len());
        buffer[..len].copy_from_slice(&datagram[..len]);
        Ok((len, from))
    }
}
