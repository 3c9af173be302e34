//! Visits from the login to their end.

use super::*;
use crate::tests::{directory, raise};
use crate::{HashCost, Options, testing};
use runtime::{Clock, ManualClock, SeededRng, Timestamp};
use std::sync::Arc;
use std::time::Duration;

struct World {
    accounts: Accounts,
    /// The same store on another node.
    elsewhere: Accounts,
    clock: Arc<ManualClock>,
    alice: AccountId,
}

impl World {
    async fn new() -> World {
        let db = directory().await.db().clone();
        let clock = Arc::new(ManualClock::new(Timestamp::from_secs(1_700_000_000)));
        let options = Options { cost: HashCost::CHEAP, ..Options::default() };
        let node =
            |seed| Accounts::new(db.clone(), clock.clone(), Arc::new(SeededRng::new(seed)), options.clone());
        let accounts = node(2);
        raise(&accounts).await;
        let alice = accounts.person("alice@example.test").await;
        accounts.set_password(alice, &Secret::new("secret")).await.unwrap();
        World { elsewhere: node(3), accounts, clock, alice }
    }

    async fn person(&self, second: bool) -> Person {
        let record = self.accounts.login("alice@example.test").await.unwrap().unwrap();
        let identity = self.accounts.identity(self.alice).await.unwrap().unwrap();
        Person { identity, credential: record.credentials[0].version, second }
    }

    async fn visit(&self, second: bool) -> Secret {
        self.accounts.begin_visit(&self.person(second).await, None).await.unwrap().unwrap()
    }

    async fn is_good(&self, word: &Secret) -> bool {
        self.elsewhere.visitor(word).await.unwrap().is_some()
    }

    fn ahead(&self, millis: i64) {
        self.clock.advance(Duration::from_millis(millis.unsigned_abs()));
    }

    async fn row(&self) -> Visits {
        let row = self.accounts.db().read("test", |txn| async move { visits_in(&txn, self.alice).await });
        row.await.unwrap()
    }
}

#[tokio::test]
async fn a_word_opens_the_page_on_all_nodes_until_somebody_leaves() {
    let w = World::new().await;
    let (word, another) = (w.visit(false).await, w.visit(true).await);
    let found = w.elsewhere.visitor(&word).await.unwrap().unwrap();
    assert_eq!(found.person, w.person(false).await);
    assert!(w.elsewhere.visitor(&another).await.unwrap().unwrap().person.second);
    // What a form shows says nothing of what the browser shows, is of one visit, and stays the same.
    let other = w.accounts.visitor(&another).await.unwrap().unwrap().form;
    assert!(!word.expose().contains(found.form.expose()) && found.form.expose() != other.expose());
    assert_eq!(w.accounts.visitor(&word).await.unwrap().unwrap().form.expose(), found.form.expose());
    let swapped = word.expose().replace("gwv_", "gws_");
    for bad in ["", "gwv_", "gws_AAAA", &word.expose()[..60], &swapped, found.form.expose()] {
        assert!(w.accounts.visitor(&Secret::new(bad)).await.unwrap().is_none(), "{bad}");
    }
    w.elsewhere.end_visit(&word).await.unwrap();
    assert!(!w.is_good(&word).await && w.is_good(&another).await);
    let stored = w.row().await.to_bytes();
    assert!(!stored.windows(8).any(|part| another.expose().as_bytes().windows(8).any(|one| one == part)));
}

#[tokio::test]
async fn a_visit_ends_when_nothing_is_done_and_at_last_in_any_case() {
    let w = World::new().await;
    let idle = w.visit(false).await;
    w.ahead(VISIT_IDLE - 1);
    let busy = w.visit(false).await;
    assert!(w.is_good(&idle).await);
    w.ahead(VISIT_IDLE - 1);
    assert!(w.is_good(&idle).await, "the last look was noted");
    w.ahead(VISIT_IDLE);
    assert!(!w.is_good(&idle).await && !w.is_good(&busy).await);
    assert_eq!(w.row().await.visits.len(), 2);
    w.accounts.expire_grants(w.alice).await.unwrap();
    assert_eq!(w.row().await.visits.len(), 0);

    let busy = w.visit(false).await;
    for _ in 0..VISIT_TIME / 600_000 - 1 {
        w.ahead(600_000);
        assert!(w.is_good(&busy).await);
    }
    w.ahead(600_000);
    assert!(!w.is_good(&busy).await);
}

