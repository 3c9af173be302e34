//! What a node says of itself.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::ops::RangeInclusive;

use schema::NodeId;

/// What a node is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum State {
    /// It begins: not for clients yet.
    #[default]
    Joining,
    /// It serves.
    Online,
    /// It takes nothing new.
    Draining,
    /// It is as good as gone.
    Leaving,
}

impl State {
    const ALL: [(State, &'static str); 4] = [
        (State::Joining, "joining"),
        (State::Online, "online"),
        (State::Draining, "draining"),
        (State::Leaving, "leaving"),
    ];

    /// Its name.
    pub fn name(self) -> &'static str {
        State::ALL.iter().find(|(state, _)| *state == self).map_or("", |(_, name)| name)
    }

    fn parse(name: &str) -> Option<State> {
        State::ALL.iter().find(|(_, known)| *known == name).map(|(state, _)| *state)
    }
}

/// A node as it describes itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Its id.
    pub node: NodeId,
    /// The epoch of the lease it began with: greater when it begins again.
    pub generation: u64,
    /// As configured.
    pub name: String,
    /// What fails together within a region.
    pub zone: String,
    /// What is far from others.
    pub region: String,
    /// What it does; all if empty.
    pub roles: Vec<String>,
    /// The program's version.
    pub version: String,
    /// The feature levels that it can write by.
    pub levels: RangeInclusive<u32>,
    /// How much it can do, against others.
    pub capacity: u32,
    /// How busy it is, in thousandths.
    pub load: u32,
    /// What it is about.
    pub state: State,
    /// Where it gossips.
    pub gossip: SocketAddr,
    /// Where it answers calls.
    pub rpc: SocketAddr,
}

/// What a usual node can do.
const CAPACITY: u32 = 100;

/// From this load on a node is given half as much as others.
const BUSY: u32 = 900;

impl Member {
    /// A node that gossips and answers calls at one address, and of which nothing else is said: online, of the usual capacity,
    /// with all roles, at the first feature level.
    pub fn new(node: NodeId, generation: u64, address: SocketAddr) -> Self {
        Self {
            node,
            generation,
            name: String::new(),
            zone: String::new(),
            region: String::new(),
            roles: Vec::new(),
            version: String::new(),
            levels: 1..=1,
            capacity: CAPACITY,
            load: 0,
            state: State::Online,
            gossip: address,
            rpc: address,
        }
    }

    /// What it can do against others, for choosing: its capacity, or half of that while it is busy.
    pub fn weight(&self) -> u32 {
        match self.state {
            State::Leaving => 0,
            _ if self.load >= BUSY => (self.capacity / 2).max(1),
            _ => self.capacity,
        }
    }

    /// What it tells, but for what stands in its id.
    pub(crate) fn facts(&self) -> Vec<(String, String)> {
        let levels = format!("{}-{}", self.levels.start(), self.levels.end());
        let facts = [
            ("name", self.name.clone()),
            ("zone", self.zone.clone()),
            ("region", self.region.clone()),
            ("roles", self.roles.join(",")),
            ("version", self.version.clone()),
            ("levels", levels),
            ("capacity", self.capacity.to_string()),
            (LOAD, self.load.to_string()),
            (STATE, self.state.name().to_owned()),
            ("rpc", self.rpc.to_string()),
        ];
        facts.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
    }

    /// Reads facts, of a node of any version: those that are unknown are skipped. `None` as long as not all are there that
    /// are needed.
    pub(crate) fn of_facts<'a>(
        (node, generation, gossip): (NodeId, u64, SocketAddr),
        facts: impl Iterator<Item = (&'a str, &'a str)>,
    ) -> Option<Member> {
        let facts: BTreeMap<&str, &str> = facts.collect();
        let text = |key: &str| facts.get(key).copied().unwrap_or_default();
        let number = |key: &str, default| text(key).parse().unwrap_or(default);
        let (low, high) = text("levels").split_once('-')?;
        let roles = text("roles").split(',').filter(|role| !role.is_empty());
        Some(Member {
            node,
            generation,
            name: text("name").to_owned(),
            zone: text("zone").to_owned(),
            region: text("region").to_owned(),
            roles: roles.map(str::to_owned).collect(),
            version: text("version").to_owned(),
            levels: low.parse().ok()?..=high.parse().ok()?,
            capacity: number("capacity", 100),
            load: number(LOAD, 0),
            // A state of a newer version: it is there, that is all we know.
            state: State::parse(text(STATE)).unwrap_or(State::Online),
            gossip,
            rpc: text("rpc").parse().ok()?,
        })
    }
}

pub(crate) const LOAD: &str = "load";
pub(crate) const STATE: &str = "state";

/// The load as it is told: in steps, with a margin before a step is taken back, so that a node on the edge does not move duties to and fro.
pub(crate) fn step(told: u32, load: u32) -> u32 {
    let load = load.min(1000);
    if told >= BUSY && load >= BUSY - 300 {
        return told.max(BUSY);
    }
    load / 100 * 100
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn member(number: u32) -> Member {
        let port = 4000 + u16::try_from(number).unwrap();
        Member {
            name: format!("n{number}"),
            zone: "z1".into(),
            region: "r1".into(),
            roles: vec!["delivery".into(), "imap".into()],
            version: "0.1.0".into(),
            levels: 1..=2,
            state: State::Joining,
            ..Member::new(NodeId(number), 7, ([127, 0, 0, 1], port).into())
        }
    }

    fn read(member: &Member, facts: &[(String, String)]) -> Option<Member> {
        let facts = facts.iter().map(|(key, value)| (key.as_str(), value.as_str()));
        Member::of_facts((member.node, member.generation, member.gossip), facts)
    }

    #[test]
    fn facts_come_back() {
        let member = Member { state: State::Draining, load: 300, ..member(3) };
        assert_eq!(read(&member, &member.facts()), Some(member.clone()));
        let nobody = Member { roles: Vec::new(), ..member.clone() };
        assert_eq!(read(&nobody, &nobody.facts()), Some(nobody.clone()));
    }

    #[test]
    fn facts_of_other_versions_are_read_as_far_as_they_go() {
        let member = member(3);
        let mut facts = member.facts();
        facts.push(("mood".into(), "fine".into()));
        facts.iter_mut().filter(|(key, _)| key == "state").for_each(|(_, value)| *value = "resting".into());
        assert_eq!(read(&member, &facts), Some(Member { state: State::Online, ..member.clone() }));
        assert_eq!(read(&member, &facts[..3]), None);
    }

    #[test]
    fn a_busy_node_counts_half_until_it_is_clearly_less_busy() {
        let at = |load| Member { load, ..member(1) }.weight();
        assert_eq!((at(0), at(899), at(900)), (100, 100, 50));
        assert_eq!(Member { state: State::Leaving, ..member(1) }.weight(), 0);
        assert_eq!((step(0, 349), step(300, 899), step(800, 950)), (300, 800, 900));
        assert_eq!((step(900, 700), step(900, 599), step(900, 5000)), (900, 500, 900));
    }
}
