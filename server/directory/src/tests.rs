//! Logins over a store in memory.

use super::*;
use accounts::oauth::{Exchange, NewClient, NewGrant, Scope};
use accounts::{DomainSettings, HashCost, Kind, NewAccount};
use runtime::{Clock, ManualClock, SeededRng, Timestamp};

const HERE: &str = "192.0.2.1";

/// What the device shows that has read that.
fn code(uri: &Secret, now: Timestamp) -> String {
    let secret = uri.expose().split("secret=").nth(1).and_then(|rest| rest.split('&').next()).unwrap();
    accounts::testing::code(secret, now.millis())
}

struct Fixture {
    directory: Directory,
    clock: Arc<ManualClock>,
    alice: AccountId,
    db: kv::Database,
}

impl Fixture {
    async fn new(options: Options) -> Self {
        let clock = Arc::new(ManualClock::new(Timestamp::from_secs(1_700_000_000)));
        let rng: SharedRng = Arc::new(SeededRng::new(1));
        let settings = accounts::Options {
            default_domain: Some("example.test".into()),
            cost: HashCost::CHEAP,
            ..accounts::Options::default()
        };
        let feed = Arc::new(changes::LocalFeed::new());
        let db = kv::memory::database();
        let accounts = Accounts::new(db.clone(), clock.clone(), rng.clone(), settings);
        let accounts = accounts.telling(feed.clone());
        accounts.create_domain("example.test", DomainSettings::default()).await.unwrap();
        let new = NewAccount::new(Kind::Person, "alice@example.test");
        let alice = accounts.create_account(&new).await.unwrap();
        accounts.set_password(alice, &Secret::new("secret")).await.unwrap();
        let directory = Directory::new(accounts, feed, clock.clone(), &rng, options).unwrap();
        Fixture { directory, clock, alice, db }
    }

    async fn admitted(&self, login: &str, password: &str, from: &str) -> Result<Admitted, AuthFailure> {
        let (password, remote) = (&Secret::new(password), from.parse().unwrap());
        self.directory.authenticate(AuthRequest { mechanism: "PLAIN", login, password, remote }).await
    }

    async fn login(&self, login: &str, password: &str, from: &str) -> Result<Identity, AuthFailure> {
        self.admitted(login, password, from).await.map(|admitted| admitted.identity)
    }

    /// Lets the store be of the newest level.
    async fn raise(&self) {
        use schema::{Key, Record, keys::node::FeatureLevelKey, level, records::node::FeatureLevel};
        let raised = self.db.transact("test", |txn| async move {
            let row = FeatureLevel { level: level::LAST, raised: 1 };
            txn.set(&FeatureLevelKey.encode(), &row.to_bytes());
            Ok::<_, kv::Error>(())
        });
        raised.await.unwrap();
    }

    async fn person(&self, password: &str) -> Result<Entry, AuthFailure> {
        let (login, password, remote) = ("alice", &Secret::new(password), HERE.parse().unwrap());
        self.directory.person(AuthRequest { mechanism: "OAUTH", login, password, remote }).await
    }

    async fn token(&self) -> Secret {
        let accounts = &self.directory.accounts;
        let new = NewGrant {
            account: self.alice,
            credential: accounts.login("alice").await.unwrap().unwrap().credentials[0].version,
            client: accounts.register_client(&NewClient::default()).await.unwrap().client.id,
            scope: Scope::default(),
            redirect_uri: "a:/".into(),
            challenge: [0; 32],
            nonce: String::new(),
            second: false,
        };
        let code = &accounts.allow(&new).await.unwrap().unwrap();
        let (client, redirect_uri) = (&new.client, "a:/");
        let shown = Exchange { code, client, redirect_uri, challenge: [0; 32], refreshes: false };
        accounts.exchange(shown).await.unwrap().unwrap().access
    }

    async fn bearer(&self, token: &str, from: &str) -> Result<Bearer, AuthFailure> {
        let (token, remote) = (&Secret::new(token), from.parse().unwrap());
        self.directory.bearer(TokenShown { token, login: None, remote }).await
    }

    async fn fail(&self, login: &str, from: &str) -> AuthFailure {
        self.login(login, "wrong", from).await.unwrap_err()
    }
}

