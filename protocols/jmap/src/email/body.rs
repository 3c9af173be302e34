//! Which parts are the body, and which are attached (RFC 8621 §4.1.4).

use content_mail::{Content, Part};

/// A part and its number, as IMAP counts.
#[derive(Debug, Clone)]
pub(crate) struct Numbered<'a> {
    pub(crate) part: &'a Part,
    /// Empty for a multipart that is the message.
    pub(crate) path: Vec<u32>,
}

impl<'a> Numbered<'a> {
    /// The message: a part that is no multipart is part 1 of it.
    pub(crate) fn root(part: &'a Part) -> Self {
        let path = if matches!(part.content, Content::Multipart(_)) { Vec::new() } else { vec![1] };
        Numbered { part, path }
    }

    /// The parts of a multipart. What is within an enclosed message is that message's.
    pub(crate) fn children(&self) -> Vec<Numbered<'a>> {
        let Content::Multipart(parts) = &self.part.content else { return Vec::new() };
        let child = |(number, part)| Numbered { part, path: [self.path.as_slice(), &[number]].concat() };
        (1..).zip(parts).map(child).collect()
    }

    pub(crate) fn is_multipart(&self) -> bool {
        matches!(self.part.content, Content::Multipart(_))
    }

    /// `partId`; none for a multipart.
    pub(crate) fn id(&self) -> Option<String> {
        let numbers: Vec<String> = self.path.iter().map(u32::to_string).collect();
        (!self.is_multipart()).then(|| numbers.join("."))
    }
}

/// The three lists.
#[derive(Debug, Clone, Default)]
pub(crate) struct Lists<'a> {
    pub(crate) text: Vec<Numbered<'a>>,
    pub(crate) html: Vec<Numbered<'a>>,
    pub(crate) attachments: Vec<Numbered<'a>>,
}

/// Sorts the parts of a message into lists, as RFC 8621 §4.1.4 does it.
pub(crate) fn lists(root: &Part) -> Lists<'_> {
    let mut lists = Lists::default();
    let root = Numbered::root(root);
    sort(std::slice::from_ref(&root), "mixed", false, &mut lists, (true, true));
    lists
}

fn is_inline_media(kind: &str) -> bool {
    matches!(kind, "image" | "audio" | "video")
}

