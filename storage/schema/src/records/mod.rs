//! Every record, one file per owner. Fixtures of each released version stay beside them.

pub mod account;
pub mod blob;
pub mod job;
pub mod mail;
pub mod node;
pub mod oauth;
pub mod object;
pub mod push;
pub mod queue;
pub mod search;
pub mod structure;
pub mod system;
