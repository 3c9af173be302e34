//! LIST patterns: `*` is anything, `%` anything without the separator (RFC 9051 §6.3.9).

/// A pattern, ready to be matched many times. Matching takes time in proportion to name times pattern, whatever
/// the wildcards.
pub(crate) struct Pattern {
    parts: Vec<Part>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Char(char),
    /// `%`
    Level,
    /// `*`
    Any,
}

/// The hierarchy separator.
pub(crate) const SEPARATOR: char = '/';

impl Pattern {
    /// The pattern behind a reference name (RFC 9051 §6.3.9.1: the two are joined).
    pub(crate) fn new(reference: &str, pattern: &str) -> Pattern {
        let mut parts: Vec<Part> = Vec::new();
        let text = reference.chars().map(Part::Char).chain(pattern.chars().map(|c| match c {
            '*' => Part::Any,
            '%' => Part::Level,
            c => Part::Char(c),
        }));
        for part in text {
            // Neighbouring wildcards are one: the widest.
            match (parts.last_mut(), part) {
                (Some(last @ (Part::Any | Part::Level)), Part::Any) => *last = Part::Any,
                (Some(Part::Any | Part::Level), Part::Level) => {}
                _ => parts.push(part),
            }
        }
        Pattern { parts }
    }

    /// Whether the name matches. INBOX does in any case (RFC 9051 §5.1).
    pub(crate) fn matches(&self, name: &str) -> bool {
        self.matches_as_is(name, false) || (name == "INBOX" && self.matches_as_is(name, true))
    }

    /// Steps that matching a name may take.
    pub(crate) fn cost(&self, name: &str) -> u64 {
        (name.len() * self.parts.len()) as u64
    }

    /// Whether it ends in `%`.
    pub(crate) fn ends_in_level(&self) -> bool {
        self.parts.last() == Some(&Part::Level)
    }

    fn matches_as_is(&self, name: &str, any_case: bool) -> bool {
        // at[i]: the parts before i can match what was read of the name.
        let mut at = vec![false; self.parts.len() + 1];
        at[0] = true;
        self.skip_wildcards(&mut at);
        for c in name.chars() {
            let mut next = vec![false; at.len()];
            for (index, part) in self.parts.iter().enumerate().filter(|(index, _)| at[*index]) {
                match part {
                    Part::Any => next[index] = true,
                    Part::Level => next[index] |= c != SEPARATOR,
                    Part::Char(p) => {
                        next[index + 1] |= *p == c || (any_case && p.eq_ignore_ascii_case(&c));
                    }
                }
            }
            self.skip_wildcards(&mut next);
            at = next;
        }
        at[self.parts.len()]
    }

    /// Wildcards match nothing, too.
    fn skip_wildcards(&self, at: &mut [bool]) {
        for (index, part) in self.parts.iter().enumerate() {
            at[index + 1] |= at[index] && !matches!(part, Part::Char(_));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn matches(pattern: &str, name: &str) -> bool {
        Pattern::new("", pattern).matches(name)
    }

    #[test]
    fn wildcards() {
        for (pattern, name) in [
            ("*", "a/b"),
            ("%", "a"),
            ("a/%", "a/b"),
            ("*b", "a/b"),
            ("%/%", "a/b"),
            ("inb%", "INBOX"),
            ("a*c", "abc/c"),
            ("a", "a"),
        ] {
            assert!(matches(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in
            [("%", "a/b"), ("a/%", "a/b/c"), ("a%", "a/b"), ("inbo", "INBOX"), ("A", "a"), ("", "a")]
        {
            assert!(!matches(pattern, name), "{pattern} {name}");
        }
        assert!(Pattern::new("a/", "%").matches("a/b"));
        assert!(!Pattern::new("a%", "").matches("ab"));
    }

    #[test]
    fn many_wildcards_cost_no_more_than_others() {
        let name = "a".repeat(4000);
        assert!(matches(&"*%".repeat(2000), &name));
        assert!(!matches(&format!("{}b", "*a".repeat(200)), &name));
    }

    /// The definition, without regard to cost.
    fn plainly(pattern: &[char], name: &[char]) -> bool {
        match pattern.split_first() {
            None => name.is_empty(),
            Some((wild @ ('*' | '%'), rest)) => {
                plainly(rest, name)
                    || name
                        .split_first()
                        .is_some_and(|(c, tail)| (*wild == '*' || *c != '/') && plainly(pattern, tail))
            }
            Some((c, rest)) => {
                name.split_first().is_some_and(|(first, tail)| first == c && plainly(rest, tail))
            }
        }
    }

    proptest! {
        #[test]
        fn agrees_with_the_definition(pattern in "[ab/*%]{0,8}", name in "[ab/]{0,8}") {
            let chars = |text: &str| text.chars().collect::<Vec<_>>();
            prop_assert_eq!(matches(&pattern, &name), plainly(&chars(&pattern), &chars(&name)));
        }
    }
}
