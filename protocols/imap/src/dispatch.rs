//! Every command: when it is allowed, what else is true of it, and the capability it stands for. CAPABILITY is
//! read off here.

use imap_proto::{Body, Command};

use crate::command as c;
use crate::flow::Allowed::{self, Always, Authenticated, NotAuthenticated, Selected};
use crate::reply::{Outcome, Reply};
use crate::session::Session;

/// A command as the table knows it.
pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) allowed: Allowed,
    /// What must not, or must, happen around it.
    pub(crate) manner: Manner,
    /// What CAPABILITY says of it, if anything.
    pub(crate) capability: &'static str,
}

/// How the view of the open mailbox is kept around a command.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manner {
    /// The view is brought up to date at its end.
    Plain,
    /// Looks at messages: the view is brought up to date before it too, but nothing is expunged.
    Fresh,
    /// Has sequence numbers in it or in its answer: nothing is expunged at its end either (RFC 9051 §7.5.1).
    Numbered,
    /// Changes which mailbox is open: no view is kept up to date.
    Switching,
}

use Manner::{Fresh, Numbered, Plain, Switching};

const fn row(name: &'static str, allowed: Allowed, manner: Manner, capability: &'static str) -> Row {
    Row { name, allowed, manner, capability }
}

/// Read aloud: "FETCH is allowed while a mailbox is open, and nothing is expunged during it."
pub(crate) const COMMANDS: &[Row] = &[
    row("CAPABILITY", Always, Plain, ""),
    row("NOOP", Always, Plain, ""),
    row("LOGOUT", Always, Switching, ""),
    row("ID", Always, Plain, "ID"),
    row("STARTTLS", NotAuthenticated, Plain, ""),
    row("AUTHENTICATE", NotAuthenticated, Plain, ""),
    row("LOGIN", NotAuthenticated, Plain, ""),
    row("ENABLE", Authenticated, Plain, "ENABLE"),
    row("SELECT", Authenticated, Switching, "CONDSTORE QRESYNC"),
    row("EXAMINE", Authenticated, Switching, ""),
    row("CREATE", Authenticated, Plain, "CREATE-SPECIAL-USE"),
    row("DELETE", Authenticated, Plain, ""),
    row("RENAME", Authenticated, Plain, ""),
    row("SUBSCRIBE", Authenticated, Plain, ""),
    row("UNSUBSCRIBE", Authenticated, Plain, ""),
    row("LIST", Authenticated, Plain, "LIST-EXTENDED LIST-STATUS SPECIAL-USE CHILDREN"),
    row("LSUB", Authenticated, Plain, ""),
    row("NAMESPACE", Authenticated, Plain, "NAMESPACE"),
    row("STATUS", Authenticated, Plain, "STATUS=SIZE OBJECTID"),
    row("APPEND", Authenticated, Plain, "UIDPLUS MULTIAPPEND"),
    row("IDLE", Authenticated, Plain, "IDLE"),
    row("GETQUOTA", Authenticated, Plain, "QUOTA QUOTA=RES-STORAGE"),
    row("GETQUOTAROOT", Authenticated, Plain, ""),
    row("SETQUOTA", Authenticated, Plain, ""),
    row("CHECK", Selected, Plain, ""),
    row("CLOSE", Selected, Switching, ""),
    row("UNSELECT", Selected, Switching, "UNSELECT"),
    row("EXPUNGE", Selected, Plain, ""),
    row("UID EXPUNGE", Selected, Plain, ""),
    row("SEARCH", Selected, Numbered, "ESEARCH SEARCHRES WITHIN SEARCH=FUZZY"),
    row("UID SEARCH", Selected, Fresh, ""),
    row("SORT", Selected, Numbered, "SORT"),
    row("UID SORT", Selected, Fresh, ""),
    row("THREAD", Selected, Numbered, "THREAD=ORDEREDSUBJECT THREAD=REFERENCES"),
    row("UID THREAD", Selected, Fresh, ""),
    row("FETCH", Selected, Numbered, "BINARY PREVIEW SAVEDATE"),
    row("UID FETCH", Selected, Fresh, ""),
    row("STORE", Selected, Numbered, ""),
    row("UID STORE", Selected, Fresh, ""),
    row("COPY", Selected, Fresh, ""),
    row("UID COPY", Selected, Fresh, ""),
    row("MOVE", Selected, Fresh, "MOVE"),
    row("UID MOVE", Selected, Fresh, ""),
];

/// The row of a command; `None` for what the codec can read and we do not do.
pub(crate) fn row_of(body: &Body) -> Option<&'static Row> {
    let name = name_of(body);
    COMMANDS.iter().find(|row| row.name == name)
}

