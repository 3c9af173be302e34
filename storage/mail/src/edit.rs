//! Changes of emails as a whole: the flags of all their copies, and which mailboxes have one (RFC 8621 §4.6).

use std::collections::{BTreeMap, BTreeSet};

use changes::Kinds;
use content_mail::Summary;
use futures::future::try_join_all;
use futures::try_join;
use kv::Transaction;
use schema::codec::PENDING;
use schema::records::mail::{ChangeKind, ChangeRecord, EmailRecord, MessageRecord};
use schema::{AccountId, EmailId, Flags, MailboxId, ModSeq, SystemFlags};

use crate::emails::{Live, Row, copies_in, email_in};
use crate::expunge::{AT_ONCE, Farewell, Leaving};
use crate::flags::{self, FlagChange};
use crate::index::SortValues;
use crate::ingest::insert_in;
use crate::keywords::{Names, Numbers};
use crate::messages::{Whole, structure_in};
use crate::{Appended, Error, Incoming, MailboxRef, Store, convert, pace, quota};

/// Where an email is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// Where it is.
    Same,
    /// There as well, and there no more.
    Change {
        /// Where it is to be too.
        add: BTreeSet<MailboxId>,
        /// Where it is not to be.
        remove: BTreeSet<MailboxId>,
    },
    /// There and nowhere else.
    Only(BTreeSet<MailboxId>),
    /// Nowhere: it is to go.
    Nowhere,
}

/// What is to become of an email.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EmailEdit {
    /// Which.
    pub email: EmailId,
    /// Its flags; `\Deleted` is not among them.
    pub flags: Option<FlagChange>,
    /// Where it is to be.
    pub place: Place,
    /// The mailboxes whose copies are meant: to whoever asks there are no others, and they stay as they are. None for all.
    pub within: Option<BTreeSet<MailboxId>>,
}

/// Why an email stays as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// It is not there, or nowhere seen.
    NotFound,
    /// There are no such mailboxes.
    NoMailbox(Vec<MailboxId>),
    /// It would be nowhere.
    Homeless,
    /// The account is full.
    OverQuota,
}

/// What became of emails.
#[derive(Debug, Clone, Default)]
pub struct Edited {
    /// For each email in turn.
    pub outcomes: Vec<Result<(), Refusal>>,
    /// The commits that it took, ascending.
    pub commits: Vec<ModSeq>,
}

impl Store {
    /// Changes emails, in as many transactions as it takes; each email is changed as a whole or not at all.
    ///
    /// # Errors
    /// The store's; what was changed before stays.
    pub async fn edit_emails(&self, account: AccountId, edits: &[EmailEdit]) -> Result<Edited, Error> {
        let mut all = Edited::default();
        while let Some(rest) = edits.get(all.outcomes.len()..).filter(|rest| !rest.is_empty()) {
            let ((outcomes, touched), version) =
                self.db
                    .transact_versioned("mail.edit", |txn| async move {
                        self.edit_page_in(&txn, account, rest).await
                    })
                    .await?;
            all.outcomes.extend(outcomes);
            if !touched.is_empty() {
                all.commits.push(ModSeq(version.version()));
                let mailboxes: Vec<MailboxId> = touched.into_iter().collect();
                self.tell(account, &mailboxes, version, Kinds::MESSAGES | Kinds::FLAGS | Kinds::EXPUNGE);
            }
        }
        Ok(all)
    }

