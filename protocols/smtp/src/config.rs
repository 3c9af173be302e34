//! What a listener's sessions are told once: role, name, limits, timeouts.

use std::time::Duration;

/// What a listener is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// Mail from other servers (RFC 5321), port 25.
    Mx,
    /// Mail from this site's users (RFC 6409), ports 587 and 465.
    Submission,
    /// Mail from a server in front of this one, with a reply for each recipient (RFC 2033).
    Lmtp,
}

impl Role {
    /// The name in metrics and logs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Mx => "smtp",
            Self::Submission => "submission",
            Self::Lmtp => "lmtp",
        }
    }
}

/// How a listener's sessions behave.
#[derive(Debug, Clone)]
pub struct Config {
    /// What the listener is for.
    pub role: Role,
    /// The name in the greeting and in Received: a fully-qualified domain name.
    pub hostname: String,
    /// The largest message in octets; announced as SIZE (RFC 1870).
    pub max_message: u64,
    /// Recipients of one message. RFC 5321 §4.5.3.1.8 asks for at least 100.
    pub max_recipients: usize,
    /// Refused commands and recipients of one session, before it is closed.
    pub max_errors: u32,
    /// Commands since the session began or its last message was accepted, before it is closed.
    pub max_commands: u32,
    /// Failed authentications of one session, before it is closed.
    pub max_auth_failures: u32,
    /// Received fields of one message; more is taken for a loop (RFC 5321 §6.3).
    pub max_hops: usize,
    /// How long a session waits.
    pub timeouts: Timeouts,
    /// Where it is said where tokens come from (RFC 7628 §3.2.2).
    pub token_metadata: String,
}

impl Config {
    /// A listener of this role and name, the rest by default.
    #[must_use]
    pub fn new(role: Role, hostname: impl Into<String>) -> Self {
        Self {
            role,
            hostname: hostname.into(),
            max_message: 100 << 20,
            max_recipients: 1000,
            max_errors: 50,
            max_commands: 5000,
            max_auth_failures: 3,
            max_hops: 50,
            timeouts: Timeouts::default(),
            token_metadata: String::new(),
        }
    }
}

/// How long a session waits for its client.
#[derive(Debug, Clone, Copy)]
pub struct Timeouts {
    /// For a whole command, from the reply before it. RFC 5321 §4.5.3.2.7: at least 5 minutes. The clock does
    /// not start anew with each octet, so that a client that trickles gets no longer.
    pub command: Duration,
    /// For the next octets of a message. RFC 5321 §4.5.3.2.5 gives a client 3 minutes for a block.
    pub block: Duration,
    /// For a whole message: what a client at 1 kB/s needs for a small one and what a large one needs at a rate
    /// that is still alive.
    pub message: Duration,
    /// Before authentication, where one is needed: a stranger gets less.
    pub before_auth: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            command: Duration::from_secs(300),
            block: Duration::from_secs(180),
            message: Duration::from_secs(3600),
            before_auth: Duration::from_secs(60),
        }
    }
}
