//! VRFY, EXPN, HELP, NOOP: a string, or none (RFC 5321 §4.1.1.6 to §4.1.1.9).
//!
//! ```abnf
//! vrfy = "VRFY" SP String CRLF
//! expn = "EXPN" SP String CRLF
//! help = "HELP" [ SP String ] CRLF
//! noop = "NOOP" [ SP String ] CRLF
//! ```
//!
//! The string is kept as it stands: nobody here looks inside. RFC 6531 §3.7.4.1 adds an `SMTPUTF8` word to
//! VRFY and EXPN, which stays part of it.

use crate::SyntaxError;

pub(crate) fn required(arguments: &str) -> Result<String, SyntaxError> {
    if arguments.is_empty() { Err(SyntaxError::Arguments) } else { Ok(arguments.to_owned()) }
}

pub(crate) fn optional(arguments: Option<&str>) -> Option<String> {
    arguments.filter(|text| !text.is_empty()).map(str::to_owned)
}

/// Control characters become spaces: these strings are public, and so may come from anywhere.
pub(crate) fn render(verb: &str, text: Option<&str>, line: &mut String) {
    line.push_str(verb);
    if let Some(text) = text {
        line.push(' ');
        line.extend(text.chars().map(|c| if c.is_control() { ' ' } else { c }));
    }
}

#[cfg(test)]
mod tests {
    use crate::Command;

    #[test]
    fn known_answers() {
        // RFC 5321 §3.5.
        assert_eq!(Command::parse(b"VRFY Smith"), Ok(Command::Vrfy("Smith".into())));
        assert_eq!(Command::parse(b"EXPN Example-People"), Ok(Command::Expn("Example-People".into())));
        assert_eq!(Command::parse(b"HELP"), Ok(Command::Help(None)));
        assert_eq!(Command::parse(b"NOOP a b"), Ok(Command::Noop(Some("a b".into()))));
    }

    #[test]
    fn renders_one_line() {
        let mut out = Vec::new();
        Command::Vrfy("a\r\nQUIT".into()).render(&mut out);
        assert_eq!(out, b"VRFY a  QUIT\r\n");
    }
}
