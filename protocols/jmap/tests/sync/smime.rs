//! Emails that are signed (RFC 9219); the messages are those that signatures are tested with.

use std::sync::Arc;

use content_mail::{Limits, summarize};
use mail::{Incoming, MailboxRef};
use schema::Flags;
use serde_json::{Value, json};

use crate::world::{ALICE, World, ids};

/// The day on which the messages were signed, and on which one of the certificates was valid.
const THAT_DAY: i64 = 1_795_321_800;

fn fixture(name: &str) -> Vec<u8> {
    let fixtures = concat!(env!("CARGO_MANIFEST_DIR"), "/../../storage/content-mail/src/smime/fixtures");
    std::fs::read(format!("{fixtures}/{name}.eml")).unwrap()
}

async fn append(world: &World, message: Vec<u8>) -> String {
    let inbox = world.mail().mailboxes(ALICE).await.unwrap()[0].id;
    let summary = Arc::new(summarize(&message, &Limits::default()));
    let incoming = Incoming { staged: world.mail().blobs().stage(message.into()).await.unwrap(), summary };
    let at = MailboxRef { account: ALICE, mailbox: inbox };
    world.mail().append(at, &incoming, &Flags::none(), THAT_DAY).await.unwrap().email.to_string()
}

const PROPERTIES: [&str; 4] = ["smimeStatus", "smimeStatusAtDelivery", "smimeErrors", "smimeVerifiedAt"];

/// What is told of an email, by [`PROPERTIES`].
async fn told(world: &World, id: &str) -> Vec<Value> {
    let get = json!({"accountId": ALICE.to_string(), "ids": [id], "properties": PROPERTIES});
    let mut told = world.told("Email/get", get).await;
    PROPERTIES.into_iter().map(|name| told["list"][0][name].take()).collect()
}

#[tokio::test]
async fn signatures_are_told_and_asked_for() {
    let world = World::new(1).await;
    let verified = append(&world, fixture("opaque")).await;
    let expired = append(&world, fixture("for-a-day")).await;
    let changed = append(&world, fixture("changed")).await;
    let encrypted = append(&world, fixture("encrypted")).await;
    let plain = append(&world, b"From: a@b\r\n\r\nhello\r\n".to_vec()).await;

    let now = json!("2027-01-15T08:00:00Z");
    let good = json!("signed/verified");
    let bad = json!("signed/failed");
    assert_eq!(told(&world, &verified).await, [good.clone(), good.clone(), Value::Null, now.clone()]);
    let why = json!(["The certificate is not valid at that time"]);
    assert_eq!(told(&world, &expired).await, [bad.clone(), good, why, now.clone()]);
    let why = json!(["The content was changed after it was signed"]);
    assert_eq!(told(&world, &changed).await, [bad.clone(), bad, why, now.clone()]);
    let unknown = json!("unknown");
    assert_eq!(told(&world, &encrypted).await, [unknown.clone(), unknown, Value::Null, now]);
    assert_eq!(told(&world, &plain).await, [Value::Null, Value::Null, Value::Null, Value::Null]);

    let all = [&verified, &expired, &changed, &encrypted, &plain];
    for (filter, expected) in [
        (json!({"hasSmime": true}), &all[..4]),
        (json!({"hasSmime": false}), &all[4..]),
        (json!({"hasVerifiedSmime": true}), &all[..1]),
        (json!({"hasVerifiedSmime": false}), &all[1..]),
        (json!({"hasVerifiedSmimeAtDelivery": true}), &all[..2]),
        (json!({"hasVerifiedSmimeAtDelivery": true, "hasVerifiedSmime": false}), &all[1..2]),
        (json!({"operator": "NOT", "conditions": [{"hasSmime": true}]}), &all[4..]),
    ] {
        let told = world.told("Email/query", json!({"accountId": ALICE.to_string(), "filter": filter})).await;
        let (mut found, mut expected) = (ids(&told["ids"]), expected.to_vec());
        found.sort();
        expected.sort();
        assert_eq!(found.iter().collect::<Vec<_>>(), expected, "{filter}");
    }
}

#[tokio::test]
async fn who_does_not_use_the_capability_is_not_told() {
    let world = World::new(1).await.using(&["core", "mail"]);
    let get = json!({"accountId": ALICE.to_string(), "ids": [], "properties": ["smimeStatus"]});
    assert_eq!(world.call("Email/get", get).await.unwrap_err(), "invalidArguments");
    let query = json!({"accountId": ALICE.to_string(), "filter": {"hasSmime": true}});
    assert_eq!(world.call("Email/query", query).await.unwrap_err(), "unsupportedFilter");
}
