//! Every limit of the codec, in octets unless said otherwise.
//!
//! RFC 5321 §4.5.3.1 gives minimum sizes that must be taken, and asks implementations to have no fixed ones
//! where possible. These are larger, so that real mail (VERP senders, long ORCPT) passes, and still small.

/// A command line with its CRLF. RFC 5321 §4.5.3.1.4 says 512; RFC 3461 §5, RFC 6531 §3.4 and others add up to
/// about 1,600 for MAIL and RCPT.
pub const COMMAND_LINE: usize = 4096;

/// A line of an AUTH exchange with its CRLF: RFC 4954 §4 says 12,288.
pub const AUTH_LINE: usize = 12_288;

/// A local part. RFC 5321 §4.5.3.1.1 says 64; VERP and forwarded senders are longer.
pub const LOCAL_PART: usize = 256;

/// A domain (RFC 5321 §4.5.3.1.2).
pub const DOMAIN: usize = 255;

/// A label of a domain (RFC 1035 §2.3.4), when it is ASCII.
pub const LABEL: usize = 63;

/// The name a client gives itself.
pub const CLIENT_NAME: usize = 255;

/// A decoded ENVID (RFC 3461 §4.4).
pub const ENVID: usize = 100;

/// The address of an ORCPT (RFC 3461 §4.2).
pub const ORCPT: usize = 500;

/// A reply line with its CRLF, as written (RFC 5321 §4.5.3.1.5).
pub const REPLY_LINE: usize = 512;

/// A reply line with its CRLF, as read.
pub const REPLY_LINE_READ: usize = 4096;

/// Lines of one reply, as read (count).
pub const REPLY_LINES_READ: usize = 256;
