//! What all shapes are made with: numbers from a seed, people, header fields, encodings.

use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::text::{self, Language};

/// A source of choices for one message.
pub(super) struct Maker {
    state: u64,
    /// The message's number, for ids.
    pub(super) number: u64,
}

impl Maker {
    pub(super) fn new(seed: u64, number: u64) -> Self {
        Self {
            state: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ number.wrapping_mul(0xd134_2543_de82_ef95),
            number,
        }
    }

    /// The next number (splitmix64).
    pub(super) fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `end`.
    pub(super) fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end as u64).unwrap_or(0)
    }

    pub(super) fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }

    pub(super) fn language(&mut self) -> &'static Language {
        &text::LANGUAGES[self.below(text::LANGUAGES.len())]
    }

    /// A few lines of plain ASCII.
    pub(super) fn ascii(&mut self) -> String {
        let lines = 1 + self.below(12);
        (0..lines).map(|_| format!("{}\r\n", self.sentence())).collect()
    }

    pub(super) fn sentence(&mut self) -> String {
        let words = 2 + self.below(10);
        let words: Vec<&str> = (0..words).map(|_| self.pick(text::WORDS)).collect();
        format!("{}.", words.join(" "))
    }

    /// Lines in a language, in UTF-8.
    pub(super) fn native(&mut self, language: &Language) -> String {
        let lines = 1 + self.below(6);
        (0..lines).map(|_| format!("{}\r\n", self.pick(language.lines))).collect()
    }

    pub(super) fn address(&mut self) -> String {
        let number = self.below(1000);
        format!("{}{number}@{}", self.pick(text::WORDS), self.pick(text::DOMAINS))
    }

    pub(super) fn mailbox(&mut self) -> String {
        let name = self.pick(text::NAMES);
        let address = self.address();
        match self.below(4) {
            0 => address,
            1 => format!("\"{name}\" <{address}>"),
            2 => format!("{address} ({name})"),
            _ => format!("{name} <{address}>"),
        }
    }

    /// A date of the years 1999 to 2027 with a zone.
    pub(super) fn date(&mut self) -> String {
        let (day, month, year) = (1 + self.below(28), self.pick(text::MONTHS), 1999 + self.below(28));
        let (hour, minute, second) = (self.below(24), self.below(60), self.below(60));
        let zone = self.pick(&["+0000", "-0800", "+0200", "+0530", "GMT", "-0330", "+0900 (JST)"]);
        format!("{day} {month} {year} {hour:02}:{minute:02}:{second:02} {zone}")
    }

    pub(super) fn message_id(&mut self) -> String {
        let (a, domain) = (self.next(), self.pick(text::DOMAINS));
        format!("<{}.{a:x}@{domain}>", self.number)
    }

    /// The fields most messages have, without the blank line.
    pub(super) fn header(&mut self) -> String {
        let mut out = format!("From: {}\r\nTo: {}\r\n", self.mailbox(), self.mailbox());
        if self.below(3) == 0 {
            let (first, second) = (self.mailbox(), self.mailbox());
            out += &format!("Cc: {first},\r\n {second}\r\n");
        }
        let subject = self.sentence();
        out +=
            &format!("Subject: {subject}\r\nDate: {}\r\nMessage-ID: {}\r\n", self.date(), self.message_id());
        if self.below(2) == 0 {
            out += &format!("User-Agent: {}\r\n", self.pick(text::AGENTS));
        }
        out
    }

    /// [`Maker::header`] and the fields of a MIME entity, with the blank line.
    pub(super) fn mime(&mut self, content_type: &str, encoding: &str) -> String {
        let mut out = self.header() + "MIME-Version: 1.0\r\n";
        out += &format!("Content-Type: {content_type}\r\n");
        if !encoding.is_empty() {
            out += &format!("Content-Transfer-Encoding: {encoding}\r\n");
        }
        out + "\r\n"
    }

    pub(super) fn boundary(&mut self) -> String {
        let number = self.next();
        match self.below(4) {
            0 => format!("----=_Part_{number}"),
            1 => format!("{number:x}"),
            2 => format!("=_'()+_,-./:=?{}", number % 1000),
            _ => format!("Apple-Mail={number:X}"),
        }
    }

    /// Octets of a file.
    pub(super) fn octets(&mut self, most: usize) -> Vec<u8> {
        let count = self.below(most);
        (0..count).map(|_| (self.next() & 0xff) as u8).collect()
    }

    /// A multipart entity: its Content-Type value and its body.
    pub(super) fn multipart(&mut self, subtype: &str, parts: &[String]) -> (String, String) {
        let boundary = self.boundary();
        let mut body = String::new();
        if self.below(3) == 0 {
            body += "This is a multi-part message in MIME format.\r\n";
        }
        for part in parts {
            body += &format!("\r\n--{boundary}\r\n{part}");
        }
        body += &format!("\r\n--{boundary}--\r\n");
        (format!("multipart/{subtype}; boundary=\"{boundary}\""), body)
    }

    /// A message that is a multipart.
    pub(super) fn multipart_message(&mut self, subtype: &str, parts: &[String]) -> Vec<u8> {
        let (content_type, body) = self.multipart(subtype, parts);
        (self.mime(&content_type, "") + &body).into_bytes()
    }
}

/// A part with its header.
pub(super) fn part(content_type: &str, fields: &str, body: &str) -> String {
    format!("Content-Type: {content_type}\r\n{fields}\r\n{body}")
}

/// base64 in lines of 76 characters.
pub(super) fn base64(octets: &[u8]) -> String {
    let text = STANDARD.encode(octets);
    let lines: Vec<&str> = (0..text.len()).step_by(76).map(|at| &text[at..text.len().min(at + 76)]).collect();
    lines.join("\r\n") + "\r\n"
}

/// quoted-printable with soft line breaks; line ends stay.
pub(super) fn quoted_printable(text: &[u8]) -> String {
    let mut out = String::new();
    let mut column = 0;
    for (at, &byte) in text.iter().enumerate() {
        if column >= 72 && byte != b'\r' && byte != b'\n' {
            out += "=\r\n";
            column = 0;
        }
        let ends_line = text.get(at + 1).is_none_or(|next| matches!(next, b'\r' | b'\n'));
        match byte {
            b'\n' => {
                out.push('\n');
                column = 0;
            }
            b'\r' => out.push('\r'),
            b'=' | 0..=31 | 127..=255 => {
                out += &format!("={byte:02X}");
                column += 3;
            }
            b' ' if ends_line => {
                out += "=20";
                column += 3;
            }
            _ => {
                out.push(char::from(byte));
                column += 1;
            }
        }
    }
    out
}

/// An encoded word in base64.
pub(super) fn encoded_word(charset: &str, octets: &[u8]) -> String {
    format!("=?{charset}?B?{}?=", STANDARD.encode(octets))
}

/// An encoded word in Q.
pub(super) fn q_word(charset: &str, octets: &[u8]) -> String {
    let text: String = octets
        .iter()
        .map(|byte| match byte {
            b' ' => "_".to_owned(),
            b if b.is_ascii_alphanumeric() => char::from(*b).to_string(),
            b => format!("={b:02X}"),
        })
        .collect();
    format!("=?{charset}?Q?{text}?=")
}
