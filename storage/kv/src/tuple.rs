//! Keys made of several values, so that bytes sort as the values do.
//!
//! The encoding is that of FoundationDB's tuple layer for the types it has here:
//!
//! | value        | bytes                                                                                    |
//! |--------------|------------------------------------------------------------------------------------------|
//! | none         | `00`                                                                                     |
//! | bytes        | `01`, the bytes with `00` written as `00 FF`, `00`                                       |
//! | string       | `02`, its UTF-8 likewise, `00`                                                           |
//! | integer      | `14` for 0; else `14` ± n and the n bytes, big-endian, of the number (if negative: its complement) |
//! | versionstamp | `33`, 10 bytes, 2 bytes of the user's order                                              |
//!
//! Fixed-width numbers and raw bytes go in without a type byte, for keys whose struct says what comes where.

use crate::Versionstamp;
use bytes::Bytes;

const NONE: u8 = 0x00;
const BYTES: u8 = 0x01;
const STRING: u8 = 0x02;
const ZERO: u8 = 0x14;
const VERSIONSTAMP: u8 = 0x33;

/// A key that cannot be read back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("malformed tuple at byte {offset}")]
pub struct Malformed {
    /// Where it stops making sense.
    pub offset: usize,
}

/// Builds a key, value after value.
#[derive(Clone, Debug, Default)]
pub struct Packer {
    out: Vec<u8>,
}

impl Packer {
    /// An empty key.
    pub fn new() -> Self {
        Self::default()
    }

    /// A key that starts with `prefix`.
    pub fn with_prefix(prefix: &[u8]) -> Self {
        Packer { out: prefix.to_vec() }
    }

    /// Nothing; sorts before everything.
    pub fn none(mut self) -> Self {
        self.out.push(NONE);
        self
    }

    /// Bytes of any length.
    pub fn bytes(self, value: &[u8]) -> Self {
        self.escaped(BYTES, value)
    }

    /// A string.
    pub fn str(self, value: &str) -> Self {
        self.escaped(STRING, value.as_bytes())
    }

    /// An integer, in as few bytes as it needs.
    pub fn u64(mut self, value: u64) -> Self {
        let bytes = value.to_be_bytes();
        let significant = significant(value);
        self.out.push(ZERO + significant as u8);
        self.out.extend_from_slice(&bytes[8 - significant..]);
        self
    }

    /// An integer, in as few bytes as it needs; sorts among those of [`Packer::u64`].
    pub fn i64(mut self, value: i64) -> Self {
        if value >= 0 {
            return self.u64(value.unsigned_abs());
        }
        let magnitude = value.unsigned_abs();
        let significant = significant(magnitude);
        self.out.push(ZERO - significant as u8);
        self.out.extend_from_slice(&(!magnitude).to_be_bytes()[8 - significant..]);
        self
    }

    /// A versionstamp and the order of this key among those of one transaction.
    pub fn versionstamp(mut self, stamp: Versionstamp, user: u16) -> Self {
        self.out.push(VERSIONSTAMP);
        self.out.extend_from_slice(stamp.as_bytes());
        self.out.extend_from_slice(&user.to_be_bytes());
        self
    }

    /// A byte without a type byte: a tag.
    pub fn raw_u8(self, value: u8) -> Self {
        self.raw(&[value])
    }

    /// Four bytes, big-endian, without a type byte.
    pub fn raw_u32(self, value: u32) -> Self {
        self.raw(&value.to_be_bytes())
    }

    /// Eight bytes, big-endian, without a type byte.
    pub fn raw_u64(self, value: u64) -> Self {
        self.raw(&value.to_be_bytes())
    }

    /// Bytes as they are.
    pub fn raw(mut self, value: &[u8]) -> Self {
        self.out.extend_from_slice(value);
        self
    }

    /// Length so far: where a versionstamp that comes next has its offset (one more for its type byte).
    pub fn len(&self) -> usize {
        self.out.len()
    }

    /// Whether nothing was packed.
    pub fn is_empty(&self) -> bool {
        self.out.is_empty()
    }

    /// The key.
    pub fn finish(self) -> Vec<u8> {
        self.out
    }

    fn escaped(mut self, kind: u8, value: &[u8]) -> Self {
        self.out.reserve(value.len() + 2);
        self.out.push(kind);
        for byte in value {
            self.out.push(*byte);
            if *byte == 0 {
                self.out.push(0xFF);
            }
        }
        self.out.push(0);
        self
    }
}