/// `into` says whether there is a text and an HTML body to add to.
fn sort<'a>(
    parts: &[Numbered<'a>],
    multipart: &str,
    in_alternative: bool,
    lists: &mut Lists<'a>,
    into: (bool, bool),
) {
    let (text_length, html_length) = (lists.text.len(), lists.html.len());
    let (mut to_text, mut to_html) = into;
    for (index, numbered) in parts.iter().enumerate() {
        let (part, kind) = (numbered.part, &numbered.part.content_type);
        if numbered.is_multipart() {
            let children = numbered.children();
            let alternative = in_alternative || kind.subtype == "alternative";
            sort(&children, &kind.subtype, alternative, lists, (to_text, to_html));
            continue;
        }
        let attached = part.disposition.as_ref().is_some_and(|one| one.kind == "attachment");
        let is_text = kind.is("text", "plain") || kind.is("text", "html");
        // A part with a name in the middle of a message is something attached.
        let first_or_nameless = index == 0
            || (multipart != "related" && (is_inline_media(&kind.kind) || part.filename().is_none()));
        let inline = !attached && (is_text || is_inline_media(&kind.kind)) && first_or_nameless;
        if !inline {
            lists.attachments.push(numbered.clone());
            continue;
        }
        if multipart == "alternative" {
            match (kind.kind.as_str(), kind.subtype.as_str()) {
                ("text", "plain") if to_text => lists.text.push(numbered.clone()),
                ("text", "html") if to_html => lists.html.push(numbered.clone()),
                ("text", "plain" | "html") => {}
                _ => lists.attachments.push(numbered.clone()),
            }
            continue;
        }
        if in_alternative {
            // Of what is alternatives of each other, the one kind is not the other's.
            if kind.is("text", "plain") {
                to_html = false;
            }
            if kind.is("text", "html") {
                to_text = false;
            }
        }
        if to_text {
            lists.text.push(numbered.clone());
        }
        if to_html {
            lists.html.push(numbered.clone());
        }
        if (!to_text || !to_html) && is_inline_media(&kind.kind) {
            lists.attachments.push(numbered.clone());
        }
    }
    if multipart == "alternative" && into.0 && into.1 {
        // Where there is no alternative of a kind, the other's is shown.
        if text_length == lists.text.len() && html_length != lists.html.len() {
            lists.text.extend(lists.html.get(html_length..).unwrap_or_default().to_vec());
        }
        if html_length == lists.html.len() && text_length != lists.text.len() {
            lists.html.extend(lists.text.get(text_length..).unwrap_or_default().to_vec());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use content_mail::{Limits, summarize};

    fn multipart(kind: &str, parts: &[String]) -> String {
        // A boundary of its own for each level.
        let boundary = format!("b{}{}", kind, parts.concat().len());
        let parts: String = parts.iter().map(|part| format!("--{boundary}\r\n{part}\r\n")).collect();
        format!("Content-Type: multipart/{kind}; boundary={boundary}\r\n\r\n{parts}--{boundary}--")
    }

    fn leaf(kind: &str, disposition: &str) -> String {
        let disposition = if disposition.is_empty() {
            String::new()
        } else {
            format!("Content-Disposition: {disposition}\r\n")
        };
        format!("Content-Type: {kind}\r\n{disposition}\r\nx")
    }

    fn ids(parts: &[Numbered<'_>]) -> String {
        parts.iter().filter_map(Numbered::id).collect::<Vec<_>>().join(" ")
    }

    /// RFC 8621 §4.1.4: A to K, in a message as complex as they come.
    #[test]
    fn the_rfcs_example() {
        let inner_alternative = multipart(
            "alternative",
            &[
                multipart(
                    "mixed",
                    &[
                        leaf("text/plain", "inline"),
                        leaf("image/jpeg", "inline"),
                        leaf("text/plain", "inline"),
                    ],
                ),
                multipart("related", &[leaf("text/html", ""), leaf("image/jpeg", "")]),
            ],
        );
        let content = multipart(
            "mixed",
            &[
                inner_alternative,
                leaf("image/jpeg", "attachment"),
                leaf("application/x-excel", ""),
                leaf("message/rfc822", ""),
            ],
        );
        let message =
            multipart("mixed", &[leaf("text/plain", "inline"), content, leaf("text/plain", "inline")]);
        let summary = summarize(message.as_bytes(), &Limits::default());
        let lists = lists(&summary.structure);
        // A, B, C, D, K
        assert_eq!(ids(&lists.text), "1 2.1.1.1 2.1.1.2 2.1.1.3 3");
        // A, E, K
        assert_eq!(ids(&lists.html), "1 2.1.2.1 3");
        // C, F, G, H, J
        assert_eq!(ids(&lists.attachments), "2.1.1.2 2.1.2.2 2.2 2.3 2.4");
    }

    #[test]
    fn simple_messages() {
        let of = |text: &str| {
            let summary = summarize(text.as_bytes(), &Limits::default());
            let lists = lists(&summary.structure);
            [ids(&lists.text), ids(&lists.html), ids(&lists.attachments)]
        };
        assert_eq!(of("Subject: a\r\n\r\nbody"), ["1", "1", ""]);
        assert_eq!(of(&leaf("text/html", "")), ["1", "1", ""]);
        assert_eq!(of(&leaf("application/pdf", "")), ["", "", "1"]);
        let alternative = multipart("alternative", &[leaf("text/plain", ""), leaf("text/html", "")]);
        assert_eq!(of(&alternative), ["1", "2", ""]);
        let named = multipart("mixed", &[leaf("text/plain", ""), leaf("text/plain; name=a.txt", "")]);
        assert_eq!(of(&named), ["1", "1", "2"]);
    }
}
