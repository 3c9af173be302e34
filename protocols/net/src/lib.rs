//! Listeners, TLS, buffers, timeouts, back-pressure and drain of every protocol.
