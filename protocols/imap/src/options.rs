//! What an operator decides, and the caps of a session with their units.

use std::time::Duration;

use query::Budget;

/// How the service behaves.
#[derive(Debug, Clone)]
pub struct Options {
    /// The name in the greeting.
    pub hostname: String,
    /// Whether a password may cross a connection without TLS that comes from loopback. From anywhere else it
    /// never may: LOGINDISABLED (RFC 9051 §6.2.3).
    pub plaintext_from_loopback: bool,
    /// Largest message that APPEND takes, in bytes (RFC 7889).
    pub append_limit: u64,
    /// What a SEARCH, SORT or THREAD may cost.
    pub search_budget: Budget,
    /// Time for logging in, from the greeting.
    pub login_time: Duration,
    /// Where it is said where tokens come from (RFC 7628 §3.2.2).
    pub token_metadata: String,
    /// Silence after which a client that is logged in is sent away (RFC 9051 §5.4: at least 30 minutes).
    pub idle_time: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            hostname: "localhost".to_owned(),
            plaintext_from_loopback: true,
            append_limit: 100 << 20,
            search_budget: Budget::default(),
            login_time: Duration::from_secs(60),
            token_metadata: String::new(),
            idle_time: Duration::from_secs(31 * 60),
        }
    }
}

/// Failed logins after which a connection ends.
pub(crate) const LOGIN_FAILURES: u8 = 5;
/// Commands of any kind, before login, after which a connection ends.
pub(crate) const COMMANDS_BEFORE_LOGIN: u16 = 100;
/// Commands that are none, or not allowed yet, before login, after which a connection ends.
pub(crate) const NONSENSE_BEFORE_LOGIN: u16 = 10;
/// The same after login.
pub(crate) const NONSENSE: u16 = 100;
/// Message rows read at once.
pub(crate) const ROWS: usize = 1000;
/// UIDs of a listing answered before the connection may send.
pub(crate) const LISTED: u32 = 512;
/// Bytes of a body read at once: whole blocks, as bodies are stored in.
pub(crate) const PIECE: u64 = 2 * 90_000;
/// Bytes of a header from which fields are selected.
pub(crate) const HEADER: u64 = 4 << 20;
/// Messages in one APPEND (RFC 3502): they are committed together.
pub(crate) const APPEND_MESSAGES: usize = 100;
/// Bytes of bodies of one APPEND that are committed with it; those that come after them are stored apart.
pub(crate) const APPEND_INLINE: usize = 3 << 20;
/// Bytes that the messages of one APPEND may add to its transaction, which has room for 10 MB.
pub(crate) const APPEND_WEIGHT: usize = 8 << 20;
/// Silence in IDLE after which the client is told that we are still here, for the sake of NATs.
pub(crate) const STILL_HERE: Duration = Duration::from_secs(4 * 60);