    async fn edit_page_in(
        &self,
        txn: &Transaction,
        account: AccountId,
        edits: &[EmailEdit],
    ) -> Result<(Vec<Result<(), Refusal>>, BTreeSet<MailboxId>), Error> {
        let (mut page, mut outcomes) = (Page::new(self, txn, account), Vec::new());
        let mut met = BTreeSet::new();
        // What a transaction has written under its own stamp it cannot read: an email that comes again is the next one's.
        let once = edits.iter().position(|edit| !met.insert(edit.email)).unwrap_or(edits.len());
        'page: for some in edits[..once].chunks(AT_ONCE) {
            let seen = try_join_all(some.iter().map(|edit| Seen::look(txn, account, edit))).await?;
            for (edit, seen) in some.iter().zip(seen) {
                if !outcomes.is_empty() && pace::is_spent(txn) {
                    break 'page;
                }
                outcomes.push(page.edit(edit, seen).await?);
            }
        }
        page.let_go().await?;
        Ok((outcomes, page.settle()))
    }

    /// Stores a message in mailboxes of an account, at least one.
    ///
    /// # Errors
    /// [`Error::NotFound`] for a mailbox, [`Error::OverQuota`]; else the store's.
    pub async fn append_in_each(
        &self,
        account: AccountId,
        mailboxes: &BTreeSet<MailboxId>,
        incoming: &Incoming,
        flags: &Flags,
        received: i64,
    ) -> Result<Appended, Error> {
        let first = *mailboxes.first().ok_or(Error::Invalid("an email is in a mailbox at least"))?;
        let (pending, version) = self
            .db
            .transact_versioned("mail.append", |txn| async move {
                let at = MailboxRef { account, mailbox: first };
                let (pending, row) = self.append_row_in(&txn, at, incoming, flags, received).await?;
                let others: Vec<MailboxId> = mailboxes.iter().copied().skip(1).collect();
                if !others.is_empty() {
                    let values = SortValues::of(&incoming.summary, received, row.size);
                    self.spread_in(&txn, account, &row, &values, &others).await?;
                }
                Ok::<_, Error>(pending)
            })
            .await?;
        let others: Vec<MailboxId> = mailboxes.iter().copied().skip(1).collect();
        self.tell(account, &others, version, Kinds::MESSAGES);
        Ok(self.committed(&pending, version))
    }

    /// Puts an email that this transaction has stored into further mailboxes.
    async fn spread_in(
        &self,
        txn: &Transaction,
        account: AccountId,
        row: &MessageRecord,
        values: &SortValues,
        others: &[MailboxId],
    ) -> Result<(), Error> {
        quota::check_in(txn, account, row.size * others.len() as u64, others.len() as u64).await?;
        for mailbox in others {
            let at = MailboxRef { account, mailbox: *mailbox };
            crate::mailbox::record_in(txn, at).await?;
            insert_in(txn, at, row, values).await?;
        }
        let log = ChangeRecord {
            kind: ChangeKind::EmailUpdated as i32,
            at: self.now_secs(),
            emails: vec![row.email.0],
            mailboxes: others.iter().map(|id| id.0).collect(),
            ..ChangeRecord::default()
        };
        // Not the number that the entry of its creation uses.
        changes::log::record_in(txn, account, !row.email.0, &log);
        Ok(())
    }
}

/// What is read of an email before anything of it is written.
struct Seen {
    email: EmailRecord,
    copies: Vec<Row>,
    /// Of one that may come or go.
    summary: Option<Summary>,
}

impl Seen {
    async fn look(txn: &Transaction, account: AccountId, edit: &EmailEdit) -> Result<Option<Seen>, Error> {
        let Some(email) = email_in(txn, account, edit.email).await? else { return Ok(None) };
        let summary = async {
            if edit.place == Place::Same {
                return Ok(None);
            }
            structure_in(txn, account, edit.email).await.map(|record| Some(convert::from_record(record)))
        };
        let (copies, summary) = try_join!(copies_in(txn, account, edit.email), summary)?;
        Ok(Some(Seen { email, copies, summary }))
    }
}

/// What one transaction gathers.
struct Page<'a> {
    store: &'a Store,
    txn: &'a Transaction,
    account: AccountId,
    live: Live,
    names: Names,
    numbers: Numbers,
    flags: BTreeMap<MailboxId, flags::Page>,
    /// Copies that are to leave.
    going: BTreeMap<MailboxId, Vec<Whole>>,
    leaving: BTreeMap<MailboxId, Leaving>,
    farewell: Farewell,
    touched: BTreeSet<MailboxId>,
}