/// Whether who the user is gets looked up before the command: for those that open or name mailboxes, and those that
/// clients come back with from time to time. The others work on the mailbox that is open.
pub(crate) fn asks_who(row: &Row) -> bool {
    const TOO: [&str; 6] = ["NOOP", "CHECK", "COPY", "UID COPY", "MOVE", "UID MOVE"];
    row.allowed == Authenticated || TOO.contains(&row.name)
}

fn name_of(body: &Body) -> &'static str {
    let either = |uid: bool, with: &'static str, without: &'static str| if uid { with } else { without };
    match body {
        Body::Capability => "CAPABILITY",
        Body::Noop => "NOOP",
        Body::Logout => "LOGOUT",
        Body::StartTls => "STARTTLS",
        Body::Authenticate(_) => "AUTHENTICATE",
        Body::Login(_) => "LOGIN",
        Body::Id(_) => "ID",
        Body::Enable(_) => "ENABLE",
        Body::Select(select) => either(select.read_only, "EXAMINE", "SELECT"),
        Body::Create(_) => "CREATE",
        Body::Delete(_) => "DELETE",
        Body::Rename(_) => "RENAME",
        Body::Subscribe(_) => "SUBSCRIBE",
        Body::Unsubscribe(_) => "UNSUBSCRIBE",
        Body::List(_) => "LIST",
        Body::Lsub(_) => "LSUB",
        Body::Namespace => "NAMESPACE",
        Body::Status(_) => "STATUS",
        Body::Append(_) => "APPEND",
        Body::Idle => "IDLE",
        Body::Check => "CHECK",
        Body::Close => "CLOSE",
        Body::Unselect => "UNSELECT",
        Body::Expunge { uids } => either(uids.is_some(), "UID EXPUNGE", "EXPUNGE"),
        Body::Search(search) => either(search.uid, "UID SEARCH", "SEARCH"),
        Body::Sort(sort) => either(sort.uid, "UID SORT", "SORT"),
        Body::Thread(thread) => either(thread.uid, "UID THREAD", "THREAD"),
        Body::Fetch(fetch) => either(fetch.uid, "UID FETCH", "FETCH"),
        Body::Store(store) => either(store.uid, "UID STORE", "STORE"),
        Body::Copy(copy) => either(copy.uid, "UID COPY", "COPY"),
        Body::Move(copy) => either(copy.uid, "UID MOVE", "MOVE"),
        Body::GetQuota(_) => "GETQUOTA",
        Body::GetQuotaRoot(_) => "GETQUOTAROOT",
        Body::SetQuota(_) => "SETQUOTA",
        Body::GetAcl(_) => "GETACL",
        Body::SetAcl(_) => "SETACL",
        Body::DeleteAcl { .. } => "DELETEACL",
        Body::ListRights { .. } => "LISTRIGHTS",
        Body::MyRights(_) => "MYRIGHTS",
    }
}

/// Runs the command that a row allowed. Each but IDLE in a box of its own, so that who idles does not hold room
/// for the largest of them.
pub(crate) async fn run(session: &mut Session, command: Command) -> Outcome {
    let Command { tag, body } = command;
    match body {
        Body::Capability => c::any::capability(session),
        Body::Noop => Ok(Reply::ok("done")),
        Body::Check => Ok(Reply::ok("done")),
        Body::Logout => c::any::logout(session),
        Body::Id(_) => c::any::id(session),
        Body::StartTls => Box::pin(c::login::start_tls(session, &tag)).await,
        Body::Authenticate(authenticate) => Box::pin(c::login::authenticate(session, authenticate)).await,
        Body::Login(login) => Box::pin(c::login::login(session, login)).await,
        Body::Enable(extensions) => c::enable::run(session, &extensions),
        Body::Select(select) => Box::pin(c::select::run(session, select)).await,
        Body::Create(create) => Box::pin(c::mailboxes::create(session, create)).await,
        Body::Delete(name) => Box::pin(c::mailboxes::delete(session, &name)).await,
        Body::Rename(rename) => Box::pin(c::mailboxes::rename(session, &rename)).await,
        Body::Subscribe(name) => Box::pin(c::mailboxes::subscribe(session, &name, true)).await,
        Body::Unsubscribe(name) => Box::pin(c::mailboxes::subscribe(session, &name, false)).await,
        Body::List(list) => Box::pin(c::list::run(session, &list, imap_proto::render::ListKind::List)).await,
        Body::Lsub(list) => Box::pin(c::list::run(session, &list, imap_proto::render::ListKind::Lsub)).await,
        Body::Namespace => c::list::namespace(session),
        Body::Status(status) => Box::pin(c::status::run(session, &status)).await,
        Body::Append(_) => Ok(Reply::bad("APPEND needs a message")),
        Body::Idle => c::idle::run(session).await,
        Body::Close => Box::pin(c::expunge::close(session)).await,
        Body::Unselect => c::expunge::unselect(session),
        Body::Expunge { uids } => Box::pin(c::expunge::run(session, uids.as_ref())).await,
        Body::Search(search) => Box::pin(c::search::run(session, &tag, search)).await,
        Body::Sort(sort) => Box::pin(c::sort::sort(session, &tag, sort)).await,
        Body::Thread(thread) => Box::pin(c::sort::thread(session, thread)).await,
        Body::Fetch(fetch) => Box::pin(c::fetch::run(session, fetch)).await,
        Body::Store(store) => Box::pin(c::store::run(session, store)).await,
        Body::Copy(copy) => Box::pin(c::copy::copy(session, &copy)).await,
        Body::Move(copy) => Box::pin(c::copy::move_(session, &copy)).await,
        Body::GetQuota(root) => Box::pin(c::quota::get(session, &root)).await,
        Body::GetQuotaRoot(name) => Box::pin(c::quota::root(session, &name)).await,
        Body::SetQuota(_) => c::quota::set(),
        Body::GetAcl(_)
        | Body::SetAcl(_)
        | Body::DeleteAcl { .. }
        | Body::ListRights { .. }
        | Body::MyRights(_) => Ok(Reply::bad("unknown command")),
    }
}

