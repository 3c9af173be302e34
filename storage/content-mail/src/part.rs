//! The tree of body parts, and how a section specification becomes a range of the message.

use std::ops::Range;

use crate::{Envelope, decode};

/// One body part: what BODYSTRUCTURE says of it, and where it is. All offsets count from the start of the
/// message.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Part {
    /// The part's header (for the root, the message's header), its blank line included.
    pub header: Range<u64>,
    /// The part's body as it was sent, still encoded. The line end before a delimiter is the delimiter's
    /// (RFC 2046 §5.1.1).
    pub body: Range<u64>,
    /// Lines of the body; an unterminated last line counts.
    pub lines: u64,
    /// Content-Type, or the default that holds in its place.
    pub content_type: ContentType,
    /// Content-Transfer-Encoding.
    pub encoding: Encoding,
    /// Content-ID, with its angle brackets.
    pub id: Option<String>,
    /// Content-Description.
    pub description: Option<String>,
    /// Content-MD5.
    pub md5: Option<String>,
    /// Content-Disposition.
    pub disposition: Option<Disposition>,
    /// Content-Language.
    pub language: Vec<String>,
    /// Content-Location.
    pub location: Option<String>,
    /// What the part contains.
    pub content: Content,
}

/// What is inside a part.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Content {
    /// Data that is not taken apart.
    #[default]
    Leaf,
    /// The parts of a multipart, never none.
    Multipart(Vec<Part>),
    /// The message in a message/rfc822 or message/global.
    Message(Box<NestedMessage>),
}

/// An enclosed message.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NestedMessage {
    /// Its ENVELOPE.
    pub envelope: Envelope,
    /// Its structure; `part.header` is its header, `part.body` its text.
    pub part: Part,
}

/// A media type with its parameters; type, subtype and names in lower case, values decoded (RFC 2231).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContentType {
    /// The type, as `text`.
    pub kind: String,
    /// The subtype, as `plain`.
    pub subtype: String,
    /// The parameters in their order.
    pub params: Vec<(String, String)>,
}

/// Content-Disposition (RFC 2183).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Disposition {
    /// The disposition type in lower case, as `attachment`.
    pub kind: String,
    /// The parameters in their order, decoded (RFC 2231).
    pub params: Vec<(String, String)>,
}

/// Content-Transfer-Encoding (RFC 2045 §6).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Encoding {
    /// `7bit`, the default.
    #[default]
    SevenBit,
    /// `8bit`.
    EightBit,
    /// `binary`.
    Binary,
    /// `quoted-printable`.
    QuotedPrintable,
    /// `base64`.
    Base64,
    /// Anything else, in lower case.
    Other(String),
}

impl Encoding {
    /// The encoding of a field value; comments and blanks around it do not matter.
    pub fn parse(value: &str) -> Self {
        let token = value.split(['(', ';']).next().unwrap_or_default().trim().to_ascii_lowercase();
        match token.as_str() {
            "" | "7bit" => Self::SevenBit,
            "8bit" => Self::EightBit,
            "binary" => Self::Binary,
            "quoted-printable" => Self::QuotedPrintable,
            "base64" => Self::Base64,
            _ => Self::Other(token),
        }
    }

    /// The field value.
    pub fn as_str(&self) -> &str {
        match self {
            Self::SevenBit => "7bit",
            Self::EightBit => "8bit",
            Self::Binary => "binary",
            Self::QuotedPrintable => "quoted-printable",
            Self::Base64 => "base64",
            Self::Other(other) => other,
        }
    }

    /// Whether the octets are the content as they are.
    pub fn is_identity(&self) -> bool {
        matches!(self, Self::SevenBit | Self::EightBit | Self::Binary)
    }
}

impl Default for ContentType {
    /// `text/plain; charset=us-ascii` (RFC 2045 §5.2).
    fn default() -> Self {
        Self {
            kind: "text".into(),
            subtype: "plain".into(),
            params: vec![("charset".into(), "us-ascii".into())],
        }
    }
}

impl ContentType {
    /// A type without parameters.
    pub fn new(kind: &str, subtype: &str) -> Self {
        Self { kind: kind.into(), subtype: subtype.into(), params: Vec::new() }
    }

    /// Whether this is `kind/subtype`; both in lower case.
    pub fn is(&self, kind: &str, subtype: &str) -> bool {
        self.kind == kind && self.subtype == subtype
    }

    /// The value of a parameter; `name` in lower case.
    pub fn param(&self, name: &str) -> Option<&str> {
        param(&self.params, name)
    }
}

impl Disposition {
    /// The value of a parameter; `name` in lower case.
    pub fn param(&self, name: &str) -> Option<&str> {
        param(&self.params, name)
    }
}

fn param<'a>(params: &'a [(String, String)], name: &str) -> Option<&'a str> {
    params.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
}

/// What of a part is asked for (RFC 9051 §6.4.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Section {
    /// `BODY[]`, `BODY[1.2]`: the whole message, or the part's body.
    Body,
    /// `BODY[HEADER]`, `BODY[1.2.HEADER]`: the header of the message or of an enclosed message.
    Header,
    /// `BODY[TEXT]`, `BODY[1.2.TEXT]`: the text of the message or of an enclosed message.
    Text,
    /// `BODY[1.2.MIME]`: the part's own header.
    Mime,
}

