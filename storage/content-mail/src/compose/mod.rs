//! Messages that a client has composed: header fields from what they are to say, MIME from a tree of parts.
//!
//! A message comes out in pieces: octets, and places where a stored body belongs, so that an attachment is never in memory
//! as a whole. Whatever is given, lines are no longer than RFC 5322 §2.1.1 allows, all is ASCII that can be, and no value
//! begins a field or ends a part.

mod body;
mod field;
mod parameter;
mod words;

pub use body::{Facts, Transfer};
pub use field::{Entry, Person, addresses, date, ids, raw, text, urls};

use crate::{ContentType, Disposition, Encoding};
use field::Lines;

/// A part to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewPart {
    /// Its type. A boundary is not among its parameters, nor the charset of a text that is given.
    pub content_type: ContentType,
    /// Its disposition.
    pub disposition: Option<Disposition>,
    /// Content-ID, without its angle brackets.
    pub id: Option<String>,
    /// Content-Language.
    pub language: Vec<String>,
    /// Content-Location.
    pub location: Option<String>,
    /// Further fields, written by the functions of this module.
    pub fields: Vec<String>,
    /// What is in it.
    pub content: NewContent,
}

/// What is in a part that is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NewContent {
    /// Parts, at least one.
    Multipart(Vec<NewPart>),
    /// A text, with line ends of any kind.
    Text(String),
    /// A body that is stored elsewhere.
    Stored {
        /// By which number the caller knows it.
        number: usize,
        /// What was seen of it, where it is a text or a message.
        facts: Facts,
    },
}

impl NewPart {
    /// A part that is nothing but this.
    pub fn new(content_type: ContentType, content: NewContent) -> Self {
        NewPart {
            content_type,
            disposition: None,
            id: None,
            language: Vec::new(),
            location: None,
            fields: Vec::new(),
            content,
        }
    }
}

/// A piece of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// These octets.
    Octets(Vec<u8>),
    /// The stored body of this number, encoded so (see [`Transfer`]).
    Stored {
        /// By which number the caller knows it.
        number: usize,
        /// How it is encoded.
        encoding: Encoding,
    },
}

/// The message: fields as the functions of this module write them, and the body. Each call of `boundary` gives another
/// text of at most 70 letters, digits and underscores, which nobody can guess.
pub fn compose(fields: &[String], root: &NewPart, boundary: &mut dyn FnMut() -> String) -> Vec<Piece> {
    let mut writer = Writer { pieces: Vec::new(), open: Vec::new(), boundary };
    for field in fields {
        writer.push(field.as_bytes());
    }
    writer.push(b"MIME-Version: 1.0\r\n");
    writer.part(root);
    writer.flush();
    writer.pieces
}

struct Writer<'a> {
    pieces: Vec<Piece>,
    open: Vec<u8>,
    boundary: &'a mut dyn FnMut() -> String,
}

impl Writer<'_> {
    fn push(&mut self, octets: &[u8]) {
        self.open.extend_from_slice(octets);
    }

    fn flush(&mut self) {
        if !self.open.is_empty() {
            self.pieces.push(Piece::Octets(std::mem::take(&mut self.open)));
        }
    }

    fn part(&mut self, part: &NewPart) {
        let mut kind = part.content_type.clone();
        match &part.content {
            NewContent::Multipart(parts) => {
                // RFC 2045 §6.7: "=_" is in nothing that is encoded.
                let boundary = format!("=_{}", (self.boundary)());
                kind.params.push(("boundary".to_owned(), boundary.clone()));
                // RFC 2045 §6.4: what is within says how it is encoded, a multipart does not encode it again.
                self.header(part, &kind, None);
                self.multipart(parts, &boundary);
            }
            NewContent::Text(text) => {
                kind.params.push(("charset".to_owned(), "utf-8".to_owned()));
                let (encoding, octets) = body::encode(text);
                self.header(part, &kind, Some(&encoding));
                self.push(&octets);
            }
            NewContent::Stored { number, facts } => {
                let encoding = facts.encoding_of(&kind);
                self.header(part, &kind, Some(&encoding));
                self.flush();
                self.pieces.push(Piece::Stored { number: *number, encoding });
            }
        }
    }

    fn multipart(&mut self, parts: &[NewPart], boundary: &str) {
        for part in parts {
            self.push(format!("\r\n--{boundary}\r\n").as_bytes());
            self.part(part);
        }
        self.push(format!("\r\n--{boundary}--\r\n").as_bytes());
    }

    fn header(&mut self, part: &NewPart, kind: &ContentType, encoding: Option<&Encoding>) {
        let mut header = structured("Content-Type", &format!("{}/{}", kind.kind, kind.subtype), &kind.params);
        if let Some(disposition) = &part.disposition {
            header += &structured("Content-Disposition", &disposition.kind, &disposition.params);
        }
        if let Some(id) = &part.id {
            header += &ids("Content-ID", std::slice::from_ref(id));
        }
        if !part.language.is_empty() {
            header += &text("Content-Language", &part.language.join(", "));
        }
        if let Some(location) = &part.location {
            header += &text("Content-Location", location);
        }
        part.fields.iter().for_each(|field| header += field);
        if let Some(encoding) = encoding {
            header += &format!("Content-Transfer-Encoding: {}\r\n", encoding.as_str());
        }
        self.push(header.as_bytes());
        self.push(b"\r\n");
    }
}

