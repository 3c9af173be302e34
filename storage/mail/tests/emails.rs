//! Emails as a whole, and mailboxes by their ids.

#![allow(clippy::unwrap_used, reason = "a test ends where it fails")]

mod support;

use std::collections::BTreeSet;
use std::time::Duration;

use godwit_mail::{
    Email, EmailEdit, Error, FlagChange, MailboxEdit, MailboxRef, NewMailbox, Place, Refusal, Role, Tally,
    UidSet, UploadLimits,
};
use kv::fault::Plan;
use proptest::prelude::*;
use schema::records::mail::ChangeKind;
use schema::{EmailId, Flags, MailboxId, ModSeq, SystemFlags};
use support::{ACCOUNT, OTHER, World, world};

const SEEN: SystemFlags = SystemFlags::SEEN;

fn system(flags: SystemFlags) -> Flags {
    Flags { system: flags, ..Flags::none() }
}

fn set(mailboxes: &[MailboxRef]) -> BTreeSet<MailboxId> {
    mailboxes.iter().map(|at| at.mailbox).collect()
}

async fn email(w: &World, id: EmailId) -> Option<Email> {
    w.store.emails(ACCOUNT, &[id]).await.unwrap().pop()
}

async fn edit(w: &World, email: EmailId, flags: Option<FlagChange>, place: Place) -> Result<(), Refusal> {
    let edited =
        w.store.edit_emails(ACCOUNT, &[EmailEdit { email, flags, place, within: None }]).await.unwrap();
    edited.outcomes.into_iter().next().unwrap()
}

/// Appends one message and tells its email.
async fn append(w: &World, at: MailboxRef, header: &str) -> EmailId {
    let uid = w.append(at, header).await;
    w.store.message(at, uid).await.unwrap().email
}

#[tokio::test]
async fn an_email_is_in_several_mailboxes_and_leaves_them() {
    let w = world(1).await;
    let [inbox, archive, junk] = [
        w.mailbox(ACCOUNT, "INBOX").await,
        w.mailbox(ACCOUNT, "Archive").await,
        w.mailbox(ACCOUNT, "Junk").await,
    ];
    let id = append(&w, inbox, "Subject: a").await;
    let add = Place::Change { add: set(&[archive]), remove: BTreeSet::new() };
    edit(&w, id, Some(FlagChange::Add(system(SEEN))), add).await.unwrap();
    let now = email(&w, id).await.unwrap();
    assert_eq!((now.mailboxes(), now.flags()), (set(&[inbox, archive]), system(SEEN)));
    assert_eq!(w.store.status(archive).await.unwrap().unseen, 0);
    edit(&w, id, None, Place::Only(set(&[junk, archive]))).await.unwrap();
    assert_eq!(email(&w, id).await.unwrap().mailboxes(), set(&[junk, archive]));
    assert_eq!(w.store.status(inbox).await.unwrap().exists, 0);
    edit(&w, id, Some(FlagChange::Replace(Flags::none())), Place::Same).await.unwrap();
    assert_eq!(email(&w, id).await.unwrap().flags(), Flags::none());
    edit(&w, id, None, Place::Nowhere).await.unwrap();
    assert_eq!(email(&w, id).await, None);
    assert_eq!(edit(&w, id, None, Place::Same).await, Err(Refusal::NotFound));
    assert_eq!(w.store.usage(ACCOUNT).await.unwrap().messages, 0);
    w.sound().await;
}

#[tokio::test]
async fn a_catalogue_is_at_hand_once_it_was_made() {
    let w = world(4).await;
    let inbox = w.mailbox(ACCOUNT, "INBOX").await;
    let first = append(&w, inbox, "Subject: a").await;
    assert!(w.store.catalog_at_hand(ACCOUNT).await.unwrap().is_none());
    w.store.catalog(ACCOUNT).await.unwrap();
    let second = append(&w, inbox, "Subject: b").await;
    let catalog = w.store.catalog_at_hand(ACCOUNT).await.unwrap().unwrap();
    let state = w.store.state(ACCOUNT).await.unwrap();
    catalog.read(|catalog| {
        assert_eq!((catalog.as_of(), catalog.is_whole()), (state, true));
        let listed = catalog.listed(&[second, EmailId(1), first]).unwrap();
        let ids: Vec<_> = listed.into_iter().map(|one| one.map(|one| one.id)).collect();
        assert_eq!(ids, [Some(second), None, Some(first)]);
    });
    edit(&w, first, None, Place::Nowhere).await.unwrap();
    let catalog = w.store.catalog_at_hand(ACCOUNT).await.unwrap().unwrap();
    catalog.read(|catalog| assert_eq!(catalog.listed(&[first]), Some(vec![None])));
}

