//! The format of a commit group in the log, and of the header that begins a segment.
//!
//! ```text
//! segment  = header group*                       then zeros or the end of the file
//! header   = "GDWSEG01" store-id:8 number:8 crc:4 zero:4                         (32 bytes)
//! group    = magic:4 crc:4 sequence:8 last-version:8 store-id:8
//!            values-len:4 meta-len:4 meta-raw-len:4 batches:4                    (48 bytes)
//!            values meta
//! values   = the stored bytes of each large value, in the order of meta
//! meta     = batch*             LZ4 if meta-raw-len is not 0
//! batch    = version ops op*
//! op       = 0 key | 1 key value | 2 key stored-len raw-len crc:4 | 3 begin end
//! ```
//!
//! Fixed numbers are little-endian; numbers without a width, and the length before each key and value, are
//! LEB128. `crc` covers the rest of the header and meta, and begins from the store's random id, so that no
//! message body can pose as a group; each large value is covered by its own crc inside meta.
//!
//! Large values come first, so that their place is known while meta, which is compressed, is still growing.

use super::value::{Pointer, Slot, Value, compress};
use super::{Batch, Op};
use bytes::Bytes;

pub(crate) const SEGMENT_HEADER: u64 = 32;
pub(crate) const GROUP_HEADER: usize = 48;
pub(crate) const GROUP_MAGIC: [u8; 4] = *b"GDW\xF5";
const SEGMENT_MAGIC: &[u8; 8] = b"GDWSEG01";

/// Which store, which segment: the first bytes of a segment.
pub(crate) fn segment_header(store: u64, number: u64) -> [u8; SEGMENT_HEADER as usize] {
    let mut out = [0; SEGMENT_HEADER as usize];
    out[..8].copy_from_slice(SEGMENT_MAGIC);
    out[8..16].copy_from_slice(&store.to_le_bytes());
    out[16..24].copy_from_slice(&number.to_le_bytes());
    let crc = crc32fast::hash(&out[..24]);
    out[24..28].copy_from_slice(&crc.to_le_bytes());
    out
}

/// An operation whose large value has its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Placed {
    Put(Bytes, Slot),
    ClearRange(Bytes, Bytes),
}

/// The operations of one commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PlacedBatch {
    pub(crate) version: u64,
    pub(crate) ops: Vec<Placed>,
}

/// Fixed fields of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct GroupHeader {
    pub(crate) crc: u32,
    pub(crate) sequence: u64,
    pub(crate) last_version: u64,
    pub(crate) store: u64,
    pub(crate) values_len: u32,
    pub(crate) meta_len: u32,
    pub(crate) meta_raw_len: u32,
    pub(crate) batches: u32,
}

impl GroupHeader {
    /// `None` if it does not begin as a group does.
    pub(crate) fn decode(bytes: &[u8; GROUP_HEADER]) -> Option<GroupHeader> {
        let u32_at = |at: usize| bytes[at..].first_chunk().map(|chunk| u32::from_le_bytes(*chunk));
        let u64_at = |at: usize| bytes[at..].first_chunk().map(|chunk| u64::from_le_bytes(*chunk));
        (bytes[..4] == GROUP_MAGIC).then_some(())?;
        Some(GroupHeader {
            crc: u32_at(4)?,
            sequence: u64_at(8)?,
            last_version: u64_at(16)?,
            store: u64_at(24)?,
            values_len: u32_at(32)?,
            meta_len: u32_at(36)?,
            meta_raw_len: u32_at(40)?,
            batches: u32_at(44)?,
        })
    }

    fn encode(&self) -> [u8; GROUP_HEADER] {
        let mut out = [0; GROUP_HEADER];
        out[..4].copy_from_slice(&GROUP_MAGIC);
        out[4..8].copy_from_slice(&self.crc.to_le_bytes());
        for (at, field) in [(8, self.sequence), (16, self.last_version), (24, self.store)] {
            out[at..at + 8].copy_from_slice(&field.to_le_bytes());
        }
        let small = [self.values_len, self.meta_len, self.meta_raw_len, self.batches];
        for (at, field) in (32..).step_by(4).zip(small) {
            out[at..at + 4].copy_from_slice(&field.to_le_bytes());
        }
        out
    }

    /// The checksum this header should have, given its stored meta.
    pub(crate) fn checksum(&self, meta: &[u8]) -> u32 {
        let mut hasher = crc32fast::Hasher::new_with_initial(self.store as u32);
        hasher.update(&self.encode()[8..]);
        hasher.update(meta);
        hasher.finalize()
    }

