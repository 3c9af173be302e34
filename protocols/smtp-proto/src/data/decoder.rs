//! Reading `DATA`: dot-unstuffing, and the one end there is.
//!
//! RFC 5321 §4.1.1.4: "the mail data are terminated by a line containing only a period, that is, the character
//! sequence `<CRLF>.<CRLF>`", and "receivers MUST NOT treat" other sequences as its end. A message with a bare CR,
//! a bare LF or a NUL is read to its true end and reported ([`Findings`]): the session then refuses it. It is
//! never passed on, because the next server might see a line end where we saw none (SMTP smuggling).
//!
//! The decoder copies nothing: it hands out slices of its input, as long as it can make them.

use memchr::memchr3;

/// What was found in the message that must not be there (RFC 5321 §2.3.8, §4.5.2; RFC 5322 §2.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Findings {
    /// A CR without LF.
    pub bare_cr: bool,
    /// An LF without CR.
    pub bare_lf: bool,
    /// A NUL.
    pub nul: bool,
}

impl Findings {
    /// Whether line ends are not what they should be.
    #[must_use]
    pub fn bare_line_end(self) -> bool {
        self.bare_cr || self.bare_lf
    }
}

/// One step of decoding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step<'a> {
    /// A piece of the message, never empty.
    Piece(&'a [u8]),
    /// The input is used up; more must come.
    More,
    /// The message is whole. What is left of the input comes after it.
    End,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// After CRLF, or at the very start.
    LineStart,
    /// After CRLF and a dot, which is held back.
    Dot,
    /// After CRLF, a dot and a CR, both held back.
    DotCr,
    /// Inside a line.
    Text,
    /// Inside a line after a CR, which was handed out.
    Cr,
    /// After the end.
    Done,
}

/// Decodes one message after DATA.
#[derive(Debug, Clone)]
pub struct Decoder {
    state: State,
    size: u64,
    findings: Findings,
}

impl Default for Decoder {
    fn default() -> Self {
        Self::new()
    }
}

impl Decoder {
    /// A decoder at the start of a message.
    #[must_use]
    pub fn new() -> Self {
        // The CRLF of the DATA command counts: `DATA<CRLF>.<CRLF>` is an empty message.
        Self { state: State::LineStart, size: 0, findings: Findings::default() }
    }

    /// Octets of the message so far, stuffing and end not counted.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// What was found so far.
    #[must_use]
    pub fn findings(&self) -> Findings {
        self.findings
    }