impl Part {
    /// The range of a section of the message whose root this is; `None` where there is no such section, for
    /// which IMAP answers NIL.
    pub fn find(&self, path: &[u32], section: Section) -> Option<Range<u64>> {
        if path.is_empty() {
            return match section {
                Section::Body => Some(self.header.start..self.body.end),
                Section::Header => Some(self.header.clone()),
                Section::Text => Some(self.body.clone()),
                Section::Mime => None,
            };
        }
        let part = self.at(path)?;
        match (section, &part.content) {
            (Section::Body, _) => Some(part.body.clone()),
            (Section::Mime, _) => Some(part.header.clone()),
            // RFC 9051 §6.4.5: HEADER and TEXT of a part are those of the message/rfc822 in it.
            (Section::Header, Content::Message(message)) => Some(message.part.header.clone()),
            (Section::Text, Content::Message(message)) => Some(message.part.body.clone()),
            _ => None,
        }
    }

    /// The part with this number, in the message whose root this is.
    ///
    /// RFC 9051 §6.4.5: every message has at least one part number; the only part of a message that is not a
    /// multipart is 1, and the parts of an enclosed message are numbered below the part that encloses it.
    pub fn at(&self, path: &[u32]) -> Option<&Part> {
        let (first, rest) = path.split_first()?;
        let mut part = self.numbered(*first)?;
        for number in rest {
            part = match &part.content {
                Content::Multipart(children) => nth(children, *number)?,
                Content::Message(message) => message.part.numbered(*number)?,
                Content::Leaf => return None,
            };
        }
        Some(part)
    }

    /// Part `number` of the message whose root this is.
    fn numbered(&self, number: u32) -> Option<&Part> {
        match &self.content {
            Content::Multipart(children) => nth(children, number),
            _ => (number == 1).then_some(self),
        }
    }

    /// Calls `visit` for this part and all parts in it, in the order of the message, enclosed messages'
    /// parts included.
    pub fn walk<'a>(&'a self, visit: &mut dyn FnMut(&'a Part)) {
        visit(self);
        match &self.content {
            Content::Leaf => {}
            Content::Multipart(children) => children.iter().for_each(|child| child.walk(visit)),
            Content::Message(message) => message.part.walk(visit),
        }
    }

    /// Octets of the encoded body.
    pub fn size(&self) -> u64 {
        self.body.end - self.body.start
    }

    /// The charset the part declares.
    pub fn charset(&self) -> Option<&str> {
        self.content_type.param("charset")
    }

    /// The file name a client should offer: the disposition's, else the type's; encoded words, which do not
    /// belong in parameters but are common there, are decoded.
    pub fn filename(&self) -> Option<String> {
        let name = self.disposition.as_ref().and_then(|d| d.param("filename"));
        name.or_else(|| self.content_type.param("name")).map(|name| decode::words(name).into_owned())
    }
}

fn nth(parts: &[Part], number: u32) -> Option<&Part> {
    parts.get(usize::try_from(number).ok()?.checked_sub(1)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaf(header: Range<u64>, body: Range<u64>) -> Part {
        Part { header, body, ..Part::default() }
    }

    fn multipart(children: Vec<Part>) -> Part {
        Part { content: Content::Multipart(children), ..Part::default() }
    }

    fn enclosing(part: Part) -> Part {
        let message = NestedMessage { envelope: Envelope::default(), part };
        Part {
            header: 70..80,
            body: 80..100,
            content: Content::Message(Box::new(message)),
            ..Part::default()
        }
    }

    #[test]
    fn a_single_part_message_has_part_one() {
        let root = leaf(0..10, 10..20);
        assert_eq!(root.find(&[], Section::Body), Some(0..20));
        assert_eq!(root.find(&[], Section::Header), Some(0..10));
        assert_eq!(root.find(&[], Section::Text), Some(10..20));
        assert_eq!(root.find(&[], Section::Mime), None);
        assert_eq!(root.find(&[1], Section::Body), Some(10..20));
        assert_eq!(root.find(&[1], Section::Mime), Some(0..10));
        assert_eq!(root.find(&[1], Section::Header), None);
        assert_eq!(root.find(&[2], Section::Body), None);
        assert_eq!(root.find(&[0], Section::Body), None);
        assert_eq!(root.find(&[1, 1], Section::Body), None);
    }

    #[test]
    fn enclosed_messages_are_numbered_below_their_part() {
        let inner = multipart(vec![leaf(1..2, 2..3), leaf(3..4, 4..5)]);
        let root = multipart(vec![leaf(5..6, 6..7), enclosing(inner), enclosing(leaf(81..85, 85..99))]);
        assert_eq!(root.find(&[1], Section::Body), Some(6..7));
        assert_eq!(root.find(&[2], Section::Body), Some(80..100));
        assert_eq!(root.find(&[2, 2], Section::Body), Some(4..5));
        assert_eq!(root.find(&[2, 2], Section::Mime), Some(3..4));
        assert_eq!(root.find(&[3], Section::Header), Some(81..85));
        assert_eq!(root.find(&[3], Section::Text), Some(85..99));
        assert_eq!(root.find(&[3, 1], Section::Body), Some(85..99));
        assert_eq!(root.find(&[3, 1], Section::Mime), Some(81..85));
        assert_eq!(root.find(&[3, 2], Section::Body), None);
        assert_eq!(root.find(&[4], Section::Body), None);
    }

    #[test]
    fn a_message_that_is_a_message() {
        let root = enclosing(leaf(81..85, 85..99));
        assert_eq!(root.find(&[1], Section::Body), Some(80..100));
        assert_eq!(root.find(&[1], Section::Header), Some(81..85));
        assert_eq!(root.find(&[1, 1], Section::Body), Some(85..99));
    }

    #[test]
    fn encodings() {
        assert_eq!(Encoding::parse(" BASE64 (as always)"), Encoding::Base64);
        assert_eq!(Encoding::parse(""), Encoding::SevenBit);
        assert_eq!(Encoding::parse("x-UUencode").as_str(), "x-uuencode");
        assert!(Encoding::parse("8Bit").is_identity());
    }
}
