//! Every limit of this crate, with its unit.

/// Levels of arrays and objects in a request. Body structures and filters nest, two levels for each of theirs.
pub const DEPTH: usize = 64;

/// Values in a request: each takes memory far beyond the bytes it is written with.
pub const VALUES: usize = 250_000;

/// Octets of an id (RFC 8620 §1.2).
pub const ID: usize = 255;

/// Capabilities that a request uses.
pub const USING: usize = 64;

/// Octets of a method's name.
pub const NAME: usize = 128;

/// Octets of a call's id.
pub const CALL_ID: usize = 256;

/// Creation ids that a client gives along.
pub const CREATED_IDS: usize = 10_000;

/// Octets of a path of a result reference, or of a patch.
pub const POINTER: usize = 1_024;

/// Conditions of a filter.
pub const CONDITIONS: usize = 1_000;

/// Comparators of a sort.
pub const COMPARATORS: usize = 16;

/// Properties of a patch.
pub const PATCHES: usize = 10_000;

/// Objects, calls and values that one request may have: what is announced (RFC 8620 §2) and enforced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// `maxSizeRequest`, in octets.
    pub size_request: u64,
    /// `maxCallsInRequest`.
    pub calls_in_request: usize,
    /// `maxObjectsInGet`.
    pub objects_in_get: usize,
    /// `maxObjectsInSet`.
    pub objects_in_set: usize,
}

impl Default for Limits {
    /// What RFC 8620 §2 suggests at least.
    fn default() -> Self {
        Limits { size_request: 10_000_000, calls_in_request: 16, objects_in_get: 500, objects_in_set: 500 }
    }
}
