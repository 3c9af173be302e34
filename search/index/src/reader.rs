//! The segments of a manifest, opened.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;

use moka::sync::Cache;
use query::{Field as Asked, Filter};
use schema::{AccountId, EmailId};
use tantivy::columnar::Column;
use tantivy::directory::{Directory, FileSlice, OwnedBytes, RamDirectory, TerminatingWrite};
use tantivy::fastfield::write_alive_bitset;
use tantivy::indexer::merge_filtered_segments;
use tantivy::schema::IndexRecordOption;
use tantivy::{BitSet, DocSet, Index, ReloadPolicy, Searcher, SegmentReader, TERMINATED, Term};

use crate::analysis::Language;
use crate::builder::{built, read, settings};
use crate::exact::{Docs, Found, Pattern, Place, find};
use crate::fields::{EMAIL, Fields, Section, key, with_tokenizers};
use crate::files::{Files, cache};
use crate::grams::{EXTENSION, Grams};
use crate::{Answer, Built, Error, Manifest, SegmentEntry, Source};

/// What of the files is kept in memory, shared by all readers of a node.
#[derive(Clone)]
pub struct FileCache(Cache<(Arc<str>, usize), OwnedBytes>);

impl FileCache {
    /// At most so many bytes.
    pub fn new(bytes: u64) -> FileCache {
        FileCache(cache(bytes))
    }
}

/// An index as a manifest says it is. Opening another manifest gives another reader; both can be used.
pub struct Reader {
    manifest: Manifest,
    fields: Fields,
    index: Index,
    searcher: Searcher,
    segments: Vec<Segment>,
    languages: Vec<Language>,
}

/// Names and bytes of files.
pub type NewFiles = Vec<(String, Vec<u8>)>;

/// A segment, opened.
pub(crate) struct Segment {
    pub(crate) fields: Fields,
    pub(crate) reader: SegmentReader,
    pub(crate) grams: Grams,
    emails: Column<u64>,
}

impl Reader {
    /// Opens the files of a manifest. Blocks on the source.
    ///
    /// # Errors
    /// When a file can not be read or is damaged.
    pub fn open(manifest: Manifest, source: Arc<dyn Source>, cache: &FileCache) -> Result<Reader, Error> {
        let fields = Fields::new();
        let files = Files::new(source, manifest.lengths(), manifest.meta(&fields)?, cache.0.clone());
        let index = with_tokenizers(Index::open(files.clone())?);
        let reader = index.reader_builder().reload_policy(ReloadPolicy::Manual).try_into()?;
        let searcher: Searcher = reader.searcher();
        let mut segments = Vec::new();
        for reader in searcher.segment_readers() {
            let name = format!("{}.{EXTENSION}", reader.segment_id().uuid_string());
            let handle = files.handle(Path::new(&name)).map_err(tantivy::TantivyError::from)?;
            let grams = Grams::open(&FileSlice::new(handle))?;
            let emails = reader.fast_fields().u64(EMAIL)?;
            segments.push(Segment { fields: fields.clone(), reader: reader.clone(), grams, emails });
        }
        let languages = languages(&segments, &fields)?;
        Ok(Reader { manifest, fields, index, searcher, segments, languages })
    }

    /// What was opened.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The messages of the account that match a filter on text ([`Filter::Header`], [`Filter::Body`],
    /// [`Filter::Text`]), as a scan would find them; none where the filter is another.
    ///
    /// # Errors
    /// When a file can not be read or is damaged.
    pub fn find(&self, account: AccountId, filter: &Filter) -> Result<Option<Answer>, Error> {
        let (places, needle) = match filter {
            Filter::Header(field, needle) => (vec![place(field)], needle),
            Filter::Body(needle) => (vec![Place::Section(Section::Body)], needle),
            Filter::Text(needle) => {
                (vec![Place::Section(Section::Header), Place::Section(Section::Body)], needle)
            }
            _ => return Ok(None),
        };
        let pattern = Pattern::of(needle.as_str());
        let mut answer = Answer::default();
        for segment in &self.segments {
            let scope = segment.scope(account)?;
            let found = segment.find(&places, &pattern, &scope)?;
            answer.sure.extend(segment.emails(&found.sure));
            answer.maybe.extend(segment.emails(&found.maybe));
        }
        answer.sure.sort_unstable();
        answer.maybe.sort_unstable();
        Ok(Some(answer))
    }

