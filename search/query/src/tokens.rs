//! What a text typed by somebody asks for: words, and phrases in quotes (RFC 8621 §4.4.1).

/// The words and phrases of a text, all of which are to be found. A quotation mark within a word is part of it, as is one
/// that nothing answers.
pub fn tokens(text: &str) -> Vec<String> {
    let (mut found, mut rest) = (Vec::new(), text.trim_start());
    while let Some(first) = rest.chars().next() {
        let phrase = matches!(first, '"' | '\'').then(|| phrase(&rest[1..], first)).flatten();
        let (token, behind) = phrase.unwrap_or_else(|| {
            let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
            (rest[..end].to_owned(), &rest[end..])
        });
        if !token.is_empty() {
            found.push(token);
        }
        rest = behind.trim_start();
    }
    found
}

/// A phrase up to its mark, without what only protects marks in it, and what follows; none if it has no end.
fn phrase(text: &str, mark: char) -> Option<(String, &str)> {
    let (mut phrase, mut escaped) = (String::new(), false);
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => {
                phrase.push(c);
                escaped = false;
            }
            '\\' => escaped = true,
            _ if c == mark => return Some((phrase, &text[at + mark.len_utf8()..])),
            _ => phrase.push(c),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn words_and_phrases() {
        let check = |text: &str, expected: &[&str]| assert_eq!(tokens(text), expected, "{text}");
        check("", &[]);
        check("  two  words ", &["two", "words"]);
        check(r#"a "two words" b"#, &["a", "two words", "b"]);
        check("'two words'b", &["two words", "b"]);
        check("don't 'stop", &["don't", "'stop"]);
        check(r#""say \"no\" \\ more""#, &[r#"say "no" \ more"#]);
        check(r#""" x"#, &["x"]);
        check("東京 \u{3000}京都", &["東京", "京都"]);
    }

    proptest! {
        #[test]
        fn never_panics(text in "\\PC{0,40}") {
            tokens(&text);
        }
    }
}
