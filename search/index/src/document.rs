//! A message as the index takes it: the texts that a scan would look at, folded.

use content_mail::decode::Shown;
use content_mail::{Part, Summary, decode, fold, headers};
use query::{Field, decoded, haystack};
use schema::{AccountId, EmailId};

use crate::analysis::{Language, has_half_marks, plain, units};
use crate::fields::{Section, kind};

/// Bytes of the name of a header field that can be asked for.
const NAME_MAX: usize = 256;

/// A message to be indexed.
#[derive(Debug)]
pub struct Document {
    pub(crate) account: AccountId,
    pub(crate) email: EmailId,
    pub(crate) values: Vec<Value>,
    /// That of the first text of the body; before one came, that of the subject.
    pub(crate) language: Option<Language>,
    has_body: bool,
}

/// A text of which no match reaches into the next.
#[derive(Debug)]
pub(crate) struct Value {
    pub(crate) section: Section,
    pub(crate) folded: String,
    pub(crate) name: Name,
}

/// What is known of the header field that a value is of.
#[derive(Debug, Clone)]
pub(crate) enum Name {
    /// It is of none, or nobody asks for it.
    None,
    /// The value begins behind so many units with this term.
    Term(String, usize),
    /// It can not be asked for by position.
    Odd,
}

impl Document {
    /// A message without any text yet.
    pub fn new(account: AccountId, email: EmailId) -> Document {
        Document { account, email, values: Vec::new(), language: None, has_body: false }
    }

    /// A message with its header, its texts and the names of its attachments; `message` is the whole of it.
    pub fn of_message(account: AccountId, email: EmailId, summary: &Summary, message: &[u8]) -> Document {
        let mut document = Document::new(account, email);
        document.add_envelope(summary);
        let header = &message[..cut(message, summary.header_size.min(haystack::HEADER))];
        for field in headers::fields(header) {
            document.add_header(&field);
        }
        let searched = &message[..cut(message, haystack::BODY)];
        decode::each_shown(searched, &summary.structure, &mut |shown| {
            match shown {
                Shown::Text(text) => document.add_body(text),
                Shown::Hint(hint) => {
                    document.read(Section::Hint, hint);
                }
            }
            true
        });
        if !document.has_body {
            document.language = summary.envelope.subject.as_deref().and_then(|s| Language::of(&decoded(s)));
        }
        summary.structure.walk(&mut |part| {
            if let Some(name) = file_name(part) {
                document.add_file(&decoded(name), "");
            }
        });
        document
    }

    /// Adds the text of an attachment, which no scan looks at; of several it is one.
    pub fn add_file(&mut self, name: &str, text: &str) {
        for value in [name, text].into_iter().filter(|value| !value.is_empty()) {
            self.read(Section::File, value);
        }
    }

    fn add_envelope(&mut self, summary: &Summary) {
        let fields = [
            (Field::From, Section::From),
            (Field::To, Section::To),
            (Field::Cc, Section::Cc),
            (Field::Bcc, Section::Bcc),
            (Field::Subject, Section::Subject),
        ];
        for (field, section) in fields {
            haystack::of_envelope(&summary.envelope, &field, &mut |text| {
                let read = decoded(text);
                let folded = self.read(section, &read);
                // As people read it, and as it is written where that differs: a scan looks at both.
                let written = (read != text).then(|| fold(text)).filter(|written| written != folded);
                if let Some(folded) = written {
                    let name = Name::Term(written_term(section), 0);
                    self.values.push(Value { section: Section::Written, folded, name });
                }
                true
            });
        }
    }

    fn add_header(&mut self, field: &headers::Field<'_>) {
        let line = haystack::line(field);
        let name = Name::of(field);
        let read = decoded(&line);
        let folded = fold(&read);
        let written = (read != line).then(|| fold(&line)).filter(|written| *written != folded);
        if let Some(folded) = written {
            self.values.push(Value { section: Section::Header, folded, name: name.clone() });
        }
        self.values.push(Value { section: Section::Header, folded, name });
        if field.is("list-id") {
            self.read(Section::List, &decoded(&field.text()));
        }
    }

    fn add_body(&mut self, text: &str) {
        let is_first = !std::mem::replace(&mut self.has_body, true);
        let folded = self.read(Section::Body, text);
        if is_first {
            self.language = Language::of_folded(folded);
        }
    }

    /// Adds a text that people read.
    fn read(&mut self, section: Section, text: &str) -> &str {
        if has_half_marks(text) {
            // Characters of half width with marks of their own are pairs of others when they are of full width.
            let folded = fold(&plain(text));
            self.values.push(Value { section: Section::File, folded, name: Name::None });
        }
        self.values.push(Value { section, folded: fold(text), name: Name::None });
        self.values.last().map_or("", |value| value.folded.as_str())
    }
}

impl Name {
    /// That of a line. Odd is one whose value does not begin where the name ends, in a line that is decoded.
    fn of(field: &headers::Field<'_>) -> Name {
        let name = std::str::from_utf8(field.name).ok().filter(|n| n.len() <= NAME_MAX && !n.contains("=?"));
        let Some(name) = name else { return Name::Odd };
        Name::Term(named_term(name), units(&fold(&format!("{name}: "))).count())
    }
}

/// The term at the beginning of values of the header field.
pub(crate) fn named_term(name: &str) -> String {
    format!("{}{}", kind::NAMED, name.to_ascii_lowercase())
}

/// The term at the beginning of values as they are written.
pub(crate) fn written_term(section: Section) -> String {
    [kind::NAMED, section.letter()].iter().collect()
}

fn cut(message: &[u8], most: u64) -> usize {
    usize::try_from(most).map_or(message.len(), |most| most.min(message.len()))
}

fn file_name(part: &Part) -> Option<&str> {
    let of =
        |params: &'_ [(String, String)], wanted: &str| params.iter().position(|(name, _)| name == wanted);
    let disposition = part.disposition.as_ref().map_or(&[][..], |d| &d.params);
    if let Some(at) = of(disposition, "filename") {
        return Some(&disposition[at].1);
    }
    of(&part.content_type.params, "name").map(|at| part.content_type.params[at].1.as_str())
}
