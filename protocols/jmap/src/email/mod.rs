//! Emails (RFC 8621 §4).

mod addresses;
mod body;
mod changes;
mod copy;
mod create;
mod filter;
mod get;
mod head;
mod header;
mod import;
mod keywords;
mod listed;
mod look;
mod order;
mod ordered;
mod parse;
mod query;
mod reading;
mod select;
mod set;
mod smime;
mod snippet;
mod wanted;

use crate::registry::Method;

pub(crate) use order::SORTS;
pub(crate) use parse::{answer as parse_answer, blob_ids, find, part_blob, part_source, summarize};
pub(crate) use query::run as query_emails;
pub(crate) use reading::{Reading, blob_id, body_value, part_at, part_of, read};
pub(crate) use set::{REMOVE, further};
pub(crate) use smime::SMIME;
pub use smime::renew_signatures;

/// The methods of the type.
pub(crate) const METHODS: &[Method] = &[
    ("Email/get", get::get),
    ("Email/changes", changes::changes),
    ("Email/query", query::query),
    ("Email/queryChanges", query::query_changes),
    ("Email/set", set::set),
    ("Email/import", import::import),
    ("Email/copy", copy::copy),
    ("SearchSnippet/get", snippet::get),
    ("Email/parse", parse::parse),
];
