//! Grants from their code to their end.

use super::*;
use crate::tests::directory_with;
use crate::{Accounts, HashCost, Options, Person, Proof, Secret};
use changes::{Feed, LocalFeed};
use futures::FutureExt;
use runtime::{ManualClock, SeededRng, Timestamp};
use schema::keys::account::GrantKey;
use schema::{AccountId, GrantId, Key};
use std::sync::Arc;
use std::time::Duration;

const BACK: &str = "https://app.example/back";

struct World {
    accounts: Accounts,
    clock: Arc<ManualClock>,
    feed: LocalFeed,
    alice: AccountId,
    client: Client,
}

impl World {
    async fn new() -> World {
        let options = Options { cost: HashCost::CHEAP, ..Options::default() };
        let db = directory_with(options.clone()).await.db().clone();
        let clock = Arc::new(ManualClock::new(Timestamp::from_secs(1_700_000_000)));
        let feed = LocalFeed::new();
        let accounts = Accounts::new(db, clock.clone(), Arc::new(SeededRng::new(2)), options);
        let accounts = accounts.telling(Arc::new(feed.clone()));
        let alice = accounts.person("alice@example.test").await;
        accounts.set_password(alice, &Secret::new("secret")).await.unwrap();
        let client = accounts.register_client(&says("none")).await.unwrap().client;
        World { accounts, clock, feed, alice, client }
    }

    async fn grant(&self) -> NewGrant {
        NewGrant {
            account: self.alice,
            credential: self.accounts.login("alice@example.test").await.unwrap().unwrap().credentials[0]
                .version,
            client: self.client.id.clone(),
            scope: Scope::parse("a b"),
            redirect_uri: BACK.into(),
            challenge: [7; 32],
            nonce: "n".into(),
            second: true,
        }
    }

    async fn person(&self) -> Person {
        let identity = self.accounts.identity(self.alice).await.unwrap().unwrap();
        Person { identity, credential: self.grant().await.credential, second: false }
    }

    async fn code(&self) -> Secret {
        self.accounts.allow(&self.grant().await).await.unwrap().unwrap()
    }

    async fn exchange(&self, code: &Secret) -> Result<Issued, Refusal> {
        let shown = Exchange {
            code,
            client: &self.client.id,
            redirect_uri: BACK,
            challenge: [7; 32],
            refreshes: true,
        };
        self.accounts.exchange(shown).await.unwrap()
    }

    async fn issued(&self) -> Issued {
        self.exchange(&self.code().await).await.unwrap()
    }

    async fn refresh(&self, token: &Secret) -> Result<Issued, Refusal> {
        self.accounts.refresh(token, &self.client.id, None).await.unwrap()
    }

    async fn is_good(&self, token: &Secret) -> bool {
        self.accounts.bearer(token, None).await.unwrap().good().is_some()
    }

    async fn count(&self) -> usize {
        self.accounts.grants(self.alice).await.unwrap().len()
    }
}

fn says(method: &str) -> NewClient {
    NewClient {
        name: "App".into(),
        redirect_uris: vec![BACK.into()],
        grant_types: vec!["authorization_code".into(), "refresh_token".into()],
        method: method.into(),
        ..NewClient::default()
    }
}

#[tokio::test]
async fn a_code_becomes_tokens_that_open_the_account() {
    let w = World::new().await;
    let issued = w.issued().await;
    assert_eq!((issued.seconds, issued.scope.to_string()), (3600, "a b".into()));
    assert_eq!((issued.nonce.as_deref(), issued.second), (Some("n"), true));
    let bearer = w.accounts.bearer(&issued.access, None).await.unwrap().good().unwrap();
    assert_eq!(bearer.identity, w.accounts.identity(w.alice).await.unwrap().unwrap());
    assert_eq!((bearer.scope, bearer.expires), (Scope::parse("a b"), 1_700_003_600_000));
    assert!(w.accounts.still(w.alice, Proof::Token(bearer.grant)).await.unwrap().is_some());
    let refresh = issued.refresh.unwrap();
    assert!(!w.is_good(&refresh).await, "a refresh token opens nothing");
    let shown = w.accounts.inspect(&refresh).await.unwrap().unwrap();
    assert_eq!((shown.client, shown.access), (w.client.id.clone(), false));
    assert_eq!(w.accounts.grants(w.alice).await.unwrap()[0].name, "App");
    w.clock.advance(Duration::from_secs(3600));
    assert!(!w.is_good(&issued.access).await);
    assert!(w.accounts.inspect(&issued.access).await.unwrap().is_none());
}

