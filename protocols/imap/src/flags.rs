//! Flags between the wire and the store.

use imap_proto::flag::Flag;
use schema::{Flags, Keyword, SystemFlags};

use crate::reply::{Reply, Stop};

/// What every mailbox can hold (RFC 9051 §7.3.5), before its keywords.
pub(crate) const SYSTEM: [&str; 5] = ["\\Answered", "\\Flagged", "\\Deleted", "\\Seen", "\\Draft"];

/// Flags a client named. `\Recent` is passed over: no client may alter it, and some copy it along
/// (RFC 3501 §2.3.2).
pub(crate) fn parse(flags: &[Flag]) -> Result<Flags, Stop> {
    let mut parsed = Flags::none();
    for flag in flags {
        parsed.system |= match flag {
            Flag::Seen => SystemFlags::SEEN,
            Flag::Answered => SystemFlags::ANSWERED,
            Flag::Flagged => SystemFlags::FLAGGED,
            Flag::Deleted => SystemFlags::DELETED,
            Flag::Draft => SystemFlags::DRAFT,
            Flag::Recent => SystemFlags::NONE,
            Flag::Keyword(name) => {
                parsed.keywords.insert(keyword(name)?);
                SystemFlags::NONE
            }
            Flag::Unknown(_) => return Err(Reply::bad("unknown system flag").into()),
        };
    }
    Ok(parsed)
}

/// A keyword a client named.
pub(crate) fn keyword(name: &str) -> Result<Keyword, Stop> {
    Keyword::new(name).map_err(|_| Reply::bad("invalid keyword").into())
}

/// The names of a message's flags as FETCH tells them.
pub(crate) fn names(flags: &Flags) -> impl Iterator<Item = &str> {
    let system = SystemFlags::NAMES.iter().filter(|(flag, _)| flags.has(*flag)).map(|(_, name)| *name);
    system.chain(flags.keywords.iter().map(Keyword::as_str))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back() {
        let wire = [Flag::Seen, Flag::Recent, Flag::Keyword("$Junk".into()), Flag::Draft];
        let flags = parse(&wire).unwrap();
        assert_eq!(names(&flags).collect::<Vec<_>>(), ["\\Seen", "\\Draft", "$Junk"]);
        assert!(parse(&[Flag::Unknown("Foo".into())]).is_err());
    }
}
