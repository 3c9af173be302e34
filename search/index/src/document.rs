//! A message as the index takes it: the texts that a scan would look at, and words of them for relevance.

use std::borrow::Cow;
use std::collections::HashSet;

use content_mail::{Part, Summary, decode, fold, headers};
use query::{Field, decoded, haystack};
use schema::{AccountId, EmailId};
use tantivy::TantivyDocument;

use crate::analysis::{Language, Stream, Unit, bare, is_noise, pairs, plain, units, words};
use crate::fields::{Fields, Rank, Section, key, kind, mark_term};
use crate::grams::{Gram, grams};

/// Bytes of the name of a header field that can be asked for.
const NAME_MAX: usize = 256;

/// A message to be indexed.
#[derive(Debug)]
pub struct Document {
    account: AccountId,
    email: EmailId,
    exact: [Exact; 8],
    noise: HashSet<(char, Gram)>,
    /// Texts by their place in the ranked fields.
    ranked: Vec<(Rank, String)>,
}

/// The tokens of an exact field.
#[derive(Debug, Default)]
struct Exact {
    stream: Stream,
    position: usize,
}

impl Document {
    /// A message without any text yet.
    pub fn new(account: AccountId, email: EmailId) -> Document {
        let exact = std::array::from_fn(|_| Exact::default());
        Document { account, email, exact, noise: HashSet::new(), ranked: Vec::new() }
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
        decode::each_text(searched, &summary.structure, &mut |text| {
            document.add_body(text);
            true
        });
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
            self.exact(Section::File, &fold(value), None);
            self.ranked.push((Rank::File, value.to_owned()));
        }
    }

    fn add_envelope(&mut self, summary: &Summary) {
        let fields = [
            (Field::From, Section::From, Rank::From),
            (Field::To, Section::To, Rank::To),
            (Field::Cc, Section::Cc, Rank::To),
            (Field::Bcc, Section::Bcc, Rank::To),
            (Field::Subject, Section::Subject, Rank::Subject),
        ];
        for (field, section, rank) in fields {
            haystack::of_envelope(&summary.envelope, &field, &mut |text| {
                let read = decoded(text);
                self.both(section, &read, text, None);
                self.ranked.push((rank, read.into_owned()));
                true
            });
        }
    }

    /// As people read it, and as it is written where that differs: a scan looks at both.
    fn both(&mut self, section: Section, read: &str, written: &str, named: Option<&Named>) {
        let folded = fold(read);
        self.exact(section, &folded, named);
        let other = fold(written);
        if other != folded {
            self.exact(section, &other, named);
        }
    }

    fn add_header(&mut self, field: &headers::Field<'_>) {
        let line = haystack::line(field);
        let named = Named::of(field);
        if named.is_none() {
            self.exact[Section::Header as usize].push(kind::ODD, 0);
        }
        self.both(Section::Header, &decoded(&line), &line, named.as_ref());
        if field.is("list-id") {
            self.ranked.push((Rank::List, decoded(&field.text()).into_owned()));
        }
    }

    fn add_body(&mut self, text: &str) {
        self.exact(Section::Body, &fold(text), None);
        self.ranked.push((Rank::Body, text.to_owned()));
    }

    /// Adds a value of folded text: its units at positions without a gap, and a gap to the next value.
    fn exact(&mut self, section: Section, folded: &str, named: Option<&Named>) {
        let Document { exact, noise, .. } = self;
        let field = &mut exact[section as usize];
        let value_at = named.map(|named| (field.position + named.units, named.term.as_str()));
        field.push(kind::VALUE, 0);
        let mut term = String::new();
        for unit in units(folded) {
            if let Some((_, name)) = value_at.filter(|(at, _)| *at == field.position) {
                field.push(name, 0);
            }
            match unit {
                Unit::Word(word) if is_noise(word) => {
                    noise.extend(grams(word).map(|gram| (section.letter(), gram)));
                    field.push(kind::NOISE, 1);
                }
                Unit::Word(word) => field.push(with(&mut term, kind::WORD, word), 1),
                Unit::Dense(run) => pairs(run, &mut |pair| field.push(with(&mut term, kind::PAIR, pair), 1)),
                Unit::Mark { mark, count, before, after } => {
                    field.push(&mark_term(mark, count, before, after), 1);
                }
                Unit::Blank => field.push(kind::BLANK, 1),
            }
        }
        if let Some((_, name)) = value_at.filter(|(at, _)| *at == field.position) {
            field.push(name, 0);
        }
        field.position += 1;
    }

    /// What Tantivy takes.
    pub(crate) fn into_tantivy(self, fields: &Fields) -> Result<TantivyDocument, tantivy::TantivyError> {
        let mut out = TantivyDocument::default();
        out.add_u64(fields.account, u64::from(self.account.0));
        out.add_u64(fields.email()?, self.email.0);
        out.add_bytes(fields.key, &key(self.account.0, self.email.0));
        let language = self.language();
        if let Some(language) = language {
            let mut stream = Stream::default();
            stream.push(0, language.code());
            out.add_text(fields.language, stream.into_text());
        }
        let mut noise = Stream::default();
        for (letter, gram) in &self.noise {
            noise.push(0, &gram.term(*letter));
        }
        out.add_text(fields.noise, noise.into_text());
        add_ranked(&mut out, fields, &self.ranked, language);
        drop(self.ranked);
        for (section, exact) in Section::ALL.into_iter().zip(self.exact) {
            if !exact.stream.is_empty() {
                out.add_text(fields.exact(section), exact.stream.into_text());
            }
        }
        Ok(out)
    }

    /// The language of the first text of the body, of the subject where that does not tell.
    fn language(&self) -> Option<Language> {
        let of = |rank| self.ranked.iter().find(|(r, _)| *r == rank).and_then(|(_, text)| Language::of(text));
        of(Rank::Body).or_else(|| of(Rank::Subject))
    }
}

