//! The fields of the index, and what a term of an exact field looks like.

use tantivy::Index;
use tantivy::schema::{
    FAST, Field, INDEXED, IndexRecordOption, NumericOptions, Schema, TextFieldIndexing, TextOptions,
};
use tantivy::tokenizer::{TextAnalyzer, TokenizerManager};

use crate::analysis::{READY, Ready};

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
    /// Names and texts of attachments.
    File,
}

impl Section {
    pub(crate) const ALL: [Section; 8] = [
        Section::From,
        Section::To,
        Section::Cc,
        Section::Bcc,
        Section::Subject,
        Section::Header,
        Section::Body,
        Section::File,
    ];

    /// The letter before its grams of noise.
    pub(crate) fn letter(self) -> char {
        ['f', 't', 'c', 'b', 's', 'h', 'y', 'a'][self as usize]
    }
}

/// A ranked field and what a word in it counts.
pub(crate) const RANKED: [(&str, f32); 6] = [
    ("rank_subject", 3.0),
    ("rank_from", 2.5),
    ("rank_to", 1.5),
    ("rank_list", 1.0),
    ("rank_body", 1.0),
    ("rank_file", 0.7),
];

/// Places in [`RANKED`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rank {
    Subject,
    From,
    To,
    List,
    Body,
    File,
}

const EXACT: [&str; 8] = ["from", "to", "cc", "bcc", "subject", "header", "body", "file"];

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
    /// Account and email: what a document is deleted by.
    pub(crate) key: Field,
    pub(crate) language: Field,
    /// Trigrams of noise.
    pub(crate) noise: Field,
    exact: [Field; 8],
    ranked: [Field; 6],
}

/// The column of email ids.
pub(crate) const EMAIL: &str = "email";

impl Fields {
    pub(crate) fn new() -> Fields {
        let mut schema = Schema::builder();
        let text = |option, norms| {
            let indexing = TextFieldIndexing::default().set_tokenizer(READY).set_index_option(option);
            TextOptions::default().set_indexing_options(indexing.set_fieldnorms(norms))
        };
        let account = schema.add_u64_field("account", NumericOptions::default() | INDEXED);
        schema.add_u64_field(EMAIL, FAST);
        let key = schema.add_bytes_field("key", INDEXED);
        let language = schema.add_text_field("language", text(IndexRecordOption::Basic, false));
        let noise = schema.add_text_field("noise", text(IndexRecordOption::Basic, false));
        let exact = EXACT
            .map(|name| schema.add_text_field(name, text(IndexRecordOption::WithFreqsAndPositions, false)));
        let ranked =
            RANKED.map(|(name, _)| schema.add_text_field(name, text(IndexRecordOption::WithFreqs, true)));
        Fields { schema: schema.build(), account, key, language, noise, exact, ranked }
    }

    pub(crate) fn exact(&self, section: Section) -> Field {
        self.exact[section as usize]
    }

    pub(crate) fn ranked(&self, rank: Rank) -> Field {
        self.ranked[rank as usize]
    }

    /// All ranked fields with what a word in them counts.
    pub(crate) fn boosts(&self) -> impl Iterator<Item = (Field, f32)> + '_ {
        self.ranked.iter().zip(RANKED).map(|(field, (_, boost))| (*field, boost))
    }

    pub(crate) fn email(&self) -> Result<Field, tantivy::TantivyError> {
        self.schema.get_field(EMAIL)
    }
}

/// The one tokenizer of ours: tokens are made before Tantivy sees them.
pub(crate) fn tokenizers() -> TokenizerManager {
    // Numbers are said to have the "default" one.
    let manager = TokenizerManager::default();
    manager.register(READY, TextAnalyzer::from(Ready));
    manager
}

/// Gives an opened index the tokenizer.
pub(crate) fn with_tokenizers(mut index: Index) -> Index {
    index.set_tokenizers(tokenizers());
    index
}

/// The bytes by which a message is known in the index.
pub(crate) fn key(account: u32, email: u64) -> [u8; 12] {
    let mut out = [0; 12];
    out[..4].copy_from_slice(&account.to_be_bytes());
    out[4..].copy_from_slice(&email.to_be_bytes());
    out
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

    #[test]
    fn keys_sort_by_account() {
        assert!(key(1, u64::MAX) < key(2, 0));
    }
}
