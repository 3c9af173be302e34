//! How keys become bytes whose order is the order of their fields.
//!
//! Small numbers are short: an account, mailbox or UID below 241 takes one byte, below 67,824 at most
//! three. Keys are most of what a message's metadata weighs, so this is where bytes are saved.

/// Length of a versionstamp: 8 bytes commit version and 2 bytes order within it, both big-endian.
pub const STAMP_LEN: usize = 10;

/// A versionstamp as it lies in keys and values. All `0xff` stands for "the commit that writes this".
pub type Stamp = [u8; STAMP_LEN];

/// The stamp of a key not yet committed.
pub const PENDING: Stamp = [0xff; STAMP_LEN];

/// Why bytes are no key of the expected kind. The store holds something this program did not write: an
/// operator has to look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Bytes end within a field.
    #[error("key ends too early")]
    Short,
    /// Bytes follow the last field.
    #[error("key has bytes behind its last field")]
    Long,
    /// A tag byte is not the one this key has.
    #[error("key has tag {found:#04x} where {expected:#04x} belongs")]
    Tag {
        /// What the key kind demands.
        expected: u8,
        /// What the bytes hold.
        found: u8,
    },
    /// A field holds what its type cannot.
    #[error("key has a field out of range")]
    Range,
}

/// A key of the database.
pub trait Key: Sized {
    /// What `explain` calls it.
    const NAME: &'static str;

    /// Writes tags and fields in order.
    fn write(&self, writer: &mut KeyWriter);

    /// Reads what [`Key::write`] wrote.
    fn read(reader: &mut KeyReader<'_>) -> Result<Self, KeyError>;

    /// The key's bytes.
    fn encode(&self) -> Vec<u8> {
        let mut writer = KeyWriter::new();
        self.write(&mut writer);
        writer.finish()
    }

    /// The key's bytes and the offset of its versionstamp, for a versionstamped-key operation. The offset
    /// is 0 for a key that has none (no stamp ever stands first).
    fn encode_stamped(&self) -> (Vec<u8>, usize) {
        let mut writer = KeyWriter::new();
        self.write(&mut writer);
        let offset = writer.stamp_offset();
        (writer.finish(), offset)
    }

    /// Reads a whole key.
    fn decode(bytes: &[u8]) -> Result<Self, KeyError> {
        let mut reader = KeyReader::new(bytes);
        let key = Self::read(&mut reader)?;
        reader.finish()?;
        Ok(key)
    }
}

/// The first key behind every key that starts with `prefix`; empty when there is none (all bytes `0xff`).
pub fn prefix_end(prefix: &[u8]) -> Vec<u8> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if last < 0xff {
            end.push(last + 1);
            break;
        }
    }
    end
}

/// Begin and end of the range of all keys that start with what `build` writes.
pub fn prefix_range(build: impl FnOnce(&mut KeyWriter)) -> (Vec<u8>, Vec<u8>) {
    let mut writer = KeyWriter::new();
    build(&mut writer);
    let begin = writer.finish();
    let end = prefix_end(&begin);
    (begin, end)
}

/// Writes a key's fields.
#[derive(Debug, Default)]
pub struct KeyWriter {
    bytes: Vec<u8>,
    stamp_offset: usize,
}

impl KeyWriter {
    /// An empty key.
    pub fn new() -> Self {
        Self { bytes: Vec::with_capacity(48), stamp_offset: 0 }
    }

    /// One byte that says what follows.
    pub fn tag(&mut self, tag: u8) -> &mut Self {
        self.bytes.push(tag);
        self
    }

    /// A number, in 1 to 9 bytes; longer encodings sort behind shorter ones.
    pub fn uint(&mut self, value: u64) -> &mut Self {
        match value {
            0..=240 => self.bytes.push(value as u8),
            241..=2287 => {
                let rest = value - 240;
                self.bytes.push(241 + (rest >> 8) as u8);
                self.bytes.push(rest as u8);
            }
            2288..=67_823 => {
                let rest = value - 2288;
                self.bytes.extend([249, (rest >> 8) as u8, rest as u8]);
            }
            _ => {
                let len = (8 - value.leading_zeros() as usize / 8).max(3);
                self.bytes.push(247 + len as u8);
                self.bytes.extend_from_slice(&value.to_be_bytes()[8 - len..]);
            }
        }
        self
    }

