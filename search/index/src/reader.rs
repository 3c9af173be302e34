//! The segments of a manifest, opened.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::io::Write as _;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use moka::sync::Cache;
use schema::{AccountId, EmailId};
use tantivy::columnar::{Cardinality, Column};
use tantivy::directory::{CompositeFile, Directory, FileSlice, OwnedBytes, RamDirectory, TerminatingWrite};
use tantivy::fastfield::write_alive_bitset;
use tantivy::index::SegmentComponent;
use tantivy::indexer::merge_filtered_segments;
use tantivy::schema::Field;
use tantivy::{BitSet, DocId, HasLen as _, Index, ReloadPolicy, Searcher, SegmentReader, Term};

use crate::analysis::Language;
use crate::answers::Answers;
use crate::builder::{built, read, settings};
use crate::exact::{Docs, add_docs};
use crate::fields::{EMAIL, Fields, LANGUAGE, Section};
use crate::files::{Files, cache};
use crate::forms::{Forms, Mask};
use crate::grams::Grams;
use crate::infos::Infos;
use crate::letters::Letters;
use crate::neighbours::Neighbours;
use crate::{Built, Error, Manifest, SegmentEntry, Source, forms, grams, letters, neighbours};

/// What is kept in memory, shared by all readers of a node: parts of files, and answers.
#[derive(Clone)]
pub struct FileCache {
    files: Cache<(Arc<str>, usize), OwnedBytes>,
    answers: Answers,
}

/// One byte in so many is for answers.
const FOR_ANSWERS: u64 = 8;

impl FileCache {
    /// At most so many bytes.
    pub fn new(bytes: u64) -> FileCache {
        let answers = bytes / FOR_ANSWERS;
        FileCache { files: cache(bytes - answers), answers: Answers::new(answers) }
    }

    /// At most so many bytes, all of them of files: each search is made.
    pub fn of_files(bytes: u64) -> FileCache {
        FileCache { files: cache(bytes), answers: Answers::new(0) }
    }
}

/// An index as a manifest says it is. Opening another manifest gives another reader; both can be used.
pub struct Reader {
    manifest: Manifest,
    fields: Fields,
    index: Index,
    segments: Vec<Segment>,
    languages: Vec<Language>,
    pub(crate) answers: Answers,
}

/// Names and bytes of files.
pub type NewFiles = Vec<(String, Vec<u8>)>;

/// Threads that look at the segments for one search, at most.
const THREADS: usize = 4;
/// With so many documents in all segments there are several.
const MANY: u64 = 30_000;
/// Accounts with so many documents in a segment are those that are kept.
const KEPT: u32 = 1_000;

/// A segment, opened.
pub(crate) struct Segment {
    pub(crate) fields: Fields,
    pub(crate) reader: SegmentReader,
    pub(crate) grams: Grams,
    pub(crate) forms: Forms,
    /// Not beside a small one.
    pub(crate) letters: Option<Letters>,
    pub(crate) neighbours: Option<Neighbours>,
    emails: Column<u64>,
    languages: Column<u64>,
    tables: Tables,
    /// The account that was asked for last, and its documents, where it has many.
    kept: Mutex<Option<(AccountId, Arc<Docs>)>>,
}

/// Bytes before the lists of a field: how many tokens it has.
const TOKENS: usize = 8;

/// Tables that Tantivy reads in another way than we do.
struct Tables {
    infos: Vec<Option<Infos>>,
    lists: CompositeFile,
    positions: CompositeFile,
}

impl Tables {
    fn open(segment: &tantivy::Segment, fields: &Fields) -> Result<Tables, Error> {
        let file = |component| segment.open_read(component).map_err(tantivy::TantivyError::from);
        let terms = CompositeFile::open(&file(SegmentComponent::Terms)?)?;
        let infos = Section::ALL.map(|section| {
            terms.open_read(fields.exact(section)).map(|words| Infos::open(&words)).transpose()
        });
        let infos = infos.into_iter().collect::<Result<_, Error>>()?;
        let lists = CompositeFile::open(&file(SegmentComponent::Postings)?)?;
        Ok(Tables { infos, lists, positions: CompositeFile::open(&file(SegmentComponent::Positions)?)? })
    }
}

