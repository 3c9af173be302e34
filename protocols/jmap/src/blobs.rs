//! Blobs by method calls: made and read without requests of their own (RFC 9404), and copied between accounts (RFC 8620 §6.3).

mod copy;
mod get;
mod lookup;
mod upload;

use jmap_proto::MethodError;
use serde_json::{Value, json};

use crate::Options;
use crate::access::Access;
use crate::fail::Fail;
use crate::registry::Method;

/// The capability.
pub(crate) const BLOB: &str = "urn:ietf:params:jmap:blob";

/// The methods of the capability.
pub(crate) const METHODS: &[Method] =
    &[("Blob/upload", upload::upload), ("Blob/get", get::get), ("Blob/lookup", lookup::lookup)];

/// What RFC 8620 itself has.
pub(crate) const CORE_METHODS: &[Method] = &[("Blob/copy", copy::copy)];

/// Sources that one blob may be put together of.
const SOURCES: usize = 64;
/// Octets of one blob that a call makes.
const SIZE: u64 = 5 << 20;
/// Octets that one call handles in all, and tells at most. Held in memory.
const TOTAL: u64 = 20 << 20;

/// RFC 9404 §3.1
pub(crate) fn account(options: &Options, _: &Access) -> Value {
    json!({
        "maxSizeBlobSet": SIZE.min(options.core.size_upload),
        "maxDataSources": SOURCES,
        "supportedTypeNames": lookup::TYPES,
        "supportedDigestAlgorithms": get::DIGESTS.map(|(name, _)| name),
    })
}

/// What one call may still handle.
struct Allowance(u64);

impl Allowance {
    fn new() -> Self {
        Allowance(TOTAL)
    }

    /// # Errors
    /// [`MethodError::RequestTooLarge`] if so much is not left.
    fn take(&mut self, octets: u64) -> Result<(), Fail> {
        self.0 = self.0.checked_sub(octets).ok_or(MethodError::RequestTooLarge)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_handles_so_much_and_no_more() {
        let mut left = Allowance::new();
        assert!(left.take(TOTAL - 1).is_ok() && left.take(1).is_ok());
        assert!(matches!(left.take(1), Err(Fail::Method(MethodError::RequestTooLarge))));
    }
}
