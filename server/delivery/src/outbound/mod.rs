//! Sending on what is not for this site.
//!
//! ```text
//! runner ─ one for each slot ─▶ slot ─ what is due, as there is room ─▶ attempt ─▶ settle
//!                              │  ▲                                       │
//!                    lookups ◀─┘  └──── destination: who answers ◀────────┘
//! ```

mod attempt;
pub mod client;
mod destination;
mod envelope;
pub mod failure;
mod lookups;
mod outcome;
mod pool;
pub mod resolver;
pub mod route;
mod runner;
pub mod schedule;
mod settle;
mod slot;

pub use runner::{Runner, RunnerOptions};
