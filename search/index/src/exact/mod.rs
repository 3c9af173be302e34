//! Substrings, exactly (RFC 9051 §6.4.4).
//!
//! A needle is cut into units as the texts were ([`pattern`]); in each segment each unit becomes the terms it may be
//! part of ([`terms`]); documents that have them at neighbouring positions match ([`matcher`], [`beside`], [`rows`]).

mod beside;
mod docs;
mod matcher;
mod pattern;
mod rows;
mod terms;

use schema::EmailId;

pub(crate) use docs::Docs;
pub(crate) use matcher::{Found, Place, find};
pub(crate) use pattern::Pattern;
pub(crate) use terms::{Lookup, add_docs};

/// What an index says of a search for text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answer {
    /// These match.
    pub sure: Vec<EmailId>,
    /// These may match: look at them. In both lists the ids are in order, and no id is in both.
    pub maybe: Vec<EmailId>,
}
