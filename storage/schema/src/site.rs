//! Sites: what fails together, and whether it is to serve.

use std::fmt;
use std::str::FromStr;

/// What a site is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SiteKind {
    /// What fails together within a region.
    Zone,
    /// What is far from others.
    Region,
}

impl SiteKind {
    /// All of them.
    pub const ALL: [SiteKind; 2] = [SiteKind::Zone, SiteKind::Region];

    /// Its byte in keys.
    pub const fn tag(self) -> u8 {
        match self {
            SiteKind::Zone => b'z',
            SiteKind::Region => b'r',
        }
    }

    /// The kind that has a byte.
    pub fn from_tag(tag: u8) -> Option<SiteKind> {
        SiteKind::ALL.into_iter().find(|kind| kind.tag() == tag)
    }

    /// In one word.
    pub const fn name(self) -> &'static str {
        match self {
            SiteKind::Zone => "zone",
            SiteKind::Region => "region",
        }
    }
}

impl FromStr for SiteKind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = SiteKind::ALL.into_iter().find(|kind| kind.name() == text);
        found.ok_or_else(|| format!("a site is a zone or a region, not a {text:?}"))
    }
}

/// A zone or a region.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Site {
    /// Which of the two.
    pub kind: SiteKind,
    /// As in the configuration of its nodes; not empty.
    pub name: String,
}

impl fmt::Display for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind.name(), self.name)
    }
}

/// What a site is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SiteState {
    /// It serves. A site of which nothing is said is online.
    Online,
    /// It takes nothing new, and is ready to take over.
    Standby,
    /// It takes nothing new, and sends away who is there.
    Evacuating,
    /// As evacuating; and nobody wonders if nothing is heard of it.
    Offline,
}

impl SiteState {
    /// All of them.
    pub const ALL: [SiteState; 4] =
        [SiteState::Online, SiteState::Standby, SiteState::Evacuating, SiteState::Offline];

    /// Its number in records.
    pub const fn number(self) -> u32 {
        match self {
            SiteState::Online => 0,
            SiteState::Standby => 1,
            SiteState::Evacuating => 2,
            SiteState::Offline => 3,
        }
    }

    /// The state that has a number.
    pub fn from_number(number: u32) -> Option<SiteState> {
        SiteState::ALL.into_iter().find(|state| state.number() == number)
    }

    /// In one word.
    pub const fn name(self) -> &'static str {
        match self {
            SiteState::Online => "online",
            SiteState::Standby => "standby",
            SiteState::Evacuating => "evacuating",
            SiteState::Offline => "offline",
        }
    }

    /// Whether it gets new work and new clients.
    pub const fn serves(self) -> bool {
        matches!(self, SiteState::Online)
    }

    /// Whether who is there is sent away.
    pub const fn sends_away(self) -> bool {
        matches!(self, SiteState::Evacuating | SiteState::Offline)
    }
}

impl FromStr for SiteState {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = SiteState::ALL.into_iter().find(|state| state.name() == text);
        found.ok_or_else(|| format!("a site is online, standby, evacuating or offline, not {text:?}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_and_kinds_have_names_and_numbers() {
        for state in SiteState::ALL {
            assert_eq!(
                (state.name().parse(), SiteState::from_number(state.number())),
                (Ok(state), Some(state))
            );
        }
        for kind in SiteKind::ALL {
            assert_eq!((kind.name().parse(), SiteKind::from_tag(kind.tag())), (Ok(kind), Some(kind)));
        }
        assert_eq!(SiteState::from_number(4), None);
        assert!("away".parse::<SiteState>().is_err() && "house".parse::<SiteKind>().is_err());
        assert_eq!(Site { kind: SiteKind::Zone, name: "a".into() }.to_string(), "zone a");
    }
}
