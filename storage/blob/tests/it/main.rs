//! Bodies in real object stores, with faults on the way: S3 (SeaweedFS) and Azure Blob Storage (Azurite).

mod azblob;
mod faults;
mod s3;
mod world;
