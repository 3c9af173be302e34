//! A node's life: open the store, wire the services, listen, drain, close.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use accounts::Accounts;
use admin::{Admin, Health, Probe, Registrar};
use anyhow::Context;
use kv::Database;
use net::{Certificates, Gate, Limits, Listener, ListenerOptions, Networks, Protocol, TlsAcceptor};
use runtime::{CancellationToken, Rng, SharedClock, SharedRng, Shutdown, Supervisor, SystemRng};
use schema::NodeId;
use tokio::net::TcpListener;

use crate::cluster::{self, Mesh};
use crate::config::{Config, Role};
use crate::leaving::Helm;
use crate::observing::{self, Observer, Sights};
use crate::probing::Prober;
use crate::reload::{self, Certificate, Reloader};
use crate::site::Place;
use crate::standing::Company;
use crate::wiring::{self, Services};
use crate::{http, leaving, reach, secrets, store, systemd, waiting};

/// Whether this is a demo or the real thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flavour {
    /// `godwit dev`: quick retries.
    Development,
    /// `godwit serve`.
    Production,
}

/// Connections of the admin listener.
const ADMIN_CONNECTIONS: usize = 1000;

/// A node whose store is open and whose services are wired.
pub(crate) struct Node {
    config: Config,
    db: Database,
    clock: SharedClock,
    rng: SharedRng,
    supervisor: Supervisor,
    shutdown: Shutdown,
    gate: Arc<Gate>,
    tls: TlsAcceptor,
    proxies: Networks,
    services: Services,
    reloader: Reloader,
    health: Health,
    site: Place,
    /// Once it has joined.
    mesh: OnceLock<Mesh>,
    metrics: Arc<dyn Fn() -> String + Send + Sync>,
}

/// `godwit serve`.
pub(crate) async fn serve(config: Config, file: PathBuf) -> anyhow::Result<()> {
    let node = start(config, Some(file), Flavour::Production).await?;
    let (id, listeners) = node.open().await?;
    tracing::info!(node = %id, ?listeners, version = env!("CARGO_PKG_VERSION"), "node is up");
    node.run().await
}

/// Opens the store and wires the services. Nothing listens yet. The file is what the configuration was read from.
pub(crate) async fn start(config: Config, file: Option<PathBuf>, flavour: Flavour) -> anyhow::Result<Node> {
    let log = telemetry::log(telemetry::filter(&config.log)?)?;
    let metrics = telemetry::metrics()?;
    observing::describe_metrics();
    ::http::describe_metrics();
    shard::describe_metrics();
    jmap::describe_metrics();
    oauth::describe_metrics();
    let rng = SystemRng::shared();
    #[cfg(not(feature = "faults"))]
    let clock = runtime::SystemClock::shared();
    #[cfg(feature = "faults")]
    let clock = crate::faults::clock();
    // What this process makes, mail above all, is nobody else's to read.
    rustix::process::umask(rustix::fs::Mode::RWXG | rustix::fs::Mode::RWXO);
    std::fs::create_dir_all(&config.data)
        .with_context(|| format!("cannot make {}", config.data.display()))?;
    let db = match flavour {
        Flavour::Development => store::open(&config.store, &config.data, &clock, &rng).await?,
        Flavour::Production => waiting::for_store(&config, &clock, &rng).await?,
    };
    transfer::admit(&db).await?;
    let incarnation = changes::incarnation::current(&db, &*clock, &*rng).await;
    let incarnation = incarnation.context("the store's incarnation")?.number;
    let certificates = Certificates::new(false);
    let certificate = Certificate::load(&config, &certificates)?;
    let tls = TlsAcceptor::new(Arc::clone(&certificates), &[])?;
    let shutdown = Shutdown::new();
    let supervisor = Supervisor::new(shutdown.clone());
    let (gate, proxies) = (Gate::new(reload::limits(&config)), Networks::from(reload::proxies(&config)?));
    config.body_place()?.keep(&db).await?;
    let shards = segments::shards_of(&db).await.context("the number of shards of the index")?;
    let directory = Accounts::new(db.clone(), clock.clone(), rng.clone(), wiring::account_options(&config));
    let push = webpush::secret(&directory).await.context("the key that pushes are signed with")?;
    let facts = wiring::Facts { incarnation, shards, push };
    let services = wiring::wire(&config, flavour, &db, &clock, &rng, &supervisor, facts)?;
    let others = vec![("bodies", bodies_probe(services.mail.blobs().clone()))];
    let site = Place::default();
    let probes = vec![("store", store_probe(&db)), ("site", site.probe())];
    let health = Health::new(shutdown.clone(), probes, others);
    let parts = reload::Parts {
        log,
        certificates,
        gate: Arc::clone(&gate),
        proxies: proxies.clone(),
        clients: Arc::clone(&services.clients),
        accounts: services.accounts.clone(),
        runner: services.runner.clone(),
    };
    let reloader = Reloader::new(file, config.clone(), certificate, parts);
    Ok(Node {
        config,
        db,
        clock,
        rng,
        supervisor,
        shutdown,
        gate,
        tls,
        proxies,
        services,
        reloader,
        health,
        site,
        mesh: OnceLock::new(),
        metrics,
    })
}

