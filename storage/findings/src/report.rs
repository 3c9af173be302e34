//! What the check of one row says.

use crate::{Finding, Kind};
use schema::{BlobHash, Record, RecordError};

/// What the check of one row says.
#[derive(Debug, Default)]
pub struct Report {
    source: Vec<u8>,
    /// What does not fit.
    pub findings: Vec<Finding>,
    /// Bodies that the row holds: whether their bytes are there is looked up outside of the transaction.
    pub bodies: Vec<Held>,
}

/// A body that a row holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// The body.
    pub hash: BlobHash,
    /// The row.
    pub source: Vec<u8>,
    /// Whether it was found in the store, whole: only its bytes are left to be read.
    pub seen: bool,
}

impl Report {
    /// Of the row with this key.
    pub fn of(source: &[u8]) -> Self {
        Report { source: source.to_vec(), ..Report::default() }
    }

    /// The row that is checked.
    pub fn source(&self) -> &[u8] {
        &self.source
    }

    /// Something does not fit.
    pub fn add(&mut self, kind: Kind, key: Vec<u8>, detail: impl Into<String>) {
        self.findings.push(Finding { kind, key, source: self.source.clone(), detail: detail.into() });
    }

    /// The row itself does not fit.
    pub fn add_here(&mut self, kind: Kind, detail: impl Into<String>) {
        self.add(kind, self.source.clone(), detail);
    }

    /// Notes a body that the row holds.
    pub fn holds(&mut self, hash: BlobHash, seen: bool) {
        self.bodies.push(Held { hash, source: self.source.clone(), seen });
    }

    /// What was read, unless it cannot be.
    pub fn readable<T>(&mut self, read: Result<T, RecordError>) -> Option<T> {
        read.map_err(|error| self.unreadable(&error)).ok()
    }

    fn unreadable(&mut self, error: &RecordError) {
        let kind = match error {
            RecordError::Format(_) => Kind::ForeignFormat,
            _ => Kind::Unreadable,
        };
        self.add_here(kind, error.to_string());
    }

    /// The record of a value.
    pub fn record<R: Record>(&mut self, value: &[u8]) -> Option<R> {
        self.readable(R::from_bytes(value))
    }

    /// A value that is so many bytes.
    pub fn bytes<const N: usize>(&mut self, value: &[u8]) -> Option<[u8; N]> {
        let read = value.try_into().ok();
        if read.is_none() {
            self.add_here(Kind::Unreadable, format!("{} bytes where {N} belong", value.len()));
        }
        read
    }

    /// Whether the check says the same: that the finding still stands.
    pub fn confirms(&self, finding: &Finding) -> bool {
        self.findings.iter().any(|other| other.is_same(finding))
    }

    /// A key that cannot be read.
    pub fn unknown(mut self) -> Self {
        self.add_here(Kind::UnknownKey, "no key of this version");
        self
    }
}