impl Reader {
    /// Opens the files of a manifest. Blocks on the source.
    ///
    /// # Errors
    /// When a file can not be read or is damaged.
    pub fn open(manifest: Manifest, source: Arc<dyn Source>, cache: &FileCache) -> Result<Reader, Error> {
        // Files of another format are never looked into: they would be taken for what they are not.
        if !manifest.is_current() {
            return Err(Error::Damaged("a segment of another format"));
        }
        let fields = Fields::new();
        let files = Files::new(source, manifest.lengths(), manifest.meta(&fields)?, cache.files.clone());
        let index = Index::open(files.clone())?;
        let reader = index.reader_builder().reload_policy(ReloadPolicy::Manual).try_into()?;
        let searcher: Searcher = reader.searcher();
        let mut segments = Vec::new();
        let tables = index.searchable_segments()?;
        for reader in searcher.segment_readers() {
            let own = tables.iter().find(|segment| segment.id() == reader.segment_id());
            let tables = Tables::open(own.ok_or(Error::Damaged("the list of segments"))?, &fields)?;
            let file = |extension| {
                let name = format!("{}.{extension}", reader.segment_id().uuid_string());
                let handle = files.handle(Path::new(&name)).map_err(tantivy::TantivyError::from)?;
                Ok::<_, Error>(FileSlice::new(handle))
            };
            let grams = Grams::open(&file(grams::EXTENSION)?)?;
            let forms = Forms::open(file(forms::EXTENSION)?)?;
            let letters = file(letters::EXTENSION).ok();
            let letters = letters.map(|file| Letters::open(&file, reader.max_doc())).transpose()?;
            let neighbours = file(neighbours::EXTENSION).ok();
            let neighbours = neighbours.map(|file| Neighbours::open(&file, reader.max_doc())).transpose()?;
            let (emails, languages) = (reader.fast_fields().u64(EMAIL)?, reader.fast_fields().u64(LANGUAGE)?);
            let (fields, reader) = (fields.clone(), reader.clone());
            let kept = Mutex::default();
            segments.push(Segment {
                fields,
                reader,
                grams,
                forms,
                letters,
                neighbours,
                emails,
                languages,
                tables,
                kept,
            });
        }
        let languages: BTreeSet<Language> =
            segments.iter().flat_map(|segment| segment.forms.languages()).flatten().copied().collect();
        let languages = languages.into_iter().collect();
        Ok(Reader { manifest, fields, index, segments, languages, answers: cache.answers.clone() })
    }

