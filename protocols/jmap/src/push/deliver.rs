//! Pushes to devices that are not connected (RFC 8620 §7.2): one node does it for a slot of accounts.
//!
//! # The story
//! 1. Each second the slot's version is looked at; if it has changed, its subscriptions are read, and each has a task: new ones
//!    begin, changed ones begin again, those that are gone end.
//! 2. The task of a subscription that is not verified sends its code, and waits.
//! 3. That of a verified one holds a [`Listener`], as who is connected does: so a change is read once for all who hear of it, and what
//!    changes while a push is under way, or waits to be tried again, comes together in the next.
//! 4. Up to where a device was told is written into its row behind each push. Who takes the slot over goes on from there: what was
//!    under way is told again, and nothing is left out.
//!
//! A service that does not answer keeps nobody else waiting: each subscription waits for its own.

use std::collections::HashMap;
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use accounts::Admitted;
use jmap_proto::push::{Position, StateChange, Wanted, verification};
use runtime::CancellationToken;
use schema::keys::push::PushKey;
use schema::records::push::PushRecord;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep};

use super::listener::{From, Listener, Revoked};
use super::port::{PushMessage, Pushed};
use super::types::Types;
use crate::{Options, Server, Services};

/// Between two looks for subscriptions.
const LOOK: Duration = Duration::from_secs(1);
/// Between two pushes to one device.
const PACE: Duration = Duration::from_secs(1);
/// Before a push is tried again: at first, and at most. Doubled in between.
const AGAIN: Duration = Duration::from_secs(5);
const AGAIN_MOST: Duration = Duration::from_secs(3_600);
/// What a service asks for at most that is heeded.
const ASKED_MOST: Duration = Duration::from_secs(6 * 3_600);
/// Subscriptions of a slot that are served; each takes some kB.
const MOST: usize = 20_000;
/// Between two looks at the clock.
const CLOCK: Duration = Duration::from_secs(60);
/// Octets of a message: what an encrypted one may have.
const MESSAGE: usize = 3_900;
/// How long a change is of use to a device that is off: it will ask anyway when it comes back.
const LASTS: Duration = Duration::from_secs(86_400);

/// Whether this node may still work on the slot.
type Sure = Arc<dyn Fn() -> bool + Send + Sync>;

/// Sends pushes.
#[derive(Clone)]
pub struct Pusher {
    server: Arc<Server>,
}

/// What is under way for a slot. All of it ends when this is dropped.
#[derive(Default)]
struct Slot {
    version: Option<Option<kv::Versionstamp>>,
    running: HashMap<PushKey, (PushRecord, CancellationToken)>,
    tasks: JoinSet<()>,
}

impl Drop for Slot {
    fn drop(&mut self) {
        metrics::gauge!("jmap_push_subscriptions").decrement(self.running.len() as f64);
    }
}

impl Pusher {
    /// Over `services`.
    pub fn new(services: Services, options: Options) -> Self {
        Pusher { server: Server::new(services, options) }
    }

    /// Sends the pushes of a slot until `end`. `sure` is asked before each.
    pub async fn serve(&self, slot: u32, sure: Sure, end: CancellationToken) {
        let mut work = Slot::default();
        let mut looks = interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = end.cancelled() => return,
                Some(ended) = work.tasks.join_next() => {
                    if let Err(error) = ended && error.is_panic() {
                        tracing::error!(%error, "a subscription's task failed");
                    }
                    continue;
                }
                _ = looks.tick() => {}
            }
            if let Err(error) = self.look(slot, &sure, &mut work).await {
                tracing::warn!(%error, slot, "subscriptions could not be looked up");
            }
        }
    }

    async fn look(&self, slot: u32, sure: &Sure, work: &mut Slot) -> Result<(), accounts::Error> {
        let accounts = &self.server.services.accounts;
        // Before the rows: what changes while they are read is looked at again.
        let version = accounts.push_version(slot).await?;
        if work.version == Some(version) {
            return Ok(());
        }
        let (mut found, mut after) = (HashMap::new(), None);
        loop {
            let page = accounts.push_page(slot, after).await?;
            let Some((last, _)) = page.last() else { break };
            after = Some(*last);
            found.extend(page);
            if found.len() > MOST {
                tracing::error!(slot, most = MOST, "there are more subscriptions than are served");
                break;
            }
        }
        self.change(found, sure, work);
        work.version = Some(version);
        Ok(())
    }

    /// Ends the tasks of what is not as it was, and begins those of what is new.
    fn change(&self, mut found: HashMap<PushKey, PushRecord>, sure: &Sure, work: &mut Slot) {
        let gauge = metrics::gauge!("jmap_push_subscriptions");
        gauge.decrement(work.running.len() as f64);
        work.running.retain(|key, (record, end)| {
            let same = found.get(key).is_some_and(|found| essence(found) == *record);
            if same {
                found.remove(key);
            } else {
                end.cancel();
            }
            same
        });
        for (key, record) in found {
            let end = CancellationToken::new();
            work.running.insert(key, (essence(&record), end.clone()));
            let one = One { server: Arc::clone(&self.server), sure: Arc::clone(sure), key, record };
            work.tasks.spawn(async move {
                tokio::select! {
                    () = end.cancelled() => {}
                    () = one.run() => {}
                }
            });
        }
        gauge.increment(work.running.len() as f64);
    }
}

