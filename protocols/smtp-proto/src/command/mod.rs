//! Commands, one file each: type, ABNF, parser, renderer, known answers.
//!
//! [`Command::parse`] takes a line that the framer cut off; [`Command::render`] writes one for the wire. The
//! verbs and who they belong to:
//!
//! | verb | file | RFC |
//! |---|---|---|
//! | EHLO HELO LHLO | [`hello`] | 5321 §4.1.1.1, 2033 §4.1 |
//! | MAIL | [`mail`] | 5321 §4.1.1.2, 1870, 6152, 3030, 6531, 3461, 4954 §5 |
//! | RCPT | [`rcpt`] | 5321 §4.1.1.3, 3461 |
//! | DATA RSET QUIT STARTTLS | here | 5321 §4.1.1, 3207 §4 |
//! | BDAT | [`bdat`] | 3030 §2 |
//! | AUTH | [`auth`] | 4954 §4 |
//! | VRFY EXPN HELP NOOP | [`text`] | 5321 §4.1.1.6 to §4.1.1.9 |

pub mod auth;
pub mod bdat;
pub mod hello;
pub mod mail;
pub mod rcpt;
pub mod text;

pub use auth::Auth;
pub use bdat::Bdat;
pub use hello::ClientName;
pub use mail::{BodyType, Mail, MailParams, Submitter};
pub use rcpt::{Rcpt, RcptParams};

use crate::SyntaxError;

/// A command of SMTP or LMTP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Extended hello.
    Ehlo(ClientName),
    /// Hello of RFC 821.
    Helo(ClientName),
    /// Hello of LMTP.
    Lhlo(ClientName),
    /// Starts a transaction.
    Mail(Mail),
    /// Adds a recipient.
    Rcpt(Rcpt),
    /// The message follows, up to `CRLF.CRLF`.
    Data,
    /// A chunk of the message follows, of known length.
    Bdat(Bdat),
    /// Forgets the transaction.
    Rset,
    /// Asks whether an address exists.
    Vrfy(String),
    /// Asks for a list's members.
    Expn(String),
    /// Asks for help.
    Help(Option<String>),
    /// Nothing.
    Noop(Option<String>),
    /// Good bye.
    Quit,
    /// Turns TLS on.
    StartTls,
    /// Authenticates.
    Auth(Auth),
}

impl Command {
    /// Parses a command line without its CRLF. Verbs are of any case (RFC 5321 §2.4), and white space at the
    /// end of the line is let pass (§4.1.1: "SHOULD tolerate trailing white space").
    ///
    /// # Errors
    ///
    /// The client must act; the error knows its reply.
    pub fn parse(line: &[u8]) -> Result<Self, SyntaxError> {
        let line = std::str::from_utf8(line).map_err(|_| SyntaxError::MalformedLine)?;
        let line = line.trim_end_matches([' ', '\t']);
        if line.chars().any(char::is_control) {
            return Err(SyntaxError::MalformedLine);
        }
        let (verb, arguments) = match line.split_once(' ') {
            Some((verb, arguments)) => (verb, Some(arguments.trim_start_matches(' '))),
            None => (line, None),
        };
        Self::of(&verb.to_ascii_uppercase(), arguments)
    }

    fn of(verb: &str, arguments: Option<&str>) -> Result<Self, SyntaxError> {
        let needed = arguments.ok_or(SyntaxError::Arguments);
        match verb {
            "EHLO" => hello::parse(needed?).map(Self::Ehlo),
            "HELO" => hello::parse(needed?).map(Self::Helo),
            "LHLO" => hello::parse(needed?).map(Self::Lhlo),
            "MAIL" => mail::parse(needed?).map(Self::Mail),
            "RCPT" => rcpt::parse(needed?).map(Self::Rcpt),
            "BDAT" => bdat::parse(needed?).map(Self::Bdat),
            "AUTH" => auth::parse(needed?).map(Self::Auth),
            "VRFY" => text::required(needed?).map(Self::Vrfy),
            "EXPN" => text::required(needed?).map(Self::Expn),
            "HELP" => Ok(Self::Help(text::optional(arguments))),
            "NOOP" => Ok(Self::Noop(text::optional(arguments))),
            "DATA" => alone(arguments, Self::Data),
            "RSET" => alone(arguments, Self::Rset),
            "QUIT" => alone(arguments, Self::Quit),
            "STARTTLS" => alone(arguments, Self::StartTls),
            _ => Err(SyntaxError::UnknownCommand),
        }
    }

