//! The commands: one file each, from its arguments to its answers.

pub(crate) mod any;
pub(crate) mod append;
pub(crate) mod copy;
pub(crate) mod enable;
pub(crate) mod expunge;
pub(crate) mod fetch;
pub(crate) mod fetch_body;
pub(crate) mod idle;
pub(crate) mod list;
pub(crate) mod login;
pub(crate) mod mailboxes;
pub(crate) mod quota;
pub(crate) mod search;
mod search_filter;
pub(crate) mod select;
pub(crate) mod sort;
pub(crate) mod status;
pub(crate) mod store;
