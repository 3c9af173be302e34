//! What was found of signatures is kept, and the change log tells when it is another.

#![allow(clippy::unwrap_used, reason = "a test ends where it fails")]

mod support;

use godwit_mail::{EmailEdit, Error, Place, Signature};
use schema::keys::mail::SignatureDueKey;
use schema::records::mail::{ChangeKind, SignatureStatus};
use schema::{EmailId, ModSeq};
use std::time::Duration;
use support::{ACCOUNT, World, world};

use SignatureStatus::{Failed, Verified};

const DAY: i64 = 86_400;
const OURS: u64 = 7;

async fn append(w: &World) -> EmailId {
    let inbox = w.mailbox(ACCOUNT, "INBOX").await;
    let uid = w.append(inbox, "Subject: signed").await;
    w.store.message(inbox, uid).await.unwrap().email
}

fn now(w: &World) -> i64 {
    use runtime::Clock;
    w.clock.now().secs()
}

fn pass(w: &World, seconds: i64) {
    w.clock.advance(Duration::from_secs(seconds.unsigned_abs()));
}

/// Verified now and when it came, up to a time.
fn verified(w: &World, until: i64) -> Signature {
    Signature {
        status: Verified,
        at_delivery: Verified,
        errors: Vec::new(),
        verified: now(w),
        until,
        authorities: OURS,
    }
}

fn failed(w: &World) -> Signature {
    Signature { status: Failed, errors: vec!["ended".into()], ..verified(w, i64::MAX) }
}

async fn keep(w: &World, email: EmailId, found: &Signature) -> Signature {
    w.store.keep_signature(ACCOUNT, email, found).await.unwrap()
}

/// The emails that were updated since.
async fn updated(w: &World, since: ModSeq) -> Vec<u64> {
    let log = changes::log::read(&w.db, ACCOUNT, since, 100).await.unwrap();
    let entries = log.entries.into_iter().map(|(_, entry)| entry);
    entries
        .filter(|entry| entry.kind == ChangeKind::EmailUpdated as i32)
        .flat_map(|entry| entry.emails)
        .collect()
}

async fn due(w: &World, authorities: u64) -> Vec<EmailId> {
    w.store.due_signatures(ACCOUNT, authorities, None).await.unwrap().emails
}

#[tokio::test]
async fn what_was_found_is_told_for_a_day_and_not_beyond_its_end() {
    let w = world(1).await;
    let (email, other) = (append(&w).await, append(&w).await);
    assert_eq!(w.store.signature(ACCOUNT, email).await.unwrap(), None);
    let kept = keep(&w, email, &verified(&w, i64::MAX)).await;
    assert_eq!(kept.until, now(&w) + 30 * DAY, "it is looked at again in any case");
    keep(&w, other, &verified(&w, now(&w) + 10)).await;
    assert_eq!(w.store.signature(ACCOUNT, email).await.unwrap(), Some(kept.clone()));
    pass(&w, 10);
    assert_eq!(w.store.signature(ACCOUNT, other).await.unwrap(), None, "a certificate ended");
    pass(&w, DAY - 11);
    assert_eq!(w.store.signature(ACCOUNT, email).await.unwrap(), Some(kept));
    pass(&w, 1);
    assert_eq!(w.store.signature(ACCOUNT, email).await.unwrap(), None, "RFC 9219 §4.1: 24 hours at most");
    w.sound().await;
}

#[tokio::test]
async fn the_log_tells_what_clients_were_told_otherwise() {
    let w = world(2).await;
    let email = append(&w).await;
    let state = w.store.state(ACCOUNT).await.unwrap();
    keep(&w, email, &verified(&w, i64::MAX)).await;
    pass(&w, DAY);
    let again = keep(&w, email, &verified(&w, i64::MAX)).await;
    assert_eq!(again.verified, now(&w));
    assert_eq!(
        w.store.state(ACCOUNT).await.unwrap(),
        state,
        "RFC 9219 §4.3: smimeVerifiedAt alone is no change"
    );
    keep(&w, email, &failed(&w)).await;
    assert_eq!(updated(&w, state).await, [email.0]);
    let state = w.store.state(ACCOUNT).await.unwrap();
    keep(&w, email, &Signature { errors: vec!["ended".into(), "changed".into()], ..failed(&w) }).await;
    assert_eq!(updated(&w, state).await, [email.0], "other errors are told, too");
    w.sound().await;
}

