//! Limits of a connection and its requests, with their units.

use std::time::Duration;

/// How connections behave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Largest head of a request, in octets.
    pub head: usize,
    /// Time for the head of a request, which HTTP/1.1 counts from the end of the one before.
    pub head_time: Duration,
    /// Time that a connection may have no request under way.
    pub idle_time: Duration,
    /// Time that a client may be silent within a body.
    pub body_silence: Duration,
    /// Octets a second that a body has to come with on the average, after the first silence.
    pub slowest_body: u64,
    /// Requests under way on one connection of HTTP/2.
    pub streams: u32,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            head: 64 * 1024,
            head_time: Duration::from_secs(30),
            idle_time: Duration::from_secs(300),
            body_silence: Duration::from_secs(30),
            slowest_body: 1024,
            streams: 100,
        }
    }
}
