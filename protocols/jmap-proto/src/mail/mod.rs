//! What RFC 8621 adds: capabilities, and names of properties that are more than names.

pub mod header;
pub mod keyword;

/// The capability of RFC 8621 §1.3.1.
pub const MAIL: &str = "urn:ietf:params:jmap:mail";

/// The capability of RFC 8621 §1.3.3.
pub const VACATION: &str = "urn:ietf:params:jmap:vacationresponse";

/// The capability of RFC 8621 §1.3.2.
pub const SUBMISSION: &str = "urn:ietf:params:jmap:submission";
