//! PKCE (RFC 7636) by S256; `plain` is not there (RFC 9700 §2.1.1).

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// SHA-256 of a verifier.
pub type Challenge = [u8; 32];

/// Reads a `code_challenge` (RFC 7636 §4.2).
pub(crate) fn challenge(text: &str) -> Option<Challenge> {
    URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok()
}

/// What a `code_verifier` shows (RFC 7636 §4.6).
pub(crate) fn challenge_of(verifier: &str) -> Option<Challenge> {
    is_verifier(verifier).then(|| digest(&SHA256, verifier.as_bytes()).as_ref().try_into().ok())?
}

/// RFC 7636 §4.1: 43 to 128 unreserved characters.
fn is_verifier(text: &str) -> bool {
    let unreserved = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    (43..=128).contains(&text.len()) && text.bytes().all(unreserved)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7636 appendix B.
    #[test]
    fn the_rfcs_example() {
        let verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
        let expected = challenge("E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
        assert!(expected.is_some());
        assert_eq!(challenge_of(verifier), expected);
    }

    #[test]
    fn what_is_none() {
        for bad in ["", "a", &"a".repeat(42), &"a".repeat(129), &"é".repeat(30), &"a ".repeat(30)] {
            assert_eq!(challenge_of(bad), None, "{bad}");
        }
        for bad in ["", "E9Mel", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM="] {
            assert_eq!(challenge(bad), None, "{bad}");
        }
    }
}
