//! What users have allowed to clients (OAuth 2.0, RFC 6749), and the tokens that show it.
//!
//! A **grant** is one row of its account: which client, for what, by which password of the user, and hashes of all that
//! shows it: the code, the refresh token, a few access tokens. So whatever becomes of a grant is one transaction over one
//! row; who disables or removes the account, changes its password or takes the grant back ends all of them at once, on
//! every node, since a token is looked up for each use as passwords are.
//!
//! A **token** names its account and grant and is otherwise random ([`token`]); only hashes are in the store, so that who
//! reads the store has none. No index leads from hashes to grants.
//!
//! A **refresh token** is good once (RFC 9700 §4.14.2). All of one grant have a part in common: who shows that with
//! another rest has one that was used before, so that two have it, and the grant ends.
//!
//! A **client** that anybody may register (RFC 7591) is kept apart until a user has allowed it something; those that wait
//! are few, and go after a day.

mod bearer;
mod clients;
mod devices;
mod grants;
mod keys;
mod scope;
#[cfg(test)]
mod tests;
mod token;
mod verify;

pub use bearer::{Bearer, Looked, Shown};
pub(crate) use bearer::{grant_in, password_in, stands_in};
pub use clients::{Client, NewClient, Registered, WAITING_CLIENTS};
pub use devices::{DEVICE_TIME, DEVICES, Device, Heard, INTERVAL, Question};
pub use grants::{Allowed, Exchange, GRANTS, Issued, NewGrant, Refusal};
pub use keys::{KEY_TIME, RETIRED_TIME, Signing};
pub use scope::Scope;
pub(crate) use token::Word;
pub(crate) use verify::check_grant_in;
pub use verify::check_row;

/// How long a code is good, in milliseconds: it goes from a browser to a client, and that comes at once.
pub const CODE_TIME: i64 = 60_000;

/// How long an access token is good, in milliseconds.
pub const ACCESS_TIME: i64 = 3_600_000;

/// How long an id token is good, in milliseconds: for who it was made it is read at once.
pub const ID_TOKEN_TIME: i64 = ACCESS_TIME;

/// How long a grant stays that nobody refreshes, in milliseconds.
pub const IDLE_TIME: i64 = 90 * 86_400_000;

/// How long a client stays that nobody has allowed anything, in seconds.
pub const WAITING_TIME: i64 = 86_400;
