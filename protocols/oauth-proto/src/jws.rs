//! What is signed: JWS (RFC 7515) in its compact form by RS256 (RFC 7518 §3.3), which every client of OpenID Connect reads (Core §15.1),
//! and keys as clients are told them (JWK, RFC 7517).
//!
//! There is one algorithm. What a token says of its own is only looked up: the key is one of ours or the token is none.

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

/// The one algorithm.
pub(crate) const ALGORITHM: &str = "RS256";

/// A key cannot be made, or what was kept is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoKey;

impl std::fmt::Display for NoKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the signing key cannot be made or used")
    }
}

impl std::error::Error for NoKey {}

/// A key that has just been made, as it is to be kept.
pub struct MadeKey {
    /// By what tokens name it.
    pub id: String,
    /// The key pair, in PKCS #8: a secret.
    pub pair: Vec<u8>,
    /// Its public half (RFC 8017 §A.1.1).
    pub public: Vec<u8>,
}

impl std::fmt::Debug for MadeKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MadeKey").field("id", &self.id).finish_non_exhaustive()
    }
}

impl MadeKey {
    /// Makes a key of 2048 bits. Takes some tenths of a second; blocks.
    ///
    /// # Errors
    /// The library makes none.
    pub fn generate() -> Result<MadeKey, NoKey> {
        let pair = KeyPair::generate(KeySize::Rsa2048).map_err(|_| NoKey)?;
        let public = pair.public_key().as_ref().to_vec();
        let kept = AsDer::<aws_lc_rs::encoding::Pkcs8V1Der<'_>>::as_der(&pair).map_err(|_| NoKey)?;
        Ok(MadeKey { id: thumbprint(&public).ok_or(NoKey)?, pair: kept.as_ref().to_vec(), public })
    }
}

/// What signs.
pub struct Signer {
    id: String,
    pair: KeyPair,
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Signer").field("id", &self.id).finish_non_exhaustive()
    }
}

impl Signer {
    /// The key that was kept.
    ///
    /// # Errors
    /// It is none.
    pub fn read(id: &str, pair: &[u8]) -> Result<Signer, NoKey> {
        Ok(Signer { id: id.to_owned(), pair: KeyPair::from_pkcs8(pair).map_err(|_| NoKey)? })
    }

    /// By what tokens name it.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// What says these claims, signed (RFC 7515 §3.1, §7.1).
    ///
    /// # Errors
    /// Nothing can be signed.
    pub fn sign(&self, claims: &Value) -> Result<String, NoKey> {
        let head = json!({"typ": "JWT", "alg": ALGORITHM, "kid": self.id}).to_string();
        let signed = format!("{}.{}", encoded(head.as_bytes()), encoded(claims.to_string().as_bytes()));
        let mut signature = vec![0; self.pair.public_modulus_len()];
        self.pair
            .sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), signed.as_bytes(), &mut signature)
            .map_err(|_| NoKey)?;
        Ok(format!("{signed}.{}", encoded(&signature)))
    }
}

/// The claims of what one of our keys has signed; none for anything else. `public` finds the public half of a key of ours by its id.
pub fn claims_of<'a>(token: &str, public: impl FnOnce(&str) -> Option<&'a [u8]>) -> Option<Value> {
    let (signed, signature) = token.rsplit_once('.')?;
    let (head, claims) = signed.split_once('.')?;
    let head: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(head).ok()?).ok()?;
    if head.get("alg")?.as_str()? != ALGORITHM || head.get("crit").is_some() {
        return None;
    }
    let key = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, public(head.get("kid")?.as_str()?)?);
    key.verify(signed.as_bytes(), &URL_SAFE_NO_PAD.decode(signature).ok()?).ok()?;
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).ok()?).ok()
}

/// The keys whose public halves these are, as clients are told them (RFC 7517 §5).
pub fn key_set<'a>(keys: impl Iterator<Item = (&'a str, &'a [u8])>) -> Value {
    let key = |(id, public): (&str, &[u8])| {
        let (n, e) = parts(public)?;
        // RFC 7518 §6.3.1
        Some(
            json!({"kty": "RSA", "use": "sig", "alg": ALGORITHM, "kid": id, "n": encoded(n), "e": encoded(e)}),
        )
    };
    json!({"keys": keys.filter_map(key).collect::<Vec<Value>>()})
}

/// RFC 7638 §3: of the members that must be there, in the order of their names, without spaces.
fn thumbprint(public: &[u8]) -> Option<String> {
    let (n, e) = parts(public)?;
    let text = format!("{{\"e\":\"{}\",\"kty\":\"RSA\",\"n\":\"{}\"}}", encoded(e), encoded(n));
    Some(encoded(digest(&SHA256, text.as_bytes()).as_ref()))
}