    /// Bytes of the whole group.
    pub(crate) fn len(&self) -> u64 {
        GROUP_HEADER as u64 + u64::from(self.values_len) + u64::from(self.meta_len)
    }
}

/// The most bytes that `batches` can take as a group.
pub(crate) fn bound(batches: &[Batch]) -> u64 {
    const VARINTS: usize = 30;
    let op = |op: &Op| match op {
        Op::Set(key, value) => key.len() + value.stored_len() + VARINTS,
        Op::Clear(key) => key.len() + VARINTS,
        Op::ClearRange(begin, end) => begin.len() + end.len() + VARINTS,
    };
    let batch = |batch: &Batch| batch.ops.iter().map(op).sum::<usize>() + VARINTS;
    (batches.iter().map(batch).sum::<usize>() + GROUP_HEADER) as u64
}

/// Writes `batches` as one group into `out`, to stand at `offset` of `segment`.
pub(crate) fn encode(
    out: &mut Vec<u8>,
    batches: &[Batch],
    (store, segment, offset, sequence): (u64, u64, u64, u64),
) -> Vec<PlacedBatch> {
    out.clear();
    out.resize(GROUP_HEADER, 0);
    let mut meta = Vec::with_capacity(4096);
    for batch in batches {
        put_number(&mut meta, batch.version);
        put_number(&mut meta, batch.ops.len() as u64);
        batch.ops.iter().for_each(|op| put_op(out, &mut meta, op));
    }
    let values_len = (out.len() - GROUP_HEADER) as u32;
    // What the memory table keeps are slices of this one buffer.
    let raw = Bytes::from(meta);
    let (meta, meta_raw_len) = match compress(&raw) {
        Some(smaller) => (Bytes::from(smaller), raw.len() as u32),
        None => (raw.clone(), 0),
    };
    let mut header = GroupHeader {
        crc: 0,
        sequence,
        last_version: batches.last().map_or(0, |batch| batch.version),
        store,
        values_len,
        meta_len: meta.len() as u32,
        meta_raw_len,
        batches: batches.len() as u32,
    };
    header.crc = header.checksum(&meta);
    out[..GROUP_HEADER].copy_from_slice(&header.encode());
    out.extend_from_slice(&meta);
    // It was written just now, so it reads back.
    decode(raw, header.batches, values_len, (segment, offset)).unwrap_or_default()
}

fn put_op(out: &mut Vec<u8>, meta: &mut Vec<u8>, op: &Op) {
    match op {
        Op::Clear(key) => {
            meta.push(0);
            put_bytes(meta, key);
        }
        Op::Set(key, Value::Small(value)) => {
            meta.push(1);
            put_bytes(meta, key);
            put_bytes(meta, value);
        }
        Op::Set(key, Value::Large { stored, raw_len, crc }) => {
            out.extend_from_slice(stored);
            meta.push(2);
            put_bytes(meta, key);
            put_number(meta, stored.len() as u64);
            put_number(meta, u64::from(*raw_len));
            meta.extend_from_slice(&crc.to_le_bytes());
        }
        Op::ClearRange(begin, end) => {
            meta.push(3);
            put_bytes(meta, begin);
            put_bytes(meta, end);
        }
    }
}

/// Reads the batches back from meta, expanded, of the group at `offset` of `segment`; `None` if it is not
/// what [`encode`] writes. Keys and small values are slices of `meta`.
pub(crate) fn decode(
    meta: Bytes,
    batches: u32,
    values_len: u32,
    (segment, offset): (u64, u64),
) -> Option<Vec<PlacedBatch>> {
    let mut reader = Reader { rest: meta };
    let mut next_value = offset + GROUP_HEADER as u64;
    let end = next_value + u64::from(values_len);
    let mut out = Vec::new();
    for _ in 0..batches {
        let version = reader.number()?;
        let count = reader.number()?;
        let mut ops = Vec::new();
        for _ in 0..count {
            ops.push(reader.op(segment, &mut next_value)?);
        }
        out.push(PlacedBatch { version, ops });
    }
    (reader.rest.is_empty() && next_value == end).then_some(out)
}

struct Reader {
    rest: Bytes,
}

