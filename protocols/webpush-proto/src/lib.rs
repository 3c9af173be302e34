//! Web Push as pure functions: a message is encrypted for one device ([`encrypt`], RFC 8291), the sender says who it is
//! ([`Vapid`], RFC 8292), and an address is looked at before anything is sent there ([`is_public`]). No socket, no clock, no
//! randomness of its own but within the signature.
//!
//! Invariants:
//! - What is encrypted is one record of RFC 8188 and fits the 4096 octets that every push service takes (RFC 8030 §7.2).
//! - Keys that come from clients are checked where they are read, once ([`Device::read`]).
//! - An address is public only if nothing says that it is not: who subscribes must not make a node call its neighbours.

mod encrypt;
mod reach;
mod vapid;

pub use encrypt::{Device, LONGEST, encrypt};
pub use reach::is_public;
pub use vapid::Vapid;

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The device's keys are not such: its owner has to subscribe anew.
    #[error("the keys of the subscription are none")]
    Keys,
    /// The message does not fit one record.
    #[error("the message is too long to be pushed")]
    TooLong,
    /// The sender's own key cannot be used: an operator has to look.
    #[error("the key that pushes are signed with is none")]
    OwnKey,
}
