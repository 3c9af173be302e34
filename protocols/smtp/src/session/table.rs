//! Who may use which command, and when: one row each.

use smtp_proto::{Enhanced, Reply};

use crate::Role;

/// A row of the table.
pub(crate) struct Row {
    verb: &'static str,
    roles: &'static [Role],
    needs: &'static [Need],
}

/// What must be so before a command runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    /// EHLO, HELO or LHLO came before (RFC 5321 §4.1.4).
    Hello,
    /// A submission client has authenticated (RFC 6409 §4.3).
    Authenticated,
    /// MAIL was accepted.
    Mail,
    /// A recipient was accepted.
    Recipient,
    /// No transaction is open (RFC 4954 §4, RFC 3207 §4, RFC 5321 §4.1.4).
    NoMail,
    /// No chunk of the message was sent yet (RFC 3030 §2).
    NoChunk,
}

/// Where a session stands.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Stage {
    pub(crate) hello: bool,
    pub(crate) authenticated: bool,
    pub(crate) mail: bool,
    pub(crate) recipient: bool,
    pub(crate) chunk: bool,
}

use Need::{Authenticated, Hello, Mail, NoChunk, NoMail, Recipient};

const ALL: &[Role] = &[Role::Mx, Role::Submission, Role::Lmtp];
const SMTP: &[Role] = &[Role::Mx, Role::Submission];
/// RFC 2033 §4.1: LMTP has LHLO, and neither HELO nor EHLO.
const LMTP: &[Role] = &[Role::Lmtp];

/// The table.
pub(crate) const TABLE: &[Row] = &[
    Row { verb: "EHLO", roles: SMTP, needs: &[] },
    Row { verb: "HELO", roles: SMTP, needs: &[] },
    Row { verb: "LHLO", roles: LMTP, needs: &[] },
    Row { verb: "STARTTLS", roles: ALL, needs: &[NoMail] },
    Row { verb: "AUTH", roles: &[Role::Submission], needs: &[Hello, NoMail] },
    Row { verb: "MAIL", roles: ALL, needs: &[Hello, Authenticated, NoMail] },
    Row { verb: "RCPT", roles: ALL, needs: &[Hello, Authenticated, Mail, NoChunk] },
    Row { verb: "DATA", roles: ALL, needs: &[Hello, Authenticated, Mail, Recipient, NoChunk] },
    Row { verb: "BDAT", roles: ALL, needs: &[Hello, Authenticated, Mail, Recipient] },
    Row { verb: "RSET", roles: ALL, needs: &[] },
    Row { verb: "VRFY", roles: ALL, needs: &[Hello, Authenticated] },
    Row { verb: "EXPN", roles: ALL, needs: &[Hello, Authenticated] },
    Row { verb: "HELP", roles: ALL, needs: &[] },
    Row { verb: "NOOP", roles: ALL, needs: &[] },
    Row { verb: "QUIT", roles: ALL, needs: &[] },
];

/// Says whether `verb` may run now; else the reply.
pub(crate) fn admit(verb: &str, role: Role, stage: Stage) -> Result<(), Reply> {
    let row = TABLE.iter().find(|row| row.verb == verb && row.roles.contains(&role));
    let row = row.ok_or_else(|| Reply::new(500, Enhanced::new(5, 5, 1), "Command not recognized"))?;
    row.needs.iter().try_for_each(|need| need.check(role, stage))
}

impl Need {
    fn check(self, role: Role, stage: Stage) -> Result<(), Reply> {
        let (met, text) = match self {
            Hello => (stage.hello, "Say hello first"),
            Mail => (stage.mail, "MAIL first"),
            Recipient => (stage.recipient, "No valid recipients"),
            NoMail => (!stage.mail, "Not in a mail transaction"),
            NoChunk => (!stage.chunk, "Only BDAT may follow BDAT"),
            Authenticated if role == Role::Submission && !stage.authenticated => {
                // RFC 4954 §6: 530 5.7.0.
                return Err(Reply::new(530, Enhanced::new(5, 7, 0), "Authentication required"));
            }
            Authenticated => (true, ""),
        };
        // RFC 5321 §4.1.4: 503 for a command out of sequence.
        if met { Ok(()) } else { Err(Reply::new(503, Enhanced::new(5, 5, 1), text)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(verb: &str, role: Role, stage: Stage) -> u16 {
        admit(verb, role, stage).err().map_or(250, |reply| reply.code)
    }

    #[test]
    fn roles_have_their_hello() {
        for (verb, role, expected) in [
            ("EHLO", Role::Mx, 250),
            ("EHLO", Role::Lmtp, 500),
            ("HELO", Role::Lmtp, 500),
            ("LHLO", Role::Lmtp, 250),
            ("LHLO", Role::Submission, 500),
            ("AUTH", Role::Mx, 500),
        ] {
            assert_eq!(code(verb, role, Stage::default()), expected, "{verb} {role:?}");
        }
    }

    #[test]
    fn a_transaction_goes_in_order() {
        let mut stage = Stage::default();
        let check = |stage, expected: [u16; 4]| {
            let got = ["MAIL", "RCPT", "DATA", "BDAT"].map(|verb| code(verb, Role::Mx, stage));
            assert_eq!(got, expected, "{stage:?}");
        };
        check(stage, [503, 503, 503, 503]);
        stage.hello = true;
        check(stage, [250, 503, 503, 503]);
        stage.mail = true;
        check(stage, [503, 250, 503, 503]);
        stage.recipient = true;
        check(stage, [503, 250, 250, 250]);
        stage.chunk = true;
        check(stage, [503, 503, 503, 250]);
        assert_eq!(code("STARTTLS", Role::Mx, stage), 503);
    }

    #[test]
    fn submission_demands_authentication() {
        let mut stage = Stage { hello: true, ..Stage::default() };
        assert_eq!(code("MAIL", Role::Submission, stage), 530);
        assert_eq!(code("VRFY", Role::Submission, stage), 530);
        stage.authenticated = true;
        assert_eq!(code("MAIL", Role::Submission, stage), 250);
    }
}
