//! This node among the others.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use leases::Secrets;
use parking_lot::Mutex;
use prost::Message as _;
use quinn::{ClientConfig, Connection, Endpoint, EndpointConfig, ServerConfig, VarInt};
use runtime::{SharedClock, SharedRng, Supervisor, TaskKind};
use schema::NodeId;
use tokio::sync::{Semaphore, watch};
use tokio::time::timeout;

use crate::authority::Credentials;
use crate::frame::{Answer, Frame};
use crate::peer::Peer;
use crate::{Call, Error, Message, Router, limits, listen, metrics, tls};

/// How often it is looked whether a certificate or connection has to go.
const UPKEEP: Duration = Duration::from_secs(30);

/// A connection that nobody wants for so long is ended.
const IDLE: Duration = Duration::from_secs(120);

/// Where nodes answer.
pub trait Addresses: Send + Sync {
    /// The node's address, if it is known.
    fn address(&self, node: NodeId) -> Option<SocketAddr>;
}

/// What a node needs to talk to others.
pub struct Config {
    /// Who it is.
    pub node: NodeId,
    /// Its program's version, for people to read.
    pub version: String,
    /// Where to listen (UDP).
    pub listen: SocketAddr,
    /// A socket that is bound there already, for who has to know its port before anybody calls.
    pub socket: Option<UdpSocket>,
    /// How long its certificates are good; each is replaced after a third of that.
    pub valid: Duration,
}

impl Config {
    /// Certificates for a week.
    pub fn new(node: NodeId, version: impl Into<String>, listen: SocketAddr) -> Config {
        Config { node, version: version.into(), listen, socket: None, valid: Duration::from_secs(7 * 86_400) }
    }
}

/// This node among the others: a cheap handle.
#[derive(Clone)]
pub struct Rpc {
    shared: Arc<Shared>,
}

pub(crate) struct Shared {
    pub me: NodeId,
    pub version: String,
    pub endpoint: Endpoint,
    pub addresses: Arc<dyn Addresses>,
    pub router: Router,
    pub supervisor: Supervisor,
    pub clock: SharedClock,
    pub rng: SharedRng,
    pub answering: Semaphore,
    pub slots: Arc<Semaphore>,
    /// Connections of others, by quinn's number.
    pub inbound: Mutex<HashMap<usize, Connection>>,
    valid: Duration,
    secrets: watch::Receiver<Arc<Secrets>>,
    identity: Mutex<Arc<Identity>>,
    peers: Mutex<HashMap<NodeId, Arc<Peer>>>,
}

/// Credentials, and what was made of them.
struct Identity {
    credentials: Credentials,
    client: ClientConfig,
}

impl Shared {
    /// What to connect with: the configuration, and the cluster's name in certificates.
    pub(crate) fn client(&self) -> (ClientConfig, String) {
        let identity = Arc::clone(&self.identity.lock());
        (identity.client.clone(), identity.credentials.cluster.clone())
    }

    pub(crate) fn cluster(&self) -> String {
        self.identity.lock().credentials.cluster.clone()
    }

    fn peer(self: &Arc<Self>, node: NodeId) -> Arc<Peer> {
        let mut peers = self.peers.lock();
        Arc::clone(peers.entry(node).or_insert_with(|| Peer::new(node, Arc::clone(self))))
    }
}

