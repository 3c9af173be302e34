//! Cuts a stream of bytes into lines, so that nothing after it knows of chunks.

use memchr::memchr;

/// Bytes of a line that are shown; of a longer line, the rest only counts.
pub(crate) const LINE_MAX: usize = 64 << 10;

/// One line. A line ends with LF, or CR LF, or the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Line<'a> {
    /// The content without its line end, at most [`LINE_MAX`] bytes of it.
    pub(crate) head: &'a [u8],
    /// Offset of the line's first byte.
    pub(crate) start: u64,
    /// Offset behind its line end.
    pub(crate) end: u64,
    /// Bytes of the line end: 0, 1 or 2.
    pub(crate) ending: u64,
}

impl Line<'_> {
    /// Whether nothing is on the line.
    pub(crate) fn is_blank(&self) -> bool {
        self.head.is_empty()
    }

    /// Whether `head` is not all of the line.
    pub(crate) fn is_cut(&self) -> bool {
        self.start + self.head.len() as u64 + self.ending < self.end
    }
}

/// Keeps the beginning of a line that has not ended yet.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    carry: Vec<u8>,
    /// Bytes of the unfinished line so far, those not carried included.
    pending: u64,
    /// Its last byte so far.
    last: u8,
    /// Offset of the unfinished line.
    start: u64,
}

impl Lines {
    /// Takes the next bytes and gives every line that ends in them to `line`.
    pub(crate) fn push(&mut self, mut bytes: &[u8], mut line: impl FnMut(Line<'_>)) {
        while let Some(at) = memchr(b'\n', bytes) {
            let (this, rest) = bytes.split_at(at + 1);
            bytes = rest;
            if self.pending > 0 {
                self.keep(&this[..at]);
                self.emit_carried(true, &mut line);
                continue;
            }
            let cr = at > 0 && this[at - 1] == b'\r';
            let content = &this[..at - usize::from(cr)];
            let end = self.start + this.len() as u64;
            let head = &content[..content.len().min(LINE_MAX)];
            line(Line { head, start: self.start, end, ending: 1 + u64::from(cr) });
            self.start = end;
        }
        self.keep(bytes);
    }

    /// The message ended: gives the unterminated last line, where there is one.
    pub(crate) fn finish(&mut self, mut line: impl FnMut(Line<'_>)) {
        if self.pending > 0 {
            self.emit_carried(false, &mut line);
        }
    }

    /// Offset behind all lines given.
    pub(crate) fn offset(&self) -> u64 {
        self.start
    }

    fn keep(&mut self, bytes: &[u8]) {
        let room = (LINE_MAX + 1).saturating_sub(self.carry.len());
        self.carry.extend_from_slice(&bytes[..bytes.len().min(room)]);
        self.pending += bytes.len() as u64;
        self.last = bytes.last().copied().unwrap_or(self.last);
    }

    fn emit_carried(&mut self, terminated: bool, line: &mut impl FnMut(Line<'_>)) {
        let cr = terminated && self.last == b'\r';
        let content = self.pending - u64::from(cr);
        let ending = u64::from(terminated) + u64::from(cr);
        let shown = usize::try_from(content).unwrap_or(usize::MAX).min(LINE_MAX).min(self.carry.len());
        let end = self.start + content + ending;
        line(Line { head: &self.carry[..shown], start: self.start, end, ending });
        self.carry.clear();
        self.pending = 0;
        self.start = end;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Seen = (Vec<u8>, u64, u64, u64);

    fn lines(chunks: &[&[u8]]) -> Vec<Seen> {
        let mut lines = Lines::default();
        let mut seen = Vec::new();
        for chunk in chunks {
            lines.push(chunk, |l| seen.push((l.head.to_vec(), l.start, l.end, l.ending)));
        }
        lines.finish(|l| seen.push((l.head.to_vec(), l.start, l.end, l.ending)));
        seen
    }

    #[test]
    fn endings() {
        let seen = lines(&[b"a\r\n\nb\n\r\nc\rd"]);
        let expected: Vec<Seen> = vec![
            (b"a".to_vec(), 0, 3, 2),
            (vec![], 3, 4, 1),
            (b"b".to_vec(), 4, 6, 1),
            (vec![], 6, 8, 2),
            (b"c\rd".to_vec(), 8, 11, 0),
        ];
        assert_eq!(seen, expected);
        assert_eq!(lines(&[]), vec![]);
    }

    #[test]
    fn every_cut_gives_the_same() {
        let text = b"ab\r\n\r\r\n\nxyz\r";
        let whole = lines(&[text]);
        for cut in 0..=text.len() {
            for second in cut..=text.len() {
                let parts = [&text[..cut], &text[cut..second], &text[second..]];
                assert_eq!(lines(&parts), whole, "{cut} {second}");
            }
        }
    }

    #[test]
    fn a_long_line_is_cut_alike() {
        for extra in [0, 1, 2] {
            let mut text = vec![b'x'; LINE_MAX + extra];
            text.extend_from_slice(b"\r\n");
            let whole = lines(&[&text]);
            assert_eq!(whole[0].0.len(), LINE_MAX);
            assert_eq!((whole[0].2, whole[0].3), (text.len() as u64, 2));
            for cut in [1, LINE_MAX - 1, LINE_MAX, LINE_MAX + 1, text.len() - 1] {
                assert_eq!(lines(&[&text[..cut], &text[cut..]]), whole);
            }
        }
    }
}
