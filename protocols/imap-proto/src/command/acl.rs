//! SETACL, DELETEACL, GETACL, LISTRIGHTS, MYRIGHTS (RFC 4314 §3).

use super::Body;
use crate::Problem;
use crate::cursor::{Cursor, Result};
use crate::mailbox::MailboxName;

/// Rights for an identifier.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetAcl {
    /// On which mailbox.
    pub mailbox: MailboxName,
    /// For whom.
    pub identifier: String,
    /// How the rights change.
    pub mode: AclMode,
    /// Letters of rights, lower case.
    pub rights: String,
}

/// `mod-rights`' first character (RFC 4314 §3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AclMode {
    /// None: exactly these.
    Replace,
    /// `+`
    Add,
    /// `-`
    Remove,
}

/// `setacl = "SETACL" SP mailbox SP identifier SP mod-rights`;
/// `mod-rights = astring ; +rights to add, -rights to remove, rights to replace` (RFC 4314 §5)
pub(super) fn parse_set(cursor: &mut Cursor<'_>) -> Result<Body> {
    let (mailbox, identifier) = target(cursor)?;
    cursor.space()?;
    let text = cursor.astring_text()?;
    let (mode, rights) = match text.split_at_checked(1) {
        Some(("+", rights)) => (AclMode::Add, rights),
        Some(("-", rights)) => (AclMode::Remove, rights),
        _ => (AclMode::Replace, text.as_str()),
    };
    // RFC 4314 §5: rights are lower-case letters and digits; upper case is an error (§2.1 note).
    if !rights.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()) {
        return Err(Problem::Syntax("invalid rights"));
    }
    Ok(Body::SetAcl(SetAcl { mailbox, identifier, mode, rights: rights.to_owned() }))
}

/// `deleteacl = "DELETEACL" SP mailbox SP identifier`
pub(super) fn parse_delete(cursor: &mut Cursor<'_>) -> Result<Body> {
    target(cursor).map(|(mailbox, identifier)| Body::DeleteAcl { mailbox, identifier })
}

/// `listrights = "LISTRIGHTS" SP mailbox SP identifier`
pub(super) fn parse_list_rights(cursor: &mut Cursor<'_>) -> Result<Body> {
    target(cursor).map(|(mailbox, identifier)| Body::ListRights { mailbox, identifier })
}

fn target(cursor: &mut Cursor<'_>) -> Result<(MailboxName, String)> {
    cursor.space()?;
    let mailbox = MailboxName::parse(cursor)?;
    cursor.space()?;
    Ok((mailbox, cursor.astring_text()?))
}

#[cfg(test)]
mod tests {
    use super::super::body;
    use super::*;

    /// RFC 4314 §3
    #[test]
    fn known_answers() {
        let mailbox = MailboxName::new("INBOX/Drafts");
        let set = |mode, rights: &str| {
            let (mailbox, identifier) = (mailbox.clone(), "John".to_owned());
            Ok(Body::SetAcl(SetAcl { mailbox, identifier, mode, rights: rights.to_owned() }))
        };
        assert_eq!(body("SETACL INBOX/Drafts John lrQswicda"), Err(Problem::Syntax("invalid rights")));
        assert_eq!(body("SETACL INBOX/Drafts John lrswicda"), set(AclMode::Replace, "lrswicda"));
        assert_eq!(body("SETACL INBOX/Drafts John +x"), set(AclMode::Add, "x"));
        assert_eq!(body("SETACL INBOX/Drafts John -x"), set(AclMode::Remove, "x"));
        assert_eq!(body("SETACL INBOX/Drafts John \"\""), set(AclMode::Replace, ""));
        assert_eq!(body("GETACL INBOX/Drafts"), Ok(Body::GetAcl(mailbox.clone())));
        assert_eq!(body("MYRIGHTS INBOX/Drafts"), Ok(Body::MyRights(mailbox.clone())));
        let identifier = "Fred".to_owned();
        assert_eq!(
            body("DELETEACL INBOX/Drafts Fred"),
            Ok(Body::DeleteAcl { mailbox: mailbox.clone(), identifier: identifier.clone() })
        );
        assert_eq!(body("LISTRIGHTS INBOX/Drafts Fred"), Ok(Body::ListRights { mailbox, identifier }));
    }
}
