//! Which passwords were verified before.
//!
//! What is remembered is a keyed hash over the credential's version and the password. The key is random and known
//! to this process only, or to the nodes of a cluster, which tell each other what they remember; versions are random
//! and change with each new password: a remembered hash stands for
//! nothing once the password was changed, and is of no use to anybody who finds it elsewhere.

use accounts::Secret;
use parking_lot::Mutex;
use std::collections::HashSet;

/// A password that goes with one version of a credential.
pub type Tag = [u8; 32];

pub(crate) struct Cache {
    /// Each generation has at most this many.
    capacity: usize,
    generations: Mutex<Generations>,
}

/// New tags go into the young one. When it is full it becomes the old one, and what was not used since the last
/// time goes.
struct Generations {
    key: [u8; 32],
    young: HashSet<Tag>,
    old: HashSet<Tag>,
}

impl Cache {
    /// Remembers about `capacity` passwords.
    pub(crate) fn new(key: [u8; 32], capacity: usize) -> Self {
        let generations = Generations { key, young: HashSet::new(), old: HashSet::new() };
        Cache { capacity: capacity.div_ceil(2).max(1), generations: Mutex::new(generations) }
    }

    /// Takes another key, and forgets everything.
    pub(crate) fn rekey(&self, key: [u8; 32]) {
        *self.generations.lock() = Generations { key, young: HashSet::new(), old: HashSet::new() };
    }

    /// All that is remembered.
    pub(crate) fn all(&self) -> Vec<Tag> {
        let generations = self.generations.lock();
        generations.young.union(&generations.old).copied().collect()
    }

    /// Remembers what another process does that has the same key, as far as there is room for it: nothing of its own goes.
    pub(crate) fn adopt(&self, tags: impl IntoIterator<Item = Tag>) {
        let mut generations = self.generations.lock();
        for tag in tags {
            if generations.old.len() >= self.capacity {
                return;
            }
            if !generations.young.contains(&tag) {
                generations.old.insert(tag);
            }
        }
    }

    pub(crate) fn tag(&self, version: u64, password: &Secret) -> Tag {
        let mut hasher = blake3::Hasher::new_keyed(&self.generations.lock().key);
        hasher.update(b"password");
        hasher.update(&version.to_le_bytes());
        hasher.update(password.expose().as_bytes());
        *hasher.finalize().as_bytes()
    }

    /// Comparing tags need not take constant time: who does not know the key cannot choose them.
    pub(crate) fn knows(&self, tag: &Tag) -> bool {
        let mut generations = self.generations.lock();
        if generations.young.contains(tag) {
            return true;
        }
        let known = generations.old.remove(tag);
        if known {
            generations.add(*tag, self.capacity);
        }
        known
    }

    pub(crate) fn remember(&self, tag: Tag) {
        self.generations.lock().add(tag, self.capacity);
    }
}

impl Generations {
    fn add(&mut self, tag: Tag, capacity: usize) {
        if self.young.len() >= capacity {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(tag);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_bound_to_version_and_password() {
        let cache = Cache::new([1; 32], 10);
        let tag = cache.tag(1, &Secret::new("secret"));
        assert!(!cache.knows(&tag));
        cache.remember(tag);
        assert!(cache.knows(&tag));
        assert!(!cache.knows(&cache.tag(2, &Secret::new("secret"))));
        assert!(!cache.knows(&cache.tag(1, &Secret::new("Secret"))));
        assert_ne!(Cache::new([2; 32], 10).tag(1, &Secret::new("secret")), tag);
    }

    #[test]
    fn what_another_remembers_is_known_under_one_key() {
        let (here, there) = (Cache::new([1; 32], 10), Cache::new([2; 32], 10));
        let secret = |n: u64| here.tag(n, &Secret::new("x"));
        (0..5).for_each(|n| here.remember(secret(n)));
        there.adopt(here.all());
        assert!(!there.knows(&there.tag(1, &Secret::new("x"))), "another key");
        there.rekey([1; 32]);
        assert_eq!(there.all(), Vec::<Tag>::new());
        there.remember(secret(9));
        there.adopt(here.all());
        assert!((0..5).all(|n| there.knows(&there.tag(n, &Secret::new("x")))));
        // No more than there is room for, and what is its own stays.
        there.adopt((10..100).map(secret));
        assert!(there.knows(&secret(9)));
        assert!(there.all().len() <= 10);
    }

    #[test]
    fn what_is_used_stays_and_the_rest_goes() {
        let cache = Cache::new([1; 32], 10);
        let tag = |n: u64| cache.tag(n, &Secret::new("x"));
        cache.remember(tag(0));
        for n in 1..100 {
            cache.remember(tag(n));
            assert!(cache.knows(&tag(0)), "{n}");
        }
        assert!(!cache.knows(&tag(50)));
        let generations = cache.generations.lock();
        assert!(generations.young.len() + generations.old.len() <= 10);
    }
}