impl Reader {
    fn op(&mut self, segment: u64, next_value: &mut u64) -> Option<Placed> {
        match self.byte()? {
            0 => Some(Placed::Put(self.bytes()?, Slot::Clear)),
            1 => Some(Placed::Put(self.bytes()?, Slot::Inline(self.bytes()?))),
            2 => {
                let key = self.bytes()?;
                let offset = u32::try_from(*next_value).ok()?;
                let len = u32::try_from(self.number()?).ok()?;
                let raw_len = u32::try_from(self.number()?).ok()?;
                let crc = u32::from_le_bytes(*self.take(4)?.first_chunk()?);
                *next_value += u64::from(len);
                Some(Placed::Put(key, Slot::Pointer(Pointer { segment, offset, len, raw_len, crc })))
            }
            3 => Some(Placed::ClearRange(self.bytes()?, self.bytes()?)),
            _ => None,
        }
    }

    fn byte(&mut self) -> Option<u8> {
        Some(self.take(1)?[0])
    }

    fn number(&mut self) -> Option<u64> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7F) << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    fn bytes(&mut self) -> Option<Bytes> {
        let len = usize::try_from(self.number()?).ok()?;
        self.take(len)
    }

    fn take(&mut self, len: usize) -> Option<Bytes> {
        (len <= self.rest.len()).then(|| self.rest.split_to(len))
    }
}

fn put_number(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_number(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

#[cfg(test)]
mod tests {
    use super::super::value::expand;
    use super::*;

    fn sample() -> Vec<Batch> {
        let set = |key: &'static str, value: Vec<u8>| {
            Op::Set(Bytes::from_static(key.as_bytes()), Value::prepare(value.into()))
        };
        let clear = Op::ClearRange(Bytes::from_static(b"m"), Bytes::from_static(b"n"));
        vec![
            Batch {
                version: 300,
                ops: vec![set("a", vec![1; 10]), set("b", (0..=255).cycle().take(5000).collect())],
            },
            Batch {
                version: 301,
                ops: vec![clear, Op::Clear(Bytes::from_static(b"c")), set("d", vec![9; 2000])],
            },
            Batch { version: 302, ops: (0..40).map(|_| set("repeated key", vec![3; 20])).collect() },
        ]
    }

    fn read_back(group: &[u8]) -> Option<Vec<PlacedBatch>> {
        let header = GroupHeader::decode(group.first_chunk()?)?;
        let meta = group.get(GROUP_HEADER + header.values_len as usize..)?;
        if header.checksum(meta) != header.crc || header.len() != group.len() as u64 {
            return None;
        }
        let meta = expand(Bytes::copy_from_slice(meta), header.meta_raw_len as usize)?;
        decode(meta, header.batches, header.values_len, (9, 1000))
    }

    #[test]
    fn a_group_reads_back_with_its_values_in_place() {
        let (mut out, batches) = (Vec::new(), sample());
        let placed = encode(&mut out, &batches, (77, 9, 1000, 5));
        assert!(out.len() as u64 <= bound(&batches));
        assert_eq!(read_back(&out), Some(placed.clone()));
        let header = GroupHeader::decode(out.first_chunk().unwrap()).unwrap();
        assert_eq!((header.sequence, header.last_version, header.store), (5, 302, 77));
        assert_ne!(header.meta_raw_len, 0, "forty equal keys shrink");
        let Placed::Put(_, Slot::Pointer(p)) = &placed[0].ops[1] else { panic!() };
        let at = (p.offset - 1000) as usize;
        assert_eq!(crc32fast::hash(&out[at..at + p.len as usize]), p.crc);
    }

    #[test]
    fn every_flipped_bit_outside_the_values_is_noticed() {
        let mut out = Vec::new();
        encode(&mut out, &sample(), (77, 9, 1000, 5));
        let values = GroupHeader::decode(out.first_chunk().unwrap()).unwrap().values_len as usize;
        for at in (0..GROUP_HEADER).chain(GROUP_HEADER + values..out.len()) {
            out[at] ^= 0x10;
            assert_eq!(read_back(&out), None, "byte {at}");
            out[at] ^= 0x10;
        }
        for cut in 0..out.len() {
            assert_eq!(read_back(&out[..cut]), None);
        }
    }

    #[test]
    fn numbers_of_all_lengths_survive() {
        for value in [0, 1, 127, 128, 300, u64::from(u32::MAX), 1 << 62, u64::MAX >> 1] {
            let mut out = Vec::new();
            put_number(&mut out, value);
            assert_eq!(Reader { rest: out.into() }.number(), Some(value));
        }
        assert_eq!(Reader { rest: Bytes::from_static(&[0x80; 12]) }.number(), None);
    }
}