/// A listener: its name, where, whether TLS is implicit, what is spoken, and whose role it is.
type ListenerRow<'a> = (&'static str, &'a [SocketAddr], bool, Arc<dyn Protocol>, Role);

impl Node {
    /// The directory.
    pub(crate) fn accounts(&self) -> &Accounts {
        &self.services.accounts
    }

    /// Makes accounts with their mailboxes.
    pub(crate) fn registrar(&self) -> &dyn Registrar {
        &*self.services.registrar
    }

    /// The data directory.
    pub(crate) fn data(&self) -> &Path {
        &self.config.data
    }

    /// The certificate that clients are shown.
    pub(crate) fn certificate(&self) -> PathBuf {
        self.reloader.certificate().chain
    }

    /// Randomness fit for secrets.
    pub(crate) fn rng(&self) -> &dyn Rng {
        &*self.rng
    }

    /// Binds every listener, joins the others on the store, then begins to accept. Returns the node's id and where each
    /// listens.
    ///
    /// All are bound before the first accepts, so that a port that is taken stops the start before a client came.
    pub(crate) async fn open(&self) -> anyhow::Result<(NodeId, BTreeMap<&'static str, SocketAddr>)> {
        let mut addresses = BTreeMap::new();
        let bound = self.bind_protocols(&mut addresses)?;
        let admin = self.bind_http("admin", &self.config.listeners.admin.clone(), &mut addresses).await?;
        let id = self.join().await?.me.node;
        self.open_admin(admin, addresses.get("admin").copied())?;
        self.services.spawn(&self.supervisor);
        for listener in bound {
            listener.spawn(&self.supervisor);
        }
        self.reloader.spawn(&self.supervisor).context("signals")?;
        self.health.started();
        if let Some(mesh) = self.mesh.get() {
            mesh.online().await;
        }
        Ok((id, addresses))
    }

    fn mesh(&self) -> anyhow::Result<&Mesh> {
        self.mesh.get().context("the node has not joined")
    }

    /// Joins the others on the store.
    async fn join(&self) -> anyhow::Result<&Mesh> {
        let base = cluster::Base {
            config: &self.config,
            company: match store::is_remote(&self.config.store, &self.config.data) {
                true => Company::Shared,
                false => Company::Alone,
            },
            db: &self.db,
            clock: &self.clock,
            rng: &self.rng,
            supervisor: &self.supervisor,
            logins: &self.services.logins,
        };
        let charges = self.services.charges(&self.supervisor);
        let notify = &self.services.notify;
        let mesh = cluster::join(base, notify.route(rpc::Router::new()), charges).await?;
        mesh.attach(notify);
        reach::watch(&self.db, &mesh.ownership, &self.supervisor);
        leaving::obey_store(&mesh.ownership, &self.supervisor);
        let reloader = self.reloader.clone();
        self.site.watch(&mesh.ownership, &self.gate, move || reloader.times().lb_grace, &self.supervisor);
        Ok(self.mesh.get_or_init(|| mesh))
    }

