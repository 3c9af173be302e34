//! A client that has asked for everything once, and from then on for what changed.

use std::collections::BTreeSet;

use runtime::{Rng, SeededRng};
use schema::AccountId;
use serde_json::{Value, json};

use crate::model::{self, Objects};
use crate::queries::{Asked, asked, asked_of_mailboxes};
use crate::world::{World, ids};

/// Queries that a client keeps.
const QUERIES: usize = 8;
const MAILBOX_QUERIES: usize = 3;
const KINDS: [&str; 3] = ["Email", "Mailbox", "Thread"];
const PROPERTIES: [&str; 14] = [
    "id",
    "threadId",
    "mailboxIds",
    "keywords",
    "size",
    "receivedAt",
    "sentAt",
    "subject",
    "from",
    "to",
    "hasAttachment",
    "smimeStatus",
    "smimeStatusAtDelivery",
    "smimeErrors",
];
const COUNTS: [&str; 4] = ["totalEmails", "unreadEmails", "totalThreads", "unreadThreads"];

/// One type's objects, and of when.
#[derive(Debug, Clone, Default)]
struct Kept {
    state: String,
    objects: Objects,
    /// What it was told of, and not that it is gone. It may be gone by the time that it is asked for.
    told: BTreeSet<String>,
}

#[derive(Debug)]
struct Results {
    asked: Asked,
    state: String,
    ids: Vec<String>,
}

pub(crate) struct Client {
    account: String,
    /// As [`KINDS`] has them.
    kept: [Kept; 3],
    results: Vec<Results>,
}

impl Client {
    pub(crate) async fn new(world: &World, account: AccountId, random: &SeededRng) -> Client {
        let mut client =
            Client { account: account.to_string(), kept: Default::default(), results: Vec::new() };
        client.fetch(world).await;
        let mailboxes: Vec<String> = client.of("Mailbox").objects.keys().cloned().collect();
        let of_emails = (0..QUERIES).map(|_| asked(random, &mailboxes));
        let of_mailboxes = (0..MAILBOX_QUERIES).map(|_| asked_of_mailboxes(random, &mailboxes));
        for asked in of_emails.chain(of_mailboxes).collect::<Vec<_>>() {
            let (state, ids) = client.query(world, &asked).await;
            client.results.push(Results { asked, state, ids });
        }
        client
    }

    async fn get(&self, world: &World, kind: &str, ids: Value, properties: Value) -> (String, Vec<Value>) {
        let arguments = json!({"accountId": self.account, "ids": ids, "properties": properties});
        let mut told = world.told(&format!("{kind}/get"), arguments).await;
        let state = told["state"].as_str().unwrap().to_owned();
        (state, told["list"].as_array_mut().unwrap().drain(..).collect())
    }

    async fn query(&self, world: &World, asked: &Asked) -> (String, Vec<String>) {
        let told = world.told(&format!("{}/query", asked.kind), asked.arguments(&self.account)).await;
        (told["queryState"].as_str().unwrap().to_owned(), ids(&told["ids"]))
    }

    /// Everything there is, asked for anew.
    async fn all(&self, world: &World) -> [Kept; 3] {
        let (_, found) = self.query(world, &Asked::everything()).await;
        let emails = keep(self.get(world, "Email", json!(found), json!(PROPERTIES)).await);
        let threads: BTreeSet<&str> =
            emails.objects.values().map(|email| email["threadId"].as_str().unwrap()).collect();
        let threads = keep(self.get(world, "Thread", json!(threads), Value::Null).await);
        let mailboxes = keep(self.get(world, "Mailbox", Value::Null, Value::Null).await);
        [emails, mailboxes, threads]
    }

    async fn fetch(&mut self, world: &World) {
        self.kept = self.all(world).await;
    }

    /// Asks for what changed.
    pub(crate) async fn follow(&mut self, world: &World, random: &SeededRng, context: &str) {
        for kind in KINDS {
            if !self.follow_type(world, random, kind, context).await {
                // What the log has forgotten is asked for as a whole.
                self.fetch(world).await;
            }
        }
        let mut results = std::mem::take(&mut self.results);
        for one in &mut results {
            self.follow_query(world, random, one, context).await;
        }
        self.results = results;
    }

    async fn follow_type(&mut self, world: &World, random: &SeededRng, kind: &str, context: &str) -> bool {
        let mut few = (random.below(2) == 0).then(|| 1 + random.below(4));
        loop {
            let since = self.of(kind).state.clone();
            let mut arguments = json!({"accountId": self.account, "sinceState": since});
            if let Some(max) = few {
                arguments["maxChanges"] = max.into();
            }
            let told = match world.call(&format!("{kind}/changes"), arguments).await {
                Ok(told) => told,
                Err(error) => {
                    assert_eq!(error, "cannotCalculateChanges", "{context}");
                    if few.take().is_some() {
                        continue;
                    }
                    return false;
                }
            };
            self.take(world, kind, &told, few, context).await;
            if told["hasMoreChanges"] == false {
                return true;
            }
        }
    }

