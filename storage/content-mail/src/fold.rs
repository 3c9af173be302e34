//! How text is compared and sorted: without regard to case, in Unicode (RFC 5051 in spirit).

/// Text as it is compared: lower case by Unicode's simple rules, runs of blanks as one space, so that a line
/// break in a message does not hide a phrase.
pub fn fold(text: &str) -> String {
    if text.is_ascii() {
        return fold_ascii(text.as_bytes());
    }
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
            '\0'..='\x7f' => out.push(c.to_ascii_lowercase()),
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

/// The same for ASCII, in one pass without branches: every byte is written, and those stay that are not a second blank.
fn fold_ascii(text: &[u8]) -> String {
    let mut out = vec![0; text.len()];
    let (mut end, mut behind_blank) = (0, false);
    for byte in text {
        let blank = matches!(byte, b' ' | b'\t'..=b'\r');
        out[end] = if blank { b' ' } else { byte.to_ascii_lowercase() };
        end += usize::from(!(blank && behind_blank));
        behind_blank = blank;
    }
    out.truncate(end);
    String::from_utf8(out).unwrap_or_default()
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
    fn each_character_by_its_own_rule() {
        assert_eq!(fold("AbC\u{1f}D\u{7f}\0Ärger İ\u{a0}ẞ\u{2003}K"), "abc\u{1f}d\u{7f}\0ärger i\u{307} ß k");
    }

    #[test]
    fn ascii_is_folded_as_the_rest_is() {
        let all: String = (0..128).map(char::from).collect();
        for text in [&*all, "", " ", "  a", "\r\n\x0b\x0c\tB \x1f C", "x \t"] {
            // The sigma takes it the other way.
            let long = format!("{text}ς");
            let other = fold(&long);
            let other = other.strip_suffix('σ').unwrap();
            assert_eq!(fold(text), other, "{text:?}");
        }
    }

    #[test]
    fn sort_keys_are_short() {
        assert_eq!(sort_key("  Hello World "), "hello world");
        assert!(sort_key(&"ä".repeat(1000)).len() <= SORT_KEY);
    }
}
