//! Every limit of this crate, with its unit and why it is what it is.

use std::time::Duration;

/// Bytes asked of the socket at once. One TLS record with its overhead fits, and half a typical burst of mail.
pub const READ_SIZE: usize = 18 * 1024;

/// Bytes of input that may lie unconsumed before [`crate::Connection::fill`] refuses to read more. Framers have
/// smaller caps of their own; this is the last guard against one that forgets.
pub const INPUT: usize = 1024 * 1024;

/// Bytes of output that may wait before [`crate::Connection::write`] sends them and waits for the peer.
pub const HIGH_WATER: usize = 64 * 1024;

/// A write of at least this many bytes goes to the socket without being copied to the output buffer first.
pub const DIRECT_WRITE: usize = 16 * 1024;

/// How long a peer may take to accept any output at all, unless the protocol says otherwise.
pub const WRITE_TIMEOUT: Duration = Duration::from_secs(60);

/// Bytes a second that a reader must at least accept on top of the write timeout: one byte a minute must not
/// keep a flush going for ever.
pub const SLOWEST_READER: u64 = 1024;

/// How long a peer may be silent, unless the protocol says otherwise. RFC 5321 §4.5.3.2.7 asks for 5 minutes.
pub const READ_TIMEOUT: Duration = Duration::from_secs(300);

/// Time for a whole TLS handshake, from its first awaited byte to its end.
pub const HANDSHAKE_TIME: Duration = Duration::from_secs(15);

/// TLS handshakes under way at once, in all; those beyond it are closed at once, so that a flood of half-open
/// handshakes cannot eat the connections of those who are in.
pub const HANDSHAKES: usize = 16_384;

/// Bytes of handshake and alert records that may wait to be sent: a peer that asks for key updates and reads
/// nothing is cut off here.
pub const TLS_CONTROL: usize = 64 * 1024;

/// Time for the PROXY header, which the balancer sends first of all.
pub const PROXY_TIME: Duration = Duration::from_secs(5);

/// Longest PROXY v1 line with its CRLF, as the specification has it.
pub const PROXY_V1: usize = 107;

/// Longest PROXY v2 header with its TLVs, which we skip.
pub const PROXY_V2: usize = 4096;

/// Connections in all listeners together.
pub const CONNECTIONS: usize = 65_536;

/// Connections from one IPv4 address or one IPv6 /64. An office behind one address has a few per person.
pub const CONNECTIONS_PER_ADDRESS: usize = 512;

/// Connections the kernel completes for us before we accept them.
pub const BACKLOG: u32 = 4096;

/// Over how long thousands of sessions are sent away when a node drains: they are at the other nodes' doors right after.
pub const FAREWELL: Duration = Duration::from_secs(30);

/// Pause after an accept that failed for want of something the system lacks.
pub const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// How long a closed connection is read from, so that what the peer still sends does not make the kernel take
/// back our last reply.
pub const LINGER_TIME: Duration = Duration::from_secs(2);

/// Bytes a closed connection is read from.
pub const LINGER: usize = 256 * 1024;
