//! What HTML says to people without showing it as text: the values of `alt` and `title` (RFC 8621 §4.4.1).
//!
//! Not a parser of HTML: tags are found as a browser finds them, what they nest in does not matter. Of the head, of comments,
//! scripts and styles nothing is told.

use super::html_to_text;

/// Octets of a value that are told.
const VALUE: usize = 16 << 10;

/// Elements whose content is text that is not taken apart (HTML §13.1.2).
const RAW: [&str; 6] = ["script", "style", "textarea", "title", "xmp", "template"];
/// Elements of a head; others end it.
const OF_HEAD: [&str; 9] =
    ["head", "base", "link", "meta", "title", "style", "script", "noscript", "template"];
/// Elements whose `title` is for programs.
const UNSEEN: [&str; 5] = ["base", "link", "meta", "script", "style"];

/// Calls `visit` with each value, decoded, until it returns false. Returns whether all were visited.
pub(super) fn each_hint(html: &str, visit: &mut dyn FnMut(&str) -> bool) -> bool {
    let (mut rest, mut in_head) = (html, false);
    while let Some(open) = rest.find('<') {
        rest = &rest[open..];
        if let Some(comment) = rest.strip_prefix("<!--") {
            rest = behind(comment, "-->");
            continue;
        }
        let name = &rest[1..];
        if !name.starts_with(|c: char| c.is_ascii_alphabetic()) {
            // A closing tag, a declaration, or a lone character.
            in_head &= !begins(name, "/head");
            rest = if name.starts_with(['/', '!', '?']) { behind(name, ">") } else { name };
            continue;
        }
        let end = name.find(|c: char| c.is_ascii_whitespace() || matches!(c, '/' | '>'));
        let (name, attributes) = name.split_at(end.unwrap_or(name.len()));
        let is = |names: &[&str]| names.iter().any(|one| one.eq_ignore_ascii_case(name));
        in_head = if in_head { is(&OF_HEAD) } else { is(&["head"]) };
        let told = !in_head && !is(&UNSEEN);
        let (go_on, after) = tag(attributes, &mut |value| !told || visit(value));
        if !go_on {
            return false;
        }
        // Where scripts run, what a head says to who has none is not taken apart either.
        let raw = is(&RAW) || (in_head && is(&["noscript"]));
        rest = if raw { closing(after, name) } else { after };
    }
    true
}

/// Visits the values among the attributes of a tag. Whether to go on, and what is behind the tag.
fn tag<'a>(attributes: &'a str, visit: &mut dyn FnMut(&str) -> bool) -> (bool, &'a str) {
    let mut rest = attributes;
    loop {
        rest = rest.trim_start_matches(|c: char| c.is_ascii_whitespace() || c == '/');
        let end = |c: char| c.is_ascii_whitespace() || matches!(c, '/' | '>' | '=');
        if rest.is_empty() || rest.starts_with('>') {
            return (true, rest.strip_prefix('>').unwrap_or(rest));
        }
        // A name may begin with "=".
        let first = rest.chars().next().map_or(0, char::len_utf8);
        let length = rest[first..].find(end).map_or(rest.len(), |at| first + at);
        let (name, after) = rest.split_at(length);
        let Some(value) = after.trim_ascii_start().strip_prefix('=') else {
            rest = after;
            continue;
        };
        let (value, after) = attribute_value(value.trim_ascii_start());
        rest = after;
        if ["alt", "title"].iter().any(|one| name.eq_ignore_ascii_case(one)) && !shown(value, visit) {
            return (false, rest);
        }
    }
}

/// A value and what is behind it.
fn attribute_value(text: &str) -> (&str, &str) {
    for quote in ['"', '\''] {
        if let Some(inner) = text.strip_prefix(quote) {
            return inner.split_once(quote).unwrap_or((inner, ""));
        }
    }
    text.split_at(text.find(|c: char| c.is_ascii_whitespace() || c == '>').unwrap_or(text.len()))
}

/// Visits a value as it is shown: references of characters decoded, nothing else in it is markup.
fn shown(value: &str, visit: &mut dyn FnMut(&str) -> bool) -> bool {
    let value = &value[..value.floor_char_boundary(VALUE)];
    let text = html_to_text(&value.replace('<', "&lt;"));
    let text = text.trim();
    text.is_empty() || visit(text)
}

/// What is behind the first of these.
fn behind<'a>(text: &'a str, end: &str) -> &'a str {
    text.split_once(end).map_or("", |(_, rest)| rest)
}

/// From the closing tag of an element on; nothing if there is none.
fn closing<'a>(text: &'a str, name: &str) -> &'a str {
    let mut rest = text;
    while let Some((_, inner)) = rest.split_once("</") {
        if begins(inner, name) {
            return inner;
        }
        rest = inner;
    }
    ""
}

fn begins(text: &str, name: &str) -> bool {
    text.as_bytes().get(..name.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(name.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hints(html: &str) -> Vec<String> {
        let mut all = Vec::new();
        each_hint(html, &mut |value| {
            all.push(value.to_owned());
            true
        });
        all
    }

    #[test]
    fn values_that_people_are_told() {
        let html = "<p TITLE='Gr&uuml;&#223;e &amp; mehr'>x</p><img src=a.png alt=\"a < b\n> c\"><a title = plain>\
            <br/><IMG alt=\"\" ALT='two'/><abbr title=one/two>";
        assert_eq!(hints(html), ["Gr\u{fc}\u{df}e & mehr", "a < b > c", "plain", "two", "one/two"]);
    }

    #[test]
    fn what_is_no_content_is_not() {
        for html in [
            "<head><title>t</title><meta title=m><style title=s>a{}</style><noscript><img alt=i></noscript></head>",
            "<!-- <img alt=no> --><script alt=no>'<img alt=no>'</script>",
            "<style>p{content:'<img alt=no>'}</style><template><img alt=no></template>",
            "<link title=no><p data-alt=no xtitle=no alt>",
            "<textarea><img alt=no></textarea>",
            "< img alt=no> </p title=no> <!doctype html title=no>",
            "<script><img alt=no>",
            "<img src='>' x=\"alt=no\">",
        ] {
            assert_eq!(hints(html), [""; 0], "{html}");
        }
        // A head that is not closed ends with the first element that is none of it.
        assert_eq!(hints("<head><title>t</title><body><p title=yes>"), ["yes"]);
        assert_eq!(hints("</script ><script></SCRIPT><p title=yes>"), ["yes"]);
    }

    #[test]
    fn what_is_cut_or_wrong_is_no_trouble() {
        for html in [
            "<",
            "<a",
            "<a title",
            "<a title=",
            "<a title='",
            "<a =",
            "<a title='x",
            "<!--",
            "</",
            "<a\u{e4}='\u{e4}",
        ] {
            hints(html);
        }
        assert_eq!(hints("<a title='x"), ["x"]);
        assert_eq!(hints(&format!("<a title='{}'>", "\u{e4}".repeat(VALUE)))[0].len(), VALUE);
    }

    #[test]
    fn who_has_enough_ends_it() {
        let mut seen = 0;
        let all = each_hint("<p title=a><p title=b>", &mut |_| {
            seen += 1;
            false
        });
        assert!(!all && seen == 1);
    }
}
