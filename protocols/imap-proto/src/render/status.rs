//! OK, NO, BAD, PREAUTH, BYE and their response codes (RFC 9051 §7.1).

use super::string::line_text;
use super::{crlf, number, ranges};
use crate::Tag;
use std::borrow::Cow;
use std::ops::RangeInclusive;

/// What a status response says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// It was done.
    Ok,
    /// It could not be done.
    No,
    /// It was no valid command.
    Bad,
    /// The greeting of a connection that is logged in already (RFC 9051 §7.1.4).
    PreAuth,
    /// The connection is about to close (RFC 9051 §7.1.5).
    Bye,
}

/// A response code (RFC 9051 §7.1; RFC 5530; others named).
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)] // named as on the wire
pub enum Code<'a> {
    Alert,
    AlreadyExists,
    /// APPENDUID (RFC 4315 §3): UIDVALIDITY and the new UIDs.
    AppendUid {
        uid_validity: u32,
        uids: Cow<'a, [RangeInclusive<u32>]>,
    },
    AuthenticationFailed,
    AuthorizationFailed,
    /// Charsets that would do.
    BadCharset,
    Cannot,
    /// The capabilities, so that they need not be asked for.
    Capability(Cow<'a, str>),
    ClientBug,
    /// The mailbox that was open is not any more (RFC 7162 §3.2.11).
    Closed,
    ContactAdmin,
    /// COPYUID (RFC 4315 §3): UIDVALIDITY of the target, UIDs there and here, in the same order.
    CopyUid {
        uid_validity: u32,
        from: Cow<'a, [RangeInclusive<u32>]>,
        to: Cow<'a, [RangeInclusive<u32>]>,
    },
    Corruption,
    Expired,
    ExpungeIssued,
    HasChildren,
    /// RFC 7162 §3.1.2.1
    HighestModSeq(u64),
    InUse,
    Limit,
    /// The mailbox's id (RFC 8474 §4.1).
    MailboxId(Cow<'a, str>),
    /// Messages that changed meanwhile, by number or UID as asked (RFC 7162 §3.1.3).
    Modified(Cow<'a, [RangeInclusive<u32>]>),
    NonExistent,
    /// RFC 7162 §3.1.2.2
    NoModSeq,
    NoPerm,
    NotSaved,
    OverQuota,
    Parse,
    /// Flags that can be changed for good; `\*` among them if new keywords can be made.
    PermanentFlags(&'a [&'a str]),
    PrivacyRequired,
    ReadOnly,
    ReadWrite,
    ServerBug,
    TooBig,
    TryCreate,
    UidNext(u32),
    UidNotSticky,
    UidValidity(u32),
    Unavailable,
    UnknownCte,
    /// RFC 3501 §7.1
    Unseen(u32),
    /// RFC 6154 §3
    UseAttr,
}

/// A status response: tagged, or untagged for `None`. `text` is for people and made one ASCII line.
pub fn status(
    out: &mut Vec<u8>,
    tag: Option<&Tag>,
    condition: Condition,
    code: Option<&Code<'_>>,
    text: &str,
) {
    out.extend_from_slice(tag.map_or("*", Tag::as_str).as_bytes());
    out.extend_from_slice(match condition {
        Condition::Ok => b" OK ",
        Condition::No => b" NO ",
        Condition::Bad => b" BAD ",
        Condition::PreAuth => b" PREAUTH ",
        Condition::Bye => b" BYE ",
    });
    if let Some(code) = code {
        out.push(b'[');
        write_code(out, code);
        out.extend_from_slice(b"] ");
    }
    line_text(out, text);
    crlf(out);
}

/// `+ text`: go on (RFC 9051 §7.6). `text` is base64 during AUTHENTICATE.
pub fn continuation(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(b"+ ");
    line_text(out, text);
    crlf(out);
}

fn write_code(out: &mut Vec<u8>, code: &Code<'_>) {
    match code {
        Code::AppendUid { uid_validity, uids } => {
            numbered(out, "APPENDUID", u64::from(*uid_validity));
            out.push(b' ');
            ranges(out, uids.iter().cloned());
        }
        Code::BadCharset => out.extend_from_slice(b"BADCHARSET (US-ASCII UTF-8)"),
        Code::Capability(names) => {
            out.extend_from_slice(b"CAPABILITY ");
            line_text(out, names);
        }
        Code::CopyUid { uid_validity, from, to } => {
            numbered(out, "COPYUID", u64::from(*uid_validity));
            out.push(b' ');
            ranges(out, from.iter().cloned());
            out.push(b' ');
            ranges(out, to.iter().cloned());
        }
        Code::HighestModSeq(modseq) => numbered(out, "HIGHESTMODSEQ", *modseq),
        Code::MailboxId(id) => {
            out.extend_from_slice(b"MAILBOXID (");
            line_text(out, id);
            out.push(b')');
        }
        Code::Modified(set) => {
            out.extend_from_slice(b"MODIFIED ");
            ranges(out, set.iter().cloned());
        }
        Code::PermanentFlags(flags) => {
            out.extend_from_slice(b"PERMANENTFLAGS ");
            super::string::atoms(out, flags.iter().copied());
        }
        Code::UidNext(uid) => numbered(out, "UIDNEXT", u64::from(*uid)),
        Code::UidValidity(value) => numbered(out, "UIDVALIDITY", u64::from(*value)),
        Code::Unseen(sequence) => numbered(out, "UNSEEN", u64::from(*sequence)),
        word => out.extend_from_slice(word_of(word).as_bytes()),
    }
}

fn numbered(out: &mut Vec<u8>, name: &str, value: u64) {
    out.extend_from_slice(name.as_bytes());
    out.push(b' ');
    number(out, value);
}

/// Codes that are a word and nothing more.
fn word_of(code: &Code<'_>) -> &'static str {
    match code {
        Code::Alert => "ALERT",
        Code::AlreadyExists => "ALREADYEXISTS",
        Code::AuthenticationFailed => "AUTHENTICATIONFAILED",
        Code::AuthorizationFailed => "AUTHORIZATIONFAILED",
        Code::Cannot => "CANNOT",
        Code::ClientBug => "CLIENTBUG",
        Code::Closed => "CLOSED",
        Code::ContactAdmin => "CONTACTADMIN",
        Code::Corruption => "CORRUPTION",
        Code::Expired => "EXPIRED",
        Code::ExpungeIssued => "EXPUNGEISSUED",
        Code::HasChildren => "HASCHILDREN",
        Code::InUse => "INUSE",
        Code::Limit => "LIMIT",
        Code::NonExistent => "NONEXISTENT",
        Code::NoModSeq => "NOMODSEQ",
        Code::NoPerm => "NOPERM",
        Code::NotSaved => "NOTSAVED",
        Code::OverQuota => "OVERQUOTA",
        Code::Parse => "PARSE",
        Code::PrivacyRequired => "PRIVACYREQUIRED",
        Code::ReadOnly => "READ-ONLY",
        Code::ReadWrite => "READ-WRITE",
        Code::ServerBug => "SERVERBUG",
        Code::TooBig => "TOOBIG",
        Code::TryCreate => "TRYCREATE",
        Code::UidNotSticky => "UIDNOTSTICKY",
        Code::Unavailable => "UNAVAILABLE",
        Code::UnknownCte => "UNKNOWN-CTE",
        Code::UseAttr => "USEATTR",
        _ => "ALERT", // codes with arguments are written by write_code
    }
}

#[cfg(test)]
mod tests {
    use super::super::written;
    use super::*;

    fn coded(code: &Code<'_>) -> String {
        written(|o| status(o, None, Condition::Ok, Some(code), "x"))
    }

    #[test]
    fn conditions() {
        let tag = Tag::new(b"a001").unwrap();
        let line = |tag: Option<&Tag>, condition| written(|o| status(o, tag, condition, None, "text"));
        assert_eq!(line(Some(&tag), Condition::Ok), "a001 OK text\r\n");
        assert_eq!(line(Some(&tag), Condition::No), "a001 NO text\r\n");
        assert_eq!(line(None, Condition::Bad), "* BAD text\r\n");
        assert_eq!(line(None, Condition::PreAuth), "* PREAUTH text\r\n");
        assert_eq!(line(None, Condition::Bye), "* BYE text\r\n");
        assert_eq!(written(|o| continuation(o, "")), "+ \r\n");
        assert_eq!(written(|o| continuation(o, "go\r\nahead")), "+ go??ahead\r\n");
    }

    #[test]
    fn codes_with_arguments() {
        let answer = |code: &Code<'_>| coded(code).trim_end().to_owned();
        assert_eq!(answer(&Code::UidNext(4392)), "* OK [UIDNEXT 4392] x"); // RFC 9051 §6.3.2
        assert_eq!(answer(&Code::UidValidity(3_857_529_045)), "* OK [UIDVALIDITY 3857529045] x");
        assert_eq!(answer(&Code::Unseen(12)), "* OK [UNSEEN 12] x");
        assert_eq!(
            answer(&Code::PermanentFlags(&["\\Deleted", "\\Seen", "\\*"])),
            "* OK [PERMANENTFLAGS (\\Deleted \\Seen \\*)] x"
        );
        // RFC 4315 §3
        assert_eq!(
            answer(&Code::AppendUid { uid_validity: 38505, uids: Cow::Borrowed(&[3955..=3955]) }),
            "* OK [APPENDUID 38505 3955] x"
        );
        let copied = Code::CopyUid {
            uid_validity: 38505,
            from: Cow::Borrowed(&[304..=304, 319..=320]),
            to: Cow::Borrowed(&[3956..=3958]),
        };
        assert_eq!(answer(&copied), "* OK [COPYUID 38505 304,319:320 3956:3958] x");
        // RFC 7162 §3.1.2.1, §3.1.3
        assert_eq!(answer(&Code::HighestModSeq(715_194_045_007)), "* OK [HIGHESTMODSEQ 715194045007] x");
        assert_eq!(answer(&Code::Modified(Cow::Borrowed(&[7..=7, 9..=9]))), "* OK [MODIFIED 7,9] x");
        assert_eq!(answer(&Code::MailboxId("F2212ea87-6097".into())), "* OK [MAILBOXID (F2212ea87-6097)] x"); // RFC 8474 §4.1
        assert_eq!(answer(&Code::BadCharset), "* OK [BADCHARSET (US-ASCII UTF-8)] x");
        assert_eq!(answer(&Code::Capability("IMAP4rev2 ID".into())), "* OK [CAPABILITY IMAP4rev2 ID] x");
    }

    #[test]
    fn codes_that_are_words() {
        for (code, word) in [
            (Code::ReadOnly, "READ-ONLY"),
            (Code::TryCreate, "TRYCREATE"),
            (Code::UnknownCte, "UNKNOWN-CTE"),
            (Code::Closed, "CLOSED"),
            (Code::OverQuota, "OVERQUOTA"),
        ] {
            assert_eq!(coded(&code), format!("* OK [{word}] x\r\n"));
        }
    }
}