/// A subscription but for what its own task writes.
fn essence(record: &PushRecord) -> PushRecord {
    PushRecord { told: String::new(), asked: false, ..record.clone() }
}

/// A subscription.
struct One {
    server: Arc<Server>,
    sure: Sure,
    key: PushKey,
    record: PushRecord,
}

/// Nobody is there to be told.
struct Over;

impl std::convert::From<Revoked> for Over {
    fn from(_: Revoked) -> Self {
        Over
    }
}

impl One {
    /// Works on it until it is over, and removes it then.
    async fn run(self) {
        tokio::select! {
            Over = Box::pin(self.work()) => {}
            () = self.expired() => {}
        }
        let remove = |before: Option<PushRecord>| (before.is_some(), Some(None));
        let accounts = &self.server.services.accounts;
        let at = (self.key.account, self.key.id);
        while let Err(error) = accounts.edit_push(at, true, &remove).await {
            tracing::warn!(%error, "a subscription that is over could not be removed");
            sleep(AGAIN).await;
        }
        // Whoever sees the row gone ends this task.
        pending::<()>().await;
    }

    async fn expired(&self) {
        let clock = &self.server.services.clock;
        loop {
            let left = self.record.expires - clock.now().millis();
            let Ok(left) = u64::try_from(left) else { return };
            if left == 0 {
                return;
            }
            // Clocks are set, also forward.
            sleep(Duration::from_millis(left).min(CLOCK)).await;
        }
    }

    async fn work(&self) -> Over {
        let over = if self.record.verified { self.tell().await } else { self.ask().await };
        over.err().unwrap_or(Over)
    }

    /// RFC 8620 §7.2.2: the device shows that it was reached.
    async fn ask(&self) -> Result<(), Over> {
        if !self.record.asked {
            let body = verification(&self.key.id.to_string(), &self.record.code).to_string();
            let message = self.message(None, false, body.into_bytes());
            let mut again = AGAIN;
            while let Some(wait) = self.send(&message, &mut again).await? {
                sleep(wait).await;
            }
            self.note(&|record| record.asked = true).await;
        }
        pending().await
    }

    /// Tells what changes.
    async fn tell(&self) -> Result<(), Over> {
        let (mut listener, types) = self.listener().await?;
        let incarnation = self.server.services.incarnation;
        let before = self.record.told.parse().unwrap_or_default();
        // Commits of another store are none of this one.
        let mut before = Some(before).filter(|p: &Position| p.incarnation == incarnation).unwrap_or_default();
        let mut news = listener.begin().await?;
        let mut again = AGAIN;
        loop {
            match self.deliver(news.as_ref(), types, &mut again).await? {
                Some(wait) => {
                    sleep(wait).await;
                    listener.rewind(&before);
                }
                None => {
                    let position = listener.position();
                    if position != before || self.record.told.is_empty() {
                        let text = position.to_string();
                        self.note(&|record| record.told.clone_from(&text)).await;
                        metrics::counter!("jmap_push_positions_total").increment(1);
                    }
                    before = position;
                    if news.is_some() {
                        sleep(PACE).await;
                    }
                }
            }
            news = Some(listener.next().await?);
        }
    }

