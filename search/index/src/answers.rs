//! What segments said, for who asks again: the next page of a result, or the same search when new mail has come.
//!
//! A segment's documents never change, but for those that are deleted; so what one said stays right as long as the list of
//! these is the same.

use std::sync::Arc;

use moka::sync::Cache;
use schema::AccountId;
use tantivy::SegmentReader;
use tantivy::index::SegmentId;

use crate::Error;
use crate::exact::{Found, Place};

/// Bytes that an answer takes besides its documents and the question.
const BESIDES: usize = 256;

/// What is looked for.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct Question {
    places: Vec<Place<'static>>,
    needle: String,
}

impl Question {
    /// None of a header field by its name: who asks for that seldom asks again.
    pub(crate) fn of(places: &[Place<'_>], needle: &str) -> Option<Arc<Question>> {
        let places = places.iter().map(Place::of_section).collect::<Option<_>>()?;
        Some(Arc::new(Question { places, needle: needle.to_owned() }))
    }
}

/// Of which segment, with which list of deleted documents, of which account.
type Key = (SegmentId, Option<u64>, AccountId, Arc<Question>);

/// Answers that are kept, those that were asked for most.
#[derive(Clone)]
pub(crate) struct Answers(Cache<Key, Arc<Found>>);

impl Answers {
    /// At most so many bytes.
    pub(crate) fn new(bytes: u64) -> Answers {
        let weigh = |key: &Key, found: &Arc<Found>| {
            let bytes = found.bytes() + key.3.needle.len() + BESIDES;
            u32::try_from(bytes).unwrap_or(u32::MAX)
        };
        Answers(Cache::builder().max_capacity(bytes).weigher(weigh).build())
    }

    /// What a segment said, or says now.
    pub(crate) fn get(
        &self,
        segment: &SegmentReader,
        account: AccountId,
        question: Option<&Arc<Question>>,
        find: impl FnOnce() -> Result<Found, Error>,
    ) -> Result<Arc<Found>, Error> {
        let Some(question) = question else { return find().map(Arc::new) };
        let key = (segment.segment_id(), segment.delete_opstamp(), account, Arc::clone(question));
        if let Some(found) = self.0.get(&key) {
            return Ok(found);
        }
        let found = Arc::new(find()?);
        self.0.insert(key, Arc::clone(&found));
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use content_mail::{Limits, summarize};
    use schema::EmailId;

    use super::*;
    use crate::exact::Docs;
    use crate::fields::Section;
    use crate::{Builder, Document, FileCache, Manifest, Memory, Reader};

    const ALICE: AccountId = AccountId(1);

    fn found() -> Found {
        let mut sure = Docs::none(9);
        sure.insert(7);
        Found { sure, ..Found::none(9) }
    }

    #[test]
    fn a_segment_is_asked_once() {
        let message = b"Subject: one\r\n\r\napples\r\n";
        let summary = summarize(message, &Limits::default());
        let mut builder = Builder::new().unwrap();
        for id in [1, 2] {
            builder.add(Document::of_message(ALICE, EmailId(id), &summary, message)).unwrap();
        }
        let built = builder.finish().unwrap().unwrap();
        let mut memory = Memory::default();
        memory.add(built.files.clone());
        let (manifest, cache) = (Manifest { segments: vec![built.entry] }, FileCache::of_files(1 << 20));
        let before = Reader::open(manifest, Arc::new(memory), &cache).unwrap();
        let (manifest, deleted) = before.delete(ALICE, &[EmailId(1)]).unwrap();
        let mut memory = Memory::default();
        [built.files, deleted].into_iter().for_each(|files| memory.add(files));
        let after = Reader::open(manifest, Arc::new(memory), &cache).unwrap();

        let (answers, mut asked) = (Answers::new(1 << 20), 0);
        let mut ask = |reader: &Reader, account, places: &[Place<'_>], needle| {
            let before = asked;
            let question = Question::of(places, needle);
            let find = || {
                asked += 1;
                Ok(found())
            };
            let answer = answers.get(&reader.segments()[0].reader, account, question.as_ref(), find).unwrap();
            assert!(answer.sure.has(7) && answer.maybe.is_empty());
            asked > before
        };
        let body = [Place::Section(Section::Body)];
        assert!(ask(&before, ALICE, &body, "a") && !ask(&before, ALICE, &body, "a"), "what was asked for");
        assert!(ask(&before, AccountId(2), &body, "a"), "another account");
        assert!(ask(&before, ALICE, &body, "b"), "another text");
        assert!(ask(&before, ALICE, &[Place::Section(Section::Header)], "a"), "another place");
        assert!(ask(&after, ALICE, &body, "a") && !ask(&after, ALICE, &body, "a"), "some were deleted");
        assert!(!ask(&before, ALICE, &body, "a"), "who reads the list of before");
        let named = [Place::Named("x-note")];
        assert!(ask(&after, ALICE, &named, "a") && ask(&after, ALICE, &named, "a"), "fields by name");
    }
}
