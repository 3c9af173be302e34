//! The ordered indexes of a mailbox: a message's rows in them, and scans.

use kv::Transaction;
use schema::keys::mail::{FlagKey, FlagNumber, FromKey, ReceivedKey, SentKey, SizeKey, SubjectKey};
use schema::{Key, Keyword, SystemFlags, Uid};

use crate::{Error, MailboxRef, Store, UidSet, keywords};
use content_mail::Summary;
use content_mail::address::Address;

/// Bytes of a From address kept for sorting.
const FROM: usize = 32;
/// Bytes of a base subject kept for sorting.
const SUBJECT: usize = 48;

/// By what a mailbox is kept in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SortKey {
    /// INTERNALDATE.
    Received,
    /// The Date field, INTERNALDATE where it is missing (RFC 5256 §2.2).
    Sent,
    /// Octets.
    Size,
    /// The local part of the first From address (RFC 5256 §3), its beginning.
    From,
    /// The base subject, its beginning.
    Subject,
}

/// What a message is sorted by: the part of it that never changes.
#[derive(Debug, Clone)]
pub(crate) struct SortValues {
    pub(crate) received: i64,
    pub(crate) sent: i64,
    pub(crate) size: u64,
    pub(crate) from: Vec<u8>,
    pub(crate) subject: Vec<u8>,
}

impl SortValues {
    pub(crate) fn of(summary: &Summary, received: i64, size: u64) -> Self {
        let from = match summary.envelope.from.first() {
            Some(Address::Mailbox(mailbox)) => mailbox.local.to_lowercase(),
            Some(Address::Group { name, .. }) => name.to_lowercase(),
            None => String::new(),
        };
        Self {
            received,
            sent: summary.sent.map_or(received, |ms| ms.div_euclid(1000)),
            size,
            from: cut(&from, FROM),
            subject: cut(&summary.base_subject.to_lowercase(), SUBJECT),
        }
    }

    /// Its keys in the sort indexes.
    pub(crate) fn keys(&self, at: MailboxRef, uid: Uid) -> [Vec<u8>; 5] {
        let MailboxRef { account, mailbox } = at;
        [
            ReceivedKey { account, mailbox, seconds: self.received, uid }.encode(),
            SentKey { account, mailbox, seconds: self.sent, uid }.encode(),
            SizeKey { account, mailbox, size: self.size, uid }.encode(),
            FromKey { account, mailbox, from: self.from.clone(), uid }.encode(),
            SubjectKey { account, mailbox, subject: self.subject.clone(), uid }.encode(),
        ]
    }

    pub(crate) fn insert_in(&self, txn: &Transaction, at: MailboxRef, uid: Uid) {
        for key in self.keys(at, uid) {
            txn.set(&key, b"");
        }
    }

    pub(crate) fn remove_in(&self, txn: &Transaction, at: MailboxRef, uid: Uid) {
        for key in self.keys(at, uid) {
            txn.clear(&key);
        }
    }
}

/// At most `max` bytes, at a character boundary, without NUL.
fn cut(text: &str, max: usize) -> Vec<u8> {
    let mut end = text.len().min(max);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.bytes().take(end).filter(|b| *b != 0).collect()
}

/// The flag indexes a message with these flags is in.
pub(crate) fn flag_numbers(system: SystemFlags, keywords: &[u32]) -> Vec<FlagNumber> {
    let mut numbers: Vec<FlagNumber> =
        (0..5).filter(|bit| system.bits() & (1 << bit) != 0).map(FlagNumber::system).collect();
    if system.contains(SystemFlags::SEEN) {
        // Most messages are seen: that index would be nearly the mailbox, and the one of the others serves both.
        numbers.retain(|n| *n != FlagNumber::system(0));
    } else {
        numbers.push(FlagNumber::UNSEEN);
    }
    numbers.extend(keywords.iter().map(|id| FlagNumber::keyword(*id)));
    numbers
}

/// Moves a message from the flag indexes of its old flags to those of its new ones.
pub(crate) fn update_flags_in(
    txn: &Transaction,
    at: MailboxRef,
    uid: Uid,
    old: &[FlagNumber],
    new: &[FlagNumber],
) {
    let key = |flag: FlagNumber| FlagKey { account: at.account, mailbox: at.mailbox, flag, uid }.encode();
    for flag in old.iter().filter(|f| !new.contains(f)) {
        txn.clear(&key(*flag));
    }
    for flag in new.iter().filter(|f| !old.contains(f)) {
        txn.set(&key(*flag), b"");
    }
}

