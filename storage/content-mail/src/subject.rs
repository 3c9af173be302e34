//! The base subject of RFC 5256 §2.1, by which messages without references are threaded.

use crate::decode;

/// A subject without what replies, forwards and lists add to it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BaseSubject {
    /// The base subject, decoded; its case is kept.
    pub text: String,
    /// Whether "Re:", "Fwd:", "(fwd)" or "[fwd: …]" was removed.
    pub is_reply_or_forward: bool,
}

/// The base subject of a Subject field's unfolded text.
pub fn base(subject: &str) -> BaseSubject {
    // Step 1: encoded words to UTF-8, blanks to single spaces.
    let decoded = decode::words(subject);
    let mut normal = String::with_capacity(decoded.len());
    for word in decoded.split([' ', '\t', '\r', '\n']).filter(|word| !word.is_empty()) {
        if !normal.is_empty() {
            normal.push(' ');
        }
        normal.push_str(word);
    }
    let (text, is_reply_or_forward) = reduce(&normal);
    BaseSubject { text: text.to_owned(), is_reply_or_forward }
}

/// Steps 2 to 6.
fn reduce(mut rest: &str) -> (&str, bool) {
    let mut found = false;
    loop {
        // Step 2: subj-trailer = "(fwd)" / WSP
        rest = rest.trim_end_matches(' ');
        while let Some(cut) = strip_suffix_ignore_case(rest, "(fwd)") {
            rest = cut.trim_end_matches(' ');
            found = true;
        }
        // Steps 3 to 5: subj-leader = (*subj-blob subj-refwd) / WSP, then a subj-blob with a base behind it
        rest = rest.trim_start_matches(' ');
        while let Some(cut) = leader(rest) {
            rest = cut.trim_start_matches(' ');
            found = true;
        }
        while let Some(cut) = blob(rest).filter(|cut| !cut.is_empty()) {
            rest = cut;
        }
        // Step 6: subj-fwd = "[fwd:" subj-base "]"
        match strip_prefix_ignore_case(rest, "[fwd:").and_then(|inner| inner.strip_suffix(']')) {
            Some(inner) => {
                rest = inner;
                found = true;
            }
            None => return (rest, found),
        }
    }
}

/// Removes `*subj-blob subj-refwd`. Blobs alone stay: what leads to no refwd here leads to none after the
/// first blob is gone either, so that a subject is read once.
fn leader(text: &str) -> Option<&str> {
    let mut rest = text;
    while let Some(cut) = blob(rest) {
        rest = cut;
    }
    refwd(rest)
}

/// subj-refwd = ("re" / ("fw" ["d"])) *WSP [subj-blob] ":"
fn refwd(text: &str) -> Option<&str> {
    let word = ["re", "fwd", "fw"].iter().find_map(|word| strip_prefix_ignore_case(text, word))?;
    let rest = word.trim_start_matches(' ');
    blob(rest).unwrap_or(rest).strip_prefix(':')
}

/// subj-blob = "[" *BLOBCHAR "]" *WSP
fn blob(text: &str) -> Option<&str> {
    let inner = text.strip_prefix('[')?;
    let end = inner.find(['[', ']'])?;
    Some(inner[end..].strip_prefix(']')?.trim_start_matches(' '))
}

fn strip_prefix_ignore_case<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    let head = text.get(..prefix.len())?;
    head.eq_ignore_ascii_case(prefix).then(|| &text[prefix.len()..])
}

fn strip_suffix_ignore_case<'a>(text: &'a str, suffix: &str) -> Option<&'a str> {
    let at = text.len().checked_sub(suffix.len())?;
    text.get(at..)?.eq_ignore_ascii_case(suffix).then(|| &text[..at])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(subject: &str, text: &str, reply: bool) {
        let expected = BaseSubject { text: text.into(), is_reply_or_forward: reply };
        assert_eq!(base(subject), expected, "{subject}");
    }

    #[test]
    fn plain_subjects_stay() {
        check("Hello", "Hello", false);
        check("", "", false);
        check("  two\t  words ", "two words", false);
        check("Regarding: x", "Regarding: x", false);
        check("re", "re", false);
        check("Forward: x", "Forward: x", false);
    }

    #[test]
    fn replies_and_forwards() {
        check("Re: Hello", "Hello", true);
        check("RE : Hello", "Hello", true);
        check("fw: Fwd: re: Hello", "Hello", true);
        check("Re[2]: Hello", "Hello", true);
        check("Re [list]: Hello", "Hello", true);
        check("Hello (fwd)", "Hello", true);
        check("Hello (FWD) (fwd) ", "Hello", true);
        check("[fwd: Hello]", "Hello", true);
        check("[Fwd: Re: [fwd: Hello (fwd)]]", "Hello", true);
        check("Re:", "", true);
    }

    #[test]
    fn list_blobs() {
        check("[list] Hello", "Hello", false);
        check("[a] [b] Hello", "Hello", false);
        check("[a] Re: [b] Hello", "Hello", true);
        check("[a][b]Re: Hello", "Hello", true);
        check("[list]", "[list]", false);
        check("[a] [b]", "[b]", false);
        check("Re: [list]", "[list]", true);
        check("[open Hello", "[open Hello", false);
        check("Hello [list]", "Hello [list]", false);
    }

    #[test]
    fn encoded_words_are_read_first() {
        check("=?utf-8?q?Re=3A_Gr=C3=BC=C3=9Fe?=", "Gr\u{fc}\u{df}e", true);
        check("Re: =?iso-8859-1?Q?caf=E9?=", "caf\u{e9}", true);
        check("\u{130}re: x", "\u{130}re: x", false);
    }

    #[test]
    fn hostile_subjects_take_linear_time() {
        let many = "[]".repeat(200_000);
        assert_eq!(base(&many).text, "[]");
        assert_eq!(base(&"re:".repeat(200_000)).text, "");
        let nested = format!("{}x{}", "[fwd:".repeat(50_000), "]".repeat(50_000));
        assert_eq!(base(&nested).text, "x");
    }
}
