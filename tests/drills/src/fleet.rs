//! Nodes that share a store, each with a next server of its own for remote mail: what the drills of the cluster are about.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use harness::wait::until;
use harness::{Http, Imap, Node, NodeOptions, Smtp};
use servers::PostgreSql;
use servers::postgres::QUICK;

use crate::backend::{Kind, Server};
use crate::dns::Dns;
use crate::net::Networks;
use crate::oracle::{Ledger, Load, Mix};
use crate::remote::{Fate, Mailer, Waits};
use crate::sessions::Readers;
use crate::sink::{Event, HELD, Sinks};
use crate::table::Table;

/// Nodes.
pub(crate) const NODES: usize = 3;
/// Each node's senders, and what they send.
pub(crate) const MIX: Mix = Mix { senders: 1, users: 4, size: 2_000, large: 20_000 };
/// Whose mail nobody else is sent: for those who wait for it.
const ALONE: usize = MIX.users;
/// The network of the store, behind those of the nodes.
pub(crate) const STORE: usize = NODES;

/// Something that was done to a node.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Struck {
    pub(crate) node: usize,
    pub(crate) from: Instant,
    /// When it was over; what is not over yet has none.
    pub(crate) to: Option<Instant>,
    /// For how long the node may still be told that a message was taken, and cannot write it down: none once it is dead.
    pub(crate) lingers: Duration,
}

impl Struck {
    /// Until when it may have been told so.
    pub(crate) fn until(&self) -> Instant {
        self.from + self.lingers
    }
}

/// Several nodes on a store.
pub(crate) struct Fleet {
    pub(crate) nodes: Vec<Node>,
    pub(crate) sinks: Sinks,
    /// What was done to whom.
    pub(crate) struck: Vec<Struck>,
    pub(crate) store: Server,
    /// Where each is, if not all are here.
    pub(crate) networks: Option<Networks>,
}

/// All that is done on a fleet all the time.
pub(crate) struct Bustle {
    pub(crate) ledger: Ledger,
    pub(crate) readers: Readers,
    loads: Vec<Load>,
    mailer: Mailer,
}

impl Fleet {
    /// On a new store; `None` where it is not installed.
    pub(crate) fn start(kind: Kind, options: &NodeOptions) -> anyhow::Result<Option<Self>> {
        let Some(store) = Server::start(kind) else { return Ok(None) };
        Fleet::with(store, options).map(Some)
    }

    /// On a store that has nothing in it.
    pub(crate) fn with(store: Server, options: &NodeOptions) -> anyhow::Result<Self> {
        Fleet::with_each(store, |_| options.clone())
    }

    /// The same, each node with options of its own.
    pub(crate) fn with_each(store: Server, options: impl Fn(usize) -> NodeOptions) -> anyhow::Result<Self> {
        let mut fleet = Fleet::on(store);
        let url = fleet.store.url("fleet");
        for node in 0..NODES {
            fleet.add(node, &url, Vec::new(), &options(node))?;
        }
        Ok(fleet)
    }

    /// On PostgreSQL, all in networks of their own, where they may have a DNS, which finds the next servers; `None` where that
    /// cannot be had.
    pub(crate) fn start_apart(dns: Option<&Dns>) -> anyhow::Result<Option<Self>> {
        let Some(networks) = Networks::new(NODES + 1) else { return Ok(None) };
        let (dir, address) = (tempfile::tempdir()?, networks.address(STORE));
        let hba = dir.path().join("hba.conf");
        std::fs::write(&hba, "local all all trust\nhost all all 0.0.0.0/0 trust\n")?;
        open_to_all(dir.path())?;
        let (hba, listen) =
            (format!("hba_file={}", hba.display()), format!("listen_addresses=127.0.0.1,{address}"));
        let started = networks.start(STORE, move || {
            let settings: Vec<&str> = QUICK.iter().copied().chain([hba.as_str(), listen.as_str()]).collect();
            PostgreSql::start(&settings)
        })?;
        let Some(server) = started else { return Ok(None) };
        let url = format!("postgres://godwit@{address}:{}/postgres?sslmode=disable", server.port());
        let mut fleet = Fleet::on(Server::Postgres(server));
        fleet.networks = Some(networks);
        let names = ["smtp", "submission", "submissions", "lmtp", "imap", "imaps", "http", "admin"];
        for node in 0..NODES {
            // Clients are on the node's side of every cut.
            let mut listen: Vec<String> =
                names.iter().zip(2001..).map(|(name, port)| format!("{name}=127.0.0.1:{port}")).collect();
            let own = fleet.networks.as_ref().context("no networks")?.address(node);
            listen.push(format!("cluster={own}:7400"));
            let resolver = dns.map(|dns| fleet.name_server(node, dns)).transpose()?;
            fleet.add(node, &url, listen, &NodeOptions { resolver, ..NodeOptions::default() })?;
        }
        Ok(Some(fleet))
    }

