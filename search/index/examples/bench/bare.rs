//! Tantivy without what is ours: one field of words with positions, its own tokenizer, the same thread.

use std::time::Duration;

use tantivy::collector::Count;
use tantivy::directory::RamDirectory;
use tantivy::indexer::merge_indices;
use tantivy::query::{PhraseQuery, Query, TermQuery};
use tantivy::schema::{Field, INDEXED, IndexRecordOption, Schema, TEXT};
use tantivy::{Index, Searcher, SingleSegmentIndexWriter, TantivyDocument, Term};

use crate::{SEGMENT, cpu};

/// Takes texts.
pub(crate) struct Bare {
    text: Field,
    key: Field,
    schema: Schema,
    open: Option<SingleSegmentIndexWriter>,
    documents: usize,
    done: Vec<Index>,
    pub(crate) adding: Duration,
    pub(crate) merging: Duration,
}

impl Bare {
    pub(crate) fn new() -> Bare {
        let mut schema = Schema::builder();
        let text = schema.add_text_field("text", TEXT);
        let key = schema.add_u64_field("key", INDEXED);
        let schema = schema.build();
        Bare {
            text,
            key,
            schema,
            open: None,
            documents: 0,
            done: Vec::new(),
            adding: Duration::ZERO,
            merging: Duration::ZERO,
        }
    }

    pub(crate) fn add(&mut self, text: &str) {
        let begin = cpu();
        let writer = self.open.get_or_insert_with(|| {
            let builder = Index::builder().schema(self.schema.clone());
            builder.single_segment_index_writer(RamDirectory::create(), 64 << 20).unwrap()
        });
        let mut document = TantivyDocument::default();
        document.add_text(self.text, text);
        document.add_u64(self.key, self.documents as u64);
        writer.add_document(document).unwrap();
        self.documents += 1;
        if self.documents.is_multiple_of(SEGMENT) {
            self.close();
        }
        self.adding += cpu() - begin;
    }

    fn close(&mut self) {
        self.done.extend(self.open.take().map(|writer| writer.finalize().unwrap()));
    }

    /// One segment of all, and its bytes.
    pub(crate) fn finish(mut self) -> (Searched, Duration, u64) {
        let begin = cpu();
        self.close();
        self.adding += cpu() - begin;
        let begin = cpu();
        let directory = RamDirectory::create();
        let index = merge_indices(&self.done, directory.clone()).unwrap();
        self.merging = cpu() - begin;
        let searcher = index.reader().unwrap().searcher();
        let bytes = directory.total_mem_usage() as u64;
        (Searched { text: self.text, searcher, merging: self.merging }, self.adding, bytes)
    }
}

/// An index to be asked.
pub(crate) struct Searched {
    text: Field,
    searcher: Searcher,
    pub(crate) merging: Duration,
}

impl Searched {
    /// How many messages have the words.
    pub(crate) fn count(&self, needle: &str) -> usize {
        let terms: Vec<Term> =
            needle.split(' ').map(|word| Term::from_field_text(self.text, &word.to_lowercase())).collect();
        let query: Box<dyn Query> = match terms.as_slice() {
            [term] => Box::new(TermQuery::new(term.clone(), IndexRecordOption::Basic)),
            _ => Box::new(PhraseQuery::new(terms)),
        };
        self.searcher.search(&query, &Count).unwrap()
    }
}
