//! Web Push (RFC 8030): what JMAP pushes is encrypted for the device (RFC 8291), signed (RFC 8292) and posted to its service.
//!
//! Users say where. So a request goes by HTTPS, to an address that is anybody's on the Internet and none of this machine, as it is
//! resolved for that very connection; a redirect is not followed, what is answered is not read, and nobody is told more than
//! whether it was taken (RFC 8620 §8.6). Networks that an operator names are exempt.
//!
//! Time and number of requests are bounded, on the whole and for each service: one that is silent holds no more than its own.

mod client;
mod places;
mod reach;
mod worker;

pub use client::{Options, WebPush};
pub use worker::charge;

use accounts::Accounts;
use schema::records::push::PushSecret;

/// What can go wrong. An operator must act.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The store.
    #[error(transparent)]
    Accounts(#[from] accounts::Error),
    /// The key that pushes are signed with.
    #[error(transparent)]
    Key(#[from] webpush_proto::Error),
    /// A certificate, or what TLS needs.
    #[error("HTTPS to push services: {0}")]
    Client(#[from] reqwest::Error),
}

/// The key that all nodes on a store sign pushes with. Whoever asks first makes it.
///
/// # Errors
/// The store's; or nothing can be made.
pub async fn secret(accounts: &Accounts) -> Result<PushSecret, Error> {
    let made = PushSecret { pair: webpush_proto::Vapid::generate()? };
    Ok(accounts.push_secret_or(&made).await?)
}
