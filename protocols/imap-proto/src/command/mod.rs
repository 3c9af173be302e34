//! The commands: one file each with its type, its grammar and its known answers.

mod acl;
mod append;
mod authenticate;
mod bare;
mod enable;
mod fetch;
mod id;
mod list;
mod login;
mod mailboxes;
mod quota;
mod search;
mod select;
mod sort;
mod status;
mod store;

pub use acl::{AclMode, SetAcl};
pub use append::{Append, AppendMessage, MessageSyntax, parse_next as parse_next_append};
pub use authenticate::{Authenticate, ClientResponse, parse_response};
pub use enable::Extension;
pub use fetch::{Fetch, FetchItem, Partial, Section, SectionText};
pub use id::IdPairs;
pub use list::{List, ListReturn, ListSelection};
pub use login::{Login, Password};
pub use mailboxes::{Create, Rename};
pub use quota::SetQuota;
pub use search::{Charset, Search, SearchKey, SearchReturn};
pub use select::{QresyncParameters, Select};
pub use sort::{Sort, SortCriterion, SortKey, Thread, ThreadAlgorithm};
pub use status::{Status, StatusItem};
pub use store::{Copy, Store, StoreAction};

use crate::cursor::{Cursor, Result};
use crate::mailbox::MailboxName;
use crate::sequence::SequenceSet;
use crate::{ParseError, Problem, Tag};

/// A whole command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// What its answer begins with.
    pub tag: Tag,
    /// What is asked.
    pub body: Body,
}

/// What a command asks. `uid` says whether it came behind `UID` (RFC 9051 §6.4.9).
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)] // each variant is the command of its name; its type's page has the grammar
pub enum Body {
    Capability,
    Noop,
    Logout,
    StartTls,
    Authenticate(Authenticate),
    Login(Login),
    Id(IdPairs),
    Enable(Vec<Extension>),
    Select(Select),
    Create(Create),
    Delete(MailboxName),
    Rename(Rename),
    Subscribe(MailboxName),
    Unsubscribe(MailboxName),
    List(List),
    Lsub(List),
    Namespace,
    Status(Status),
    Append(Append),
    Idle,
    Check,
    Close,
    Unselect,
    Expunge { uids: Option<SequenceSet> },
    Search(Search),
    Sort(Sort),
    Thread(Thread),
    Fetch(Fetch),
    Store(Store),
    Copy(Copy),
    Move(Copy),
    GetQuota(String),
    GetQuotaRoot(MailboxName),
    SetQuota(SetQuota),
    GetAcl(MailboxName),
    SetAcl(SetAcl),
    DeleteAcl { mailbox: MailboxName, identifier: String },
    ListRights { mailbox: MailboxName, identifier: String },
    MyRights(MailboxName),
}