#[tokio::test]
async fn what_it_was_at_delivery_stays_unless_an_authority_is_added() {
    let w = world(3).await;
    let email = append(&w).await;
    let unknown = Signature { at_delivery: Failed, ..failed(&w) };
    keep(&w, email, &unknown).await;
    let state = w.store.state(ACCOUNT).await.unwrap();
    let added = Signature { at_delivery: Verified, authorities: 8, ..unknown.clone() };
    assert_eq!(keep(&w, email, &added).await.at_delivery, Verified);
    assert_eq!(updated(&w, state).await, [email.0]);
    let state = w.store.state(ACCOUNT).await.unwrap();
    assert_eq!(keep(&w, email, &unknown).await.at_delivery, Verified, "RFC 9219 §4.1");
    assert_eq!(w.store.state(ACCOUNT).await.unwrap(), state);
}

#[tokio::test]
async fn of_two_who_look_the_later_is_believed() {
    let w = world(4).await;
    let email = append(&w).await;
    let early = verified(&w, i64::MAX);
    pass(&w, 5);
    let late = keep(&w, email, &failed(&w)).await;
    assert_eq!(keep(&w, email, &early).await, late);
    assert_eq!(w.store.signature(ACCOUNT, email).await.unwrap(), Some(late));
}

#[tokio::test]
async fn what_is_due_is_found_and_nothing_stays_of_emails_that_went() {
    let w = world(5).await;
    let [soon, late, gone] = [append(&w).await, append(&w).await, append(&w).await];
    keep(&w, soon, &verified(&w, now(&w) + 60)).await;
    keep(&w, late, &verified(&w, i64::MAX)).await;
    keep(&w, gone, &verified(&w, now(&w) + 30)).await;
    assert_eq!(due(&w, OURS).await, []);
    w.store.signatures_are_by(ACCOUNT, OURS).await.unwrap();
    let edit = EmailEdit { email: gone, flags: None, place: Place::Nowhere, within: None };
    w.store.edit_emails(ACCOUNT, &[edit]).await.unwrap();
    let lost = w.store.keep_signature(ACCOUNT, gone, &verified(&w, 0)).await;
    assert!(matches!(lost, Err(Error::NotFound)));
    assert_eq!(w.store.signature(ACCOUNT, gone).await.unwrap(), None);
    pass(&w, 60);
    assert_eq!(due(&w, OURS).await, [soon]);
    let (begin, end) = SignatureDueKey::range(ACCOUNT);
    let (begin, end) = (&begin, &end);
    let rows = w.db.read("test", |txn| async move { Ok::<_, Error>(txn.range(begin, end).collect().await?) });
    assert_eq!(rows.await.unwrap().len(), 2, "what led to the email that went is cleared");
    keep(&w, soon, &failed(&w)).await;
    assert_eq!(due(&w, OURS).await, []);

    let all = w.store.due_signatures(ACCOUNT, 8, None).await.unwrap();
    assert_eq!((all.emails.len(), all.by_others), (2, true), "other authorities");
    keep(&w, late, &Signature { authorities: 8, ..verified(&w, i64::MAX) }).await;
    assert_eq!(due(&w, 8).await, [soon], "who was looked at meanwhile is passed over");
    w.store.signatures_are_by(ACCOUNT, 8).await.unwrap();
    assert_eq!(due(&w, 8).await, []);
    w.sound().await;
}

#[tokio::test]
async fn many_are_found_page_by_page() {
    let w = world(6).await;
    let mut emails = Vec::new();
    for n in 0..510 {
        let email = append(&w).await;
        keep(&w, email, &verified(&w, now(&w) + n % 7)).await;
        emails.push(email);
    }
    pass(&w, 7);
    let first = w.store.due_signatures(ACCOUNT, OURS, None).await.unwrap();
    let rest = w.store.due_signatures(ACCOUNT, OURS, first.next).await.unwrap();
    assert_eq!((first.emails.len(), rest.next), (500, None));
    let mut all = [first.emails, rest.emails].concat();
    all.sort_unstable();
    emails.sort_unstable();
    assert_eq!(all, emails);
}
