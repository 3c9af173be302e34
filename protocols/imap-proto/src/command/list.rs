//! LIST (RFC 9051 §6.3.9) with LIST-EXTENDED (RFC 5258), LIST-STATUS (RFC 5819), SPECIAL-USE (RFC 6154);
//! LSUB (RFC 3501 §6.3.9).

use super::{Body, StatusItem};
use crate::cursor::{Cursor, Result, is_atom_char};
use crate::mailbox::{self, MailboxName};
use crate::{Problem, limits};

/// Which mailboxes, and what about them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct List {
    /// The reference name, prefixed to the patterns.
    pub reference: MailboxName,
    /// Patterns in Unicode, at least one; `*` matches everything, `%` all but the separator.
    pub patterns: Vec<String>,
    /// What is listed.
    pub selection: ListSelection,
    /// What is told of each.
    pub returns: ListReturn,
    /// Whether any part of LIST-EXTENDED was used: then the empty pattern is not special and CHILDINFO may
    /// be sent (RFC 5258 §3).
    pub extended: bool,
}

/// `list-select-opts` (RFC 5258 §3.1, RFC 6154 §2)
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ListSelection {
    /// Subscribed names, whether or not they exist.
    pub subscribed: bool,
    /// Remote mailboxes too; there are none.
    pub remote: bool,
    /// Also parents whose children match.
    pub recursive_match: bool,
    /// Those with a special use only.
    pub special_use: bool,
}

/// `list-return-opts` (RFC 5258 §3.2, RFC 5819 §2, RFC 6154 §2)
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ListReturn {
    /// `\Subscribed`
    pub subscribed: bool,
    /// `\HasChildren`, `\HasNoChildren` (RFC 3348)
    pub children: bool,
    /// Special-use attributes.
    pub special_use: bool,
    /// STATUS of each mailbox.
    pub status: Vec<StatusItem>,
}

/// `list = "LIST" [SP list-select-opts] SP mailbox SP mbox-or-pat [SP list-return-opts]` (RFC 5258 §6)
pub(super) fn parse(cursor: &mut Cursor<'_>) -> Result<Body> {
    cursor.space()?;
    let mut extended = false;
    let mut selection = ListSelection::default();
    if cursor.peek() == Some(b'(') {
        extended = true;
        selection = select_options(cursor)?;
        cursor.space()?;
    }
    let reference = MailboxName::parse(cursor)?;
    cursor.space()?;
    let patterns = if cursor.peek() == Some(b'(') {
        extended = true;
        let patterns = cursor.list(false, pattern)?;
        if patterns.len() > limits::LIST_PATTERNS {
            return Err(Problem::Limit("too many mailbox patterns"));
        }
        patterns
    } else {
        vec![pattern(cursor)?]
    };
    let mut returns = ListReturn::default();
    if cursor.eat(b' ') && cursor.peek().is_some() {
        extended = true;
        returns = return_options(cursor)?;
    }
    Ok(Body::List(List { reference, patterns, selection, returns, extended }))
}

/// `lsub = "LSUB" SP mailbox SP list-mailbox` (RFC 3501 §9)
pub(super) fn parse_lsub(cursor: &mut Cursor<'_>) -> Result<Body> {
    cursor.space()?;
    let reference = MailboxName::parse(cursor)?;
    cursor.space()?;
    let patterns = vec![pattern(cursor)?];
    let selection = ListSelection { subscribed: true, ..ListSelection::default() };
    Ok(Body::Lsub(List { reference, patterns, selection, returns: ListReturn::default(), extended: false }))
}

/// `list-mailbox = 1*list-char / string`; `list-char = ATOM-CHAR / list-wildcards / resp-specials`
fn pattern(cursor: &mut Cursor<'_>) -> Result<String> {
    let bytes = match cursor.peek() {
        Some(b'"' | b'{') => cursor.string()?,
        _ => match cursor.take_while(|b| is_atom_char(b) || matches!(b, b'%' | b'*' | b']')) {
            [] => return Err(Problem::Syntax("expected a mailbox pattern")),
            chars => chars.into(),
        },
    };
    if bytes.len() > limits::MAILBOX {
        return Err(Problem::Limit("mailbox pattern is too long"));
    }
    mailbox::decode(&bytes, cursor.utf8())
}

/// `list-select-opts = "(" [*(list-select-opt SP) …] ")"` (RFC 5258 §6)
fn select_options(cursor: &mut Cursor<'_>) -> Result<ListSelection> {
    let mut selection = ListSelection::default();
    cursor.list(true, |cursor| {
        let option = cursor.atom()?;
        match option.to_ascii_uppercase().as_str() {
            "SUBSCRIBED" => selection.subscribed = true,
            "REMOTE" => selection.remote = true,
            "RECURSIVEMATCH" => selection.recursive_match = true,
            "SPECIAL-USE" => selection.special_use = true,
            _ => return Err(Problem::Syntax("unknown LIST selection option")),
        }
        Ok(())
    })?;
    // RFC 5258 §3.1: RECURSIVEMATCH alone, or with REMOTE alone, is an error.
    if selection.recursive_match && !(selection.subscribed || selection.special_use) {
        return Err(Problem::Syntax("RECURSIVEMATCH needs another selection option"));
    }
    Ok(selection)
}

