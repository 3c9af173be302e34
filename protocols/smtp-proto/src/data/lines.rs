//! Looking for bare line ends and NULs in octets that come by count (BDAT), where nothing else looks at them.

use memchr::memchr3;

use super::Findings;

/// Checks the line ends of a stream of octets.
#[derive(Debug, Clone, Copy, Default)]
pub struct LineCheck {
    findings: Findings,
    after_cr: bool,
}

impl LineCheck {
    /// Looks at the next piece.
    pub fn look(&mut self, piece: &[u8]) {
        let mut at = 0;
        while at < piece.len() {
            if std::mem::take(&mut self.after_cr) {
                if piece[at] == b'\n' {
                    at += 1;
                    continue;
                }
                self.findings.bare_cr = true;
            }
            let Some(found) = memchr3(b'\r', b'\n', 0, &piece[at..]) else { return };
            at += found + 1;
            match piece[at - 1] {
                b'\r' => self.after_cr = true,
                b'\n' => self.findings.bare_lf = true,
                _ => self.findings.nul = true,
            }
        }
    }

    /// What was found, at the end of the stream: a CR at its end is bare.
    #[must_use]
    pub fn finish(self) -> Findings {
        Findings { bare_cr: self.findings.bare_cr || self.after_cr, ..self.findings }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{Decoder, Step};
    use proptest::prelude::*;

    #[test]
    fn a_cr_at_the_end_is_bare() {
        let mut check = LineCheck::default();
        check.look(b"a\r");
        assert!(check.finish().bare_cr);
        check.look(b"\n");
        assert_eq!(check.finish(), Findings::default());
    }

    proptest! {
        #[test]
        fn finds_what_the_decoder_finds(
            input in proptest::collection::vec(prop::sample::select(b"\r\r\n\n\0ab".to_vec()), 0..40),
            step in 1usize..10,
        ) {
            let wire = [&b"a"[..], &input, b"\r\n.\r\n"].concat();
            let (mut decoder, mut rest, mut message) = (Decoder::new(), &wire[..], Vec::new());
            while let Step::Piece(piece) = decoder.next(&mut rest) {
                message.extend_from_slice(piece);
            }
            let mut check = LineCheck::default();
            message.chunks(step).for_each(|piece| check.look(piece));
            prop_assert_eq!(check.finish(), decoder.findings());
        }
    }
}
