//! `with-foundationdb COMMAND…` runs a command beside a FoundationDB of its own, one process, which `GODWIT_STORE` names:
//! each node of the tests gets a part of it. Ends with the command's status; where there is no FoundationDB the command is
//! skipped.

use std::process::ExitCode;

use godwit_test_servers::{beside, foundationdb};

fn main() -> ExitCode {
    let Some(cluster) = foundationdb::cluster(1, 1, "single ssd") else { return ExitCode::SUCCESS };
    beside::run(&format!("fdb:{}?prefix=t{{}}/", cluster.file().display()))
}
