//! Next servers for remote mail, one for each node, so that it shows which node tried what and when.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long the answer to a final dot takes, so that a node can be hit between the two.
const THOUGHT: Duration = Duration::from_millis(10);
/// Domains whose mail is put off for now begin so.
pub(crate) const HELD: &str = "held";

/// What a node did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum What {
    /// Named a recipient.
    Tried,
    /// Sent the final dot.
    Dot,
    /// Was told that the message was taken.
    Taken,
}

/// Something that a node did for a message to a domain.
#[derive(Debug, Clone)]
pub(crate) struct Event {
    pub(crate) node: usize,
    pub(crate) domain: String,
    /// The message's id, once it is known.
    pub(crate) id: String,
    pub(crate) at: Instant,
    pub(crate) what: What,
}

#[derive(Debug, Default)]
struct Shared {
    events: Mutex<Vec<Event>>,
}

/// All of them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sinks(Arc<Shared>);

impl Sinks {
    /// Opens the one for a node, in the network of the calling thread; where it is.
    pub(crate) fn open(&self, node: usize) -> anyhow::Result<String> {
        self.open_at(node, "127.0.0.1:0")
    }

    /// Opens one at an address.
    pub(crate) fn open_at(&self, node: usize, address: &str) -> anyhow::Result<String> {
        let listener = TcpListener::bind(address)?;
        let address = listener.local_addr()?.to_string();
        let sinks = self.clone();
        std::thread::spawn(move || {
            while let Ok((socket, _)) = listener.accept() {
                let sinks = sinks.clone();
                // A node that dies in the middle is what these are for.
                std::thread::spawn(move || drop(sinks.serve(node, &socket)));
            }
        });
        Ok(address)
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Event>> {
        self.0.events.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn serve(&self, node: usize, socket: &TcpStream) -> std::io::Result<()> {
        socket.set_nodelay(true)?;
        let reader = BufReader::new(socket.try_clone()?);
        let say = |text: &str| (&mut &*socket).write_all(format!("{text}\r\n").as_bytes());
        let note = |domain: &str, id: &str, what| {
            let event =
                Event { node, domain: domain.to_owned(), id: id.to_owned(), at: Instant::now(), what };
            self.lock().push(event);
        };
        say("220 sink")?;
        let (mut data, mut id, mut domains) = (false, String::new(), Vec::new());
        for line in reader.lines() {
            let line = line?;
            if data && line == "." {
                domains.iter().for_each(|domain: &String| note(domain, &id, What::Dot));
                std::thread::sleep(THOUGHT);
                data = false;
                domains.drain(..).for_each(|domain| note(&domain, &id, What::Taken));
                say("250 taken")?;
            } else if data {
                id = line.strip_prefix("X-Id: ").map_or(id, str::to_owned);
            } else if let Some(domain) = domain_of(&line) {
                note(&domain, "", What::Tried);
                let held = domain.starts_with(HELD);
                say(if held { "451 4.3.0 not now" } else { "250 fine" })?;
                domains.extend((!held).then_some(domain));
            } else if line == "DATA" {
                data = true;
                say("354 go on")?;
            } else if line == "QUIT" {
                return say("221 bye");
            } else {
                domains.clear();
                say("250 fine")?;
            }
        }
        Ok(())
    }

    /// What was done since then.
    pub(crate) fn since(&self, at: Instant) -> Vec<Event> {
        self.lock().iter().rev().take_while(|event| event.at >= at).cloned().collect()
    }

    /// By domain: which node was there last before this.
    pub(crate) fn workers(&self, before: Instant) -> BTreeMap<String, usize> {
        let events = self.lock();
        events
            .iter()
            .filter(|event| event.at < before)
            .map(|event| (event.domain.clone(), event.node))
            .collect()
    }

    /// By message and domain: who was told when that it was taken.
    pub(crate) fn taken(&self) -> BTreeMap<(String, String), Vec<(usize, Instant)>> {
        let mut taken: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for event in self.lock().iter().filter(|event| event.what == What::Taken) {
            taken.entry((event.id.clone(), event.domain.clone())).or_default().push((event.node, event.at));
        }
        taken
    }
}

/// The domain of a RCPT.
fn domain_of(line: &str) -> Option<String> {
    let path = line.strip_prefix("RCPT TO:<")?;
    Some(path.split_once('@')?.1.split('>').next()?.to_owned())
}
