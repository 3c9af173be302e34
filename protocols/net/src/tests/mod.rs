//! Tests over real sockets.

mod connection;
mod listener;
mod stream;
mod tls;
