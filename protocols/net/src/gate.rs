//! Who may still come in: connections in all and per address, counted over all listeners.

use crate::Network;
use crate::farewell::{After, Farewells};
use crate::limits;
use parking_lot::{Mutex, RwLock};
use runtime::Shutdown;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

/// How many connections there may be.
#[derive(Clone, Debug)]
pub struct Limits {
    /// In all listeners together.
    pub connections: usize,
    /// From one IPv4 address, or from one IPv6 /64, since a single customer has that many addresses.
    pub per_address: usize,
    /// TLS handshakes under way.
    pub handshakes: usize,
    /// Networks whose addresses are not limited one by one.
    pub exempt: Vec<Network>,
    /// Over how long a crowd is sent away when the node drains.
    pub farewell: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            connections: limits::CONNECTIONS,
            per_address: limits::CONNECTIONS_PER_ADDRESS,
            handshakes: limits::HANDSHAKES,
            exempt: Vec::new(),
            farewell: limits::FAREWELL,
        }
    }
}

/// Counts the connections that are in, and says no to one too many.
#[derive(Debug)]
pub struct Gate {
    limits: RwLock<Limits>,
    counts: Mutex<Counts>,
    farewells: Farewells,
}

#[derive(Debug, Default)]
struct Counts {
    connections: usize,
    handshakes: usize,
    by_address: HashMap<IpAddr, usize>,
}

impl Gate {
    /// A gate for all listeners of a node.
    pub fn new(limits: Limits) -> Arc<Self> {
        Arc::new(Gate {
            limits: RwLock::new(limits),
            counts: Mutex::default(),
            farewells: Farewells::default(),
        })
    }

    /// Other limits from now on. Who is in stays in.
    pub fn set_limits(&self, limits: Limits) {
        *self.limits.write() = limits;
    }

    /// How many connections there may be.
    pub fn capacity(&self) -> usize {
        self.limits.read().connections
    }

    /// The signals of a session by its number: its drain comes in its turn.
    pub(crate) fn signals(&self, shutdown: &Shutdown, session: u64) -> Shutdown {
        self.farewells.signals(shutdown, session)
    }

    /// Sends the sessions away, a crowd in turns. Each listener may ask for it.
    pub(crate) async fn farewell(self: &Arc<Self>) {
        let longest = self.limits.read().farewell;
        self.farewells.say(self, longest, After::Gone).await;
    }

    /// Sends away the sessions that are in, a crowd in turns. Who comes from then on is served.
    pub async fn evacuate(self: &Arc<Self>) {
        let longest = self.limits.read().farewell;
        self.farewells.say(self, longest, After::Open).await;
    }

    /// Connections that are in.
    pub fn connections(&self) -> usize {
        self.counts.lock().connections
    }

    /// A place among the connections in all, if there is one.
    pub fn enter(self: &Arc<Self>) -> Option<Ticket> {
        let mut counts = self.counts.lock();
        if counts.connections >= self.limits.read().connections {
            return None;
        }
        counts.connections += 1;
        Some(Ticket { gate: Arc::clone(self), address: None, handshake: false })
    }
}

/// A place in the count; dropping it gives the place to another.
#[derive(Debug)]
pub struct Ticket {
    gate: Arc<Gate>,
    address: Option<IpAddr>,
    handshake: bool,
}

impl Ticket {
    /// Counts this connection for `address`. False if the address has too many already.
    pub fn claim_address(&mut self, address: IpAddr) -> bool {
        let limits = self.gate.limits.read();
        if self.address.is_some() || limits.exempt.iter().any(|network| network.contains(address)) {
            return true;
        }
        let key = counted_as(address);
        let mut counts = self.gate.counts.lock();
        let count = counts.by_address.entry(key).or_default();
        if *count >= limits.per_address {
            return false;
        }
        *count += 1;
        self.address = Some(key);
        true
    }

    /// Counts this connection as in its handshake. False if there are too many already.
    pub fn begin_handshake(&mut self) -> bool {
        let mut counts = self.gate.counts.lock();
        if !self.handshake && counts.handshakes < self.gate.limits.read().handshakes {
            counts.handshakes += 1;
            self.handshake = true;
        }
        self.handshake
    }

    /// The handshake is over.
    pub fn end_handshake(&mut self) {
        if std::mem::take(&mut self.handshake) {
            self.gate.counts.lock().handshakes -= 1;
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.end_handshake();
        let mut counts = self.gate.counts.lock();
        counts.connections -= 1;
        if let Some(address) = self.address
            && let Some(count) = counts.by_address.get_mut(&address)
        {
            *count -= 1;
            if *count == 0 {
                counts.by_address.remove(&address);
            }
        }
    }
}

fn counted_as(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into(),
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gate(connections: usize, per_address: usize) -> Arc<Gate> {
        Gate::new(Limits { connections, per_address, exempt: Network::loopback(), ..Limits::default() })
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_place_is_free_again_when_its_ticket_is_gone() {
        let gate = gate(2, 9);
        let (a, b) = (gate.enter().unwrap(), gate.enter().unwrap());
        assert!(gate.enter().is_none());
        drop(a);
        assert!(gate.enter().is_some());
        drop(b);
        assert_eq!(gate.connections(), 0);
    }

    #[test]
    fn an_address_has_its_own_limit() {
        let gate = gate(100, 1);
        let mut tickets: Vec<Ticket> = (0..6).map(|_| gate.enter().unwrap()).collect();
        assert!(tickets[0].claim_address(ip("203.0.113.1")));
        assert!(!tickets[1].claim_address(ip("203.0.113.1")));
        assert!(!tickets[1].claim_address(ip("::ffff:203.0.113.1")));
        assert!(tickets[2].claim_address(ip("2001:db8::1")));
        assert!(!tickets[3].claim_address(ip("2001:db8::2")), "the same /64");
        assert!(tickets[3].claim_address(ip("2001:db8:0:1::1")));
        assert!(tickets[4].claim_address(ip("127.0.0.1")) && tickets[5].claim_address(ip("127.0.0.1")));
        drop(tickets);
        assert!(gate.counts.lock().by_address.is_empty());
    }

    #[test]
    fn limits_change_while_it_is_open() {
        let gate = gate(1, 9);
        let first = gate.enter().unwrap();
        assert!(gate.enter().is_none());
        gate.set_limits(Limits { connections: 2, ..Limits::default() });
        let second = gate.enter().unwrap();
        gate.set_limits(Limits { connections: 1, ..Limits::default() });
        assert_eq!((gate.connections(), gate.capacity()), (2, 1));
        drop((first, second));
        assert!(gate.enter().is_some());
    }

    #[test]
    fn handshakes_are_counted_apart() {
        let gate = Gate::new(Limits { handshakes: 1, ..Limits::default() });
        let (mut a, mut b) = (gate.enter().unwrap(), gate.enter().unwrap());
        assert!(a.begin_handshake());
        assert!(!b.begin_handshake());
        a.end_handshake();
        assert!(b.begin_handshake());
        drop(b);
        assert!(a.begin_handshake());
    }
}
