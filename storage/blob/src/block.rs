//! Blocks: how the bytes of a body are laid down, so that any range of them can be read and checked by itself.
//!
//! ```text
//! format (1: as is, 2: zstd) · length of the payload (4) · checksum of the raw bytes (8) · payload
//! ```
//!
//! Every block but the last holds the same number of raw bytes. The checksum covers the place of the block as well
//! (object and index): a block of another body, or out of order, is as wrong as one that was damaged. A block is
//! compressed if that saves an eighth of it; base64 alone saves a quarter.

use schema::keys::blob::CHUNK;
use std::ops::{Range, RangeInclusive};

/// Raw bytes of a block: stored, it fits into a row of the key-value store.
pub(crate) const BLOCK: usize = CHUNK;
/// Bytes before the payload.
const HEADER: usize = 13;
/// Fast: a disk is slower than this, and what comes next is hardly smaller.
const LEVEL: i32 = 1;
/// Smaller bodies are not compressed: they cost a row whatever their size.
pub(crate) const WORTH_TRYING: usize = 8 << 10;

const AS_IS: u8 = 1;
const ZSTD: u8 = 2;

/// What does not fit in a block that was read.
pub(crate) type Damage = &'static str;

/// The raw bytes as a stored block. `key` tells objects apart.
pub(crate) fn encode(key: u64, index: u32, raw: &[u8], compress: bool) -> Vec<u8> {
    let smaller =
        if compress && raw.len() >= WORTH_TRYING { zstd::bulk::compress(raw, LEVEL).ok() } else { None };
    let (format, payload) = match &smaller {
        Some(small) if small.len() <= raw.len() / 8 * 7 => (ZSTD, small.as_slice()),
        _ => (AS_IS, raw),
    };
    let mut block = Vec::with_capacity(HEADER + payload.len());
    block.push(format);
    block.extend_from_slice(&(payload.len() as u32).to_be_bytes());
    block.extend_from_slice(&checksum(key, index, raw));
    block.extend_from_slice(payload);
    block
}

/// The raw bytes of a stored block, of which there must be `len`, added to `out`.
pub(crate) fn decode(
    key: u64,
    index: u32,
    block: &[u8],
    len: usize,
    out: &mut Vec<u8>,
) -> Result<(), Damage> {
    let (header, payload) = block.split_at_checked(HEADER).ok_or("a block is too short")?;
    let [format, l0, l1, l2, l3, sum @ ..] = header else { return Err("a block is too short") };
    if u32::from_be_bytes([*l0, *l1, *l2, *l3]) as usize != payload.len() {
        return Err("a block does not have its length");
    }
    let start = out.len();
    match *format {
        AS_IS => out.extend_from_slice(payload),
        // Never more than there may be, whatever the bytes say.
        ZSTD => {
            let raw = zstd::bulk::decompress(payload, len).map_err(|_| "a block cannot be decompressed")?;
            out.extend_from_slice(&raw);
        }
        _ => return Err("a block is in a format that this version does not know"),
    }
    let raw = out.get(start..).unwrap_or_default();
    if raw.len() != len || checksum(key, index, raw) != sum {
        return Err("a block does not have its checksum");
    }
    Ok(())
}

fn checksum(key: u64, index: u32, raw: &[u8]) -> [u8; 8] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&key.to_be_bytes()).update(&index.to_be_bytes()).update(raw);
    let mut sum = [0; 8];
    hasher.finalize_xof().fill(&mut sum);
    sum
}

/// Where the blocks of a body are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Layout {
    /// Bytes of the body.
    pub(crate) size: u64,
    /// Raw bytes of a block.
    pub(crate) block: u32,
    /// Stored bytes of each block; none if all are as they are.
    pub(crate) stored: Vec<u32>,
}

impl Layout {
    /// Of blocks that were stored in so many bytes each.
    pub(crate) fn new(size: u64, stored: Vec<u32>) -> Self {
        let layout = Layout { size, block: BLOCK as u32, stored: Vec::new() };
        let plain =
            stored.iter().zip(0..).all(|(bytes, index)| *bytes as usize == HEADER + layout.raw(index));
        if plain { layout } else { Layout { stored, ..layout } }
    }

    /// The blocks that hold a range of the body, which is not empty.
    pub(crate) fn blocks(&self, range: &Range<u64>) -> RangeInclusive<u32> {
        let block = u64::from(self.block).max(1);
        (range.start / block) as u32..=(range.end.saturating_sub(1) / block) as u32
    }

    /// Raw bytes of a block.
    pub(crate) fn raw(&self, index: u32) -> usize {
        let start = u64::from(index) * u64::from(self.block);
        self.size.saturating_sub(start).min(u64::from(self.block)) as usize
    }

    /// Stored bytes of a block.
    pub(crate) fn stored(&self, index: u32) -> usize {
        self.stored.get(index as usize).map_or_else(|| HEADER + self.raw(index), |bytes| *bytes as usize)
    }

    /// Where these blocks are in the object.
    pub(crate) fn extent(&self, blocks: &RangeInclusive<u32>) -> Range<u64> {
        let bytes = |range: Range<u32>| range.map(|index| self.stored(index) as u64).sum::<u64>();
        let start = match self.stored.is_empty() {
            true => u64::from(*blocks.start()) * (HEADER as u64 + u64::from(self.block)),
            false => bytes(0..*blocks.start()),
        };
        start..start + bytes(*blocks.start()..blocks.end().saturating_add(1))
    }

