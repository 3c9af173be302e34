//! Operator subcommands of the `godwit` binary: each a client of the admin API, but `key explain`, which needs none.

mod client;
mod cluster;
mod command;
mod commands;
mod node;
mod output;
mod rows;

pub use client::Client;
pub use command::{Command, Connection};
pub use commands::run;
pub use rows::NodeRows;
