//! Parameters of delivery status notifications (RFC 3461).

use std::fmt;

use crate::{limits, xtext};

/// What a failure notification returns (RFC 3461 §4.3).
///
/// ```abnf
/// ret-parameter = "RET=" ("FULL" / "HDRS")
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Ret {
    /// The whole message.
    Full,
    /// The headers.
    Headers,
}

impl Ret {
    pub(crate) fn parse(value: &str) -> Option<Self> {
        match value {
            _ if value.eq_ignore_ascii_case("FULL") => Some(Self::Full),
            _ if value.eq_ignore_ascii_case("HDRS") => Some(Self::Headers),
            _ => None,
        }
    }

    /// The keyword.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Full => "FULL",
            Self::Headers => "HDRS",
        }
    }
}

/// The sender's name for the transaction, decoded (RFC 3461 §4.4): printable ASCII, 100 characters at most.
///
/// ```abnf
/// envid-parameter = "ENVID=" xtext
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct EnvelopeId(String);

impl EnvelopeId {
    /// Checks a decoded identifier.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        let printable = text.bytes().all(|b| (b' '..=b'~').contains(&b));
        (!text.is_empty() && text.len() <= limits::ENVID && printable).then(|| Self(text.to_owned()))
    }

    pub(crate) fn parse(value: &str) -> Option<Self> {
        Self::new(&xtext::decode(value)?)
    }

    /// The identifier, decoded.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub(crate) fn encode(&self, out: &mut String) {
        xtext::encode(&self.0, out);
    }
}

/// When the sender wants to hear of a recipient (RFC 3461 §4.1). None of the three is `NEVER`.
///
/// ```abnf
/// notify-esmtp-value   = "NEVER" / 1#notify-list-element
/// notify-list-element  = "SUCCESS" / "FAILURE" / "DELAY"
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Notify {
    /// On delivery.
    pub success: bool,
    /// On failure.
    pub failure: bool,
    /// When it takes long.
    pub delay: bool,
}

impl Notify {
    /// No notification at all.
    pub const NEVER: Self = Self { success: false, failure: false, delay: false };

    pub(crate) fn parse(value: &str) -> Option<Self> {
        let mut notify = Self::NEVER;
        if value.eq_ignore_ascii_case("NEVER") {
            return Some(notify);
        }
        for element in value.split(',') {
            match element {
                _ if element.eq_ignore_ascii_case("SUCCESS") => notify.success = true,
                _ if element.eq_ignore_ascii_case("FAILURE") => notify.failure = true,
                _ if element.eq_ignore_ascii_case("DELAY") => notify.delay = true,
                // RFC 3461 §4.1: NEVER stands alone.
                _ => return None,
            }
        }
        Some(notify)
    }
}

impl fmt::Display for Notify {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let chosen = [(self.success, "SUCCESS"), (self.failure, "FAILURE"), (self.delay, "DELAY")];
        let mut any = false;
        for (_, word) in chosen.into_iter().filter(|(on, _)| *on) {
            f.write_str(if any { "," } else { "" })?;
            f.write_str(word)?;
            any = true;
        }
        if any { Ok(()) } else { f.write_str("NEVER") }
    }
}

/// The recipient as the sender wrote it, decoded (RFC 3461 §4.2, RFC 6533 §3).
///
/// ```abnf
/// orcpt-parameter            = "ORCPT=" original-recipient-address
/// original-recipient-address = addr-type ";" xtext
/// addr-type                  = atom                 ; "rfc822", "utf-8", …
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct OriginalRecipient {
    kind: String,
    address: String,
}

impl OriginalRecipient {
    /// Checks a decoded address.
    #[must_use]
    pub fn new(kind: &str, address: &str) -> Option<Self> {
        let atom = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*-/?^_`{|}~".contains(&b);
        let fits = !kind.is_empty() && kind.len() <= 32 && kind.bytes().all(atom);
        let shown = !address.chars().any(char::is_control) && !address.is_empty();
        (fits && shown && address.len() <= limits::ORCPT)
            .then(|| Self { kind: kind.to_owned(), address: address.to_owned() })
    }

    pub(crate) fn parse(value: &str) -> Option<Self> {
        let (kind, address) = value.split_once(';')?;
        if kind.eq_ignore_ascii_case("utf-8") {
            // RFC 6533 §3: \x{…} escapes or, with SMTPUTF8, UTF-8 itself. Some write xtext all the same.
            return Self::new(kind, &xtext::decode_unicode(address)?);
        }
        Self::new(kind, &xtext::decode(address)?)
    }

    /// The address type: `rfc822`, `utf-8`.
    #[must_use]
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// The address, decoded.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    pub(crate) fn encode(&self, out: &mut String) {
        out.push_str(&self.kind);
        out.push(';');
        if self.kind.eq_ignore_ascii_case("utf-8") {
            xtext::encode_unicode(&self.address, out);
        } else {
            xtext::encode(&self.address, out);
        }
    }
}

impl fmt::Display for OriginalRecipient {
    /// As in a DSN's `Original-Recipient` field (RFC 3464 §2.3.1): `type;address`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{};{}", self.kind, self.address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notify() {
        for (text, shown) in [
            ("never", "NEVER"),
            ("SUCCESS", "SUCCESS"),
            ("Failure,Delay", "FAILURE,DELAY"),
            ("DELAY,FAILURE,SUCCESS,DELAY", "SUCCESS,FAILURE,DELAY"),
        ] {
            assert_eq!(Notify::parse(text).unwrap().to_string(), shown);
        }
        for bad in ["", "SUCCESS,", "NEVER,SUCCESS", "SUCCESS,NEVER", "ALWAYS"] {
            assert_eq!(Notify::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn envelope_id() {
        // RFC 3461 §10.1.
        assert_eq!(EnvelopeId::parse("QQ314159").unwrap().as_str(), "QQ314159");
        assert_eq!(EnvelopeId::parse("a+20b").unwrap().as_str(), "a b");
        for bad in ["+0D+0A", "", "a=b", "+E9", &"x".repeat(101)] {
            assert_eq!(EnvelopeId::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn original_recipient() {
        let orcpt = OriginalRecipient::parse("rfc822;Bob+40Example.COM").unwrap();
        assert_eq!((orcpt.kind(), orcpt.address()), ("rfc822", "Bob@Example.COM"));
        let mut out = String::new();
        orcpt.encode(&mut out);
        assert_eq!(out, "rfc822;Bob@Example.COM");
        let utf8 = OriginalRecipient::parse("UTF-8;\\x{F6}@x").unwrap();
        assert_eq!(utf8.to_string(), "UTF-8;ö@x");
        assert_eq!(OriginalRecipient::parse("utf-8;ö@x").unwrap().address(), "ö@x");
        for bad in ["rfc822", ";a", "rfc822;", "rfc822;a+0D+0Ab", "a b;c", "rfc822;a=b"] {
            assert_eq!(OriginalRecipient::parse(bad), None, "{bad}");
        }
    }
}