    /// What was opened.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Whether the message is in the index.
    ///
    /// # Errors
    /// When a file can not be read or is damaged.
    pub fn has(&self, account: AccountId, email: EmailId) -> Result<bool, Error> {
        for segment in &self.segments {
            if !segment.those(&*segment.scope(account)?, &HashSet::from([email])).is_empty() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Deletes messages: new lists of what is deleted, for the segments that had some. The manifest that is returned
    /// has them; segments of which nothing is left are no longer in it.
    ///
    /// # Errors
    /// When a file can not be read or is damaged.
    pub fn delete(&self, account: AccountId, emails: &[EmailId]) -> Result<(Manifest, NewFiles), Error> {
        let emails: Vec<_> = emails.iter().map(|email| (account, *email)).collect();
        self.delete_all(&emails, &[])
    }

    /// Deletes all messages of an account, as [`Reader::delete`] does.
    ///
    /// # Errors
    /// When a file can not be read or is damaged.
    pub fn delete_account(&self, account: AccountId) -> Result<(Manifest, NewFiles), Error> {
        self.delete_all(&[], &[account])
    }

    /// Deletes messages of several accounts, and all messages of others, as [`Reader::delete`] does.
    ///
    /// # Errors
    /// When a file can not be read or is damaged.
    pub fn delete_all(
        &self,
        emails: &[(AccountId, EmailId)],
        accounts: &[AccountId],
    ) -> Result<(Manifest, NewFiles), Error> {
        let mut by_account: BTreeMap<AccountId, HashSet<EmailId>> = BTreeMap::new();
        for (account, email) in emails {
            by_account.entry(*account).or_default().insert(*email);
        }
        let (mut manifest, mut files) = (self.manifest.clone(), Vec::new());
        for segment in &self.segments {
            let id = segment.reader.segment_id().uuid_string();
            let Some(entry) = manifest.segments.iter_mut().find(|entry| entry.id == id) else { continue };
            let mut gone = Docs::none(segment.reader.max_doc());
            for (account, emails) in &by_account {
                gone.add(&segment.those(&*segment.scope(*account)?, emails));
            }
            for account in accounts {
                gone.add(&*segment.scope(*account)?);
            }
            if let Some(file) = segment.without(&gone, entry, &self.fields)? {
                files.push(file);
            }
        }
        manifest.segments.retain(|entry| entry.deleted < entry.documents);
        files.retain(|(name, _)| manifest.segments.iter().any(|s| name.starts_with(&s.id)));
        Ok((manifest, files))
    }

    /// One segment of several, without what was deleted. On the caller's thread; the manifest changes when the caller
    /// puts it in place of the others ([`Manifest::replaced`]). What is deleted meanwhile is to be deleted from it
    /// too.
    ///
    /// # Errors
    /// When a file can not be read or is damaged.
    pub fn merge(&self, ids: &[String]) -> Result<Option<Built>, Error> {
        let mut segments = self.index.searchable_segments()?;
        segments.retain(|segment| ids.contains(&segment.id().uuid_string()));
        if segments.is_empty() {
            return Ok(None);
        }
        let directory = RamDirectory::create();
        let filters = segments.iter().map(|_| None).collect();
        let merged = merge_filtered_segments(&segments, settings(), filters, directory.clone())?;
        let segments = merged.searchable_segments()?;
        let segment = segments.first().ok_or(Error::Damaged("a segment that was just made"))?;
        built(segment, &directory, &self.fields).map(Some)
    }

    /// By how many threads a search looks at the segments, if there are so many.
    pub(crate) fn threads(&self) -> usize {
        let documents: u64 = self.segments.iter().map(|segment| u64::from(segment.reader.max_doc())).sum();
        if documents < MANY { 1 } else { THREADS }
    }

    pub(crate) fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// Languages that messages in it are in.
    pub(crate) fn languages(&self) -> &[Language] {
        &self.languages
    }
}

impl Segment {
    /// Documents of the account that are not deleted.
    pub(crate) fn scope(&self, account: AccountId) -> Result<Arc<Docs>, Error> {
        let kept = || self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, docs)) = kept().as_ref().filter(|(known, _)| *known == account) {
            return Ok(Arc::clone(docs));
        }
        let docs = Arc::new(self.documents(account)?);
        // Others are as soon read again.
        if docs.len() >= KEPT {
            *kept() = Some((account, Arc::clone(&docs)));
        }
        Ok(docs)
    }

    fn documents(&self, account: AccountId) -> Result<Docs, Error> {
        let mut docs = self.all_of(account)?;
        if let Some(alive) = self.reader.alive_bitset() {
            let listed: Vec<DocId> = docs.iter().filter(|doc| alive.is_deleted(*doc)).collect();
            listed.into_iter().for_each(|doc| docs.remove(doc));
        }
        Ok(docs)
    }

