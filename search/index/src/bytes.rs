//! Numbers in files of ours: little-endian, or seven bits a byte, the lowest first, where they are mostly small.

use tantivy::HasLen as _;
use tantivy::directory::{FileSlice, OwnedBytes};

use crate::Error;

pub(crate) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    bytes.get(at..at + 8).and_then(|b| b.try_into().ok()).map_or(0, u64::from_le_bytes)
}

pub(crate) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..at + 4).and_then(|b| b.try_into().ok()).map_or(0, u32::from_le_bytes)
}

/// Bits that are read at once wherever they begin.
pub(crate) const BITS: u8 = 56;

/// The number of so many bits from a bit on; zeros are behind the end.
pub(crate) fn bits(bytes: &[u8], from: usize, count: u8) -> u64 {
    let at = from / 8;
    let word = match bytes.get(at..at + 8).and_then(|b| b.try_into().ok()) {
        Some(whole) => u64::from_le_bytes(whole),
        None => {
            let rest = bytes.get(at..).unwrap_or_default();
            rest.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte))
        }
    };
    (word >> (from % 8)) & ((1 << count) - 1)
}

/// Bits, one behind the other.
pub(crate) struct Packed {
    bytes: Vec<u8>,
    buffer: u64,
    filled: u8,
}

impl Packed {
    pub(crate) fn behind(bytes: Vec<u8>) -> Packed {
        Packed { bytes, buffer: 0, filled: 0 }
    }

    /// Puts so many bits, [`BITS`] at most.
    pub(crate) fn put(&mut self, bits: u64, count: u8) {
        self.buffer |= bits << self.filled;
        self.filled += count;
        while self.filled >= 8 {
            self.bytes.push(self.buffer as u8);
            self.buffer >>= 8;
            self.filled -= 8;
        }
    }

    pub(crate) fn ended(mut self) -> Vec<u8> {
        if self.filled > 0 {
            self.bytes.push(self.buffer as u8);
        }
        self.bytes
    }
}

pub(crate) fn put(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// The number that the bytes begin with, which then begin behind it; none where they end before it does.
pub(crate) fn take(bytes: &mut &[u8]) -> Option<u64> {
    let (mut value, mut shift) = (0u64, 0u32);
    loop {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f).checked_shl(shift)?;
        shift += 7;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
}

/// Numbers in order, written as gaps.
pub(crate) fn put_gaps(out: &mut Vec<u8>, numbers: impl Iterator<Item = u32>) {
    let mut last = 0;
    for number in numbers {
        put(out, u64::from(number - last));
        last = number;
    }
}

/// What [`put_gaps`] wrote; none where that is no row of gaps.
pub(crate) fn take_gaps(mut bytes: &[u8]) -> Option<Vec<u64>> {
    let (mut out, mut last) = (Vec::new(), 0u64);
    while !bytes.is_empty() {
        last = last.checked_add(take(&mut bytes)?)?;
        out.push(last);
    }
    Some(out)
}

/// A part of a file, if it has that.
pub(crate) fn part(file: &FileSlice, from: usize, length: usize) -> Result<OwnedBytes, Error> {
    let end = from.checked_add(length).filter(|end| *end <= file.len());
    let end = end.ok_or(Error::Damaged("a file that ends too soon"))?;
    if length == 0 { Ok(OwnedBytes::empty()) } else { Ok(file.slice(from..end).read_bytes()?) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_written() {
        let numbers = [0, 1, 127, 128, 70_000, u32::MAX];
        let mut bytes = Vec::new();
        put_gaps(&mut bytes, numbers.into_iter());
        assert_eq!(take_gaps(&bytes), Some(numbers.map(u64::from).to_vec()));
        bytes.pop();
        assert_eq!(take_gaps(&bytes), None);
        assert_eq!(take_gaps(&[0xff; 20]), None);
    }
}