/// Bytes of `value` without leading zeros.
fn significant(value: u64) -> usize {
    8 - (value.leading_zeros() / 8) as usize
}

impl From<Packer> for Bytes {
    fn from(packer: Packer) -> Bytes {
        packer.out.into()
    }
}

/// Reads a key back, value after value.
#[derive(Clone, Debug)]
pub struct Unpacker<'a> {
    input: &'a [u8],
    offset: usize,
}

impl<'a> Unpacker<'a> {
    /// From the first byte of `input`.
    pub fn new(input: &'a [u8]) -> Self {
        Unpacker { input, offset: 0 }
    }

    /// What is not read yet.
    pub fn rest(&self) -> &'a [u8] {
        &self.input[self.offset..]
    }

    /// Fails if something is left.
    pub fn finish(self) -> Result<(), Malformed> {
        if self.rest().is_empty() { Ok(()) } else { Err(self.malformed()) }
    }

    /// Whether a `none` comes next; skips it then.
    pub fn none(&mut self) -> bool {
        let is_none = self.rest().first() == Some(&NONE);
        self.offset += usize::from(is_none);
        is_none
    }

    /// Bytes of any length.
    pub fn bytes(&mut self) -> Result<Vec<u8>, Malformed> {
        self.escaped(BYTES)
    }

    /// A string.
    pub fn str(&mut self) -> Result<String, Malformed> {
        let begin = self.offset;
        String::from_utf8(self.escaped(STRING)?).map_err(|_| Malformed { offset: begin })
    }

    /// An integer that is not negative.
    pub fn u64(&mut self) -> Result<u64, Malformed> {
        let begin = self.offset;
        let (negative, magnitude) = self.integer()?;
        if negative { Err(Malformed { offset: begin }) } else { Ok(magnitude) }
    }

    /// An integer.
    pub fn i64(&mut self) -> Result<i64, Malformed> {
        let begin = self.offset;
        let (negative, magnitude) = self.integer()?;
        let value =
            if negative { 0i64.checked_sub_unsigned(magnitude) } else { i64::try_from(magnitude).ok() };
        value.ok_or(Malformed { offset: begin })
    }

    /// A versionstamp and the user's order.
    pub fn versionstamp(&mut self) -> Result<(Versionstamp, u16), Malformed> {
        self.expect(VERSIONSTAMP)?;
        let stamp = Versionstamp::from_bytes(self.array()?);
        Ok((stamp, u16::from_be_bytes(self.array()?)))
    }

    /// A byte without a type byte.
    pub fn raw_u8(&mut self) -> Result<u8, Malformed> {
        Ok(self.array::<1>()?[0])
    }

    /// Four bytes, big-endian, without a type byte.
    pub fn raw_u32(&mut self) -> Result<u32, Malformed> {
        Ok(u32::from_be_bytes(self.array()?))
    }

    /// Eight bytes, big-endian, without a type byte.
    pub fn raw_u64(&mut self) -> Result<u64, Malformed> {
        Ok(u64::from_be_bytes(self.array()?))
    }

    /// `N` bytes as they are.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let array = *self.rest().first_chunk().ok_or(self.malformed())?;
        self.offset += N;
        Ok(array)
    }

    fn integer(&mut self) -> Result<(bool, u64), Malformed> {
        let begin = self.offset;
        let kind = self.raw_u8()?;
        let length = usize::from(kind.abs_diff(ZERO));
        let Some(digits) = self.rest().get(..length).filter(|digits| digits.len() <= 8) else {
            return Err(Malformed { offset: begin });
        };
        let negative = kind < ZERO;
        let magnitude = digits
            .iter()
            .fold(0, |number, byte| number << 8 | u64::from(if negative { !byte } else { *byte }));
        if significant(magnitude) != length {
            return Err(Malformed { offset: begin });
        }
        self.offset += length;
        Ok((negative, magnitude))
    }

    fn escaped(&mut self, kind: u8) -> Result<Vec<u8>, Malformed> {
        self.expect(kind)?;
        let mut out = Vec::new();
        loop {
            let byte = self.raw_u8()?;
            if byte == 0 {
                if self.rest().first() != Some(&0xFF) {
                    return Ok(out);
                }
                self.offset += 1;
            }
            out.push(byte);
        }
    }

    fn expect(&mut self, kind: u8) -> Result<(), Malformed> {
        if self.rest().first() != Some(&kind) {
            return Err(self.malformed());
        }
        self.offset += 1;
        Ok(())
    }

    fn malformed(&self) -> Malformed {
        Malformed { offset: self.offset }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn bytes_are_those_of_the_tuple_layer() {
        assert_eq!(Packer::new().bytes(b"foo\x00bar").finish(), b"\x01foo\x00\xffbar\x00");
        assert_eq!(Packer::new().str("F\u{d4}O\0bar").finish(), b"\x02F\xc3\x94O\x00\xffbar\x00");
        assert_eq!(Packer::new().i64(-5_551_212).finish(), b"\x11\xabK\x93");
        assert_eq!(Packer::new().u64(0).finish(), b"\x14");
        assert_eq!(Packer::new().u64(255).u64(256).finish(), b"\x15\xff\x16\x01\x00");
        assert_eq!(Packer::new().i64(-1).i64(-255).i64(-256).finish(), b"\x13\xfe\x13\x00\x12\xfe\xff");
        assert_eq!(Packer::new().none().finish(), b"\x00");
    }

    #[test]
    fn everything_reads_back() {
        let stamp = Versionstamp::new(7, 1);
        let packer = Packer::with_prefix(b"M").raw_u32(5).str("a\0b").none().bytes(&[0, 0xFF, 0]);
        assert_eq!(packer.len(), 5 + 6 + 1 + 7);
        let key = packer.i64(i64::MIN).u64(u64::MAX).versionstamp(stamp, 9).raw_u64(3).finish();
        let mut unpacker = Unpacker::new(&key);
        assert_eq!(unpacker.raw_u8(), Ok(b'M'));
        assert_eq!(unpacker.raw_u32(), Ok(5));
        assert_eq!(unpacker.str(), Ok("a\0b".to_owned()));
        assert!(unpacker.none() && !unpacker.none());
        assert_eq!(unpacker.bytes(), Ok(vec![0, 0xFF, 0]));
        assert_eq!(unpacker.i64(), Ok(i64::MIN));
        assert_eq!(unpacker.u64(), Ok(u64::MAX));
        assert_eq!(unpacker.versionstamp(), Ok((stamp, 9)));
        assert_eq!(unpacker.raw_u64(), Ok(3));
        assert_eq!(unpacker.finish(), Ok(()));
    }

    #[test]
    fn what_was_not_packed_is_refused() {
        for input in
            [&b"\x01abc"[..], b"\x02\xff\x00", b"\x15", b"\x15\x00", b"\x1d123456789", b"\x33short", b""]
        {
            let reads = |read: fn(&mut Unpacker<'_>) -> bool| read(&mut Unpacker::new(input));
            assert!(!reads(|u| u.bytes().is_ok()), "{input:?}");
            assert!(!reads(|u| u.str().is_ok()), "{input:?}");
            assert!(!reads(|u| u.i64().is_ok()), "{input:?}");
            assert!(!reads(|u| u.versionstamp().is_ok()), "{input:?}");
        }
        assert!(Unpacker::new(b"\x13\xfe").u64().is_err());
        assert!(Unpacker::new(&Packer::new().u64(u64::MAX).finish()).i64().is_err());
        assert_eq!(Unpacker::new(b"x").finish(), Err(Malformed { offset: 0 }));
    }

    proptest! {
        #[test]
        fn keys_sort_as_their_values(a: (Vec<u8>, i64, String), b: (Vec<u8>, i64, String)) {
            let pack = |t: &(Vec<u8>, i64, String)| Packer::new().bytes(&t.0).i64(t.1).str(&t.2).finish();
            prop_assert_eq!(pack(&a).cmp(&pack(&b)), a.cmp(&b));
            let key = pack(&a);
            let mut unpacker = Unpacker::new(&key);
            prop_assert_eq!((unpacker.bytes().unwrap(), unpacker.i64().unwrap(), unpacker.str().unwrap()), a);
        }

        #[test]
        fn no_input_makes_the_reader_panic(input: Vec<u8>) {
            let mut unpacker = Unpacker::new(&input);
            while unpacker.none() || unpacker.bytes().is_ok() || unpacker.str().is_ok() || unpacker.i64().is_ok() {}
        }
    }
}
