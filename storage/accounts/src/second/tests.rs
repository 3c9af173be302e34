//! Codes from their device to the row.

use super::*;
use crate::tests::raise;
use crate::{DomainSettings, HashCost, NewAccount, Options, Proof};
use changes::{Feed, LocalFeed};
use futures::FutureExt;
use runtime::{ManualClock, SeededRng, Timestamp};
use std::sync::Arc;
use std::time::Duration;

struct World {
    accounts: Accounts,
    /// The same store on another node.
    elsewhere: Accounts,
    clock: Arc<ManualClock>,
    feed: LocalFeed,
    alice: AccountId,
}

impl World {
    async fn new() -> World {
        let clock = Arc::new(ManualClock::new(Timestamp::from_secs(1_700_000_000)));
        let (feed, db) = (LocalFeed::new(), kv::memory::database());
        let options = Options { cost: HashCost::CHEAP, ..Options::default() };
        let node =
            |seed| Accounts::new(db.clone(), clock.clone(), Arc::new(SeededRng::new(seed)), options.clone());
        let accounts = node(1).telling(Arc::new(feed.clone()));
        accounts.create_domain("example.test", DomainSettings::default()).await.unwrap();
        let alice =
            accounts.create_account(&NewAccount::new(Kind::Person, "alice@example.test")).await.unwrap();
        World { elsewhere: node(2), accounts, clock, feed, alice }
    }

    /// With a device that is set up.
    async fn enrolled() -> (World, Vec<u8>, Vec<Secret>) {
        let w = World::new().await;
        raise(&w.accounts).await;
        w.accounts.set_password(w.alice, &Secret::new("own")).await.unwrap();
        let Enrolled { uri, recovery } = w.accounts.enroll_second(w.alice).await.unwrap();
        let secret = uri.expose().split("secret=").nth(1).and_then(|rest| rest.split('&').next()).unwrap();
        let secret = BASE32_NOPAD.decode(secret.as_bytes()).unwrap();
        assert!(w.accounts.confirm_second(w.alice, &w.code(&secret)).await.unwrap());
        w.clock.advance(Duration::from_secs(60));
        (w, secret, recovery)
    }

    fn code(&self, secret: &[u8]) -> String {
        code_of(secret, self.accounts.now())
    }

    /// One that is wrong.
    fn wrong(&self, secret: &[u8]) -> String {
        let now = code::step(self.accounts.now());
        let good: Vec<_> = (now - 1..=now + 1).map(|step| code::code_at(secret, step)).collect();
        let mut codes = (0..4).map(|n: u32| format!("{n:06}"));
        codes.find(|code| good.iter().all(|one| one != code.as_bytes())).unwrap()
    }

    async fn version(&self) -> u64 {
        self.accounts.login("alice@example.test").await.unwrap().unwrap().credentials[0].version
    }

    async fn word(&self) -> Secret {
        self.accounts.begin_second(self.alice, self.version().await).await.unwrap().unwrap()
    }

    async fn enter(&self, word: &Secret, code: &str) -> Entered {
        self.accounts.enter_second(word, code).await.unwrap()
    }
}

#[tokio::test]
async fn it_is_in_force_once_the_device_has_shown_a_code() {
    let w = World::new().await;
    let enroll = async || w.accounts.enroll_second(w.alice).await;
    assert!(matches!(enroll().await, Err(Error::Level(1))), "an older node would let the password in");
    raise(&w.accounts).await;
    assert!(matches!(enroll().await, Err(Error::Invalid(_))), "no password");
    w.accounts.set_password(w.alice, &Secret::new("own")).await.unwrap();
    enroll().await.unwrap();
    let Enrolled { uri, recovery } = enroll().await.unwrap();
    assert_eq!(recovery.len(), RECOVERY_CODES);
    let uri = uri.expose();
    assert!(uri.starts_with("otpauth://totp/example.test:alice%40example.test?secret="), "{uri}");
    assert!(uri.ends_with("&issuer=example.test&algorithm=SHA1&digits=6&period=30"), "{uri}");
    let secret = uri.split("secret=").nth(1).and_then(|rest| rest.split('&').next()).unwrap();
    let secret = BASE32_NOPAD.decode(secret.as_bytes()).unwrap();
    // Until then nothing has changed.
    let version = w.version().await;
    let by_password = Proof::Password(version);
    assert!(w.accounts.begin_second(w.alice, version).await.unwrap().is_none(), "not asked for");
    assert!(w.accounts.still(w.alice, by_password).await.unwrap().is_some());
    assert!(!w.accounts.login("alice@example.test").await.unwrap().unwrap().second);
    assert!(!w.accounts.confirm_second(w.alice, &w.wrong(&secret)).await.unwrap());
    let mut standing = w.feed.standing(w.alice);
    standing.changed().await;
    assert!(w.accounts.confirm_second(w.alice, &w.code(&secret)).await.unwrap());
    assert!(standing.changed().now_or_never().is_some(), "who uses the account hears");
    assert_eq!(w.accounts.still(w.alice, by_password).await.unwrap(), None);
    assert!(w.accounts.login("alice@example.test").await.unwrap().unwrap().second);
    assert!(matches!(enroll().await, Err(Error::AlreadyExists(_))));
    let again = w.accounts.confirm_second(w.alice, &w.code(&secret)).await;
    assert!(matches!(again, Err(Error::NotFound(What::SecondFactor))));
    let state = w.accounts.second(w.alice).await.unwrap().unwrap();
    assert_eq!((state.since, state.recovery), (Some(w.accounts.now()), RECOVERY_CODES));
    assert!(w.accounts.remove_second(w.alice).await.unwrap());
    assert!(!w.accounts.remove_second(w.alice).await.unwrap());
    assert!(w.accounts.still(w.alice, by_password).await.unwrap().is_some());
}