    /// A number in 8 bytes: for ids whose high bits are always in use.
    pub fn fixed64(&mut self, value: u64) -> &mut Self {
        self.bytes.extend_from_slice(&value.to_be_bytes());
        self
    }

    /// A time in whole seconds since the epoch, 5 bytes; clamped to 17,000 years around it.
    pub fn seconds(&mut self, value: i64) -> &mut Self {
        let biased = value.clamp(-SECONDS_BIAS, SECONDS_BIAS - 1) + SECONDS_BIAS;
        self.bytes.extend_from_slice(&biased.to_be_bytes()[3..]);
        self
    }

    /// A string of bytes with others behind it: zero bytes are escaped, a zero byte ends it.
    pub fn bytes(&mut self, value: &[u8]) -> &mut Self {
        for &byte in value {
            self.bytes.push(byte);
            if byte == 0 {
                self.bytes.push(0xff);
            }
        }
        self.bytes.push(0);
        self
    }

    /// Bytes as they are: of fixed length, or the key's last field.
    pub fn raw(&mut self, value: &[u8]) -> &mut Self {
        self.bytes.extend_from_slice(value);
        self
    }

    /// A versionstamp; its place is remembered.
    pub fn stamp(&mut self, value: &Stamp) -> &mut Self {
        self.stamp_offset = self.bytes.len();
        self.bytes.extend_from_slice(value);
        self
    }

    /// Where the versionstamp lies, in bytes from the key's start; 0 if there is none.
    pub fn stamp_offset(&self) -> usize {
        self.stamp_offset
    }

    /// The bytes.
    pub fn finish(self) -> Vec<u8> {
        self.bytes
    }
}

const SECONDS_BIAS: i64 = 1 << 39;

/// Reads a key's fields.
#[derive(Debug)]
pub struct KeyReader<'a> {
    rest: &'a [u8],
}

