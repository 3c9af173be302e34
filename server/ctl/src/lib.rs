//! Operator subcommands of the `godwit` binary: each a client of the admin API, but `key explain`, which needs none,
//! and `probe`, which needs no password.

mod client;
mod cluster;
mod command;
mod commands;
mod drill;
mod level;
mod logins;
mod node;
mod output;
mod probe;
mod rows;
mod search;
mod site;

pub use client::Client;
pub use command::{Command, Connection};
pub use commands::run;
pub use rows::NodeRows;
