//! Answers from what is published, on any node.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use changes::log;
use futures::future::BoxFuture;
use index::{Answer, FileCache, Ranked, Reader};
use mail::{Listing, MailboxRef, UidSet};
use query::{Budget, EmailHits, Filter, Hits, Relevant, SearchIndex};
use runtime::SharedClock;
use schema::records::mail::ChangeKind;
use schema::{AccountId, EmailId, ModSeq};
use segments::{Indexed, Segments};

use crate::error::apart;
use crate::indexer::damaged;
use crate::places::{Part, Places, together};
use crate::readers::{Opened, Readers};
use crate::{Error, metrics};

/// Emails after the cursor that are looked at; if there are more of them, all of a mailbox may as well be.
const TAIL: usize = 20_000;
/// Entries of the log read at once.
const ENTRIES: usize = 2_000;
/// How long an answer may take: behind it a scan waits.
const PATIENCE: Duration = Duration::from_secs(5);
/// Messages that a scan looks at in a second, at most.
const SCANNED: u32 = 25_000;

/// Why messages are scanned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scanned {
    /// It is no filter on text.
    NotText,
    /// The shard has no index yet.
    NoIndex,
    /// The account is not in the index yet, or not all of it.
    NotYet,
    /// More came after the cursor than is worth it, or the log no longer says what.
    TooMuchNew,
    /// Files of the index are away.
    Away,
    /// Files of the index are damaged, or what says where it stands.
    Damaged,
}

impl Scanned {
    /// In a few words.
    pub fn name(self) -> &'static str {
        match self {
            Scanned::NotText => "not_text",
            Scanned::NoIndex => "no_index",
            Scanned::NotYet => "not_yet",
            Scanned::TooMuchNew => "too_much_new",
            Scanned::Away => "away",
            Scanned::Damaged => "damaged",
        }
    }
}

/// What the index says of a filter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// These emails match.
    pub sure: Vec<EmailId>,
    /// These may.
    pub maybe: Vec<EmailId>,
    /// How many of those came after the cursor.
    pub tail: usize,
    /// Up to where the account is in the index.
    pub upto: ModSeq,
    /// The manifest that was read: edition, generation, segments.
    pub manifest: (u32, u64, usize),
}

/// The index's answer, or why there is none.
pub type Answered = Result<Told, Scanned>;

/// Answers from what is published. A cheap handle.
#[derive(Clone)]
pub struct Searcher {
    inner: Arc<Inner>,
}

/// What was read of the index, and what it does not know.
struct Read<T> {
    answer: T,
    tail: BTreeSet<EmailId>,
    cursor: Indexed,
    manifest: (u32, u64, usize),
}

struct Inner {
    segments: Segments,
    mail: mail::Store,
    readers: Readers,
    places: Places,
    clock: SharedClock,
}

impl Searcher {
    /// Over a store; files are read through the cache.
    pub fn new(segments: Segments, mail: mail::Store, cache: FileCache, clock: SharedClock) -> Searcher {
        let readers = Readers::new(segments.clone(), cache, clock.clone());
        Searcher { inner: Arc::new(Inner { segments, mail, readers, places: Places::new(), clock }) }
    }

    /// What the index says of a text filter for an account.
    ///
    /// # Errors
    /// The store's: rows of mail cannot be read then, either.
    pub async fn ask(&self, account: AccountId, filter: &Filter) -> Result<Answered, mail::Error> {
        self.ask_of(account, filter, 0).await
    }

    async fn ask_of(&self, account: AccountId, filter: &Filter, of: usize) -> Result<Answered, mail::Error> {
        self.patiently(account, of, self.inner.ask(account, filter)).await
    }

    /// An answer of so many messages, which are scanned if it does not come in time.
    async fn patiently<T>(
        &self,
        account: AccountId,
        of: usize,
        asked: impl Future<Output = Result<Result<T, Scanned>, Error>>,
    ) -> Result<Result<T, Scanned>, mail::Error> {
        let begun = self.inner.clock.monotonic();
        let answered = match tokio::time::timeout(patience(of), asked).await {
            Err(_) => {
                self.inner.readers.failed(self.inner.segments.shard_of(account));
                Err(Scanned::Away)
            }
            Ok(Ok(answered)) => answered,
            Ok(Err(error)) => Err(self.inner.refused(account, error).await?),
        };
        let how = answered.as_ref().err().map_or("index", |scanned| scanned.name());
        metrics::answered(how, self.inner.clock.monotonic().saturating_sub(begun));
        Ok(answered)
    }

    /// The emails of an account that fit words best; none where what is published can not say.
    ///
    /// # Errors
    /// The store's.
    pub async fn rank(
        &self,
        account: AccountId,
        words: &str,
        limit: usize,
    ) -> Result<Option<Vec<Relevant>>, mail::Error> {
        let ranked = Ranked::Words(words.to_owned());
        let asked = tokio::time::timeout(PATIENCE, self.inner.rank(account, ranked, limit)).await;
        match asked {
            Err(_) => {
                self.inner.readers.failed(self.inner.segments.shard_of(account));
                Ok(None)
            }
            Ok(Ok(ranked)) => Ok(ranked),
            Ok(Err(error)) => self.inner.refused(account, error).await.map(|_| None),
        }
    }