#[tokio::test]
async fn the_right_password_logs_in() {
    let fixture = Fixture::new(Options::default()).await;
    for login in ["alice", "Alice@Example.test"] {
        let identity = fixture.login(login, "secret", HERE).await.unwrap();
        assert_eq!((identity.account, identity.address.as_str()), (fixture.alice, "alice@example.test"));
    }
    assert_eq!(fixture.fail("alice", HERE).await, AuthFailure::Invalid);
    assert_eq!(fixture.fail("bob", HERE).await, AuthFailure::Invalid);
    let long = "x".repeat(PASSWORD_MAX + 1);
    assert_eq!(fixture.login("alice", &long, HERE).await, Err(AuthFailure::Invalid));
}

#[tokio::test]
async fn a_second_login_is_not_hashed_again() {
    let fixture = Fixture::new(Options::default()).await;
    fixture.login("alice", "secret", HERE).await.unwrap();
    let hashed = fixture.directory.pool.verified();
    for _ in 0..5 {
        fixture.login("alice", "secret", HERE).await.unwrap();
    }
    assert_eq!(fixture.directory.pool.verified(), hashed);
    fixture.fail("alice", HERE).await;
    assert_eq!(fixture.directory.pool.verified(), hashed + 1);
}

#[tokio::test]
async fn of_many_who_come_at_once_with_one_password_one_is_hashed() {
    let fixture = Fixture::new(Options { hashers: 1, ..Options::default() }).await;
    let logins = |password, n: usize| {
        futures::future::join_all((0..n).map(|_| fixture.login("alice", password, HERE)).collect::<Vec<_>>())
    };
    let (right, wrong) = futures::future::join(logins("secret", 15), logins("wrong", 5)).await;
    assert!(right.iter().all(Result::is_ok));
    assert!(wrong.iter().all(|login| *login == Err(AuthFailure::Invalid)));
    assert_eq!(fixture.directory.pool.verified(), 1 + 5, "who is wrong is hashed each time");
}

#[tokio::test]
async fn a_new_password_is_in_force_at_once() {
    let fixture = Fixture::new(Options::default()).await;
    fixture.login("alice", "secret", HERE).await.unwrap();
    let accounts = &fixture.directory.accounts;
    accounts.set_password(fixture.alice, &Secret::new("other")).await.unwrap();
    assert_eq!(fixture.login("alice", "secret", HERE).await, Err(AuthFailure::Invalid));
    fixture.login("alice", "other", HERE).await.unwrap();
    accounts.set_password(fixture.alice, &Secret::new("secret")).await.unwrap();
    assert_eq!(fixture.login("alice", "other", HERE).await, Err(AuthFailure::Invalid));
    fixture.login("alice", "secret", HERE).await.unwrap();
}

#[tokio::test]
async fn what_another_has_verified_is_not_hashed_again() {
    let fixture = Fixture::new(Options::default()).await;
    let Fixture { directory, clock, db, .. } = &fixture;
    let (rng, feed) = (Arc::new(SeededRng::new(2)) as SharedRng, Arc::new(changes::LocalFeed::new()));
    let other = Directory::new(directory.accounts.clone(), feed, clock.clone(), &rng, Options::default());
    let (clock, db) = (clock.clone(), db.clone());
    let other = Fixture { directory: other.unwrap(), clock, alice: fixture.alice, db };
    [&fixture, &other].iter().for_each(|one| one.directory.share([7; 32]));
    fixture.login("alice", "secret", HERE).await.unwrap();
    other.directory.adopt(directory.remembered());
    other.login("alice", "secret", HERE).await.unwrap();
    assert_eq!(other.directory.pool.verified(), 0);
    assert_eq!(other.fail("alice", HERE).await, AuthFailure::Invalid);
    directory.accounts.set_password(fixture.alice, &Secret::new("other")).await.unwrap();
    assert_eq!(other.fail("alice", HERE).await, AuthFailure::Invalid);
    assert_eq!(other.login("alice", "secret", HERE).await, Err(AuthFailure::Invalid));
}

#[tokio::test]
async fn a_disabled_account_is_told_only_to_its_user() {
    let fixture = Fixture::new(Options::default()).await;
    fixture.login("alice", "secret", HERE).await.unwrap();
    fixture.directory.accounts.set_enabled(fixture.alice, false).await.unwrap();
    assert_eq!(fixture.login("alice", "secret", HERE).await, Err(AuthFailure::Disabled));
    assert_eq!(fixture.fail("alice", HERE).await, AuthFailure::Invalid);
}