    /// Whether the message is in the index.
    ///
    /// # Errors
    /// When a file can not be read or is damaged.
    pub fn has(&self, account: AccountId, email: EmailId) -> Result<bool, Error> {
        let term = Term::from_field_bytes(self.fields.key, &key(account.0, email.0));
        for segment in &self.segments {
            if !segment.docs(&term)?.is_empty() {
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
        let terms =
            emails.iter().map(|email| Term::from_field_bytes(self.fields.key, &key(account.0, email.0)));
        self.delete_terms(&terms.collect::<Vec<_>>())
    }

    /// Deletes all messages of an account, as [`Reader::delete`] does.
    ///
    /// # Errors
    /// When a file can not be read or is damaged.
    pub fn delete_account(&self, account: AccountId) -> Result<(Manifest, NewFiles), Error> {
        self.delete_terms(&[Term::from_field_u64(self.fields.account, u64::from(account.0))])
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
        let one = |(account, email): &(AccountId, EmailId)| {
            Term::from_field_bytes(self.fields.key, &key(account.0, email.0))
        };
        let all = |account: &AccountId| Term::from_field_u64(self.fields.account, u64::from(account.0));
        self.delete_terms(&emails.iter().map(one).chain(accounts.iter().map(all)).collect::<Vec<_>>())
    }

    fn delete_terms(&self, terms: &[Term]) -> Result<(Manifest, NewFiles), Error> {
        let (mut manifest, mut files) = (self.manifest.clone(), Vec::new());
        for segment in &self.segments {
            let id = segment.reader.segment_id().uuid_string();
            let Some(entry) = manifest.segments.iter_mut().find(|entry| entry.id == id) else { continue };
            let mut gone = Docs::none(segment.reader.max_doc());
            for term in terms {
                gone.add(&segment.docs(term)?);
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
        built(&with_tokenizers(merged), &directory, &self.fields).map(Some)
    }

    pub(crate) fn fields(&self) -> &Fields {
        &self.fields
    }

    pub(crate) fn searcher(&self) -> &Searcher {
        &self.searcher
    }

    pub(crate) fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// Languages that messages in it are in.
    pub(crate) fn languages(&self) -> &[Language] {
        &self.languages
    }
}

fn place(field: &Asked) -> Place<'_> {
    match field {
        Asked::From => Place::Section(Section::From),
        Asked::To => Place::Section(Section::To),
        Asked::Cc => Place::Section(Section::Cc),
        Asked::Bcc => Place::Section(Section::Bcc),
        Asked::Subject => Place::Section(Section::Subject),
        Asked::Named(name) => Place::Named(name),
    }
}

fn languages(segments: &[Segment], fields: &Fields) -> Result<Vec<Language>, Error> {
    let mut found = BTreeSet::new();
    for segment in segments {
        let inverted = segment.reader.inverted_index(fields.language)?;
        let mut stream = inverted.terms().stream()?;
        while stream.advance() {
            found.extend(std::str::from_utf8(stream.key()).ok().and_then(Language::from_code));
        }
    }
    Ok(found.into_iter().collect())
}

impl Segment {
    /// Documents of the account that are not deleted.
    pub(crate) fn scope(&self, account: AccountId) -> Result<Docs, Error> {
        self.docs(&Term::from_field_u64(self.fields.account, u64::from(account.0)))
    }

    /// What the places have of the pattern.
    pub(crate) fn find(&self, places: &[Place<'_>], pattern: &Pattern, scope: &Docs) -> Result<Found, Error> {
        let mut found = Found::none(self.reader.max_doc());
        if scope.is_empty() {
            return Ok(found);
        }
        for place in places {
            found.add(&find(self, *place, pattern, scope)?);
        }
        Ok(found)
    }

    /// Documents with the term that are not deleted.
    fn docs(&self, term: &Term) -> Result<Docs, Error> {
        let mut docs = Docs::none(self.reader.max_doc());
        let inverted = self.reader.inverted_index(term.field())?;
        let Some(mut postings) = inverted.read_postings(term, IndexRecordOption::Basic)? else {
            return Ok(docs);
        };
        let mut doc = postings.doc();
        while doc != TERMINATED {
            if !self.reader.is_deleted(doc) {
                docs.insert(doc);
            }
            doc = postings.advance();
        }
        Ok(docs)
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
    pub(crate) fn emails<'a>(&'a self, docs: &'a Docs) -> impl Iterator<Item = EmailId> + 'a {
        docs.iter().filter_map(|doc| self.emails.first(doc)).map(EmailId)
    }
}
