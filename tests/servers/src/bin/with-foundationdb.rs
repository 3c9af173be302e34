//! `with-foundationdb COMMAND…` runs a command beside a FoundationDB of its own, one process, which `GODWIT_STORE` names:
//! each node of the tests gets a part of it. Ends with the command's status; where there is no FoundationDB the command is
//! skipped.

use std::process::{Command, ExitCode};

use godwit_test_servers::foundationdb;

fn main() -> ExitCode {
    let mut words = std::env::args_os().skip(1);
    let Some(program) = words.next() else {
        eprintln!("usage: with-foundationdb COMMAND…");
        return ExitCode::FAILURE;
    };
    let Some(cluster) = foundationdb::cluster(1, 1, "single ssd") else { return ExitCode::SUCCESS };
    let store = format!("fdb:{}?prefix=t{{}}/", cluster.file().display());
    let status = Command::new(&program).args(words).env("GODWIT_STORE", store).status();
    match status {
        Ok(status) => {
            status.code().and_then(|code| u8::try_from(code).ok()).map_or(ExitCode::FAILURE, ExitCode::from)
        }
        Err(error) => {
            eprintln!("{}: {error}", program.display());
            ExitCode::FAILURE
        }
    }
}
