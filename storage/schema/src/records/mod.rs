//! Every record, one file per owner. Fixtures of each released version stay beside them.

pub mod account;
pub mod blob;
pub mod job;
pub mod mail;
pub mod node;
pub mod queue;
pub mod structure;
pub mod system;
