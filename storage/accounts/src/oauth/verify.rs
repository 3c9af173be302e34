//! What does not fit of clients and grants.

use super::clients::client_in;
use crate::Error;
use findings::{Kind, Report};
use kv::Transaction;
use schema::Key;
use schema::keys::oauth::{ClientKey, DeviceKey, NewClientKey, SigningKeysKey};
use schema::records::oauth::{Client, Device, Grant, SigningKeys};

/// What does not fit of a row of clients.
pub fn check_row(key: &[u8], value: &[u8]) -> Report {
    let mut report = Report::of(key);
    if ClientKey::decode(key).is_ok() || NewClientKey::decode(key).is_ok() {
        report.record::<Client>(value);
        return report;
    }
    if DeviceKey::decode(key).is_ok() {
        report.record::<Device>(value);
        return report;
    }
    if SigningKeysKey::decode(key).is_ok() {
        report.record::<SigningKeys>(value);
        return report;
    }
    report.unknown()
}

/// A grant is for a client.
pub(crate) async fn check_grant_in(
    txn: &Transaction,
    value: &[u8],
    report: &mut Report,
) -> Result<(), Error> {
    let Some(grant) = report.record::<Grant>(value) else { return Ok(()) };
    match client_in(txn, &grant.client).await {
        Ok(Some(_)) => {}
        Ok(None) => report.add_here(Kind::GrantStale, format!("there is no client {}", grant.client)),
        // What cannot be read says so itself.
        Err(Error::Record(_)) => {}
        Err(error) => return Err(error),
    }
    Ok(())
}