type Parser = fn(&mut Cursor<'_>) -> Result<Body>;

/// Every command by name, for a reader and for [`parse`].
const COMMANDS: &[(&str, Parser)] = &[
    ("FETCH", |c| fetch::parse(c, false)),
    ("NOOP", |_| Ok(Body::Noop)),
    ("IDLE", |_| Ok(Body::Idle)),
    ("SELECT", |c| select::parse(c, false)),
    ("EXAMINE", |c| select::parse(c, true)),
    ("STORE", |c| store::parse(c, false)),
    ("SEARCH", |c| search::parse(c, false)),
    ("STATUS", status::parse),
    ("LIST", list::parse),
    ("LSUB", list::parse_lsub),
    ("APPEND", append::parse),
    ("CAPABILITY", |_| Ok(Body::Capability)),
    ("LOGIN", login::parse),
    ("AUTHENTICATE", authenticate::parse),
    ("LOGOUT", |_| Ok(Body::Logout)),
    ("STARTTLS", |_| Ok(Body::StartTls)),
    ("ID", id::parse),
    ("ENABLE", enable::parse),
    ("NAMESPACE", |_| Ok(Body::Namespace)),
    ("CREATE", mailboxes::parse_create),
    ("DELETE", |c| mailboxes::parse_one(c).map(Body::Delete)),
    ("RENAME", mailboxes::parse_rename),
    ("SUBSCRIBE", |c| mailboxes::parse_one(c).map(Body::Subscribe)),
    ("UNSUBSCRIBE", |c| mailboxes::parse_one(c).map(Body::Unsubscribe)),
    ("CHECK", |_| Ok(Body::Check)),
    ("CLOSE", |_| Ok(Body::Close)),
    ("UNSELECT", |_| Ok(Body::Unselect)),
    ("EXPUNGE", |_| Ok(Body::Expunge { uids: None })),
    ("COPY", |c| store::parse_copy(c, false).map(Body::Copy)),
    ("MOVE", |c| store::parse_copy(c, false).map(Body::Move)),
    ("SORT", |c| sort::parse_sort(c, false)),
    ("THREAD", |c| sort::parse_thread(c, false)),
    ("GETQUOTA", quota::parse_get),
    ("GETQUOTAROOT", |c| mailboxes::parse_one(c).map(Body::GetQuotaRoot)),
    ("SETQUOTA", quota::parse_set),
    ("GETACL", |c| mailboxes::parse_one(c).map(Body::GetAcl)),
    ("SETACL", acl::parse_set),
    ("DELETEACL", acl::parse_delete),
    ("LISTRIGHTS", acl::parse_list_rights),
    ("MYRIGHTS", |c| mailboxes::parse_one(c).map(Body::MyRights)),
    ("UID", parse_uid),
];

/// What may stand behind `UID` (RFC 9051 §6.4.9, RFC 4315 §2.1, RFC 5256 §3).
const UID_COMMANDS: &[(&str, Parser)] = &[
    ("FETCH", |c| fetch::parse(c, true)),
    ("STORE", |c| store::parse(c, true)),
    ("SEARCH", |c| search::parse(c, true)),
    ("COPY", |c| store::parse_copy(c, true).map(Body::Copy)),
    ("MOVE", |c| store::parse_copy(c, true).map(Body::Move)),
    ("EXPUNGE", bare::parse_uid_expunge),
    ("SORT", |c| sort::parse_sort(c, true)),
    ("THREAD", |c| sort::parse_thread(c, true)),
];

/// Reads a frame of [`crate::framer`]. `utf8`: the client enabled IMAP4rev2 (RFC 9051 §6.3.1) or
/// UTF8=ACCEPT (RFC 6855 §3), so that mailbox names are UTF-8 and not modified UTF-7.
///
/// `command = tag SP (command-any / command-auth / command-nonauth / command-select) CRLF` (RFC 9051 §9)
pub fn parse(frame: &[u8], utf8: bool) -> std::result::Result<Command, ParseError> {
    let mut cursor = Cursor::new(frame, utf8);
    let tag = cursor.take_while(|b| b != b' ');
    let Some(tag) = Tag::new(tag) else {
        return Err(ParseError { tag: None, problem: Problem::Syntax("expected a tag") });
    };
    let body = cursor.space().and_then(|()| dispatch(&mut cursor, COMMANDS));
    match body.and_then(|body| cursor.end().map(|()| body)) {
        Ok(body) => Ok(Command { tag, body }),
        Err(problem) => Err(ParseError { tag: Some(tag), problem }),
    }
}

fn dispatch(cursor: &mut Cursor<'_>, table: &[(&str, Parser)]) -> Result<Body> {
    let name = cursor.atom().map_err(|_| Problem::UnknownCommand)?;
    let entry = table.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
    entry.map_or(Err(Problem::UnknownCommand), |(_, parser)| parser(cursor))
}

/// `uid = "UID" SP (copy / move / fetch / search / store / uid-expunge)` (RFC 9051 §9)
fn parse_uid(cursor: &mut Cursor<'_>) -> Result<Body> {
    cursor.space()?;
    dispatch(cursor, UID_COMMANDS)
}

/// Test helper: the command behind the tag `a`.
#[cfg(test)]
pub(crate) fn body(text: &str) -> std::result::Result<Body, Problem> {
    parse(format!("a {text}").as_bytes(), false).map(|c| c.body).map_err(|e| e.problem)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_any_case() {
        assert_eq!(body("noop"), Ok(Body::Noop));
        assert_eq!(body("uId eXpunge 1"), body("UID EXPUNGE 1"));
    }

    #[test]
    fn tags_are_kept_for_the_answer() {
        assert_eq!(parse(b"A1 NOPE", false).unwrap_err().tag, Tag::new(b"A1"));
        assert_eq!(parse(b"A1", false).unwrap_err().tag, Tag::new(b"A1"));
        for bad in [&b""[..], b" NOOP", b"+ NOOP", b"a+ NOOP", b"\xff NOOP"] {
            assert_eq!(parse(bad, false).unwrap_err().tag, None);
        }
    }

    #[test]
    fn unknown_and_unfinished() {
        for unknown in ["NOPE", "UID NOOP", "UID NOPE", "", "(", "NOOP2", "X-FOO bar"] {
            assert_eq!(body(unknown), Err(Problem::UnknownCommand), "{unknown}");
        }
        for bad in ["NOOP x", "SELECT", "SELECT ", "UID", "LOGIN a", "CAPABILITY\u{0}", "NOOP\rx"] {
            assert!(matches!(body(bad), Err(Problem::Syntax(_) | Problem::UnknownCommand)), "{bad:?}");
        }
        assert_eq!(body("NOOP "), Ok(Body::Noop), "a space at the end is let pass");
    }
}
