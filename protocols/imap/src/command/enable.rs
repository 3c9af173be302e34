//! ENABLE (RFC 5161, RFC 9051 §6.3.1).

use imap_proto::command::Extension;
use imap_proto::render::{self, Code, Condition};

use crate::reply::{Outcome, Reply};
use crate::session::Session;

/// Switches extensions on and tells which.
pub(crate) fn run(session: &mut Session, extensions: &[Extension]) -> Outcome {
    // RFC 5161 §3.1: not while a mailbox is open; RFC 6855 §3 and RFC 7162 §3.2.3 allow it there, and so do we
    // for all but the meaning of names, which a client could not follow half-way.
    let before = session.modes.condstore;
    for extension in extensions {
        match extension {
            Extension::Imap4Rev2 => session.modes.rev2 = true,
            Extension::CondStore => session.modes.condstore = true,
            Extension::QResync => {
                // RFC 7162 §3.2.3: QRESYNC implies CONDSTORE.
                session.modes.qresync = true;
                session.modes.condstore = true;
            }
            Extension::Utf8Accept => session.modes.utf8_accept = true,
        }
    }
    render::enabled(session.out(), extensions);
    if let Some(selected) = session.state.selected().filter(|_| session.modes.condstore && !before) {
        // RFC 7162 §3.1.2: with CONDSTORE on, the client is told up to where it knows.
        let code = Code::HighestModSeq(selected.view.as_of().0);
        render::status(session.out(), None, Condition::Ok, Some(&code), "");
    }
    Ok(Reply::ok("done"))
}
