//! The fields of the index, and what a term of an exact field looks like.

use tantivy::schema::{
    FAST, Field, IndexRecordOption, NumericOptions, Schema, TextFieldIndexing, TextOptions,
};

use crate::sets::SECTION;

/// A part of a message that is searched by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Section {
    From,
    To,
    Cc,
    Bcc,
    Subject,
    /// All header lines.
    Header,
    Body,
    /// Names and texts of attachments, and what else no scan looks at.
    File,
    /// What `List-Id` says, as people read it.
    List,
    /// Values of the first five as they are written, where that is not as they are read: a scan looks at both, and
    /// nobody means words of an encoded one.
    Written,
    /// Attributes of HTML that are meant for people (RFC 8621 §4.4.1).
    Hint,
}

impl Section {
    pub(crate) const ALL: [Section; SECTIONS] = [
        Section::From,
        Section::To,
        Section::Cc,
        Section::Bcc,
        Section::Subject,
        Section::Header,
        Section::Body,
        Section::File,
        Section::List,
        Section::Written,
        Section::Hint,
    ];

    /// The letter before its grams of noise.
    pub(crate) fn letter(self) -> char {
        ['f', 't', 'c', 'b', 's', 'h', 'y', 'a', 'l', 'w', 'i'][self as usize]
    }

    /// Whether the number of words in it counts: where few words are, each says as much as in others.
    pub(crate) fn has_lengths(self) -> bool {
        matches!(self, Section::Subject | Section::Body | Section::File)
    }
}

/// How many sections there are.
pub(crate) const SECTIONS: usize = 11;

/// The sections in which words are looked for by relevance, and what a word in them counts.
pub(crate) const RANKED: [(Section, f32); 8] = [
    (Section::Subject, 3.0),
    (Section::From, 2.5),
    (Section::To, 1.5),
    (Section::Cc, 1.5),
    (Section::Bcc, 1.5),
    (Section::List, 1.0),
    (Section::Body, 1.0),
    (Section::File, 0.7),
];

const EXACT: [&str; SECTIONS] =
    ["from", "to", "cc", "bcc", "subject", "header", "body", "file", "list", "written", "hint"];

/// First characters of the terms of exact fields.
pub(crate) mod kind {
    /// A word.
    pub(crate) const WORD: char = 'w';
    /// Two characters of a dense run, or its last one.
    pub(crate) const PAIR: char = 'c';
    /// Marks.
    pub(crate) const MARK: char = 'p';
    /// A run that is no word: what it was is not in the term.
    pub(crate) const NOISE: &str = "n";
    /// A blank beside a dense run.
    pub(crate) const BLANK: &str = "s";
    /// A value begins.
    pub(crate) const VALUE: &str = "m";
    /// The value of the header field of this name begins.
    pub(crate) const NAMED: char = 'h';
    /// A header field has a name that can not be asked for by position.
    pub(crate) const ODD: &str = "o";
}

/// The fields.
#[derive(Debug, Clone)]
pub(crate) struct Fields {
    pub(crate) schema: Schema,
    pub(crate) account: Field,
    pub(crate) email: Field,
    pub(crate) language: Field,
    /// Trigrams of noise, of all sections but the body.
    pub(crate) noise: Field,
    /// Those of the body: in place of how often one is in a document there is what stands behind it ([`crate::noise`]).
    pub(crate) body_noise: Field,
    exact: [Field; SECTIONS],
}

/// The column of email ids.
pub(crate) const EMAIL: &str = "email";
/// The column of languages, as [`crate::analysis::Language::number`] says; 0 where it is not known.
pub(crate) const LANGUAGE: &str = "language";

impl Fields {
    pub(crate) fn new() -> Fields {
        let mut schema = Schema::builder();
        let text = |option, norms| {
            let indexing = TextFieldIndexing::default().set_index_option(option);
            TextOptions::default().set_indexing_options(indexing.set_fieldnorms(norms))
        };
        let account = schema.add_u64_field("account", NumericOptions::default().set_indexed());
        let email = schema.add_u64_field(EMAIL, FAST);
        let language = schema.add_u64_field(LANGUAGE, FAST);
        let noise = schema.add_text_field("noise", text(IndexRecordOption::Basic, false));
        let body_noise = schema.add_text_field("behind", text(IndexRecordOption::WithFreqs, false));
        let exact = Section::ALL.map(|section| {
            let option = text(IndexRecordOption::WithFreqsAndPositions, section.has_lengths());
            schema.add_text_field(EXACT[section as usize], option)
        });
        Fields { schema: schema.build(), account, email, language, noise, body_noise, exact }
    }

    pub(crate) fn exact(&self, section: Section) -> Field {
        self.exact[section as usize]
    }

    pub(crate) fn noise(&self, section: Section) -> Field {
        if section == SECTION { self.body_noise } else { self.noise }
    }
}

/// The term of marks.
pub(crate) fn mark_term(mark: char, count: usize, before: bool, after: bool) -> String {
    let around = u8::from(before) + 2 * u8::from(after);
    format!("{}{mark}{around}{count}", kind::MARK)
}

/// What [`mark_term`] said of count, blank before, blank behind.
pub(crate) fn read_mark(term: &str) -> Option<(usize, bool, bool)> {
    let mut chars = term.chars();
    chars.next().filter(|c| *c == kind::MARK)?;
    chars.next()?;
    let around = chars.next()?.to_digit(10)?;
    Some((chars.as_str().parse().ok()?, around & 1 != 0, around & 2 != 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_can_be_read_back() {
        for (mark, count, before, after) in
            [('.', 1, false, true), ('-', 72, true, true), ('1', 3, true, false)]
        {
            let term = mark_term(mark, count, before, after);
            assert_eq!(read_mark(&term), Some((count, before, after)), "{term}");
        }
        assert_eq!(read_mark("wabc"), None);
    }
}
