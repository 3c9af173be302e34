//! What matches a filter on text, segment by segment.

use std::sync::Arc;

use query::{Field, Filter};
use schema::{AccountId, EmailId};
use tantivy::DocId;

use crate::answers::Question;
use crate::exact::{Docs, Found, Pattern, Place, find};
use crate::fields::Section;
use crate::files::AtHand;
use crate::reader::{Reader, Segment};
use crate::{Answer, Error, parallel};

/// What a segment has of a filter. A segment's documents have numbers from 0 on, which never change.
pub struct FoundIn<'a> {
    segment: &'a Segment,
    account: AccountId,
    /// Those of the account.
    scope: Arc<Docs>,
    found: Arc<Found>,
}

impl FoundIn<'_> {
    /// The segment's id, which is a random one.
    pub fn segment(&self) -> String {
        self.segment.reader.segment_id().uuid_string()
    }

    /// How many documents it has, of all accounts.
    pub fn documents(&self) -> u32 {
        self.segment.reader.max_doc()
    }

    /// How many of the account's it has.
    pub fn of_account(&self) -> u32 {
        self.scope.len()
    }

    /// How many documents match, or, where that is asked, may match.
    pub fn count(&self, sure: bool) -> u32 {
        self.found(sure).len()
    }

    /// Visits the documents that match, or those that may, in order.
    pub fn each(&self, sure: bool, visit: impl FnMut(DocId)) {
        self.found(sure).each(visit);
    }

    /// Emails of the documents that match, or of those that may.
    pub fn emails(&self, sure: bool) -> Vec<EmailId> {
        self.segment.emails(self.found(sure))
    }

    /// All documents of the account, with their emails: with those that are deleted, so that they are the same for all
    /// readers of the segment.
    ///
    /// # Errors
    /// When a file can not be read or is damaged.
    pub fn all(&self) -> Result<Vec<(EmailId, DocId)>, Error> {
        let docs = self.segment.all_of(self.account)?;
        Ok(docs.iter().filter_map(|doc| Some((self.segment.email(doc)?, doc))).collect())
    }

    fn found(&self, sure: bool) -> &Docs {
        if sure { &self.found.sure } else { &self.found.maybe }
    }
}

impl Reader {
    /// The messages of the account that match a filter on text ([`Filter::Header`], [`Filter::Body`],
    /// [`Filter::Text`], and these two with hints), as a scan would find them; none where the filter is another.
    ///
    /// # Errors
    /// When a file can not be read or is damaged.
    pub fn find(&self, account: AccountId, filter: &Filter) -> Result<Option<Answer>, Error> {
        let each = self.find_each(account, filter, |found| Ok((found.emails(true), found.emails(false))))?;
        let Some(each) = each else { return Ok(None) };
        let mut answer = Answer::default();
        for (mut sure, mut maybe) in each {
            answer.sure.append(&mut sure);
            answer.maybe.append(&mut maybe);
        }
        // Of each segment they are mostly in order, which this sort makes use of.
        answer.sure.sort();
        answer.maybe.sort();
        Ok(Some(answer))
    }

    /// The same, as `take` has it of each segment, by several threads where there are many documents.
    ///
    /// # Errors
    /// When a file can not be read or is damaged; else what `take` says.
    pub fn find_each<T: Send>(
        &self,
        account: AccountId,
        filter: &Filter,
        take: impl Fn(FoundIn<'_>) -> Result<T, Error> + Sync,
    ) -> Result<Option<Vec<T>>, Error> {
        let (places, needle) = match filter {
            Filter::Header(field, needle) => (places(field), needle),
            Filter::Body(needle) => (vec![Place::Section(Section::Body)], needle),
            Filter::Text(needle) => {
                (vec![Place::Section(Section::Header), Place::Section(Section::Body)], needle)
            }
            Filter::BodyOrHint(needle) => {
                (vec![Place::Section(Section::Body), Place::Section(Section::Hint)], needle)
            }
            Filter::TextOrHint(needle) => {
                let places = [Section::Header, Section::Body, Section::Hint].map(Place::Section);
                (places.to_vec(), needle)
            }
            _ => return Ok(None),
        };
        let (pattern, question) = (Pattern::of(needle.as_str()), Question::of(&places, needle.as_str()));
        let each = parallel::each(self.segments(), self.threads(), |segment| {
            let _at_hand = AtHand::begin();
            let scope = segment.scope(account)?;
            let found = || segment.find(&places, &pattern, &scope);
            let found = self.answers.get(&segment.reader, account, question.as_ref(), found)?;
            take(FoundIn { segment, account, scope, found })
        });
        each.map(Some)
    }
}

/// Where a scan looks at a field: at values as people read them, and as they are written.
fn places(field: &Field) -> Vec<Place<'_>> {
    let section = match field {
        Field::From => Section::From,
        Field::To => Section::To,
        Field::Cc => Section::Cc,
        Field::Bcc => Section::Bcc,
        Field::Subject => Section::Subject,
        Field::Named(name) => return vec![Place::Named(name)],
    };
    vec![Place::Section(section), Place::Written(section)]
}

impl Segment {
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
}
