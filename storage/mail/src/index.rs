//! The ordered indexes of a mailbox: a message's rows in them, and scans.

use kv::Transaction;
use schema::keys::mail::{FlagKey, FlagNumber, FromKey, ReceivedKey, SentKey, SizeKey, SubjectKey};
use schema::{Key, Keyword, SystemFlags, Uid};

use crate::{Error, MailboxRef, Store, UidSet, keywords};
use content_mail::address::Address;
use content_mail::{Summary, sort_key};

/// Bytes of a From address kept for sorting: of two that agree so far, the messages themselves must be asked.
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
            Some(Address::Mailbox(mailbox)) => &mailbox.local,
            Some(Address::Group { name, .. }) => name,
            None => "",
        };
        Self {
            received,
            sent: summary.sent.map_or(received, |ms| ms.div_euclid(1000)),
            size,
            from: cut(sort_key(from), FROM),
            subject: cut(sort_key(&summary.base_subject), SUBJECT),
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

/// At most `max` bytes, wherever that is: so the order of what is cut is the order of the whole, as far as it goes.
fn cut(text: String, max: usize) -> Vec<u8> {
    let mut bytes = text.into_bytes();
    bytes.truncate(max);
    bytes
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
    /// The UIDs of a mailbox in an order.
    ///
    /// # Errors
    /// The store's.
    pub async fn sorted(&self, at: MailboxRef, by: SortKey) -> Result<Order, Error> {
        let MailboxRef { account, mailbox } = at;
        let range = match by {
            SortKey::Received => ReceivedKey::range(account, mailbox),
            SortKey::Sent => SentKey::range(account, mailbox),
            SortKey::Size => SizeKey::range(account, mailbox),
            SortKey::From => FromKey::range(account, mailbox),
            SortKey::Subject => SubjectKey::range(account, mailbox),
        };
        let (mut order, mut last) = (Order::default(), None);
        self.scan(range, |key| {
            let (place, uid) = place_of(by, key)?;
            order.push(uid.get(), last.as_ref() != Some(&place), place.is_cut(by));
            last = Some(place);
            Ok(())
        })
        .await?;
        Ok(order)
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
        let mut uids = Vec::new();
        self.scan(range, |key| {
            uids.push(FlagKey::decode(key)?.uid.get());
            Ok(())
        })
        .await?;
        Ok(uids.into_iter().collect())
    }

    /// Each key of a range, in order.
    async fn scan(
        &self,
        (mut begin, end): (Vec<u8>, Vec<u8>),
        mut each: impl FnMut(&[u8]) -> Result<(), Error>,
    ) -> Result<(), Error> {
        loop {
            let (from, to) = (&begin, &end);
            let rows = self
                .db
                .read("mail.scan", |txn| async move {
                    Ok::<_, Error>(txn.range(from, to).snapshot().limit(SCAN).collect().await?)
                })
                .await?;
            rows.iter().try_for_each(|(key, _)| each(key))?;
            match rows.last() {
                Some((last, _)) if rows.len() == SCAN => {
                    begin = [last, &b"\0"[..]].concat();
                }
                _ => return Ok(()),
            }
        }
    }
}

/// The UIDs of a mailbox in an order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Order {
    uids: Vec<u32>,
    /// Where each run ends, and whether it was cut.
    ends: Vec<(usize, bool)>,
}

/// Messages at one place of an order, by UID.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run<'a> {
    /// The messages.
    pub uids: &'a [u32],
    /// Only the beginning of what decides their place is kept: among each other they may differ.
    pub cut: bool,
}

impl Order {
    /// The places of the order, from its first to its last.
    pub fn runs(&self) -> impl DoubleEndedIterator<Item = Run<'_>> + Send {
        let begins = std::iter::once(0).chain(self.ends.iter().map(|(end, _)| *end));
        let runs: Vec<_> = begins.zip(&self.ends).collect();
        runs.into_iter().map(|(begin, (end, cut))| Run {
            uids: self.uids.get(begin..*end).unwrap_or_default(),
            cut: *cut,
        })
    }

    fn push(&mut self, uid: u32, begins: bool, cut: bool) {
        self.uids.push(uid);
        if begins {
            self.ends.push((0, cut));
        }
        if let Some(last) = self.ends.last_mut() {
            last.0 = self.uids.len();
        }
    }
}

/// What an index says of a message's place.
#[derive(PartialEq)]
enum Place {
    Seconds(i64),
    Octets(u64),
    Text(Vec<u8>),
}

impl Place {
    fn is_cut(&self, by: SortKey) -> bool {
        let kept = if by == SortKey::From { FROM } else { SUBJECT };
        matches!(self, Place::Text(text) if text.len() >= kept)
    }
}

fn place_of(by: SortKey, key: &[u8]) -> Result<(Place, Uid), Error> {
    Ok(match by {
        SortKey::Received => {
            let ReceivedKey { seconds, uid, .. } = ReceivedKey::decode(key)?;
            (Place::Seconds(seconds), uid)
        }
        SortKey::Sent => {
            let SentKey { seconds, uid, .. } = SentKey::decode(key)?;
            (Place::Seconds(seconds), uid)
        }
        SortKey::Size => {
            let SizeKey { size, uid, .. } = SizeKey::decode(key)?;
            (Place::Octets(size), uid)
        }
        SortKey::From => {
            let FromKey { from, uid, .. } = FromKey::decode(key)?;
            (Place::Text(from), uid)
        }
        SortKey::Subject => {
            let SubjectKey { subject, uid, .. } = SubjectKey::decode(key)?;
            (Place::Text(subject), uid)
        }
    })
}
