//! Commands without arguments need no file: they are rows of the table. This is what stands beside them.

use super::Body;
use crate::cursor::{Cursor, Result};
use crate::sequence::SequenceSet;

/// `uid-expunge = "UID" SP "EXPUNGE" SP sequence-set` (RFC 4315 §2.1, RFC 9051 §6.4.9)
pub(super) fn parse_uid_expunge(cursor: &mut Cursor<'_>) -> Result<Body> {
    cursor.space()?;
    Ok(Body::Expunge { uids: Some(SequenceSet::parse(cursor)?) })
}

#[cfg(test)]
mod tests {
    use super::super::body;
    use super::*;

    #[test]
    fn commands_without_arguments() {
        for (text, expected) in [
            ("CAPABILITY", Body::Capability),          // RFC 9051 §6.1.1
            ("NOOP", Body::Noop),                      // RFC 9051 §6.1.2
            ("LOGOUT", Body::Logout),                  // RFC 9051 §6.1.3
            ("STARTTLS", Body::StartTls),              // RFC 9051 §6.2.1
            ("NAMESPACE", Body::Namespace),            // RFC 2342 §5, RFC 9051 §6.3.10
            ("IDLE", Body::Idle),                      // RFC 2177 §3, RFC 9051 §6.3.13
            ("CHECK", Body::Check),                    // RFC 3501 §6.4.1
            ("CLOSE", Body::Close),                    // RFC 9051 §6.4.1
            ("UNSELECT", Body::Unselect),              // RFC 3691 §2, RFC 9051 §6.4.2
            ("EXPUNGE", Body::Expunge { uids: None }), // RFC 9051 §6.4.3
        ] {
            assert_eq!(body(text), Ok(expected));
            assert!(body(&format!("{text} x")).is_err());
        }
    }

    /// RFC 4315 §2.1
    #[test]
    fn uid_expunge() {
        let uids = SequenceSet::from_text("3000:3002");
        assert_eq!(body("UID EXPUNGE 3000:3002"), Ok(Body::Expunge { uids }));
        assert!(body("UID EXPUNGE").is_err());
        assert!(body("EXPUNGE 1").is_err());
    }
}
