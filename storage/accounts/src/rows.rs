//! The rows behind the verbs.

use crate::{Account, Address, Domain, Error, Kind, What};
use kv::Transaction;
use schema::keys::account::{AddressKey, DomainKey, LastIdKey, PrincipalKey};
use schema::records::account::{self as records, AddressTarget, LastId};
use schema::{AccountId, Key, Record};

/// Reads an address from a caller.
pub(crate) fn parse_address(text: &str) -> Result<Address, Error> {
    Address::parse(text).map_err(|error| Error::InvalidAddress { text: text.to_owned(), error })
}

pub(crate) async fn domain(txn: &Transaction, name: &str) -> Result<Option<Domain>, Error> {
    let value = txn.get(&DomainKey { name: name.to_owned() }.encode()).await?;
    let record = value.map(|value| records::Domain::from_bytes(&value)).transpose()?;
    Ok(record.map(|record| Domain::from_record(name.to_owned(), record)))
}

pub(crate) async fn account(txn: &Transaction, account: AccountId) -> Result<Option<Account>, Error> {
    let value = txn.get(&PrincipalKey { account }.encode()).await?;
    let record = value.map(|value| records::Principal::from_bytes(&value)).transpose()?;
    record.map(|record| Account::from_record(account, record)).transpose()
}

/// The account, which must be there.
pub(crate) async fn known_account(txn: &Transaction, id: AccountId) -> Result<Account, Error> {
    account(txn, id).await?.ok_or(Error::NotFound(What::Account))
}

/// The account, which must be there and of a kind.
pub(crate) async fn account_of_kind(txn: &Transaction, id: AccountId, kind: Kind) -> Result<Account, Error> {
    let account = known_account(txn, id).await?;
    if account.kind == kind { Ok(account) } else { Err(Error::WrongKind(kind)) }
}

pub(crate) fn set_account(txn: &Transaction, account: &Account) {
    txn.set(&PrincipalKey { account: account.id }.encode(), &account.to_record().to_bytes());
}

pub(crate) fn address_key(address: &Address) -> Vec<u8> {
    AddressKey { domain: address.domain.clone(), local: address.local.clone() }.encode()
}

/// Whose exactly this address is.
pub(crate) async fn target(txn: &Transaction, address: &Address) -> Result<Option<AddressTarget>, Error> {
    let value = txn.get(&address_key(address)).await?;
    Ok(value.map(|value| AddressTarget::from_bytes(&value)).transpose()?)
}

/// Gives an address, which must be free and in a domain of ours, to an account.
pub(crate) async fn take_address(
    txn: &Transaction,
    address: &Address,
    account: AccountId,
    alias: bool,
) -> Result<(), Error> {
    // Serializable reads: they conflict with who takes the address or removes the domain meanwhile.
    domain(txn, &address.domain).await?.ok_or(Error::NotFound(What::Domain))?;
    if target(txn, address).await?.is_some() {
        return Err(Error::AlreadyExists(address.to_string()));
    }
    txn.set(&address_key(address), &AddressTarget { account: account.0, alias }.to_bytes());
    Ok(())
}

/// An id never given out before.
pub(crate) async fn next_id(txn: &Transaction, kind: LastIdKey) -> Result<u32, Error> {
    let key = kind.encode();
    let last = txn.get(&key).await?.map(|value| LastId::from_bytes(&value)).transpose()?;
    let id = last.map_or(0, |last| last.id).checked_add(1).ok_or(Error::Invalid("all ids are used up"))?;
    txn.set(&key, &LastId { id }.to_bytes());
    Ok(id)
}
