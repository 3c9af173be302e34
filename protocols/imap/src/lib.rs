//! IMAP server sessions.
