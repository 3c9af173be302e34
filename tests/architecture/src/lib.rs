//! Proves the arrows between the crates from cargo metadata.