/// Rows read by one transaction of a scan.
const SCAN: usize = 20_000;

impl Store {
    /// The UIDs of a mailbox in an order. Equal ones come by UID.
    ///
    /// # Errors
    /// The store's.
    pub async fn sorted(&self, at: MailboxRef, by: SortKey) -> Result<Vec<u32>, Error> {
        let MailboxRef { account, mailbox } = at;
        let range = match by {
            SortKey::Received => ReceivedKey::range(account, mailbox),
            SortKey::Sent => SentKey::range(account, mailbox),
            SortKey::Size => SizeKey::range(account, mailbox),
            SortKey::From => FromKey::range(account, mailbox),
            SortKey::Subject => SubjectKey::range(account, mailbox),
        };
        let uid = move |key: &[u8]| {
            Ok(match by {
                SortKey::Received => ReceivedKey::decode(key)?.uid,
                SortKey::Sent => SentKey::decode(key)?.uid,
                SortKey::Size => SizeKey::decode(key)?.uid,
                SortKey::From => FromKey::decode(key)?.uid,
                SortKey::Subject => SubjectKey::decode(key)?.uid,
            }
            .get())
        };
        self.scan(range, uid).await
    }

    /// The messages that carry a system flag, one bit of [`SystemFlags`]; for `\Seen`, those that do **not**.
    ///
    /// # Errors
    /// The store's.
    pub async fn with_flag(&self, at: MailboxRef, flag: SystemFlags) -> Result<UidSet, Error> {
        let number = match flag {
            SystemFlags::SEEN => FlagNumber::UNSEEN,
            _ => FlagNumber::system(flag.bits().trailing_zeros()),
        };
        self.with_number(at, number).await
    }

    /// The lowest UID without `\Seen`: one row, however large the mailbox.
    ///
    /// # Errors
    /// The store's.
    pub async fn first_unseen(&self, at: MailboxRef) -> Result<Option<u32>, Error> {
        let (begin, end) = &FlagKey::range(at.account, at.mailbox, FlagNumber::UNSEEN, 0);
        self.db
            .read("mail.first_unseen", |txn| async move {
                let first = txn.range(begin, end).snapshot().limit(1).first().await?;
                Ok(first.map(|(key, _)| FlagKey::decode(&key)).transpose()?.map(|key| key.uid.get()))
            })
            .await
    }

    /// The messages that carry a keyword.
    ///
    /// # Errors
    /// The store's.
    pub async fn with_keyword(&self, at: MailboxRef, keyword: &Keyword) -> Result<UidSet, Error> {
        let number = self
            .db
            .read("mail.keyword", |txn| async move { keywords::number_in(&txn, at.account, keyword).await })
            .await?;
        match number {
            Some(id) => self.with_number(at, FlagNumber::keyword(id)).await,
            None => Ok(UidSet::new()),
        }
    }

    async fn with_number(&self, at: MailboxRef, flag: FlagNumber) -> Result<UidSet, Error> {
        let range = FlagKey::range(at.account, at.mailbox, flag, 0);
        let uids = self.scan(range, |key| Ok(FlagKey::decode(key)?.uid.get())).await?;
        Ok(uids.into_iter().collect())
    }

    async fn scan(
        &self,
        (mut begin, end): (Vec<u8>, Vec<u8>),
        uid: impl Fn(&[u8]) -> Result<u32, Error>,
    ) -> Result<Vec<u32>, Error> {
        let mut uids = Vec::new();
        loop {
            let (from, to) = (&begin, &end);
            let rows = self
                .db
                .read("mail.scan", |txn| async move {
                    Ok::<_, Error>(txn.range(from, to).snapshot().limit(SCAN).collect().await?)
                })
                .await?;
            for (key, _) in &rows {
                uids.push(uid(key)?);
            }
            match rows.last() {
                Some((last, _)) if rows.len() == SCAN => {
                    begin = [last, &b"\0"[..]].concat();
                }
                _ => return Ok(uids),
            }
        }
    }
}
