//! Message ids of Message-ID, In-Reply-To and References (RFC 5322 §3.6.4).

/// Bytes of one id that is taken to be one.
const ID_MAX: usize = 1000;

/// The ids in angle brackets, in their order, without the brackets; phrases and comments between them
/// (RFC 5322 §4.5.4) are passed over. Where nothing is in brackets, words that look like ids are taken.
pub(crate) fn list(value: &str, max: usize) -> Vec<String> {
    let mut ids = Vec::new();
    let mut rest = value;
    while let Some(open) = rest.find('<') {
        let inner = &rest[open + 1..];
        let Some(end) = inner.find(['>', '<']) else { break };
        if inner[end..].starts_with('>') {
            ids.extend(id(&inner[..end]));
        }
        rest = &inner[end..];
    }
    if ids.is_empty() {
        ids = value
            .split([' ', '\t', ',', '<', '>'])
            .filter(|word| word.contains('@'))
            .filter_map(id)
            .collect();
    }
    thin(&mut ids, max);
    ids
}

/// The one id of a Message-ID field.
pub(crate) fn single(value: &str) -> Option<String> {
    list(value, 1).into_iter().next().or_else(|| id(value.split([' ', '\t']).next()?))
}

/// Blanks inside an id come from folding in the wrong place, and are no part of it.
fn id(text: &str) -> Option<String> {
    let id: String = text.chars().filter(|c| !c.is_whitespace() && !c.is_control()).collect();
    (!id.is_empty() && id.len() <= ID_MAX).then_some(id)
}

/// Keeps the first id, which names the thread, and the latest ones, which name the parents.
fn thin(ids: &mut Vec<String>, max: usize) {
    if ids.len() > max {
        ids.drain(1.min(max)..ids.len() - max.saturating_sub(1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_lists() {
        assert_eq!(list("<a@x> <b@x>\t<c@x>", 9), ["a@x", "b@x", "c@x"]);
        assert_eq!(list("<a@x><b@x>", 9), ["a@x", "b@x"]);
        assert_eq!(list("Your message of Monday <a@x> (was: <b@x>)", 9), ["a@x", "b@x"]);
        assert_eq!(list("<a@ x>", 9), ["a@x"]);
        assert_eq!(list("<<a@x>", 9), ["a@x"]);
        assert_eq!(list("a@x b@x", 9), ["a@x", "b@x"]);
        assert_eq!(list("no id <", 9), Vec::<String>::new());
        assert_eq!(list("<>", 9), Vec::<String>::new());
    }

    #[test]
    fn the_message_id() {
        assert_eq!(single(" <a@x> "), Some("a@x".into()));
        assert_eq!(single("local-only"), Some("local-only".into()));
        assert_eq!(single(""), None);
        assert_eq!(single(&"x".repeat(ID_MAX + 1)), None);
    }

    #[test]
    fn long_lists_keep_both_ends() {
        let many: String = (0..1000).map(|n| format!("<{n}@x> ")).collect();
        assert_eq!(list(&many, 3), ["0@x", "998@x", "999@x"]);
        assert_eq!(list(&many, 1), ["0@x"]);
        assert_eq!(list(&many, 0), Vec::<String>::new());
    }
}