    async fn hits(
        &self,
        at: MailboxRef,
        filter: &Filter,
        within: &UidSet,
    ) -> Result<Option<Hits>, mail::Error> {
        let of = usize::try_from(within.len()).unwrap_or(usize::MAX);
        let listing = match self.inner.mail.listing(at).await {
            // The mailbox is gone: a scan finds nothing either.
            Err(mail::Error::NotFound) => return Ok(None),
            listing => listing?,
        };
        if let Some(listing) = listing {
            return Ok(self.patiently(at.account, of, self.inner.ask_in(at, filter, listing)).await?.ok());
        }
        let Ok(told) = self.ask_of(at.account, filter, of).await? else { return Ok(None) };
        // More of them than there are messages to be looked at: those say it sooner.
        if told.sure.is_empty() && told.maybe.len() > 4 * within.len() as usize {
            return Ok(None);
        }
        match (self.within(at, &told.sure, within).await, self.within(at, &told.maybe, within).await) {
            (Err(mail::Error::NotFound), _) | (_, Err(mail::Error::NotFound)) => Ok(None),
            (sure, maybe) => Ok(Some(Hits { sure: sure?, maybe: maybe? })),
        }
    }

    async fn within(
        &self,
        at: MailboxRef,
        emails: &[EmailId],
        within: &UidSet,
    ) -> Result<UidSet, mail::Error> {
        Ok(self.inner.mail.uids_of(at, emails).await?.intersection(within))
    }
}

impl SearchIndex for Searcher {
    fn candidates<'a>(
        &'a self,
        mailbox: MailboxRef,
        filter: &'a Filter,
        within: &'a UidSet,
    ) -> BoxFuture<'a, Result<Option<Hits>, mail::Error>> {
        Box::pin(self.hits(mailbox, filter, within))
    }

    fn relevant<'a>(
        &'a self,
        account: AccountId,
        words: &'a str,
        limit: usize,
    ) -> BoxFuture<'a, Result<Option<Vec<Relevant>>, mail::Error>> {
        Box::pin(self.rank(account, words, limit))
    }

    fn emails<'a>(
        &'a self,
        account: AccountId,
        filter: &'a Filter,
        of: usize,
    ) -> BoxFuture<'a, Result<Option<EmailHits>, mail::Error>> {
        Box::pin(async move {
            let told = self.ask_of(account, filter, of).await?.ok();
            Ok(told.map(|Told { sure, maybe, .. }| EmailHits { sure, maybe }))
        })
    }
}

impl Inner {
    /// What is published of an account, open for reading, and up to where it goes.
    async fn published(&self, account: AccountId) -> Result<Result<(Arc<Opened>, Indexed), Scanned>, Error> {
        let view = match self.segments.view(account).await {
            Err(segments::Error::Record(error)) => return Ok(Err(self.illegible(account, &error).await)),
            view => view?,
        };
        let Some(view) = view else { return Ok(Err(Scanned::NoIndex)) };
        let Some(cursor) = view.cursor.filter(|cursor| cursor.filling.is_none()) else {
            return Ok(Err(Scanned::NotYet));
        };
        let shard = self.segments.shard_of(account);
        Ok(Ok((self.readers.open(shard, view.edition, cursor.generation).await?, cursor)))
    }

    /// Has the shard made anew of an account whose cursor cannot be read. Others of the shard are answered meanwhile.
    async fn illegible(&self, account: AccountId, error: &schema::RecordError) -> Scanned {
        let shard = self.segments.shard_of(account);
        if self.readers.is_news(shard) {
            damaged(&self.segments, shard, &Error::Damaged(format!("where {account} stands: {error}"))).await;
        }
        Scanned::Damaged
    }

    async fn rank(
        &self,
        account: AccountId,
        asked: Ranked,
        limit: usize,
    ) -> Result<Option<Vec<Relevant>>, Error> {
        let Ok((opened, _)) = self.published(account).await? else { return Ok(None) };
        let reading = Arc::clone(&opened);
        let hits = apart(move || reading.reader.rank(account, &asked, limit)).await?;
        let hits = hits.map_err(|error| opened.damage.judge(&error))?;
        Ok(Some(hits.into_iter().map(|hit| Relevant { email: hit.email, score: hit.score }).collect()))
    }

    async fn ask(&self, account: AccountId, filter: &Filter) -> Result<Answered, Error> {
        let read = move |reader: &Reader, filter: &Filter| reader.find(account, filter);
        let read = self.read(account, filter, read).await?;
        Ok(read.map(|Read { answer, tail, cursor, manifest }| told(answer, &tail, &cursor, manifest)))
    }