#[tokio::test]
async fn a_code_is_good_once_and_used_twice_it_ends_what_came_of_it() {
    let w = World::new().await;
    let code = w.code().await;
    let issued = w.exchange(&code).await.unwrap();
    assert!(w.is_good(&issued.access).await);
    assert_eq!(w.exchange(&code).await.unwrap_err(), Refusal::Grant);
    assert!(!w.is_good(&issued.access).await);
    assert_eq!(w.refresh(&issued.refresh.unwrap()).await.unwrap_err(), Refusal::Grant);
    let late = w.code().await;
    w.clock.advance(Duration::from_secs(60));
    assert_eq!(w.exchange(&late).await.unwrap_err(), Refusal::Grant);
}

#[tokio::test]
async fn a_code_is_for_one_client_one_place_and_one_verifier() {
    let w = World::new().await;
    let other = w.accounts.register_client(&says("none")).await.unwrap().client;
    for (client, redirect_uri, challenge) in [
        (other.id.as_str(), BACK, [7; 32]),
        (&w.client.id, "https://app.example/back/", [7; 32]),
        (&w.client.id, BACK, [8; 32]),
    ] {
        let code = w.code().await;
        let shown = Exchange { code: &code, client, redirect_uri, challenge, refreshes: true };
        assert_eq!(w.accounts.exchange(shown).await.unwrap().unwrap_err(), Refusal::Grant);
        assert_eq!(w.exchange(&code).await.unwrap_err(), Refusal::Grant, "it is burnt");
    }
    for bad in ["", "gwc_", "gwc_AAAA", "secret"] {
        assert_eq!(w.exchange(&Secret::new(bad)).await.unwrap_err(), Refusal::Grant);
    }
    // A guess at a grant that is there does nothing to it.
    let code = w.code().await;
    let guess = format!("{}{}", &code.expose()[..20], "A".repeat(code.expose().len() - 20));
    assert_eq!(w.exchange(&Secret::new(&guess)).await.unwrap_err(), Refusal::Grant);
    assert!(w.exchange(&code).await.is_ok());
}

#[tokio::test]
async fn a_refresh_token_rotates_and_shown_again_ends_the_grant() {
    let w = World::new().await;
    let first = w.issued().await;
    let one = first.refresh.unwrap();
    let second = w.refresh(&one).await.unwrap();
    // OpenID Connect Core §12.2
    assert_eq!((second.authenticated, second.second, &second.nonce), (first.authenticated, true, &None));
    let two = second.refresh.unwrap();
    assert!(w.is_good(&first.access).await && w.is_good(&second.access).await);
    let mut standing = w.feed.standing(w.alice);
    assert!(standing.changed().now_or_never().is_some(), "it begins with a look");
    assert_eq!(w.refresh(&one).await.unwrap_err(), Refusal::Grant);
    assert!(standing.changed().now_or_never().is_some(), "who uses it is told");
    assert!(!w.is_good(&first.access).await && !w.is_good(&second.access).await);
    assert_eq!(w.refresh(&two).await.unwrap_err(), Refusal::Grant);
    // Of another client it is nothing, and does nothing.
    let refresh = w.issued().await.refresh.unwrap();
    let stolen = w.accounts.refresh(&refresh, "other", None).await.unwrap();
    assert_eq!(stolen.unwrap_err(), Refusal::Grant);
    assert!(w.refresh(&refresh).await.is_ok());
}

#[tokio::test]
async fn a_refresh_asks_for_no_more_than_was_granted() {
    let w = World::new().await;
    let refresh = w.issued().await.refresh.unwrap();
    let ask = async |token: &Secret, scope: &str| {
        w.accounts.refresh(token, &w.client.id, Some(&Scope::parse(scope))).await.unwrap()
    };
    assert_eq!(ask(&refresh, "a c").await.unwrap_err(), Refusal::Scope);
    let narrow = ask(&refresh, "b").await.unwrap();
    assert_eq!(
        w.accounts.bearer(&narrow.access, None).await.unwrap().good().unwrap().scope,
        Scope::parse("b")
    );
    let wide = w.refresh(&narrow.refresh.unwrap()).await.unwrap();
    assert_eq!(wide.scope, Scope::parse("a b"));
}

