//! How text is compared and sorted: without regard to case, in Unicode (RFC 5051 in spirit).

/// Text as it is compared: lower case by Unicode's simple rules, runs of blanks as one space, so that a line
/// break in a message does not hide a phrase.
pub fn fold(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut blank = false;
    for c in text.chars() {
        if c.is_whitespace() {
            blank = true;
            continue;
        }
        if std::mem::take(&mut blank) {
            out.push(' ');
        }
        match c {
            'A'..='Z' => out.push(c.to_ascii_lowercase()),
            '\0'..='\x7f' => out.push(c),
            // Final sigma is a sigma; ß and ss stay different.
            'ς' | 'Σ' => out.push('σ'),
            _ => out.extend(c.to_lowercase()),
        }
    }
    if blank {
        out.push(' ');
    }
    out
}

/// Folded form for sorting: as [`fold`], without blanks around.
pub fn sort_key(text: &str) -> String {
    match fold(text).trim() {
        key if key.len() > SORT_KEY => key[..key.floor_char_boundary(SORT_KEY)].to_owned(),
        key => key.to_owned(),
    }
}

/// Bytes of a text that decide its place; what differs only behind them is in the order of arrival.
const SORT_KEY: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_of_blanks_are_one() {
        assert_eq!(fold("A\r\n\tB  "), "a b ");
        assert_eq!(fold("\u{39f}\u{394}\u{39f}\u{3a3}"), fold("\u{3bf}\u{3b4}\u{3bf}\u{3c2}"));
    }

    #[test]
    fn sort_keys_are_short() {
        assert_eq!(sort_key("  Hello World "), "hello world");
        assert!(sort_key(&"ä".repeat(1000)).len() <= SORT_KEY);
    }
}
