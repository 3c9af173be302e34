//! THREAD: ORDEREDSUBJECT and REFERENCES (RFC 5256 §3).
//!
//! The algorithms are linear but for the sorting, whatever the References say: links are checked for loops
//! with disjoint sets, nothing recurses, and ids are kept in a map with a random key.

use std::collections::HashMap;

/// How threads are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ThreadAlgorithm {
    /// By base subject and date.
    OrderedSubject,
    /// By References, then by base subject.
    References,
}

/// What threading needs of a message.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ThreadMessage {
    /// What it is called in the answer: its UID or sequence number.
    pub number: u32,
    /// Message-ID without brackets.
    pub message_id: Option<String>,
    /// References, oldest first; the first of In-Reply-To where there are none.
    pub references: Vec<String>,
    /// The base subject (RFC 5256 §2.1), folded.
    pub subject: String,
    /// Whether finding it removed "Re:" or the like.
    pub is_reply: bool,
    /// When it was sent, in milliseconds since 1970 (RFC 5256 §2.2).
    pub sent: i64,
}

/// A place in a thread.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ThreadNode {
    /// The message, or none for a parent that is not here.
    pub number: Option<u32>,
    /// Answers, as places in [`Threads::nodes`], in order.
    pub children: Vec<usize>,
}

/// Threads: trees without ownership, since they may be as deep as a mailbox has messages.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Threads {
    /// All places.
    pub nodes: Vec<ThreadNode>,
    /// The first of each thread, in order.
    pub roots: Vec<usize>,
}

/// Threads by the algorithm asked for. `messages` are in the order of the mailbox.
pub fn thread(algorithm: ThreadAlgorithm, messages: &[ThreadMessage]) -> Threads {
    match algorithm {
        ThreadAlgorithm::OrderedSubject => ordered_subject(messages),
        ThreadAlgorithm::References => references(messages),
    }
}

/// ORDEREDSUBJECT: messages of one base subject are a thread, its first message the parent of all others,
/// which follow by date (RFC 5256 §3).
pub fn ordered_subject(messages: &[ThreadMessage]) -> Threads {
    let mut order: Vec<usize> = (0..messages.len()).collect();
    order.sort_by(|&a, &b| {
        let (a, b) = (&messages[a], &messages[b]);
        (&a.subject, a.sent, a.number).cmp(&(&b.subject, b.sent, b.number))
    });
    let mut threads = Threads {
        nodes: messages.iter().map(|m| ThreadNode { number: Some(m.number), children: Vec::new() }).collect(),
        roots: Vec::new(),
    };
    for group in order.chunk_by(|&a, &b| messages[a].subject == messages[b].subject) {
        if let Some((&first, rest)) = group.split_first() {
            threads.roots.push(first);
            threads.nodes[first].children = rest.to_vec();
        }
    }
    threads.roots.sort_by_key(|&root| (messages[root].sent, messages[root].number));
    threads
}

/// REFERENCES (RFC 5256 §3).
pub fn references(messages: &[ThreadMessage]) -> Threads {
    let mut forest = Forest::link(messages);
    forest.prune();
    forest.sort_roots();
    forest.gather_subjects();
    forest.finish()
}

/// The places being arranged: one for each message, then one for each id that was only referred to.
struct Forest<'a> {
    messages: &'a [ThreadMessage],
    parent: Vec<Option<usize>>,
    children: Vec<Vec<usize>>,
    roots: Vec<usize>,
}

impl<'a> Forest<'a> {
    /// Step 1 of RFC 5256 §3: links from the ids. A message's own last reference is linked before the chains
    /// in between, so that no link ever has to be taken back.
    fn link(messages: &'a [ThreadMessage]) -> Self {
        let mut places: HashMap<&str, usize> = HashMap::with_capacity(messages.len());
        for (place, message) in messages.iter().enumerate() {
            // 1: of two messages with one id the second is as one without.
            if let Some(id) = &message.message_id {
                places.entry(id).or_insert(place);
            }
        }
        let mut parent: Vec<Option<usize>> = vec![None; messages.len()];
        for message in messages {
            for id in &message.references {
                let next = parent.len();
                if *places.entry(id).or_insert(next) == next {
                    parent.push(None);
                }
            }
        }
        let mut links = Links { sets: (0..parent.len()).collect(), parent };
        for (place, message) in messages.iter().enumerate() {
            if let Some(last) = message.references.last() {
                links.join(place, places[last.as_str()]); // 1.B
            }
        }
        for message in messages {
            for pair in message.references.windows(2) {
                links.join(places[pair[1].as_str()], places[pair[0].as_str()]); // 1.A
            }
        }
        let mut children = vec![Vec::new(); links.parent.len()];
        let mut roots = Vec::new();
        for (place, parent) in links.parent.iter().enumerate() {
            match parent {
                Some(parent) => children[*parent].push(place), // 2: what has no parent is a root
                None => roots.push(place),
            }
        }
        Forest { messages, parent: links.parent, children, roots }
    }

    fn is_dummy(&self, place: usize) -> bool {
        place >= self.messages.len()
    }

