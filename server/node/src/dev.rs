//! `godwit dev`: a demo that needs nothing. Embedded store, loopback ports, demo domain, printed credentials.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::hash::{Hash, Hasher};
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use accounts::{DomainSettings, Kind, NewAccount, PasswordHash, Secret};
use anyhow::Context;
use runtime::{HumanDuration, Rng};
use schema::records::system;
use serde::{Deserialize, Serialize};

use crate::config::{self, Config};
use crate::dev_nodes;
use crate::parent;
use crate::secrets;
use crate::serve::{self, Flavour, Node};

/// The demo domain.
const DOMAIN: &str = "example.test";
/// The host name of its nodes.
pub(crate) const HOST: &str = "mail.example.test";
/// Those who live there.
const PEOPLE: [&str; 3] = ["alice", "bob", "admin"];
/// The password of the accounts of `--users`.
const USERS_PASSWORD: &str = "secret";

/// What `godwit dev` takes.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Arguments {
    /// First of the ports: smtp +25, lmtp +24, submission +87, submissions +65, imap +43, imaps +93, http +80, https +44,
    /// admin +90, other nodes +50 and +51. 0 for any free ports
    #[arg(long, default_value_t = 2500)]
    pub(crate) port_base: u16,
    /// The store, as `embedded:DIR`, `postgres://user@host:port/database` (with `?schema=…`, to share a database) or
    /// `fdb:CLUSTER_FILE` (with `?prefix=…`, to share a cluster, and `datacenter=…`); DATA/store if absent
    #[arg(long)]
    store: Option<String>,
    /// Where larger bodies lie: a file with the settings of `[blob]`
    #[arg(long)]
    blob: Option<PathBuf>,
    /// Send all remote mail to this HOST:PORT
    #[arg(long)]
    relay: Option<String>,
    /// The DNS server that is asked where remote mail goes, as ADDRESS:PORT, instead of the system's
    #[arg(long)]
    resolver: Option<SocketAddr>,
    /// Push also to services on this machine, whose certificates an authority in this PEM file has signed
    #[arg(long, value_name = "FILE")]
    push_authority: Option<PathBuf>,
    /// Who is believed about signatures of mail (S/MIME): the certificates in this PEM file, instead of the system's
    #[arg(long, value_name = "FILE")]
    smime_authorities: Option<PathBuf>,
    /// Also make the accounts u0 to u(N-1) with the password "secret"
    #[arg(long, default_value_t = 0)]
    users: u32,
    /// So many nodes on the store, each a process, with ports 100 apart and data in DATA/n1, DATA/n2, …
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) nodes: Option<u16>,
    /// Start nodes that end again; else they stay away
    #[arg(long)]
    pub(crate) restart: bool,
    /// A network from which connections begin with a PROXY header, as a balancer's do; may be given several times
    #[arg(long = "proxy", value_name = "NETWORK")]
    proxies: Vec<String>,
    /// Names of zones: the nodes are in them by turns
    #[arg(long, value_name = "A,B,…", value_delimiter = ',')]
    zones: Vec<String>,
    /// Names of regions: the nodes are in them by turns
    #[arg(long, value_name = "A,B,…", value_delimiter = ',')]
    regions: Vec<String>,
    /// What the nodes work on; everything if absent
    #[arg(long, value_name = "A,B,…", value_delimiter = ',')]
    roles: Vec<config::Role>,
    /// How long a node that ends gives its clients to finish
    #[arg(long, default_value = "5s")]
    drain_grace: HumanDuration,
    /// How long it serves on before that, not ready any more, for load balancers to see it
    #[arg(long, default_value = "0s")]
    lb_grace: HumanDuration,
    /// It ends when its standard input does: with the process that started it
    #[arg(long, hide = true)]
    with_parent: bool,
    /// Where listeners are, as name=address, instead of by the port base
    #[arg(long, hide = true, value_delimiter = ',')]
    listen: Vec<String>,
}

impl Arguments {
    /// The store's section of the configuration.
    pub(crate) fn store(&self) -> config::Store {
        config::Store { url: self.store.clone(), ..config::Store::default() }
    }