    async fn take(&mut self, world: &World, kind: &str, told: &Value, most: Option<u64>, context: &str) {
        let [created, updated, destroyed] = ["created", "updated", "destroyed"].map(|name| ids(&told[name]));
        let context = format!("{context}: {kind}/changes {told}");
        let all = [created.clone(), updated.clone(), destroyed.clone()].concat();
        assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), all.len(), "{context}");
        assert!(most.is_none_or(|most| all.len() as u64 <= most), "{context}");
        let properties = &told["updatedProperties"];
        let known = &self.of(kind).told;
        assert!(created.iter().all(|id| !known.contains(id)), "{context}");
        if kind == "Mailbox" {
            assert!(updated.iter().all(|id| known.contains(id)), "{context}");
            assert!(properties.is_null() || *properties == json!(COUNTS), "{context}");
        }
        let whole = if kind == "Email" { json!(PROPERTIES) } else { Value::Null };
        let some = if properties.is_array() { properties.clone() } else { whole.clone() };
        let (_, made) = self.get(world, kind, json!(&created), whole).await;
        let (_, changed) = self.get(world, kind, json!(updated), some).await;
        let there: BTreeSet<String> = changed.iter().map(id_of).collect();
        let kept = self.of(kind);
        for id in destroyed.iter().chain(updated.iter().filter(|id| !there.contains(*id))) {
            kept.objects.remove(id);
        }
        kept.told.extend(created);
        kept.told.retain(|id| !destroyed.contains(id));
        for object in made.into_iter().chain(changed) {
            let known = kept.objects.entry(id_of(&object)).or_insert_with(|| json!({}));
            known.as_object_mut().unwrap().extend(object.as_object().unwrap().clone());
        }
        told["newState"].as_str().unwrap().clone_into(&mut kept.state);
    }

    fn of(&mut self, kind: &str) -> &mut Kept {
        &mut self.kept[KINDS.iter().position(|one| *one == kind).unwrap()]
    }

    async fn follow_query(&self, world: &World, random: &SeededRng, kept: &mut Results, context: &str) {
        let mut arguments = kept.asked.arguments(&self.account);
        arguments["sinceQueryState"] = kept.state.clone().into();
        arguments["calculateTotal"] = true.into();
        if random.below(4) == 0 {
            arguments["maxChanges"] = random.below(20).into();
        }
        // A client that has a part knows nothing of what is behind it.
        let part = kept.asked.is_of_what_stays() && !kept.ids.is_empty() && random.below(2) == 0;
        if part {
            kept.ids.truncate(1 + usize::try_from(random.below(kept.ids.len() as u64)).unwrap());
            arguments["upToId"] = kept.ids.last().unwrap().clone().into();
        }
        let told = world.call(&format!("{}/queryChanges", kept.asked.kind), arguments).await;
        let (state, there) = self.query(world, &kept.asked).await;
        match told {
            Ok(told) => {
                apply(&mut kept.ids, &told);
                let there = if part { there.get(..kept.ids.len()).unwrap_or(&there) } else { &there };
                assert_eq!(kept.ids, there, "{context}: {:?}, {told}", kept.asked);
                told["newQueryState"].as_str().unwrap().clone_into(&mut kept.state);
            }
            Err(error) => {
                let known = ["cannotCalculateChanges", "tooManyChanges"].contains(&error.as_str());
                assert!(known, "{context}: {error}");
                (kept.state, kept.ids) = (state.clone(), there.clone());
            }
        }
        if part {
            (kept.state, kept.ids) = (state, there);
        }
    }

    /// What it has is what there is.
    pub(crate) async fn compare(&self, world: &World, context: &str) {
        let all = self.all(world).await;
        for ((kind, kept), there) in KINDS.iter().zip(&self.kept).zip(&all) {
            assert_eq!(kept.objects, there.objects, "{context}: {kind}");
        }
        assert_eq!(model::threads(&all[0].objects), all[2].objects, "{context}");
        self.compare_ways(world, &all[0].objects, context).await;
        for one in self.results.iter().filter(|one| one.asked.kind == "Email") {
            let wanted = model::results(&one.asked, &all[0].objects);
            assert_eq!(one.ids, wanted, "{context}: {:?}", one.asked);
            let (begin, length) = (wanted.len() / 3, 1 + wanted.len() / 4);
            let mut arguments = one.asked.arguments(&self.account);
            (arguments["position"], arguments["limit"]) = (begin.into(), length.into());
            let told = world.told("Email/query", arguments).await;
            let part: Vec<String> = wanted.into_iter().skip(begin).take(length).collect();
            assert_eq!(ids(&told["ids"]), part, "{context}: {:?}", one.asked);
        }
    }

    /// Emails are read where something is wanted that lists do not show, and else listed: both tell the same.
    async fn compare_ways(&self, world: &World, listed: &Objects, context: &str) {
        let properties: Vec<&str> = PROPERTIES.into_iter().chain(["sender"]).collect();
        let ids: Vec<&String> = listed.keys().collect();
        let mut read = keep(self.get(world, "Email", json!(ids), json!(properties)).await);
        for email in read.objects.values_mut() {
            assert!(email.as_object_mut().unwrap().remove("sender").is_some(), "{context}");
        }
        assert_eq!(*listed, read.objects, "{context}");
    }
}

/// RFC 8620 §5.6: what is removed goes, then what is added comes, the lowest place first.
fn apply(results: &mut Vec<String>, told: &Value) {
    let removed = ids(&told["removed"]);
    results.retain(|id| !removed.contains(id));
    for added in told["added"].as_array().unwrap() {
        let at = usize::try_from(added["index"].as_u64().unwrap()).unwrap();
        if at <= results.len() {
            results.insert(at, id_of(added));
        }
    }
}

fn id_of(object: &Value) -> String {
    object["id"].as_str().unwrap().to_owned()
}

fn keep((state, list): (String, Vec<Value>)) -> Kept {
    let objects: Objects = list.into_iter().map(|object| (id_of(&object), object)).collect();
    Kept { state, told: objects.keys().cloned().collect(), objects }
}
