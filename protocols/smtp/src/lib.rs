//! SMTP, submission and LMTP server sessions.
