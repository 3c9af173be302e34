//! What a verification of the store finds, and the walk that finds it. What is looked for lives with its domain.
//!
//! # Why a finding is true while others write
//! A row is judged with all that it refers to under one snapshot: every verb keeps what is looked for within its one
//! transaction, so that any snapshot of a sound store is sound. What one snapshot cannot hold (the counters of a large
//! mailbox) is counted in parts that are brought up to one moment; the domain says how.
//!
//! # What holds
//! - A finding names the row whose check found it ([`Finding::source`]): whoever mends checks that row again, in the
//!   transaction that mends.
//! - A stretch of the walk is one transaction, and ends long before its limits of time and size.

mod kind;
mod place;
mod report;
mod walk;

pub use kind::{Kind, Severity};
pub use place::{Place, place_of};
pub use report::{Held, Report};
pub use walk::{Stretch, stretch};

use std::fmt;

/// Something that does not fit together.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Finding {
    /// What kind of thing.
    pub kind: Kind,
    /// The row that is wrong, or missing.
    pub key: Vec<u8>,
    /// The row whose check found it.
    pub source: Vec<u8>,
    /// What exactly, in words.
    pub detail: String,
}

impl Finding {
    /// Whether both are the same thing, however it is put in words.
    pub fn is_same(&self, other: &Finding) -> bool {
        (self.kind, &self.key, &self.source) == (other.kind, &other.key, &other.source)
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} ({})", self.kind.code(), schema::explain(&self.key), self.detail)
    }
}

/// What became of a finding that was to be mended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mended {
    /// It was mended: what was done.
    Done(String),
    /// It stands, and is left as it is: why.
    Kept(String),
    /// It does not stand any more.
    Gone,
}

impl Mended {
    /// It was mended.
    pub fn done(what: impl Into<String>) -> Self {
        Mended::Done(what.into())
    }

    /// It is left as it is.
    pub fn kept(why: impl Into<String>) -> Self {
        Mended::Kept(why.into())
    }
}