/// A field with parameters.
fn structured(name: &str, value: &str, params: &[(String, String)]) -> String {
    let pieces: Vec<String> =
        params.iter().flat_map(|(name, value)| parameter::pieces(name, value)).collect();
    let mut lines = Lines::begin(name);
    let mut rest = std::iter::once(value).chain(pieces.iter().map(String::as_str)).peekable();
    while let Some(piece) = rest.next() {
        let end = if rest.peek().is_some() { ";" } else { "" };
        lines.piece(&format!("{piece}{end}"));
    }
    lines.end()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Content, Limits, summarize};

    fn text_part(kind: &str, text: &str) -> NewPart {
        NewPart::new(ContentType::new("text", kind), NewContent::Text(text.to_owned()))
    }

    fn written(fields: &[String], root: &NewPart, stored: &[&[u8]]) -> Vec<u8> {
        let mut count = 0;
        let mut boundary = || {
            count += 1;
            format!("boundary_{count}")
        };
        let mut out = Vec::new();
        for piece in compose(fields, root, &mut boundary) {
            match piece {
                Piece::Octets(octets) => out.extend(octets),
                Piece::Stored { number, encoding } => {
                    let mut transfer = Transfer::new(&encoding);
                    stored[number].chunks(7).for_each(|chunk| transfer.push(chunk, &mut out));
                    transfer.finish(&mut out);
                }
            }
        }
        out
    }

    #[test]
    fn a_text_is_a_message() {
        let fields = [text("Subject", "Hi")];
        let out = written(&fields, &text_part("plain", "a\nb"), &[]);
        let text = "Subject: Hi\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\
                    Content-Transfer-Encoding: 7bit\r\n\r\na\r\nb";
        assert_eq!(String::from_utf8(out).unwrap(), text);
    }

    #[test]
    fn a_tree_is_read_back() {
        let message: &[u8] = b"Subject: within\r\n\r\n\xc3\xa4\r\n";
        let data: &[u8] = &[0, 255, 13, 10, 46, 10, 61];
        let mut facts = Facts::default();
        facts.push(message);
        let mut attached = NewPart::new(
            ContentType::new("application", "pdf"),
            NewContent::Stored { number: 0, facts: Facts::default() },
        );
        let params = vec![(
            "filename".to_owned(),
            "R\u{e9}sum\u{e9} of a very long year, in many words and more.pdf".repeat(2),
        )];
        attached.disposition = Some(Disposition { kind: "attachment".into(), params: params.clone() });
        attached.id = Some("part@x".into());
        attached.language = vec!["de".into(), "en".into()];
        let within =
            NewPart::new(ContentType::new("message", "rfc822"), NewContent::Stored { number: 1, facts });
        let alternative = NewPart::new(
            ContentType::new("multipart", "alternative"),
            NewContent::Multipart(vec![text_part("plain", "h\u{e9}"), text_part("html", "<b>h\u{e9}</b>")]),
        );
        let root = NewPart::new(
            ContentType::new("multipart", "mixed"),
            NewContent::Multipart(vec![alternative, attached, within]),
        );
        let out = written(&[], &root, &[data, message]);
        assert!(out.split(|b| *b == b'\n').all(|line| line.len() <= 79), "{}", String::from_utf8_lossy(&out));
        let summary = summarize(&out, &Limits::default());
        let Content::Multipart(parts) = &summary.structure.content else { panic!("a multipart") };
        let [alternative, attached, within] = parts.as_slice() else { panic!("three parts") };
        let body = |part: &crate::Part| {
            let range = part.body.start as usize..part.body.end as usize;
            crate::decode::transfer(&part.encoding, &out[range]).into_owned()
        };
        let Content::Multipart(texts) = &alternative.content else { panic!("a multipart") };
        assert_eq!(body(&texts[0]), "h\u{e9}".as_bytes());
        assert_eq!(body(attached), data);
        assert_eq!(attached.disposition.as_ref().map(|one| one.params.clone()), Some(params));
        assert_eq!(attached.id.as_deref(), Some("<part@x>"));
        assert_eq!(attached.language, ["de", "en"]);
        assert_eq!(body(within), message);
        assert_eq!(within.encoding, Encoding::EightBit);
    }
}
