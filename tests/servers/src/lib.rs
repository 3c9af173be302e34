//! Other people's object stores for the tests, and a proxy that fails on purpose.
//!
//! The servers are installed by `make test-deps`, which says in environment variables where they are. Without them the
//! tests that need one say that they were skipped.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test stops where it is stuck")]

pub mod azurite;
pub mod process;
pub mod proxy;
pub mod seaweedfs;

pub use proxy::{Fault, Proxy};

/// The bucket or container that is there.
pub const BUCKET: &str = "mail";
