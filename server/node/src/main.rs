//! The godwit binary: configuration and wiring.

mod clients;
mod cluster;
mod config;
mod copying;
mod dev;
mod dev_nodes;
mod emptying;
mod exchange;
#[cfg(feature = "faults")]
mod faults;
mod http;
mod index;
mod leaving;
mod observing;
mod parent;
mod probing;
mod purge;
mod reach;
mod registrar;
mod reload;
mod rewriting;
mod secrets;
mod serve;
mod signatures;
mod site;
mod standing;
mod store;
mod systemd;
mod upkeep;
mod verifying;
mod waiting;
mod wiring;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::{Parser, Subcommand};

use config::Config;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A mail server.
#[derive(Debug, Parser)]
#[command(name = "godwit", version, about)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    connection: ctl::Connection,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a node
    Serve {
        /// Its configuration
        #[arg(long)]
        config: PathBuf,
    },
    /// Run a demo: embedded store, loopback ports, accounts with printed passwords
    Dev(Box<dev::Arguments>),
    /// Configuration files
    #[command(subcommand)]
    Config(ConfigCommand),
    /// The store as a whole
    #[command(subcommand)]
    Store(StoreCommand),
    /// What a node starts to read one attachment: a file in, its text out
    #[command(hide = true)]
    ExtractWorker,
    #[command(flatten)]
    Operator(ctl::Command),
}

#[derive(Debug, Subcommand)]
enum StoreCommand {
    /// Copy a store to another one, of any kind, while its nodes serve; then hand over
    Copy(copying::Arguments),
    /// Look whether everything fits together, and mend what does not
    Verify(verifying::Arguments),
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Print every setting as JSON Schema
    Schema,
    /// Say whether a file can be used
    Check {
        /// The file
        file: PathBuf,
    },
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if matches!(arguments.command, Command::ExtractWorker) {
        return extract::work();
    }
    let outcome = run(arguments);
    // Nothing of this process uses the store any more. A client that was never loaded has nothing to stop.
    kv_fdb::stop();
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nothing is left to do if even this cannot be said.
            let _ = writeln!(std::io::stderr(), "godwit: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: Arguments) -> anyhow::Result<()> {
    match arguments.command {
        Command::Serve { config } => {
            let read = Config::load(&config).with_context(|| config.display().to_string())?;
            runtime(true)?.block_on(serve::serve(read, config))
        }
        Command::Dev(dev) => runtime(true)?.block_on(dev::run(*dev, arguments.connection)),
        Command::Config(ConfigCommand::Schema) => {
            writeln!(std::io::stdout(), "{:#}", Config::schema()).context("cannot print")
        }
        Command::Config(ConfigCommand::Check { file }) => {
            Config::load(&file).with_context(|| file.display().to_string())?;
            writeln!(std::io::stdout(), "{}: ok", file.display()).context("cannot print")
        }
        Command::Store(StoreCommand::Copy(copy)) => {
            runtime(true)?.block_on(copying::run(copy, arguments.connection.json))
        }
        Command::Store(StoreCommand::Verify(verify)) => {
            runtime(false)?.block_on(verifying::run(verify, arguments.connection))
        }
        // It is no node and has no store.
        Command::ExtractWorker => Ok(()),
        Command::Operator(command) => runtime(false)?.block_on(ctl::run(command, &arguments.connection)),
    }
}

/// The async runtime: a worker per core for a node, none beside the main thread for an operator's command.
fn runtime(node: bool) -> anyhow::Result<tokio::runtime::Runtime> {
    if node {
        raise_descriptor_limit();
    }
    let mut builder = if node {
        tokio::runtime::Builder::new_multi_thread()
    } else {
        tokio::runtime::Builder::new_current_thread()
    };
    builder.enable_all().build().context("cannot start the runtime")
}

/// A connection is a descriptor: as many as the operator allows, not the 1,024 that shells hand on. If it cannot
/// be raised, listeners refuse clients at a lower number.
fn raise_descriptor_limit() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, rustix::process::Rlimit { current: limit.maximum, ..limit });
}