/// What the codec and the sessions do besides single commands: capability, and whether it is said before login.
const EVERYWHERE: &[(&str, bool)] = &[
    ("IMAP4rev1", true),
    ("IMAP4rev2", true),
    ("SASL-IR", true),   // RFC 4959
    ("LITERAL+", false), // RFC 7888; before login literals are small, which is LITERAL-
    ("LITERAL-", true),
    ("UTF8=ACCEPT", false), // RFC 6855
];

/// The capabilities as CAPABILITY lists them. `login` says how to log in: AUTH=…, STARTTLS, LOGINDISABLED.
pub(crate) fn capabilities(authenticated: bool, append_limit: u64, login: &str) -> String {
    let mut names: Vec<&str> = EVERYWHERE
        .iter()
        .filter(|(name, before)| if authenticated { *name != "LITERAL-" } else { *before })
        .map(|(name, _)| *name)
        .collect();
    let rows = COMMANDS.iter().filter(|row| authenticated || row.allowed == Always || row.name == "ENABLE");
    names.extend(rows.flat_map(|row| row.capability.split_whitespace()));
    let limit = format!("APPENDLIMIT={append_limit}"); // RFC 7889 §2
    if authenticated {
        names.push(&limit);
    } else {
        names.extend(login.split_whitespace());
    }
    names.join(" ")
}

/// What a command that is not allowed now is told.
pub(crate) fn not_now(row: &Row) -> Reply {
    Reply::bad(match row.allowed {
        Always => "not now",
        NotAuthenticated => "you are logged in already",
        Authenticated => "log in first",
        Selected => "open a mailbox first",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_unlike_the_others() {
        for (index, row) in COMMANDS.iter().enumerate() {
            assert!(COMMANDS[..index].iter().all(|other| other.name != row.name), "{}", row.name);
        }
    }

    #[test]
    fn commands_find_their_rows() {
        for text in ["NOOP", "UID FETCH 1 FLAGS", "EXAMINE x", "UID EXPUNGE 1", "MOVE 1 x", "LSUB \"\" *"] {
            let command = imap_proto::parse(format!("a {text}").as_bytes(), false).unwrap();
            assert!(row_of(&command.body).is_some_and(|row| text.starts_with(row.name)));
        }
        let acl = imap_proto::parse(b"a GETACL x", false).unwrap();
        assert!(row_of(&acl.body).is_none());
    }

    #[test]
    fn capabilities_follow_the_table() {
        let before = capabilities(false, 5, "AUTH=PLAIN STARTTLS");
        assert_eq!(before, "IMAP4rev1 IMAP4rev2 SASL-IR LITERAL- ID ENABLE AUTH=PLAIN STARTTLS");
        let after = capabilities(true, 5, "");
        for name in ["IMAP4rev2", "LITERAL+", "QRESYNC", "MOVE", "THREAD=REFERENCES", "APPENDLIMIT=5"] {
            assert!(after.split(' ').any(|have| have == name), "{name}");
        }
        assert!(!after.contains("LITERAL- ") && !after.contains("STARTTLS"));
    }

    #[test]
    fn nothing_is_expunged_under_sequence_numbers() {
        // RFC 9051 §7.5.1: FETCH, STORE, SEARCH; SORT and THREAD are like SEARCH (RFC 5256 §3).
        for name in ["FETCH", "STORE", "SEARCH", "SORT", "THREAD"] {
            assert!(COMMANDS.iter().any(|row| row.name == name && row.manner == Numbered));
        }
    }
}