#[tokio::test]
async fn what_a_login_takes_by_now_the_visit_has_to_have_taken() {
    let w = World::new().await;
    let word = w.visit(false).await;
    let enrolled = w.accounts.enroll_second(w.alice).await.unwrap();
    assert!(w.is_good(&word).await, "it is not in force yet");
    let secret = enrolled.uri.expose().split("secret=").nth(1).unwrap().split('&').next().unwrap();
    let code = testing::code(secret, w.clock.now().millis());
    assert!(w.accounts.confirm_second(w.alice, &code).await.unwrap());
    assert!(!w.is_good(&word).await, "nobody stays who has not shown a code");
    assert!(w.accounts.begin_visit(&w.person(false).await, None).await.unwrap().is_none());
    let (word, former) = (w.visit(true).await, w.person(true).await);
    assert!(w.is_good(&word).await);
    w.elsewhere.set_password(w.alice, &Secret::new("other")).await.unwrap();
    assert!(!w.is_good(&word).await);
    assert!(w.accounts.begin_visit(&former, None).await.unwrap().is_none());
    let word = w.visit(true).await;
    w.elsewhere.set_enabled(w.alice, false).await.unwrap();
    assert!(!w.is_good(&word).await);
    w.accounts.set_enabled(w.alice, true).await.unwrap();
    assert_eq!(w.row().await.visits.len(), 3);
    w.accounts.delete_account(w.alice).await.unwrap();
    assert!(!w.is_good(&word).await);
    assert_eq!(w.row().await, Visits::default(), "it is removed with the account");
}

#[tokio::test]
async fn what_came_of_a_form_is_told_once_and_to_that_browser() {
    let w = World::new().await;
    let (word, other) = (w.visit(false).await, w.visit(false).await);
    let told = async |word| w.elsewhere.visitor(word).await.unwrap().unwrap().told;
    for text in ["first", "the password is é"] {
        w.accounts.tell_visitor(&word, &Secret::new(text)).await.unwrap();
    }
    let stored = w.row().await.to_bytes();
    assert!(!String::from_utf8_lossy(&stored).contains("password"), "nobody reads it in the store");
    assert!(told(&other).await.is_none());
    assert_eq!(told(&word).await.unwrap().expose(), "the password is é");
    assert!(told(&word).await.is_none());
    let begun = w.accounts.begin_visit(&w.person(false).await, Some(&Secret::new("begun"))).await;
    let begun = begun.unwrap().unwrap();
    assert_eq!(told(&begun).await.unwrap().expose(), "begun");
    w.accounts.end_visit(&word).await.unwrap();
    w.accounts.tell_visitor(&word, &Secret::new("late")).await.unwrap();
    assert_eq!(w.row().await.visits.len(), 2);
}

#[tokio::test]
async fn an_account_has_so_many_visits() {
    let w = World::new().await;
    let first = w.visit(false).await;
    w.ahead(NOTED);
    let second = w.visit(false).await;
    for _ in 2..VISITS {
        w.visit(false).await;
    }
    w.ahead(1);
    assert!(w.is_good(&first).await);
    let last = w.visit(false).await;
    assert!(w.is_good(&first).await, "something was done in it");
    assert!(!w.is_good(&second).await && w.is_good(&last).await);
}

#[tokio::test]
async fn a_password_is_replaced_by_who_has_shown_it() {
    let w = World::new().await;
    let shown = w.person(false).await.credential;
    let new = w.accounts.replace_password(w.alice, shown, &Secret::new("new")).await.unwrap().unwrap();
    assert_eq!(w.person(false).await.credential, new);
    let late = w.elsewhere.replace_password(w.alice, shown, &Secret::new("late")).await.unwrap();
    assert_eq!(late, None, "it is another by now");
    let record = w.accounts.login("alice@example.test").await.unwrap().unwrap();
    assert!(record.credentials[0].hash.verify(&Secret::new("new")));
}
