//! Other people's servers for the tests, FoundationDB, PostgreSQL and object stores, and a proxy that fails on purpose.
//!
//! The servers are installed by `make test-deps`; where the object stores are is said in environment variables. Without
//! them the tests that need one say that they were skipped.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test stops where it is stuck")]

pub mod azurite;
pub mod beside;
pub mod foundationdb;
pub mod haproxy;
pub mod postgres;
pub mod process;
pub mod proxy;
pub mod regions;
pub mod seaweedfs;
pub mod tls;

pub use haproxy::HaProxy;
pub use postgres::PostgreSql;
pub use proxy::{Fault, Proxy};
pub use regions::Regions;
pub use tls::Tls;

use std::path::PathBuf;

/// The bucket or container that is there.
pub const BUCKET: &str = "mail";

/// What an environment variable says is installed, if it is.
fn installed(variable: &str) -> Option<PathBuf> {
    let path = std::env::var_os(variable).map(PathBuf::from).filter(|path| path.exists());
    if path.is_none() {
        eprintln!("skipped: {variable} does not name what `make test-deps` installs");
    }
    path
}
