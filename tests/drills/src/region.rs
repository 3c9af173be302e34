//! REGION: a region is lost, rehearsed by `godwit drill` as an operator would: FoundationDB in two regions with satellites
//! (real processes of fdbserver), three nodes, two of them in the region that leads, a HAProxy in each region, and a DNS that
//! says which one users reach.
//!
//! Criterion, for a region whose processes are all killed (fdbserver, nodes, HAProxy), and for one whose users, duties and lead
//! are moved away before that: mail in, mail read, queue, search and bodies are back within 30 s; nothing that was acknowledged is
//! lost, nothing is in a mailbox twice; afterwards all is as before. And: aborted after several steps, and by another process after
//! the first was killed, a drill leaves all as it was.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use anyhow::{Context, bail, ensure};
use harness::{Http, Node, NodeOptions, binary, wait};
use serde_json::Value;
use servers::haproxy::SOURCE;
use servers::process::free_ports;
use servers::regions::REGIONS;
use servers::{HaProxy, Regions};

use crate::Options;
use crate::control::Control;
use crate::dns::Dns;
use crate::rehearsal::{Around, MAIL, remains, report, rows, sink};
use crate::table::Table;

/// The name of the store in the table.
pub(crate) const STORE: &str = "foundationdb";
/// Which region each node is in.
const PLACES: [usize; 3] = [0, 1, 0];
/// What users know the server by. It is in the nodes' certificates.
const NAME: &str = "mail.example.test";
/// Scenes so far: each has a DNS of its own, at the one port that resolvers ask at.
static SCENES: AtomicU8 = AtomicU8::new(0);
/// Listeners of HAProxy.
const LISTENERS: usize = 8;
/// Accounts u0 to u(N−1) for others, and one more for the drill.
pub(crate) const USERS: u32 = 4;

/// Steps of a planned loss after which it is aborted: ZONE and the unit tests try all of them.
const STEPS: [&str; 5] = ["before", "evacuate", "fail", "restore", "settle"];

/// What hooks change.
struct World {
    regions: Regions,
    nodes: Vec<Node>,
    balancers: [Option<HaProxy>; 2],
    ports: [u16; LISTENERS],
    dns: Dns,
    /// When the last loss began, and when its end did.
    lost: Option<Instant>,
    returned: Option<Instant>,
}

/// Two regions, and what a drill says of them.
pub(crate) struct Scene {
    world: Arc<Mutex<World>>,
    control: Control,
    around: Around,
    dir: tempfile::TempDir,
    /// Commands for a shell: one region or the other leads, and both are whole.
    lead: [String; 2],
    whole: String,
}

impl World {
    fn start(dir: &Path, relay: &str, resolver: Ipv4Addr) -> anyhow::Result<Self> {
        let regions = Regions::start().context("FoundationDB is not installed")?;
        let dns = Dns::default();
        dns.serve_at(&format!("{resolver}:53")).with_context(|| format!("a DNS at {resolver}"))?;
        let mut nodes = Vec::new();
        for (number, region) in PLACES.into_iter().enumerate() {
            nodes.push(Node::start(NodeOptions {
                users: USERS + 1,
                relay: Some(relay.to_owned()),
                proxy: Some(format!("{SOURCE}/32")),
                region: REGIONS.get(region).map(|name| (*name).to_owned()),
                store: Some(format!("{}&datacenter={}", regions.cluster.url(), REGIONS[region])),
                data: Some(dir.join(format!("n{number}"))),
                same_ports: true,
                ..NodeOptions::default()
            })?);
        }
        let mut world = World {
            regions,
            nodes,
            balancers: [None, None],
            ports: free_ports(),
            dns,
            lost: None,
            returned: None,
        };
        for region in 0..REGIONS.len() {
            world.balance(region)?;
        }
        world.point(0);
        Ok(world)
    }

    /// The nodes of a region.
    fn nodes_of(&mut self, region: usize) -> impl Iterator<Item = &mut Node> {
        self.nodes.iter_mut().zip(PLACES).filter(move |(_, place)| *place == region).map(|(node, _)| node)
    }

