//! Documents become the files of a segment, in memory and on the caller's thread.

use std::path::Path;

use tantivy::directory::{Directory, RamDirectory};
use tantivy::{Index, IndexSettings, SegmentReader, SingleSegmentIndexWriter};

use crate::fields::{Fields, tokenizers};
use crate::{Document, Error, SegmentEntry, grams};

/// Bytes Tantivy sizes its tables for; they grow, and most segments are small.
const TABLES: usize = 6 << 20;

/// Takes documents, gives one segment.
pub struct Builder {
    fields: Fields,
    directory: RamDirectory,
    writer: SingleSegmentIndexWriter,
    documents: u32,
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
    /// What Tantivy says.
    pub fn new() -> Result<Builder, Error> {
        let fields = Fields::new();
        let directory = RamDirectory::create();
        let index =
            Index::builder().schema(fields.schema.clone()).tokenizers(tokenizers()).settings(settings());
        let writer = index.single_segment_index_writer(directory.clone(), TABLES)?;
        Ok(Builder { fields, directory, writer, documents: 0 })
    }

    /// Adds a document. One that is there already stays: delete it first.
    ///
    /// # Errors
    /// What Tantivy says.
    pub fn add(&mut self, document: Document) -> Result<(), Error> {
        let document = document.into_tantivy(&self.fields)?;
        self.writer.add_document(document)?;
        self.documents += 1;
        Ok(())
    }

    /// Documents added.
    pub fn documents(&self) -> u32 {
        self.documents
    }

    /// Bytes of memory that the documents take; the files need about as much again when they are made.
    pub fn memory(&self) -> usize {
        self.writer.mem_usage()
    }

    /// The segment; nothing without documents.
    ///
    /// # Errors
    /// What Tantivy says.
    pub fn finish(self) -> Result<Option<Built>, Error> {
        if self.documents == 0 {
            return Ok(None);
        }
        let index = self.writer.finalize()?;
        built(&index, &self.directory, &self.fields).map(Some)
    }
}

/// No thread of its own: nothing is stored that it could compress.
pub(crate) fn settings() -> IndexSettings {
    IndexSettings { docstore_compress_dedicated_thread: false, ..IndexSettings::default() }
}

/// The files of an index of one segment, with that of grams.
pub(crate) fn built(index: &Index, directory: &RamDirectory, fields: &Fields) -> Result<Built, Error> {
    let segments = index.searchable_segments()?;
    let segment = segments.first().ok_or(Error::Damaged("a segment that was just made"))?;
    let id = segment.id().uuid_string();
    let mut files = Vec::new();
    for path in index.load_metas()?.list_segment_files() {
        if directory.exists(&path).map_err(tantivy::TantivyError::from)? {
            files.push((path.to_string_lossy().into_owned(), read(directory, &path)?));
        }
    }
    let reader = SegmentReader::open(segment)?;
    files.push((format!("{id}.{}", grams::EXTENSION), grams::build(&reader, fields)?));
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
