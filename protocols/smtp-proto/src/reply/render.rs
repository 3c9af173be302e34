//! A reply as octets.

use std::io::Write as _;

use super::Reply;
use crate::limits;

impl Reply {
    /// Appends the reply's lines.
    ///
    /// ```abnf
    /// Reply-line = *( Reply-code "-" [ textstring ] CRLF ) Reply-code [ SP textstring ] CRLF
    /// textstring = 1*(%d09 / %d32-126)       ; UTF-8 under SMTPUTF8, RFC 6531 §3.7.4.2
    /// ```
    ///
    /// The enhanced code is on each line (RFC 2034 §4). Control characters become spaces, so that no text, wherever
    /// it came from, can start a line; long lines are folded into several.
    pub fn render(&self, out: &mut Vec<u8>) {
        let mut pieces = self.lines.iter().flat_map(|line| folded(line)).peekable();
        while let Some(piece) = pieces.next() {
            let mark = if pieces.peek().is_some() { '-' } else { ' ' };
            // Writing to a Vec cannot fail.
            let _ = write!(out, "{}{mark}", self.code);
            if let Some(enhanced) = self.enhanced {
                let _ = write!(out, "{enhanced} ");
            }
            out.extend(piece.bytes().map(|b| if b < b' ' || b == 0x7f { b' ' } else { b }));
            out.extend_from_slice(b"\r\n");
        }
    }
}

/// Cuts a text so that each piece fits a reply line (RFC 5321 §4.5.3.1.5) with code and status before it.
fn folded(text: &str) -> impl Iterator<Item = &str> {
    const ROOM: usize = limits::REPLY_LINE - "250-5.999.999 \r\n".len();
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest.take()?;
        if text.len() <= ROOM {
            return Some(text);
        }
        let (piece, tail) = text.split_at(text.floor_char_boundary(ROOM));
        rest = Some(tail);
        Some(piece)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Enhanced, ReplyParser};
    use proptest::prelude::*;

    fn rendered(reply: &Reply) -> String {
        let mut out = Vec::new();
        reply.render(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn known_answers() {
        assert_eq!(rendered(&Reply::plain(354, "Go on")), "354 Go on\r\n");
        let two = Reply::new(250, Enhanced::new(2, 0, 0), "a").line("b");
        assert_eq!(rendered(&two), "250-2.0.0 a\r\n250 2.0.0 b\r\n");
        assert_eq!(rendered(&Reply::plain(250, "")), "250 \r\n");
    }

    #[test]
    fn no_text_starts_a_line() {
        let evil = Reply::plain(550, "no\r\n250 yes\0\n");
        assert_eq!(rendered(&evil), "550 no  250 yes  \r\n");
    }

    #[test]
    fn long_texts_are_folded() {
        let text = rendered(&Reply::new(550, Enhanced::new(5, 1, 1), "é".repeat(1000)));
        assert!(text.lines().count() > 3 && text.lines().all(|line| line.len() <= 510));
    }

    proptest! {
        #[test]
        fn what_is_rendered_parses_as_one_reply(
            code in 200u16..=599,
            texts in proptest::collection::vec(".{0,40}", 1..4),
            enhanced in proptest::option::of((0u16..=999, 0u16..=999)),
        ) {
            let class = match code / 100 { 2 => 2, 4 => 4, 5 => 5, _ => 0 };
            let enhanced = enhanced.filter(|_| class != 0).map(|(s, d)| Enhanced::new(class, s, d));
            let mut texts = texts.into_iter();
            let mut reply = Reply::plain(code, texts.next().unwrap());
            reply.enhanced = enhanced;
            for text in texts {
                reply = reply.line(text);
            }
            let bytes = rendered(&reply).into_bytes();
            let (parsed, used) = ReplyParser::new().parse(&bytes).unwrap().unwrap();
            prop_assert_eq!(used, bytes.len());
            prop_assert_eq!(parsed.code, code);
            prop_assert_eq!(parsed.lines().len(), reply.lines().len());
            if enhanced.is_some() {
                prop_assert_eq!(parsed.enhanced, enhanced);
            }
        }
    }
}
