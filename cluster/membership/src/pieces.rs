//! Messages in pieces that fit into a datagram, and back.
//!
//! ```text
//! message 4 | piece 2 | pieces 2 | octets of the compressed message
//! ```

use std::collections::HashMap;

use zstd::bulk::{Compressor, Decompressor};

const HEADER: usize = 8;

/// Octets of a piece that carry the message.
const ROOM: usize = crate::network::DATAGRAM - crate::seal::OVERHEAD - HEADER;

/// Longest message, in octets before it is compressed; chitchat makes none over 65,507.
const LONGEST: usize = 128 * 1024;

/// Messages that are put together at a time. When one more comes, the oldest is given up.
const OPEN: usize = 256;

/// The level of zstd at which digests shrink well and fast.
const LEVEL: i32 = 1;

/// Cuts messages.
pub(crate) struct Cutter {
    compressor: Compressor<'static>,
    /// Of the last message: it only has to differ from those before it.
    number: u32,
}

impl Cutter {
    /// # Errors
    /// When there is no memory.
    pub(crate) fn new() -> std::io::Result<Cutter> {
        Ok(Cutter { compressor: Compressor::new(LEVEL)?, number: 0 })
    }

    pub(crate) fn cut(&mut self, message: &[u8]) -> Vec<Vec<u8>> {
        self.number = self.number.wrapping_add(1);
        let Ok(packed) = self.compressor.compress(message) else { return Vec::new() };
        let Ok(pieces) = u16::try_from(packed.len().div_ceil(ROOM)) else { return Vec::new() };
        let piece = |(at, octets): (u16, &[u8])| {
            [&self.number.to_be_bytes()[..], &at.to_be_bytes(), &pieces.to_be_bytes(), octets].concat()
        };
        (0..pieces).zip(packed.chunks(ROOM)).map(piece).collect()
    }
}

/// Puts messages together.
pub(crate) struct Pieces {
    decompressor: Decompressor<'static>,
    open: HashMap<([u8; 8], u32), Partial>,
    arrived: u64,
}

struct Partial {
    pieces: Vec<Option<Vec<u8>>>,
    since: u64,
}

impl Pieces {
    /// # Errors
    /// When there is no memory.
    pub(crate) fn new() -> std::io::Result<Pieces> {
        Ok(Pieces { decompressor: Decompressor::new()?, open: HashMap::new(), arrived: 0 })
    }

    /// Takes a piece of a sender; returns the message it completes.
    pub(crate) fn take(&mut self, sender: [u8; 8], piece: &[u8]) -> Option<Vec<u8>> {
        let (header, octets) = piece.split_at_checked(HEADER)?;
        let number = u32::from_be_bytes(header[..4].try_into().ok()?);
        let at = usize::from(u16::from_be_bytes(header[4..6].try_into().ok()?));
        let count = usize::from(u16::from_be_bytes(header[6..].try_into().ok()?));
        if at >= count || count > LONGEST.div_ceil(ROOM) {
            return None;
        }
        if count == 1 {
            return self.decompressor.decompress(octets, LONGEST).ok();
        }
        self.arrived += 1;
        self.make_room();
        let fresh = Partial { pieces: vec![None; count], since: self.arrived };
        let partial = self.open.entry((sender, number)).or_insert(fresh);
        *partial.pieces.get_mut(at)? = Some(octets.to_vec());
        if partial.pieces.iter().any(Option::is_none) {
            return None;
        }
        let partial = self.open.remove(&(sender, number))?;
        let packed: Vec<u8> = partial.pieces.into_iter().flatten().flatten().collect();
        self.decompressor.decompress(&packed, LONGEST).ok()
    }

    fn make_room(&mut self) {
        if self.open.len() >= OPEN {
            let oldest = self.open.iter().min_by_key(|(_, partial)| partial.since).map(|(key, _)| *key);
            oldest.map(|oldest| self.open.remove(&oldest));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use runtime::{Rng, SeededRng};

    const SENDER: [u8; 8] = [1; 8];

    /// What does not shrink.
    fn noise(len: usize) -> Vec<u8> {
        let mut noise = vec![0; len];
        SeededRng::new(len as u64).fill(&mut noise);
        noise
    }

    #[test]
    fn messages_come_back_whatever_the_order() {
        for len in [0, 1, 1000, 5000, 65_507] {
            let message = noise(len);
            let mut pieces = Cutter::new().unwrap().cut(&message);
            assert!(pieces.iter().all(|piece| piece.len() <= ROOM + HEADER), "{len}");
            pieces.reverse();
            let mut together = Pieces::new().unwrap();
            let whole: Vec<_> = pieces.iter().filter_map(|piece| together.take(SENDER, piece)).collect();
            assert_eq!(whole, [message], "{len}");
            assert!(together.open.is_empty());
        }
    }

    #[test]
    fn what_never_comes_is_given_up() {
        let (mut cutter, mut together) = (Cutter::new().unwrap(), Pieces::new().unwrap());
        for _ in 0..1000 {
            let pieces = cutter.cut(&noise(3000));
            assert_eq!(together.take(SENDER, &pieces[0]), None);
        }
        assert_eq!(together.open.len(), OPEN);
    }

    #[test]
    fn nonsense_is_dropped() {
        let mut together = Pieces::new().unwrap();
        assert_eq!(together.take(SENDER, b"short"), None);
        assert_eq!(together.take(SENDER, &[0, 0, 0, 1, 0, 1, 0, 1, 9]), None, "piece 1 of 1");
        assert_eq!(together.take(SENDER, &[0, 0, 0, 1, 0, 0, 0xff, 0xff, 9]), None, "too many");
        assert_eq!(together.take(SENDER, &[0, 0, 0, 1, 0, 0, 0, 1, 9]), None, "not compressed");
        // A message said to have two pieces, then three.
        assert_eq!(together.take(SENDER, &[0, 0, 0, 1, 0, 0, 0, 2, 9]), None);
        assert_eq!(together.take(SENDER, &[0, 0, 0, 1, 0, 2, 0, 3, 9]), None);
        let bomb = zstd::bulk::compress(&vec![0; 10 * LONGEST], 19).unwrap();
        let piece = [&[0, 0, 0, 1, 0, 0, 0, 1][..], &bomb].concat();
        assert_eq!(together.take(SENDER, &piece), None);
    }
}
