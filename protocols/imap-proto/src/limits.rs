//! Every cap of the codec in one place, with its unit.

/// Longest line, in bytes with its CRLF (RFC 7162 §4 asks for at least 8192).
pub const LINE: usize = 64 * 1024;
/// Longest command before login, literals included, in bytes.
pub const COMMAND_BEFORE_LOGIN: usize = 8 * 1024;
/// Longest command after login, literals included but for an APPEND's message, in bytes.
pub const COMMAND: usize = 256 * 1024;
/// Longest literal that is an argument (not an APPEND's message), in bytes.
pub const LITERAL: u64 = 64 * 1024;
/// Most literals in one command; an APPEND's messages count (RFC 3502).
pub const LITERALS: usize = 128;
/// What LITERAL- allows a non-synchronizing literal, in bytes (RFC 7888 §5).
pub const LITERAL_MINUS: u64 = 4096;
/// What is read and thrown away after a refusal before the connection is closed instead, in bytes.
pub const SKIP: u64 = 64 * 1024 * 1024;
/// Deepest nesting of search keys and parentheses.
pub const DEPTH: usize = 100;
/// Most keys in one search program: each may cost a look at every message.
pub const SEARCH_KEYS: usize = 256;
/// Most patterns in one LIST (RFC 5258 §3).
pub const LIST_PATTERNS: usize = 100;
/// Most field names in one HEADER.FIELDS or HEADER.FIELDS.NOT.
pub const FIELD_NAMES: usize = 500;
/// Most parts in the path of a body section (`BODY[1.2.3…]`).
pub const SECTION_DEPTH: usize = 100;
/// Most field-value pairs in an ID command (RFC 2971 §3.3).
pub const ID_PAIRS: usize = 30;
/// Longest field name of ID, in bytes (RFC 2971 §3.3).
pub const ID_FIELD: usize = 30;
/// Longest value of ID, in bytes (RFC 2971 §3.3).
pub const ID_VALUE: usize = 1024;
/// Longest keyword, in bytes.
pub const KEYWORD: usize = 255;
/// Longest tag, in bytes: it is echoed with every answer.
pub const TAG: usize = 128;
/// Longest mailbox name, in bytes of UTF-8.
pub const MAILBOX: usize = 4096;