    async fn listener(&self) -> Result<(Listener, Types), Over> {
        let proof = accounts::proof_of(&self.record);
        let identity = loop {
            match self.server.services.accounts.still(self.key.account, proof).await {
                Ok(identity) => break identity.ok_or(Over)?,
                Err(error) => {
                    tracing::warn!(%error, "who is pushed to could not be looked up");
                    sleep(AGAIN).await;
                }
            }
        };
        let wanted = match self.record.some {
            true => Wanted::Some(self.record.types.clone()),
            false => Wanted::All,
        };
        let (told, types) = (self.record.told.clone(), Types::of(&wanted));
        let from = if told.is_empty() { From::Now } else { From::Text(told) };
        let mut listener = Listener::new(Arc::clone(&self.server), Admitted { identity, proof, until: None });
        listener.listen(types, &from);
        Ok((listener, types))
    }

    /// Pushes a change, if there is one. Returns how long to wait before what was not taken is told again.
    async fn deliver(
        &self,
        news: Option<&StateChange>,
        types: Types,
        again: &mut Duration,
    ) -> Result<Option<Duration>, Over> {
        for part in news.into_iter().flat_map(parts) {
            // RFC 8030 §5.3: who hears of new mail need not be woken for the rest.
            let delivery = part.changed.values().any(|states| states.contains_key("EmailDelivery"));
            let may_wait = !delivery && !types.among(Types::EMAIL_DELIVERY).is_empty();
            let body = part.to_value().to_string().into_bytes();
            let message = self.message(Some(topic(&part)), may_wait, body);
            if let Some(wait) = self.send(&message, again).await? {
                return Ok(Some(wait));
            }
        }
        Ok(None)
    }

    fn message(&self, topic: Option<String>, may_wait: bool, body: Vec<u8>) -> PushMessage {
        let PushRecord { url, p256dh, auth, .. } = &self.record;
        let keys = (!p256dh.is_empty()).then(|| (p256dh.clone(), auth.clone()));
        PushMessage { url: url.clone(), keys, topic, may_wait, lasts: LASTS, body }
    }

    /// Sends one. Returns how long to wait if it was not taken now.
    async fn send(&self, message: &PushMessage, again: &mut Duration) -> Result<Option<Duration>, Over> {
        while !(self.sure)() {
            sleep(LOOK).await;
        }
        let pushed = self.server.services.push.push(message).await;
        let outcome = match pushed {
            Pushed::Taken => "taken",
            Pushed::Dropped => "dropped",
            Pushed::Gone => "gone",
            Pushed::Later(_) => "later",
        };
        metrics::counter!("jmap_pushes_total", "outcome" => outcome).increment(1);
        match pushed {
            Pushed::Gone => Err(Over),
            Pushed::Taken | Pushed::Dropped => {
                *again = AGAIN;
                Ok(None)
            }
            Pushed::Later(asked) => {
                let wait = asked.unwrap_or_default().min(ASKED_MOST).max(*again);
                *again = (*again * 2).min(AGAIN_MOST);
                Ok(Some(wait))
            }
        }
    }

    /// Writes down what was done. If that fails it will be done again.
    async fn note(&self, change: &(dyn Fn(&mut PushRecord) + Send + Sync)) {
        let edit = |before: Option<PushRecord>| {
            let after = before.map(|mut record| {
                change(&mut record);
                record
            });
            ((), after.map(Some))
        };
        let at = (self.key.account, self.key.id);
        if let Err(error) = self.server.services.accounts.edit_push(at, false, &edit).await {
            tracing::warn!(%error, "what was pushed could not be noted");
        }
    }
}

/// A change in pieces, none of which is too long to be pushed; no account is in two.
fn parts(change: &StateChange) -> Vec<StateChange> {
    let mut parts: Vec<StateChange> = Vec::new();
    for (account, states) in &change.changed {
        let last = parts.last_mut().filter(|part| {
            let mut longer = (*part).clone();
            longer.changed.insert(account.clone(), states.clone());
            longer.to_value().to_string().len() <= MESSAGE
        });
        match last {
            Some(part) => {
                part.changed.insert(account.clone(), states.clone());
            }
            None => {
                let mut part = StateChange::default();
                part.changed.insert(account.clone(), states.clone());
                parts.push(part);
            }
        }
    }
    parts
}

