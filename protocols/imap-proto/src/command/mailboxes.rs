//! CREATE, DELETE, RENAME, SUBSCRIBE, UNSUBSCRIBE (RFC 9051 §6.3.4 to §6.3.8): commands of mailbox names.

use super::Body;
use crate::Problem;
use crate::cursor::{Cursor, Result};
use crate::mailbox::MailboxName;

/// CREATE, with the roles asked for (RFC 6154 §3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Create {
    /// The new mailbox; a trailing hierarchy separator says that children will follow (RFC 9051 §6.3.4).
    pub mailbox: MailboxName,
    /// Special-use attributes without the backslash, as written.
    pub special_use: Vec<String>,
}

/// RENAME.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rename {
    /// The name as it is.
    pub from: MailboxName,
    /// The name to be.
    pub to: MailboxName,
}

/// `SP mailbox`: DELETE, SUBSCRIBE, UNSUBSCRIBE and others (RFC 9051 §9).
pub(super) fn parse_one(cursor: &mut Cursor<'_>) -> Result<MailboxName> {
    cursor.space()?;
    MailboxName::parse(cursor)
}

/// `create = "CREATE" SP mailbox [create-params]`;
/// `create-param =/ "USE" SP "(" [use-attr *(SP use-attr)] ")"` (RFC 6154 §6)
pub(super) fn parse_create(cursor: &mut Cursor<'_>) -> Result<Body> {
    let mailbox = parse_one(cursor)?;
    let mut special_use = Vec::new();
    if cursor.eat(b' ') && cursor.peek().is_some() {
        cursor.list(false, |cursor| {
            if !cursor.eat_word("USE") {
                return Err(Problem::Syntax("unknown CREATE parameter"));
            }
            cursor.space()?;
            special_use = cursor.list(true, |cursor| {
                cursor.expect(b'\\', "expected a special-use attribute")?;
                cursor.atom().map(str::to_owned)
            })?;
            Ok(())
        })?;
    }
    Ok(Body::Create(Create { mailbox, special_use }))
}

/// `rename = "RENAME" SP mailbox SP mailbox`
pub(super) fn parse_rename(cursor: &mut Cursor<'_>) -> Result<Body> {
    let from = parse_one(cursor)?;
    let to = parse_one(cursor)?;
    Ok(Body::Rename(Rename { from, to }))
}

#[cfg(test)]
mod tests {
    use super::super::body;
    use super::*;

    fn name(text: &str) -> MailboxName {
        MailboxName::new(text)
    }

    /// RFC 9051 §6.3.4 to §6.3.8.
    #[test]
    fn known_answers() {
        let create = |text: &str| Ok(Body::Create(Create { mailbox: name(text), special_use: vec![] }));
        assert_eq!(body("CREATE owatagusiam/"), create("owatagusiam/"));
        assert_eq!(body("CREATE owatagusiam/blurdybloop"), create("owatagusiam/blurdybloop"));
        assert_eq!(body("DELETE blurdybloop"), Ok(Body::Delete(name("blurdybloop"))));
        let rename = Rename { from: name("blurdybloop"), to: name("sarasoop") };
        assert_eq!(body("RENAME blurdybloop sarasoop"), Ok(Body::Rename(rename)));
        assert_eq!(body("SUBSCRIBE #news.comp.mail.mime"), Ok(Body::Subscribe(name("#news.comp.mail.mime"))));
        assert_eq!(body("UNSUBSCRIBE \"a b\""), Ok(Body::Unsubscribe(name("a b"))));
    }

    /// RFC 6154 §5.3
    #[test]
    fn create_with_special_use() {
        let special_use = vec!["Drafts".to_owned(), "Sent".to_owned()];
        assert_eq!(
            body("CREATE MySpecial (USE (\\Drafts \\Sent))"),
            Ok(Body::Create(Create { mailbox: name("MySpecial"), special_use }))
        );
        assert!(body("CREATE a (USE ())").is_ok());
        for bad in
            ["CREATE a (USE)", "CREATE a (USE Drafts)", "CREATE a (FOO)", "CREATE a ()", "RENAME a", "DELETE"]
        {
            assert!(body(bad).is_err(), "{bad}");
        }
    }
}
