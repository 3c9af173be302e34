//! Rows of an account as a whole: mailboxes, names, roles, keywords, the change log; and jobs.

use findings::{Kind, Report};
use kv::Transaction;
use schema::keys::account::PrincipalKey;
use schema::keys::job::{EmptyKey, LaterKey, PurgeKey};
use schema::keys::mail::*;
use schema::keys::system::ChangeSlotKey;
use schema::records::job::{EmptyJob, PurgeJob};
use schema::records::mail::{AllocationRecord, ChangeKind, ChangeRecord, MailboxRecord, QuotaLimitRecord};
use schema::records::object::{IdentityRecord, ShareNotificationRecord, SubmissionRecord, VacationRecord};
use schema::{AccountId, Key, Keyword, MailboxId, ModSeq, Stamp, SubmissionId};

use super::Row;
use super::look::{Look, allocation, first, is_there, look, mailbox_at, record};
use crate::{Error, MailboxPath, MailboxRef, Role, mailbox};

/// Entries of the change log that are looked through for a mailbox that was deleted.
const LOG: usize = 10_000;

/// How an account stands.
pub(super) enum Standing {
    /// It has its INBOX.
    Alive,
    /// It was removed, and a job removes its mail.
    Purged,
    /// It has neither.
    Forgotten,
}

pub(super) async fn standing(txn: &Transaction, account: AccountId) -> Result<Standing, Error> {
    if is_there(txn, &RoleKey { account, role: Role::Inbox as u8 }).await? {
        return Ok(Standing::Alive);
    }
    let purged = is_there(txn, &PurgeKey { account }).await?;
    Ok(if purged { Standing::Purged } else { Standing::Forgotten })
}

/// An account without INBOX that nobody removes; told once, by its first row.
pub(super) async fn forgotten(
    txn: &Transaction,
    account: AccountId,
    row: Row<'_>,
    report: &mut Report,
) -> Result<(), Error> {
    if first(txn, account_range(account)).await?.is_none_or(|(key, _)| key != row.key) {
        return Ok(());
    }
    let (begin, end) = MailboxKey::range(account);
    let mut rows = txn.range(&begin, &end);
    let mut any = false;
    while let Some((_, value)) = rows.try_next().await? {
        let record: Result<MailboxRecord, _> = schema::Record::from_bytes(&value);
        if record.is_ok_and(|record| record.role == Role::Inbox as u32) {
            // The check of that row says that its role is missing.
            return Ok(());
        }
        any = true;
    }
    if any || is_there(txn, &PrincipalKey { account }).await? {
        let key = RoleKey { account, role: Role::Inbox as u8 }.encode();
        report.add(Kind::InboxLost, key, "the account has no INBOX");
    } else {
        let detail = "mail of an account that has no mailboxes and is not in the directory";
        report.add(Kind::RemovalForgotten, PurgeKey { account }.encode(), detail);
    }
    Ok(())
}

pub(super) async fn check(
    txn: &Transaction,
    account: AccountId,
    tag: u8,
    row: Row<'_>,
    report: &mut Report,
) -> Result<(), Error> {
    let Row { key, value } = row;
    match tag {
        b'M' => check_mailbox(txn, MailboxKey::decode(key)?, value, report).await?,
        b'n' => check_name(txn, &MailboxNameKey::decode(key)?, value, report).await?,
        b'R' => check_role(txn, RoleKey::decode(key)?, value, report).await?,
        b'k' => check_keyword(txn, KeywordKey::decode(key)?, value, report).await?,
        b'K' => check_keyword_name(txn, KeywordNameKey::decode(key)?, value, report).await?,
        b'l' => check_change(txn, ChangeKey::decode(key)?, value, report).await?,
        b'L' => check_last_change(txn, account, value, report).await?,
        b'a' => drop(report.record::<AllocationRecord>(value)),
        b'Q' => drop(report.record::<QuotaLimitRecord>(value)),
        b'T' => drop(report.bytes::<10>(value)),
        b'q' => drop(report.bytes::<16>(value)),
        b'F' | b'V' | b'r' | b'v' => drop(report.bytes::<8>(value)),
        b'S' | b'd' | b'i' => drop(report.bytes::<0>(value)),
        b'o' => match ObjectKey::decode(key)?.kind {
            ObjectKind::Identity => drop(report.record::<IdentityRecord>(value)),
            ObjectKind::Submission => check_submission(txn, ObjectKey::decode(key)?, value, report).await?,
            ObjectKind::ShareNotification => drop(report.record::<ShareNotificationRecord>(value)),
            ObjectKind::Vacation => drop(report.record::<VacationRecord>(value)),
        },
        _ => report.add_here(Kind::UnknownKey, "no key of this version"),
    }
    Ok(())
}

