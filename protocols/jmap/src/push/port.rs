//! The port by which pushes are sent (RFC 8030).

use std::time::Duration;

use futures::future::BoxFuture;

/// Something to be pushed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PushMessage {
    /// Where to.
    pub url: String,
    /// The device's key and secret in base64url, if what is sent is to be encrypted (RFC 8291).
    pub keys: Option<(String, String)>,
    /// What it is about: a newer one takes the place of one that waits (RFC 8030 §5.4). None if none may.
    pub topic: Option<String>,
    /// Whether it may wait until the device is awake anyway (RFC 8030 §5.3).
    pub may_wait: bool,
    /// How long it is of use (RFC 8030 §5.2).
    pub lasts: Duration,
    /// JSON.
    pub body: Vec<u8>,
}

/// What became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pushed {
    /// The service has taken it.
    Taken,
    /// The service will not take it, whatever is done. The next one may fare better.
    Dropped,
    /// Nobody is there any more (RFC 8030 §7.3).
    Gone,
    /// It may be taken later, and not before this if the service says when.
    Later(Option<Duration>),
}

/// What of a subscription cannot be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PushError {
    /// Nothing is ever pushed to this URL.
    Url,
    /// Nothing can be encrypted with these keys.
    Keys,
}

/// Sends pushes. Who implements it bounds time and number, and looks at where it sends to (RFC 8620 §8.6).
pub trait PushService: Send + Sync {
    /// What pushes are signed with (RFC 9749 `applicationServerKey`).
    fn key(&self) -> &str;

    /// Whether somebody may subscribe with this URL, and these keys if any.
    ///
    /// # Errors
    /// What is wrong.
    fn check(&self, url: &str, keys: Option<(&str, &str)>) -> Result<(), PushError>;

    /// Sends one.
    fn push<'a>(&'a self, message: &'a PushMessage) -> BoxFuture<'a, Pushed>;
}
