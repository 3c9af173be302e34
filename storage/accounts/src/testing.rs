//! What tests of other crates need: the user's device.

use data_encoding::BASE32_NOPAD;

/// What a device shows at a time (in milliseconds since the epoch) that has read this secret, in base32. Empty for what is none.
pub fn code(secret: &str, now: i64) -> String {
    let secret = BASE32_NOPAD.decode(secret.as_bytes()).unwrap_or_default();
    crate::second::code_of(&secret, now)
}
