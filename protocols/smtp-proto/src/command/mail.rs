//! MAIL: who sends, and how.
//!
//! ```abnf
//! mail = "MAIL FROM:" Reverse-path [SP Mail-parameters] CRLF
//! ```

use std::fmt::Write as _;

use super::{after_keyword, parameters};
use crate::params::{once, params};
use crate::{EnvelopeId, Mailbox, Ret, ReversePath, SyntaxError, xtext};

/// The MAIL command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mail {
    /// Where notifications go.
    pub from: ReversePath,
    /// What else was said.
    pub params: MailParams,
}

/// Parameters of MAIL.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MailParams {
    /// `SIZE=`: what the client thinks the message's size is, in octets (RFC 1870 §6).
    pub size: Option<u64>,
    /// `BODY=` (RFC 6152 §3, RFC 3030 §3).
    pub body: Option<BodyType>,
    /// `SMTPUTF8`: addresses or headers may hold UTF-8 (RFC 6531 §3.4).
    pub smtputf8: bool,
    /// `RET=` (RFC 3461 §4.3).
    pub ret: Option<Ret>,
    /// `ENVID=` (RFC 3461 §4.4).
    pub envid: Option<EnvelopeId>,
    /// `AUTH=` (RFC 4954 §5).
    pub auth: Option<Submitter>,
}

/// The kind of body that `BODY=` announces.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BodyType {
    /// Only ASCII, in lines.
    SevenBit,
    /// Octets over 127 too, in lines (RFC 6152).
    EightBitMime,
    /// Anything; only with BDAT (RFC 3030 §3).
    BinaryMime,
}

impl BodyType {
    /// The keyword.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SevenBit => "7BIT",
            Self::EightBitMime => "8BITMIME",
            Self::BinaryMime => "BINARYMIME",
        }
    }

    fn parse(value: &str) -> Option<Self> {
        [Self::SevenBit, Self::EightBitMime, Self::BinaryMime]
            .into_iter()
            .find(|body| value.eq_ignore_ascii_case(body.as_str()))
    }
}

/// Who submitted the message at first, as a trusted server says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Submitter {
    /// `AUTH=<>`: not known.
    Unknown,
    /// A mailbox.
    Mailbox(Mailbox),
}

impl Submitter {
    fn parse(value: &str) -> Option<Self> {
        if value == "<>" {
            return Some(Self::Unknown);
        }
        Mailbox::parse(&xtext::decode(value)?).map(Self::Mailbox)
    }
}

pub(crate) fn parse(arguments: &str) -> Result<Mail, SyntaxError> {
    let rest = after_keyword(arguments, "FROM")?;
    let (from, rest) = ReversePath::take(rest).ok_or(SyntaxError::Sender)?;
    let params = parse_params(parameters(rest)?)?;
    if from.mailbox().is_some_and(Mailbox::needs_smtputf8) && !params.smtputf8 {
        return Err(SyntaxError::NeedsSmtpUtf8);
    }
    Ok(Mail { from, params })
}

fn parse_params(list: &str) -> Result<MailParams, SyntaxError> {
    let mut found = MailParams::default();
    let mut smtputf8 = None;
    for param in params(list) {
        let (keyword, value) = param?;
        match keyword.to_ascii_uppercase().as_str() {
            "SIZE" => once(&mut found.size, value.and_then(parse_size))?,
            "BODY" => once(&mut found.body, value.and_then(BodyType::parse))?,
            "SMTPUTF8" => once(&mut smtputf8, value.is_none().then_some(()))?,
            "RET" => once(&mut found.ret, value.and_then(Ret::parse))?,
            "ENVID" => once(&mut found.envid, value.and_then(EnvelopeId::parse))?,
            "AUTH" => once(&mut found.auth, value.and_then(Submitter::parse))?,
            _ => return Err(SyntaxError::UnknownParameter),
        }
    }
    found.smtputf8 = smtputf8.is_some();
    Ok(found)
}

/// RFC 1870 §4: `size-value = 1*20DIGIT`. What is beyond 64 bits is as large as can be.
fn parse_size(value: &str) -> Option<u64> {
    let digits = (1..=20).contains(&value.len()) && value.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| value.parse().unwrap_or(u64::MAX))
}

