//! Addresses as SMTP has them: paths, mailboxes, domains, address literals (RFC 5321 §4.1.2, RFC 6531 §3.3).
//!
//! This is the envelope's grammar. It has no comments and no folding white space; the header's grammar
//! (RFC 5322) lives with the message formats.

mod domain;
mod mailbox;
mod path;

pub use domain::{Domain, Host};
pub use mailbox::Mailbox;
pub use path::{ForwardPath, ReversePath};

/// A character that may stand in a U-label or an internationalized local part: no control, no white space, and
/// none of the invisible characters that make two different addresses look the same or turn the direction of
/// the text around them.
pub(crate) fn is_visible_unicode(character: char) -> bool {
    let invisible = matches!(character,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff0}'..='\u{ffff}' | '\u{e0000}'..='\u{e0fff}'
        | '\u{e000}'..='\u{f8ff}' | '\u{f0000}'..='\u{10ffff}');
    !character.is_ascii() && !character.is_control() && !character.is_whitespace() && !invisible
}