#[tokio::test]
async fn who_is_logged_in_may_stay_until_the_account_is_disabled_or_gone() {
    let fixture = Fixture::new(Options::default()).await;
    let accounts = &fixture.directory.accounts;
    let proof = fixture.admitted("alice", "secret", HERE).await.unwrap().proof;
    let mut revoked = fixture.directory.revoked(fixture.alice, proof);
    assert!(futures::poll!(&mut revoked).is_pending());
    let bob = accounts.create_account(&NewAccount::new(Kind::Person, "bob@example.test")).await.unwrap();
    accounts.set_enabled(bob, false).await.unwrap();
    assert!(futures::poll!(&mut revoked).is_pending());
    accounts.set_enabled(fixture.alice, false).await.unwrap();
    revoked.await;
    // Also if that was so when it was asked.
    fixture.directory.revoked(fixture.alice, proof).await;
    accounts.set_enabled(fixture.alice, true).await.unwrap();
    let mut revoked = fixture.directory.revoked(fixture.alice, proof);
    assert!(futures::poll!(&mut revoked).is_pending());
    accounts.delete_account(fixture.alice).await.unwrap();
    revoked.await;
}

#[tokio::test]
async fn who_is_logged_in_may_stay_until_what_was_shown_is_good_no_more() {
    let fixture = Fixture::new(Options::default()).await;
    let accounts = &fixture.directory.accounts;
    let token = fixture.token().await;
    let bearer = fixture.bearer(token.expose(), HERE).await.unwrap();
    let by_password = fixture.admitted("alice", "secret", HERE).await.unwrap().proof;
    let mut first = fixture.directory.revoked(fixture.alice, Proof::Token(bearer.grant));
    let mut second = fixture.directory.revoked(fixture.alice, by_password);
    assert!(futures::poll!(&mut first).is_pending() && futures::poll!(&mut second).is_pending());
    accounts.take_back(fixture.alice, bearer.grant).await.unwrap();
    first.await;
    assert!(futures::poll!(&mut second).is_pending(), "of no concern to who has come by the password");
    accounts.set_password(fixture.alice, &Secret::new("other")).await.unwrap();
    second.await;
}

#[tokio::test]
async fn an_application_has_its_own_password_that_costs_no_hashing_and_opens_no_page() {
    let per_login = Allowance { burst: 1, interval: Duration::from_secs(1_000) };
    let fixture = Fixture::new(Options { per_login, ..Options::default() }).await;
    fixture.raise().await;
    let accounts = &fixture.directory.accounts;
    let (phone, secret) = accounts.add_application(fixture.alice, "phone").await.unwrap();
    let hashed = fixture.directory.pool.verified();
    let admitted = fixture.admitted("alice", secret.expose(), HERE).await.unwrap();
    assert_eq!(admitted.identity.account, fixture.alice);
    assert_eq!(fixture.directory.pool.verified(), hashed);
    fixture.login("alice", "secret", HERE).await.unwrap();
    assert_eq!(fixture.person(secret.expose()).await.unwrap_err(), AuthFailure::Invalid);
    assert!(matches!(fixture.person("secret").await, Ok(Entry::Person(_))));
    // Nobody locks it out by guessing.
    assert_eq!(fixture.fail("alice", HERE).await, AuthFailure::RateLimited);
    fixture.login("alice", secret.expose(), HERE).await.unwrap();
    let mut revoked = fixture.directory.revoked(fixture.alice, admitted.proof);
    assert!(futures::poll!(&mut revoked).is_pending());
    accounts.remove_application(fixture.alice, phone.number).await.unwrap();
    revoked.await;
    assert!(fixture.login("alice", secret.expose(), HERE).await.is_err());
    fixture.login("alice", "secret", HERE).await.unwrap();
}

/// Whoever has both comes in by the page; programs come in by what was made for them.
#[tokio::test]
async fn with_a_second_factor_the_password_alone_opens_nothing() {
    let per_address = Allowance { burst: 4, interval: Duration::from_secs(10) };
    let fixture = Fixture::new(Options { per_address, ..Options::default() }).await;
    fixture.raise().await;
    let accounts = &fixture.directory.accounts;
    let before = fixture.admitted("alice", "secret", HERE).await.unwrap();
    let mut revoked = fixture.directory.revoked(fixture.alice, before.proof);
    assert!(futures::poll!(&mut revoked).is_pending());
    let (_, phone) = accounts.add_application(fixture.alice, "phone").await.unwrap();
    let enrolled = accounts.enroll_second(fixture.alice).await.unwrap();
    fixture.login("alice", "secret", HERE).await.unwrap();
    assert!(accounts.confirm_second(fixture.alice, &code(&enrolled.uri, fixture.clock.now())).await.unwrap());
    revoked.await;
    let hashed = fixture.directory.pool.verified();
    assert_eq!(fixture.login("alice", "secret", HERE).await, Err(AuthFailure::Invalid));
    assert_eq!(fixture.fail("alice", HERE).await, AuthFailure::Invalid);
    assert_eq!(fixture.directory.pool.verified(), hashed + 2, "it takes as long as before");
    fixture.login("alice", phone.expose(), HERE).await.unwrap();
    let Entry::Code(word) = fixture.person("secret").await.unwrap() else { panic!("not asked") };
    let here = HERE.parse().unwrap();
    let enter = |code: String| {
        let (directory, word) = (&fixture.directory, &word);
        async move { directory.code(word, &code, here).await }
    };
    assert_eq!(enter("000000".into()).await, Ok(Entered::Wrong));
    assert_eq!(enter("000000".into()).await, Ok(Entered::Wrong));
    let paper = enrolled.recovery[0].expose().to_owned();
    assert_eq!(enter(paper.clone()).await, Err(AuthFailure::RateLimited), "wrong codes count as logins");
    fixture.clock.advance(Duration::from_secs(10));
    assert!(
        matches!(enter(paper).await, Ok(Entered::Yes(person)) if person.identity.account == fixture.alice)
    );
}