    fn bind_protocols(
        &self,
        addresses: &mut BTreeMap<&'static str, SocketAddr>,
    ) -> anyhow::Result<Vec<Listener>> {
        let listeners = &self.config.listeners;
        let clients = &self.services.clients;
        let table: [ListenerRow<'_>; 8] = [
            ("smtp", &listeners.smtp, false, clients.smtp.clone(), Role::SmtpIn),
            ("submission", &listeners.submission, false, clients.submission.clone(), Role::Submission),
            ("submissions", &listeners.submissions, true, clients.submission.clone(), Role::Submission),
            ("lmtp", &listeners.lmtp, false, clients.lmtp.clone(), Role::SmtpIn),
            ("imap", &listeners.imap, false, clients.imap.clone(), Role::Imap),
            ("imaps", &listeners.imaps, true, clients.imap.clone(), Role::Imap),
            ("http", &listeners.http, false, clients.http.clone(), Role::Jmap),
            ("https", &listeners.https, true, clients.http.clone(), Role::Jmap),
        ];
        let mut bound = Vec::new();
        for (name, wanted, implicit_tls, protocol, role) in table {
            // Nodes of several roles may have one file: what is not this one's to do is not opened.
            for address in wanted.iter().filter(|_| self.config.cluster.has(role)) {
                let listener = self.bind(*address, implicit_tls, &protocol);
                let listener = listener.with_context(|| format!("cannot listen on {address} for {name}"))?;
                addresses.entry(name).or_insert(listener.address());
                bound.push(listener);
            }
        }
        Ok(bound)
    }

    fn bind(
        &self,
        address: SocketAddr,
        implicit_tls: bool,
        protocol: &Arc<dyn Protocol>,
    ) -> anyhow::Result<Listener> {
        let proxies = self.proxies.clone();
        let tls = Some(self.tls.for_protocol(alpn(protocol.name()))?);
        let options = ListenerOptions { address, tls, implicit_tls, proxies };
        let (gate, clock) = (Arc::clone(&self.gate), Arc::clone(&self.clock));
        Ok(Listener::bind(options, Arc::clone(protocol), gate, clock, self.shutdown.clone())?)
    }

    async fn bind_http(
        &self,
        name: &'static str,
        wanted: &[SocketAddr],
        addresses: &mut BTreeMap<&'static str, SocketAddr>,
    ) -> anyhow::Result<Vec<TcpListener>> {
        let mut bound = Vec::new();
        for address in wanted {
            let socket = TcpListener::bind(address).await;
            let socket = socket.with_context(|| format!("cannot listen on {address} for {name}"))?;
            addresses.entry(name).or_insert(socket.local_addr()?);
            bound.push(socket);
        }
        Ok(bound)
    }

    /// The admin API; its password and URL are left in the data directory for commands on this machine.
    fn open_admin(&self, sockets: Vec<TcpListener>, first: Option<SocketAddr>) -> anyhow::Result<()> {
        let data = &self.config.data;
        let make = || secrets::password(&*self.rng);
        let password = secrets::kept(&data.join(secrets::ADMIN_PASSWORD), make)?;
        if let Some(address) = first {
            secrets::write(&data.join(secrets::ADMIN_URL), format!("http://{address}"))?;
        }
        let observer = self.observe()?;
        let admin = Admin {
            accounts: self.services.accounts.clone(),
            registrar: Arc::clone(&self.services.registrar),
            mail: self.services.mail.clone(),
            spool: self.services.spool.clone(),
            rows: Arc::new(transfer::Direct::new(&self.db)),
            verifier: self.services.verifier.clone(),
            index: admin::Index {
                segments: self.services.index.segments.clone(),
                searcher: self.services.index.searcher.clone(),
            },
            leases: self.mesh()?.leases.clone(),
            cluster: Arc::new(observer),
            control: Arc::new(Helm { shutdown: self.shutdown.clone(), reloader: self.reloader.clone() }),
            health: self.health.clone(),
            password: password.into(),
            metrics: Arc::clone(&self.metrics),
        };
        // A gate of its own: probes and operators come in when users have taken every other place.
        let gate = Gate::new(Limits { connections: ADMIN_CONNECTIONS, ..Limits::default() });
        for socket in sockets {
            // The probes have to see the drain: these go on until the process stops.
            self.serve_http(socket, admin::router(admin.clone()), &gate, &self.shutdown.stop);
        }
        Ok(())
    }

