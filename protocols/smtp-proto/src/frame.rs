//! Where a command line ends: at CRLF, and nowhere else.
//!
//! RFC 5321 §2.3.8: "conforming implementations MUST NOT recognize or generate any other character or
//! character sequence as a line terminator". A bare LF or CR makes the line malformed; what follows it up to
//! the next CRLF is malformed too, so that a client whose address held a bare LF cannot have the rest of that
//! address run as a command. A lone LF still gets its answer at once: a person typing at a raw socket
//! learns what is wrong instead of waiting.

use memchr::memchr;

/// What the framer found at the start of the buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Frame {
    /// No whole line yet. `consume` octets are of no use (the tail of an overlong line).
    Incomplete {
        /// Octets to drop from the front of the buffer.
        consume: usize,
    },
    /// A line: `buffer[..end]`, without its CRLF.
    Line {
        /// Where the line's text ends.
        end: usize,
        /// Octets to drop from the front of the buffer once the line is used.
        consume: usize,
    },
    /// A line with a bare CR or LF: answer 500 and run nothing of it.
    Malformed {
        /// Octets to drop from the front of the buffer.
        consume: usize,
    },
    /// A line over the limit: answer 500, once. What remains of it is dropped by later calls.
    TooLong {
        /// Octets to drop from the front of the buffer.
        consume: usize,
    },
}

/// Finds command lines in a buffer that grows at its end.
#[derive(Debug, Clone, Default)]
pub struct Framer {
    /// Octets of the buffer known to hold no LF, so that a slow writer costs no rescans.
    scanned: usize,
    /// The rest of the logical line is malformed (a bare LF was seen).
    tainted: bool,
    /// The rest of the line is dropped (it was too long).
    skipping: bool,
}

impl Framer {
    /// A framer at the start of a line.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Looks for a line of at most `limit` octets (with CRLF) at the start of `buffer`. The caller drops what
    /// the answer says is consumed before it calls again, and appends to the buffer only.
    pub fn next(&mut self, buffer: &[u8], limit: usize) -> Frame {
        let from = self.scanned.min(buffer.len());
        let Some(lf) = memchr(b'\n', &buffer[from..]).map(|at| from + at) else {
            return self.without_lf(buffer, limit);
        };
        self.scanned = 0;
        let consume = lf + 1;
        let strict = lf > 0 && buffer[lf - 1] == b'\r';
        if std::mem::take(&mut self.skipping) {
            // The overlong line was answered already; its end may be a bare LF, which taints as any other.
            self.tainted = !strict;
            return Frame::Incomplete { consume };
        }
        let tainted = std::mem::replace(&mut self.tainted, !strict);
        if consume > limit {
            return Frame::TooLong { consume };
        }
        if tainted || !strict || memchr(b'\r', &buffer[..lf - 1]).is_some() {
            return Frame::Malformed { consume };
        }
        Frame::Line { end: lf - 1, consume }
    }

    fn without_lf(&mut self, buffer: &[u8], limit: usize) -> Frame {
        // A CR at the very end may be half of the CRLF: it stays.
        let keep = usize::from(buffer.last() == Some(&b'\r'));
        if self.skipping {
            self.scanned = 0;
            return Frame::Incomplete { consume: buffer.len() - keep };
        }
        if buffer.len() >= limit {
            self.scanned = 0;
            self.skipping = true;
            return Frame::TooLong { consume: buffer.len() - keep };
        }
        self.scanned = buffer.len();
        Frame::Incomplete { consume: 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Feeds `input` in pieces of `step` octets and lists the frames, the lines as text.
    fn frames(input: &[u8], step: usize, limit: usize) -> Vec<String> {
        let (mut framer, mut buffer, mut out) = (Framer::new(), Vec::new(), Vec::new());
        for piece in input.chunks(step) {
            buffer.extend_from_slice(piece);
            loop {
                let frame = framer.next(&buffer, limit);
                let consume = match frame {
                    Frame::Incomplete { consume } => consume,
                    Frame::Line { end, consume } => {
                        out.push(String::from_utf8_lossy(&buffer[..end]).into_owned());
                        consume
                    }
                    Frame::Malformed { consume } => {
                        out.push("<malformed>".into());
                        consume
                    }
                    Frame::TooLong { consume } => {
                        out.push("<long>".into());
                        consume
                    }
                };
                buffer.drain(..consume);
                if consume == 0 || (buffer.is_empty() && matches!(frame, Frame::Incomplete { .. })) {
                    break;
                }
            }
        }
        out
    }

    #[test]
    fn lines_end_with_crlf() {
        for step in 1..8 {
            assert_eq!(frames(b"NOOP\r\nQUIT\r\nhalf", step, 100), ["NOOP", "QUIT"], "step {step}");
            assert_eq!(frames(b"\r\n\r\n", step, 100), ["", ""]);
        }
    }

    #[test]
    fn nothing_after_a_bare_lf_runs_before_a_clean_line() {
        for step in 1..30 {
            let got = frames(b"MAIL FROM:<a\nRCPT TO:<b>\r\nNOOP\r\n", step, 100);
            assert_eq!(got, ["<malformed>", "<malformed>", "NOOP"], "step {step}");
            assert_eq!(frames(b"NOOP\rQUIT\r\nNOOP\r\n", step, 100), ["<malformed>", "NOOP"]);
            assert_eq!(frames(b"NOOP\r\r\nNOOP\r\n", step, 100), ["<malformed>", "NOOP"]);
            assert_eq!(frames(b"\nNOOP\r\n", step, 100), ["<malformed>", "<malformed>"]);
        }
    }

    #[test]
    fn an_overlong_line_is_told_once() {
        let mut input = vec![b'x'; 500];
        input.extend_from_slice(b"\r\nNOOP\r\n");
        for step in [1, 3, 64, 1000] {
            assert_eq!(frames(&input, step, 100), ["<long>", "NOOP"], "step {step}");
        }
        let exact = [vec![b'x'; 98], b"\r\n".to_vec()].concat();
        assert_eq!(frames(&exact, 7, 100).len(), 1);
        assert_ne!(frames(&exact, 7, 100), ["<long>"]);
        assert_eq!(frames(&exact, 7, 99), ["<long>"]);
    }

    #[test]
    fn an_overlong_line_keeps_nothing() {
        let mut framer = Framer::new();
        let long = vec![b'x'; 200];
        assert_eq!(framer.next(&long, 100), Frame::TooLong { consume: 200 });
        assert_eq!(framer.next(&long, 100), Frame::Incomplete { consume: 200 });
        assert_eq!(framer.next(b"xx\r", 100), Frame::Incomplete { consume: 2 });
        assert_eq!(framer.next(b"\r\nNOOP\r\n", 100), Frame::Incomplete { consume: 2 });
        assert_eq!(framer.next(b"NOOP\r\n", 100), Frame::Line { end: 4, consume: 6 });
    }

    proptest! {
        #[test]
        fn chunking_changes_nothing(
            input in proptest::collection::vec(prop::sample::select(b"ab\r\n\0".to_vec()), 0..60),
            step in 1usize..20,
        ) {
            prop_assert_eq!(frames(&input, step, 1000), frames(&input, 1000, 1000));
        }
    }
}
