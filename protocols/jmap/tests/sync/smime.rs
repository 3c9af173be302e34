//! Emails that are signed (RFC 9219); the messages are those that signatures are tested with.

use std::sync::Arc;
use std::time::Duration;

use content_mail::{Limits, summarize};
use godwit_jmap::Trust;
use mail::{Incoming, MailboxRef};
use runtime::Timestamp;
use schema::Flags;
use serde_json::{Value, json};

use crate::world::{ALICE, SIGNERS, World, ids};

/// The day on which the messages were signed, and on which one of the certificates was valid.
const THAT_DAY: i64 = 1_795_321_800;

pub(crate) fn fixture(name: &str) -> Vec<u8> {
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

/// Emails that were updated since a state, and the state now.
async fn updated(world: &World, since: &Value) -> (Vec<String>, Value) {
    let changes = json!({"accountId": ALICE.to_string(), "sinceState": since});
    let mut told = world.told("Email/changes", changes).await;
    assert_eq!((&told["created"], &told["destroyed"]), (&json!([]), &json!([])));
    (ids(&told["updated"]), told["newState"].take())
}

async fn state(world: &World) -> Value {
    world.told("Email/get", json!({"accountId": ALICE.to_string(), "ids": []})).await["state"].take()
}

async fn signed(world: &World) -> Vec<String> {
    let query = json!({"accountId": ALICE.to_string(), "filter": {"hasVerifiedSmime": true}});
    ids(&world.told("Email/query", query).await["ids"])
}

/// The certificate ends; nobody asks for the signature meanwhile, and then the log tells.
#[tokio::test]
async fn changes_tell_what_a_signature_is_worth_no_longer() {
    let world = World::new(2).await;
    world.clock.step(Timestamp::from_secs(THAT_DAY));
    let lasting = append(&world, fixture("opaque")).await;
    let brief = append(&world, fixture("for-a-day")).await;
    let good = json!("signed/verified");
    for id in [&lasting, &brief] {
        assert_eq!(told(&world, id).await[..2], [good.clone(), good.clone()]);
    }
    let begin = state(&world).await;
    world.renew(Trust::from_pem(SIGNERS)).await;
    assert_eq!(updated(&world, &begin).await.0, [""; 0]);

    world.clock.advance(Duration::from_secs(2 * 86_400));
    assert_eq!(updated(&world, &begin).await.0, [""; 0]);
    world.renew(Trust::from_pem(SIGNERS)).await;
    let (changed, ended) = updated(&world, &begin).await;
    assert_eq!(changed, std::slice::from_ref(&brief), "RFC 9219 §4.3");
    assert_eq!(told(&world, &brief).await[..2], [json!("signed/failed"), good.clone()]);
    // When it was verified is another time; that is told to who asks, and to nobody else (RFC 9219 §4.3).
    let again = told(&world, &lasting).await;
    assert_eq!(again, [good.clone(), good.clone(), Value::Null, json!("2026-11-24T04:30:00Z")]);
    assert_eq!(updated(&world, &ended).await.0, [""; 0]);
    world.clock.advance(Duration::from_secs(31 * 86_400));
    world.renew(Trust::from_pem(SIGNERS)).await;
    assert_eq!(updated(&world, &ended).await.0, [""; 0]);

    // An authority that is trusted no longer vouches for nothing but the past (RFC 9219 §4.1).
    world.renew(Trust::default()).await;
    let (changed, fallen) = updated(&world, &ended).await;
    assert_eq!(changed, std::slice::from_ref(&lasting), "of the other it is said that it ended, as before");
    assert_eq!(told(&world, &lasting).await[..2], [json!("signed/failed"), good.clone()]);
    world.renew(Trust::from_pem(SIGNERS)).await;
    assert_eq!(updated(&world, &fallen).await.0, std::slice::from_ref(&lasting));
    assert_eq!(told(&world, &lasting).await[..2], [good.clone(), good]);
}

/// Who asks first finds it out, and others hear of it.
#[tokio::test]
async fn who_asks_finds_out_and_others_hear_of_it() {
    let world = World::new(3).await;
    world.clock.step(Timestamp::from_secs(THAT_DAY));
    let brief = append(&world, fixture("for-a-day")).await;
    assert_eq!(signed(&world).await, std::slice::from_ref(&brief));
    let begin = state(&world).await;
    world.clock.advance(Duration::from_secs(2 * 86_400));
    assert_eq!(signed(&world).await, [""; 0]);
    assert_eq!(updated(&world, &begin).await.0, std::slice::from_ref(&brief));
    let query = json!({"accountId": ALICE.to_string(), "filter": {"hasVerifiedSmime": true}, "sinceQueryState": begin});
    let told = world.told("Email/queryChanges", query).await;
    assert_eq!(ids(&told["removed"]), [brief]);
}

/// A blob is looked at whenever it is asked, and nothing is kept of it.
#[tokio::test]
async fn what_is_no_email_was_not_delivered() {
    let world = World::new(4).await;
    let id = append(&world, fixture("opaque")).await;
    let begin = state(&world).await;
    let blob = format!("G{id}");
    let parse = json!({"accountId": ALICE.to_string(), "blobIds": [blob], "properties": PROPERTIES});
    let told = world.told("Email/parse", parse).await;
    let parsed = PROPERTIES.map(|name| told["parsed"][&blob][name].clone());
    assert_eq!(parsed, [json!("signed/verified"), Value::Null, Value::Null, json!("2027-01-15T08:00:00Z")]);
    assert_eq!(state(&world).await, begin);
}
