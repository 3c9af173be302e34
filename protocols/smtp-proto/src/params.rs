//! ESMTP parameters of MAIL and RCPT (RFC 5321 §4.1.2, RFC 6531 §3.3).
//!
//! ```abnf
//! Mail-parameters = esmtp-param *(SP esmtp-param)
//! esmtp-param     = esmtp-keyword ["=" esmtp-value]
//! esmtp-keyword   = (ALPHA / DIGIT) *(ALPHA / DIGIT / "-")
//! esmtp-value     = 1*(%d33-60 / %d62-126 / UTF8-non-ascii)
//! ```

use crate::SyntaxError;

/// Splits a parameter list. Several spaces count as one: some clients write them.
pub(crate) fn params(list: &str) -> impl Iterator<Item = Result<(&str, Option<&str>), SyntaxError>> {
    list.split(' ').filter(|word| !word.is_empty()).map(param)
}

fn param(word: &str) -> Result<(&str, Option<&str>), SyntaxError> {
    let (keyword, value) = match word.split_once('=') {
        Some((keyword, value)) => (keyword, Some(value)),
        None => (word, None),
    };
    let first = keyword.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric());
    if !first || !keyword.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') {
        return Err(SyntaxError::Arguments);
    }
    match value {
        Some(value) if value.is_empty() || !value.chars().all(is_value) => Err(SyntaxError::Arguments),
        value => Ok((keyword, value)),
    }
}

fn is_value(character: char) -> bool {
    match character {
        '=' => false,
        '!'..='~' => true,
        _ => !character.is_ascii() && !character.is_control(),
    }
}

/// Puts a parameter's value in its slot; the same parameter twice is an error (RFC 5321 §4.1.1.11 has no rule
/// to prefer one).
pub(crate) fn once<T>(slot: &mut Option<T>, value: Option<T>) -> Result<(), SyntaxError> {
    match (slot.is_none(), value) {
        (true, Some(value)) => {
            *slot = Some(value);
            Ok(())
        }
        _ => Err(SyntaxError::Arguments),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits() {
        let all: Result<Vec<_>, _> = params("SIZE=10  SMTPUTF8 BODY=8BITMIME ").collect();
        assert_eq!(all.unwrap(), [("SIZE", Some("10")), ("SMTPUTF8", None), ("BODY", Some("8BITMIME"))]);
        for bad in ["=1", "-A=1", "A=", "A=b=c", "A_B=1", "A=\u{1}", "A=\u{85}"] {
            assert!(params(bad).any(|param| param.is_err()), "{bad}");
        }
    }

    #[test]
    fn a_parameter_comes_once() {
        let mut slot = None;
        assert!(once(&mut slot, Some(1)).is_ok());
        assert!(once(&mut slot, Some(1)).is_err());
        assert!(once::<u8>(&mut None, None).is_err());
    }
}