impl Exact {
    /// Puts a term at the position, which then moves on.
    fn push(&mut self, term: &str, step: usize) {
        self.stream.push(self.position, term);
        self.position += step;
    }
}

/// The name of a header field: its term, and how many positions it takes before the value.
#[derive(Debug)]
struct Named {
    term: String,
    units: usize,
}

impl Named {
    /// None for a name whose value does not begin where the name ends, in a line that is decoded.
    fn of(field: &headers::Field<'_>) -> Option<Named> {
        let name =
            std::str::from_utf8(field.name).ok().filter(|n| n.len() <= NAME_MAX && !n.contains("=?"))?;
        Some(Named { term: named_term(name), units: positions(&fold(&format!("{name}: "))) })
    }
}

/// The term at the beginning of values of the header field.
pub(crate) fn named_term(name: &str) -> String {
    format!("{}{}", kind::NAMED, name.to_ascii_lowercase())
}

fn positions(folded: &str) -> usize {
    let of = |unit| if let Unit::Dense(run) = unit { run.chars().count() } else { 1 };
    units(folded).map(of).sum()
}

fn with<'a>(buffer: &'a mut String, kind: char, text: &str) -> &'a str {
    buffer.clear();
    buffer.push(kind);
    buffer.push_str(text);
    buffer
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

fn add_ranked(
    out: &mut TantivyDocument,
    fields: &Fields,
    texts: &[(Rank, String)],
    language: Option<Language>,
) {
    let stemmer = language.map(Language::stemmer);
    for rank in [Rank::Subject, Rank::From, Rank::To, Rank::List, Rank::Body, Rank::File] {
        let mut stream = Stream::default();
        let mut position = 0;
        for (_, text) in texts.iter().filter(|(r, _)| *r == rank) {
            let plain = plain(text);
            words(&plain, &mut |word, stems| {
                position += 1;
                if language.is_some_and(|language| language.is_stop_word(word)) {
                    return;
                }
                let stem = match &stemmer {
                    Some(stemmer) if stems => stemmer.stem(word),
                    _ => Cow::Borrowed(word),
                };
                stream.push(position, &bare(&stem));
            });
        }
        if !stream.is_empty() {
            out.add_text(fields.ranked(rank), stream.into_text());
        }
    }
}
