//! The index of mail over a store: what is found, by whom, and whatever fails.

#![allow(clippy::unwrap_used)] // a test that can not go on says so

mod agrees;
mod damage;
mod lives;
mod places;
mod world;
