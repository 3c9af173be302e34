//! Documents become the files of a segment, in memory and on the caller's thread.

use std::collections::BTreeMap;
use std::path::Path;

use tantivy::directory::{CompositeFile, Directory, FileSlice, RamDirectory, TerminatingWrite};
use tantivy::fastfield::FastFieldsWriter;
use tantivy::fieldnorm::{FieldNormReader, FieldNormsSerializer};
use tantivy::index::{Segment, SegmentComponent};
use tantivy::postings::InvertedIndexSerializer;
use tantivy::schema::{Field, Schema};
use tantivy::store::StoreWriter;
use tantivy::tokenizer::TokenizerManager;
use tantivy::{DocId, Index, IndexSettings, SegmentReader, TantivyDocument};

use crate::analysis::Language;
use crate::fields::{Fields, SECTIONS, Section};
use crate::invert::Row;
use crate::noise::Noise;
use crate::reader::lists_of;
use crate::{Document, Error, SegmentEntry, forms, grams, letters, neighbours, sets};

/// Takes documents, gives one segment.
pub struct Builder {
    fields: Fields,
    rows: Box<[Row; SECTIONS]>,
    /// Words of each document, for the sections in which their number counts.
    lengths: [Vec<u8>; SECTIONS],
    /// Words of all documents.
    words: [u64; SECTIONS],
    noise: Box<Noise>,
    accounts: BTreeMap<u32, Vec<DocId>>,
    /// Email and language of each document.
    documents: Vec<(u64, u64)>,
}

/// A segment that was just built.
#[derive(Debug)]
pub struct Built {
    /// Its entry in the manifest.
    pub entry: SegmentEntry,
    /// Names and bytes of its files.
    pub files: Vec<(String, Vec<u8>)>,
}

impl Builder {
    /// Without any document.
    ///
    /// # Errors
    /// None now.
    pub fn new() -> Result<Builder, Error> {
        Ok(Builder {
            fields: Fields::new(),
            rows: Box::new(Section::ALL.map(Row::new)),
            lengths: std::array::from_fn(|_| Vec::new()),
            words: [0; SECTIONS],
            noise: Box::default(),
            accounts: BTreeMap::new(),
            documents: Vec::new(),
        })
    }

    /// Adds a document. One that is there already stays: delete it first.
    ///
    /// # Errors
    /// None now.
    pub fn add(&mut self, document: Document) -> Result<(), Error> {
        let doc = self.documents();
        let mut words = [0; SECTIONS];
        for value in document.values {
            let section = value.section as usize;
            words[section] += self.rows[section].add(doc, &value, &mut self.noise);
        }
        for (section, words) in Section::ALL.into_iter().zip(words) {
            self.words[section as usize] += u64::from(words);
            if section.has_lengths() {
                self.lengths[section as usize].push(FieldNormReader::fieldnorm_to_id(words));
            }
        }
        self.accounts.entry(document.account.0).or_default().push(doc);
        self.documents.push((document.email.0, document.language.map_or(0, Language::number)));
        Ok(())
    }

    /// Documents added.
    pub fn documents(&self) -> u32 {
        u32::try_from(self.documents.len()).unwrap_or(u32::MAX)
    }

    /// Bytes of memory that the documents take, and take when the files are made.
    pub fn memory(&self) -> usize {
        self.rows.iter().map(Row::memory).sum::<usize>() + self.noise.memory()
    }

    /// The segment; nothing without documents.
    ///
    /// # Errors
    /// What Tantivy says.
    pub fn finish(self) -> Result<Option<Built>, Error> {
        if self.documents.is_empty() {
            return Ok(None);
        }
        let (directory, fields, documents) = (RamDirectory::create(), self.fields.clone(), self.documents());
        let index = Index::create(directory.clone(), fields.schema.clone(), settings())?;
        let segment = index.new_segment();
        self.write(&segment)?;
        built(&segment.with_max_doc(documents), &directory, &fields).map(Some)
    }

    fn write(self, segment: &Segment) -> Result<(), Error> {
        self.write_columns(segment)?;
        self.write_lengths(segment)?;
        let fields = &self.fields;
        let mut out = InvertedIndexSerializer::open(segment)?;
        self.write_accounts(&mut out)?;
        self.noise.write(fields, &mut out)?;
        for (section, row) in Section::ALL.into_iter().zip(*self.rows) {
            if !row.is_empty() {
                let mut field = out.new_field(fields.exact(section), self.words[section as usize], None)?;
                row.write(&mut field)?;
                field.close()?;
            }
        }
        out.close()?;
        Ok(())
    }

