//! As many messages as are asked for, each of them another, with a vocabulary that grows as that of mail does.

use content_mail::{Limits, Summary, decode, headers, summarize};

/// What of the header is kept: the ways that messages took are long, and alike.
const KEPT: [&str; 7] = ["From", "To", "Cc", "Subject", "Date", "List-Id", "Sender"];
/// Distinct words of two letters and more in 1,500 bytes of each of the corpus' 6,046 messages, and how they grow with the
/// number of messages (Heaps' law, fitted from 1,000 messages on).
const WORDS: f64 = 39_870.0;
const MESSAGES: f64 = 6_046.0;
const GROWTH: f64 = 0.53;
/// Words of a message that are made up and were met before, beyond the corpus.
const AGAIN: usize = 5;
/// Each so many messages one has a line in Chinese characters, beyond and within the corpus.
const DENSE: usize = 50;

/// What messages are made of.
pub(crate) struct Mails {
    base: Vec<Base>,
    /// Lines that people wrote, of ASCII alone.
    pub(crate) lines: Vec<String>,
    /// Words of these, each once.
    words: Vec<String>,
}

struct Base {
    header: Vec<u8>,
    text: String,
}

/// Numbers that look random (splitmix64).
pub(crate) struct Numbers(pub(crate) u64);

impl Numbers {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }

    /// Low numbers more often, as words of a language come.
    fn seldom(&mut self, end: usize) -> usize {
        let share = (self.next() >> 11) as f64 / (1u64 << 53) as f64;
        (((end.max(1) as f64).ln() * share).exp() - 1.0) as usize
    }
}

impl Mails {
    /// The public-domain mail where it is installed, else what is made.
    pub(crate) fn read() -> Mails {
        let most = std::env::var("GODWIT_SEARCHES_TEXT").ok().and_then(|n| n.parse().ok()).unwrap_or(1_500);
        let mut base: Vec<Base> = corpus::public_domain().map(|(_, bytes)| Base::new(&bytes, most)).collect();
        if base.is_empty() {
            base = corpus::messages().map(|(_, bytes)| Base::new(&bytes, most)).collect();
        }
        let lines = base.iter().flat_map(|base| base.text.lines());
        let lines: Vec<String> =
            lines.filter(|line| line.len() > 20 && line.is_ascii()).map(str::to_owned).collect();
        let of_letters = |word: &&str| word.len() > 3 && word.bytes().all(|b| b.is_ascii_lowercase());
        let words = lines.iter().flat_map(|line| line.split(' ')).filter(of_letters);
        let mut words: Vec<String> = words.map(str::to_owned).collect();
        words.sort_unstable();
        words.dedup();
        Mails { base, lines, words }
    }

    /// The message of this number, with CRLF.
    pub(crate) fn nth(&self, at: usize) -> Vec<u8> {
        let (base, mut numbers) = (&self.base[at % self.base.len()], Numbers(at as u64));
        let mut out = base.header.clone();
        let kind = "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n";
        out.extend_from_slice(
            format!("Message-ID: <{:x}@example.org>\r\n{kind}\r\n", numbers.next()).as_bytes(),
        );
        let mut new: Vec<String> = Vec::new();
        if at >= self.base.len() {
            new.extend((made(at)..made(at + 1)).map(|number| self.made_up(number)));
            new.extend((0..AGAIN).map(|_| self.made_up(numbers.seldom(made(at)))));
        }
        if at.is_multiple_of(DENSE) {
            new.push(dense(&mut numbers));
        }
        for line in base.text.lines() {
            let other = at >= self.base.len() && numbers.below(3) == 0;
            let line = if other { &self.lines[numbers.below(self.lines.len())] } else { line };
            out.extend_from_slice(line.as_bytes());
            if let Some(word) = new.pop() {
                out.extend_from_slice(format!(" {word}").as_bytes());
            }
            out.extend_from_slice(b"\r\n");
        }
        new.iter().for_each(|word| out.extend_from_slice(format!("{word}\r\n").as_bytes()));
        out
    }

    /// The beginning of a word and the end of another.
    pub(crate) fn made_up(&self, number: usize) -> String {
        let mut numbers = Numbers(number as u64 ^ 0x5bd1_e995);
        let (a, b) = (self.word(&mut numbers), self.word(&mut numbers));
        format!("{}{}", &a[..a.len() / 2 + 1], &b[b.len() / 2 - 1..])
    }

    pub(crate) fn word(&self, numbers: &mut Numbers) -> &str {
        &self.words[numbers.below(self.words.len())]
    }
}

/// How many words are made up up to a message.
pub(crate) fn made(at: usize) -> usize {
    (WORDS * ((at as f64 / MESSAGES).powf(GROWTH) - 1.0)).max(0.0) as usize
}

/// Some Chinese characters, the first of the block more often.
pub(crate) fn dense(numbers: &mut Numbers) -> String {
    let one = |numbers: &mut Numbers| char::from_u32(0x4e00 + numbers.seldom(6_000) as u32).unwrap_or('一');
    (0..24).map(|_| one(numbers)).collect()
}

impl Base {
    fn new(bytes: &[u8], most: usize) -> Base {
        let summary: Summary = summarize(bytes, &Limits::default());
        let end = usize::try_from(summary.header_size).unwrap_or(usize::MAX).min(bytes.len());
        let mut header = Vec::new();
        for field in headers::fields(&bytes[..end]) {
            if KEPT.iter().any(|kept| field.is(kept)) {
                header.extend_from_slice(field.raw);
            }
        }
        let mut text = String::new();
        decode::each_text(bytes, &summary.structure, &mut |part| {
            text.push_str(part);
            text.push('\n');
            text.len() < most
        });
        let end = (0..=most.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        text.truncate(end);
        Base { header, text }
    }
}
