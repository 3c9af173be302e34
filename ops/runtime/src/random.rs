//! Randomness as a value that is passed in.

use parking_lot::Mutex;
use rand::rngs::StdRng;
use rand::{RngCore, SeedableRng};
use std::sync::Arc;

/// Where random bytes come from.
pub trait Rng: Send + Sync {
    /// Fills `out` with random bytes.
    fn fill(&self, out: &mut [u8]);

    /// A random number of 64 bits.
    fn u64(&self) -> u64 {
        let mut bytes = [0; 8];
        self.fill(&mut bytes);
        u64::from_le_bytes(bytes)
    }

    /// A random number below `bound`; 0 if `bound` is 0.
    ///
    /// Multiply-shift: the bias is below `bound` / 2^64, which nothing here can notice.
    fn below(&self, bound: u64) -> u64 {
        ((u128::from(self.u64()) * u128::from(bound)) >> 64) as u64
    }
}

/// A source of randomness as it is handed around.
pub type SharedRng = Arc<dyn Rng>;

/// A cryptographic generator per thread, seeded and reseeded by the operating system. Fit for secrets.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemRng;

impl SystemRng {
    /// Ready to be handed around.
    pub fn shared() -> SharedRng {
        Arc::new(SystemRng)
    }
}

impl Rng for SystemRng {
    fn fill(&self, out: &mut [u8]) {
        rand::rng().fill_bytes(out);
    }
}

/// The same bytes for the same seed: for tests and simulation, never for secrets.
#[derive(Debug)]
pub struct SeededRng(Mutex<StdRng>);

impl SeededRng {
    /// A generator whose whole future follows from `seed`.
    pub fn new(seed: u64) -> Self {
        SeededRng(Mutex::new(StdRng::seed_from_u64(seed)))
    }
}

impl Rng for SeededRng {
    fn fill(&self, out: &mut [u8]) {
        self.0.lock().fill_bytes(out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_decides_everything() {
        let (a, b, c) = (SeededRng::new(7), SeededRng::new(7), SeededRng::new(8));
        let first = a.u64();
        assert_eq!(first, b.u64());
        assert_ne!(first, c.u64());
    }

    #[test]
    fn below_stays_below() {
        let rng = SeededRng::new(1);
        assert!((0..1000).all(|_| rng.below(10) < 10));
        assert_eq!(rng.below(0), 0);
        let seen: std::collections::BTreeSet<u64> = (0..1000).map(|_| rng.below(10)).collect();
        assert_eq!(seen.len(), 10);
    }

    #[test]
    fn the_system_does_not_repeat_itself() {
        assert_ne!(SystemRng.u64(), SystemRng.u64());
    }
}