#[tokio::test]
async fn what_cannot_be_changes_nothing() {
    let w = world(2).await;
    let inbox = w.mailbox(ACCOUNT, "INBOX").await;
    let id = append(&w, inbox, "Subject: a").await;
    let before = w.store.state(ACCOUNT).await.unwrap();
    let nowhere = MailboxId(4_000);
    let missing = edit(&w, id, None, Place::Only(BTreeSet::from([nowhere]))).await;
    assert_eq!(missing, Err(Refusal::NoMailbox(vec![nowhere])));
    let homeless = Place::Change { add: BTreeSet::new(), remove: set(&[inbox]) };
    assert_eq!(edit(&w, id, None, homeless).await, Err(Refusal::Homeless));
    assert_eq!(edit(&w, EmailId(7), None, Place::Nowhere).await, Err(Refusal::NotFound));
    w.store.set_quota(ACCOUNT, None, Some(1)).await.unwrap();
    let archive = w.mailbox(ACCOUNT, "Archive").await;
    assert_eq!(edit(&w, id, None, Place::Only(set(&[inbox, archive]))).await, Err(Refusal::OverQuota));
    assert_eq!(w.store.state(ACCOUNT).await.unwrap(), before);
    edit(&w, id, None, Place::Only(set(&[archive]))).await.unwrap();
    w.sound().await;
}

/// RFC 8621 §4.1.1: a message that IMAP marks `\Deleted` is not seen.
#[tokio::test]
async fn what_is_marked_for_removal_is_not_seen() {
    let w = world(3).await;
    let [inbox, archive] = [w.mailbox(ACCOUNT, "INBOX").await, w.mailbox(ACCOUNT, "Archive").await];
    let id = append(&w, inbox, "Subject: a").await;
    let (uids, mark) = (UidSet::from_ranges([1..=1]), FlagChange::Add(system(SystemFlags::DELETED)));
    w.store.copy(inbox, &uids, archive).await.unwrap();
    w.store.store_flags(inbox, &uids, &mark, None).await.unwrap();
    assert_eq!(email(&w, id).await.unwrap().mailboxes(), set(&[archive]));
    edit(&w, id, Some(FlagChange::Add(system(SEEN))), Place::Same).await.unwrap();
    assert!(!w.store.message(inbox, 1).await.unwrap().flags.has(SEEN), "stays as its owner left it");
    assert_eq!(w.store.tally(inbox).await.unwrap(), Tally::default());
    w.store.store_flags(archive, &uids, &mark, None).await.unwrap();
    assert!(!email(&w, id).await.unwrap().is_seen());
    assert_eq!(edit(&w, id, None, Place::Nowhere).await, Err(Refusal::NotFound));
    w.sound().await;
}

#[tokio::test]
async fn counts_are_those_of_emails_and_threads() {
    let w = world(4).await;
    let inbox = w.mailbox(ACCOUNT, "INBOX").await;
    let first = append(&w, inbox, "Subject: a\r\nMessage-ID: <1@x>").await;
    append(&w, inbox, "Subject: Re: a\r\nMessage-ID: <2@x>\r\nIn-Reply-To: <1@x>").await;
    let third = append(&w, inbox, "Subject: b\r\nMessage-ID: <3@x>").await;
    let all = Tally { emails: 3, unread_emails: 3, threads: 2, unread_threads: 2 };
    assert_eq!(w.store.tally(inbox).await.unwrap(), all);
    edit(&w, third, Some(FlagChange::Add(system(SystemFlags::DRAFT))), Place::Same).await.unwrap();
    edit(&w, first, Some(FlagChange::Add(system(SEEN))), Place::Same).await.unwrap();
    let fewer = Tally { emails: 3, unread_emails: 1, threads: 2, unread_threads: 1 };
    assert_eq!(w.store.tally(inbox).await.unwrap(), fewer);
    let threads = email(&w, first).await.map(|email| email.thread).into_iter().collect::<Vec<_>>();
    assert_eq!(w.store.threads(ACCOUNT, &threads).await.unwrap()[0].1.len(), 2);
}