    /// Starts the HAProxy of a region, which knows all nodes.
    fn balance(&mut self, region: usize) -> anyhow::Result<()> {
        let nodes: &[Node; 3] = self.nodes.as_slice().try_into().context("three nodes")?;
        let listeners = nodes.each_ref().map(|node| &node.announced.listeners);
        let balancer = HaProxy::start_on(address(region), listeners, self.ports);
        let place = self.balancers.get_mut(region).context("no such region")?;
        *place = Some(balancer.context("HAProxy is not installed")?);
        Ok(())
    }

    /// Users reach a region from now on.
    fn point(&self, region: usize) {
        self.dns.point(NAME, address(region));
    }

    /// All processes of a region are killed.
    fn lose(&mut self, region: usize) -> anyhow::Result<()> {
        self.lost = Some(Instant::now());
        for process in self.regions.cluster.of_datacenter(REGIONS[region]) {
            self.regions.cluster.kill(process);
        }
        self.nodes_of(region).try_for_each(Node::kill)?;
        *self.balancers.get_mut(region).context("no such region")? = None;
        Ok(())
    }

    /// What does not run there is started.
    fn bring_back(&mut self, region: usize) -> anyhow::Result<()> {
        self.returned = Some(Instant::now());
        for process in self.regions.cluster.of_datacenter(REGIONS[region]) {
            if !self.regions.cluster.runs(process) {
                self.regions.cluster.run(process);
            }
        }
        for node in self.nodes_of(region) {
            if node.ended()?.is_some() {
                node.start_again()?;
            }
        }
        if self.balancers.get(region).is_some_and(Option::is_none) {
            self.balance(region)?;
        }
        Ok(())
    }

    /// Does what a hook asks for.
    fn act(&mut self, words: &str) -> anyhow::Result<()> {
        let (verb, name) = words.split_once(' ').context("a verb and a region")?;
        let region = REGIONS.iter().position(|region| *region == name).context("no such region")?;
        match verb {
            "lose" => self.lose(region),
            "return" => self.bring_back(region),
            "dns" => {
                self.point(region);
                Ok(())
            }
            _ => bail!("nobody can {verb}"),
        }
    }
}

/// Where the HAProxy of a region is.
fn address(region: usize) -> Ipv4Addr {
    Ipv4Addr::new(127, 77, 0, if region == 0 { 1 } else { 2 })
}