/// One that waits is in the index of what is to be sent.
async fn check_submission(
    txn: &Transaction,
    ObjectKey { account, id, .. }: ObjectKey,
    value: &[u8],
    report: &mut Report,
) -> Result<(), Error> {
    let Some(record) = report.record::<SubmissionRecord>(value) else { return Ok(()) };
    let later = LaterKey { time: record.send_at, account, id: SubmissionId(id) };
    if !record.sending && !record.canceled && !is_there(txn, &later).await? {
        report.add(Kind::LaterMissing, later.encode(), "a submission waits, and nobody will send it");
    }
    Ok(())
}

async fn check_mailbox(
    txn: &Transaction,
    MailboxKey { account, mailbox }: MailboxKey,
    value: &[u8],
    report: &mut Report,
) -> Result<(), Error> {
    let Some(record) = report.record::<MailboxRecord>(value) else { return Ok(()) };
    if record.uid_validity == 0 || record.name.is_empty() {
        report.add_here(Kind::Unreadable, "it has no name or no UIDVALIDITY");
    }
    let parent = record.parent.map(MailboxId);
    if let Some(above) = parent
        && leads_nowhere(txn, account, above).await?
    {
        report.add_here(
            Kind::ParentMissing,
            format!("what lies above mailbox {} does not lead to the top", mailbox.0),
        );
    }
    let name = MailboxNameKey { account, parent, name: record.name.clone() };
    if mailbox_at(txn, &name).await? != Some(mailbox) {
        report.add(Kind::NameMissing, name.encode(), format!("it does not lead to mailbox {}", mailbox.0));
    }
    if let Some(role) = Role::from_number(record.role) {
        let role = RoleKey { account, role: role as u8 };
        if mailbox_at(txn, &role).await? != Some(mailbox) {
            report.add(
                Kind::RoleMissing,
                role.encode(),
                format!("it does not lead to mailbox {}", mailbox.0),
            );
        }
    }
    let last = allocation(txn, account).await?;
    if last.mailbox < mailbox.0 || last.uid_validity < record.uid_validity {
        let detail = format!("mailbox {} has a number above it", mailbox.0);
        report.add(Kind::AllocationLow, AllocationKey { account }.encode(), detail);
    }
    Ok(())
}

/// Whether the parents of a mailbox end before the top, or in a circle.
async fn leads_nowhere(txn: &Transaction, account: AccountId, above: MailboxId) -> Result<bool, Error> {
    let mut at = Some(above);
    for _ in 0..MailboxPath::MAX_DEPTH * 2 {
        let Some(mailbox) = at else { return Ok(false) };
        match record::<MailboxRecord>(txn, &MailboxKey { account, mailbox }).await? {
            Look::Absent => return Ok(true),
            Look::Unreadable => return Ok(false),
            Look::Is(record) => at = record.parent.map(MailboxId),
        }
    }
    Ok(true)
}

