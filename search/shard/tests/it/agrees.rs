//! A search with the index finds what a scan finds, whatever happened before, and at whatever position the index is.

use std::time::Duration;

use godwit_shard::Shard;
use leases::Fence;
use mail::{FlagChange, MailboxRef, UidSet};
use query::{Field, Filter, Needle};
use runtime::{Rng, SeededRng};
use schema::{Flags, SystemFlags};

use crate::damage;
use crate::world::{ALICE, BOB, World, settle};

/// Each takes some seconds of a processor; `GODWIT_SEEDS` for more (`2000`), or others (`500..1000`).
const SEEDS: u64 = 10;
const STEPS: usize = 50;

const WORDS: [&str; 24] = [
    "invoice",
    "Invoices",
    "report",
    "naïve",
    "CAFÉ",
    "straße",
    "привет",
    "Привета",
    "東京都",
    "京都",
    "メール",
    "ข้อความ",
    "αβγ",
    "a",
    "b.c@example.org",
    "x-ray",
    "2026-11-21",
    "0123456789abcdef0123456789abcdef",
    "the",
    "meeting",
    "Meeting's",
    "foo_bar",
    "\u{1f600}",
    "Łódź",
];

struct Random(SeededRng);

impl Random {
    fn below(&self, most: usize) -> usize {
        usize::try_from(self.0.below(most as u64)).unwrap()
    }

    fn words(&self, most: usize) -> String {
        let count = 1 + self.below(most);
        let words: Vec<&str> = (0..count).map(|_| WORDS[self.below(WORDS.len())]).collect();
        words.join(if self.below(4) == 0 { "" } else { " " })
    }

    /// A part of what may be there, or something else.
    fn needle(&self) -> Needle {
        let text: Vec<char> = self.words(2).chars().collect();
        let from = self.below(text.len());
        let length = 1 + self.below(text.len() - from);
        Needle::new(&text[from..from + length].iter().collect::<String>())
    }

    fn message(&self) -> String {
        let body = match self.below(10) {
            // Larger than what lies in the store.
            0 => format!("{}\r\n", self.words(6)).repeat(80),
            _ => self.words(12),
        };
        let (kind, body) = match self.below(3) {
            0 => ("html", format!("<p title=\"{}\">{body}</p>", self.words(4))),
            _ => ("plain", body),
        };
        format!(
            "From: {} <{}@example.org>\r\nTo: b.c@example.org\r\nSubject: {}\r\nX-Note: {}\r\n\
             Content-Type: text/{kind}; charset=utf-8\r\n\r\n{body}\r\n",
            self.words(2),
            self.below(9),
            self.words(4),
            self.words(2)
        )
    }

    fn text(&self) -> Filter {
        let needle = self.needle();
        match self.below(8) {
            0 => Filter::Header(Field::From, needle),
            1 => Filter::Header(Field::Subject, needle),
            2 => Filter::Header(Field::Named("X-Note".into()), needle),
            3 => Filter::Text(needle),
            4 => Filter::TextOrHint(needle),
            5 => Filter::BodyOrHint(needle),
            _ => Filter::Body(needle),
        }
    }

    fn filter(&self, depth: usize) -> Filter {
        let parts = |count: usize| (0..count).map(|_| self.filter(depth - 1)).collect();
        match self.below(if depth == 0 { 6 } else { 9 }) {
            0 => Filter::System(SystemFlags::SEEN),
            1 => Filter::Larger(self.below(400) as u64),
            2..=5 => self.text(),
            6 => self.filter(depth - 1).negated(),
            7 => Filter::And(parts(2)),
            _ => Filter::Or(parts(2)),
        }
    }

    fn some(&self, uids: &UidSet) -> UidSet {
        uids.iter().filter(|_| self.below(3) == 0).collect()
    }
}

struct Scene {
    world: World,
    random: Random,
    mailboxes: Vec<MailboxRef>,
    /// What mailboxes hold is remembered before each search, so that documents become UIDs by tables.
    remembers: bool,
    fence: Fence,
    shard: Shard,
}

