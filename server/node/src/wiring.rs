//! Which service gets which ports. This is the one place where the parts meet.

use std::sync::Arc;
use std::time::Duration;

use accounts::{Accounts, Authenticator};
use admin::Registrar;
use anyhow::Context;
use changes::LocalFeed;
use delivery::outbound::client::{ClientOptions, ClientTimeouts, Tcp, opportunistic};
use delivery::outbound::resolver::{ResolveError, Resolver, SystemResolver};
use delivery::outbound::route::Routing;
use delivery::outbound::schedule::Schedule;
use delivery::outbound::{Runner, RunnerOptions};
use delivery::{CombinerLimits, Delivery, Submissions};
use directory::Directory;
use futures::future::{BoxFuture, FutureExt};
use kv::Database;
use notify::Notify;
use ownership::Charge;
use runtime::{SharedClock, SharedRng, Supervisor};
use schema::records::push::PushSecret;
use smtp_proto::ClientName;
use spool::Spool;

use crate::clients::{Clients, Makings};
use crate::cluster::Logins;
use crate::config::Config;
use crate::index::{self, Index};
use crate::registrar::AccountsWithMail;
use crate::serve::Flavour;
use crate::signatures::{Authorities, Signatures};
use crate::store;
use crate::upkeep::{Looked, Upkeep};

/// How long a message is tried before it goes back.
const LIFETIME: Duration = Duration::from_secs(5 * 86_400);

/// The wired services.
pub(crate) struct Services {
    pub(crate) accounts: Accounts,
    pub(crate) registrar: Arc<dyn Registrar>,
    pub(crate) mail: mail::Store,
    pub(crate) spool: Spool,
    pub(crate) verifier: verify::Verifier,
    pub(crate) clients: Arc<Clients>,
    pub(crate) delivery: Delivery,
    pub(crate) runner: Runner,
    pub(crate) submissions: Submissions,
    pusher: jmap::Pusher,
    pub(crate) notify: Notify,
    pub(crate) logins: Logins,
    pub(crate) looked: Looked,
    pub(crate) index: Index,
    upkeep: Upkeep,
}

impl Services {
    /// Starts what each node does for itself without being asked.
    pub(crate) fn spawn(&self, supervisor: &Supervisor) {
        self.upkeep.spawn(supervisor);
    }

    /// What one node at a time does, and how.
    pub(crate) fn charges(&self, supervisor: &Supervisor) -> Vec<Charge> {
        vec![
            self.runner.charge(supervisor),
            self.upkeep.charge(supervisor),
            self.index.indexer.charge(supervisor),
            self.submissions.charge(supervisor),
            webpush::charge(self.pusher.clone(), supervisor),
        ]
    }
}

/// What was read of the store before anything is wired.
#[derive(Debug)]
pub(crate) struct Facts {
    /// The store's incarnation.
    pub(crate) incarnation: u64,
    /// Shards of the index.
    pub(crate) shards: u32,
    /// What pushes are signed with.
    pub(crate) push: PushSecret,
}

/// Wires everything over an open store.
pub(crate) fn wire(
    config: &Config,
    flavour: Flavour,
    db: &Database,
    clock: &SharedClock,
    rng: &SharedRng,
    supervisor: &Supervisor,
    facts: Facts,
) -> anyhow::Result<Services> {
    let blobs = bodies(config, db, clock, rng)?;
    let feed = LocalFeed::new();
    let notify = Notify::new(feed.clone(), clock.clone());
    let sink = Arc::new(notify.clone());
    let mail = mail::Store::new(db.clone(), blobs.clone(), sink.clone(), clock.clone(), rng.clone());
    let accounts =
        Accounts::new(db.clone(), clock.clone(), rng.clone(), account_options(config)).telling(sink);
    let spool = Spool::new(db.clone(), blobs.clone(), clock.clone(), rng.clone());
    let (waits, options) = (Arc::new(notify.clone()), directory::Options::default());
    let directory = Directory::new(accounts.clone(), waits, clock.clone(), rng, options);
    let directory = Arc::new(directory.context("the cost of password hashing")?);
    let authenticator: Arc<dyn Authenticator> = directory.clone();
    let delivery = Delivery::new(
        delivery::Services {
            db: db.clone(),
            accounts: accounts.clone(),
            mail: mail.clone(),
            spool: spool.clone(),
            clock: clock.clone(),
            rng: rng.clone(),
        },
        delivery::Options { hostname: config.hostname.clone(), lifetime: LIFETIME },
        CombinerLimits::default(),
        supervisor.clone(),
    );
    let (size, recipients) = (config.smtp.max_message_size.bytes(), config.smtp.max_recipients);
    let submissions = Submissions::new(delivery.clone(), size, recipients);
    let looked = Looked::default();
    let index = index::wire(config, &mail, clock, rng, facts.shards);
    let (resolver, push) = (resolver(config), config.push.options(facts.push, &config.hostname)?);
    let push = webpush::WebPush::new(push, resolver.clone(), clock.clone(), rng.clone())?;
    let makings = Makings {
        db: db.clone(),
        accounts: accounts.clone(),
        authenticator: authenticator.clone(),
        delivery: delivery.clone(),
        imap: imap::Services {
            mail: mail.clone(),
            blobs: blobs.clone(),
            accounts: accounts.clone(),
            authenticator,
            feed: Arc::new(notify.clone()),
            index: Arc::new(index.searcher.clone()),
            clock: clock.clone(),
        },
        jmap: jmap::Services {
            mail: mail.clone(),
            accounts: accounts.clone(),
            submitter: Arc::new(submissions.clone()),
            blobs: blobs.clone(),
            feed: Arc::new(notify.clone()),
            index: Arc::new(index.searcher.clone()),
            push: Arc::new(push),
            clock: clock.clone(),
            rng: rng.clone(),
            incarnation: facts.incarnation,
        },
        oauth: oauth::Services {
            accounts: accounts.clone(),
            authenticator: directory.clone(),
            rng: rng.clone(),
            clock: clock.clone(),
        },
        authorities: Authorities::read(&config.jmap.smime_authorities),
        rng: rng.clone(),
    };
    let signatures = Signatures { services: makings.jmap.clone(), authorities: makings.authorities.clone() };
    let pusher = jmap::Pusher::new(makings.jmap.clone(), jmap::Options::default());
    Ok(Services {
        pusher,
        clients: Arc::new(Clients::new(makings, config)),
        upkeep: Upkeep {
            db: db.clone(),
            blobs,
            accounts: accounts.clone(),
            mail: mail.clone(),
            spool: spool.clone(),
            feed,
            clock: clock.clone(),
            looked: looked.clone(),
            signatures,
            raise_level: config.cluster.raise_level,
        },
        looked,
        index,
        registrar: Arc::new(AccountsWithMail {
            db: db.clone(),
            accounts: accounts.clone(),
            mail: mail.clone(),
        }),
        verifier: verify::Verifier::new(accounts.clone(), mail.clone(), spool.clone()),
        mail,
        notify,
        logins: Logins::new(directory),
        runner: runner(config, flavour, &delivery, resolver)?,
        delivery,
        submissions,
        accounts,
        spool,
    })
}

