//! GETQUOTA, GETQUOTAROOT, SETQUOTA (RFC 9208 §4.1).

use super::Body;
use crate::cursor::{Cursor, Result};

/// New limits of a quota root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetQuota {
    /// The quota root's name.
    pub root: String,
    /// Resource names, as written, and limits in the resource's unit (STORAGE: 1024 bytes).
    pub limits: Vec<(String, u64)>,
}

/// `getquota = "GETQUOTA" SP quota-root-name`; `quota-root-name = astring` (RFC 9208 §6)
pub(super) fn parse_get(cursor: &mut Cursor<'_>) -> Result<Body> {
    cursor.space()?;
    cursor.astring_text().map(Body::GetQuota)
}

/// `setquota = "SETQUOTA" SP quota-root-name SP setquota-list`;
/// `setquota-list = "(" [setquota-resource *(SP setquota-resource)] ")"` (RFC 9208 §6)
pub(super) fn parse_set(cursor: &mut Cursor<'_>) -> Result<Body> {
    cursor.space()?;
    let root = cursor.astring_text()?;
    cursor.space()?;
    let limits = cursor.list(true, |cursor| {
        let resource = cursor.atom()?.to_owned();
        cursor.space()?;
        Ok((resource, cursor.number64()?))
    })?;
    Ok(Body::SetQuota(SetQuota { root, limits }))
}

#[cfg(test)]
mod tests {
    use super::super::body;
    use super::*;
    use crate::mailbox::MailboxName;

    /// RFC 9208 §4.1
    #[test]
    fn known_answers() {
        assert_eq!(body("GETQUOTA \"!partition/sda4\""), Ok(Body::GetQuota("!partition/sda4".into())));
        assert_eq!(body("GETQUOTA \"\""), Ok(Body::GetQuota(String::new())));
        assert_eq!(body("GETQUOTAROOT INBOX"), Ok(Body::GetQuotaRoot(MailboxName::new("INBOX"))));
        let limits = vec![("STORAGE".to_owned(), 510)];
        assert_eq!(
            body("SETQUOTA \"\" (STORAGE 510)"),
            Ok(Body::SetQuota(SetQuota { root: String::new(), limits }))
        );
        assert!(body("SETQUOTA x STORAGE 5").is_err());
    }
}
