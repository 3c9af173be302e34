//! The way through a store.

use crate::across::check_row_in;
use crate::{Cursor, Error, Pass, Scope, Verifier};
use findings::{Finding, Held, stretch};
use futures::{StreamExt, stream};
use schema::AccountId;
use schema::keys::blob as bodies;
use schema::keys::mail::{TAG as MAIL, account_range};

/// Bodies that are read at once.
const AT_ONCE: usize = 4;

/// What a page of the way found.
#[derive(Debug, Default)]
pub struct Page {
    /// What does not fit.
    pub findings: Vec<Finding>,
    /// What could not be looked at, in words.
    pub skipped: Vec<String>,
    /// Rows looked at.
    pub rows: u64,
    /// Bodies looked for, or read.
    pub bodies: u64,
    /// Where to go on; none at the end.
    pub next: Option<Cursor>,
}

type Range = (Vec<u8>, Vec<u8>);

impl Verifier {
    /// Looks through what comes next.
    ///
    /// # Errors
    /// The store's, and those of the place where bodies lie: asking again for the same page may help.
    pub async fn page(&self, scope: &Scope, from: &Cursor) -> Result<Page, Error> {
        match from.pass {
            Pass::Rows => self.rows(scope, &from.key).await,
            Pass::Counts => self.counts(scope, &from.key).await,
        }
    }

    /// All there is to find: for stores of a moderate size.
    ///
    /// # Errors
    /// As [`Verifier::page`].
    pub async fn all(&self, scope: &Scope) -> Result<Vec<Finding>, Error> {
        let (mut found, mut next) = (Vec::new(), Some(Cursor::START));
        while let Some(from) = next {
            let page = self.page(scope, &from).await?;
            found.extend(page.findings);
            next = page.next;
        }
        Ok(found)
    }

    async fn rows(&self, scope: &Scope, from: &[u8]) -> Result<Page, Error> {
        let ranges = self.ranges(scope).await?;
        let Some((begin, end)) = ranges.into_iter().find(|(_, end)| from < end.as_slice()) else {
            return Ok(Page {
                next: Some(Cursor { pass: Pass::Counts, key: Vec::new() }),
                ..Page::default()
            });
        };
        let begin = begin.max(from.to_vec());
        let check = |txn, (key, value): kv::Row| async move { check_row_in(&txn, &key, &value).await };
        let found = stretch(&self.db, &begin, &end, check).await?;
        let mut page = Page { rows: found.rows, ..Page::default() };
        for finding in found.findings {
            if self.stands(&finding).await? {
                page.findings.push(finding);
            }
        }
        self.probe(scope, found.bodies, &mut page).await?;
        page.next = Some(Cursor { pass: Pass::Rows, key: found.next.unwrap_or(end) });
        Ok(page)
    }

    /// Where the rows lie, in their order.
    async fn ranges(&self, scope: &Scope) -> Result<Vec<Range>, Error> {
        let Some(account) = scope.account else {
            return Ok(vec![(Vec::new(), vec![kv::limits::SYSTEM_KEYS])]);
        };
        let mut ranges = mail::ranges(account);
        let directory = self.db.read("verify.account", |txn| async move {
            Ok::<_, Error>(accounts::of_account(&txn, account).await?)
        });
        ranges.extend(directory.await?);
        ranges.sort();
        Ok(ranges)
    }

    /// Looks again at the row whose check found it, alone.
    pub(crate) async fn stands(&self, finding: &Finding) -> Result<bool, Error> {
        self.db
            .read("verify.again", |txn| async move {
                let Some(value) = txn.get(&finding.source).await? else { return Ok(false) };
                Ok(check_row_in(&txn, &finding.source, &value).await?.confirms(finding))
            })
            .await
    }

    /// Looks for the bytes of bodies.
    async fn probe(&self, scope: &Scope, held: Vec<Held>, page: &mut Page) -> Result<(), Error> {
        // Of a whole store each body is looked for once, for its own row.
        let own = if scope.account.is_some() { MAIL } else { bodies::TAG };
        let wanted = |held: &Held| held.source.first() == Some(&own) && (scope.bodies || !held.seen);
        let blobs = self.mail.blobs();
        let looks = held
            .into_iter()
            .filter(wanted)
            .map(|held| async move { blobs.probe(held.hash, &held.source, scope.bodies).await });
        let mut found = stream::iter(looks).buffered(AT_ONCE);
        while let Some(found) = found.next().await {
            page.bodies += 1;
            page.findings.extend(found?);
        }
        Ok(())
    }

    async fn counts(&self, scope: &Scope, from: &[u8]) -> Result<Page, Error> {
        let account = match scope.account {
            Some(_) if !from.is_empty() => None,
            Some(account) => Some(account),
            None => self.next_account(from).await?,
        };
        let Some(account) = account else { return Ok(Page::default()) };
        let mut page = Page::default();
        match self.mail.recount(account).await {
            Ok(found) => page.findings = found,
            Err(error @ (mail::Error::LimitReached(_) | mail::Error::Key(_) | mail::Error::Record(_))) => {
                page.skipped.push(format!("account {account} is not counted: {error}"));
            }
            Err(error) => return Err(error.into()),
        }
        page.next = Some(Cursor { pass: Pass::Counts, key: account_range(account).1 });
        Ok(page)
    }

    /// The first account from a key on that has mail.
    async fn next_account(&self, from: &[u8]) -> Result<Option<AccountId>, Error> {
        let begin = from.max(&[MAIL]);
        let row = self.db.read("verify.account", |txn| async move {
            Ok::<_, Error>(txn.range(begin, &[MAIL + 1]).snapshot().first().await?)
        });
        Ok(match row.await? {
            Some((key, _)) => findings::place_of(&key).account,
            None => None,
        })
    }
}
