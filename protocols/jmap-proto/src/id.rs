//! Ids (RFC 8620 §1.2).

use std::borrow::Borrow;
use std::fmt;

use serde::Serialize;

use crate::limits;

/// An id of a record, a blob, an account, or one that a client makes up: 1 to 255 of `A-Za-z0-9-_`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct Id(String);

impl Id {
    /// `None` for what is no id.
    pub fn new(text: &str) -> Option<Id> {
        is_id(text).then(|| Id(text.to_owned()))
    }

    /// What of a text may be in an id: of an id, all of it.
    pub fn of(text: impl fmt::Display) -> Id {
        let keep = |c: &char| c.is_ascii_alphanumeric() || *c == '-' || *c == '_';
        let kept: String = text.to_string().chars().filter(keep).take(limits::ID).collect();
        if kept.is_empty() { Id("_".to_owned()) } else { Id(kept) }
    }

    /// As it is written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The text itself.
    pub fn into_string(self) -> String {
        self.0
    }
}

/// Whether a text is an id.
pub fn is_id(text: &str) -> bool {
    (1..=limits::ID).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Borrow<str> for Id {
    fn borrow(&self) -> &str {
        &self.0
    }
}

/// An id as a client writes it: one that it knows, or one that this request is to make, `#` and the id under which it
/// asked for it (RFC 8620 §5.3).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum IdRef {
    /// That very id.
    Id(Id),
    /// What was made under this creation id.
    Created(Id),
}

impl IdRef {
    /// `None` for what is neither.
    pub fn new(text: &str) -> Option<IdRef> {
        match text.strip_prefix('#') {
            Some(creation) => Id::new(creation).map(IdRef::Created),
            None => Id::new(text).map(IdRef::Id),
        }
    }
}

impl fmt::Display for IdRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            IdRef::Id(id) => id.fmt(f),
            IdRef::Created(id) => write!(f, "#{id}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_of_safe_letters() {
        for good in ["a", "A-_9", &"x".repeat(255)] {
            assert_eq!(Id::new(good).map(Id::into_string).as_deref(), Some(good));
        }
        for bad in ["", "a b", "a.b", "é", "a\0", "#a", &"x".repeat(256)] {
            assert_eq!(Id::new(bad), None, "{bad:?}");
        }
        assert_eq!(IdRef::new("#k1").map(|id| id.to_string()).as_deref(), Some("#k1"));
        assert!(matches!(IdRef::new("#k1"), Some(IdRef::Created(_))));
        assert!(matches!(IdRef::new("k1"), Some(IdRef::Id(_))));
        assert_eq!(IdRef::new("#"), None);
        assert_eq!((Id::of("a-1").as_str(), Id::of("a b").as_str(), Id::of("").as_str()), ("a-1", "ab", "_"));
    }
}