impl<'a> Page<'a> {
    fn new(store: &'a Store, txn: &'a Transaction, account: AccountId) -> Self {
        Page {
            store,
            txn,
            account,
            live: Live::default(),
            names: Names::default(),
            numbers: Numbers::default(),
            flags: BTreeMap::new(),
            going: BTreeMap::new(),
            leaving: BTreeMap::new(),
            farewell: Farewell::default(),
            touched: BTreeSet::new(),
        }
    }

    fn at(&self, mailbox: MailboxId) -> MailboxRef {
        MailboxRef { account: self.account, mailbox }
    }

    /// Looks at everything first, so that nothing is written for an email that is refused.
    async fn edit(&mut self, edit: &EmailEdit, seen: Option<Seen>) -> Result<Result<(), Refusal>, Error> {
        let Some(Seen { email, copies, summary }) = seen else { return Ok(Err(Refusal::NotFound)) };
        let (mut rows, mut elsewhere) = (Vec::new(), BTreeSet::new());
        for row in copies {
            if !self.live.is_in(self.txn, self.at(row.mailbox)).await? {
                continue;
            }
            if edit.within.as_ref().is_none_or(|within| within.contains(&row.mailbox)) {
                rows.push(row);
            } else {
                elsewhere.insert(row.mailbox);
            }
        }
        let seen = |row: &&Row| !row.record.system.contains(SystemFlags::DELETED);
        let here: BTreeSet<MailboxId> = rows.iter().filter(seen).map(|row| row.mailbox).collect();
        if here.is_empty() {
            return Ok(Err(Refusal::NotFound));
        }
        let there = match target(&edit.place, &here) {
            Ok(there) => there,
            Err(refusal) => return Ok(Err(refusal)),
        };
        // No second copy where there is one that is not meant.
        let more: Vec<MailboxId> =
            there.difference(&here).filter(|id| !elsewhere.contains(id)).copied().collect();
        let mut missing = Vec::new();
        for mailbox in &more {
            if !self.live.is_in(self.txn, self.at(*mailbox)).await? {
                missing.push(*mailbox);
            }
        }
        if !missing.is_empty() {
            return Ok(Err(Refusal::NoMailbox(missing)));
        }
        let growth = more.len().saturating_sub(here.difference(&there).count()) as u64;
        match quota::check_in(self.txn, self.account, email.size * growth, growth).await {
            Ok(()) => {}
            Err(Error::OverQuota) => return Ok(Err(Refusal::OverQuota)),
            Err(error) => return Err(error),
        }
        self.write(edit, rows, summary.as_ref(), &there, &more).await.map(Ok)
    }

    async fn write(
        &mut self,
        edit: &EmailEdit,
        rows: Vec<Row>,
        summary: Option<&Summary>,
        there: &BTreeSet<MailboxId>,
        more: &[MailboxId],
    ) -> Result<(), Error> {
        let flags = self.flags_of(&rows).await?;
        let flags = edit.flags.as_ref().map_or_else(|| flags.clone(), |change| change.of(&flags));
        let values = |record: &MessageRecord| {
            summary.map(|summary| SortValues::of(summary, record.internal_date, record.size))
        };
        if let (Some(row), false) = (rows.first(), more.is_empty())
            && let Some(values) = values(&row.record)
        {
            self.add(&row.record, &values, &flags, more).await?;
        }
        for row in rows {
            let marked = row.record.system.contains(SystemFlags::DELETED);
            if there.contains(&row.mailbox) {
                // A copy that is marked for removal is nobody's to see: it stays as its owner left it.
                if !marked && edit.flags.is_some() {
                    self.flag(row, &flags).await?;
                }
            } else if !marked || matches!(edit.place, Place::Nowhere) {
                let Row { mailbox, uid, record } = row;
                let Some(values) = values(&record) else { continue };
                self.touched.insert(mailbox);
                self.going.entry(mailbox).or_default().push(Whole { uid, record, values });
            }
        }
        if matches!(edit.place, Place::Nowhere) {
            // Copies that stay are in mailboxes that are being emptied, or not the caller's.
            self.farewell.note_hidden();
        }
        if self.going.values().map(Vec::len).sum::<usize>() >= AT_ONCE {
            self.let_go().await?;
        }
        Ok(())
    }

