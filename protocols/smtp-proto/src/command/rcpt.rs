//! RCPT: one recipient.
//!
//! ```abnf
//! rcpt = "RCPT TO:" ( "<Postmaster@" Domain ">" / "<Postmaster>" / Forward-path ) [SP Rcpt-parameters] CRLF
//! ```

use std::fmt::Write as _;

use super::{after_keyword, parameters};
use crate::params::{once, params};
use crate::{ForwardPath, Notify, OriginalRecipient, SyntaxError};

/// The RCPT command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rcpt {
    /// Where the message goes. May need SMTPUTF8, which the transaction's MAIL tells (RFC 6531 §3.4).
    pub to: ForwardPath,
    /// What else was said.
    pub params: RcptParams,
}

/// Parameters of RCPT.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RcptParams {
    /// `NOTIFY=` (RFC 3461 §4.1).
    pub notify: Option<Notify>,
    /// `ORCPT=` (RFC 3461 §4.2).
    pub orcpt: Option<OriginalRecipient>,
}

pub(crate) fn parse(arguments: &str) -> Result<Rcpt, SyntaxError> {
    let rest = after_keyword(arguments, "TO")?;
    let (to, rest) = ForwardPath::take(rest).ok_or(SyntaxError::Recipient)?;
    let mut found = RcptParams::default();
    for param in params(parameters(rest)?) {
        let (keyword, value) = param?;
        match keyword.to_ascii_uppercase().as_str() {
            "NOTIFY" => once(&mut found.notify, value.and_then(Notify::parse))?,
            "ORCPT" => once(&mut found.orcpt, value.and_then(OriginalRecipient::parse))?,
            _ => return Err(SyntaxError::UnknownParameter),
        }
    }
    Ok(Rcpt { to, params: found })
}

pub(crate) fn render(rcpt: &Rcpt, line: &mut String) {
    // Writing to a String cannot fail.
    let _ = write!(line, "RCPT TO:{}", rcpt.to);
    if let Some(notify) = rcpt.params.notify {
        let _ = write!(line, " NOTIFY={notify}");
    }
    if let Some(orcpt) = &rcpt.params.orcpt {
        line.push_str(" ORCPT=");
        orcpt.encode(line);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Command, Mailbox};
    use proptest::prelude::*;

    fn rcpt(line: &str) -> Result<Rcpt, SyntaxError> {
        match Command::parse(line.as_bytes())? {
            Command::Rcpt(rcpt) => Ok(rcpt),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn known_answers() {
        // RFC 3461 §10.1.
        let bob = rcpt("RCPT TO:<Bob@Example.COM> NOTIFY=SUCCESS ORCPT=rfc822;Bob@Example.COM").unwrap();
        assert_eq!(bob.to.mailbox().unwrap().to_string(), "Bob@example.com");
        assert!(bob.params.notify.unwrap().success);
        assert_eq!(bob.params.orcpt.unwrap().address(), "Bob@Example.COM");
        assert_eq!(rcpt("rcpt to:<postmaster>").unwrap().to, ForwardPath::Postmaster);
        // RFC 5321 §3.6.1.
        let routed = rcpt("RCPT TO:<@hosta.int,@jkl.org:userc@d.bar.org>").unwrap();
        assert_eq!(routed.to.to_string(), "<userc@d.bar.org>");
    }

    #[test]
    fn refused() {
        use SyntaxError::{Arguments, Recipient, UnknownParameter};
        for (line, error) in [
            ("RCPT FROM:<a@b>", Arguments),
            ("RCPT TO:<>", Recipient),
            ("RCPT TO:<a>", Recipient),
            ("RCPT TO:a@b", Recipient),
            ("RCPT TO:<a@b> NOTIFY=", Arguments),
            ("RCPT TO:<a@b> NOTIFY=NEVER,DELAY", Arguments),
            ("RCPT TO:<a@b> NOTIFY=NEVER NOTIFY=NEVER", Arguments),
            ("RCPT TO:<a@b> ORCPT=x", Arguments),
            ("RCPT TO:<a@b> SIZE=1", UnknownParameter),
            ("RCPT TO:<a@b>,<c@d>", Arguments),
        ] {
            assert_eq!(rcpt(line), Err(error), "{line}");
        }
    }

    proptest! {
        #[test]
        fn roundtrips(
            address in "[a-zà-ü ]{1,10}",
            kind in prop::sample::select(vec!["rfc822", "utf-8", "x400"]),
            notify in proptest::option::of(any::<(bool, bool, bool)>()),
        ) {
            let to = ForwardPath::Mailbox(Mailbox::parse("a@b.c").unwrap());
            let notify = notify.map(|(success, failure, delay)| Notify { success, failure, delay });
            let orcpt = OriginalRecipient::new(kind, &address);
            let command = Command::Rcpt(Rcpt { to, params: RcptParams { notify, orcpt } });
            let mut out = Vec::new();
            command.render(&mut out);
            prop_assert!(out.is_ascii());
            prop_assert_eq!(Command::parse(&out[..out.len() - 2]), Ok(command));
        }
    }
}
