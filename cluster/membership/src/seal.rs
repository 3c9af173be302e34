//! Sealing of datagrams with the cluster's key.
//!
//! ```text
//! version 1 | key id 4 | sender 8 | counter 8 | sealed octets | tag 16
//! ```
//!
//! The nonce is half of the sender's random number and the counter. Should two senders ever have one nonce, GCM-SIV (RFC 8452)
//! gives away no more than whether they said the same.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use aws_lc_rs::aead::{AES_256_GCM_SIV, Aad, LessSafeKey, Nonce, UnboundKey};
use leases::Secrets;
use parking_lot::Mutex;
use runtime::{Rng, SharedRng};
use tokio::sync::watch;

const VERSION: u8 = 1;
const HEADER: usize = 21;

/// Octets that sealing adds.
pub(crate) const OVERHEAD: usize = HEADER + 16;

/// Senders whose counters are remembered. A sender is a run of a process.
const SENDERS: usize = 4096;

/// The cluster's keys of gossip.
pub struct Keyring {
    keys: Vec<(u32, LessSafeKey)>,
}

impl Keyring {
    /// Those in the cluster's secrets: the first one seals, all open. `None` if there is none of 32 octets.
    pub fn of(secrets: &Secrets) -> Option<Keyring> {
        let key = |octets: &[u8]| UnboundKey::new(&AES_256_GCM_SIV, octets).ok().map(LessSafeKey::new);
        let keys: Vec<_> =
            secrets.keys.iter().filter_map(|secret| Some((secret.id, key(&secret.key)?))).collect();
        (!keys.is_empty()).then_some(Keyring { keys })
    }

    /// A new random key for [`leases::GossipKey`].
    pub fn generate(rng: &dyn Rng) -> Vec<u8> {
        let mut key = vec![0; 32];
        rng.fill(&mut key);
        key
    }

    fn first(&self) -> Option<&(u32, LessSafeKey)> {
        self.keys.first()
    }

    fn find(&self, id: u32) -> Option<&LessSafeKey> {
        self.keys.iter().find(|(known, _)| *known == id).map(|(_, key)| key)
    }
}

/// Seals and opens.
pub(crate) struct Seal {
    keys: watch::Receiver<Arc<Keyring>>,
    sender: [u8; 8],
    counter: AtomicU64,
    heard: Mutex<Heard>,
}

/// Who was heard of, and how often anybody was.
#[derive(Default)]
struct Heard {
    datagrams: u64,
    senders: HashMap<[u8; 8], Window>,
}

/// Which of a sender's last 64 counters were seen.
#[derive(Clone, Copy, Default)]
struct Window {
    highest: u64,
    seen: u64,
    /// When it was heard of last, in datagrams.
    used: u64,
}

impl Window {
    /// Whether the counter comes for the first time; remembers it.
    fn admit(&mut self, counter: u64) -> bool {
        if counter > self.highest {
            let ahead = u32::try_from(counter - self.highest).unwrap_or(u32::MAX);
            self.seen = self.seen.checked_shl(ahead).unwrap_or(0) | 1;
            self.highest = counter;
            return true;
        }
        let behind = self.highest - counter;
        let bit = u32::try_from(behind).ok().and_then(|behind| 1u64.checked_shl(behind)).unwrap_or(0);
        let fresh = bit != 0 && self.seen & bit == 0;
        self.seen |= bit;
        fresh
    }
}

impl Seal {
    pub(crate) fn new(keys: watch::Receiver<Arc<Keyring>>, rng: &SharedRng) -> Self {
        let mut sender = [0; 8];
        rng.fill(&mut sender);
        Seal { keys, sender, counter: AtomicU64::new(0), heard: Mutex::default() }
    }

    /// A datagram of these octets.
    pub(crate) fn seal(&self, plain: &[u8]) -> Option<Vec<u8>> {
        let keys = Arc::clone(&self.keys.borrow());
        let (id, key) = keys.first()?;
        let counter = self.counter.fetch_add(1, Ordering::Relaxed) + 1;
        let mut header = [0; HEADER];
        header[0] = VERSION;
        header[1..5].copy_from_slice(&id.to_be_bytes());
        header[5..13].copy_from_slice(&self.sender);
        header[13..].copy_from_slice(&counter.to_be_bytes());
        let mut sealed = plain.to_vec();
        key.seal_in_place_append_tag(nonce(&header), Aad::from(header), &mut sealed).ok()?;
        Some([&header[..], &sealed].concat())
    }