    /// Begins to look at the cluster and this node in it, and to send itself mail.
    fn observe(&self) -> anyhow::Result<Observer> {
        let (services, config) = (&self.services, &self.config);
        let prober = Prober {
            accounts: services.accounts.clone(),
            registrar: Arc::clone(&services.registrar),
            delivery: services.delivery.clone(),
            mail: services.mail.clone(),
            clock: Arc::clone(&self.clock),
            rng: Arc::clone(&self.rng),
            name: config.node_name().to_owned(),
            outcome: Arc::default(),
        };
        let duties = services.charges(&self.supervisor).into_iter().flat_map(|charge| charge.duties);
        let sights = Sights {
            name: config.node_name().to_owned(),
            data: config.data.clone(),
            mesh: self.mesh()?.clone(),
            db: self.db.clone(),
            spool: services.spool.clone(),
            blobs: services.mail.blobs().clone(),
            gate: Arc::clone(&self.gate),
            reloader: self.reloader.clone(),
            clock: Arc::clone(&self.clock),
            shutdown: self.shutdown.clone(),
            duties: duties.filter(|duty| cluster::is_ours(&config.cluster, *duty)).collect(),
            looked: Arc::clone(&services.looked),
            indexer: services.index.indexer.clone(),
            mail_probe: Arc::clone(&prober.outcome),
        };
        prober.spawn(self.reloader.clone(), &self.supervisor);
        Ok(Observer::start(sights, &self.supervisor))
    }

    fn serve_http(
        &self,
        socket: TcpListener,
        router: axum::Router,
        gate: &Arc<Gate>,
        end: &CancellationToken,
    ) {
        tokio::spawn(http::serve(socket, router, Arc::clone(gate), end.clone()));
    }

    /// Runs until it is told to go (by a signal, the admin API, or in the store), then drains and closes the store.
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        let watcher = leaving::obey_signals(&self.shutdown).context("signals")?;
        systemd::up(self.shutdown.notice.clone());
        let reloader = self.reloader.clone();
        let late = leaving::end(&self.shutdown, move || reloader.times()).await;
        if !late.is_empty() {
            tracing::warn!(?late, "not everybody finished in time");
        }
        watcher.abort();
        if let Some(mesh) = self.mesh.get() {
            mesh.close();
        }
        self.db.close().await.context("closing the store")
    }
}

/// What a client of a protocol may offer by ALPN: never another protocol of ours, or what is meant for one port
/// could be led to another that has the same certificate. IANA has no name for SMTP; these are what servers use.
fn alpn(protocol: &str) -> &'static [&'static str] {
    match protocol {
        "imap" => &["imap"],
        "http" => &["h2", "http/1.1"],
        "lmtp" => &["lmtp"],
        _ => &["smtp", "esmtp"],
    }
}

/// What a self-signed certificate is for.
pub(crate) fn names(hostname: &str) -> [String; 3] {
    [hostname.to_owned(), "localhost".to_owned(), "127.0.0.1".to_owned()]
}

/// Whether larger bodies can be read and written.
fn bodies_probe(blobs: blob::Store) -> Probe {
    Arc::new(move || Box::pin(std::future::ready(blobs.trouble().map_or(Ok(()), Err))))
}

/// Whether the store answers a read.
fn store_probe(db: &Database) -> Probe {
    let db = db.clone();
    Arc::new(move || {
        let db = db.clone();
        Box::pin(async move {
            let read = db.read("probe", |txn| async move { txn.get(b"").await.map(drop) });
            read.await.map_err(|error: kv::Error| error.to_string())
        })
    })
}