impl Scene {
    async fn new(seed: u64) -> Scene {
        let random = Random(SeededRng::new(seed));
        // Small batches: the index is in the middle of an account often.
        let world = World::new(seed, 1 + random.0.below(12_000)).await;
        let mut mailboxes = Vec::new();
        for (account, name) in [(ALICE, "INBOX"), (ALICE, "Work"), (ALICE, "Old"), (BOB, "INBOX")] {
            mailboxes.push(world.mailbox(account, name).await);
        }
        let fence = world.take(world.me).await;
        let shard = world.indexer.shard(fence);
        Scene { world, random, mailboxes, remembers: seed % 2 == 1, fence, shard }
    }

    fn mailbox(&self) -> MailboxRef {
        self.mailboxes[self.random.below(self.mailboxes.len())]
    }

    /// Something happens.
    async fn step(&mut self) {
        let (world, random, at) = (&self.world, &self.random, self.mailbox());
        let uids = world.mail.open(at).await.unwrap().uids;
        match random.below(16) {
            0..=5 => {
                for _ in 0..=random.below(4) {
                    world.append(at, random.message()).await;
                }
            }
            6 => {
                let flags = Flags { system: SystemFlags::SEEN, ..Flags::none() };
                world.mail.store_flags(at, &random.some(&uids), &FlagChange::Add(flags), None).await.unwrap();
            }
            7 => {
                let to = self.mailboxes.iter().find(|to| to.account == at.account && **to != at);
                if let Some(to) = to {
                    world.mail.copy(at, &random.some(&uids), *to).await.unwrap();
                }
            }
            8 => {
                let to = self.mailboxes.iter().rev().find(|to| to.account == at.account && **to != at);
                if let Some(to) = to {
                    world.mail.move_(at, &random.some(&uids), *to).await.unwrap();
                }
            }
            9 => {
                let flags = Flags { system: SystemFlags::DELETED, ..Flags::none() };
                world.mail.store_flags(at, &random.some(&uids), &FlagChange::Add(flags), None).await.unwrap();
                world.mail.expunge(at, None).await.unwrap();
            }
            10 => {
                // The log is kept for a time only.
                world.mail.trim(at.account, i64::MAX).await.unwrap();
            }
            11 => {
                world.segments.rebuild(3, "at random", 0).await.unwrap();
                world.clock.advance(Duration::from_secs(6));
            }
            12 => {
                // Another writer of the same shard begins from what is published.
                self.shard = world.indexer.shard(self.fence);
            }
            13 if random.below(3) == 0 => {
                // Some time after the last time, so that what is damaged is made anew.
                world.clock.advance(Duration::from_secs(700));
                let bodies = world.bodies().await;
                if !bodies.is_empty() {
                    let damage = damage::ALL[random.below(damage::ALL.len())];
                    world.damage(bodies[random.below(bodies.len())], damage).await;
                }
            }
            _ => drop(self.shard.turn().await.unwrap()),
        }
    }

    async fn check(&self, seed: u64) {
        for _ in 0..=self.random.below(3) {
            let (at, filter) = (self.mailbox(), self.random.filter(2));
            if self.remembers {
                self.world.mail.tally(at).await.unwrap();
            }
            self.world.agree(at, &filter, &format!("seed {seed}")).await;
            if self.random.below(8) == 0 {
                self.world
                    .agree_with(&self.world.fresh(), at, &filter, &format!("seed {seed}, from nothing"))
                    .await;
            }
        }
    }
}

#[tokio::test]
async fn the_index_and_a_scan_agree() {
    let said = std::env::var("GODWIT_SEEDS").unwrap_or_default();
    let (from, to) = said.split_once("..").unwrap_or(("0", &said));
    for seed in from.parse().unwrap_or(0)..to.parse().unwrap_or(SEEDS) {
        let mut scene = Scene::new(seed).await;
        for _ in 0..STEPS {
            scene.step().await;
            scene.check(seed).await;
        }
        settle(&mut scene.shard).await;
        for _ in 0..20 {
            let (at, filter) = (scene.mailbox(), scene.random.filter(1));
            scene.world.agree(at, &filter, &format!("seed {seed}, at rest")).await;
        }
    }
}