impl<'a> KeyReader<'a> {
    /// Reads from the start of `bytes`.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    fn take(&mut self, len: usize) -> Result<&'a [u8], KeyError> {
        let (head, rest) = self.rest.split_at_checked(len).ok_or(KeyError::Short)?;
        self.rest = rest;
        Ok(head)
    }

    fn byte(&mut self) -> Result<u8, KeyError> {
        let (&first, rest) = self.rest.split_first().ok_or(KeyError::Short)?;
        self.rest = rest;
        Ok(first)
    }

    /// Reads the given tag.
    pub fn tag(&mut self, expected: u8) -> Result<(), KeyError> {
        let found = self.byte()?;
        if found == expected { Ok(()) } else { Err(KeyError::Tag { expected, found }) }
    }

    /// The next byte, unread.
    pub fn peek(&self) -> Option<u8> {
        self.rest.first().copied()
    }

    /// A number written by [`KeyWriter::uint`].
    pub fn uint(&mut self) -> Result<u64, KeyError> {
        let first = self.byte()?;
        match first {
            0..=240 => Ok(u64::from(first)),
            241..=248 => Ok(240 + (u64::from(first - 241) << 8) + u64::from(self.byte()?)),
            249 => Ok(2288 + self.big_endian(2)?),
            _ => self.big_endian(usize::from(first - 247)),
        }
    }

    /// [`KeyReader::uint`] for a field of 32 bits.
    pub fn uint32(&mut self) -> Result<u32, KeyError> {
        u32::try_from(self.uint()?).map_err(|_| KeyError::Range)
    }

    fn big_endian(&mut self, len: usize) -> Result<u64, KeyError> {
        Ok(self.take(len)?.iter().fold(0, |value, &byte| (value << 8) | u64::from(byte)))
    }

    /// A number written by [`KeyWriter::fixed64`].
    pub fn fixed64(&mut self) -> Result<u64, KeyError> {
        self.big_endian(8)
    }

    /// A time written by [`KeyWriter::seconds`].
    pub fn seconds(&mut self) -> Result<i64, KeyError> {
        let biased = self.big_endian(5)?;
        Ok(i64::try_from(biased).map_err(|_| KeyError::Range)? - SECONDS_BIAS)
    }

    /// Bytes written by [`KeyWriter::bytes`].
    pub fn bytes(&mut self) -> Result<Vec<u8>, KeyError> {
        let mut value = Vec::new();
        loop {
            match self.byte()? {
                0 if self.peek() == Some(0xff) => {
                    self.byte()?;
                    value.push(0);
                }
                0 => return Ok(value),
                byte => value.push(byte),
            }
        }
    }

    /// Bytes of fixed length.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], KeyError> {
        self.take(N)?.try_into().map_err(|_| KeyError::Short)
    }

    /// A versionstamp.
    pub fn stamp(&mut self) -> Result<Stamp, KeyError> {
        self.array()
    }

    /// All that is left: the key's last field.
    pub fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.rest)
    }

    /// Whether everything has been read.
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// Fails when bytes are left.
    pub fn finish(self) -> Result<(), KeyError> {
        if self.rest.is_empty() { Ok(()) } else { Err(KeyError::Long) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn uint(value: u64) -> Vec<u8> {
        let mut writer = KeyWriter::new();
        writer.uint(value);
        writer.finish()
    }

    #[test]
    fn numbers_take_few_bytes() {
        let lengths = [
            (0, 1),
            (240, 1),
            (241, 2),
            (2287, 2),
            (2288, 3),
            (67_823, 3),
            (67_824, 4),
            (0xff_ffff, 4),
            (0x100_0000, 5),
            (u64::from(u32::MAX), 5),
            (1 << 32, 6),
            (u64::MAX, 9),
        ];
        for (value, len) in lengths {
            let bytes = uint(value);
            assert_eq!(bytes.len(), len, "{value}");
            let mut reader = KeyReader::new(&bytes);
            assert_eq!(reader.uint(), Ok(value));
            assert!(reader.is_empty());
        }
    }

    #[test]
    fn prefix_end_carries() {
        assert_eq!(prefix_end(b"ab"), b"ac");
        assert_eq!(prefix_end(b"a\xff\xff"), b"b");
        assert_eq!(prefix_end(b"\xff"), b"");
    }

    #[test]
    fn a_broken_key_is_an_error() {
        assert_eq!(KeyReader::new(&[250, 1]).uint(), Err(KeyError::Short));
        assert_eq!(KeyReader::new(b"x").tag(b'y'), Err(KeyError::Tag { expected: b'y', found: b'x' }));
        assert_eq!(KeyReader::new(b"abc").bytes(), Err(KeyError::Short));
        assert_eq!(KeyReader::new(b"a").finish(), Err(KeyError::Long));
        assert_eq!(KeyReader::new(&uint(1 << 40)).uint32(), Err(KeyError::Range));
    }

    proptest! {
        #[test]
        fn order_of_numbers_is_order_of_bytes(a: u64, b: u64, shift_a in 0u32..64, shift_b in 0u32..64) {
            let (a, b) = (a >> shift_a, b >> shift_b);
            prop_assert_eq!(a.cmp(&b), uint(a).cmp(&uint(b)));
            prop_assert_eq!(KeyReader::new(&uint(a)).uint(), Ok(a));
        }

        #[test]
        fn order_of_fields_is_order_of_bytes(
            a in (proptest::collection::vec(0u8..3, 0..6), -5i64..5, any::<u64>()),
            b in (proptest::collection::vec(0u8..3, 0..6), -5i64..5, any::<u64>()),
        ) {
            let key = |(bytes, seconds, id): &(Vec<u8>, i64, u64)| {
                let mut writer = KeyWriter::new();
                writer.bytes(bytes).seconds(*seconds).fixed64(*id);
                writer.finish()
            };
            prop_assert_eq!(a.cmp(&b), key(&a).cmp(&key(&b)));
            let bytes = key(&a);
            let mut reader = KeyReader::new(&bytes);
            prop_assert_eq!(reader.bytes().unwrap(), a.0);
            prop_assert_eq!(reader.seconds().unwrap(), a.1);
            prop_assert_eq!(reader.fixed64().unwrap(), a.2);
        }
    }
}