#[tokio::test]
async fn whatever_is_revoked_ends_the_grant() {
    let w = World::new().await;
    for by_access in [true, false] {
        let issued = w.issued().await;
        let (access, refresh) = (issued.access, issued.refresh.unwrap());
        let token = if by_access { &access } else { &refresh };
        assert!(!w.accounts.revoke(token, "other").await.unwrap());
        assert!(w.is_good(&access).await);
        assert!(w.accounts.revoke(token, &w.client.id).await.unwrap());
        assert!(!w.is_good(&access).await);
        assert!(!w.accounts.revoke(token, &w.client.id).await.unwrap());
    }
    let access = w.issued().await.access;
    let id = w.accounts.grants(w.alice).await.unwrap()[0].id;
    assert!(w.accounts.take_back(w.alice, id).await.unwrap());
    assert!(!w.is_good(&access).await && !w.accounts.take_back(w.alice, id).await.unwrap());
}

#[tokio::test]
async fn a_disabled_account_and_another_password_end_all() {
    let w = World::new().await;
    let issued = w.issued().await;
    let grant = w.accounts.bearer(&issued.access, None).await.unwrap().good().unwrap().grant;
    w.accounts.set_enabled(w.alice, false).await.unwrap();
    assert!(!w.is_good(&issued.access).await);
    w.accounts.set_enabled(w.alice, true).await.unwrap();
    assert!(w.is_good(&issued.access).await);
    let (new, code) = (w.grant().await, w.code().await);
    w.accounts.set_password(w.alice, &Secret::new("secret")).await.unwrap();
    assert!(!w.is_good(&issued.access).await);
    assert!(w.accounts.still(w.alice, Proof::Token(grant)).await.unwrap().is_none());
    assert_eq!(w.refresh(&issued.refresh.unwrap()).await.unwrap_err(), Refusal::Grant);
    assert_eq!(w.exchange(&code).await.unwrap_err(), Refusal::Grant);
    assert!(w.accounts.allow(&new).await.unwrap().is_none(), "the password is not that any more");
    assert_eq!(w.count().await, 0);
    let issued = w.issued().await;
    w.accounts.delete_account(w.alice).await.unwrap();
    assert!(!w.is_good(&issued.access).await);
    assert_eq!(w.count().await, 0);
}

#[tokio::test]
async fn what_nobody_can_use_any_more_is_cleared() {
    let w = World::new().await;
    w.code().await;
    let refresh = w.issued().await.refresh.unwrap();
    assert_eq!(w.accounts.expire_grants(w.alice).await.unwrap(), 0);
    w.clock.advance(Duration::from_secs(61));
    assert_eq!(w.accounts.expire_grants(w.alice).await.unwrap(), 1);
    w.clock.advance(Duration::from_secs(80 * 86_400));
    let refresh = w.refresh(&refresh).await.unwrap().refresh.unwrap();
    w.clock.advance(Duration::from_secs(80 * 86_400));
    let refresh = w.refresh(&refresh).await.unwrap().refresh.unwrap();
    w.clock.advance(Duration::from_secs(90 * 86_400));
    assert_eq!(w.refresh(&refresh).await.unwrap_err(), Refusal::Grant);
    w.issued().await;
    w.accounts.set_password(w.alice, &Secret::new("other")).await.unwrap();
    assert_eq!(w.accounts.expire_grants(w.alice).await.unwrap(), 1);
}

#[tokio::test]
async fn an_account_has_so_many_grants_and_the_one_unused_for_longest_goes() {
    let w = World::new().await;
    let first = w.issued().await;
    w.clock.advance(Duration::from_secs(1));
    for _ in 1..GRANTS {
        w.issued().await;
    }
    assert!(w.is_good(&first.access).await);
    assert_eq!(w.count().await, GRANTS);
    w.issued().await;
    assert!(!w.is_good(&first.access).await);
    assert_eq!(w.count().await, GRANTS);
    // So are its tokens.
    let refresh = w.issued().await;
    let (oldest, mut refresh) = (refresh.access, refresh.refresh.unwrap());
    for _ in 0..10 {
        assert!(w.is_good(&oldest).await);
        refresh = w.refresh(&refresh).await.unwrap().refresh.unwrap();
    }
    assert!(!w.is_good(&oldest).await);
}