#[tokio::test]
async fn a_message_is_stored_in_several_mailboxes_at_once() {
    let w = world(5).await;
    let both = [w.mailbox(ACCOUNT, "Drafts").await, w.mailbox(ACCOUNT, "Archive").await];
    let incoming = w.incoming("Subject: a").await;
    let flags = system(SystemFlags::DRAFT);
    let made = w.store.append_in_each(ACCOUNT, &set(&both), &incoming, &flags, 5).await.unwrap();
    let now = email(&w, made.email).await.unwrap();
    assert_eq!((now.mailboxes(), now.flags(), now.received), (set(&both), flags, 5));
    let missing = BTreeSet::from([both[0].mailbox, MailboxId(4_000)]);
    let refused = w.store.append_in_each(ACCOUNT, &missing, &incoming, &Flags::none(), 5).await;
    assert!(matches!(refused, Err(Error::NotFound)));
    assert_eq!(w.store.status(both[0]).await.unwrap().exists, 1);
    w.sound().await;
}

#[tokio::test]
async fn mailboxes_are_arranged() {
    let w = world(6).await;
    let new = |parent, name: &str| NewMailbox {
        parent,
        name: name.into(),
        role: None,
        sort_order: 7,
        subscribed: true,
        shares: None,
        made_by: None,
    };
    let a = w.store.make_mailbox(ACCOUNT, &new(None, "a")).await.unwrap();
    let b = w.store.make_mailbox(ACCOUNT, &new(Some(a.id), "b")).await.unwrap();
    assert_eq!((b.path.to_string().as_str(), b.parent, b.sort_order), ("a/b", Some(a.id), 7));
    let refused = w.store.make_mailbox(ACCOUNT, &new(None, "a")).await;
    assert!(matches!(refused, Err(Error::AlreadyExists)));
    for name in ["", "x/y", "inbox", &"x".repeat(300)] {
        assert!(w.store.make_mailbox(ACCOUNT, &new(None, name)).await.is_err(), "{name}");
    }
    let below = MailboxEdit { parent: Some(Some(b.id)), ..MailboxEdit::default() };
    assert!(matches!(w.store.edit_mailbox(ACCOUNT, a.id, &below).await, Err(Error::Reserved(_))));
    let inbox = w.mailbox(ACCOUNT, "INBOX").await.mailbox;
    let renamed = MailboxEdit { name: Some("c".into()), sort_order: Some(1), ..MailboxEdit::default() };
    assert!(matches!(w.store.edit_mailbox(ACCOUNT, inbox, &renamed).await, Err(Error::Reserved(_))));
    w.store.edit_mailbox(ACCOUNT, a.id, &renamed).await.unwrap();
    let subscribed = w.store.subscriptions(ACCOUNT).await.unwrap();
    assert!(subscribed.contains("c/b") && subscribed.contains("c") && !subscribed.contains("a"));
    let role = MailboxEdit { role: Some(Some(Role::All)), subscribed: Some(false), ..MailboxEdit::default() };
    w.store.edit_mailbox(ACCOUNT, b.id, &role).await.unwrap();
    assert!(w.store.edit_mailbox(ACCOUNT, a.id, &role).await.is_err(), "another has it");
    assert_eq!(w.store.with_role(ACCOUNT, Role::All).await.unwrap(), Some(b.id));
    assert!(matches!(w.store.remove_mailbox(ACCOUNT, a.id, true).await, Err(Error::HasChildren)));
    w.append(MailboxRef { account: ACCOUNT, mailbox: b.id }, "Subject: a").await;
    assert!(matches!(w.store.remove_mailbox(ACCOUNT, b.id, false).await, Err(Error::HasMessages)));
    w.store.remove_mailbox(ACCOUNT, b.id, true).await.unwrap();
    w.store.remove_mailbox(ACCOUNT, a.id, false).await.unwrap();
    assert!(matches!(w.store.remove_mailbox(ACCOUNT, inbox, true).await, Err(Error::Reserved(_))));
    w.sound().await;
}

/// A copy that is marked for removal stays and is seen by nobody (RFC 8621 §4.1.1): its thread has an email less.
#[tokio::test]
async fn what_leaves_may_have_been_all_that_was_seen() {
    let w = world(9).await;
    let [inbox, archive] = [w.mailbox(ACCOUNT, "INBOX").await, w.mailbox(ACCOUNT, "Archive").await];
    let away = w.mailbox(OTHER, "INBOX").await;
    let within = w.mailbox(ACCOUNT, "Junk").await;
    for (to, hides) in [(away, true), (within, false)] {
        let uid = w.append(inbox, "Subject: a").await;
        let uids: UidSet = [uid].into_iter().collect();
        let copied = w.store.copy(inbox, &uids, archive).await.unwrap().pairs[0].1;
        let marked = FlagChange::Add(system(SystemFlags::DELETED));
        w.store.store_flags(archive, &[copied].into_iter().collect(), &marked, None).await.unwrap();
        let since = w.store.state(ACCOUNT).await.unwrap();
        w.store.move_(inbox, &uids, to).await.unwrap();
        let log = changes::log::read(&w.db, ACCOUNT, since, 10).await.unwrap();
        let told = log.entries.iter().any(|(_, entry)| entry.shows_or_hides);
        assert_eq!(told, hides, "{:?}", log.entries);
    }
}