#[tokio::test]
async fn a_code_is_good_once_on_all_nodes_together() {
    let (w, secret, _) = World::enrolled().await;
    let (one, other) = (w.word().await, w.word().await);
    let code = w.code(&secret);
    let (here, there) =
        futures::future::join(w.accounts.enter_second(&one, &code), w.elsewhere.enter_second(&other, &code))
            .await;
    let both = [here.unwrap(), there.unwrap()];
    let good = both.iter().filter(|entered| matches!(entered, Entered::Yes(_))).count();
    assert_eq!((good, both.contains(&Entered::Wrong)), (1, true), "{both:?}");
    // Nor later, nor one from before it.
    assert_eq!(w.enter(&w.word().await, &code).await, Entered::Wrong);
    let before = code::code_at(&secret, code::step(w.accounts.now()) - 1).to_vec();
    assert_eq!(w.enter(&w.word().await, &String::from_utf8(before).unwrap()).await, Entered::Wrong);
    w.clock.advance(Duration::from_secs(30));
    let Entered::Yes(person) = w.enter(&w.word().await, &w.code(&secret)).await else { panic!("refused") };
    assert_eq!((person.identity.account, person.credential), (w.alice, w.version().await));
}

#[tokio::test]
async fn a_code_on_paper_is_good_once() {
    let (w, _, recovery) = World::enrolled().await;
    let typed = recovery[3].expose().replace('-', "").to_uppercase();
    assert!(matches!(w.enter(&w.word().await, &typed).await, Entered::Yes(_)));
    assert_eq!(w.enter(&w.word().await, recovery[3].expose()).await, Entered::Wrong);
    assert!(matches!(w.enter(&w.word().await, recovery[4].expose()).await, Entered::Yes(_)));
    assert_eq!(w.accounts.second(w.alice).await.unwrap().unwrap().recovery, RECOVERY_CODES - 2);
}

#[tokio::test]
async fn who_tries_codes_has_few_tries_wherever_and_however_often_the_password_is_shown() {
    let (w, secret, recovery) = World::enrolled().await;
    for n in 0..BURST {
        let node = if n % 2 == 0 { &w.accounts } else { &w.elsewhere };
        let word = w.word().await;
        assert_eq!(node.enter_second(&word, &w.wrong(&secret)).await.unwrap(), Entered::Wrong, "{n}");
    }
    let word = w.word().await;
    for code in [w.code(&secret), recovery[0].expose().to_owned()] {
        assert_eq!(w.enter(&word, &code).await, Entered::Limited, "not looked at");
    }
    w.clock.advance(Duration::from_millis(INTERVAL as u64 - 1));
    assert_eq!(w.enter(&w.word().await, &w.code(&secret)).await, Entered::Limited);
    w.clock.advance(Duration::from_millis(1));
    assert_eq!(w.enter(&w.word().await, &w.wrong(&secret)).await, Entered::Wrong);
    assert_eq!(w.enter(&w.word().await, &w.code(&secret)).await, Entered::Limited);
    w.clock.advance(Duration::from_millis(INTERVAL as u64));
    assert!(matches!(w.enter(&w.word().await, &w.code(&secret)).await, Entered::Yes(_)));
}

#[tokio::test]
async fn a_word_is_good_for_a_few_minutes_one_login_and_one_password() {
    let (w, secret, _) = World::enrolled().await;
    let word = w.word().await;
    assert!(matches!(w.enter(&word, &w.code(&secret)).await, Entered::Yes(_)));
    w.clock.advance(Duration::from_secs(30));
    assert_eq!(w.enter(&word, &w.code(&secret)).await, Entered::Over, "used");
    let word = w.word().await;
    w.clock.advance(Duration::from_millis(ENTERING_TIME as u64));
    assert_eq!(w.enter(&word, &w.code(&secret)).await, Entered::Over, "late");
    let oldest = w.word().await;
    for _ in 0..ENTERING {
        w.word().await;
    }
    assert_eq!(w.enter(&oldest, &w.code(&secret)).await, Entered::Over, "one of too many");
    let (word, version) = (w.word().await, w.version().await);
    w.accounts.set_password(w.alice, &Secret::new("another")).await.unwrap();
    assert_eq!(w.enter(&word, &w.code(&secret)).await, Entered::Over, "of the former password");
    assert!(w.accounts.begin_second(w.alice, version).await.unwrap().is_none());
    let word = w.word().await;
    w.accounts.set_enabled(w.alice, false).await.unwrap();
    assert_eq!(w.enter(&word, &w.code(&secret)).await, Entered::Over, "disabled");
    for none in ["", "gws_", "gws_AAAA"] {
        assert_eq!(w.enter(&Secret::new(none), "000000").await, Entered::Over, "{none}");
    }
    w.accounts.delete_account(w.alice).await.unwrap();
    assert_eq!(w.accounts.second(w.alice).await.unwrap(), None);
}
