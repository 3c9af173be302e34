//! Every key, one file per family.
//!
//! A family's file has its key structs, its tag constants, a golden-bytes test, and
//! `explain(bytes) -> Option<String>`, which tries each of its kinds and is listed in [`FAMILIES`].

pub mod account;
pub mod blob;
pub mod job;
pub mod mail;
pub mod node;
pub mod oauth;
pub mod push;
pub mod queue;
pub mod search;
pub mod share;
pub mod system;

use crate::{Key, KeyError};
use std::fmt::Debug;

/// One row per family: first tag byte, and what reads its keys back.
#[rustfmt::skip]
pub(crate) const FAMILIES: &[(u8, Explain)] = &[
    (mail::TAG, mail::explain),
    (blob::TAG, blob::explain),
    (job::TAG, job::explain),
    (node::TAG, node::explain),
    (oauth::TAG, oauth::explain),
    (account::TAG, account::explain),
    (queue::TAG, queue::explain),
    (search::TAG, search::explain),
    (system::TAG, system::explain),
];

/// Reads back any key of a family.
pub(crate) type Explain = fn(&[u8]) -> Option<String>;

/// The key as text, if the bytes are one of this kind.
pub(crate) fn show<K: Key + Debug>(bytes: &[u8]) -> Option<String> {
    K::decode(bytes).ok().map(|key| format!("{key:?}"))
}

/// Reads `tags` in order.
pub(crate) fn read_tags(reader: &mut crate::KeyReader<'_>, tags: &[u8]) -> Result<(), KeyError> {
    tags.iter().try_for_each(|&tag| reader.tag(tag))
}