    /// Decodes these blocks, which lie one after the other in `bytes`.
    pub(crate) fn decode(
        &self,
        key: u64,
        blocks: RangeInclusive<u32>,
        mut bytes: &[u8],
    ) -> Result<Vec<u8>, Damage> {
        let mut raw = Vec::with_capacity(blocks.clone().map(|index| self.raw(index)).sum());
        for index in blocks {
            let (block, rest) = bytes.split_at_checked(self.stored(index)).ok_or("a block is missing")?;
            decode(key, index, block, self.raw(index), &mut raw)?;
            bytes = rest;
        }
        Ok(raw)
    }
}

/// A body in memory as blocks.
pub(crate) fn encode_all(key: u64, raw: &[u8], compress: bool) -> Vec<Vec<u8>> {
    raw.chunks(BLOCK).zip(0..).map(|(raw, index)| encode(key, index, raw, compress)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(len: usize) -> Vec<u8> {
        (0..len).map(|i| b"the quick brown fox"[i % 19]).collect()
    }

    fn noise(len: usize) -> Vec<u8> {
        let mut out = vec![0; len];
        blake3::Hasher::new().finalize_xof().fill(&mut out);
        out
    }

    fn round(raw: &[u8], compress: bool) -> Vec<u8> {
        let block = encode(7, 3, raw, compress);
        let mut out = b"before".to_vec();
        decode(7, 3, &block, raw.len(), &mut out).unwrap();
        assert_eq!(out, [b"before", raw].concat());
        block
    }

    #[test]
    fn blocks_read_back_and_are_small_where_it_pays() {
        assert!(round(&text(BLOCK), true).len() < BLOCK / 10);
        assert_eq!(round(&text(BLOCK), false).len(), HEADER + BLOCK);
        assert_eq!(round(&noise(BLOCK), true).len(), HEADER + BLOCK, "it does not pay");
        assert_eq!(round(&text(WORTH_TRYING - 1), true).len(), HEADER + WORTH_TRYING - 1, "too small");
        round(b"", true);
    }

    #[test]
    fn golden_bytes() {
        let block = encode(7, 3, b"hello", true);
        assert_eq!(block[..5], [1, 0, 0, 0, 5]);
        assert_eq!(block[5..13], [235, 214, 184, 142, 48, 86, 228, 169]);
        assert_eq!(block[13..], *b"hello");
    }

    #[test]
    fn every_damage_is_found() {
        for raw in [text(20_000), noise(300)] {
            let block = encode(7, 3, &raw, true);
            let read = |key, index, block: &[u8], len| decode(key, index, block, len, &mut Vec::new());
            for at in (0..block.len()).step_by(1 + block.len() / 100) {
                let mut wrong = block.clone();
                wrong[at] ^= 4;
                assert!(read(7, 3, &wrong, raw.len()).is_err(), "byte {at}");
                assert!(read(7, 3, &block[..at], raw.len()).is_err(), "cut at {at}");
            }
            assert!(read(8, 3, &block, raw.len()).is_err(), "another object's");
            assert!(read(7, 4, &block, raw.len()).is_err(), "another place");
            assert!(read(7, 3, &block, raw.len() - 1).is_err());
            assert!(read(7, 3, &block, raw.len() + 1).is_err());
        }
    }

    #[test]
    fn a_bomb_is_not_let_off() {
        let bomb = zstd::bulk::compress(&vec![0; 10 << 20], 19).unwrap();
        let mut block = vec![ZSTD];
        block.extend((bomb.len() as u32).to_be_bytes());
        block.extend([0; 8]);
        block.extend(bomb);
        assert_eq!(decode(0, 0, &block, 100, &mut Vec::new()), Err("a block cannot be decompressed"));
    }

    #[test]
    fn any_range_is_found_in_the_stored_bytes() {
        let long = 3 * BLOCK + 5;
        for raw in [text(long), noise(long), noise(100), [text(BLOCK + 7), noise(BLOCK)].concat()] {
            let (size, edge) = (raw.len() as u64, BLOCK as u64);
            let blocks = encode_all(7, &raw, true);
            let layout = Layout::new(size, blocks.iter().map(|b| b.len() as u32).collect());
            let object = blocks.concat();
            for range in [0..1, 0..size, edge - 1..edge + 1, size - 1..size, 30..59] {
                let range = range.start.min(size - 1)..range.end.min(size);
                let wanted = layout.blocks(&range);
                let extent = layout.extent(&wanted);
                let bytes = &object[extent.start as usize..extent.end as usize];
                let decoded = layout.decode(7, wanted.clone(), bytes).unwrap();
                let offset = (*wanted.start() as usize) * BLOCK;
                let expected = &raw[range.start as usize..range.end as usize];
                assert_eq!(&decoded[range.start as usize - offset..range.end as usize - offset], expected);
                assert!(layout.decode(7, wanted, &bytes[..bytes.len() - 1]).is_err());
            }
        }
        let plain = Layout::new(BLOCK as u64 + 7, vec![(HEADER + BLOCK) as u32, HEADER as u32 + 7]);
        assert!(plain.stored.is_empty());
    }
}