async fn check_name(
    txn: &Transaction,
    name: &MailboxNameKey,
    value: &[u8],
    report: &mut Report,
) -> Result<(), Error> {
    let account = name.account;
    let Some(id) = report.bytes::<4>(value) else { return Ok(()) };
    let mailbox = MailboxId(u32::from_le_bytes(id));
    match record::<MailboxRecord>(txn, &MailboxKey { account, mailbox }).await? {
        Look::Unreadable => {}
        Look::Is(record) => {
            if (record.parent.map(MailboxId), &record.name) != (name.parent, &name.name) {
                report.add_here(Kind::NameStale, format!("mailbox {} has another name", mailbox.0));
            }
        }
        Look::Absent if is_there(txn, &EmptyKey { account, mailbox }).await? => {
            report.add_here(Kind::NameStale, format!("mailbox {} is deleted", mailbox.0));
        }
        // A deletion takes the name with the record.
        Look::Absent => {
            let key = MailboxKey { account, mailbox }.encode();
            report.add(
                Kind::MailboxLost,
                key,
                format!("only the name {:?} is left of its record", name.name),
            );
        }
    }
    Ok(())
}

async fn check_role(
    txn: &Transaction,
    RoleKey { account, role }: RoleKey,
    value: &[u8],
    report: &mut Report,
) -> Result<(), Error> {
    let Some(id) = report.bytes::<4>(value) else { return Ok(()) };
    let mailbox = MailboxId(u32::from_le_bytes(id));
    match record::<MailboxRecord>(txn, &MailboxKey { account, mailbox }).await? {
        Look::Unreadable => {}
        Look::Is(record) if record.role == u32::from(role) => {}
        Look::Absent if name_of(txn, account, mailbox).await?.is_some() => {
            // The check of that name says that the mailbox is lost.
        }
        _ => report.add_here(Kind::RoleStale, format!("mailbox {} does not have it", mailbox.0)),
    }
    Ok(())
}

/// The name that leads to a mailbox.
pub(super) async fn name_of(
    txn: &Transaction,
    account: AccountId,
    mailbox: MailboxId,
) -> Result<Option<MailboxNameKey>, Error> {
    let (begin, end) = MailboxNameKey::range(account);
    let mut rows = txn.range(&begin, &end);
    while let Some((key, value)) = rows.try_next().await? {
        if mailbox::id_of(&value) == Some(mailbox) {
            return Ok(MailboxNameKey::decode(&key).ok());
        }
    }
    Ok(None)
}