    fn write_accounts(&self, out: &mut InvertedIndexSerializer) -> Result<(), Error> {
        let mut field = out.new_field(self.fields.account, 0, None)?;
        for (account, docs) in &self.accounts {
            field.new_term(&u64::from(*account).to_be_bytes(), 0, false)?;
            docs.iter().for_each(|doc| field.write_doc(*doc, 1, &[]));
            field.close_term()?;
        }
        field.close()?;
        Ok(())
    }

    fn write_lengths(&self, segment: &Segment) -> Result<(), Error> {
        let mut out = FieldNormsSerializer::from_write(open(segment, SegmentComponent::FieldNorms)?)?;
        for section in Section::ALL.into_iter().filter(|section| section.has_lengths()) {
            out.serialize_field(self.fields.exact(section), &self.lengths[section as usize])?;
        }
        out.close()?;
        Ok(())
    }

    /// Emails and languages, and the texts of documents, which are empty.
    fn write_columns(&self, segment: &Segment) -> Result<(), Error> {
        let schema: Schema = segment.schema();
        let mut columns =
            FastFieldsWriter::from_schema_and_tokenizer_manager(&schema, TokenizerManager::default())?;
        let settings = settings();
        let (kind, size) = (settings.docstore_compression, settings.docstore_blocksize);
        let mut store = StoreWriter::new(open(segment, SegmentComponent::Store)?, kind, size, false)?;
        let values: [Field; 2] = [self.fields.email, self.fields.language];
        for (email, language) in &self.documents {
            let mut document = TantivyDocument::default();
            document.add_u64(values[0], *email);
            document.add_u64(values[1], *language);
            columns.add_document(&document)?;
            store.store(&document, &schema)?;
        }
        store.close()?;
        let mut out = open(segment, SegmentComponent::FastFields)?;
        columns.serialize(&mut out, None)?;
        out.terminate()?;
        Ok(())
    }
}

fn open(segment: &Segment, part: SegmentComponent) -> Result<tantivy::directory::WritePtr, Error> {
    Ok(segment.open_write(part).map_err(tantivy::TantivyError::from)?)
}

/// No thread of its own: nothing is stored that it could compress.
pub(crate) fn settings() -> IndexSettings {
    IndexSettings { docstore_compress_dedicated_thread: false, ..IndexSettings::default() }
}

/// Files of a segment that Tantivy knows.
const PARTS: [SegmentComponent; 6] = [
    SegmentComponent::Postings,
    SegmentComponent::Positions,
    SegmentComponent::Terms,
    SegmentComponent::FieldNorms,
    SegmentComponent::FastFields,
    SegmentComponent::Store,
];

/// The files of a segment, with those that are made of its lists of words.
pub(crate) fn built(segment: &Segment, directory: &RamDirectory, fields: &Fields) -> Result<Built, Error> {
    let id = segment.id().uuid_string();
    let mut files = Vec::new();
    for part in PARTS {
        let path = segment.relative_path(part);
        if directory.exists(&path).map_err(tantivy::TantivyError::from)? {
            files.push((path.to_string_lossy().into_owned(), read(directory, &path)?));
        }
    }
    let reader = SegmentReader::open(segment)?;
    files.push((format!("{id}.{}", grams::EXTENSION), grams::build(&reader, fields)?));
    files.push((format!("{id}.{}", forms::EXTENSION), forms::build(&reader, fields)?));
    let file = |component| segment.open_read(component).map_err(tantivy::TantivyError::from);
    let lists = CompositeFile::open(&file(SegmentComponent::Postings)?)?;
    let positions = CompositeFile::open(&file(SegmentComponent::Positions)?)?;
    let lists = lists_of(&lists, fields.exact(sets::SECTION));
    let positions = positions.open_read(fields.exact(sets::SECTION)).unwrap_or_else(FileSlice::empty);
    if let Some(sets) = letters::build(&reader, fields, lists.clone())? {
        files.push((format!("{id}.{}", letters::EXTENSION), sets));
    }
    if let Some(sets) = neighbours::build(&reader, fields, lists, positions)? {
        files.push((format!("{id}.{}", neighbours::EXTENSION), sets));
    }
    files.sort();
    let listed = files.iter().map(|(name, bytes)| (name.clone(), bytes.len() as u64)).collect();
    let entry = SegmentEntry { id, documents: reader.max_doc(), deleted: 0, deletion: 0, files: listed };
    Ok(Built { entry, files })
}

/// A file as it lies there, with what Tantivy puts at its end.
pub(crate) fn read(directory: &RamDirectory, path: &Path) -> Result<Vec<u8>, Error> {
    let file = directory.open_read(path).map_err(tantivy::TantivyError::from)?;
    Ok(file.read_bytes()?.as_slice().to_vec())
}
