//! What every damage goes through, and the mailbox tree.

use godwit_verify::{Kind, Scope, Verifier};
use mail::MailboxRef;
use schema::keys::job::{EmptyKey, PurgeKey};
use schema::keys::mail::*;
use schema::keys::system::{ChangeSlotKey, IncarnationKey};
use schema::records::job::{EmptyJob, PurgeJob};
use schema::records::mail::{AllocationRecord, MailboxRecord};
use schema::records::object::SubmissionRecord;
use schema::{Key, MailboxId, Record, SubmissionId};

use crate::world::{World, path, world};

/// What was damaged is found, and nothing but what follows from it; repair leaves nothing, and clients are right.
pub(crate) async fn mended(w: &mut World, expected: &[Kind]) {
    let found: Vec<String> = w.found(&Scope::default()).await.iter().map(ToString::to_string).collect();
    assert_eq!(w.kinds().await, expected.iter().copied().collect(), "{found:#?}");
    let (done, left) = w.repair(false).await;
    assert!(!done.is_empty());
    assert_eq!(left, [], "{done:#?}");
    assert_eq!(w.found(&Scope { account: Some(w.ann), bodies: true }).await, []);
    w.clients_are_right().await;
}

/// What was damaged is found, and left as it is.
pub(crate) async fn kept(w: &World, expected: &[Kind]) {
    assert_eq!(w.kinds().await, expected.iter().copied().collect());
    let (done, left) = w.repair(false).await;
    assert_eq!(done, [""; 0]);
    assert!(!left.is_empty());
}

#[tokio::test]
async fn a_sound_store_has_no_findings_and_is_left_as_it_is() {
    let w = world().await;
    for bodies in [false, true] {
        for account in [None, Some(w.ann), Some(w.team)] {
            assert_eq!(w.found(&Scope { account, bodies }).await, [], "{account:?} {bodies}");
        }
    }
    let before = w.range((vec![], vec![0xff])).await;
    assert!(before.len() > 150);
    w.repair(true).await;
    assert_eq!(w.range((vec![], vec![0xff])).await, before);
    let _: &Verifier = &w.verifier;
}

/// A verification can be stopped and gone on with at any of its cursors, which are texts.
#[tokio::test]
async fn cursors_lead_through_all_of_it() {
    let w = world().await;
    let scope = Scope::default();
    let cursors = w.pages(&scope).await;
    assert!(cursors.len() >= 4 && cursors.is_sorted_by_key(|cursor| (cursor.pass, cursor.key.clone())));
    w.set(&UidNextKey { account: w.ann, mailbox: w.at("INBOX").await.mailbox }, &1_u32.to_le_bytes()).await;
    let last = cursors.iter().rfind(|cursor| !cursor.key.is_empty()).unwrap();
    let mut seen = 0;
    for cursor in &cursors {
        let cursor = cursor.to_string().parse().unwrap();
        seen += w.verifier.page(&scope, &cursor).await.unwrap().findings.len();
    }
    assert_eq!(seen, 1, "{last}");
}

#[tokio::test]
async fn what_is_not_known_is_told_and_left() {
    for key in [
        &b"Z?"[..],
        b"A\x01m\x01?",
        b"Q?",
        b"B?",
        b"P?",
        b"S?",
        b"Sv\xf8\xff",
        b"I",
        b"J?",
        b"N?",
        b"O?",
        b"\x00",
    ] {
        let w = world().await;
        w.write(&[(key.to_vec(), Some(b"x".to_vec()))]).await;
        kept(&w, &[Kind::UnknownKey]).await;
    }
    let w = world().await;
    let at = w.at("Work").await;
    let key = MailboxKey { account: at.account, mailbox: at.mailbox };
    let mut value = w.get(&key.encode()).await.unwrap().to_vec();
    value[0] = 9;
    w.set(&key, &value).await;
    let found = w.found(&Scope::default()).await;
    assert_eq!((found.len(), found[0].kind), (1, Kind::ForeignFormat), "{found:#?}");
    assert_eq!(w.repair(true).await.0, [""; 0], "it is never repaired");
    assert_eq!(w.get(&key.encode()).await.unwrap(), value);
}