pub(crate) fn render(mail: &Mail, line: &mut String) {
    // Writing to a String cannot fail.
    let _ = write!(line, "MAIL FROM:{}", mail.from);
    let params = &mail.params;
    if let Some(size) = params.size {
        let _ = write!(line, " SIZE={size}");
    }
    if let Some(body) = params.body {
        let _ = write!(line, " BODY={}", body.as_str());
    }
    if params.smtputf8 {
        line.push_str(" SMTPUTF8");
    }
    if let Some(ret) = params.ret {
        let _ = write!(line, " RET={}", ret.as_str());
    }
    if let Some(envid) = &params.envid {
        line.push_str(" ENVID=");
        envid.encode(line);
    }
    match &params.auth {
        Some(Submitter::Unknown) => line.push_str(" AUTH=<>"),
        Some(Submitter::Mailbox(mailbox)) => {
            line.push_str(" AUTH=");
            xtext::encode(&mailbox.to_string(), line);
        }
        None => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Command;
    use crate::address::Domain;
    use proptest::prelude::*;

    fn mail(line: &str) -> Result<Mail, SyntaxError> {
        match Command::parse(line.as_bytes())? {
            Command::Mail(mail) => Ok(mail),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn known_answers() {
        // RFC 5321 §4.5.5, RFC 1870 §8, RFC 3461 §10.1, RFC 4954 §5, RFC 3030 §4.2, RFC 6531.
        assert!(mail("MAIL FROM:<>").unwrap().from.is_null());
        assert_eq!(mail("MAIL FROM:<ned@thor.innosoft.com> SIZE=500000").unwrap().params.size, Some(500_000));
        let dsn = mail("MAIL FROM:<Alice@Example.ORG> RET=HDRS ENVID=QQ314159").unwrap();
        assert_eq!(dsn.params.ret, Some(Ret::Headers));
        assert_eq!(dsn.params.envid.unwrap().as_str(), "QQ314159");
        let auth = mail("MAIL FROM:<e=mc2@example.com> AUTH=e+3Dmc2@example.com").unwrap();
        assert_eq!(auth.params.auth, Mailbox::parse("e=mc2@example.com").map(Submitter::Mailbox));
        assert_eq!(mail("MAIL FROM:<a@b> AUTH=<>").unwrap().params.auth, Some(Submitter::Unknown));
        let body = mail("mail from: <ned@ymir> body=binarymime").unwrap();
        assert_eq!(body.params.body, Some(BodyType::BinaryMime));
        assert!(mail("MAIL FROM:<用户@例子.广告> SMTPUTF8").unwrap().params.smtputf8);
        assert_eq!(mail("MAIL FROM:<a@b> SIZE=99999999999999999999").unwrap().params.size, Some(u64::MAX));
    }

    #[test]
    fn refused() {
        use SyntaxError::{Arguments, NeedsSmtpUtf8, Sender, UnknownParameter};
        for (line, error) in [
            ("MAIL TO:<a@b>", Arguments),
            ("MAIL FROM", Arguments),
            ("MAIL é", Arguments),
            ("MAIL FROM:", Sender),
            ("MAIL FROM:a@b", Sender),
            ("MAIL FROM:<a@b", Sender),
            ("MAIL FROM:<a@b>SIZE=1", Arguments),
            ("MAIL FROM:<a@b> SIZE=-1", Arguments),
            ("MAIL FROM:<a@b> SIZE", Arguments),
            ("MAIL FROM:<a@b> SIZE=1 SIZE=1", Arguments),
            ("MAIL FROM:<a@b> BODY=9BIT", Arguments),
            ("MAIL FROM:<a@b> SMTPUTF8=1", Arguments),
            ("MAIL FROM:<a@b> RET=SOME", Arguments),
            ("MAIL FROM:<a@b> NOTIFY=NEVER", UnknownParameter),
            ("MAIL FROM:<é@b>", NeedsSmtpUtf8),
        ] {
            assert_eq!(mail(line), Err(error), "{line}");
        }
    }

    proptest! {
        #[test]
        fn roundtrips(
            local in "[a-zà-ü. \"\\\\<>]{1,10}",
            size in proptest::option::of(any::<u64>()),
            envid in "[ -~]{0,20}",
            ret in proptest::option::of(prop::sample::select(vec![Ret::Full, Ret::Headers])),
            body in proptest::option::of(prop::sample::select(vec![BodyType::SevenBit, BodyType::BinaryMime])),
        ) {
            let domain = Domain::parse("example.com").unwrap();
            let from = Mailbox::new(&local, domain).map_or(ReversePath::Null, ReversePath::Mailbox);
            let auth = from.mailbox().filter(|m| !m.needs_smtputf8()).cloned().map(Submitter::Mailbox);
            let envid = EnvelopeId::new(&envid);
            let params = MailParams { size, body, smtputf8: true, ret, envid, auth };
            let command = Command::Mail(Mail { from, params });
            let mut out = Vec::new();
            command.render(&mut out);
            prop_assert_eq!(Command::parse(&out[..out.len() - 2]), Ok(command));
        }
    }
}