impl Rpc {
    /// Listens, and answers as `router` says. Certificates follow `secrets`, as they are in the store.
    ///
    /// # Errors
    /// [`Error::Bind`], [`Error::Certificates`].
    pub fn start(
        config: Config,
        secrets: watch::Receiver<Arc<Secrets>>,
        addresses: Arc<dyn Addresses>,
        router: Router,
        supervisor: &Supervisor,
        (clock, rng): (SharedClock, SharedRng),
    ) -> Result<Rpc, Error> {
        let now = clock.now();
        let known = Arc::clone(&secrets.borrow());
        let credentials = Credentials::issue(&known, config.node, now, config.valid, &*rng)?;
        let server = tls::server(&credentials, &clock)?;
        let endpoint = endpoint(server, config.listen, config.socket)
            .map_err(|error| Error::Bind { address: config.listen, reason: error.to_string() })?;
        let client = tls::client(&credentials, &clock)?;
        let shared = Arc::new(Shared {
            me: config.node,
            version: config.version,
            endpoint,
            addresses,
            router,
            supervisor: supervisor.clone(),
            clock,
            rng,
            answering: Semaphore::new(limits::CALLS),
            slots: Arc::new(Semaphore::new(limits::CONNECTIONS)),
            inbound: Mutex::default(),
            valid: config.valid,
            secrets,
            identity: Mutex::new(Arc::new(Identity { credentials, client })),
            peers: Mutex::default(),
        });
        let rpc = Rpc { shared };
        supervisor.spawn(TaskKind::Background, "rpc.listen", listen::accepting(Arc::clone(&rpc.shared)));
        let upkeep = rpc.clone();
        supervisor.spawn_recurring("rpc.upkeep", UPKEEP, move || {
            let rpc = upkeep.clone();
            async move {
                rpc.sweep().await;
                rpc.rotate().await
            }
        });
        Ok(rpc)
    }

    /// Where it listens.
    ///
    /// # Errors
    /// [`Error::Bind`] if the system does not say.
    pub fn local(&self) -> Result<SocketAddr, Error> {
        let none = SocketAddr::from(([0, 0, 0, 0], 0));
        let wrong = |error: std::io::Error| Error::Bind { address: none, reason: error.to_string() };
        self.shared.endpoint.local_addr().map_err(wrong)
    }

    /// Asks a node, and waits for its answer for at most `deadline`. A call that is dropped is given up there too.
    ///
    /// # Errors
    /// As they are.
    pub async fn call<M: Call>(
        &self,
        to: NodeId,
        message: &M,
        deadline: Duration,
    ) -> Result<M::Reply, Error> {
        let begun = self.shared.clock.monotonic();
        let result = self.exchange(to, message, deadline.min(limits::DEADLINE)).await;
        let outcome = match &result {
            Ok(_) => "ok",
            Err(Error::Deadline(_)) => "late",
            Err(Error::Busy(_)) => "busy",
            Err(Error::NotUnderstood { .. }) => "not_understood",
            Err(Error::Refused { .. }) => "refused",
            Err(_) => "failed",
        };
        metrics::called(to, M::NAME, outcome, self.shared.clock.monotonic().saturating_sub(begun));
        result
    }

    async fn exchange<M: Call>(
        &self,
        to: NodeId,
        message: &M,
        deadline: Duration,
    ) -> Result<M::Reply, Error> {
        let octets = encoded(message)?;
        let answer = if to == self.shared.me {
            let answering = self.shared.router.answer(to, M::KIND, octets.into());
            timeout(deadline, answering).await.map_err(|_| Error::Deadline(to))?
        } else {
            self.shared.peer(to).call(M::KIND, octets, deadline).await?
        };
        match answer {
            Answer::Done(reply) => M::Reply::decode(reply).map_err(|_| Error::Answer(to)),
            Answer::NotUnderstood => Err(Error::NotUnderstood { node: to, message: M::NAME }),
            Answer::Busy => Err(Error::Busy(to)),
            Answer::Refused(refusal) => Err(Error::Refused { node: to, refusal }),
            Answer::Unreadable => Err(Error::Answer(to)),
        }
    }

    /// Tells a node something. It waits in the queue; whether it arrives, nobody says.
    ///
    /// # Errors
    /// [`Error::NotUnderstood`] if the node has said so of this message before ([`Message::MUST`]); [`Error::TooLong`].
    pub fn hint<M: Message>(&self, to: NodeId, message: &M) -> Result<(), Error> {
        let octets = encoded(message)?;
        if to == self.shared.me {
            if let Some(taking) = self.shared.router.hear(to, M::KIND, octets.into()) {
                self.shared.supervisor.spawn(TaskKind::Session, "rpc.hint", taking);
            }
            return Ok(());
        }
        let frame = Frame { kind: M::KIND, must: M::MUST, message: octets.into() };
        let queued = self.shared.peer(to).hint(M::KIND, frame.encode());
        if queued { Ok(()) } else { Err(Error::NotUnderstood { node: to, message: M::NAME }) }
    }