#[tokio::test]
async fn tokens_that_nobody_was_given_count_and_lock_nobody_out_who_has_one() {
    let per_address = Allowance { burst: 3, interval: Duration::from_secs(10) };
    let fixture = Fixture::new(Options { per_address, ..Options::default() }).await;
    let token = fixture.token().await;
    let guess = format!("gwa_{}", "A".repeat(59));
    for _ in 0..3 {
        assert_eq!(fixture.bearer(&guess, HERE).await, Err(AuthFailure::Invalid));
    }
    assert_eq!(fixture.bearer(&guess, HERE).await, Err(AuthFailure::RateLimited));
    assert_eq!(fixture.login("alice", "secret", HERE).await, Err(AuthFailure::RateLimited));
    fixture.bearer(token.expose(), HERE).await.unwrap();
    // Whoever shows what was good once is not guessing.
    fixture.clock.advance(Duration::from_secs(3_700));
    for _ in 0..10 {
        assert_eq!(fixture.bearer(token.expose(), HERE).await, Err(AuthFailure::Invalid));
    }
    fixture.login("alice", "secret", HERE).await.unwrap();
}

#[tokio::test]
async fn an_unknown_user_costs_as_much() {
    let fixture = Fixture::new(Options::default()).await;
    let before = fixture.directory.pool.verified();
    fixture.fail("nobody", HERE).await;
    fixture.fail("not an address@", HERE).await;
    assert_eq!(fixture.directory.pool.verified(), before + 2);
}

#[tokio::test]
async fn an_address_that_fails_too_often_is_refused() {
    let per_address = Allowance { burst: 3, interval: Duration::from_secs(10) };
    let fixture = Fixture::new(Options { per_address, ..Options::default() }).await;
    for user in ["a", "b", "c"] {
        assert_eq!(fixture.fail(user, "2001:db8::1").await, AuthFailure::Invalid);
    }
    let same_network = "2001:db8::ffff:1";
    assert_eq!(fixture.login("alice", "secret", same_network).await, Err(AuthFailure::RateLimited));
    fixture.login("alice", "secret", "2001:db8:0:1::1").await.unwrap();
    fixture.clock.advance(Duration::from_secs(10));
    fixture.login("alice", "secret", same_network).await.unwrap();
}

#[tokio::test]
async fn guessing_does_not_lock_a_user_out_whose_password_is_known() {
    let per_login = Allowance { burst: 2, interval: Duration::from_secs(10) };
    let fixture = Fixture::new(Options { per_login, ..Options::default() }).await;
    fixture.login("alice", "secret", HERE).await.unwrap();
    for n in 0..2 {
        assert_eq!(fixture.fail("alice", &format!("198.51.100.{n}")).await, AuthFailure::Invalid);
    }
    let hashed = fixture.directory.pool.verified();
    assert_eq!(fixture.fail("ALICE", "198.51.100.9").await, AuthFailure::RateLimited);
    assert_eq!(fixture.directory.pool.verified(), hashed, "a refusal costs nothing");
    fixture.login("alice", "secret", HERE).await.unwrap();
}

#[test]
fn an_ipv4_address_is_the_same_when_mapped() {
    let parse = |text: &str| network(text.parse().unwrap());
    assert_eq!(parse("::ffff:192.0.2.1"), parse("192.0.2.1"));
    assert_ne!(parse("192.0.2.1"), parse("192.0.2.2"));
    assert_eq!(parse("2001:db8::1"), parse("2001:db8::2"));
}