    /// The words by which one of several nodes is told the same.
    pub(crate) fn passed_on(&self, number: u16, port_base: u16) -> Vec<OsString> {
        let mut words = vec!["--port-base".into(), port_base.to_string().into()];
        words.extend(["--users".into(), self.users.to_string().into()]);
        words.extend(["--drain-grace".into(), self.drain_grace.to_string().into()]);
        words.extend(["--lb-grace".into(), self.lb_grace.to_string().into()]);
        let named = [("--store", self.store.as_ref()), ("--relay", self.relay.as_ref())];
        for (name, value) in named.into_iter().filter_map(|(name, value)| Some((name, value?))) {
            words.extend([name.into(), value.into()]);
        }
        if let Some(address) = self.resolver {
            words.extend(["--resolver".into(), address.to_string().into()]);
        }
        for network in &self.proxies {
            words.extend(["--proxy".into(), network.into()]);
        }
        for (option, names) in [("--zones", &self.zones), ("--regions", &self.regions)] {
            if let Some(name) = names.get(usize::from(number.saturating_sub(1)) % names.len().max(1)) {
                words.extend([option.into(), name.into()]);
            }
        }
        if let Some(file) = &self.blob {
            words.extend(["--blob".into(), file.into()]);
        }
        if let Some(file) = &self.push_authority {
            words.extend(["--push-authority".into(), file.into()]);
        }
        if let Some(file) = &self.smime_authorities {
            words.extend(["--smime-authorities".into(), file.into()]);
        }
        words
    }
}

/// What is printed with `--json`: one document on one line.
#[derive(Debug, Serialize)]
struct Announcement<'a> {
    node: u32,
    listeners: &'a BTreeMap<&'static str, SocketAddr>,
    accounts: &'a [DemoAccount],
    certificate: &'a Path,
}

/// A demo account.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct DemoAccount {
    address: String,
    password: String,
}

/// Runs the demo until it is told to stop.
pub(crate) async fn run(arguments: Arguments, shared: ctl::Connection) -> anyhow::Result<()> {
    if arguments.with_parent {
        parent::end_with_input()?;
    }
    if arguments.nodes.is_some() {
        return dev_nodes::run(arguments, &shared.data, shared.json).await;
    }
    let config = configuration(&arguments, &shared.data)?;
    let node = serve::start(config, None, Flavour::Development).await?;
    let people = people(&node).await?;
    populate(&node, &people, arguments.users).await?;
    let (id, listeners) = node.open().await?;
    announce(&node, id.0, &listeners, &people, shared.json)?;
    node.run().await
}

fn configuration(arguments: &Arguments, data: &Path) -> anyhow::Result<Config> {
    let at = |name: &str, offset: u16| -> anyhow::Result<Vec<SocketAddr>> {
        let named = arguments.listen.iter().find_map(|listen| listen.strip_prefix(name)?.strip_prefix('='));
        if let Some(address) = named {
            return Ok(vec![address.parse().with_context(|| address.to_owned())?]);
        }
        let port = match arguments.port_base {
            0 => 0,
            base => base.checked_add(offset).context("the port base is too high")?,
        };
        Ok(vec![SocketAddr::from((Ipv4Addr::LOCALHOST, port))])
    };
    let listeners = config::Listeners {
        smtp: at("smtp", 25)?,
        submission: at("submission", 87)?,
        submissions: at("submissions", 65)?,
        lmtp: at("lmtp", 24)?,
        imap: at("imap", 43)?,
        imaps: at("imaps", 93)?,
        http: at("http", 80)?,
        https: at("https", 44)?,
        admin: at("admin", 90)?,
        proxies: arguments.proxies.clone(),
    };
    let listen = at("cluster", 50)?.first().copied().context("no address for other nodes")?;
    let [zone, region] =
        [&arguments.zones, &arguments.regions].map(|names| names.first().cloned().unwrap_or_default());
    Ok(Config {
        hostname: HOST.to_owned(),
        node: Some(node_name(data)?),
        data: PathBuf::from(data),
        store: arguments.store(),
        blob: blob(arguments.blob.as_deref())?,
        cluster: config::Cluster {
            listen,
            zone,
            region,
            roles: arguments.roles.clone(),
            ..config::Cluster::default()
        },
        listeners,
        tls: config::TlsFiles::default(),
        auth: config::Auth { default_domain: Some(DOMAIN.to_owned()), plaintext_on_loopback: true },
        smtp: config::Smtp::default(),
        jmap: jmap(arguments.smime_authorities.as_ref()),
        push: push(arguments.push_authority.as_ref()),
        oauth: config::OAuth::default(),
        search: config::Search::default(),
        delivery: config::Delivery { relay: arguments.relay.clone(), resolver: arguments.resolver },
        limits: config::Limits::default(),
        probe: config::Probe::NONE,
        log: "warn".to_owned(),
        drain_grace: arguments.drain_grace,
        lb_grace: arguments.lb_grace,
    })
}

/// Demos that share a store have folders of their own, and so names of their own, the same over restarts.
fn node_name(data: &Path) -> anyhow::Result<String> {
    let mut hash = std::hash::DefaultHasher::new();
    std::path::absolute(data).with_context(|| data.display().to_string())?.hash(&mut hash);
    Ok(format!("dev-{:016x}", hash.finish()))
}