    fn on(store: Server) -> Self {
        Fleet { nodes: Vec::new(), sinks: Sinks::default(), struck: Vec::new(), networks: None, store }
    }

    /// A DNS server beside a node, and a next server where it says that mail goes.
    fn name_server(&self, number: usize, dns: &Dns) -> anyhow::Result<String> {
        const ADDRESS: &str = "127.0.0.1:5353";
        self.within(number, || {
            dns.serve_at(ADDRESS)?;
            self.sinks.open_at(number, "127.0.0.1:25")?;
            Ok(ADDRESS.to_owned())
        })?
    }

    fn add(
        &mut self,
        number: usize,
        url: &str,
        listen: Vec<String>,
        options: &NodeOptions,
    ) -> anyhow::Result<()> {
        let sinks = self.sinks.clone();
        let options = options.clone();
        let node = self.within(number, move || {
            let relay = options.resolver.is_none().then(|| sinks.open(number)).transpose()?;
            Node::start(NodeOptions {
                users: options.users.max(ALONE as u32 + 1),
                relay,
                store: Some(url.to_owned()),
                same_ports: true,
                listen,
                ..options
            })
        })??;
        self.nodes.push(node);
        Ok(())
    }

    /// Does something where a node is.
    pub(crate) fn within<T: Send>(&self, node: usize, work: impl FnOnce() -> T + Send) -> anyhow::Result<T> {
        match &self.networks {
            Some(networks) => networks.within(node, work),
            None => Ok(work()),
        }
    }

    /// A node.
    pub(crate) fn node(&self, number: usize) -> anyhow::Result<&Node> {
        self.nodes.get(number).context("no such node")
    }

    /// The same, to do something to it.
    pub(crate) fn node_mut(&mut self, number: usize) -> anyhow::Result<&mut Node> {
        self.nodes.get_mut(number).context("no such node")
    }

    /// Senders, readers and remote mail on all nodes, once there is a message to read.
    pub(crate) fn bustle(&self) -> anyhow::Result<Bustle> {
        let (ledger, mut readers, mut mailer) = (Ledger::default(), Readers::default(), Mailer::new());
        let mut loads = Vec::new();
        for (number, node) in self.nodes.iter().enumerate() {
            loads.push(self.within(number, || ledger.load(node, MIX))?);
            self.within(number, || {
                readers.read(number, node);
                mailer.send_to(node);
            })?;
        }
        let bustle = Bustle { ledger, readers, loads, mailer };
        self.wait_for_remote(Instant::now())?;
        Ok(bustle)
    }

    /// Waits until each node sends remote mail on.
    pub(crate) fn wait_for_remote(&self, since: Instant) -> anyhow::Result<()> {
        let mut idle = Vec::new();
        until("remote mail by all nodes", || {
            let events = self.sinks.since(since);
            // What is put off again and again shows nothing of the rest.
            let sends = |event: &Event| !event.domain.starts_with(HELD);
            let works = |node| events.iter().any(|event| event.node == node && sends(event));
            idle = (0..self.nodes.len()).filter(|node| !works(*node)).collect();
            Ok(idle.is_empty().then_some(()))
        })
        .with_context(|| {
            let health: Vec<_> = (0..self.nodes.len()).map(|node| self.health(node)).collect();
            format!("none by nodes {idle:?}; their health: {health:?}")
        })
    }

    /// A node is hit now.
    pub(crate) fn hit(&mut self, node: usize, lingers: Duration) -> Instant {
        let from = Instant::now();
        self.struck.push(Struck { node, from, to: None, lingers });
        from
    }

    /// What was done to a node is over.
    pub(crate) fn over(&mut self, node: usize) {
        let now = Instant::now();
        self.struck.iter_mut().filter(|s| s.node == node && s.to.is_none()).for_each(|s| s.to = Some(now));
    }

    /// Kills a node; when that was.
    pub(crate) fn kill(&mut self, number: usize) -> anyhow::Result<Instant> {
        let at = self.hit(number, Duration::ZERO);
        self.node_mut(number)?.kill()?;
        Ok(at)
    }

    /// Starts a node again, and says how long that took up to its first banner.
    pub(crate) fn revive(&mut self, number: usize) -> anyhow::Result<Duration> {
        let begun = Instant::now();
        let mut node = self.nodes.remove(number);
        let started = self.within(number, || {
            node.start_again()?;
            Smtp::connect(node.listener("smtp")).map(drop)
        });
        self.nodes.insert(number, node);
        started??;
        self.over(number);
        Ok(begun.elapsed())
    }