impl Scene {
    /// Starts everything, or says what is missing.
    pub(crate) fn start(table: &mut Table) -> anyhow::Result<Option<Self>> {
        if servers::foundationdb::installed().is_none() {
            table.skip(STORE, "everything", "no FoundationDB");
            return Ok(None);
        }
        if !servers::haproxy::is_installed() {
            table.skip(STORE, "everything", "HAProxy is not installed");
            return Ok(None);
        }
        let dir = tempfile::tempdir()?;
        let resolver = Ipv4Addr::new(127, 78, SCENES.fetch_add(1, Ordering::Relaxed), 53);
        let file = dir.path().join("resolv.conf");
        std::fs::write(&file, format!("nameserver {resolver}\noptions timeout:1\n"))?;
        if !apart(&file).arg("true").status()?.success() {
            table.skip(STORE, "everything", "needs root: the drill has a DNS of its own");
            return Ok(None);
        }
        let relay = sink(dir.path().join("received"))?;
        let (world, shared) = (Arc::new(Mutex::new(None)), dir.path().to_owned());
        let place = Arc::clone(&world);
        // What runs there ends with the thread that started it.
        let control = Control::start(
            move || {
                let world = Arc::new(Mutex::new(World::start(&shared, &relay, resolver)?));
                *place.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&world));
                Ok(world)
            },
            |world, words| world.lock().unwrap_or_else(PoisonError::into_inner).act(words),
        )?;
        let world = world.lock().unwrap_or_else(PoisonError::into_inner).take().context("no world")?;
        let scene = world.lock().unwrap_or_else(PoisonError::into_inner);
        let around = scene.around(dir.path())?;
        let lead = REGIONS.map(|region| scene.regions.lead(region));
        let whole = scene.regions.wait_until_whole();
        drop(scene);
        Ok(Some(Scene { world, control, around, dir, lead, whole }))
    }

    fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `host:port` of a listener of both regions' balancers.
    pub(crate) fn balancers(&self, listener: &str) -> Vec<String> {
        let world = self.world();
        world.balancers.iter().flatten().map(|balancer| balancer.listener(listener)).collect()
    }

    /// When the last loss began, and when its end did.
    pub(crate) fn last_loss(&self) -> anyhow::Result<(Instant, Instant)> {
        let world = self.world();
        Ok((world.lost.context("nothing was lost")?, world.returned.context("nothing came back")?))
    }

    /// Does something with a node of the region that is not lost.
    pub(crate) fn with_survivor<T>(
        &self,
        work: impl FnOnce(&Node) -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        let world = self.world();
        work(world.nodes.get(1).context("no such node")?)
    }

    /// A plan: with a loss that is planned, the lead and the users are moved before.
    fn plan(&self, planned: bool, hold: u32, steady: u32) -> anyhow::Result<String> {
        let [east, west] = REGIONS;
        let [east_leads, west_leads] = &self.lead;
        let ask = |words: String| self.control.command(&words);
        let (lose, bring) = (ask(format!("lose {east}"))?, ask(format!("return {east}"))?);
        let (to_west, to_east) = (ask(format!("dns {west}"))?, ask(format!("dns {east}"))?);
        let whole = &self.whole;
        let head = format!(
            "scope = \"region {east}\"\nplanned = {planned}\nhold = \"{hold}s\"\nsteady = \"{steady}s\"\npatience = \"5m\"\n"
        );
        // The priorities move the lead back, once what was lost has caught up.
        let restore = format!("{bring} && {{ {whole}; }} && {{ {east_leads}; }} && {to_east}");
        let hooks = if planned {
            format!(
                "before = '''{{ {west_leads}; }} && {to_west}'''\nfail = '''{lose}'''\n\
                 restore = '''{bring} && {{ {whole}; }}'''\nafter = '''{{ {east_leads}; }} && {to_east}'''\n"
            )
        } else {
            format!("fail = '''{lose} && {to_west}'''\nrestore = '''{restore}'''\n")
        };
        Ok(head + &self.around.plan() + "[hooks]\ntimeout = \"4m\"\n" + &hooks)
    }

    /// `godwit drill start` of a plan, in a folder of this name.
    fn begin(&self, plan: &str, name: &str, options: &[&str]) -> anyhow::Result<(Child, PathBuf)> {
        let (file, folder) = (self.dir.path().join(format!("{name}.toml")), self.dir.path().join(name));
        std::fs::write(&file, plan)?;
        // What another drill did last may still be felt.
        wait::until("a drill that may begin", || {
            let status = self.godwit()?.args(["drill", "plan"]).arg(&file).stderr(Stdio::null()).status()?;
            Ok(status.success().then_some(()))
        })?;
        let mut command = self.godwit()?;
        command.args(["drill", "start"]).arg(&file).arg("--dir").arg(&folder).args(options);
        Ok((command.spawn()?, folder))
    }

    /// The operator's program, which asks the DNS of this drill.
    fn godwit(&self) -> anyhow::Result<Command> {
        let mut command = apart(&self.dir.path().join("resolv.conf"));
        command.arg(binary()?).env("GODWIT_DRILL_PASSWORD", "secret");
        command.stdin(Stdio::null()).stdout(Stdio::null());
        Ok(command)
    }

    /// A drill to its end. Returns its report.
    pub(crate) fn drill(&self, planned: bool, name: &str) -> anyhow::Result<Value> {
        let (mut child, folder) = self.begin(&self.plan(planned, 10, 3)?, name, &[])?;
        child.wait()?;
        report(&folder)
    }

    fn remains(&self) -> anyhow::Result<Option<String>> {
        let (address, file) = self.around.admins.first().context("no node")?;
        let password = std::fs::read_to_string(file)?;
        if let Some(left) = remains(&Http::new(address).with_password(password.trim()))? {
            return Ok(Some(left));
        }
        let leader = self.world().regions.leader().unwrap_or_default();
        Ok((leader != REGIONS[0]).then(|| format!("{leader:?} leads")))
    }

    /// After several steps.
    fn aborted(&self, table: &mut Table) -> anyhow::Result<()> {
        let (mut bad, plan) = (Vec::new(), self.plan(true, 1, 1)?);
        for step in STEPS {
            let name = format!("abort-{step}");
            let (mut child, folder) = self.begin(&plan, &name, &["--abort-after", step])?;
            child.wait()?;
            let report = report(&folder)?;
            let why = report["why"].as_str().unwrap_or_default();
            if report["outcome"] != "gone back"
                || !why.contains("told to end after it")
                || why.contains("not undone")
            {
                bad.push(format!("{step}: {} {why}", report["outcome"]));
            }
            bad.extend(self.remains()?.map(|left| format!("{step}: {left}")));
        }
        let figure = if bad.is_empty() { "all as before, each time".to_owned() } else { bad.join("; ") };
        let criterion = format!("aborted after {}", STEPS.join(", "));
        table.row(STORE, &criterion, &figure, bad.is_empty());
        Ok(())
    }

    /// The drill's own process dies while the region is lost.
    fn killed(&self, table: &mut Table) -> anyhow::Result<()> {
        let (mut child, folder) = self.begin(&self.plan(false, 600, 1)?, "dead", &[])?;
        let begun = wait::until("the loss", || {
            let journal = std::fs::read_to_string(folder.join("journal.jsonl")).unwrap_or_default();
            ensure!(!journal.contains("\"failed\""), "{journal}");
            Ok(journal.contains("\"step\":\"recover\"").then_some(()))
        });
        child.kill()?;
        child.wait()?;
        let aborted = self.godwit()?.args(["drill", "abort"]).arg(&folder).status()?;
        ensure!(aborted.success(), "drill abort failed");
        begun?;
        let (left, outcome) = (self.remains()?, report(&folder)?);
        let passed = left.is_none() && outcome["outcome"] == "gone back";
        let figure = left.unwrap_or_else(|| "all as before".to_owned());
        table.row(STORE, "the drill's process killed, and the drill aborted by another", &figure, passed);
        Ok(())
    }
}