fn jmap(authorities: Option<&PathBuf>) -> config::Jmap {
    let jmap = config::Jmap::default();
    config::Jmap { smime_authorities: authorities.cloned().unwrap_or(jmap.smime_authorities), ..jmap }
}

fn push(authority: Option<&PathBuf>) -> config::Push {
    let networks = authority.iter().flat_map(|_| net::Network::loopback());
    let networks = networks.map(|network| network.to_string()).collect();
    config::Push { networks, authorities: authority.cloned(), ..config::Push::default() }
}

fn blob(file: Option<&Path>) -> anyhow::Result<config::Blob> {
    let Some(file) = file else { return Ok(config::Blob::default()) };
    config::Blob::load(file).with_context(|| file.display().to_string())
}

/// The people and their passwords, which are kept in the store: they stay the same over restarts, from any data directory.
async fn people(node: &Node) -> anyhow::Result<Vec<DemoAccount>> {
    let make = |name: &&str| system::DemoAccount {
        address: format!("{name}@{DOMAIN}"),
        password: secrets::password(node.rng() as &dyn Rng),
    };
    let fresh = &system::Demo { accounts: PEOPLE.iter().map(make).collect() };
    let demo = node.accounts().demo(fresh).await?;
    let shown =
        |account: system::DemoAccount| DemoAccount { address: account.address, password: account.password };
    Ok(demo.accounts.into_iter().map(shown).collect())
}

/// Makes what is not there yet: an earlier demo's accounts and mail stay.
async fn populate(node: &Node, people: &[DemoAccount], users: u32) -> anyhow::Result<()> {
    let directory = node.accounts();
    if directory.domain(DOMAIN).await?.is_none() {
        made(directory.create_domain(DOMAIN, DomainSettings::default()).await)?;
    }
    for person in people {
        if directory.find(&person.address).await?.is_none() {
            let hash = directory.hash_password(&Secret::new(person.password.as_str())).await?;
            create(node, &person.address, hash).await?;
        }
    }
    if let Some(admin) = directory.find(&format!("admin@{DOMAIN}")).await?
        && directory.find(&format!("postmaster@{DOMAIN}")).await?.is_none()
    {
        // RFC 5321 §4.5.1: there is always somebody who reads the postmaster's mail.
        made(directory.add_alias(admin.id, &format!("postmaster@{DOMAIN}")).await)?;
    }
    // One hash for all of them: they share the password, and hashing is slow on purpose.
    let mut shared: Option<PasswordHash> = None;
    for n in 0..users {
        let address = format!("u{n}@{DOMAIN}");
        if directory.find(&address).await?.is_none() {
            let hash = match &shared {
                Some(hash) => hash.clone(),
                None => shared.insert(directory.hash_password(&Secret::new(USERS_PASSWORD)).await?).clone(),
            };
            create(node, &address, hash).await?;
        }
    }
    Ok(())
}

/// Another node on the same store may have made it meanwhile.
fn made<T>(result: Result<T, accounts::Error>) -> Result<(), accounts::Error> {
    match result {
        Ok(_) | Err(accounts::Error::AlreadyExists(_)) => Ok(()),
        Err(error) => Err(error),
    }
}

async fn create(node: &Node, address: &str, hash: PasswordHash) -> anyhow::Result<()> {
    let new = NewAccount { password: Some(hash), ..NewAccount::new(Kind::Person, address) };
    Ok(made(node.registrar().create(&new).await)?)
}

/// For people to read.
pub(crate) fn list_accounts(out: &mut impl Write, accounts: &[DemoAccount]) -> std::io::Result<()> {
    writeln!(out, "\nACCOUNT               PASSWORD")?;
    accounts.iter().try_for_each(|account| writeln!(out, "{:<20}  {}", account.address, account.password))
}

fn announce(
    node: &Node,
    id: u32,
    listeners: &BTreeMap<&'static str, SocketAddr>,
    accounts: &[DemoAccount],
    json: bool,
) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    if json {
        let announcement = Announcement { node: id, listeners, accounts, certificate: &node.certificate() };
        writeln!(out, "{}", serde_json::to_string(&announcement)?)?;
        return Ok(out.flush()?);
    }
    writeln!(out, "LISTENER      ADDRESS")?;
    for (name, address) in listeners {
        writeln!(out, "{name:<12}  {address}")?;
    }
    list_accounts(&mut out, accounts)?;
    writeln!(out, "\ncertificate  {}", node.certificate().display())?;
    writeln!(
        out,
        "admin API    user admin, password in {}",
        node.data().join(secrets::ADMIN_PASSWORD).display()
    )?;
    Ok(out.flush()?)
}
