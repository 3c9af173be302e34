//! HTTP/1.1 and HTTP/2 for users, over TLS or in clear: the one listener behind which JMAP and its like are.
//!
//! What is served is an [`axum::Router`] that somebody else has put together: this crate knows no resource. It gives each
//! request what handlers need ([`Client`], [`accounts::Identity`], a URI with scheme and authority), and keeps the rest away
//! from them. Where to start reading: [`Http`] (a connection), [`site`] (what a request goes through), [`Guard`] (login).
//!
//! Invariants:
//! - Heads, bodies and silence have limits ([`Options`]); a body that comes too slowly fails where it is read.
//! - Passwords are looked at only where nobody can read along: under TLS or, if that is allowed, from loopback. Every
//!   request is authenticated anew, so that a new password and a disabled account are in force at once.
//! - When the node drains, connections end politely (GOAWAY, `Connection: close`): what has begun is finished, what comes
//!   after that is told to come back (503, Retry-After).
//! - No answer is kept by a cache, framed, or taken for another type than it says, unless its handler wants so.

mod auth;
mod body;
mod client;
mod connection;
mod held;
mod options;
mod problem;
mod site;
#[cfg(test)]
mod tests;

pub use auth::Guard;
pub use client::Client;
pub use connection::Http;
pub use options::Options;
pub use problem::Problem;
pub use site::site;

/// Says what the metrics of this crate mean.
pub fn describe_metrics() {
    metrics::describe_counter!("http_requests_total", "Requests of users, by method and status.");
    metrics::describe_histogram!(
        "http_request_seconds",
        metrics::Unit::Seconds,
        "Time from the head of a request to the head of its answer, in seconds."
    );
}
