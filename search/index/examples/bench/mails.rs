//! As many messages as are asked for: those of the corpus, and beyond their number changed ones.

use content_mail::{Content, Limits, Summary, decode, summarize};

/// A message as it comes, and what delivery knows of it.
pub(crate) struct Mail {
    pub(crate) bytes: Vec<u8>,
    pub(crate) summary: Summary,
}

impl Mail {
    fn new(bytes: Vec<u8>) -> Mail {
        let summary = summarize(&bytes, &Limits::default());
        Mail { bytes, summary }
    }

    /// Header and texts, decoded: what an index is a share of.
    pub(crate) fn text(&self) -> String {
        let header = usize::try_from(self.summary.header_size).unwrap();
        let mut text = String::from_utf8_lossy(&self.bytes[..header]).into_owned();
        decode::each_text(&self.bytes, &self.summary.structure, &mut |part| {
            text.push_str(part);
            text.push('\n');
            true
        });
        text
    }

    /// Where the lines of plain text lie, if it has nothing else.
    fn lines(&self) -> Option<&[u8]> {
        let part = &self.summary.structure;
        let plain = part.content == Content::Leaf && part.content_type.subtype == "plain";
        (plain && part.encoding.is_identity()).then(|| &self.bytes[part.body.start as usize..])
    }
}

/// The corpus.
pub(crate) struct Mails {
    base: Vec<Mail>,
    /// Lines of text that people wrote.
    lines: Vec<Vec<u8>>,
}

impl Mails {
    /// The public-domain mail where it is installed, else what is made.
    pub(crate) fn read() -> Mails {
        let mut base: Vec<Mail> = corpus::public_domain().map(|(_, bytes)| Mail::new(bytes)).collect();
        if base.is_empty() {
            base = corpus::messages().map(|(_, bytes)| Mail::new(bytes)).collect();
        }
        let lines = base.iter().filter_map(Mail::lines).flat_map(|text| text.split(|b| *b == b'\n'));
        let lines = lines.filter(|line| line.len() > 20).map(<[u8]>::to_vec).collect();
        Mails { base, lines }
    }

    /// Different ones.
    pub(crate) fn len(&self) -> usize {
        self.base.len()
    }

    /// The message of this number: beyond the corpus with other ids, and every third line of its text another's.
    pub(crate) fn nth(&self, at: usize) -> Mail {
        let mail = &self.base[at % self.base.len()];
        if at < self.base.len() {
            return Mail::new(mail.bytes.clone());
        }
        let mut numbers = Numbers(at as u64);
        let header = usize::try_from(mail.summary.header_size).unwrap();
        let mut bytes = mail.bytes.clone();
        other_ids(&mut bytes[..header], &mut numbers);
        let Some(text) = mail.lines() else { return Mail::new(bytes) };
        bytes.truncate(bytes.len() - text.len());
        for line in text.split_inclusive(|b| *b == b'\n') {
            if numbers.below(3) == 0 {
                bytes.extend_from_slice(&self.lines[numbers.below(self.lines.len())]);
                bytes.push(b'\n');
            } else {
                bytes.extend_from_slice(line);
            }
        }
        Mail::new(bytes)
    }

    /// Pieces of lines, as people look for them: words, parts of words, some words side by side.
    pub(crate) fn needles(&self, count: usize) -> Vec<String> {
        let mut numbers = Numbers(7);
        let mut out = Vec::new();
        while out.len() < count {
            let line = String::from_utf8_lossy(&self.lines[numbers.below(self.lines.len())]).into_owned();
            let words: Vec<&str> = line
                .split_whitespace()
                .map(|word| word.trim_matches(|c: char| !c.is_ascii_alphanumeric()))
                .filter(|word| word.len() > 2 && word.bytes().all(|b| b.is_ascii_alphabetic()))
                .collect();
            let Some(at) = words.len().checked_sub(2).map(|most| numbers.below(most + 1)) else { continue };
            out.push(match out.len() % 4 {
                0 | 1 => words[at].to_owned(),
                2 if line.contains(&words[at..at + 2].join(" ")) => words[at..at + 2].join(" "),
                _ => words[at][..words[at].len().min(6)][1..].to_owned(),
            });
        }
        out
    }
}

/// Other digits in the fields that have ids.
fn other_ids(header: &mut [u8], numbers: &mut Numbers) {
    let mut has_ids = false;
    for line in header.split_mut(|b| *b == b'\n') {
        let begin = line[..line.len().min(9)].to_ascii_lowercase();
        let goes_on = matches!(line.first(), Some(b' ' | b'\t'));
        has_ids =
            (goes_on && has_ids) || [&b"message-i"[..], b"received:", b"reference"].contains(&&begin[..]);
        if has_ids {
            for byte in line.iter_mut().filter(|b| b.is_ascii_digit()) {
                *byte = b'0' + numbers.below(10) as u8;
            }
        }
    }
}

/// Numbers that look random (splitmix64).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % end.max(1) as u64) as usize
    }
}