/// What looks through a store that no node of this process serves.
pub(crate) fn verifier(
    config: &Config,
    db: &Database,
    clock: &SharedClock,
    rng: &SharedRng,
) -> anyhow::Result<verify::Verifier> {
    let blobs = bodies(config, db, clock, rng)?;
    // Nobody listens here: sessions of other nodes see in the store what was changed.
    let sink = Arc::new(LocalFeed::new());
    let mail = mail::Store::new(db.clone(), blobs.clone(), sink, clock.clone(), rng.clone());
    let accounts = Accounts::new(db.clone(), clock.clone(), rng.clone(), account_options(config));
    let spool = Spool::new(db.clone(), blobs, clock.clone(), rng.clone());
    Ok(verify::Verifier::new(accounts, mail, spool))
}

pub(crate) fn account_options(config: &Config) -> accounts::Options {
    accounts::Options {
        default_domain: config.auth.default_domain.clone(),
        postmaster: config.smtp.postmaster.clone(),
        ..accounts::Options::default()
    }
}

fn bodies(
    config: &Config,
    db: &Database,
    clock: &SharedClock,
    rng: &SharedRng,
) -> anyhow::Result<blob::Store> {
    let mut options = blob::Options {
        compress: config.blob.compress,
        // The embedded store compresses its values itself, and faster.
        compress_inline: config.blob.compress && store::is_remote(&config.store, &config.data),
        timeout: config.blob.timeout.get(),
        ..blob::Options::default()
    };
    if let Some(max) = config.store.inline_max {
        options.inline_max = max.bytes();
    }
    let place = config.body_place()?;
    let (db, clock, rng) = (db.clone(), clock.clone(), rng.clone());
    Ok(blob::Store::open_at(&place, &config.data, db, clock, rng, options)?)
}

fn resolver(config: &Config) -> Arc<dyn Resolver> {
    match config.delivery.resolver.map_or_else(SystemResolver::new, SystemResolver::at) {
        Ok(resolver) => Arc::new(resolver),
        Err(error) => {
            tracing::warn!(%error, "no resolver: remote mail waits in the queue, and so do pushes");
            Arc::new(NoResolver)
        }
    }
}

fn runner(
    config: &Config,
    flavour: Flavour,
    delivery: &Delivery,
    resolver: Arc<dyn Resolver>,
) -> anyhow::Result<Runner> {
    let hostname = ClientName::new(&config.hostname).context("hostname cannot be said in EHLO")?;
    let options = RunnerOptions {
        client: ClientOptions {
            hostname,
            tls: Some(opportunistic()?),
            timeouts: ClientTimeouts::default(),
            network: Arc::new(Tcp),
        },
        routing: routing(config)?,
        schedule: match flavour {
            Flavour::Development => Schedule::development(),
            Flavour::Production => Schedule::default(),
        },
    };
    Ok(Runner::new(delivery, resolver, options))
}

/// Where remote mail goes.
pub(crate) fn routing(config: &Config) -> anyhow::Result<Routing> {
    let relay = config.delivery.relay.as_deref().map(host_and_port).transpose()?;
    Ok(Routing { relay, own_names: vec![config.hostname.clone()], ..Routing::default() })
}

fn host_and_port(text: &str) -> anyhow::Result<(String, u16)> {
    let (host, port) = text.rsplit_once(':').context("a relay is HOST:PORT")?;
    Ok((host.to_owned(), port.parse().context("a relay is HOST:PORT")?))
}

/// Where the system has no resolver: nothing can be told at present.
struct NoResolver;

fn unknown<'a, T: Send + 'a>() -> BoxFuture<'a, Result<T, ResolveError>> {
    async { Err(ResolveError::Temporary("this machine has no resolver".to_owned())) }.boxed()
}

impl Resolver for NoResolver {
    fn mx<'a>(
        &'a self,
        _domain: &'a str,
    ) -> BoxFuture<'a, Result<Vec<delivery::outbound::resolver::MxRecord>, ResolveError>> {
        unknown()
    }

    fn addresses<'a>(&'a self, _host: &'a str) -> BoxFuture<'a, Result<Vec<std::net::IpAddr>, ResolveError>> {
        unknown()
    }
}
