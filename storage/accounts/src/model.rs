//! Domains and accounts as callers see them.

use crate::{Error, HashCost, PasswordHash};
use schema::records::account as records;
use schema::{AccountId, DomainId};
use std::fmt;
use std::str::FromStr;

/// How the directory behaves.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Where users without a domain in their login name are, and recipients without one (`postmaster`).
    pub default_domain: Option<String>,
    /// Who reads the mail to `postmaster` where a domain has no such user (RFC 5321 §4.5.1).
    pub postmaster: Option<String>,
    /// What the hash of a new password costs.
    pub cost: HashCost,
}

/// A domain whose mail is ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Domain {
    /// Its id.
    pub id: DomainId,
    /// As A-labels, in lower case.
    pub name: String,
    /// How it treats addresses.
    pub settings: DomainSettings,
}

/// How a domain treats addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DomainSettings {
    /// Separates a user from a detail in a local part; none: nothing does.
    pub separator: Option<char>,
    /// Where mail for unknown users goes; none: it is refused.
    pub catch_all: Option<String>,
}

impl Default for DomainSettings {
    /// `user+detail`, and no catch-all.
    fn default() -> Self {
        DomainSettings { separator: Some('+'), catch_all: None }
    }
}

/// What to change of a domain: what is `None` stays.
#[derive(Clone, Debug, Default)]
pub struct DomainChange {
    /// Another separator, or none.
    pub separator: Option<Option<char>>,
    /// Another catch-all, or none.
    pub catch_all: Option<Option<String>>,
}

/// What an account is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Has mailboxes and logs in.
    Person,
    /// Has mailboxes that its members see.
    Group,
    /// Passes mail on to its members.
    List,
}

impl Kind {
    pub(crate) fn number(self) -> u32 {
        match self {
            Kind::Person => 1,
            Kind::Group => 2,
            Kind::List => 3,
        }
    }

    pub(crate) fn from_number(number: u32) -> Result<Self, Error> {
        match number {
            1 => Ok(Kind::Person),
            2 => Ok(Kind::Group),
            3 => Ok(Kind::List),
            _ => Err(schema::RecordError::Value("kind").into()),
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::Person => "person",
            Kind::Group => "group",
            Kind::List => "list",
        })
    }
}

impl FromStr for Kind {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        match text {
            "person" => Ok(Kind::Person),
            "group" => Ok(Kind::Group),
            "list" => Ok(Kind::List),
            _ => Err(Error::Invalid("a kind is person, group or list")),
        }
    }
}

/// How much an account may keep; none: as much as it likes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Quota {
    /// In bytes.
    pub bytes: Option<u64>,
    /// In messages.
    pub messages: Option<u64>,
}

/// A person, group or list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Its id, never used again.
    pub id: AccountId,
    /// What it is.
    pub kind: Kind,
    /// Its own address, normalized.
    pub address: String,
    /// For people to read.
    pub display_name: String,
    /// Neither mail nor login while it is not.
    pub enabled: bool,
    /// How much it may keep.
    pub quota: Quota,
    /// In milliseconds since the epoch.
    pub created: i64,
}

/// An account to be made.
#[derive(Clone, Debug)]
pub struct NewAccount {
    /// What it is.
    pub kind: Kind,
    /// Its own address, in a domain of ours.
    pub address: String,
    /// For people to read.
    pub display_name: String,
    /// How much it may keep.
    pub quota: Quota,
    /// Without one nobody can log in.
    pub password: Option<PasswordHash>,
}

impl NewAccount {
    /// Without a display name, quota and password.
    pub fn new(kind: Kind, address: &str) -> Self {
        let (address, display_name) = (address.to_owned(), String::new());
        NewAccount { kind, address, display_name, quota: Quota::default(), password: None }
    }
}

/// What to change of an account: what is `None` stays.
#[derive(Clone, Debug, Default)]
pub struct AccountChange {
    /// Another name for people to read.
    pub display_name: Option<String>,
    /// Another quota.
    pub quota: Option<Quota>,
    /// Whether it takes part.
    pub enabled: Option<bool>,
}

/// Some of many.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<T> {
    /// In order.
    pub items: Vec<T>,
    /// Where to go on; none: these were the last.
    pub next: Option<String>,
}

impl Domain {
    pub(crate) fn from_record(name: String, record: records::Domain) -> Self {
        let separator = record.separator.chars().next();
        let catch_all = Some(record.catch_all).filter(|address| !address.is_empty());
        Domain { id: DomainId(record.id), name, settings: DomainSettings { separator, catch_all } }
    }
}

impl Account {
    pub(crate) fn from_record(id: AccountId, record: records::Principal) -> Result<Self, Error> {
        let limit = |value: u64| Some(value).filter(|value| *value != 0);
        let quota = Quota { bytes: limit(record.quota_bytes), messages: limit(record.quota_messages) };
        Ok(Account {
            id,
            kind: Kind::from_number(record.kind)?,
            address: record.address,
            display_name: record.display_name,
            enabled: !record.disabled,
            quota,
            created: record.created,
        })
    }

    pub(crate) fn to_record(&self) -> records::Principal {
        records::Principal {
            kind: self.kind.number(),
            address: self.address.clone(),
            display_name: self.display_name.clone(),
            disabled: !self.enabled,
            quota_bytes: self.quota.bytes.unwrap_or(0),
            quota_messages: self.quota.messages.unwrap_or(0),
            created: self.created,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_read_back() {
        for kind in [Kind::Person, Kind::Group, Kind::List] {
            assert_eq!(kind.to_string().parse::<Kind>().unwrap(), kind);
            assert_eq!(Kind::from_number(kind.number()).unwrap(), kind);
        }
        assert!("robot".parse::<Kind>().is_err() && Kind::from_number(0).is_err());
    }

    #[test]
    fn accounts_read_back() {
        let account = Account {
            id: AccountId(7),
            kind: Kind::Group,
            address: "a@example.test".into(),
            display_name: "A".into(),
            enabled: false,
            quota: Quota { bytes: Some(5), messages: None },
            created: 9,
        };
        assert_eq!(Account::from_record(account.id, account.to_record()).unwrap(), account);
    }
}
