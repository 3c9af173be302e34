//! What two domains have to agree on, and rows that belong to none of them.

use crate::Error;
use findings::{Kind, Report};
use kv::{Transaction, Versionstamp, idempotency};
use schema::keys::account::PrincipalKey;
use schema::keys::mail::RoleKey;
use schema::keys::system::{
    BodyPlaceKey, CHANGE_SLOTS, ChangeSlotKey, DemoKey, IncarnationKey, SealKey, TransferKey,
    TransferPieceKey,
};
use schema::keys::{account, blob as bodies, job, mail as mails, node, oauth, queue, search, system};
use schema::records::job::RewriteJob;
use schema::records::system::{BodyPlace, Demo, Incarnation, Seal, Transfer, TransferPiece};
use schema::{AccountId, Key};

/// The role of an INBOX, as stored: an account has mail as long as a row says which mailbox has it.
pub(crate) const INBOX: u8 = mail::Role::Inbox as u8;
/// Bytes of the key of an idempotency token, and of its value.
const TOKEN: (usize, usize) = (1 + 4 + 16, Versionstamp::LEN + 4);

/// What does not fit of any row.
pub(crate) async fn check_row_in(txn: &Transaction, key: &[u8], value: &[u8]) -> Result<Report, Error> {
    match key.first() {
        Some(&job::TAG) if job::RewriteKey::decode(key).is_ok() => {
            let mut report = Report::of(key);
            report.record::<RewriteJob>(value);
            Ok(report)
        }
        Some(&mails::TAG | &job::TAG) => {
            let mut report = mail::check_row_in(txn, key, value).await?;
            if let Ok(RoleKey { account, role: INBOX }) = RoleKey::decode(key)
                && is_unowned(txn, account).await?
            {
                report.add_here(Kind::MailUnowned, format!("account {account} is not in the directory"));
            }
            Ok(report)
        }
        Some(&bodies::TAG) => Ok(blob::check_row_in(txn, key, value).await?),
        Some(&account::TAG) => Ok(accounts::check_row_in(txn, key, value).await?),
        Some(&oauth::TAG) => Ok(accounts::oauth::check_row(key, value)),
        Some(&node::TAG) => Ok(leases::check_row_in(txn, key, value).await?),
        Some(&queue::TAG) => Ok(spool::check_row_in(txn, key, value).await?),
        Some(&search::TAG) => Ok(segments::check_row_in(txn, key, value).await?),
        Some(&system::TAG) => Ok(check_system(key, value)),
        Some(&idempotency::TAG) => Ok(check_token(key, value)),
        _ => Ok(Report::of(key).unknown()),
    }
}

/// Whether the directory does not know an account.
pub(crate) async fn is_unowned(txn: &Transaction, account: AccountId) -> Result<bool, Error> {
    Ok(txn.get(&PrincipalKey { account }.encode()).await?.is_none())
}

fn check_system(key: &[u8], value: &[u8]) -> Report {
    let mut report = Report::of(key);
    if IncarnationKey::decode(key).is_ok() {
        report.record::<Incarnation>(value);
    } else if BodyPlaceKey::decode(key).is_ok() {
        report.record::<BodyPlace>(value);
    } else if DemoKey::decode(key).is_ok() {
        report.record::<Demo>(value);
    } else if TransferKey::decode(key).is_ok() {
        report.record::<Transfer>(value);
    } else if SealKey::decode(key).is_ok() {
        report.record::<Seal>(value);
    } else if TransferPieceKey::decode(key).is_ok() {
        report.record::<TransferPiece>(value);
    } else if let Ok(ChangeSlotKey { slot }) = ChangeSlotKey::decode(key)
        && slot < 2 * CHANGE_SLOTS
    {
        report.bytes::<{ Versionstamp::LEN }>(value);
    } else {
        return report.unknown();
    }
    report
}

fn check_token(key: &[u8], value: &[u8]) -> Report {
    let mut report = Report::of(key);
    if key.len() != TOKEN.0 {
        return report.unknown();
    }
    report.bytes::<{ TOKEN.1 }>(value);
    report
}
