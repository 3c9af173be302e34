//! Tests over real sockets.

mod connection;
mod listener;
mod tls;