#[tokio::test]
async fn clients_that_nobody_uses_go() {
    let w = World::new().await;
    let secret = w.accounts.register_client(&says("client_secret_basic")).await.unwrap();
    let (client, secret) = (secret.client, secret.secret.unwrap());
    let found = w.accounts.client(&client.id).await.unwrap().unwrap();
    assert_eq!(found, client);
    assert!(found.proves(&secret) && !found.proves(&Secret::new("")) && !found.is_public());
    assert!(w.client.is_public() && !w.client.proves(&Secret::new("")));
    for unknown in ["", "x", "AAAAAAAAAAAAAAAAAAAAAA", &client.id[1..], &format!("{}=", client.id)] {
        assert!(w.accounts.client(unknown).await.unwrap().is_none(), "{unknown}");
    }
    w.code().await;
    w.clock.advance(Duration::from_secs(86_401));
    assert_eq!(w.accounts.expire_clients(10).await.unwrap(), 1);
    assert!(w.accounts.client(&client.id).await.unwrap().is_none());
    assert!(w.accounts.client(&w.client.id).await.unwrap().is_some());
    let gone = NewGrant { client: client.id, ..w.grant().await };
    assert!(w.accounts.allow(&gone).await.unwrap().is_none());
    // The oldest of those that wait makes room.
    let first = w.accounts.register_client(&says("none")).await.unwrap().client;
    w.clock.advance(Duration::from_secs(1));
    for _ in 1..WAITING_CLIENTS {
        w.accounts.register_client(&says("none")).await.unwrap();
    }
    assert!(w.accounts.client(&first.id).await.unwrap().is_some());
    w.accounts.register_client(&says("none")).await.unwrap();
    assert!(w.accounts.client(&first.id).await.unwrap().is_none());
}

#[tokio::test]
async fn secrets_are_not_in_the_store() {
    let w = World::new().await;
    let code = w.code().await;
    let issued = w.exchange(&code).await.unwrap();
    let rows = w.accounts.db().read("test", |txn| async move { txn.range(b"", b"\xff").collect().await });
    let rows: Vec<u8> = rows.await.unwrap().into_iter().flat_map(|(_, value)| value.to_vec()).collect();
    use base64::Engine;
    for token in [code, issued.access, issued.refresh.unwrap()] {
        let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(&token.expose()[4..]).unwrap();
        assert!(!rows.windows(16).any(|window| window == &bytes[12..28]));
    }
}

#[tokio::test]
async fn a_grant_for_no_client_is_found() {
    let w = World::new().await;
    let grant = GrantId(1);
    let key = GrantKey { account: w.alice, grant }.encode();
    let record = schema::records::oauth::Grant { client: "x".into(), ..Default::default() };
    let check = async |value: Vec<u8>| {
        let (key, value) = (&key, &value);
        let found = w.accounts.db().transact("test", |txn| async move {
            txn.set(key, value);
            crate::check_row_in(&txn, key, value).await
        });
        found.await.unwrap().findings
    };
    let found = check(schema::Record::to_bytes(&record)).await;
    assert_eq!(found[0].kind, findings::Kind::GrantStale);
    assert!(matches!(w.accounts.mend(&found[0], false).await.unwrap(), findings::Mended::Done(_)));
    assert_eq!(check(b"\x09".to_vec()).await[0].kind, findings::Kind::ForeignFormat);
    assert_eq!(check_row(b"Ox", b"").findings[0].kind, findings::Kind::UnknownKey);
}

