//! The MIME fields of a part: types and parameters with RFC 2231 continuations and charsets.

use std::borrow::Cow;
use std::fmt::Write as _;

use crate::{
    ContentType, Disposition, Encoding, Limits, Part, decode,
    fields::{Block, text, truncate},
};

/// Parameter segments of one field that are read.
const SEGMENTS_MAX: usize = 256;

/// What the fields of a part's header say of it. `digest` is whether the part stands in a multipart/digest,
/// where the default type is message/rfc822 (RFC 2046 §5.1.5).
pub(crate) fn interpret(block: &Block, digest: bool, limits: &Limits) -> Part {
    let max = limits.string_bytes;
    let mut part = Part::default();
    if digest {
        part.content_type = ContentType::new("message", "rfc822");
    }
    for (name, value) in block.iter() {
        if name.len() < 10 || !name[..8].eq_ignore_ascii_case(b"content-") {
            continue;
        }
        match name[8..].to_ascii_lowercase().as_slice() {
            b"type" => part.content_type = content_type(&text(value, max), max).unwrap_or(part.content_type),
            b"transfer-encoding" => part.encoding = Encoding::parse(&text(value, 64)),
            b"disposition" => part.disposition = disposition(&text(value, max), max).or(part.disposition),
            b"id" => part.id = non_empty(text(value, max)),
            b"description" => part.description = non_empty(text(value, max)),
            b"md5" => part.md5 = non_empty(text(value, max)),
            b"language" => part.language = languages(&text(value, max)),
            // RFC 2557 §4.4.2: blanks in a folded URL are not part of it.
            b"location" => {
                part.location = non_empty(text(value, max).split_whitespace().collect());
            }
            _ => {}
        }
    }
    part
}

fn non_empty(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
}

fn languages(value: &str) -> Vec<String> {
    let tags = value.split(',').map(|tag| tag.split('(').next().unwrap_or_default().trim());
    tags.filter(|tag| !tag.is_empty()).take(SEGMENTS_MAX).map(str::to_owned).collect()
}

/// Content-Type (RFC 2045 §5.1); `None` where it is not one, and the default holds (§5.2).
pub(crate) fn content_type(value: &str, max: usize) -> Option<ContentType> {
    let mut cursor = Cursor { rest: value };
    let kind = cursor.token()?.to_ascii_lowercase();
    cursor.eat('/').then_some(())?;
    let subtype = cursor.token()?.to_ascii_lowercase();
    let params = parameters(&mut cursor, max);
    Some(ContentType { kind, subtype, params })
}

/// Content-Disposition (RFC 2183 §2).
fn disposition(value: &str, max: usize) -> Option<Disposition> {
    let mut cursor = Cursor { rest: value };
    let kind = cursor.token()?.to_ascii_lowercase();
    let params = parameters(&mut cursor, max);
    Some(Disposition { kind, params })
}

/// A reader of the tokens of RFC 2045 §5.1.
struct Cursor<'a> {
    rest: &'a str,
}

impl<'a> Cursor<'a> {
    /// Skips blanks and comments (RFC 5322 §3.2.2).
    fn skip(&mut self) {
        let (mut depth, mut escaped, mut end) = (0_usize, false, self.rest.len());
        for (at, byte) in self.rest.bytes().enumerate() {
            match byte {
                _ if escaped => escaped = false,
                b'\\' if depth > 0 => escaped = true,
                b'(' => depth += 1,
                b')' if depth > 0 => depth -= 1,
                b' ' | b'\t' => {}
                _ if depth > 0 => {}
                _ => {
                    end = at;
                    break;
                }
            }
        }
        self.rest = &self.rest[end..];
    }

    fn eat(&mut self, wanted: char) -> bool {
        self.skip();
        let rest = self.rest.strip_prefix(wanted);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn token(&mut self) -> Option<&'a str> {
        self.skip();
        let end = self.rest.find(|c: char| " \t()<>@,;:\\\"/[]?=".contains(c)).unwrap_or(self.rest.len());
        let (token, rest) = self.rest.split_at(end);
        self.rest = rest;
        (!token.is_empty()).then_some(token)
    }

    /// A quoted string, or whatever stands before the next `;`: file names with blanks and brackets are
    /// often sent unquoted.
    fn value(&mut self) -> Cow<'a, str> {
        self.skip();
        if let Some(quoted) = self.rest.strip_prefix('"') {
            let (text, rest) = unquote(quoted);
            self.rest = rest;
            return text;
        }
        let (value, rest) = self.rest.split_at(self.rest.find(';').unwrap_or(self.rest.len()));
        self.rest = rest;
        let value = value.trim_end();
        // A comment after the value is no part of it.
        let comment = value.ends_with(')').then(|| value.find(" (")).flatten();
        Cow::Borrowed(comment.map_or(value, |at| value[..at].trim_end()))
    }

    /// Leaves what is in the way of the next parameter.
    fn next_parameter(&mut self) -> bool {
        match self.rest.find(';') {
            Some(at) => {
                self.rest = &self.rest[at + 1..];
                true
            }
            None => false,
        }
    }
}