    /// Step 3: places without a message give way to their children; at the top only if there is one child.
    fn prune(&mut self) {
        for place in self.deepest_first() {
            let old = std::mem::take(&mut self.children[place]);
            let mut kept = Vec::with_capacity(old.len());
            for child in old {
                if self.is_dummy(child) {
                    kept.append(&mut self.children[child]);
                } else {
                    kept.push(child);
                }
            }
            self.children[place] = kept;
        }
        for root in std::mem::take(&mut self.roots) {
            match &self.children[root][..] {
                [] if self.is_dummy(root) => {}
                [only] if self.is_dummy(root) => self.roots.push(*only),
                _ => self.roots.push(root),
            }
        }
    }

    /// Every place, children before their parents.
    fn deepest_first(&self) -> Vec<usize> {
        let mut order = self.roots.clone();
        let mut at = 0;
        while at < order.len() {
            order.extend_from_slice(&self.children[order[at]]);
            at += 1;
        }
        order.reverse();
        order
    }

    /// The message that stands for a place: its own, or its first child's (step 4).
    fn face(&self, place: usize) -> &'a ThreadMessage {
        let own = if self.is_dummy(place) { self.children[place][0] } else { place };
        &self.messages[own]
    }

    fn sort(&self, places: &mut [usize]) {
        places.sort_by_key(|&place| {
            let face = self.face(place);
            (face.sent, face.number)
        });
    }

    /// Step 4: threads by the date of what stands for them; children of a place without a message first.
    fn sort_roots(&mut self) {
        #[allow(clippy::needless_range_loop, reason = "the loop changes what it walks")]
        for index in 0..self.roots.len() {
            let root = self.roots[index];
            if self.is_dummy(root) {
                self.sort_children(root);
            }
        }
        let mut roots = std::mem::take(&mut self.roots);
        self.sort(&mut roots);
        self.roots = roots;
    }

    fn sort_children(&mut self, place: usize) {
        let mut children = std::mem::take(&mut self.children[place]);
        self.sort(&mut children);
        self.children[place] = children;
    }

    /// Step 5: threads of one subject become one.
    fn gather_subjects(&mut self) {
        let mut table: HashMap<&str, usize> = HashMap::new();
        for (index, &root) in self.roots.iter().enumerate() {
            let face = self.face(root);
            if face.subject.is_empty() {
                continue;
            }
            let slot = table.entry(&face.subject).or_insert(index);
            let held = self.roots[*slot];
            // 5.B.iii: a place without message is preferred, then what is no reply.
            let better = self.is_dummy(root) && !self.is_dummy(held)
                || !self.is_dummy(held) && self.face(held).is_reply && !face.is_reply;
            if better {
                *slot = index;
            }
        }
        let mut gone = vec![false; self.roots.len()];
        #[allow(clippy::needless_range_loop, reason = "the loop changes what it walks")]
        for index in 0..self.roots.len() {
            let face = self.face(self.roots[index]);
            let Some(&held) = table.get(face.subject.as_str()) else { continue };
            if held != index {
                gone[index] = self.merge(held, index);
            }
        }
        let mut gone = gone.into_iter();
        self.roots.retain(|_| !gone.next().unwrap_or(false));
    }

    /// Step 5.C: puts the thread at `index` with the one at `held`. Returns whether it left its own place.
    fn merge(&mut self, held: usize, index: usize) -> bool {
        let (to, from) = (self.roots[held], self.roots[index]);
        match (self.is_dummy(to), self.is_dummy(from)) {
            (true, true) => {
                let mut children = std::mem::take(&mut self.children[from]);
                self.children[to].append(&mut children);
            }
            (true, false) => self.children[to].push(from),
            (false, _) if self.face(from).is_reply && !self.face(to).is_reply => self.children[to].push(from),
            _ => {
                let dummy = self.children.len();
                self.children.push(vec![to, from]);
                self.parent.push(None);
                self.roots[held] = dummy;
            }
        }
        true
    }

    /// Step 6: answers by date, at every level.
    fn finish(mut self) -> Threads {
        for place in self.deepest_first() {
            self.sort_children(place);
        }
        let mut roots = std::mem::take(&mut self.roots);
        self.sort(&mut roots);
        let number = |place: usize| self.messages.get(place).map(|message| message.number);
        let nodes = self
            .children
            .iter()
            .enumerate()
            .map(|(place, children)| ThreadNode { number: number(place), children: children.clone() })
            .collect();
        Threads { nodes, roots }
    }
}

/// Parents, and which places are connected.
struct Links {
    parent: Vec<Option<usize>>,
    sets: Vec<usize>,
}

impl Links {
    /// Makes `parent` the parent of `child`, unless that has one or would be its own ancestor. A place
    /// without a parent is the root of its tree: it is an ancestor of exactly those it is connected with.
    fn join(&mut self, child: usize, parent: usize) {
        let (a, b) = (self.find(child), self.find(parent));
        if self.parent[child].is_none() && a != b {
            self.parent[child] = Some(parent);
            self.sets[a] = b;
        }
    }

    fn find(&mut self, mut place: usize) -> usize {
        while self.sets[place] != place {
            self.sets[place] = self.sets[self.sets[place]];
            place = self.sets[place];
        }
        place
    }
}

#[cfg(test)]
#[path = "thread_tests.rs"]
mod tests;