    async fn flags_of(&mut self, rows: &[Row]) -> Result<Flags, Error> {
        let mut all = Flags::none();
        for row in rows.iter().filter(|row| !row.record.system.contains(SystemFlags::DELETED)) {
            let record = &row.record;
            let flags = self.names.flags(self.txn, self.account, record.system, &record.keywords).await?;
            all = all.union(&flags);
        }
        Ok(all)
    }

    async fn add(
        &mut self,
        record: &MessageRecord,
        values: &SortValues,
        flags: &Flags,
        more: &[MailboxId],
    ) -> Result<(), Error> {
        let row = MessageRecord {
            stamp: PENDING,
            system: flags.system,
            keywords: self.numbers.of(self.txn, self.account, &flags.keywords).await?,
            save_date: self.store.now_secs(),
            ..record.clone()
        };
        for mailbox in more {
            insert_in(self.txn, self.at(*mailbox), &row, values).await?;
            self.touched.insert(*mailbox);
        }
        self.farewell.note_updated(record);
        Ok(())
    }

    async fn flag(&mut self, row: Row, flags: &Flags) -> Result<(), Error> {
        let (at, record) = (self.at(row.mailbox), row.record.clone());
        let change = FlagChange::Replace(flags.clone());
        let page = self.flags.entry(row.mailbox).or_default();
        let (_, changed) = page.apply(self.txn, at, row.uid, row.record, &change).await?;
        if changed {
            self.touched.insert(row.mailbox);
            self.farewell.note_updated(&record);
        }
        Ok(())
    }

    /// Takes what is to leave out of its mailboxes. An email whose copies all leave goes with the last.
    async fn let_go(&mut self) -> Result<(), Error> {
        for (mailbox, messages) in std::mem::take(&mut self.going) {
            let at = self.at(mailbox);
            let leaving = self.leaving.entry(mailbox).or_default();
            leaving.take_all_in(self.store, self.txn, at, &messages).await?;
        }
        Ok(())
    }

    /// Writes what is kept per mailbox and the log; returns the mailboxes that changed.
    fn settle(mut self) -> BTreeSet<MailboxId> {
        for (mailbox, page) in std::mem::take(&mut self.flags) {
            if self.touched.contains(&mailbox) {
                page.settle_in(self.txn, self.at(mailbox));
            }
        }
        for (mailbox, leaving) in std::mem::take(&mut self.leaving) {
            let farewell = leaving.vanish_in(self.txn, self.at(mailbox));
            self.farewell.merge(farewell);
        }
        let touched: Vec<u32> = self.touched.iter().map(|id| id.0).collect();
        self.farewell.log_in(self.store, self.txn, self.account, &touched);
        self.touched
    }
}

fn target(place: &Place, here: &BTreeSet<MailboxId>) -> Result<BTreeSet<MailboxId>, Refusal> {
    let there: BTreeSet<MailboxId> = match place {
        Place::Nowhere => return Ok(BTreeSet::new()),
        Place::Same => here.clone(),
        Place::Change { add, remove } => here.union(add).filter(|id| !remove.contains(id)).copied().collect(),
        Place::Only(there) => there.clone(),
    };
    if there.is_empty() { Err(Refusal::Homeless) } else { Ok(there) }
}
