//! From an account's changes to what is to be indexed of it.

use std::collections::{BTreeMap, BTreeSet};

use changes::log;
use mail::Email;
use query::haystack::BODY;
use schema::records::mail::{ChangeKind, ChangeRecord};
use schema::{AccountId, EmailId, ModSeq};
use segments::{Cursor, Due, Filling, Indexed};

use crate::Error;
use crate::batch::{Batch, Message};
use crate::indexer::Shared;

/// Entries of a change log taken at once.
const ENTRIES: usize = 1_000;
/// Entries without a message in them that are passed over without moving the cursor: whoever asks reads them again.
const IDLE: usize = 200;
/// Emails of an account looked at together.
const PAGE: usize = 100;
/// Emails that could not be read, of one account; with more of them its cursor stays where it is.
const ASIDE: usize = 1_000;

/// Follows accounts into a batch.
pub(crate) struct Follower<'a> {
    pub(crate) shared: &'a Shared,
    pub(crate) edition: u32,
    pub(crate) batch: &'a mut Batch,
}

impl Follower<'_> {
    /// Adds what is due of an account, as much as the batch takes; says whether that was all.
    pub(crate) async fn take(&mut self, due: &Due) -> Result<bool, Error> {
        let account = due.account;
        let alive = match due.state {
            Some(_) => self.shared.mail.exists(account).await?,
            None => false,
        };
        let (true, Some(state)) = (alive, due.state) else {
            if due.cursor.is_some() || due.damaged {
                self.batch.gone_accounts.push(account);
                self.batch.cursors.insert(account, Cursor::Gone);
            }
            return Ok(true);
        };
        if due.damaged {
            self.batch.damaged = Some(account);
            return Ok(true);
        }
        match &due.cursor {
            None => self.fill(account, begin(state)).await,
            Some(cursor) if cursor.filling.is_some() => self.fill(account, cursor.clone()).await,
            Some(cursor) => self.follow(account, cursor.clone(), state).await,
        }
    }

    /// Adds what an account has, in the order of ids.
    async fn fill(&mut self, account: AccountId, mut cursor: Indexed) -> Result<bool, Error> {
        let Some(mut filling) = cursor.filling else { return Ok(true) };
        let mail = &self.shared.mail;
        loop {
            let ids = mail.email_ids(account, EmailId(filling.after), PAGE).await?;
            if ids.is_empty() {
                // What came since it began may have been met, or not.
                let state = mail.state(account).await?.0;
                cursor = Indexed { upto: filling.begun, doubtful: state, filling: None, ..cursor };
                self.batch.cursors.insert(account, Cursor::Grown(cursor));
                return Ok(state == filling.begun);
            }
            let emails = emails(self.shared, account, &ids).await?;
            for id in ids {
                if !self.add(account, id, emails.get(&id), &mut cursor).await? {
                    return Ok(true);
                }
                filling.after = id.0;
                cursor.filling = Some(filling);
                if self.batch.is_full(self.shared.options.batch) {
                    self.batch.cursors.insert(account, Cursor::Grown(cursor));
                    return Ok(false);
                }
            }
        }
    }

    /// Adds what the log has since the cursor.
    async fn follow(
        &mut self,
        account: AccountId,
        mut cursor: Indexed,
        state: ModSeq,
    ) -> Result<bool, Error> {
        let db = self.shared.segments.database();
        let read = match log::read(db, account, ModSeq(cursor.upto), ENTRIES).await {
            // It was not looked at for longer than the log is kept.
            Err(changes::Error::CannotCalculate) => {
                self.batch.gone_accounts.push(account);
                return self.fill(account, begin(state)).await;
            }
            read => read?,
        };
        let of = |record: &ChangeRecord, kind: ChangeKind| record.kind == kind as i32;
        let destroyed: BTreeSet<u64> = read
            .entries
            .iter()
            .filter(|(_, record)| of(record, ChangeKind::EmailDestroyed))
            .flat_map(|(_, record)| record.emails.iter().copied())
            .collect();
        let created = |record: &ChangeRecord| of(record, ChangeKind::EmailCreated);
        if !read.more
            && read.entries.len() < IDLE
            && destroyed.is_empty()
            && !read.entries.iter().any(|(_, record)| created(record))
        {
            self.shared.pass(self.edition, account, read.upto);
            return Ok(true);
        }
        let commits = read.entries.chunk_by(|(a, _), (b, _)| a.version() == b.version());
        for commit in commits {
            let version = commit[0].0.version();
            let new = commit.iter().filter(|(_, record)| created(record));
            let new: Vec<EmailId> = new
                .flat_map(|(_, record)| record.emails.iter().copied())
                .filter(|id| !destroyed.contains(id))
                .map(EmailId)
                .collect();
            if !self.add_new(account, &new, version, &mut cursor).await? {
                return Ok(true);
            }
            let old = commit.iter().filter(|(_, record)| of(record, ChangeKind::EmailDestroyed));
            let old = old.flat_map(|(_, record)| record.emails.iter().copied());
            cursor.aside.retain(|id| !destroyed.contains(id));
            self.batch.gone.extend(old.map(|id| (account, EmailId(id))));
            cursor.upto = version;
            if self.batch.is_full(self.shared.options.batch) {
                self.batch.cursors.insert(account, Cursor::Grown(cursor));
                return Ok(false);
            }
        }
        cursor.upto = read.upto.0.max(cursor.upto);
        self.batch.cursors.insert(account, Cursor::Grown(cursor));
        Ok(!read.more)
    }

    async fn add_new(
        &mut self,
        account: AccountId,
        ids: &[EmailId],
        version: u64,
        cursor: &mut Indexed,
    ) -> Result<bool, Error> {
        let emails = emails(self.shared, account, ids).await?;
        for id in ids {
            if version <= cursor.doubtful && !self.batch.has(account, *id) {
                self.batch.gone.push((account, *id));
            }
            if !self.add(account, *id, emails.get(id), cursor).await? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Adds an email if it is there. Says false when so many could not be read that the cursor must not move.
    async fn add(
        &mut self,
        account: AccountId,
        id: EmailId,
        email: Option<&Email>,
        cursor: &mut Indexed,
    ) -> Result<bool, Error> {
        let Some(email) = email.filter(|_| !self.batch.has(account, id)) else { return Ok(true) };
        let mail = &self.shared.mail;
        let read = async {
            let summary = mail.summary(account, id).await?;
            let bytes = mail.body(email.blob, 0..email.size.min(BODY)).await?;
            Ok::<_, mail::Error>((summary, bytes))
        };
        let readable = match read.await {
            Ok((summary, bytes)) => {
                let files = self.shared.attachments.texts(&bytes, &summary).await;
                self.batch.add(Message { account, email: id, summary, bytes, files }).await?
            }
            // It went meanwhile: the log says so later.
            Err(mail::Error::NotFound) => true,
            Err(mail::Error::Blob(error @ (blob::Error::Corrupt { .. } | blob::Error::NotFound(_)))) => {
                tracing::warn!(%error, %account, email = %id, "a message cannot be indexed");
                false
            }
            Err(error) => return Err(error.into()),
        };
        if !readable {
            if cursor.aside.len() >= ASIDE {
                return Ok(false);
            }
            cursor.aside.push(id.0);
        }
        Ok(true)
    }
}

async fn emails(
    shared: &Shared,
    account: AccountId,
    ids: &[EmailId],
) -> Result<BTreeMap<EmailId, Email>, Error> {
    let emails = shared.mail.emails(account, ids).await?;
    Ok(emails.into_iter().map(|email| (email.id, email)).collect())
}

/// An account of which nothing is indexed.
fn begin(state: ModSeq) -> Indexed {
    let filling = Some(Filling { after: 0, begun: state.0 });
    Indexed { filling, ..Indexed::default() }
}
