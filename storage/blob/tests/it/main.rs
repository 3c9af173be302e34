//! Bodies in real object stores, with faults on the way: S3 (SeaweedFS) and Azure Blob Storage (Azurite).

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test ends where it fails")]

mod azblob;
mod faults;
mod s3;
mod world;
