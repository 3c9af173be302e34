//! Proves from `cargo metadata` and the files themselves that the folders are the architecture.
//!
//! [`rules`] says which crate may use which; [`workspace`] reads the crates and what they use; [`files`] looks
//! at the sources; [`rfc`] keeps `protocols/RFC.md`. The tests in `tests/` hold all of it against this
//! repository, and the rules against edges that must be found.

pub mod files;
pub mod monitoring;
pub mod rfc;
pub mod rules;
pub mod workspace;
