//! IMAP codec: pure, no socket, no clock.
