//! The C API of FoundationDB's client library at version 730, for the `foundationdb` crate.
//!
//! That crate's own binding is made by clang at build time and links the library. This one takes its place: the
//! signatures are written down here, and [`load`] opens the library when a store on FoundationDB is configured. So one
//! binary builds and starts where there is no FoundationDB.
//!
//! This is the only crate that has to be trusted with pointers (`unsafe`). What it offers on top of the C functions is
//! safe: [`load`], [`client_version`], [`start_network`], [`stop_network`].

#![allow(non_camel_case_types, non_snake_case, non_upper_case_globals)]

mod functions;
mod library;
mod network;
mod options;
mod types;
mod versions;

pub use functions::*;
pub use library::{LoadError, client_version, is_library_name, load, loaded};
pub use network::{start_network, stop_network, stop_network_at_exit};
pub use options::*;
pub use types::*;
