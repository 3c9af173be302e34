//! Each kind of damage is found and mended; a sound store has none, whoever writes to it meanwhile.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test ends where it fails")]

mod counting;
mod damage;
mod damage_bodies;
mod damage_directory;
mod damage_messages;
mod lost;
mod online;
mod world;