/// What the log says a client has to look at again, since a moment.
async fn changed(w: &World, since: ModSeq) -> (BTreeSet<EmailId>, BTreeSet<EmailId>, BTreeSet<MailboxId>) {
    let (mut there, mut gone, mut mailboxes) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    let log = changes::log::read(&w.db, ACCOUNT, since, 10_000).await.unwrap();
    for (_, entry) in log.entries {
        mailboxes.extend(entry.mailboxes.iter().map(|id| MailboxId(*id)));
        let emails = entry.emails.iter().map(|id| EmailId(*id));
        if entry.kind == ChangeKind::EmailDestroyed as i32 {
            gone.extend(emails);
        } else {
            there.extend(emails);
        }
    }
    (there, gone, mailboxes)
}

async fn places(w: &World) -> [MailboxRef; 4] {
    [
        w.mailbox(ACCOUNT, "INBOX").await,
        w.mailbox(ACCOUNT, "Archive").await,
        w.mailbox(ACCOUNT, "Junk").await,
        w.mailbox(ACCOUNT, "Trash").await,
    ]
}

/// Where an email is to be, of these mailboxes.
fn place(places: &[MailboxRef], what: u8, bits: u8) -> Place {
    let some: BTreeSet<MailboxId> =
        places.iter().enumerate().filter(|(n, _)| bits & (1 << n) != 0).map(|(_, at)| at.mailbox).collect();
    match what {
        0 => Place::Same,
        1 => Place::Only(some),
        2 => Place::Change { add: some, remove: BTreeSet::from([places[0].mailbox]) },
        _ => Place::Nowhere,
    }
}

