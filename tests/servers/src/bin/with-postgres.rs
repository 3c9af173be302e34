//! `with-postgres COMMAND…` runs a command beside a PostgreSQL of its own, which `GODWIT_STORE` names: each node of the
//! tests gets a schema in it. Ends with the command's status.

use std::process::{Command, ExitCode};

use godwit_test_servers::PostgreSql;
use godwit_test_servers::postgres::QUICK;

fn main() -> ExitCode {
    let mut words = std::env::args_os().skip(1);
    let Some(program) = words.next() else {
        eprintln!("usage: with-postgres COMMAND…");
        return ExitCode::FAILURE;
    };
    let Some(server) = PostgreSql::start(QUICK) else { return ExitCode::FAILURE };
    let store = format!("{}?schema=t{{}}", server.url());
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
