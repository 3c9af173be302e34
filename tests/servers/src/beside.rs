//! A command of the tests beside a store that was made for it.

use std::process::{Command, ExitCode};

/// Runs the command that this program was given, with `GODWIT_STORE` naming the store; ends with its status.
pub fn run(store: &str) -> ExitCode {
    let mut words = std::env::args_os().skip(1);
    let Some(program) = words.next() else {
        eprintln!("name a command that is to run beside {store}");
        return ExitCode::FAILURE;
    };
    match Command::new(&program).args(words).env("GODWIT_STORE", store).status() {
        Ok(status) => {
            status.code().and_then(|code| u8::try_from(code).ok()).map_or(ExitCode::FAILURE, ExitCode::from)
        }
        Err(error) => {
            eprintln!("{}: {error}", program.display());
            ExitCode::FAILURE
        }
    }
}