/// RFC 8628
#[tokio::test]
async fn a_device_waits_for_its_users_word() {
    let w = World::new().await;
    let (accounts, id) = (&w.accounts, &w.client.id);
    let begin = async || accounts.begin_device(id, &Scope::parse("a")).await.unwrap().unwrap();
    let ask = async |device: &Device| accounts.ask_device(&device.device_code, id, true).await.unwrap();
    let alice = &w.person().await;
    let device = begin().await;
    assert!(matches!(ask(&device).await, Heard::Pending));
    assert!(matches!(ask(&device).await, Heard::SlowDown));
    w.clock.advance(Duration::from_secs(5));
    assert!(matches!(ask(&device).await, Heard::SlowDown), "10 s by now");
    w.clock.advance(Duration::from_secs(15));
    assert!(matches!(ask(&device).await, Heard::Pending));
    let question = accounts.question(&device.user_code.to_lowercase()).await.unwrap().unwrap();
    assert_eq!((&question.client, &question.user_code), (&w.client, &device.user_code));
    assert!(accounts.answer_device(&device.user_code, Some(alice)).await.unwrap());
    assert!(!accounts.answer_device(&device.user_code, None).await.unwrap(), "it was said already");
    assert!(accounts.question(&device.user_code).await.unwrap().is_none());
    let other = accounts.ask_device(&device.device_code, "other", true).await.unwrap();
    assert!(matches!(other, Heard::Unknown));
    let Heard::Issued(issued) = ask(&device).await else { panic!() };
    assert!(w.is_good(&issued.access).await);
    assert!(w.refresh(&issued.refresh.unwrap()).await.is_ok());
    assert!(matches!(ask(&device).await, Heard::Unknown), "once");
    let device = begin().await;
    assert!(accounts.answer_device(&device.user_code, None).await.unwrap());
    assert!(matches!(ask(&device).await, Heard::Denied));
    let device = begin().await;
    accounts.answer_device(&device.user_code, Some(alice)).await.unwrap();
    w.accounts.set_password(w.alice, &Secret::new("other")).await.unwrap();
    assert!(matches!(ask(&device).await, Heard::Denied));
    for bad in ["", "gwd_", "gwd_AAAA", device.user_code.as_str()] {
        let heard = accounts.ask_device(&Secret::new(bad), id, true).await.unwrap();
        assert!(matches!(heard, Heard::Unknown), "{bad}");
    }
}

#[tokio::test]
async fn devices_wait_for_ten_minutes_and_are_so_many() {
    let w = World::new().await;
    let begin = async || w.accounts.begin_device(&w.client.id, &Scope::default()).await.unwrap();
    let first = begin().await.unwrap();
    for _ in 1..DEVICES {
        assert!(begin().await.is_some());
    }
    assert!(begin().await.is_none());
    w.clock.advance(Duration::from_millis(DEVICE_TIME.unsigned_abs()));
    assert!(w.accounts.question(&first.user_code).await.unwrap().is_none());
    assert!(!w.accounts.answer_device(&first.user_code, None).await.unwrap());
    let heard = w.accounts.ask_device(&first.device_code, &w.client.id, true).await.unwrap();
    assert!(matches!(heard, Heard::Expired));
    assert!(begin().await.is_some(), "one has gone");
    assert!(begin().await.is_some(), "those that have waited too long make room");
    w.clock.advance(Duration::from_millis(DEVICE_TIME.unsigned_abs()));
    assert_eq!(w.accounts.expire_devices().await.unwrap(), 2);
}

#[tokio::test]
async fn a_token_is_of_whom_the_client_says() {
    let w = World::new().await;
    w.accounts.add_alias(w.alice, "a.smith@example.test").await.unwrap();
    w.accounts.person("bob@example.test").await;
    let access = w.issued().await.access;
    let by = async |login: &str| w.accounts.bearer(&access, Some(login)).await.unwrap();
    for login in ["alice@example.test", "Alice@Example.test", "a.smith@example.test"] {
        assert!(by(login).await.good().is_some(), "{login}");
    }
    for login in ["bob@example.test", "nobody@example.test", "", "alice@"] {
        assert_eq!(by(login).await, Looked::Over, "{login}");
    }
}

#[tokio::test]
async fn a_token_that_was_good_is_told_from_one_that_nobody_had() {
    let w = World::new().await;
    let access = w.issued().await.access;
    w.clock.advance(Duration::from_secs(3_601));
    let looked = async |token: &Secret| w.accounts.bearer(token, None).await.unwrap();
    assert_eq!(looked(&access).await, Looked::Over);
    for guess in ["", "gwa_", "secret", &format!("gwa_{}", "A".repeat(59))] {
        assert_eq!(looked(&Secret::new(guess)).await, Looked::Unknown, "{guess}");
    }
}