    /// The octets of a datagram that was sealed with one of the cluster's keys and comes for the first time; with its sender's
    /// number.
    pub(crate) fn open(&self, datagram: &[u8]) -> Option<([u8; 8], Vec<u8>)> {
        let (header, sealed) = datagram.split_at_checked(HEADER)?;
        let header: [u8; HEADER] = header.try_into().ok()?;
        let id = u32::from_be_bytes(header[1..5].try_into().ok()?);
        let keys = Arc::clone(&self.keys.borrow());
        let key = keys.find(id).filter(|_| header[0] == VERSION)?;
        let mut plain = sealed.to_vec();
        let len = key.open_in_place(nonce(&header), Aad::from(header), &mut plain).ok()?.len();
        plain.truncate(len);
        let sender: [u8; 8] = header[5..13].try_into().ok()?;
        let counter = u64::from_be_bytes(header[13..].try_into().ok()?);
        self.first_time(sender, counter).then_some((sender, plain))
    }

    fn first_time(&self, sender: [u8; 8], counter: u64) -> bool {
        let Heard { datagrams, senders } = &mut *self.heard.lock();
        *datagrams += 1;
        if senders.len() >= SENDERS && !senders.contains_key(&sender) {
            let oldest = senders.iter().min_by_key(|(_, window)| window.used).map(|(sender, _)| *sender);
            oldest.map(|oldest| senders.remove(&oldest));
        }
        let window = senders.entry(sender).or_default();
        window.used = *datagrams;
        window.admit(counter)
    }
}

fn nonce(header: &[u8; HEADER]) -> Nonce {
    let mut nonce = [0; 12];
    nonce.copy_from_slice(&header[9..]);
    Nonce::assume_unique_for_key(nonce)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use leases::GossipKey;
    use runtime::SeededRng;

    pub(crate) fn keys(ids: &[u32]) -> watch::Sender<Arc<Keyring>> {
        let keys = ids.iter().map(|id| GossipKey { id: *id, key: vec![*id as u8; 32] }).collect();
        watch::Sender::new(Arc::new(Keyring::of(&Secrets { keys, ..Secrets::default() }).unwrap()))
    }

    fn seal(ids: &[u32], seed: u64) -> Seal {
        let rng: SharedRng = Arc::new(SeededRng::new(seed));
        Seal::new(keys(ids).subscribe(), &rng)
    }

    #[test]
    fn what_was_sealed_opens_once() {
        let (a, b) = (seal(&[1], 1), seal(&[1], 2));
        let datagrams: Vec<_> = (0u8..3).map(|n| a.seal(&[n; 9]).unwrap()).collect();
        assert_eq!(datagrams[0].len(), 9 + OVERHEAD);
        // In any order, each once.
        for n in [2, 0, 1] {
            assert_eq!(b.open(&datagrams[n]).unwrap().1, [n as u8; 9]);
        }
        assert!(datagrams.iter().all(|datagram| b.open(datagram).is_none()));
    }

    #[test]
    fn what_was_not_sealed_with_a_key_of_ours_does_not_open() {
        let (a, b, stranger) = (seal(&[1], 1), seal(&[1], 2), seal(&[2], 3));
        assert!(b.open(&stranger.seal(b"x").unwrap()).is_none());
        let datagram = a.seal(b"hello").unwrap();
        for at in 0..datagram.len() {
            let mut forged = datagram.clone();
            forged[at] ^= 1;
            assert!(b.open(&forged).is_none(), "octet {at}");
            assert!(b.open(&datagram[..at]).is_none());
        }
        assert!(b.open(&datagram).is_some(), "forgeries took nothing away");
    }

    #[test]
    fn keys_rotate_without_a_gap() {
        let rng: SharedRng = Arc::new(SeededRng::new(1));
        let (old, both, new) = (seal(&[1], 1), seal(&[1, 2], 2), seal(&[2, 1], 3));
        // All know both keys before the new one comes first.
        for (from, to) in [(&old, &both), (&both, &old), (&both, &new), (&new, &both)] {
            assert!(to.open(&from.seal(b"x").unwrap()).is_some());
        }
        let ring = keys(&[1]);
        let rotating = Seal::new(ring.subscribe(), &rng);
        ring.send_replace(Arc::clone(&keys(&[2]).borrow()));
        assert!(seal(&[2], 9).open(&rotating.seal(b"x").unwrap()).is_some());
        assert!(Keyring::of(&Secrets::default()).is_none());
        assert_eq!(Keyring::generate(&*rng).len(), 32);
    }

    #[test]
    fn a_window_admits_each_counter_once() {
        let mut window = Window::default();
        assert!([5, 3, 4, 70, 69, 7].into_iter().all(|counter| window.admit(counter)));
        // Twice, or too old to be known.
        assert!(
            [5, 70, 7, 6, 1]
                .into_iter()
                .all(|counter| !window.admit(counter) || counter == 6 || counter == 7)
        );
        assert!(window.admit(u64::MAX) && !window.admit(1) && !window.admit(u64::MAX));
    }
}
