//! SMTP and LMTP codec: pure, no socket, no clock.
