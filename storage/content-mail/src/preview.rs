//! The preview of a message (RFC 8970) from the beginning of its first text.

use crate::{Encoding, Part, decode::body_text};

/// Characters of a preview (RFC 8970 §3.1: at most 256).
pub(crate) const PREVIEW_MAX: usize = 256;

/// What a preview could be made of: the beginning of the first part of a type.
#[derive(Debug, Default)]
pub(crate) struct Samples {
    plain: Option<Sample>,
    html: Option<Sample>,
}

#[derive(Debug)]
struct Sample {
    /// The part's type, charset and encoding.
    part: Part,
    bytes: Vec<u8>,
    full: bool,
}

/// Which sample is being filled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Which {
    Plain,
    Html,
}

impl Samples {
    /// Begins a sample with this part if it is the first of its type and no attachment.
    pub(crate) fn begin(&mut self, part: &Part) -> Option<Which> {
        if part.disposition.as_ref().is_some_and(|d| d.kind == "attachment")
            || part.content_type.kind != "text"
            || matches!(part.encoding, Encoding::Other(_))
        {
            return None;
        }
        let (slot, which) = match part.content_type.subtype.as_str() {
            "plain" => (&mut self.plain, Which::Plain),
            "html" => (&mut self.html, Which::Html),
            _ => return None,
        };
        if slot.is_some() {
            return None;
        }
        *slot = Some(Sample { part: part.clone(), bytes: Vec::new(), full: false });
        Some(which)
    }

    /// Adds a line; false when no more is needed.
    pub(crate) fn line(&mut self, which: Which, head: &[u8], cut: bool, max: usize) -> bool {
        let slot = match which {
            // Plain text needs no room for markup.
            Which::Plain => self.plain.as_mut().map(|sample| (sample, max.min(PREVIEW_MAX * 16))),
            Which::Html => self.html.as_mut().map(|sample| (sample, max)),
        };
        let Some((sample, max)) = slot else { return false };
        let room = max.saturating_sub(sample.bytes.len());
        sample.bytes.extend_from_slice(&head[..head.len().min(room)]);
        sample.bytes.extend_from_slice(b"\r\n");
        sample.full = cut || head.len() >= room;
        !sample.full
    }

    /// The preview: of the plain text, else of the HTML, else nothing.
    pub(crate) fn preview(self) -> String {
        let candidates = [self.plain, self.html].into_iter().flatten();
        candidates.map(|sample| sample.preview()).find(|text| !text.is_empty()).unwrap_or_default()
    }
}

impl Sample {
    fn preview(&self) -> String {
        let text = body_text(&self.part, &self.bytes);
        // Where the sample was cut, half a character may be left.
        let text = if self.full { text.trim_end_matches('\u{fffd}') } else { &text };
        let unquoted = one_line(text.lines().filter(|line| !line.starts_with('>')));
        if unquoted.is_empty() { one_line(text.lines()) } else { unquoted }
    }
}

/// Words parted by single blanks, at most [`PREVIEW_MAX`] characters, nothing invisible.
fn one_line<'a>(lines: impl Iterator<Item = &'a str>) -> String {
    let mut out = String::new();
    let mut left = PREVIEW_MAX;
    for word in lines.flat_map(str::split_whitespace) {
        let mut blank = !out.is_empty();
        for c in word.chars().filter(|c| !c.is_control() && !is_filler(*c)) {
            let needed = 1 + usize::from(blank);
            if left < needed {
                return out;
            }
            if blank {
                out.push(' ');
                blank = false;
            }
            out.push(c);
            left -= needed;
        }
    }
    out
}

/// Characters newsletters fill their previews with.
fn is_filler(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{34f}' | '\u{200b}'..='\u{200f}' | '\u{2060}' | '\u{feff}' | '\u{fffc}')
}

#[cfg(test)]
mod tests {
    use crate::{Limits, summarize};

    fn preview(message: &[u8]) -> String {
        summarize(message, &Limits::default()).preview
    }

    #[test]
    fn plain_text_on_one_line() {
        assert_eq!(preview(b"Subject: x\r\n\r\nHello,\r\n\r\n  World \t!\r\n"), "Hello, World !");
        assert_eq!(preview(b"Subject: x\r\n\r\n> you said\r\nI say\r\n"), "I say");
        assert_eq!(preview(b"Subject: x\r\n\r\n> only this\r\n"), "> only this");
        assert_eq!(preview(b"Subject: x\r\n\r\n"), "");
    }

    #[test]
    fn encodings_and_markup() {
        let html =
            b"Content-Type: text/html; charset=iso-8859-1\nContent-Transfer-Encoding: quoted-printable\n\n\
            <html><head><style>p {}</style></head><p>Gr=FC=\n=DFe</p><br>x\n";
        assert_eq!(preview(html), "Gr\u{fc}\u{df}e x");
        let base64 =
            b"Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: base64\n\nR3LD\nvMOfZQ==\n";
        assert_eq!(preview(base64), "Gr\u{fc}\u{df}e");
    }

    #[test]
    fn plain_before_html_and_no_attachments() {
        let message = b"Content-Type: multipart/mixed; boundary=b\n\n\
            --b\nContent-Type: text/plain\nContent-Disposition: attachment\n\nattached\n\
            --b\nContent-Type: text/html\n\n<p>html\n--b\nContent-Type: text/plain\n\nplain\n--b--\n";
        assert_eq!(preview(message), "plain");
    }

    #[test]
    fn at_most_256_characters() {
        let long = format!("Subject: x\n\n{}", "\u{fc}".repeat(10_000));
        assert_eq!(preview(long.as_bytes()).chars().count(), 256);
        let words = format!("Subject: x\n\n{}", "ab ".repeat(10_000));
        let text = preview(words.as_bytes());
        assert_eq!(text.chars().count(), 256);
        assert!(!text.ends_with(' '));
    }
}
