//! Counting the octets of a BDAT chunk (RFC 3030 §2): no octet in it means anything.

use crate::Bdat;

/// What is left of a chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chunk {
    left: u64,
    last: bool,
}

impl Chunk {
    /// The chunk that a BDAT command announced.
    #[must_use]
    pub fn new(bdat: Bdat) -> Self {
        Self { left: bdat.size, last: bdat.last }
    }

    /// Cuts the chunk's octets off the start of `input`.
    pub fn take<'a>(&mut self, input: &mut &'a [u8]) -> &'a [u8] {
        let here = usize::try_from(self.left).unwrap_or(usize::MAX).min(input.len());
        let (chunk, rest) = input.split_at(here);
        self.left -= here as u64;
        *input = rest;
        chunk
    }

    /// Whether all of it was taken.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.left == 0
    }

    /// Whether the message ends with it.
    #[must_use]
    pub fn is_last(&self) -> bool {
        self.last
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_what_was_announced_and_no_more() {
        let mut chunk = Chunk::new(Bdat { size: 5, last: true });
        let mut input = &b"\r\n."[..];
        assert_eq!(chunk.take(&mut input), b"\r\n.");
        assert!(!chunk.is_done());
        let mut input = &b"\r\nNOOP\r\n"[..];
        assert_eq!(chunk.take(&mut input), b"\r\n");
        assert!(chunk.is_done() && chunk.is_last());
        assert_eq!((chunk.take(&mut input), input), (&b""[..], &b"NOOP\r\n"[..]));
    }

    #[test]
    fn an_empty_chunk_is_done() {
        assert!(Chunk::new(Bdat { size: 0, last: true }).is_done());
    }
}