    /// Documents of the account, with those that are deleted.
    pub(crate) fn all_of(&self, account: AccountId) -> Result<Docs, Error> {
        let mut docs = Docs::none(self.reader.max_doc());
        let term = Term::from_field_u64(self.fields.account, u64::from(account.0));
        let inverted = self.reader.inverted_index(term.field())?;
        if let Some(info) = inverted.get_term_info(&term)? {
            add_docs(&inverted, self.lists(term.field()), &info, &mut docs)?;
        }
        Ok(docs)
    }

    /// The documents of these emails.
    fn those(&self, scope: &Docs, emails: &HashSet<EmailId>) -> Docs {
        let mut docs = Docs::none(self.reader.max_doc());
        let found = scope.iter().filter(|doc| self.email(*doc).is_some_and(|email| emails.contains(&email)));
        found.for_each(|doc| docs.insert(doc));
        docs
    }

    /// A list of deleted documents with some more, noted in the entry; nothing if they are none.
    fn without(
        &self,
        gone: &Docs,
        entry: &mut SegmentEntry,
        fields: &Fields,
    ) -> Result<Option<(String, Vec<u8>)>, Error> {
        if gone.is_empty() {
            return Ok(None);
        }
        let mut alive = BitSet::with_max_value_and_full(self.reader.max_doc());
        let deleted = (0..self.reader.max_doc()).filter(|doc| gone.has(*doc) || self.reader.is_deleted(*doc));
        deleted.for_each(|doc| alive.remove(doc));
        let old = format!("{}.{}.del", entry.id, entry.deletion);
        entry.deletion += 1;
        entry.deleted += gone.len();
        let name = format!("{}.{}.del", entry.id, entry.deletion);
        // Through an index, since it puts a checksum at the end of each file.
        let directory = RamDirectory::create();
        let index = Index::create(directory.clone(), fields.schema.clone(), settings())?;
        let path = Path::new(&name);
        let mut writer = index.directory().open_write(path).map_err(tantivy::TantivyError::from)?;
        write_alive_bitset(&alive, &mut writer)?;
        writer.flush()?;
        writer.terminate()?;
        let bytes = read(&directory, path)?;
        entry.files.retain(|(name, _)| *name != old);
        entry.files.push((name.clone(), bytes.len() as u64));
        Ok(Some((name, bytes)))
    }

    /// Emails of documents.
    pub(crate) fn emails(&self, docs: &Docs) -> Vec<EmailId> {
        if self.emails.get_cardinality() != Cardinality::Full {
            return docs.iter().filter_map(|doc| self.email(doc)).collect();
        }
        let docs: Vec<DocId> = docs.iter().collect();
        let mut emails = vec![0; docs.len()];
        self.emails.values.get_vals(&docs, &mut emails);
        emails.into_iter().map(EmailId).collect()
    }

    /// Where the lists of terms of a section are; none if it has no terms.
    pub(crate) fn infos(&self, section: Section) -> Option<&Infos> {
        self.tables.infos.get(section as usize)?.as_ref()
    }

    /// Lists of documents of all terms of a field.
    pub(crate) fn lists(&self, field: Field) -> FileSlice {
        lists_of(&self.tables.lists, field)
    }

    /// Positions of a section.
    pub(crate) fn positions(&self, section: Section) -> FileSlice {
        self.tables.positions.open_read(self.fields.exact(section)).unwrap_or_else(FileSlice::empty)
    }

    pub(crate) fn email(&self, doc: DocId) -> Option<EmailId> {
        self.emails.first(doc).map(EmailId)
    }

    /// The language of a document, as a bit.
    pub(crate) fn language(&self, doc: DocId) -> Mask {
        self.forms.mask(&self.languages, doc)
    }
}

/// Lists of documents of all terms of a field.
pub(crate) fn lists_of(file: &CompositeFile, field: Field) -> FileSlice {
    let file = file.open_read(field).filter(|file| file.len() >= TOKENS);
    file.map_or_else(FileSlice::empty, |file| file.slice_from(TOKENS))
}
