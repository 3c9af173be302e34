//! Drills: faults on purpose, against real nodes, with criteria in numbers. `make drill` builds and runs them.
//!
//! Each drill is one file that begins with what has to come out. `oracle` has what holds for all of them. The table that is
//! printed at the end has a row for each criterion; the exit code is not 0 if one was not met.

mod backend;
mod backlog;
mod control;
mod disk;
mod dns;
mod f1;
mod f10;
mod f11;
mod f12;
mod f13;
mod f14;
mod f17;
mod f2;
mod f3;
mod f4;
mod f5;
mod f6;
mod f7;
mod f8;
mod f9;
mod fleet;
mod message;
mod net;
mod node;
mod oracle;
mod region;
mod rehearsal;
mod remote;
mod ryw;
mod sessions;
mod sink;
mod table;
mod watch;
mod zone;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};

use backend::Kind;
use table::Table;

/// Faults on purpose, with criteria in numbers.
#[derive(Debug, Parser)]
#[command(name = "drill")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List the drills
    List,
    /// Run drills: all of them, or those that are named
    Run {
        /// Names, as `list` shows them
        names: Vec<String>,
        #[command(flatten)]
        options: Options,
    },
    /// Ask the drill that runs at this address for something (what hooks do)
    #[command(hide = true)]
    Hook {
        /// Where
        address: SocketAddr,
        /// What
        words: String,
    },
    /// Fill an embedded store until killed (what F2 kills)
    #[command(hide = true)]
    Fill {
        /// The store's folder
        folder: PathBuf,
    },
}

/// How drills are run.
#[derive(Debug, Clone, clap::Args)]
struct Options {
    /// Only on these stores
    #[arg(long, value_enum)]
    store: Vec<Kind>,
    /// Decides what is left to chance
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// F2: power cuts, on the simulated disk and on a real file system
    #[arg(long, default_value_t = 200)]
    cuts: u64,
    /// F2: size of the store whose opening is timed, in megabytes; opening 10 GB is extrapolated from two thirds of it and
    /// all of it, so that both should have more than the log that is read back at most (a sixteenth of memory, up to 1 GiB)
    #[arg(long, default_value_t = 3_000)]
    megabytes: u64,
    /// F4, F5, F7, F8, F9, F11: how long each fault, or phase, lasts at least, in seconds
    #[arg(long, default_value_t = 12)]
    seconds: u64,
    /// F11: connections that send
    #[arg(long, default_value_t = 8)]
    senders: usize,
    /// F11: connections in IDLE
    #[arg(long, default_value_t = 500)]
    idle: usize,
    /// F1: kills
    #[arg(long, default_value_t = 50)]
    rounds: usize,
    /// F3: how long each partition lasts, in seconds
    #[arg(long, default_value_t = 30)]
    partition: u64,
    /// F12: how often the region is lost
    #[arg(long, default_value_t = 3)]
    losses: usize,
    /// F13: entries in the queue, which wait for their time in the next five days
    #[arg(long, default_value_t = 100_000)]
    entries: usize,
    /// F13: entries besides that are tried and put off all the time
    #[arg(long, default_value_t = 2_000)]
    held: usize,
    /// F14: clients that come at once
    #[arg(long, default_value_t = 10_000)]
    clients: usize,
    /// F14: whose they are
    #[arg(long, default_value_t = 200)]
    people: usize,
    /// RYW: operations
    #[arg(long, default_value_t = 1_000_000)]
    operations: u64,
    /// RYW: ends after so many seconds in any case
    #[arg(long, default_value_t = 4 * 3600)]
    longest: u64,
}

impl Options {
    fn runs_on(&self, kind: Kind) -> bool {
        self.store.is_empty() || self.store.contains(&kind)
    }

    /// Several nodes can have these.
    fn shared_stores(&self) -> impl Iterator<Item = Kind> {
        [Kind::Postgres, Kind::Foundationdb].into_iter().filter(|kind| self.runs_on(*kind))
    }

    fn span(&self) -> Duration {
        Duration::from_secs(self.seconds)
    }
}

/// A drill: its name, what it does, and how it is run.
type Drill = (&'static str, &'static str, fn(&Options, &mut Table) -> anyhow::Result<()>);

const DRILLS: [Drill; 19] = [
    ("F1", "a node of three killed at all points, and started again", f1::run),
    ("F2", "power cuts and failing syncs under the embedded store", f2::run),
    ("F3", "a node of three without its store, or without the others", f3::run),
    ("F4", "a store that is far away, and one that fails often", f4::run),
    ("F5", "the clock of one node of three is wrong", f5::run),
    ("F6", "the disk is full, and then it is not", f6::run),
    ("F7", "the store of bodies down, slow and wrong", f7::run),
    ("F8", "a DNS that is down, fails, is late, and goes in circles", f8::run),
    ("F9", "the index: its writer paused and killed, made anew under load, damaged, far behind", f9::run),
    ("F10", "gossip lost, a node there twice, a node that slept", f10::run),
    ("F11", "a rolling upgrade, rolled back, done again, and the feature level raised", f11::run),
    ("F12", "the datacenter that leads is lost under load, and comes back", f12::run),
    ("F13", "a node dies while the queue is long", f13::run),
    ("F14", "all clients come back at once", f14::run),
    ("F17", "too few descriptors, too little memory, no more threads", f17::run),
    ("NODE", "the loss of a node, as `godwit drill` rehearses it", node::run),
    ("ZONE", "the loss of a zone, as `godwit drill` rehearses it, and drills that are aborted", zone::run),
    (
        "REGION",
        "the loss of a region, as `godwit drill` rehearses it (FoundationDB in two regions)",
        region::run,
    ),
    ("RYW", "what one node has answered, seen at any node behind a balancer", ryw::run),
];

fn main() -> ExitCode {
    match Arguments::parse().command {
        Command::List => {
            for (name, what, _) in DRILLS {
                eprintln!("{name:<4} {what}");
            }
            ExitCode::SUCCESS
        }
        Command::Run { names, options } => run(&names, &options),
        Command::Hook { address, words } => told(control::ask(address, &words)),
        Command::Fill { folder } => told(f2::fill(&folder)),
    }
}

fn told(outcome: anyhow::Result<()>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(names: &[String], options: &Options) -> ExitCode {
    for name in names {
        if !DRILLS.iter().any(|(known, ..)| known.eq_ignore_ascii_case(name)) {
            eprintln!("no drill is called {name}; `drill list` shows them");
            return ExitCode::FAILURE;
        }
    }
    let mut table = Table::new(options.seed);
    for (name, _, drill) in DRILLS {
        if names.is_empty() || names.iter().any(|wanted| wanted.eq_ignore_ascii_case(name)) {
            table.begin(name);
            let outcome = drill(options, &mut table);
            table.ends("-", outcome);
        }
    }
    table.print();
    if table.passed() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