/// Where an email is, of a model, and whether it was seen; what an edit makes of it.
fn becomes(email: &mut Option<(BTreeSet<MailboxId>, bool)>, edit: &EmailEdit) -> Result<(), Refusal> {
    let Some((here, seen)) = email.as_mut() else { return Err(Refusal::NotFound) };
    let mut there = here.clone();
    match &edit.place {
        Place::Same => {}
        Place::Change { add, remove } => {
            there.extend(add);
            there.retain(|at| !remove.contains(at));
        }
        Place::Only(only) => there.clone_from(only),
        Place::Nowhere => {
            *email = None;
            return Ok(());
        }
    }
    if there.is_empty() {
        return Err(Refusal::Homeless);
    }
    *here = there;
    *seen |= edit.flags.is_some();
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Edits of many emails in one call, some of them again, become what a model of them says, as those one after the other do.
    #[test]
    fn edits_of_many_emails_are_edits_of_each(
        edits in prop::collection::vec((0..40usize, 0..4u8, 0..16u8, any::<bool>()), 1..90)
    ) {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async move {
            for at_once in [1, usize::MAX] {
                let w = world(11).await;
                let places = places(&w).await;
                // The last two are not there.
                let (mut ids, mut model) = (Vec::new(), vec![None; 40]);
                for (n, known) in model.iter_mut().enumerate().take(38) {
                    ids.push(append(&w, places[n % 3], &format!("Subject: {n}\r\nMessage-ID: <{n}@x>")).await);
                    *known = Some((set(&places[n % 3..=n % 3]), false));
                }
                ids.extend([EmailId(1), EmailId(2)]);
                let edits: Vec<(usize, EmailEdit)> = edits.iter().map(|&(who, what, bits, seen)| (who, EmailEdit {
                    email: ids[who],
                    flags: seen.then(|| FlagChange::Add(system(SEEN))),
                    place: place(&places, what, bits),
                    within: None,
                })).collect();
                for some in edits.chunks(at_once.min(edits.len())) {
                    let calls: Vec<EmailEdit> = some.iter().map(|(_, edit)| edit.clone()).collect();
                    let outcomes = w.store.edit_emails(ACCOUNT, &calls).await.unwrap().outcomes;
                    let expected: Vec<_> = some.iter().map(|(who, edit)| becomes(&mut model[*who], edit)).collect();
                    prop_assert_eq!(outcomes, expected);
                }
                for (id, known) in ids.into_iter().zip(&model) {
                    let now = email(&w, id).await.map(|email| (email.mailboxes(), email.flags() == system(SEEN)));
                    prop_assert_eq!(&now, known);
                }
                for at in places {
                    let status = w.store.status(at).await.unwrap();
                    let here = || model.iter().flatten().filter(|(mailboxes, _)| mailboxes.contains(&at.mailbox));
                    let unseen = here().filter(|(_, seen)| !seen).count();
                    prop_assert_eq!((status.exists as usize, status.unseen as usize), (here().count(), unseen));
                }
                w.sound().await;
            }
            Ok(())
        })?;
    }

    /// Whatever is done to emails, in a store with conflicts and unknown outcomes: a cache that follows the log is what a
    /// full look finds, and everything fits together.
    #[test]
    fn the_log_tells_all(steps in prop::collection::vec((0..4usize, 0..4u8, 0..16u8, any::<bool>()), 1..14)) {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async move {
            let w = world(9).await;
            let places = places(&w).await;
            let mut ids = Vec::new();
            for n in 0..4 {
                ids.push(append(&w, places[0], &format!("Subject: {n}\r\nMessage-ID: <{n}@x>")).await);
            }
            let mut since = w.store.state(ACCOUNT).await.unwrap();
            let mut cache: Vec<Email> = w.store.emails(ACCOUNT, &ids).await.unwrap();
            w.faults.set_plan(Plan { conflict: 100, ..Plan::NONE });
            for (who, what, bits, seen) in steps {
                let flags = seen.then(|| FlagChange::Add(system(SEEN)));
                let _ = edit(&w, ids[who], flags, place(&places, what, bits)).await;
                let (_, gone, mailboxes) = changed(&w, since).await;
                let now = w.store.emails(ACCOUNT, &ids).await.unwrap();
                let (told, _, _) = changed(&w, since).await;
                for email in &now {
                    let known = cache.iter().find(|old| old.id == email.id);
                    prop_assert!(known == Some(email) || told.contains(&email.id), "{email:?} was not told");
                    if let Some(old) = known.filter(|old| *old != email) {
                        let moved = old.mailboxes().symmetric_difference(&email.mailboxes()).copied().collect::<BTreeSet<_>>();
                        prop_assert!(moved.is_subset(&mailboxes), "mailboxes {moved:?} were not told");
                    }
                }
                for old in cache.iter().filter(|old| !now.iter().any(|email| email.id == old.id)) {
                    prop_assert!(gone.contains(&old.id), "{old:?} was not told");
                }
                (cache, since) = (now, w.store.state(ACCOUNT).await.unwrap());
            }
            w.faults.set_plan(Plan::NONE);
            w.sound().await;
            Ok(())
        })?;
    }
}

#[tokio::test]
async fn uploads_have_their_limits_and_their_end() {
    let w = world(10).await;
    let limits = UploadLimits { count: 2, octets: 25 };
    let stage = async |text: &'static str| w.store.blobs().stage(text.as_bytes().into()).await.unwrap();
    let keep = async |text: &'static str| {
        let staged = stage(text).await;
        w.store.keep_upload(ACCOUNT, &staged, Duration::from_secs(60), limits).await
    };
    let expires = keep("0123456789").await.unwrap();
    let owner = blob::BlobOwner::Upload { account: ACCOUNT, expires };
    let hash = stage("0123456789").await.hash();
    assert!(w.store.blobs().holds(hash, owner).await.unwrap());
    assert!(
        matches!(keep("0123456789abcdef0123456789").await, Err(Error::OverQuota)),
        "too large for itself"
    );
    let later = async |text: &'static str, expires| {
        let owner = blob::BlobOwner::Upload { account: ACCOUNT, expires };
        w.store.blobs().holds(stage(text).await.hash(), owner).await.unwrap()
    };
    w.clock.advance(Duration::from_secs(1));
    let second = keep("abc").await.unwrap();
    assert!(w.store.blobs().holds(hash, owner).await.unwrap(), "there is room for two");
    w.clock.advance(Duration::from_secs(1));
    let third = keep("d").await.unwrap();
    assert!(!w.store.blobs().holds(hash, owner).await.unwrap(), "too many: the oldest goes");
    assert!(later("abc", second).await && later("d", third).await);
    w.clock.advance(Duration::from_secs(1));
    let large = keep("0123456789abcdef012345678").await.unwrap();
    assert!(!later("abc", second).await && !later("d", third).await, "too much: as many go as it takes");
    w.clock.advance(Duration::from_secs(61));
    w.store.blobs().collect(10).await.unwrap();
    assert!(!later("0123456789abcdef012345678", large).await, "its time is over");
    w.sound().await;
}