    /// Takes the next piece off the start of `input`.
    pub fn next<'a>(&mut self, input: &mut &'a [u8]) -> Step<'a> {
        match self.state {
            State::Done => return Step::End,
            State::Dot => {
                if let Some(step) = self.after_dot(input) {
                    return step;
                }
            }
            State::DotCr => return self.after_dot_cr(input),
            State::LineStart | State::Text | State::Cr => {}
        }
        let length = self.scan(input);
        let (piece, rest) = input.split_at(length);
        // The dot at a line's start is looked at next; it is no part of the message (RFC 5321 §4.5.2).
        *input = if self.state == State::Dot { &rest[1..] } else { rest };
        self.size += piece.len() as u64;
        match (piece, self.state) {
            ([], State::Dot) => self.next(input),
            ([], _) => Step::More,
            (piece, _) => Step::Piece(piece),
        }
    }

    /// How long the piece at the start of `input` is: to its end, or to a dot at the start of a line, which
    /// sets the state. Notes bare line ends and NULs on the way.
    fn scan(&mut self, input: &[u8]) -> usize {
        let mut at = 0;
        while at < input.len() {
            match (self.state, input[at]) {
                (State::LineStart, b'.') => {
                    self.state = State::Dot;
                    return at;
                }
                (State::Cr, b'\n') => {
                    self.state = State::LineStart;
                    at += 1;
                    continue;
                }
                (State::Cr, _) => self.findings.bare_cr = true,
                _ => {}
            }
            self.state = State::Text;
            let Some(found) = memchr3(b'\r', b'\n', 0, &input[at..]) else { return input.len() };
            at += found + 1;
            match input[at - 1] {
                b'\r' => self.state = State::Cr,
                b'\n' => self.findings.bare_lf = true,
                _ => self.findings.nul = true,
            }
        }
        at
    }

    /// After CRLF and a dot. `None`: the dot was stuffing, and the line goes on.
    fn after_dot<'a>(&mut self, input: &mut &'a [u8]) -> Option<Step<'a>> {
        match input.split_first() {
            None => Some(Step::More),
            Some((b'\r', rest)) => {
                *input = rest;
                self.state = State::DotCr;
                Some(self.after_dot_cr(input))
            }
            // RFC 5321 §4.5.2: "if the first character is a period and there are other characters on the
            // line, the first character is deleted". A bare LF here is such a character, not the line's end.
            Some(_) => {
                self.state = State::Text;
                None
            }
        }
    }

    fn after_dot_cr<'a>(&mut self, input: &mut &'a [u8]) -> Step<'a> {
        match input.split_first() {
            None => Step::More,
            Some((b'\n', rest)) => {
                *input = rest;
                self.state = State::Done;
                Step::End
            }
            Some(_) => {
                // The CR that was held back is bare and belongs to the message.
                self.state = State::Cr;
                self.size += 1;
                Step::Piece(b"\r")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Message, findings and rest; `None` if the end did not come.
    type Decoded = (Vec<u8>, Findings, Option<Vec<u8>>);

    fn decode(input: &[u8], step: usize) -> Decoded {
        let (mut decoder, mut message) = (Decoder::new(), Vec::new());
        for start in (0..input.len()).step_by(step) {
            let mut piece = &input[start..(start + step).min(input.len())];
            loop {
                match decoder.next(&mut piece) {
                    Step::Piece(part) => {
                        assert!(!part.is_empty());
                        message.extend_from_slice(part);
                    }
                    Step::More => {
                        assert!(piece.is_empty());
                        break;
                    }
                    Step::End => {
                        let rest = [piece, &input[(start + step).min(input.len())..]].concat();
                        assert_eq!(decoder.size(), message.len() as u64);
                        return (message, decoder.findings(), Some(rest));
                    }
                }
            }
        }
        (message, decoder.findings(), None)
    }

    /// The same by the words of RFC 5321: find the end, cut into lines, delete a leading dot.
    fn reference(input: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
        let framed = [b"\r\n", input].concat();
        let end = framed.windows(5).position(|window| window == b"\r\n.\r\n")?;
        let mut message = Vec::new();
        let body = &framed[2..(end + 2).max(2)];
        let mut line_start = true;
        for (at, octet) in body.iter().enumerate() {
            if !(line_start && *octet == b'.') {
                message.push(*octet);
            }
            line_start = at > 0 && body[at - 1] == b'\r' && *octet == b'\n';
        }
        Some((message, framed[end + 5..].to_vec()))
    }

    #[test]
    fn known_answers() {
        for (input, message, rest) in [
            (&b".\r\n"[..], &b""[..], &b""[..]),
            (b"a\r\n.\r\nQUIT\r\n", b"a\r\n", b"QUIT\r\n"),
            (b"..\r\n.\r\n", b".\r\n", b""),
            (b"...a\r\n.b\r\n.\r\n", b"..a\r\nb\r\n", b""),
            (b"\r\n\r\n.\r\n.\r\n", b"\r\n\r\n", b".\r\n"),
            (b"a.\r\n.\r\n", b"a.\r\n", b""),
        ] {
            for step in 1..12 {
                let (got, findings, left) = decode(input, step);
                assert_eq!((got.as_slice(), left.as_deref()), (message, Some(rest)), "{input:?} by {step}");
                assert_eq!(findings, Findings::default());
            }
        }
    }

    #[test]
    fn only_crlf_dot_crlf_ends() {
        let ends = [&b"\r\n"[..], b"\n", b"\r", b"\0", b"\r\0\n", b"\n\r", b"\r\r\n", b"\r\n\0"];
        for before in ends {
            for after in ends {
                let input = [b"a", before, b".", after, b"b\r\n.\r\nc"].concat();
                for step in 1..input.len() {
                    let (message, findings, rest) = decode(&input, step);
                    let strict = before.ends_with(b"\r\n") && after.starts_with(b"\r\n");
                    let smuggled = rest.as_deref() != Some(&b"c"[..]);
                    assert_eq!(smuggled, strict, "{input:?} by {step}");
                    let clean = findings == Findings::default();
                    let odd = [before, after].iter().any(|end| *end != b"\r\n") && !strict;
                    assert!(clean != odd || strict, "{input:?}: {findings:?} {message:?}");
                }
            }
        }
    }

    #[test]
    fn findings_are_told_apart() {
        let found = |input: &[u8]| decode(input, 1).1;
        assert!(found(b"a\rb\r\n.\r\n").bare_cr && !found(b"a\rb\r\n.\r\n").bare_lf);
        assert!(found(b"a\nb\r\n.\r\n").bare_lf && !found(b"a\nb\r\n.\r\n").bare_cr);
        assert!(found(b".\rb\r\n.\r\n").bare_cr && found(b".\nb\r\n.\r\n").bare_lf);
        assert!(found(b"\0\r\n.\r\n").nul && !found(b"\0\r\n.\r\n").bare_line_end());
        assert!(found(b"a\r\r\n.\r\n").bare_cr);
    }

    #[test]
    fn a_clean_message_is_one_piece() {
        let mut input = &b"Subject: x\r\n\r\nline\r\nline\r\n.\r\n"[..];
        let mut decoder = Decoder::new();
        assert_eq!(decoder.next(&mut input), Step::Piece(b"Subject: x\r\n\r\nline\r\nline\r\n"));
        assert_eq!(decoder.next(&mut input), Step::End);
        assert_eq!(decoder.next(&mut input), Step::End);
    }

    proptest! {
        #[test]
        fn equals_the_reference_for_every_chunking(
            input in proptest::collection::vec(prop::sample::select(b"..\r\r\n\n\0a".to_vec()), 0..40),
            clean in proptest::collection::vec(prop::sample::select(vec!["\r\n", ".", "a"]), 0..30),
            step in 1usize..10,
        ) {
            for input in [input, clean.concat().into_bytes()] {
                let input = [&input, &b"\r\n.\r\nrest"[..]].concat();
                let (message, _, rest) = decode(&input, step);
                prop_assert_eq!(Some((message, rest.unwrap())), reference(&input));
            }
        }
    }
}
