//! `with-postgres COMMAND…` runs a command beside a PostgreSQL of its own, which `GODWIT_STORE` names: each node of the
//! tests gets a schema in it. Ends with the command's status.

use std::process::ExitCode;

use godwit_test_servers::postgres::QUICK;
use godwit_test_servers::{PostgreSql, beside};

fn main() -> ExitCode {
    let Some(server) = PostgreSql::start(QUICK) else { return ExitCode::FAILURE };
    beside::run(&format!("{}?schema=t{{}}", server.url()))
}