#[tokio::test]
async fn what_cannot_be_read_is_written_anew_where_that_is_known() {
    let mut w = world().await;
    let MailboxRef { account, mailbox } = w.at("INBOX").await;
    for key in [
        PageKey { account, mailbox, page: 0 }.encode(),
        HighestKey { account, mailbox }.encode(),
        LastChangeKey { account }.encode(),
        TreeKey { account }.encode(),
    ] {
        w.write(&[(key, Some(vec![1, 0xff]))]).await;
        mended(&mut w, &[Kind::Unreadable]).await;
    }
    w.set(&IncarnationKey, b"\x01\x09").await;
    kept(&w, &[Kind::Unreadable]).await;
}

#[tokio::test]
async fn stamps_are_of_the_past() {
    let w = world().await;
    let MailboxRef { account, mailbox } = w.at("INBOX").await;
    w.set(&HighestKey { account, mailbox }, &[0x7f; 10]).await;
    kept(&w, &[Kind::StampFromTheFuture]).await;
}

#[tokio::test]
async fn jobs_remove_what_is_removed_and_all_of_it() {
    let mut w = world().await;
    let MailboxRef { account, mailbox } = w.at("INBOX").await;
    w.set(&EmptyKey { account, mailbox }, &EmptyJob::default().to_bytes()).await;
    mended(&mut w, &[Kind::JobForLiving]).await;
    w.set(&PurgeKey { account }, &PurgeJob::default().to_bytes()).await;
    mended(&mut w, &[Kind::JobForLiving]).await;

    let id = SubmissionId(7);
    let object = ObjectKey { account, kind: ObjectKind::Submission, id: id.0 };
    let waits = SubmissionRecord { send_at: 5, ..SubmissionRecord::default() };
    w.set(&object, &waits.to_bytes()).await;
    mended(&mut w, &[Kind::LaterMissing]).await;
    w.set(&object, &SubmissionRecord { sending: true, ..waits }.to_bytes()).await;
    mended(&mut w, &[Kind::LaterStale]).await;

    let sub = w.at("Work/Sub").await;
    w.mail.delete(account, &path("Work/Sub")).await.unwrap();
    w.set(&CountersKey { account, mailbox: sub.mailbox }, &[0; 20]).await;
    mended(&mut w, &[Kind::RemovalForgotten]).await;
    while w.mail.empty_step(sub).await.unwrap() != mail::Step::Finished {}
    assert_eq!(w.range(mailbox_range(account, sub.mailbox)).await, []);

    let gone = w.account("gone", accounts::Kind::Person).await;
    w.accounts.delete_account(gone).await.unwrap();
    w.clear_range(MailboxKey::range(gone)).await;
    w.clear(&RoleKey { account: gone, role: 1 }).await;
    mended(&mut w, &[Kind::RemovalForgotten]).await;
    while w.mail.purge_step(gone).await.unwrap() != mail::Step::Finished {}
    assert_eq!(w.range(account_range(gone)).await, []);
}

#[tokio::test]
async fn mailboxes_come_back() {
    let mut w = world().await;
    let MailboxRef { account, mailbox } = w.at("Work").await;
    let old = w.mail.status(w.at("Work").await).await.unwrap();
    w.clock.advance(std::time::Duration::from_secs(60));
    w.clear(&MailboxKey { account, mailbox }).await;
    mended(&mut w, &[Kind::MailboxLost, Kind::ParentMissing, Kind::QuotaWrong]).await;
    let again = w.mail.status(w.at("Work").await).await.unwrap();
    assert!(again.uid_validity > old.uid_validity && again.exists == old.exists);
    w.at("Work/Sub").await;

    // Neither record nor name, and it was not deleted.
    let MailboxRef { mailbox: sub, .. } = w.at("Work/Sub").await;
    w.append(w.at("Work/Sub").await, crate::world::text(9, 1)).await;
    w.watch().await;
    w.clear(&MailboxKey { account, mailbox: sub }).await;
    w.clear(&MailboxNameKey { account, parent: Some(mailbox), name: "Sub".into() }).await;
    mended(&mut w, &[Kind::MailboxLost, Kind::QuotaWrong]).await;
    assert_eq!(w.mail.status(w.at("Recovered").await).await.unwrap().exists, 1);
}

