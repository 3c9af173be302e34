//! Sending on what is not for this site.

pub mod client;
pub mod failure;
pub mod resolver;
pub mod route;
mod runner;
pub mod schedule;

pub use runner::{Runner, RunnerOptions};