/// Whether the change log says that a mailbox was deleted.
async fn was_deleted(txn: &Transaction, at: MailboxRef) -> Result<bool, Error> {
    let (begin, end) = ChangeKey::range(at.account);
    let mut rows = txn.range(&begin, &end).snapshot().reverse().limit(LOG);
    while let Some((_, value)) = rows.try_next().await? {
        let record: Result<ChangeRecord, _> = schema::Record::from_bytes(&value);
        if record.is_ok_and(|r| {
            r.kind == ChangeKind::MailboxDestroyed as i32 && r.mailboxes.contains(&at.mailbox.0)
        }) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// A mailbox's rows without a record and without a job; told once, by the first of them.
pub(super) async fn orphaned(
    txn: &Transaction,
    at: MailboxRef,
    row: Row<'_>,
    report: &mut Report,
) -> Result<(), Error> {
    let MailboxRef { account, mailbox } = at;
    let head = first(txn, mailbox_range(account, mailbox)).await?;
    if head.is_none_or(|(key, _)| key != row.key) || name_of(txn, account, mailbox).await?.is_some() {
        return Ok(());
    }
    if was_deleted(txn, at).await? {
        let detail = "the mailbox is deleted, and nobody removes what is left of it";
        report.add(Kind::RemovalForgotten, EmptyKey { account, mailbox }.encode(), detail);
    } else {
        let detail = "it has rows, and neither record nor name";
        report.add(Kind::MailboxLost, MailboxKey { account, mailbox }.encode(), detail);
    }
    Ok(())
}

async fn check_keyword(
    txn: &Transaction,
    KeywordKey { account, id }: KeywordKey,
    value: &[u8],
    report: &mut Report,
) -> Result<(), Error> {
    let keyword = std::str::from_utf8(value).ok().and_then(|text| Keyword::new(text).ok());
    let Some(keyword) = keyword else {
        report.add_here(Kind::Unreadable, "it is no keyword");
        return Ok(());
    };
    let name = KeywordNameKey { account, folded: keyword.folded() };
    if txn.get(&name.encode()).await?.is_none() {
        report.add(Kind::KeywordNameMissing, name.encode(), format!("keyword {id} is not found by its name"));
    }
    if allocation(txn, account).await?.keyword < id {
        let detail = format!("keyword {id} is above it");
        report.add(Kind::AllocationLow, AllocationKey { account }.encode(), detail);
    }
    Ok(())
}

async fn check_keyword_name(
    txn: &Transaction,
    KeywordNameKey { account, folded }: KeywordNameKey,
    value: &[u8],
    report: &mut Report,
) -> Result<(), Error> {
    let Some(id) = report.bytes::<4>(value) else { return Ok(()) };
    let id = u32::from_le_bytes(id);
    match txn.get(&KeywordKey { account, id }.encode()).await? {
        None => {
            let key = KeywordKey { account, id }.encode();
            report.add(Kind::KeywordLost, key, format!("only its name {folded:?} is left"));
        }
        Some(text) if text.to_ascii_lowercase() != folded.as_bytes() => {
            report.add_here(Kind::KeywordNameStale, format!("keyword {id} is another"));
        }
        Some(_) => {}
    }
    Ok(())
}

async fn check_change(
    txn: &Transaction,
    key: ChangeKey,
    value: &[u8],
    report: &mut Report,
) -> Result<(), Error> {
    let Some(record) = report.record::<ChangeRecord>(value) else { return Ok(()) };
    if ChangeKind::try_from(record.kind).is_err() {
        report.add_here(Kind::Unreadable, format!("there is no change of the kind {}", record.kind));
    }
    let last = LastChangeKey { account: key.account };
    if txn.get(&last.encode()).await?.is_none_or(|stamp| stamp.as_ref() < &key.stamp[..]) {
        report.add(Kind::LastChangeLow, last.encode(), "the change log goes beyond it");
    }
    Ok(())
}

async fn check_last_change(
    txn: &Transaction,
    account: AccountId,
    value: &[u8],
    report: &mut Report,
) -> Result<(), Error> {
    let Some(stamp) = report.bytes::<10>(value) else { return Ok(()) };
    check_past(txn, &stamp, report).await?;
    let slot = ChangeSlotKey::of(account);
    if txn.get(&slot.encode()).await?.is_none_or(|last| last.as_ref() < &stamp[..]) {
        report.add(Kind::LastChangeLow, slot.encode(), "the account changed after it");
    }
    Ok(())
}

/// A stamp is of a commit that was made.
pub(super) async fn check_past(txn: &Transaction, stamp: &Stamp, report: &mut Report) -> Result<(), Error> {
    let now = txn.read_version().await?;
    if ModSeq::of_stamp(stamp).0 > now {
        let detail = format!("commit {} where the store is at {now}", ModSeq::of_stamp(stamp));
        report.add_here(Kind::StampFromTheFuture, detail);
    }
    Ok(())
}

/// A job removes only what is removed.
pub(super) async fn job(txn: &Transaction, row: Row<'_>, report: &mut Report) -> Result<(), Error> {
    let lives = if let Ok(PurgeKey { account }) = PurgeKey::decode(row.key) {
        report.record::<PurgeJob>(row.value);
        is_there(txn, &RoleKey { account, role: Role::Inbox as u8 }).await?
    } else if let Ok(EmptyKey { account, mailbox }) = EmptyKey::decode(row.key) {
        report.record::<EmptyJob>(row.value);
        let key = MailboxKey { account, mailbox }.encode();
        !matches!(look(txn, &key, |_| Ok(())).await?, Look::Absent)
    } else if let Ok(LaterKey { time, account, id }) = LaterKey::decode(row.key) {
        report.bytes::<0>(row.value);
        let key = ObjectKey { account, kind: ObjectKind::Submission, id: id.0 };
        let waits = |one: SubmissionRecord| one.send_at == time && !one.sending && !one.canceled;
        if !record::<SubmissionRecord>(txn, &key).await?.known().is_some_and(waits) {
            report.add_here(Kind::LaterStale, "no submission waits for it");
        }
        false
    } else {
        false
    };
    if lives {
        report.add_here(Kind::JobForLiving, "it removes what is in use");
    }
    Ok(())
}
