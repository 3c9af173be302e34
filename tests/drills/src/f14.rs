//! F14: all clients of three nodes come back at once and log in, while nothing of theirs is cached.
//!
//! Criterion: of so many clients (`--clients`, as many as descriptors allow) that connect within 10 s none waits longer than
//! 30 s for its login; memory at most twice what it is with all of them idle; and who is logged in is served meanwhile
//! (the processor is not all theirs who come).

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{bail, ensure};
use harness::wait::until;
use harness::{Node, NodeOptions};

use crate::Options;
use crate::backend::Kind;
use crate::fleet::{Fleet, percentiles};
use crate::table::Table;

/// All come within it.
const STORM: Duration = Duration::from_secs(10);
/// The longest that one may wait.
const LONGEST: Duration = Duration::from_secs(30);
/// Threads that clients are driven by.
const DRIVERS: usize = 8;

pub(crate) fn run(options: &Options, table: &mut Table) -> anyhow::Result<()> {
    raise_descriptor_limit();
    let people = NodeOptions { users: u32::try_from(options.people)?, ..NodeOptions::default() };
    for kind in options.shared_stores() {
        let Some(fleet) = Fleet::start(kind, &people)? else {
            table.skip(kind.name(), "everything", "not installed");
            continue;
        };
        let outcome = storm(options, table, kind, fleet);
        table.ends(kind.name(), outcome);
    }
    Ok(())
}

/// What became of clients.
#[derive(Default)]
struct Arrivals {
    /// From when one came to its login.
    times: Vec<Duration>,
    failures: Vec<String>,
    sessions: Vec<TcpStream>,
}

impl Arrivals {
    fn with(mut self, other: Self) -> Self {
        self.times.extend(other.times);
        self.failures.extend(other.failures);
        self.sessions.extend(other.sessions);
        self
    }
}

fn storm(options: &Options, table: &mut Table, kind: Kind, mut fleet: Fleet) -> anyhow::Result<()> {
    let clients = options.clients;
    // Who was there before goes on.
    let bustle = fleet.bustle()?;
    for node in 0..fleet.nodes.len() {
        // Caches are cold in a process that is new; its readers have to come again as well.
        fleet.kill(node)?;
        fleet.revive(node)?;
    }
    let begun = Instant::now();
    until("readers", || Ok(bustle.readers.heard().iter().any(|one| one.begun > begun).then_some(())))?;
    let settled = Instant::now();
    let peak = AtomicUsize::new(0);
    let Arrivals { mut times, failures, sessions } = arrive(&fleet.nodes, clients, options.people, &peak);
    let all = settled.elapsed();
    let waits: Vec<_> = bustle.readers.heard().into_iter().filter(|one| one.begun > settled).collect();
    let mut served: Vec<Duration> = waits.iter().map(|one| one.took).collect();
    std::thread::sleep(Duration::from_secs(3));
    let steady = memory(&fleet.nodes);
    let (p50, p99, last) = percentiles(&mut times);
    let figure = format!(
        "{} of {clients} in {all:.1?}: p50 {p50:.1?}, p99 {p99:.1?}, last {last:.1?}; {} failed {:?}",
        sessions.len(),
        failures.len(),
        failures.first()
    );
    table.row(
        kind.name(),
        "a storm of logins: none refused, none waits longer than 30 s",
        &figure,
        failures.is_empty() && last <= LONGEST,
    );
    let peak = peak.into_inner();
    let figure = format!("{} MB at most, {} MB with all idle", peak >> 20, steady >> 20);
    table.row(
        kind.name(),
        "a storm of logins: memory at most twice what it is with all idle",
        &figure,
        peak <= 2 * steady,
    );
    let (p50, p99, last) = percentiles(&mut served);
    let figure = format!("{} commands: p50 {p50:.1?}, p99 {p99:.1?}, last {last:.1?}", served.len());
    table.row(
        kind.name(),
        "who is logged in is served meanwhile (p99 within 5 s)",
        &figure,
        p99 <= Duration::from_secs(5),
    );
    drop(sessions);
    bustle.end(&fleet, table, kind, "a storm of logins")
}

