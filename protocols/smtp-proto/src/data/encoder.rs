//! Writing `DATA`: dot-stuffing (RFC 5321 §4.5.2) that no receiver can read as two messages.
//!
//! A receiver that takes a bare LF or CR for a line end would see a line start where a plain encoder sees
//! none, and with it an undoubled dot. So nothing bare leaves: it is made a CRLF, or the message is refused.

use memchr::memchr2;

/// What to do with a bare CR or LF.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BareLines {
    /// Write CRLF in its place. Changes the message.
    Normalise,
    /// Refuse the message.
    Refuse,
}

/// The message has a bare CR or LF and the encoder was told to refuse those. The connection must be closed:
/// half a message is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("message has a bare CR or LF")]
pub struct Refused;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    LineStart,
    Text,
    /// After a CR that is not written yet.
    Cr,
}

/// Encodes one message for DATA.
#[derive(Debug, Clone)]
pub struct Encoder {
    state: State,
    bare: BareLines,
}

impl Encoder {
    /// An encoder at the start of a message.
    #[must_use]
    pub fn new(bare: BareLines) -> Self {
        Self { state: State::LineStart, bare }
    }

    /// Appends the encoding of the next piece of the message to `out`.
    ///
    /// # Errors
    ///
    /// [`Refused`] if the message has a bare CR or LF and those are not to be normalised.
    pub fn encode(&mut self, piece: &[u8], out: &mut Vec<u8>) -> Result<(), Refused> {
        out.reserve(piece.len() + 16);
        let mut rest = piece;
        while let Some((&first, tail)) = rest.split_first() {
            match (self.state, first) {
                (State::Cr, b'\n') => {
                    self.end_line(out);
                    rest = tail;
                    continue;
                }
                (State::Cr, _) => self.bare(out)?,
                _ => {}
            }
            if self.state == State::LineStart && first == b'.' {
                out.push(b'.');
            }
            let text = memchr2(b'\r', b'\n', rest).unwrap_or(rest.len());
            if text > 0 {
                out.extend_from_slice(&rest[..text]);
                self.state = State::Text;
            }
            rest = &rest[text..];
            match rest.split_first() {
                Some((b'\r', tail)) => (self.state, rest) = (State::Cr, tail),
                Some((_, tail)) => {
                    self.bare(out)?;
                    rest = tail;
                }
                None => {}
            }
        }
        Ok(())
    }

    /// Appends what ends the message. RFC 5321 §4.1.1.4: a CRLF is added if the last line lacks one.
    ///
    /// # Errors
    ///
    /// [`Refused`] if the message ends with a bare CR and those are not to be normalised.
    pub fn finish(mut self, out: &mut Vec<u8>) -> Result<(), Refused> {
        match self.state {
            State::LineStart => {}
            State::Text => self.end_line(out),
            State::Cr => self.bare(out)?,
        }
        out.extend_from_slice(b".\r\n");
        Ok(())
    }

    fn end_line(&mut self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"\r\n");
        self.state = State::LineStart;
    }

    fn bare(&mut self, out: &mut Vec<u8>) -> Result<(), Refused> {
        match self.bare {
            BareLines::Refuse => Err(Refused),
            BareLines::Normalise => {
                self.end_line(out);
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{Decoder, Findings, Step};
    use proptest::prelude::*;

    fn encode(message: &[u8], step: usize, bare: BareLines) -> Result<Vec<u8>, Refused> {
        let (mut encoder, mut out) = (Encoder::new(bare), Vec::new());
        for piece in message.chunks(step) {
            encoder.encode(piece, &mut out)?;
        }
        encoder.finish(&mut out)?;
        Ok(out)
    }

    #[test]
    fn known_answers() {
        for (message, wire) in [
            (&b""[..], &b".\r\n"[..]),
            (b"a", b"a\r\n.\r\n"),
            (b"a\r\n", b"a\r\n.\r\n"),
            (b".\r\n", b"..\r\n.\r\n"),
            (b"..a\r\n.b", b"...a\r\n..b\r\n.\r\n"),
            (b"\r\n.\r\n", b"\r\n..\r\n.\r\n"),
        ] {
            for step in 1..8 {
                assert_eq!(encode(message, step, BareLines::Refuse).unwrap(), wire, "{message:?}");
            }
        }
    }

    #[test]
    fn bare_line_ends_never_leave() {
        for (message, wire) in [
            (&b"a\n.\nb"[..], &b"a\r\n..\r\nb\r\n.\r\n"[..]),
            (b"a\r.\rb", b"a\r\n..\r\nb\r\n.\r\n"),
            (b"a\r\r\n.", b"a\r\n\r\n..\r\n.\r\n"),
            (b"\n", b"\r\n.\r\n"),
            (b"a\r", b"a\r\n.\r\n"),
        ] {
            for step in 1..6 {
                assert_eq!(encode(message, step, BareLines::Normalise).unwrap(), wire, "{message:?}");
                assert_eq!(encode(message, step, BareLines::Refuse), Err(Refused), "{message:?}");
            }
        }
    }

    proptest! {
        #[test]
        fn one_message_in_one_message_out(
            message in proptest::collection::vec(prop::sample::select(b"..\r\r\n\na".to_vec()), 0..40),
            clean in proptest::collection::vec(prop::sample::select(vec!["\r\n", ".", "a"]), 0..30),
            step in 1usize..10,
        ) {
            for message in [message, clean.concat().into_bytes()] {
                let wire = encode(&message, step, BareLines::Normalise).unwrap();
                let (mut decoder, mut input, mut got) = (Decoder::new(), &wire[..], Vec::new());
                while let Step::Piece(piece) = decoder.next(&mut input) {
                    got.extend_from_slice(piece);
                }
                prop_assert!(input.is_empty());
                prop_assert_eq!(decoder.findings(), Findings::default());
                // A receiver that takes any of CR, LF, CRLF for a line end sees one end, and it is the last.
                let loose: Vec<&[u8]> = wire.split(|b| *b == b'\n' || *b == b'\r').collect();
                let dots = loose.iter().filter(|line| **line == b".").count();
                prop_assert_eq!(dots, 1);
                if let Ok(refusing) = encode(&message, step, BareLines::Refuse) {
                    prop_assert_eq!(refusing, wire);
                    let same = got == message || got == [&message[..], b"\r\n"].concat();
                    prop_assert!(same);
                }
            }
        }
    }
}
