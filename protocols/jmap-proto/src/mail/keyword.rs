//! Keywords of emails (RFC 8621 §4.1.1): flags as IMAP has them, with `$` where that has a backslash.

/// Keywords that stand for a system flag of IMAP: the keyword and the flag.
pub const SYSTEM: [(&str, &str); 4] =
    [("$seen", "\\Seen"), ("$draft", "\\Draft"), ("$flagged", "\\Flagged"), ("$answered", "\\Answered")];

/// Longest keyword, in octets.
const MAX: usize = 255;

/// A keyword in lower case; none for what is none: 1 to 255 printable ASCII letters but `( ) { ] % * " \`.
pub fn parse(text: &str) -> Option<String> {
    let fits = (1..=MAX).contains(&text.len());
    let allowed = |b: u8| (0x21..=0x7e).contains(&b) && !b"(){]%*\"\\".contains(&b);
    (fits && text.bytes().all(allowed)).then(|| text.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keywords() {
        assert_eq!(parse("$Seen").as_deref(), Some("$seen"));
        assert_eq!(parse("a[b}").as_deref(), Some("a[b}"));
        for bad in ["", "a b", "a*", "\\Seen", "é", "a\"", &"x".repeat(256)] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
