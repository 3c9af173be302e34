//! A catalogue from nothing: of the rows of all mailboxes.

use std::collections::HashMap;

use kv::Transaction;
use schema::keys::mail::MessageKey;
use schema::records::mail::MessageRecord;
use schema::{AccountId, EmailId, Flags, Key, MailboxId, SystemFlags};

use super::columns::{Columns, Entry};
use super::{Catalog, Known, Remembered, Stored};
use crate::keywords::Names;
use crate::{Error, MailboxRef, Store};

/// Rows read by one transaction.
const ROWS: usize = 5_000;

/// Rows that one transaction has read.
struct Page {
    rows: Vec<MessageRecord>,
    /// What flags there are that were not known yet.
    flags: Vec<(Stored, Flags)>,
    next: Option<u32>,
}

/// What is gathered from mailboxes.
#[derive(Default)]
struct Gathered {
    columns: Columns,
    entries: Vec<Entry>,
    /// Where the emails are of which a copy was met.
    met: HashMap<EmailId, usize>,
    known: Known,
}

impl Store {
    /// Fills a catalogue as of a moment before the first row was read: what changed meanwhile the log tells.
    pub(super) async fn fill_catalog(&self, account: AccountId, one: &Remembered) -> Result<(), Error> {
        let as_of = self.state(account).await?;
        let mut gathered = Gathered::default();
        for mailbox in self.mailboxes(account).await? {
            let (at, mut from) = (MailboxRef { account, mailbox: mailbox.id }, Some(1));
            while let Some(first) = from {
                let page = self.rows_for_catalog(at, first, &gathered.known).await?;
                from = page.next;
                gathered.take(mailbox.id, page);
            }
        }
        let Gathered { mut columns, mut entries, .. } = gathered;
        entries.sort_unstable_by_key(|entry| (entry.received, entry.id));
        columns.insert(entries);
        columns.shrink();
        *one.catalog.write() = Some(Catalog { as_of, whole: false, columns });
        Ok(())
    }

    async fn rows_for_catalog(&self, at: MailboxRef, first: u32, known: &Known) -> Result<Page, Error> {
        self.db
            .read("mail.catalog", |txn| async move {
                let (rows, next) = page_in(&txn, at, first).await?;
                let (mut names, mut flags, mut new) = (Names::default(), Vec::new(), Known::new());
                for row in &rows {
                    let stored = (row.system.bits(), row.keywords.clone());
                    if !known.contains_key(&stored) && new.insert(stored.clone(), 0).is_none() {
                        let named = names.flags(&txn, at.account, row.system, &row.keywords).await?;
                        flags.push((stored, named));
                    }
                }
                Ok(Page { rows, flags, next })
            })
            .await
    }
}

/// Rows of a mailbox that are seen, and from where to go on.
async fn page_in(
    txn: &Transaction,
    at: MailboxRef,
    first: u32,
) -> Result<(Vec<MessageRecord>, Option<u32>), Error> {
    let (begin, end) = MessageKey::range(at.account, at.mailbox, first, u32::MAX);
    let mut stored = txn.range(&begin, &end).snapshot().limit(ROWS);
    let (mut rows, mut read, mut last) = (Vec::new(), 0, first);
    while let Some((key, value)) = stored.try_next().await? {
        read += 1;
        last = MessageKey::decode(&key)?.uid.get();
        let row = MessageRecord::from_bytes(&value)?;
        if !row.system.contains(SystemFlags::DELETED) {
            rows.push(row);
        }
    }
    Ok((rows, if read == ROWS { last.checked_add(1) } else { None }))
}

impl Gathered {
    fn take(&mut self, mailbox: MailboxId, page: Page) {
        for (stored, flags) in page.flags {
            let number = self.columns.flags.number(flags);
            self.known.insert(stored, number);
        }
        for row in page.rows {
            let set = self.known.get(&(row.system.bits(), row.keywords)).copied().unwrap_or_default();
            match self.met.get(&row.email).and_then(|at| self.entries.get_mut(*at)) {
                Some(entry) => entry.copies.push((mailbox, set)),
                None => {
                    self.met.insert(row.email, self.entries.len());
                    self.entries.push(Entry {
                        received: row.internal_date,
                        id: row.email,
                        size: row.size,
                        thread: row.thread,
                        copies: vec![(mailbox, set)],
                    });
                }
            }
        }
    }
}