    /// The verb, in upper case.
    #[must_use]
    pub fn verb(&self) -> &'static str {
        match self {
            Self::Ehlo(_) => "EHLO",
            Self::Helo(_) => "HELO",
            Self::Lhlo(_) => "LHLO",
            Self::Mail(_) => "MAIL",
            Self::Rcpt(_) => "RCPT",
            Self::Data => "DATA",
            Self::Bdat(_) => "BDAT",
            Self::Rset => "RSET",
            Self::Vrfy(_) => "VRFY",
            Self::Expn(_) => "EXPN",
            Self::Help(_) => "HELP",
            Self::Noop(_) => "NOOP",
            Self::Quit => "QUIT",
            Self::StartTls => "STARTTLS",
            Self::Auth(_) => "AUTH",
        }
    }

    /// Appends the command with its CRLF. No value can add a line: see the crate's invariants.
    pub fn render(&self, out: &mut Vec<u8>) {
        let mut line = String::with_capacity(64);
        match self {
            Self::Ehlo(name) | Self::Helo(name) | Self::Lhlo(name) => {
                hello::render(self.verb(), name, &mut line);
            }
            Self::Mail(mail) => mail::render(mail, &mut line),
            Self::Rcpt(rcpt) => rcpt::render(rcpt, &mut line),
            Self::Bdat(bdat) => bdat::render(*bdat, &mut line),
            Self::Auth(auth) => auth::render(auth, &mut line),
            Self::Vrfy(text) | Self::Expn(text) => text::render(self.verb(), Some(text), &mut line),
            Self::Help(text) | Self::Noop(text) => text::render(self.verb(), text.as_deref(), &mut line),
            Self::Data | Self::Rset | Self::Quit | Self::StartTls => line.push_str(self.verb()),
        }
        out.extend_from_slice(line.as_bytes());
        out.extend_from_slice(b"\r\n");
    }
}

/// RFC 5321 §4.1.1.4, §4.1.1.5, §4.1.1.10 and RFC 3207 §4 have no arguments: 501 if there are some.
fn alone(arguments: Option<&str>, command: Command) -> Result<Command, SyntaxError> {
    if arguments.is_none() { Ok(command) } else { Err(SyntaxError::Arguments) }
}

/// Cuts `keyword` and what stands around it off the start of MAIL's and RCPT's arguments.
///
/// Deviation: RFC 5321 §3.3 has no space after the colon, but widespread clients write one.
fn after_keyword<'a>(arguments: &'a str, keyword: &str) -> Result<&'a str, SyntaxError> {
    let (word, rest) = arguments.split_at_checked(keyword.len()).ok_or(SyntaxError::Arguments)?;
    let rest = if word.eq_ignore_ascii_case(keyword) {
        rest.trim_start_matches(' ').strip_prefix(':')
    } else {
        None
    };
    Ok(rest.ok_or(SyntaxError::Arguments)?.trim_start_matches(' '))
}

/// What follows a path must be nothing or a space and parameters.
fn parameters(rest: &str) -> Result<&str, SyntaxError> {
    if rest.is_empty() || rest.starts_with(' ') { Ok(rest) } else { Err(SyntaxError::Arguments) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn verbs_without_arguments() {
        for (line, command) in [
            ("DATA", Command::Data),
            ("rset  ", Command::Rset),
            ("Quit\t", Command::Quit),
            ("STARTTLS", Command::StartTls),
        ] {
            assert_eq!(Command::parse(line.as_bytes()), Ok(command));
        }
        for line in ["DATA x", "RSET x", "QUIT now", "STARTTLS a"] {
            assert_eq!(Command::parse(line.as_bytes()), Err(SyntaxError::Arguments), "{line}");
        }
    }

    #[test]
    fn verbs_that_need_arguments() {
        for line in ["EHLO", "HELO ", "LHLO", "MAIL", "RCPT", "BDAT", "AUTH", "VRFY", "EXPN"] {
            assert_eq!(Command::parse(line.as_bytes()), Err(SyntaxError::Arguments), "{line}");
        }
    }

    #[test]
    fn what_is_no_command() {
        for line in ["", " ", "FOO", "GET / HTTP/1.1", "MAILFROM:<a@b>", "DATAX", " NOOP"] {
            assert_eq!(Command::parse(line.as_bytes()), Err(SyntaxError::UnknownCommand), "{line}");
        }
        for line in [&b"NOOP \0"[..], b"NOOP \x1b[0m", b"NOOP \xff", b"MAIL FROM:<a\rb@c>", b"NOOP \xc2\x85"]
        {
            assert_eq!(Command::parse(line), Err(SyntaxError::MalformedLine), "{line:?}");
        }
    }

    proptest! {
        #[test]
        fn never_panics_and_renders_one_line(
            line in "(MAIL FROM:|RCPT TO:|EHLO |AUTH |BDAT |NOOP )?(<[a-zé\"\\\\@. ,:>]{0,20})?(\\PC|\r|\n|\0){0,30}",
        ) {
            if let Ok(command) = Command::parse(line.as_bytes()) {
                let mut out = Vec::new();
                command.render(&mut out);
                let text = out.strip_suffix(b"\r\n").unwrap();
                prop_assert!(!text.iter().any(|b| *b < b' '));
                prop_assert_eq!(Command::parse(text), Ok(command));
            }
        }

        #[test]
        fn never_panics_on_octets(line in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = Command::parse(&line);
        }
    }
}