#[tokio::test]
async fn the_tree_is_mended() {
    let mut w = world().await;
    let MailboxRef { account, mailbox } = w.at("Work").await;
    let (key, sub) = (MailboxKey { account, mailbox }, w.at("Work/Sub").await.mailbox);
    let record = MailboxRecord::from_bytes(&w.get(&key.encode()).await.unwrap()).unwrap();

    w.clear(&MailboxNameKey { account, parent: None, name: "Work".into() }).await;
    mended(&mut w, &[Kind::NameMissing]).await;
    w.set(&MailboxNameKey { account, parent: None, name: "Ghost".into() }, &mailbox.0.to_le_bytes()).await;
    mended(&mut w, &[Kind::NameStale]).await;
    // A circle.
    w.set(&key, &MailboxRecord { parent: Some(sub.0), ..record.clone() }.to_bytes()).await;
    mended(&mut w, &[Kind::ParentMissing, Kind::NameMissing, Kind::NameStale]).await;
    assert_eq!(w.mail.mailboxes(account).await.unwrap().len(), 8);
    // Two mailboxes with one name.
    let sent = MailboxRecord { name: "Sent".into(), ..record.clone() };
    let key = MailboxKey { account, mailbox: w.at("Archive").await.mailbox };
    let archive = MailboxRecord::from_bytes(&w.get(&key.encode()).await.unwrap()).unwrap();
    w.set(&key, &MailboxRecord { name: sent.name.clone(), ..archive }.to_bytes()).await;
    mended(&mut w, &[Kind::NameMissing, Kind::NameStale]).await;
    assert_eq!(w.mail.mailboxes(account).await.unwrap().len(), 8);
    w.set(
        &AllocationKey { account },
        &AllocationRecord { thread_secret: 5, ..Default::default() }.to_bytes(),
    )
    .await;
    mended(&mut w, &[Kind::AllocationLow]).await;
}

#[tokio::test]
async fn roles_and_inboxes_are_mended() {
    let mut w = world().await;
    let account = w.ann;
    w.clear(&RoleKey { account, role: 3 }).await;
    mended(&mut w, &[Kind::RoleMissing]).await;
    w.set(&RoleKey { account, role: 9 }, &w.at("Work").await.mailbox.0.to_le_bytes()).await;
    mended(&mut w, &[Kind::RoleStale]).await;
    // Without this role the account counts as removed: most of it is not looked at.
    w.clear(&RoleKey { account, role: 1 }).await;
    mended(&mut w, &[Kind::RoleMissing]).await;
    assert_eq!(w.mail.status(w.at("INBOX").await).await.unwrap().exists, 6);

    w.clear_range(account_range(w.team)).await;
    mended(&mut w, &[Kind::InboxLost]).await;
    assert_eq!(w.mail.mailboxes(w.team).await.unwrap().len(), 6);
    w.set(&RoleKey { account, role: 1 }, &MailboxId(77).0.to_le_bytes()).await;
    mended(&mut w, &[Kind::RoleMissing, Kind::RoleStale]).await;
}

#[tokio::test]
async fn moments_are_brought_up() {
    let mut w = world().await;
    let MailboxRef { account, mailbox } = w.at("INBOX").await;
    w.set(&HighestKey { account, mailbox }, &[0; 10]).await;
    mended(&mut w, &[Kind::HighestLow]).await;
    w.set(&LastChangeKey { account }, &[0; 10]).await;
    mended(&mut w, &[Kind::LastChangeLow]).await;
    w.set(&ChangeSlotKey::of(account), &[0; 10]).await;
    mended(&mut w, &[Kind::LastChangeLow]).await;
}

#[tokio::test]
async fn keywords_are_mended() {
    let mut w = world().await;
    let account = w.ann;
    let (key, name) = (KeywordKey { account, id: 1 }, KeywordNameKey { account, folded: "$work".into() });
    w.clear(&key).await;
    mended(&mut w, &[Kind::KeywordLost]).await;
    w.clear(&name).await;
    mended(&mut w, &[Kind::KeywordNameMissing]).await;
    w.set(&KeywordNameKey { account, folded: "$other".into() }, &1_u32.to_le_bytes()).await;
    mended(&mut w, &[Kind::KeywordNameStale]).await;
    w.clear(&key).await;
    w.clear(&name).await;
    mended(&mut w, &[Kind::KeywordLost]).await;
    let row = w.mail.message(w.at("INBOX").await, 2).await.unwrap();
    assert_eq!(row.flags.keywords.first().unwrap().as_str(), "$lost-1");
}