impl World {
    fn around(&self, dir: &Path) -> anyhow::Result<Around> {
        // Those that stay are asked first.
        let mut nodes: Vec<(&Node, usize)> = self.nodes.iter().zip(PLACES).collect();
        nodes.sort_by_key(|(_, region)| std::cmp::Reverse(*region));
        let admin = |(node, _): &(&Node, usize)| {
            (node.listener("admin").to_owned(), node.data().join("admin-password"))
        };
        let certificates = nodes.iter().map(|(node, _)| std::fs::read_to_string(&node.announced.certificate));
        let certificate = dir.join("certificates.pem");
        std::fs::write(&certificate, certificates.collect::<std::io::Result<String>>()?)?;
        let balancer = self.balancers.iter().flatten().next().context("no balancer")?;
        let mail = MAIL.map(|name| {
            let port = balancer.listeners().get(name).map_or(0, std::net::SocketAddr::port);
            format!("{NAME}:{port}")
        });
        let (account, received) = (format!("u{USERS}@example.test"), dir.join("received"));
        Ok(Around { admins: nodes.iter().map(admin).collect(), mail, account, certificate, received })
    }
}

/// A program that asks the DNS of a file, and ends with this one.
fn apart(resolver: &Path) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig=KILL", "unshare", "--mount", "sh", "-c"]);
    command.arg("mount --bind \"$0\" /etc/resolv.conf && exec \"$@\"").arg(resolver);
    command
}

pub(crate) fn run(_: &Options, table: &mut Table) -> anyhow::Result<()> {
    let Some(scene) = Scene::start(table)? else { return Ok(()) };
    for planned in [false, true] {
        let what = if planned { "a region, moved away from and killed" } else { "a region, kill -9" };
        let report = scene.drill(planned, if planned { "planned" } else { "killed" })?;
        rows(table, STORE, what, &report);
    }
    scene.aborted(table)?;
    scene.killed(table)
}
