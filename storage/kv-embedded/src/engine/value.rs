//! Values: small ones travel with their key, large ones stay where the log wrote them.

use crate::Error;
use bytes::Bytes;

/// Values of this many bytes or more are stored once, in the log; the index keeps a [`Pointer`].
pub const LARGE: usize = 1024;

/// Shorter values are not compressed.
const COMPRESS_FROM: usize = 512;

/// Of values longer than this only a part is compressed at first, to see whether it pays.
const SAMPLE: usize = 8 * 1024;

/// A value as it is to be written: a large one is compressed (where it pays) and checksummed by the caller's
/// thread, before the one committer sees it.
#[derive(Clone, Debug)]
pub enum Value {
    /// Below [`LARGE`].
    Small(Bytes),
    /// [`LARGE`] and above.
    Large {
        /// What is stored.
        stored: Bytes,
        /// Length before compression; 0 if not compressed.
        raw_len: u32,
        /// CRC-32 of `stored`.
        crc: u32,
    },
}

impl Value {
    /// Makes `value` ready to be written.
    pub fn prepare(value: Bytes) -> Self {
        if value.len() < LARGE {
            return Value::Small(value);
        }
        let (stored, raw_len) = match compress(&value) {
            Some(smaller) => (Bytes::from(smaller), value.len() as u32),
            None => (value, 0),
        };
        let crc = crc32fast::hash(&stored);
        Value::Large { stored, raw_len, crc }
    }

    /// Bytes it takes in the log.
    pub fn stored_len(&self) -> usize {
        match self {
            Value::Small(value) => value.len(),
            Value::Large { stored, .. } => stored.len(),
        }
    }

    /// What was given to [`Value::prepare`].
    pub fn unpack(&self) -> Result<Bytes, Error> {
        match self {
            Value::Small(value) => Ok(value.clone()),
            Value::Large { stored, raw_len, .. } => expand(stored.clone(), *raw_len as usize)
                .ok_or(Error::Corrupt { file: "memory".into(), offset: 0, what: "value does not expand" }),
        }
    }
}

/// `data` compressed, if that saves an eighth or more.
pub(crate) fn compress(data: &[u8]) -> Option<Vec<u8>> {
    let pays = |before: usize, after: usize| after <= before - before / 8;
    if data.len() < COMPRESS_FROM {
        return None;
    }
    if data.len() > 2 * SAMPLE && !pays(SAMPLE, lz4_flex::block::compress(&data[..SAMPLE]).len()) {
        return None;
    }
    let smaller = lz4_flex::block::compress(data);
    pays(data.len(), smaller.len()).then_some(smaller)
}

/// The inverse: `raw_len` 0 means not compressed.
pub(crate) fn expand(stored: Bytes, raw_len: usize) -> Option<Bytes> {
    if raw_len == 0 {
        return Some(stored);
    }
    let raw = lz4_flex::block::decompress(&stored, raw_len).ok()?;
    (raw.len() == raw_len).then(|| raw.into())
}

/// Where the log holds a large value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pointer {
    /// The segment's number.
    pub(crate) segment: u64,
    /// Where in the segment, in bytes.
    pub(crate) offset: u32,
    /// Bytes stored there.
    pub(crate) len: u32,
    /// Length before compression; 0 if not compressed.
    pub(crate) raw_len: u32,
    /// CRC-32 of the bytes stored.
    pub(crate) crc: u32,
}

/// A value as the index and the memory table know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Slot {
    /// The key is clear.
    Clear,
    /// A small value.
    Inline(Bytes),
    /// A large value in the log.
    Pointer(Pointer),
}

const INLINE: u8 = 0;
const POINTER: u8 = 1;

impl Slot {
    /// As the index stores it; `None` for [`Slot::Clear`].
    pub(crate) fn encode(&self, out: &mut Vec<u8>) -> bool {
        out.clear();
        match self {
            Slot::Clear => return false,
            Slot::Inline(value) => {
                out.push(INLINE);
                out.extend_from_slice(value);
            }
            Slot::Pointer(p) => {
                out.push(POINTER);
                out.extend_from_slice(&p.segment.to_le_bytes());
                for field in [p.offset, p.len, p.raw_len, p.crc] {
                    out.extend_from_slice(&field.to_le_bytes());
                }
            }
        }
        true
    }

    /// The inverse; `None` if `stored` is neither form.
    pub(crate) fn decode(stored: &[u8]) -> Option<Slot> {
        match stored.split_first()? {
            (&INLINE, value) => Some(Slot::Inline(Bytes::copy_from_slice(value))),
            (&POINTER, rest) => Pointer::decode(rest).map(Slot::Pointer),
            _ => None,
        }
    }

    /// The pointer of a stored value, without copying a small one.
    pub(crate) fn decode_pointer(stored: &[u8]) -> Option<Pointer> {
        stored.strip_prefix(&[POINTER]).and_then(Pointer::decode)
    }
}

impl Pointer {
    fn decode(rest: &[u8]) -> Option<Pointer> {
        let segment = u64::from_le_bytes(*rest.first_chunk()?);
        let field = |i: usize| {
            rest.get(8 + 4 * i..12 + 4 * i)?.first_chunk::<4>().map(|chunk| u32::from_le_bytes(*chunk))
        };
        let (offset, len, raw_len, crc) = (field(0)?, field(1)?, field(2)?, field(3)?);
        (rest.len() == 24).then_some(Pointer { segment, offset, len, raw_len, crc })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_survive_the_index() {
        let pointer = Pointer { segment: 1 << 40, offset: 77, len: 5000, raw_len: 9000, crc: 0xDEAD_BEEF };
        let mut stored = Vec::new();
        for slot in
            [Slot::Inline(Bytes::from_static(b"abc")), Slot::Inline(Bytes::new()), Slot::Pointer(pointer)]
        {
            assert!(slot.encode(&mut stored));
            assert_eq!(Slot::decode(&stored), Some(slot));
        }
        assert_eq!(Slot::decode_pointer(&stored), Some(pointer));
        stored.push(0);
        assert_eq!(Slot::decode(&stored), None);
        assert_eq!(Slot::decode(&[]), None);
        assert!(!Slot::Clear.encode(&mut stored));
    }

    #[test]
    fn only_what_shrinks_is_compressed() {
        let text = Bytes::from("Received: from mx.example.test ".repeat(200));
        let Value::Large { stored, raw_len, .. } = Value::prepare(text.clone()) else { panic!() };
        assert!(stored.len() < text.len() / 4);
        assert_eq!(expand(stored, raw_len as usize), Some(text));
        let mut state = 1u32;
        let noise: Bytes = (0..40_000)
            .map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (state >> 24) as u8
            })
            .collect();
        let Value::Large { stored, raw_len: 0, .. } = Value::prepare(noise.clone()) else { panic!() };
        assert_eq!(stored, noise);
        assert!(matches!(Value::prepare(Bytes::from_static(b"short")), Value::Small(_)));
    }

    #[test]
    fn damage_does_not_expand() {
        let packed = compress(&[b'x'; 4000]).unwrap();
        assert_eq!(expand(Bytes::from(packed.clone()), 3999), None);
        assert_eq!(expand(Bytes::from(packed[..packed.len() / 2].to_vec()), 4000), None);
    }
}