/// A client is a descriptor.
fn raise_descriptor_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
}

fn memory(nodes: &[Node]) -> usize {
    nodes
        .iter()
        .filter_map(|node| node.resident().ok())
        .map(|bytes| usize::try_from(bytes).unwrap_or_default())
        .sum()
}

/// Connects a client after the other, asks for its login, and hears the answers.
fn arrive(nodes: &[Node], clients: usize, people: usize, peak: &AtomicUsize) -> Arrivals {
    let addresses: Vec<&str> = nodes.iter().map(|node| node.listener("imap")).collect();
    let (begun, done) = (Instant::now(), AtomicUsize::new(0));
    let (addresses, ended) = (&addresses, &done);
    std::thread::scope(|scope| {
        let arriving = |driver: usize| {
            let mine = (driver..clients).step_by(DRIVERS);
            let arrivals = mine.map(|client| {
                let address = addresses.get(client % addresses.len()).copied().unwrap_or_default();
                (begun + STORM.mul_f64(client as f64 / clients as f64), address, client % people)
            });
            let all = drive(arrivals.collect());
            ended.fetch_add(1, Ordering::Relaxed);
            all
        };
        let drivers: Vec<_> = (0..DRIVERS).map(|driver| scope.spawn(move || arriving(driver))).collect();
        while done.load(Ordering::Relaxed) < DRIVERS {
            peak.fetch_max(memory(nodes), Ordering::Relaxed);
            std::thread::sleep(Duration::from_millis(100));
        }
        drivers.into_iter().filter_map(|driver| driver.join().ok()).fold(Arrivals::default(), Arrivals::with)
    })
}

/// A client that waits for its login.
struct Client {
    socket: TcpStream,
    since: Instant,
    person: usize,
    heard: Vec<u8>,
    asked: bool,
}

/// Lets clients come when it is their time, and listens to all who are there.
fn drive(mut coming: VecDeque<(Instant, &str, usize)>) -> Arrivals {
    let (mut all, mut waiting) = (Arrivals::default(), Vec::new());
    while !coming.is_empty() || !waiting.is_empty() {
        while let Some((at, address, person)) = coming.pop_front_if(|(at, ..)| *at <= Instant::now()) {
            match TcpStream::connect(address).and_then(|socket| socket.set_nonblocking(true).map(|()| socket))
            {
                Ok(socket) => {
                    waiting.push(Client { socket, since: at, person, heard: Vec::new(), asked: false });
                }
                Err(error) => all.failures.push(error.to_string()),
            }
        }
        for mut client in std::mem::take(&mut waiting) {
            match client.listen() {
                Ok(false) if client.since.elapsed() < 2 * LONGEST => waiting.push(client),
                Ok(false) => all.failures.push("no answer".to_owned()),
                Ok(true) => {
                    all.times.push(client.since.elapsed());
                    all.sessions.push(client.socket);
                }
                Err(error) => all.failures.push(format!("{error:#}")),
            }
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    all
}

impl Client {
    /// Reads what is there, and goes on with it; whether it is logged in.
    fn listen(&mut self) -> anyhow::Result<bool> {
        let mut chunk = [0; 512];
        match self.socket.read(&mut chunk) {
            Ok(0) => bail!("closed"),
            Ok(n) => self.heard.extend(chunk.iter().take(n)),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
            Err(error) => return Err(error.into()),
        }
        if !self.heard.ends_with(b"\r\n") {
            return Ok(false);
        }
        let line = String::from_utf8_lossy(&std::mem::take(&mut self.heard)).into_owned();
        if self.asked {
            ensure!(line.contains("l OK"), "{line}");
            return Ok(true);
        }
        ensure!(line.starts_with("* OK"), "{line}");
        self.asked = true;
        // A few octets: there is room for them.
        self.socket.write_all(format!("l LOGIN u{} secret\r\n", self.person).as_bytes())?;
        Ok(false)
    }
}
