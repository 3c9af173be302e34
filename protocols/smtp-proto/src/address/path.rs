//! The paths of MAIL and RCPT.
//!
//! ```abnf
//! Reverse-path = Path / "<>"
//! Forward-path = Path
//! Path         = "<" [ A-d-l ":" ] Mailbox ">"
//! A-d-l        = At-domain *( "," At-domain )
//! At-domain    = "@" Domain
//! ```

use std::fmt;

use super::mailbox::take_local;
use super::{Host, Mailbox};

/// Where a message came from: the argument of MAIL.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ReversePath {
    /// `<>`: a notification, which nothing may be sent back for (RFC 5321 §4.5.5).
    Null,
    /// A mailbox.
    Mailbox(Mailbox),
}

impl ReversePath {
    /// Parses a path at the start of `text` and returns what follows.
    pub(crate) fn take(text: &str) -> Option<(Self, &str)> {
        if let Some(rest) = text.strip_prefix("<>") {
            return Some((Self::Null, rest));
        }
        let (mailbox, rest) = Mailbox::take(without_route(text.strip_prefix('<')?)?)?;
        Some((Self::Mailbox(mailbox), rest.strip_prefix('>')?))
    }

    /// The mailbox, unless the path is null.
    #[must_use]
    pub fn mailbox(&self) -> Option<&Mailbox> {
        match self {
            Self::Null => None,
            Self::Mailbox(mailbox) => Some(mailbox),
        }
    }

    /// Whether it is `<>`.
    #[must_use]
    pub fn is_null(&self) -> bool {
        *self == Self::Null
    }
}

impl fmt::Display for ReversePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("<>"),
            Self::Mailbox(mailbox) => write!(f, "<{mailbox}>"),
        }
    }
}

/// Where a message goes: the argument of RCPT.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ForwardPath {
    /// `<Postmaster>` without a domain, which every server takes (RFC 5321 §4.1.1.3, §4.5.1).
    Postmaster,
    /// A mailbox.
    Mailbox(Mailbox),
}

impl ForwardPath {
    /// Parses a path at the start of `text` and returns what follows.
    pub(crate) fn take(text: &str) -> Option<(Self, &str)> {
        let inner = without_route(text.strip_prefix('<')?)?;
        if let Some((local, rest)) = take_local(inner)
            && let Some(rest) = rest.strip_prefix('>')
        {
            return local.eq_ignore_ascii_case("postmaster").then_some((Self::Postmaster, rest));
        }
        let (mailbox, rest) = Mailbox::take(inner)?;
        Some((Self::Mailbox(mailbox), rest.strip_prefix('>')?))
    }

    /// The mailbox, unless it is the bare postmaster.
    #[must_use]
    pub fn mailbox(&self) -> Option<&Mailbox> {
        match self {
            Self::Postmaster => None,
            Self::Mailbox(mailbox) => Some(mailbox),
        }
    }
}

impl fmt::Display for ForwardPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Postmaster => f.write_str("<Postmaster>"),
            Self::Mailbox(mailbox) => write!(f, "<{mailbox}>"),
        }
    }
}

/// Drops a source route: RFC 5321 §4.1.1.3 and appendix C, "MUST be accepted, SHOULD NOT be generated, and
/// SHOULD be ignored".
fn without_route(inner: &str) -> Option<&str> {
    if !inner.starts_with('@') {
        return Some(inner);
    }
    let mut rest = inner;
    loop {
        let (_, after) = Host::take(rest.strip_prefix('@')?)?;
        match after.split_at_checked(1)? {
            (":", mailbox) => return Some(mailbox),
            (",", next) => rest = next,
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reverse_paths() {
        assert_eq!(ReversePath::take("<> SIZE=1"), Some((ReversePath::Null, " SIZE=1")));
        let (path, rest) = ReversePath::take("<\"a>b\"@x.y>z").unwrap();
        assert_eq!((path.to_string().as_str(), rest), ("<\"a>b\"@x.y>", "z"));
        for bad in ["", "<", "<a>", "<a@b", "a@b", "<a@b >", "< a@b>", "<postmaster>", "<@a:>", "<\u{e9}"] {
            assert!(ReversePath::take(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn source_routes_are_dropped() {
        // RFC 5321 appendix C, §4.1.1.3.
        let (path, _) = ForwardPath::take("<@hosta.int,@jkl.org:userc@d.bar.org>").unwrap();
        assert_eq!(path.to_string(), "<userc@d.bar.org>");
        let (path, _) = ReversePath::take("<@[192.0.2.1]:a@b>").unwrap();
        assert_eq!(path.to_string(), "<a@b>");
        for bad in ["<@a,b:c@d>", "<@a c@d>", "<@a,:c@d>", "<@:c@d>", "<@a"] {
            assert!(ForwardPath::take(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn postmaster_needs_no_domain() {
        assert_eq!(ForwardPath::take("<postMASTER>"), Some((ForwardPath::Postmaster, "")));
        assert!(ForwardPath::take("<somebody>").is_none());
        let (path, _) = ForwardPath::take("<Postmaster@x.y>").unwrap();
        assert!(path.mailbox().is_some());
    }

    proptest! {
        #[test]
        fn never_panics(text in "\\PC*|[<>@,:a.\"é\\[\\]]{0,24}") {
            let _ = (ReversePath::take(&text), ForwardPath::take(&text));
        }
    }
}
