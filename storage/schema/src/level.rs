//! Feature levels: what is written so that an older program could not read it, and since when.
//!
//! A cluster has one level, a row of the store. It is raised by an operator once every node supports it, and never goes down. What is
//! written in two formats is written as the level says, in a transaction that reads it; what is read may be of
//! either. So nodes of two versions serve side by side, and until the level is raised the older one may come back.
//!
//! | level | what it brought |
//! |-------|-----------------|
//! | 1 | everything so far |
//! | 2 | an entry of the queue says who submitted it ([`crate::records::queue::Entry::submitter`], format 2); sites that do not serve, and rehearsals ([`SITES`]) |
//! | 3 | the index of mail is published ([`SEARCH`]) |
//! | 4 | passwords of applications, second factors, keys that sign what a user's client is told ([`LOGINS`]) |

/// Since when a site may be taken out of service ([`crate::records::node::SiteSetting`]), and a rehearsal be under way. An older
/// program would go on working in such a site, and give duties to it that newer ones give back.
pub const SITES: u32 = 2;

/// Since when the index of mail is published ([`crate::keys::search`]). An older program does not know its keys, nor that its files
/// hold bodies.
pub const SEARCH: u32 = 3;

/// Since when accounts have passwords of applications and second factors. An older program refuses the former, and lets in by the
/// account's own password alone whoever has the latter.
pub const LOGINS: u32 = 4;

/// The level of a store in which none was ever set.
pub const FIRST: u32 = 1;

/// The highest level that this program knows. One that is built with the feature `previous` stands for the version before:
/// it refuses what came after level 1, where that one was.
pub const LAST: u32 = if cfg!(feature = "previous") { 1 } else { 4 };