/// The content of a quoted string after its opening quote, and what follows its closing one.
fn unquote(quoted: &str) -> (Cow<'_, str>, &str) {
    let mut text = String::new();
    let mut chars = quoted.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return (Cow::Owned(text), &quoted[at + 1..]),
            '\\' => text.extend(chars.next().map(|(_, c)| c)),
            c => text.push(c),
        }
    }
    (Cow::Owned(text), "")
}

/// One `name*section*=value` (RFC 2231 §3, §4).
struct Segment<'a> {
    name: String,
    section: Option<u32>,
    extended: bool,
    value: Cow<'a, str>,
}

impl<'a> Segment<'a> {
    fn new(attribute: &str, value: Cow<'a, str>) -> Self {
        let lower = attribute.to_ascii_lowercase();
        let (base, extended) = match lower.strip_suffix('*') {
            Some(base) => (base, true),
            None => (lower.as_str(), false),
        };
        let numbered = base.rsplit_once('*').and_then(|(name, n)| Some((name, n.parse::<u32>().ok()?)));
        let (name, section) = numbered.map_or((base, None), |(name, n)| (name, Some(n)));
        Self { name: name.to_owned(), section, extended, value }
    }
}

fn parameters(cursor: &mut Cursor<'_>, max: usize) -> Vec<(String, String)> {
    let mut segments: Vec<Segment<'_>> = Vec::new();
    while segments.len() < SEGMENTS_MAX && cursor.next_parameter() {
        if let Some(attribute) = cursor.token()
            && cursor.eat('=')
        {
            let value = cursor.value();
            segments.push(Segment::new(attribute, value));
        }
    }
    join(segments, max)
}

/// Joins continuations in the order of their numbers and decodes extended values; a name keeps the place
/// where it first stood, its extended form wins over a plain one (RFC 2231 §3, §4.1), and the first plain
/// one over others.
fn join(segments: Vec<Segment<'_>>, max: usize) -> Vec<(String, String)> {
    let mut names: Vec<String> = Vec::new();
    let mut sorted: Vec<(usize, Segment<'_>)> = Vec::with_capacity(segments.len());
    for segment in segments {
        let place = names.iter().position(|name| *name == segment.name).unwrap_or_else(|| {
            names.push(segment.name.clone());
            names.len() - 1
        });
        sorted.push((place, segment));
    }
    sorted.sort_by_key(|(place, s)| (*place, s.section.map_or(0, |n| u64::from(n) + 1), !s.extended));
    let mut out: Vec<(String, String)> = Vec::with_capacity(names.len());
    for group in sorted.chunk_by(|a, b| a.0 == b.0) {
        let mut value = joined(group);
        truncate(&mut value, max);
        out.push((group[0].1.name.clone(), value));
    }
    out
}

/// The value of one name's segments, sorted.
fn joined(group: &[(usize, Segment<'_>)]) -> String {
    let numbered = group.iter().position(|(_, s)| s.section == Some(0));
    let parts: Vec<&Segment<'_>> = match numbered {
        // Numbers start at 0 and have no gaps (RFC 2231 §3); what comes after a gap is not the value's.
        Some(first) => {
            let run = group[first..].iter().zip(0_u32..).take_while(|((_, s), n)| s.section == Some(*n));
            run.map(|((_, s), _)| s).collect()
        }
        None => group.iter().take(1).map(|(_, s)| s).collect(),
    };
    let mut charset = None;
    let mut bytes = Vec::new();
    for (index, segment) in parts.iter().enumerate() {
        let mut value = segment.value.as_ref();
        if segment.extended {
            if index == 0 {
                let mut pieces = value.splitn(3, '\'');
                if let (Some(name), Some(_), Some(rest)) = (pieces.next(), pieces.next(), pieces.next()) {
                    (charset, value) = (Some(name), rest);
                }
            }
            percent_decode(value, &mut bytes);
        } else {
            bytes.extend_from_slice(value.as_bytes());
        }
    }
    let text = match charset {
        Some(charset) => decode::charset(charset, &bytes),
        None => decode::guess(&bytes),
    };
    text.chars().map(|c| if c.is_ascii_control() { ' ' } else { c }).collect()
}

fn percent_decode(value: &str, out: &mut Vec<u8>) {
    let bytes = value.as_bytes();
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let octet = (byte == b'%').then(|| value.get(at + 1..at + 3)).flatten();
        match octet.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(octet) => {
                out.push(octet);
                at += 3;
            }
            None => {
                out.push(byte);
                at += 1;
            }
        }
    }
}

