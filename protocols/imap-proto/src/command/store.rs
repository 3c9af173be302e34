//! STORE (RFC 9051 §6.4.6, RFC 7162 §3.1.3), COPY and MOVE (RFC 9051 §6.4.7, §6.4.8; RFC 6851).

use super::Body;
use crate::Problem;
use crate::cursor::{Cursor, Result};
use crate::flag::Flag;
use crate::mailbox::MailboxName;
use crate::sequence::SequenceSet;

/// A change of flags.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Store {
    /// Whether `set` is of UIDs.
    pub uid: bool,
    /// Which messages.
    pub set: SequenceSet,
    /// Only messages not changed after this mod-sequence (RFC 7162 §3.1.3); 0 is allowed and matches none.
    pub unchanged_since: Option<u64>,
    /// How the flags change.
    pub action: StoreAction,
    /// `.SILENT`: the new flags need not be told.
    pub silent: bool,
    /// The flags.
    pub flags: Vec<Flag>,
}

/// What happens to the flags named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreAction {
    /// `FLAGS`: these and no others.
    Replace,
    /// `+FLAGS`
    Add,
    /// `-FLAGS`
    Remove,
}

/// COPY or MOVE.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copy {
    /// Whether `set` is of UIDs.
    pub uid: bool,
    /// Which messages.
    pub set: SequenceSet,
    /// Where to.
    pub mailbox: MailboxName,
}

/// `store = "STORE" SP sequence-set [store-modifiers] SP store-att-flags`;
/// `store-modifiers = SP "(" "UNCHANGEDSINCE" SP mod-sequence-valzer ")"` (RFC 7162 §7);
/// `store-att-flags = (["+" / "-"] "FLAGS" [".SILENT"]) SP (flag-list / (flag *(SP flag)))` (RFC 9051 §9)
pub(super) fn parse(cursor: &mut Cursor<'_>, uid: bool) -> Result<Body> {
    cursor.space()?;
    let set = SequenceSet::parse(cursor)?;
    cursor.space()?;
    let mut unchanged_since = None;
    if cursor.peek() == Some(b'(') {
        cursor.list(false, |cursor| {
            if !cursor.eat_word("UNCHANGEDSINCE") {
                return Err(Problem::Syntax("unknown STORE modifier"));
            }
            cursor.space()?;
            unchanged_since = Some(cursor.number64()?);
            Ok(())
        })?;
        cursor.space()?;
    }
    let action = match cursor.peek() {
        Some(b'+') => StoreAction::Add,
        Some(b'-') => StoreAction::Remove,
        _ => StoreAction::Replace,
    };
    cursor.skip(usize::from(action != StoreAction::Replace));
    let silent = cursor.eat_word("FLAGS.SILENT");
    if !silent && !cursor.eat_word("FLAGS") {
        return Err(Problem::Syntax("expected FLAGS, +FLAGS or -FLAGS"));
    }
    cursor.space()?;
    let flags = flags(cursor)?;
    Ok(Body::Store(Store { uid, set, unchanged_since, action, silent, flags }))
}

fn flags(cursor: &mut Cursor<'_>) -> Result<Vec<Flag>> {
    if cursor.peek() == Some(b'(') {
        return Flag::parse_list(cursor);
    }
    let mut flags = vec![Flag::parse(cursor)?];
    while cursor.eat(b' ') && cursor.peek().is_some() {
        flags.push(Flag::parse(cursor)?);
    }
    Ok(flags)
}

/// `copy = "COPY" SP sequence-set SP mailbox`; `move = "MOVE" SP sequence-set SP mailbox`
pub(super) fn parse_copy(cursor: &mut Cursor<'_>, uid: bool) -> Result<Copy> {
    cursor.space()?;
    let set = SequenceSet::parse(cursor)?;
    cursor.space()?;
    Ok(Copy { uid, set, mailbox: MailboxName::parse(cursor)? })
}

#[cfg(test)]
mod tests {
    use super::super::body;
    use super::*;

    fn store(text: &str) -> Store {
        match body(text) {
            Ok(Body::Store(store)) => store,
            other => panic!("{text}: {other:?}"),
        }
    }

    /// RFC 9051 §6.4.6
    #[test]
    fn flags_change() {
        let s = store("STORE 2:4 +FLAGS (\\Deleted)");
        assert_eq!(
            (s.action, s.silent, s.uid, &s.flags[..]),
            (StoreAction::Add, false, false, &[Flag::Deleted][..])
        );
        let s = store("UID STORE 1 -FLAGS.SILENT \\Seen $Foo");
        assert_eq!((s.action, s.silent, s.uid, s.flags.len()), (StoreAction::Remove, true, true, 2));
        assert_eq!(store("STORE $ FLAGS ()").action, StoreAction::Replace);
    }

    /// RFC 7162 §3.1.3
    #[test]
    fn unchanged_since() {
        let s = store("UID STORE 6,4,8 (UNCHANGEDSINCE 12121230045) +FLAGS.SILENT (\\Deleted)");
        assert_eq!(s.unchanged_since, Some(12_121_230_045));
        assert_eq!(store("STORE 7 (UNCHANGEDSINCE 0) FLAGS (a)").unchanged_since, Some(0));
    }

    /// RFC 9051 §6.4.7, RFC 6851 §3.1
    #[test]
    fn copy_and_move() {
        let set = SequenceSet::from_text("2:4").unwrap();
        let copy = Copy { uid: false, set, mailbox: MailboxName::new("MEETING") };
        assert_eq!(body("COPY 2:4 MEETING"), Ok(Body::Copy(copy.clone())));
        assert_eq!(body("UID MOVE 2:4 MEETING"), Ok(Body::Move(Copy { uid: true, ..copy })));
    }

    #[test]
    fn refused() {
        for bad in [
            "STORE 1",
            "STORE 1 FLAGS",
            "STORE 1 FLAGS ",
            "STORE 1 *FLAGS (a)",
            "STORE 1 +FLAGS.LOUD (a)",
            "STORE 1 (UNCHANGEDSINCE) FLAGS (a)",
            "STORE 1 (FOO 1) FLAGS (a)",
            "STORE 0 FLAGS (a)",
            "COPY 1",
            "MOVE x y",
        ] {
            assert!(body(bad).is_err(), "{bad}");
        }
    }
}