/// `list-return-opts = "RETURN" SP "(" [return-option *(SP return-option)] ")"` (RFC 5258 §6);
/// `return-option =/ "STATUS" SP "(" status-att *(SP status-att) ")"` (RFC 5819 §4)
fn return_options(cursor: &mut Cursor<'_>) -> Result<ListReturn> {
    if !cursor.eat_word("RETURN") {
        return Err(Problem::Syntax("expected RETURN"));
    }
    cursor.space()?;
    let mut returns = ListReturn::default();
    cursor.list(true, |cursor| {
        let option = cursor.atom()?;
        match option.to_ascii_uppercase().as_str() {
            "SUBSCRIBED" => returns.subscribed = true,
            "CHILDREN" => returns.children = true,
            "SPECIAL-USE" => returns.special_use = true,
            "STATUS" => {
                cursor.space()?;
                returns.status = StatusItem::parse_list(cursor)?;
            }
            _ => return Err(Problem::Syntax("unknown LIST return option")),
        }
        Ok(())
    })?;
    Ok(returns)
}

#[cfg(test)]
mod tests {
    use super::super::body;
    use super::*;
    use crate::limits;

    fn list(text: &str) -> List {
        match body(text) {
            Ok(Body::List(list) | Body::Lsub(list)) => list,
            other => panic!("{text}: {other:?}"),
        }
    }

    /// RFC 9051 §6.3.9, RFC 3501 §6.3.8.
    #[test]
    fn plain() {
        let root = list("LIST \"\" \"\"");
        assert_eq!((root.reference.as_str(), root.patterns, root.extended), ("", vec![String::new()], false));
        let all = list("LIST #news.comp.mail.misc \"\"");
        assert_eq!(all.reference.as_str(), "#news.comp.mail.misc");
        assert_eq!(list("LIST /usr/staff/jones %").patterns, ["%"]);
        assert_eq!(list("LIST ~/Mail/ foo*]").patterns, ["foo*]"]);
        assert_eq!(list("LIST \"\" \"Entw&APw-rfe/*\"").patterns, ["Entwürfe/*"]);
        let lsub = list("LSUB \"#news.\" \"comp.mail.*\"");
        assert!(lsub.selection.subscribed);
    }

    /// RFC 5258 §5
    #[test]
    fn extended() {
        let l = list("LIST (SUBSCRIBED) \"\" \"*\"");
        assert!(l.extended && l.selection.subscribed);
        assert!(list("LIST (SUBSCRIBED REMOTE) \"\" \"*\"").selection.remote);
        let l = list("LIST () \"\" \"%\" RETURN (CHILDREN)");
        assert!(l.returns.children && !l.returns.subscribed);
        let l = list("LIST \"\" (\"INBOX\" \"Drafts\" \"Sent/%\")");
        assert_eq!(l.patterns, ["INBOX", "Drafts", "Sent/%"]);
        assert!(list("LIST (SUBSCRIBED RECURSIVEMATCH) \"\" *").selection.recursive_match);
    }

    /// RFC 5819 §3, RFC 6154 §5.
    #[test]
    fn status_and_special_use() {
        let l = list("LIST \"\" % RETURN (STATUS (MESSAGES UNSEEN))");
        assert_eq!(l.returns.status, [StatusItem::Messages, StatusItem::Unseen]);
        let l = list("LIST (SPECIAL-USE) \"\" * RETURN (SPECIAL-USE SUBSCRIBED)");
        assert!(l.selection.special_use && l.returns.special_use && l.returns.subscribed);
        assert!(list("LIST \"\" * RETURN ()").extended);
    }

    #[test]
    fn the_number_of_patterns_is_bounded() {
        let of = |count: usize| body(&format!("LIST \"\" ({})", vec!["a"; count].join(" ")));
        assert!(of(limits::LIST_PATTERNS).is_ok());
        assert!(matches!(of(limits::LIST_PATTERNS + 1), Err(Problem::Limit(_))));
    }

    #[test]
    fn refused() {
        for bad in [
            "LIST \"\"",
            "LIST (FOO) \"\" *",
            "LIST (RECURSIVEMATCH) \"\" *",
            "LIST (RECURSIVEMATCH REMOTE) \"\" *",
            "LIST \"\" ()",
            "LIST \"\" * RETURN",
            "LIST \"\" * (CHILDREN)",
            "LIST \"\" * RETURN (STATUS)",
            "LIST \"\" * RETURN (STATUS ())",
            "LSUB \"\" (a b)",
            "LIST \"\" \"&\"",
        ] {
            assert!(body(bad).is_err(), "{bad}");
        }
    }
}