    /// The codes of what is wrong, by `/cluster/health` of a node; `None` if there is no such thing.
    pub(crate) fn health(&self, number: usize) -> anyhow::Result<Option<Vec<String>>> {
        let admin = self.node(number)?.listener("admin").to_owned();
        let answer = self.within(number, || Http::new(&admin).get("/cluster/health"))??;
        if answer.status == 404 {
            return Ok(None);
        }
        let health = answer.json();
        let reasons = health["reasons"].as_array().context("no reasons")?;
        Ok(Some(reasons.iter().filter_map(|reason| Some(reason["code"].as_str()?.to_owned())).collect()))
    }

    /// The status of a node's `/readyz`.
    pub(crate) fn ready(&self, number: usize) -> anyhow::Result<u16> {
        let admin = self.node(number)?.listener("admin").to_owned();
        Ok(self.within(number, || Http::new(&admin).get("/readyz"))??.status)
    }

    /// How often a node found that it had no lease any more.
    pub(crate) fn rejoined(&self) -> anyhow::Result<usize> {
        let logs = self.nodes.iter().map(Node::log).collect::<anyhow::Result<Vec<String>>>()?;
        Ok(logs.iter().map(|log| log.matches("joining again").count()).sum())
    }

    /// From a 250 on one node to the word of it in a session that idles on another.
    pub(crate) fn push(&self, ledger: &Ledger, from: usize, to: usize) -> anyhow::Result<Duration> {
        let (taker, reader) = (self.node(from)?, self.node(to)?);
        let mut idle = self.within(to, || -> anyhow::Result<Imap> {
            let mut imap = Imap::login(reader.listener("imap"), &format!("u{ALONE}"), "secret")?;
            imap.must("SELECT INBOX")?;
            imap.line.send_line("i IDLE")?;
            while !imap.line.read_line()?.starts_with(b"+ ") {}
            Ok(imap)
        })??;
        self.within(from, || -> anyhow::Result<Duration> {
            let mut smtp = Smtp::connect(taker.listener("smtp"))?;
            ensure!(ledger.send_one(&mut smtp, ALONE, MIX.size)?, "it was not taken");
            let begun = Instant::now();
            while !idle.line.read_line()?.ends_with(b"EXISTS") {}
            Ok(begun.elapsed())
        })?
    }
}

impl Bustle {
    /// How long after `at`, when a node was hit, others first tried each destination that was its own until then.
    pub(crate) fn takeover(&self, fleet: &Fleet, node: usize, at: Instant) -> anyhow::Result<Vec<Duration>> {
        self.mailer.takeover(fleet, node, at)
    }

    /// How long remote mail waited that was submitted since then.
    pub(crate) fn waits(&self, fleet: &Fleet, since: Instant) -> Waits {
        self.mailer.waits(fleet, since)
    }

    /// Ends all of it, and says in rows what holds after every drill.
    pub(crate) fn end(
        mut self,
        fleet: &Fleet,
        table: &mut Table,
        kind: Kind,
        when: &str,
    ) -> anyhow::Result<()> {
        let (calm, longest, trouble) = self.readers.stop(&fleet.struck);
        let fate = self.mailer.stop(fleet);
        for load in self.loads {
            load.stop();
        }
        let figure = format!(
            "{calm} commands, longest {longest:.1?}; {} not well {:?}",
            trouble.len(),
            trouble.first()
        );
        table.row(
            kind.name(),
            &format!("{when}: sessions on other nodes undisturbed"),
            &figure,
            trouble.is_empty(),
        );
        let Fate { acknowledged, lost, in_window, window, twice } = fate;
        let figure = format!(
            "{acknowledged} acknowledged: lost {lost}, twice {twice}; {in_window} more, answered at most {window:.0?} before"
        );
        let criterion =
            format!("{when}: remote mail lost 0, twice only in the window between answer and record");
        table.row(kind.name(), &criterion, &figure, lost == 0 && twice == 0);
        let node = fleet.node(0)?;
        let wrong = fleet.within(0, || self.ledger.check(node, ALONE + 1))??;
        let refused = self.ledger.refused();
        let figure = format!(
            "{} messages acknowledged; wrong: {wrong:?}; 5xx: {refused:?}",
            self.ledger.acknowledged()
        );
        let criterion = format!("{when}: lost 0, duplicates 0, no 5xx");
        table.row(kind.name(), &criterion, &figure, wrong.is_empty() && refused.is_empty());
        Ok(())
    }
}

/// The 99th percentile of some times, the middle, and the longest.
pub(crate) fn percentiles(times: &mut [Duration]) -> (Duration, Duration, Duration) {
    times.sort_unstable();
    let at = |share: f64| {
        let last = times.len().saturating_sub(1);
        times.get(((last as f64) * share).round() as usize).copied().unwrap_or_default()
    };
    (at(0.5), at(0.99), at(1.0))
}

/// PostgreSQL runs as another user.
fn open_to_all(folder: &std::path::Path) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o755))
}
