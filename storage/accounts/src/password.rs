//! Passwords: argon2id in PHC strings.
//!
//! Hashing takes tens of milliseconds and megabytes: callers on async workers run it in a bounded pool.

use argon2::password_hash::PasswordVerifier;
use argon2::password_hash::phc::PasswordHash as Phc;
use argon2::{Algorithm, Argon2, CustomizedPasswordHasher, Params, Version};
use runtime::Rng;
use std::fmt;
use zeroize::Zeroizing;

/// A secret in memory: wiped when dropped, never shown.
#[derive(Clone)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Takes the text over.
    pub fn new(text: impl Into<String>) -> Self {
        Secret(Zeroizing::new(text.into()))
    }

    /// The text itself.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// What an argon2id hash costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HashCost {
    /// Memory, in KiB.
    pub memory_kib: u32,
    /// Passes over it.
    pub passes: u32,
    /// Lanes.
    pub lanes: u32,
}

impl HashCost {
    /// For tests: next to nothing.
    pub const CHEAP: HashCost = HashCost { memory_kib: 8, passes: 1, lanes: 1 };
}

impl Default for HashCost {
    /// 19 MiB, two passes, one lane: OWASP's recommendation, and about 20 ms of a core.
    fn default() -> Self {
        HashCost { memory_kib: 19 * 1024, passes: 2, lanes: 1 }
    }
}

/// Why a password could not be hashed.
#[derive(Debug, thiserror::Error)]
pub enum HashError {
    /// The configured cost is outside what argon2 allows.
    #[error("argon2 does not allow this cost: {0}")]
    Cost(argon2::Error),
    /// Any other failure.
    #[error("the password could not be hashed: {0}")]
    Hash(argon2::password_hash::Error),
}

/// A password as it is stored: a PHC string.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash(String);

impl PasswordHash {
    /// Hashes a password with a random salt of 16 bytes. Takes long; blocks.
    pub fn new(password: &Secret, cost: HashCost, rng: &dyn Rng) -> Result<Self, HashError> {
        let params = Params::new(cost.memory_kib, cost.passes, cost.lanes, None).map_err(HashError::Cost)?;
        let argon = Argon2::new(Algorithm::Argon2id, Version::V0x13, params.clone());
        let mut salt = [0; 16];
        rng.fill(&mut salt);
        let hash = argon
            .hash_password_with_params(password.expose().as_bytes(), &salt, params)
            .map_err(HashError::Hash)?;
        Ok(PasswordHash(hash.to_string()))
    }

    /// Takes a PHC string of argon2 made elsewhere; nothing if it is none.
    pub fn from_phc(text: &str) -> Option<Self> {
        let known = Phc::new(text).ok()?.algorithm.as_str().starts_with("argon2");
        known.then(|| PasswordHash(text.to_owned()))
    }

    /// The PHC string.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the password is the one that was hashed. Takes as long as hashing; blocks.
    pub fn verify(&self, password: &Secret) -> bool {
        // The cost comes from the string.
        Phc::new(&self.0)
            .is_ok_and(|hash| Argon2::default().verify_password(password.expose().as_bytes(), &hash).is_ok())
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use runtime::SeededRng;

    #[test]
    fn a_password_is_verified() {
        let rng = SeededRng::new(1);
        let hash = PasswordHash::new(&Secret::new("secret"), HashCost::CHEAP, &rng).unwrap();
        assert!(hash.as_str().starts_with("$argon2id$v=19$m=8,t=1,p=1$"), "{}", hash.as_str());
        assert!(hash.verify(&Secret::new("secret")));
        assert!(!hash.verify(&Secret::new("Secret")));
        assert!(!hash.verify(&Secret::new("")));
        assert_eq!(PasswordHash::from_phc(hash.as_str()), Some(hash));
    }

    #[test]
    fn equal_passwords_have_different_hashes() {
        let (rng, secret) = (SeededRng::new(1), Secret::new("x"));
        let hash = || PasswordHash::new(&secret, HashCost::CHEAP, &rng).unwrap();
        assert_ne!(hash(), hash());
    }

    #[test]
    fn nonsense_is_no_hash() {
        assert_eq!(PasswordHash::from_phc("secret"), None);
        assert_eq!(PasswordHash::from_phc("$5$salt$hash"), None);
        let cost = HashCost { memory_kib: 0, ..HashCost::CHEAP };
        assert!(PasswordHash::new(&Secret::new("x"), cost, &SeededRng::new(1)).is_err());
    }

    #[test]
    fn secrets_are_not_shown() {
        let secret = Secret::new("hunter2");
        assert!(!format!("{secret:?}").contains("hunter2"));
    }
}