    /// QUIC's estimate of the round trip to a node, while there is a connection to it.
    pub fn round_trip(&self, to: NodeId) -> Option<Duration> {
        let peer = self.shared.peers.lock().get(&to).cloned();
        peer?.round_trip()
    }

    /// QUIC's estimate of the round trip to each node there is a connection to.
    pub fn round_trips(&self) -> BTreeMap<NodeId, Duration> {
        let peers = self.shared.peers.lock();
        peers.iter().filter_map(|(node, peer)| Some((*node, peer.round_trip()?))).collect()
    }

    /// When this node's certificate ends to be good, unless it is renewed before, as it is.
    pub fn certificate_ends(&self) -> runtime::Timestamp {
        self.shared.identity.lock().credentials.ends
    }

    /// Takes new credentials if they are due or the cluster's authorities have changed. Happens by itself now and then; a node
    /// that sees the secrets change calls it at once.
    ///
    /// # Errors
    /// [`Error::Certificates`]; the former ones stay in use.
    pub async fn rotate(&self) -> Result<(), Error> {
        let shared = &self.shared;
        let secrets = Arc::clone(&shared.secrets.borrow());
        let now = shared.clock.now();
        let former = Arc::clone(&shared.identity.lock());
        if !former.credentials.are_due(now, &secrets) {
            return Ok(());
        }
        let credentials = Credentials::issue(&secrets, shared.me, now, shared.valid, &*shared.rng)?;
        let server = tls::server(&credentials, &shared.clock)?;
        let client = tls::client(&credentials, &shared.clock)?;
        let distrusted = former.credentials.roots.iter().any(|root| !credentials.roots.contains(root));
        shared.endpoint.set_server_config(Some(server));
        *shared.identity.lock() = Arc::new(Identity { credentials, client });
        tracing::info!(distrusted, "new certificate for other nodes");
        if distrusted {
            self.disconnect().await;
        }
        Ok(())
    }

    /// Ends all connections; those that are wanted are made again.
    async fn disconnect(&self) {
        let inbound: Vec<Connection> = self.shared.inbound.lock().values().cloned().collect();
        inbound.iter().for_each(|connection| connection.close(VarInt::from_u32(0), b"authorities changed"));
        let peers: Vec<Arc<Peer>> = self.shared.peers.lock().values().cloned().collect();
        for peer in peers {
            peer.disconnect().await;
        }
    }

    async fn sweep(&self) {
        for (node, time) in self.round_trips() {
            metrics::round_trip(node, time);
        }
        let idle: Vec<Arc<Peer>> = {
            let mut peers = self.shared.peers.lock();
            let idle = peers.values().filter(|peer| peer.is_idle(IDLE)).cloned().collect();
            peers.retain(|_, peer| !peer.is_idle(IDLE));
            idle
        };
        for peer in idle {
            peer.stop();
            peer.disconnect().await;
        }
    }

    /// Says goodbye on all connections. Nothing can be said afterwards.
    pub fn close(&self) {
        self.shared.peers.lock().drain().for_each(|(_, peer)| peer.stop());
        self.shared.endpoint.close(VarInt::from_u32(0), b"closing");
    }
}

fn endpoint(server: ServerConfig, listen: SocketAddr, socket: Option<UdpSocket>) -> io::Result<Endpoint> {
    let Some(socket) = socket else { return Endpoint::server(server, listen) };
    let runtime = quinn::default_runtime().ok_or_else(|| io::Error::other("no runtime"))?;
    Endpoint::new(EndpointConfig::default(), Some(server), socket, runtime)
}

fn encoded(message: &impl Message) -> Result<Vec<u8>, Error> {
    let octets = message.encode_to_vec();
    if octets.len() > limits::MESSAGE { Err(Error::TooLong(octets.len())) } else { Ok(octets) }
}
