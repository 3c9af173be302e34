//! Emails (RFC 8621 §4).

mod addresses;
mod body;
mod changes;
mod filter;
mod get;
mod header;
mod import;
mod keywords;
mod order;
mod query;
mod reading;
mod set;

use crate::registry::Method;

pub(crate) use order::SORTS;
pub(crate) use reading::{part_at, part_of, read};

/// The methods of the type.
pub(crate) const METHODS: &[Method] = &[
    ("Email/get", get::get),
    ("Email/changes", changes::changes),
    ("Email/query", query::query),
    ("Email/queryChanges", query::query_changes),
    ("Email/set", set::set),
    ("Email/import", import::import),
];