/// Modulus and exponent: `SEQUENCE { INTEGER, INTEGER }` in DER (RFC 8017 §A.1.1), without leading zeros (RFC 7518 §2).
fn parts(public: &[u8]) -> Option<(&[u8], &[u8])> {
    let (body, rest) = element(0x30, public)?;
    let (n, others) = element(0x02, body)?;
    let (e, end) = element(0x02, others)?;
    let plain = |number: &'_ [u8]| number.iter().position(|byte| *byte != 0);
    let (n, e) = (n.get(plain(n)?..)?, e.get(plain(e)?..)?);
    (rest.is_empty() && end.is_empty()).then_some((n, e))
}

/// What a DER element of this tag has in it, and what is behind it.
fn element(tag: u8, der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (found, rest) = der.split_first()?;
    let (first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(*first), rest),
        0x81..=0x82 => {
            let (bytes, rest) = rest.split_at_checked(usize::from(first & 0xf))?;
            (bytes.iter().fold(0, |all, byte| all << 8 | usize::from(*byte)), rest)
        }
        _ => return None,
    };
    if *found == tag { rest.split_at_checked(length) } else { None }
}

pub(crate) fn encoded(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The key of RFC 7638 §3.1, as RFC 8017 writes it.
    fn rfc_key() -> Vec<u8> {
        let n = URL_SAFE_NO_PAD
            .decode(
                "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRX\
                 jBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs\
                 8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_\
                 xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw",
            )
            .unwrap();
        [&b"\x30\x82\x01\x0a\x02\x82\x01\x01\0"[..], &n, b"\x02\x03\x01\0\x01"].concat()
    }

    #[test]
    fn a_key_is_named_as_the_rfc_says() {
        assert_eq!(thumbprint(&rfc_key()).unwrap(), "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
        let told = key_set([("k", &*rfc_key()), ("none", b"none")].into_iter());
        let [key] = told["keys"].as_array().unwrap().as_slice() else { panic!("{told}") };
        assert_eq!((&key["kty"], &key["e"], &key["kid"]), (&json!("RSA"), &json!("AQAB"), &json!("k")));
        assert!(key["n"].as_str().unwrap().starts_with("0vx7agoebGcQSuuPiLJXZptN9nndrQmb"));
        assert_eq!(key.as_object().unwrap().len(), 6, "nothing else of it is told: {key}");
    }

    #[test]
    fn what_is_no_key_is_none() {
        let good = rfc_key();
        for bad in [&b""[..], b"\x30", b"\x30\x80", b"\x30\x84\0\0\0\0", &good[1..], &good[..good.len() - 1]]
        {
            assert_eq!(parts(bad), None, "{bad:?}");
        }
        assert_eq!(parts(&[&good[..], b"\0"].concat()), None, "something behind it");
        assert_eq!(parts(b"\x30\x06\x02\x01\0\x02\x01\x03"), None, "a modulus of nothing");
        assert!(Signer::read("a", &good).is_err());
    }

    #[test]
    fn what_one_key_signs_is_of_that_key_and_as_it_was() {
        let (one, other) = (MadeKey::generate().unwrap(), MadeKey::generate().unwrap());
        assert!(!format!("{one:?}").contains("pair") && one.id != other.id);
        let signer = Signer::read(&one.id, &one.pair).unwrap();
        let token = signer.sign(&json!({"sub": "A1"})).unwrap();
        let of = |token: &str| claims_of(token, |id| (id == one.id).then_some(&one.public));
        assert_eq!(of(&token), Some(json!({"sub": "A1"})));
        assert_eq!(claims_of(&token, |_| None), None, "no key of that name");
        assert_eq!(claims_of(&token, |_| Some(&other.public)), None);
        let [head, claims, signature] = token.split('.').collect::<Vec<_>>().try_into().unwrap();
        let with = |head: &str, claims: &str, signature: &str| of(&format!("{head}.{claims}.{signature}"));
        assert_eq!(with(head, claims, signature), Some(json!({"sub": "A1"})));
        let none = encoded(json!({"alg": "none", "kid": one.id}).to_string().as_bytes());
        let symmetric = encoded(json!({"alg": "HS256", "kid": one.id}).to_string().as_bytes());
        for bad in [
            with(&none, claims, ""),
            with(&symmetric, claims, signature),
            with(head, &encoded(b"{\"sub\":\"A2\"}"), signature),
            with(head, claims, &signature[1..]),
            with(head, claims, ""),
            of(""),
            of(".."),
            of(claims),
        ] {
            assert_eq!(bad, None);
        }
    }
}
