//! The same work on every store that is here, turn by turn, in one table.
//!
//!   GODWIT_BIN=target/release/godwit stores [--only commits,reads,mail,nodes] [--stores NAME,…] [--rounds N]
//!
//! FoundationDB's own client does the same beside our layer: its rate is the bound of ours. Stores lie in GODWIT_BENCH_DIR
//! or the folder for temporary files (the disk matters), with fsync. GODWIT_FDB_CLUSTER names the file of another cluster
//! than one process made for the bench; what the bench writes there is below a prefix, and cleared at the end.

// A program that prints a table, and stops where something is wrong.
#![allow(clippy::print_stdout, clippy::expect_used, clippy::panic)]

mod mail;
mod measure;
mod nodes;
mod raw;
mod store;
mod subject;
mod table;

use std::sync::Arc;

use clap::Parser;

use subject::Subject;
use table::Table;

/// The same work on every store that is here
#[derive(Debug, Parser)]
struct Arguments {
    /// Parts: commits, reads, mail, nodes
    #[arg(long, value_delimiter = ',', default_value = "commits,reads,mail,nodes")]
    only: Vec<String>,
    /// Stores: embedded, postgres, foundationdb; all that are here if absent
    #[arg(long, value_delimiter = ',')]
    stores: Vec<String>,
    /// Rounds of half a second for each figure
    #[arg(long, default_value_t = 8)]
    rounds: usize,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let wanted = |part: &str| arguments.only.iter().any(|own| own == part);
    if ["commits", "reads", "mail"].into_iter().any(wanted) {
        stores(&arguments)?;
    }
    if wanted("nodes") {
        nodes::rows(&arguments.stores)?;
    }
    kv_fdb::stop();
    Ok(())
}

fn stores(arguments: &Arguments) -> anyhow::Result<()> {
    let wanted = |part: &str| arguments.only.iter().any(|own| own == part);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let mut stores = runtime.block_on(store::all(&arguments.stores))?;
    let subjects: Vec<Arc<dyn Subject>> =
        stores.iter().flat_map(|store| store.subjects.iter().cloned()).collect();
    let table = Table::new(subjects.iter().map(|subject| subject.name().to_owned()).collect());
    println!(
        "{} rows of {} bytes for each commit, {} rounds of {:?}\n",
        measure::ROWS,
        measure::VALUE,
        arguments.rounds,
        measure::ROUND
    );
    table.head();
    if wanted("commits") {
        for writers in [1, 8, 64, 256] {
            let sums = runtime.block_on(measure::commits(&subjects, writers, arguments.rounds));
            table.row(&format!("durable commits/s, {writers} writers"), &sums, 1.0);
        }
    }
    if wanted("reads") {
        runtime.block_on(measure::fill(&subjects));
        for readers in [1, 64] {
            let sums = runtime.block_on(measure::gets(&subjects, readers, arguments.rounds));
            table.row(&format!("reads/s, {readers} readers"), &sums, measure::GETS as f64);
        }
        let sums = runtime.block_on(measure::scans(&subjects, 4, arguments.rounds));
        table.row("ranges, MB/s, 4 readers", &sums, measure::scanned_mb());
    }
    drop(subjects);
    for store in &mut stores {
        runtime.block_on(store.close())?;
    }
    if wanted("mail") {
        mail::rows(&table, &stores)?;
    }
    drop((stores, runtime));
    Ok(())
}