/// RFC 8030 §5.4: a message that waits gives way to one that tells of the same accounts and types, and says no less than it.
fn topic(change: &StateChange) -> String {
    let mut hasher = blake3::Hasher::new();
    for (account, states) in &change.changed {
        hasher.update(account.as_str().as_bytes());
        for name in states.keys() {
            hasher.update(b":").update(name.as_bytes());
        }
        hasher.update(b";");
    }
    hasher.finalize().to_hex().chars().take(32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::push::port::{PushError, PushService};
    use crate::push::world::World;
    use accounts::{Secret, Subscribed};
    use futures::future::BoxFuture;
    use jmap_proto::Id;
    use parking_lot::Mutex;
    use schema::PushId;
    use schema::keys::push::push_slot;
    use serde_json::Value;
    use std::collections::{BTreeMap, VecDeque};
    use tokio::sync::mpsc;

    /// Says what it is told to say, and then that all is taken.
    struct Service {
        says: Mutex<VecDeque<Pushed>>,
        came: mpsc::UnboundedSender<PushMessage>,
    }

    impl PushService for Service {
        fn key(&self) -> &str {
            "key"
        }

        fn check(&self, _: &str, _: Option<(&str, &str)>) -> Result<(), PushError> {
            Ok(())
        }

        fn push<'a>(&'a self, message: &'a PushMessage) -> BoxFuture<'a, Pushed> {
            let says = self.says.lock().pop_front().unwrap_or(Pushed::Taken);
            self.came.send(message.clone()).unwrap();
            Box::pin(std::future::ready(says))
        }
    }

    /// A node that sends the pushes of alice's slot.
    struct Serving {
        came: mpsc::UnboundedReceiver<PushMessage>,
        task: tokio::task::JoinHandle<()>,
    }

    impl Serving {
        fn start(w: &World, says: &[Pushed]) -> Serving {
            let (sender, came) = mpsc::unbounded_channel();
            let service = Service { says: Mutex::new(says.iter().copied().collect()), came: sender };
            let services = Services { push: Arc::new(service), ..w.server.services.clone() };
            let (pusher, slot) = (Pusher::new(services, Options::default()), push_slot(w.alice));
            let task = tokio::spawn(async move {
                pusher.serve(slot, Arc::new(|| true), CancellationToken::new()).await;
            });
            Serving { came, task }
        }

        async fn next(&mut self) -> (Value, PushMessage) {
            let message = self.came.recv().await.unwrap();
            (serde_json::from_slice(&message.body).unwrap(), message)
        }
    }

    async fn subscribe(w: &World, url: &str, verified: bool) -> PushId {
        let expires = w.clock().now().millis() + 3_600_000;
        let record = PushRecord {
            url: url.into(),
            code: "abc".into(),
            types: vec!["Mailbox".into()],
            some: true,
            expires,
            verified,
            ..PushRecord::default()
        };
        match w.server.services.accounts.subscribe_push(w.alice, w.proof().await, &record).await.unwrap() {
            Subscribed::Yes(id) => id,
            other => panic!("{other:?}"),
        }
    }

    impl World {
        fn clock(&self) -> &runtime::SharedClock {
            &self.server.services.clock
        }

        async fn row(&self, id: PushId) -> Option<PushRecord> {
            let page = self.server.services.accounts.push_page(push_slot(self.alice), None).await.unwrap();
            page.into_iter().find(|(key, _)| key.id == id).map(|(_, record)| record)
        }

        async fn until(&self, id: PushId, holds: impl Fn(Option<&PushRecord>) -> bool) {
            while !holds(self.row(id).await.as_ref()) {
                sleep(Duration::from_millis(100)).await;
            }
        }
    }

    /// RFC 8620 §7.2.2
    #[tokio::test(start_paused = true)]
    async fn only_who_has_said_the_code_is_told_of_changes() {
        let w = World::new().await;
        let id = subscribe(&w, "https://a/", false).await;
        let mut serving = Serving::start(&w, &[Pushed::Later(None)]);
        for _ in 0..2 {
            let (body, message) = serving.next().await;
            assert_eq!(body, verification(&id.to_string(), "abc"));
            assert_eq!((message.url.as_str(), message.topic), ("https://a/", None));
        }
        w.until(id, |row| row.unwrap().asked).await;
        w.create_mailbox("One").await;
        let verify = |before: Option<PushRecord>| {
            ((), before.map(|record| Some(PushRecord { verified: true, ..record })))
        };
        w.server.services.accounts.edit_push((w.alice, id), true, &verify).await.unwrap();
        w.until(id, |row| !row.unwrap().told.is_empty()).await;
        w.create_mailbox("Two").await;
        let (body, message) = serving.next().await;
        let state = w.server.services.state_text(w.server.services.mail.state(w.alice).await.unwrap());
        let alice = w.alice.to_string();
        assert_eq!(body["changed"][alice], serde_json::json!({"Mailbox": state}));
        assert!(message.topic.is_some() && !message.may_wait);
        assert!(serving.came.try_recv().is_err());
    }

    /// RFC 8030 §7.3, §8.4
    #[tokio::test(start_paused = true)]
    async fn what_is_not_taken_is_told_with_what_came_since() {
        let w = World::new().await;
        let id = subscribe(&w, "https://a/", true).await;
        let wait = Duration::from_secs(100);
        let mut serving = Serving::start(&w, &[Pushed::Later(Some(wait)), Pushed::Taken, Pushed::Gone]);
        w.until(id, |row| !row.unwrap().told.is_empty()).await;
        w.create_mailbox("One").await;
        let (first, _) = serving.next().await;
        let began = tokio::time::Instant::now();
        w.create_mailbox("Two").await;
        let (second, _) = serving.next().await;
        assert!(began.elapsed() >= wait);
        assert_ne!(first, second, "the newest state");
        w.create_mailbox("Three").await;
        serving.next().await;
        w.until(id, |row| row.is_none()).await;
    }

    #[tokio::test(start_paused = true)]
    async fn another_node_goes_on_and_a_dead_service_delays_nobody() {
        let w = World::new().await;
        let id = subscribe(&w, "https://a/", true).await;
        let serving = Serving::start(&w, &[]);
        w.until(id, |row| !row.unwrap().told.is_empty()).await;
        serving.task.abort();
        serving.task.await.unwrap_err();
        w.create_mailbox("One").await;
        let mut serving = Serving::start(&w, &[Pushed::Later(None); 3]);
        assert_eq!(serving.next().await.0["@type"], "StateChange", "what nobody told");
        let other = subscribe(&w, "https://b/", true).await;
        w.until(other, |row| !row.unwrap().told.is_empty()).await;
        w.create_mailbox("Two").await;
        while serving.next().await.1.url != "https://b/" {}
    }

    #[tokio::test(start_paused = true)]
    async fn a_subscription_ends_with_its_time_or_its_credentials() {
        let w = World::new().await;
        let (first, second) =
            (subscribe(&w, "https://a/", true).await, subscribe(&w, "https://b/", false).await);
        let serving = Serving::start(&w, &[]);
        w.until(first, |row| !row.unwrap().told.is_empty()).await;
        w.server.services.accounts.set_password(w.alice, &Secret::new("two")).await.unwrap();
        w.until(first, |row| row.is_none()).await;
        w.clock.advance(Duration::from_secs(3_601));
        w.until(second, |row| row.is_none()).await;
        drop(serving);
    }

    #[test]
    fn what_is_too_long_is_told_in_parts() {
        let mut change = StateChange::default();
        for account in 0..100 {
            let states =
                crate::push::types::NAMES.map(|name| (name, "0123456789abcdef.123456789".to_owned()));
            change.changed.insert(Id::of(format!("A{account}")), BTreeMap::from(states));
        }
        let parts = parts(&change);
        assert!(parts.len() > 5);
        assert!(parts.iter().all(|part| part.to_value().to_string().len() <= MESSAGE));
        let all: BTreeMap<_, _> = parts.iter().flat_map(|part| part.changed.clone()).collect();
        assert_eq!(all, change.changed);
        assert_eq!(topic(&change).len(), 32);
        assert_ne!(topic(&change), topic(&parts[0]));
    }
}
