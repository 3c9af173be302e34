//! Starts real nodes and plain clients for the tests.
//!
//! A [`Node`] is the `godwit` binary as a child process, reached over real sockets only. The clients are
//! deliberately dumb: they send the bytes they are told to send and hand back the lines they got, so that a
//! test says in full what it expects of the server.

pub mod bodies;
pub mod cluster;
pub mod fleet;
pub mod http;
pub mod imap;
pub mod jmap;
pub mod line;
pub mod node;
pub mod oauth;
pub mod place;
pub mod push;
pub mod script;
pub mod smtp;
pub mod traffic;
pub mod wait;

pub use cluster::{Cluster, ClusterOptions};
pub use fleet::{Fleet, previous_binary};
pub use http::Http;
pub use imap::Imap;
pub use line::Line;
pub use node::{Node, NodeOptions, binary};
pub use place::{Place, Tenant};
pub use push::{EventSource, WebSocket};
pub use smtp::Smtp;