/// A parameter value in the form of RFC 2231 §4 (`UTF-8''%e2%82%ac`), for readers that take no UTF-8; `None`
/// where the value is US-ASCII and can stand as it is.
pub fn encode_parameter(value: &str) -> Option<String> {
    if value.is_ascii() {
        return None;
    }
    let mut out = String::from("utf-8''");
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn params(value: &str) -> Vec<(String, String)> {
        content_type(value, 1000).expect("a content type").params
    }

    fn one(name: &str, value: &str) -> Vec<(String, String)> {
        vec![(name.into(), value.into())]
    }

    #[test]
    fn types() {
        let parsed = content_type("Text / HTML (c (d\\) )) ; Charset=\"UTF-8\"", 100).expect("type");
        assert!(parsed.is("text", "html"));
        assert_eq!(parsed.param("charset"), Some("UTF-8"));
        for wrong in ["", "text", "text/", "/plain", ";charset=x", "\"text\"/plain", "a b/c"] {
            assert_eq!(content_type(wrong, 100), None, "{wrong}");
        }
    }

    #[test]
    fn parameters_as_they_are_sent() {
        assert_eq!(params("a/b; x=\"q\\\"uo;ted\""), one("x", "q\"uo;ted"));
        assert_eq!(params("a/b;x=My File (1).pdf;;"), one("x", "My File (1).pdf"));
        assert_eq!(params("a/b;x=us-ascii (Plain text)"), one("x", "us-ascii"));
        assert_eq!(params("a/b;x=My File.pdf ; "), one("x", "My File.pdf"));
        assert_eq!(params("a/b; =y; ; z ; x = 1"), one("x", "1"));
        assert_eq!(params("a/b; x=\"open"), one("x", "open"));
        assert_eq!(params("a/b; x=1; x=2"), one("x", "1"));
    }

    #[test]
    fn rfc_2231_section_3() {
        let value = "message/external-body; access-type=URL; URL*0=\"ftp://\"; \
                     URL*1=\"cs.utk.edu/pub/moore/bulk-mailer/bulk-mailer.tar\"";
        let url = "ftp://cs.utk.edu/pub/moore/bulk-mailer/bulk-mailer.tar";
        assert_eq!(params(value), vec![("access-type".into(), "URL".into()), ("url".into(), url.into())]);
    }

    #[test]
    fn rfc_2231_section_4() {
        let value = "application/x-stuff; title*=us-ascii'en-us'This%20is%20%2A%2A%2Afun%2A%2A%2A";
        assert_eq!(params(value), one("title", "This is ***fun***"));
        let value = "application/x-stuff; title*0*=us-ascii'en'This%20is%20even%20more%20; \
                     title*1*=%2A%2A%2Afun%2A%2A%2A%20; title*2=\"isn't it!\"";
        assert_eq!(params(value), one("title", "This is even more ***fun*** isn't it!"));
    }

    #[test]
    fn continuations_in_any_order_and_with_gaps() {
        assert_eq!(params("a/b; x*2=c; x*0=a; x*1=b; x*4=e"), one("x", "abc"));
        assert_eq!(params("a/b; x=plain; x*=utf-8''%e2%82%ac"), one("x", "\u{20ac}"));
        assert_eq!(params("a/b; x*=iso-8859-1''%fc%"), one("x", "\u{fc}%"));
        assert_eq!(params("a/b; x*1=lost"), one("x", "lost"));
        assert_eq!(params("a/b; x*=utf-8''a%0D%0Ab"), one("x", "a  b"));
    }

    #[test]
    fn many_parameters_are_bounded() {
        let value: String = (0..100_000).fold("a/b".into(), |text, n| text + &format!(";x*{n}=y"));
        assert_eq!(params(&value), one("x", &"y".repeat(SEGMENTS_MAX)));
    }

    #[test]
    fn encoding_a_parameter() {
        assert_eq!(encode_parameter("plain.txt"), None);
        let encoded = encode_parameter("\u{20ac} 1.pdf").expect("not ascii");
        assert_eq!(encoded, "utf-8''%E2%82%AC%201.pdf");
        assert_eq!(params(&format!("a/b; x*={encoded}")), one("x", "\u{20ac} 1.pdf"));
    }
}