    /// The same in a mailbox, whose listing is at hand.
    async fn ask_in(
        &self,
        at: MailboxRef,
        filter: &Filter,
        listing: Arc<Listing>,
    ) -> Result<Result<Hits, Scanned>, Error> {
        let (places, known) = (self.places.clone(), Arc::clone(&listing));
        let read = move |reader: &Reader, filter: &Filter| {
            reader.find_each(at.account, filter, |found| places.of(at, &known, &found))
        };
        let read: Result<Read<Vec<Part>>, Scanned> = self.read(at.account, filter, read).await?;
        Ok(read.map(|Read { answer, tail, cursor, .. }| {
            let aside = cursor.aside.iter().map(|id| EmailId(*id));
            together(&listing, answer, tail.into_iter().chain(aside))
        }))
    }

    /// What is published of an account is asked, off the async threads.
    async fn read<T: Send + 'static>(
        &self,
        account: AccountId,
        filter: &Filter,
        ask: impl FnOnce(&Reader, &Filter) -> Result<Option<T>, index::Error> + Send + 'static,
    ) -> Result<Result<Read<T>, Scanned>, Error> {
        let is_text = matches!(
            filter,
            Filter::Header(..)
                | Filter::Body(_)
                | Filter::Text(_)
                | Filter::BodyOrHint(_)
                | Filter::TextOrHint(_)
        );
        if !is_text {
            return Ok(Err(Scanned::NotText));
        }
        let (opened, cursor) = match self.published(account).await? {
            Ok(published) => published,
            Err(scanned) => return Ok(Err(scanned)),
        };
        let Some(tail) = self.tail(account, &cursor).await? else { return Ok(Err(Scanned::TooMuchNew)) };
        let (asked, reading) = (filter.clone(), Arc::clone(&opened));
        let answer = apart(move || ask(&reading.reader, &asked)).await?;
        let Some(answer) = answer.map_err(|error| opened.damage.judge(&error))? else {
            return Ok(Err(Scanned::NotText));
        };
        let manifest = (opened.edition, opened.generation, opened.reader.manifest().segments.len());
        Ok(Ok(Read { answer, tail, cursor, manifest }))
    }

    /// Emails that came after the cursor; none if they are too many.
    async fn tail(&self, account: AccountId, cursor: &Indexed) -> Result<Option<BTreeSet<EmailId>>, Error> {
        let (mut from, mut tail) = (ModSeq(cursor.upto), BTreeSet::new());
        loop {
            let read = match log::read(self.segments.database(), account, from, ENTRIES).await {
                Err(changes::Error::CannotCalculate) => return Ok(None),
                read => read?,
            };
            let created =
                read.entries.iter().filter(|(_, record)| record.kind == ChangeKind::EmailCreated as i32);
            tail.extend(created.flat_map(|(_, record)| record.emails.iter().map(|id| EmailId(*id))));
            if tail.len() > TAIL {
                return Ok(None);
            }
            if !read.more {
                return Ok(Some(tail));
            }
            from = read.upto;
        }
    }

    /// What an error means for a search: mostly that messages are scanned.
    async fn refused(&self, account: AccountId, error: Error) -> Result<Scanned, mail::Error> {
        let shard = self.segments.shard_of(account);
        match error {
            Error::Mail(error) => Err(error),
            Error::Segments(segments::Error::Kv(error)) => Err(error.into()),
            Error::Changes(error) => Err(error.into()),
            Error::NotNow => Ok(Scanned::Away),
            Error::Damaged(_) | Error::Panicked => {
                self.readers.failed(shard);
                damaged(&self.segments, shard, &error).await;
                Ok(Scanned::Damaged)
            }
            _ => {
                tracing::debug!(shard, %error, "messages are scanned");
                self.readers.failed(shard);
                Ok(Scanned::Away)
            }
        }
    }
}

/// How long an answer of so many messages is waited for: longer only where a scan of them is beyond what a search may take,
/// so that one that is not begins soon enough to end.
fn patience(of: usize) -> Duration {
    let scan = Duration::from_secs(of as u64) / SCANNED;
    let most = Budget::default().time;
    if scan > most { most } else { PATIENCE }
}

fn told(answer: Answer, tail: &BTreeSet<EmailId>, cursor: &Indexed, manifest: (u32, u64, usize)) -> Told {
    let sure = in_order(answer.sure);
    let aside = cursor.aside.iter().map(|id| EmailId(*id));
    let maybe = answer.maybe.into_iter().chain(tail.iter().copied()).chain(aside);
    let maybe = in_order(maybe.filter(|email| sure.binary_search(email).is_err()).collect());
    Told { sure, maybe, tail: tail.len(), upto: ModSeq(cursor.upto), manifest }
}

/// Each once. A frequent word has half a million of them, which come in runs that are in order.
fn in_order(mut emails: Vec<EmailId>) -> Vec<EmailId> {
    emails.sort();
    emails.dedup();
    emails
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scan_that_may_be_made_does_not_wait_long() {
        let most = Budget::default().time;
        for of in [0, 1_000, 125_000, 400_000, 625_000, 750_000] {
            assert_eq!(patience(of), PATIENCE, "{of} messages");
        }
        for of in [750_001, 1_000_000, usize::MAX] {
            assert_eq!(patience(of), most, "{of} messages, which can not be scanned");
        }
    }
}
