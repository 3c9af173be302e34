//! Who pushes (RFC 8292): a token that the sender's key has signed, for one push service.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;

use crate::Error;

/// How long a token is good, in seconds (RFC 8292 §2: a day at most).
const LASTS: u64 = 12 * 3_600;

/// The sender's key.
pub struct Vapid {
    pair: EcdsaKeyPair,
}

impl std::fmt::Debug for Vapid {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Vapid").field("public", &self.public()).finish_non_exhaustive()
    }
}

impl Vapid {
    /// Makes a key, and tells it as it is to be kept (PKCS #8): a secret.
    ///
    /// # Errors
    /// [`Error::OwnKey`] if the library makes none.
    pub fn generate() -> Result<Vec<u8>, Error> {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).map_err(|_| Error::OwnKey)?;
        let kept = pair.to_pkcs8v1().map_err(|_| Error::OwnKey)?;
        Ok(kept.as_ref().to_vec())
    }

    /// The key that was kept.
    ///
    /// # Errors
    /// [`Error::OwnKey`]
    pub fn read(kept: &[u8]) -> Result<Self, Error> {
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, kept);
        Ok(Vapid { pair: pair.map_err(|_| Error::OwnKey)? })
    }

    /// What clients subscribe with (RFC 9749 `applicationServerKey`).
    pub fn public(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.pair.public_key())
    }

    /// The `Authorization` of a push (RFC 8292 §3) to a service of this origin, at a time in seconds since the epoch; `contact`
    /// is a `mailto:` or `https:` URI of who runs this.
    ///
    /// # Errors
    /// [`Error::OwnKey`] if nothing can be signed.
    pub fn authorization(&self, origin: &str, now: u64, contact: &str) -> Result<String, Error> {
        let head = URL_SAFE_NO_PAD.encode(json!({"typ": "JWT", "alg": "ES256"}).to_string());
        let claims = json!({"aud": origin, "exp": now.saturating_add(LASTS), "sub": contact});
        let signed = format!("{head}.{}", URL_SAFE_NO_PAD.encode(claims.to_string()));
        let signature = self.pair.sign(&SystemRandom::new(), signed.as_bytes()).map_err(|_| Error::OwnKey)?;
        let signature = URL_SAFE_NO_PAD.encode(signature.as_ref());
        Ok(format!("vapid t={signed}.{signature}, k={}", self.public()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
    use serde_json::Value;

    /// RFC 8292 §2, §3
    #[test]
    fn a_service_can_tell_who_pushes() {
        let kept = Vapid::generate().unwrap();
        let vapid = Vapid::read(&kept).unwrap();
        let field =
            vapid.authorization("https://push.example.net", 1_453_473_788, "mailto:a@example.com").unwrap();
        let (token, key) = field.strip_prefix("vapid t=").unwrap().split_once(", k=").unwrap();
        assert_eq!(key, vapid.public());
        let (signed, signature) = token.rsplit_once('.').unwrap();
        let decode = |text: &str| URL_SAFE_NO_PAD.decode(text).unwrap();
        let public = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, decode(key));
        public.verify(signed.as_bytes(), &decode(signature)).unwrap();
        let part = |at: usize| -> Value {
            serde_json::from_slice(&decode(signed.split('.').nth(at).unwrap())).unwrap()
        };
        assert_eq!(part(0), json!({"typ": "JWT", "alg": "ES256"}));
        let claims =
            json!({"aud": "https://push.example.net", "exp": 1_453_516_988, "sub": "mailto:a@example.com"});
        assert_eq!(part(1), claims);
        assert_eq!(Vapid::read(b"none").map(|_| ()), Err(Error::OwnKey));
    }
}
