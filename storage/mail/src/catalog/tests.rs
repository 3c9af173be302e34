//! A catalogue says what a full reading says, however it came to be.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use runtime::{Rng, SeededRng};
use schema::{AccountId, EmailId, Flags, MailboxId, SystemFlags, ThreadId};

use super::Catalog;
use super::columns::{Columns, Entry};
use crate::Head;
use crate::emails::{Email, EmailCopy};
use schema::BlobHash;

fn email(random: &SeededRng, id: u64) -> Email {
    let flags = [SystemFlags::NONE, SystemFlags::SEEN, SystemFlags::FLAGGED, SystemFlags::DELETED];
    let copies = (0..random.below(4)).map(|_| EmailCopy {
        mailbox: MailboxId(u32::try_from(random.below(4)).unwrap()),
        uid: 1,
        flags: Flags::from(flags[usize::try_from(random.below(4)).unwrap()]),
        saved: 0,
    });
    Email {
        id: EmailId(id),
        thread: ThreadId(id % 7),
        blob: BlobHash([0; 32]),
        size: id * 10,
        // The same for an id: it never changes.
        received: i64::try_from(id * 37 % 11).unwrap(),
        copies: copies.collect(),
    }
}

/// Emails that came when it is said, in order; `thread` says of each in which it is.
pub(super) fn of_times(received: Vec<i64>, thread: impl Fn(u64) -> u64) -> Catalog {
    let entry = |(received, id): (i64, u64)| Entry {
        received,
        id: EmailId(id),
        size: 1,
        thread: ThreadId(thread(id)),
        copies: vec![(MailboxId(1), 0)],
    };
    let mut columns = Columns::default();
    columns.insert(received.into_iter().zip(0..).map(entry).collect());
    Catalog { columns, ..Catalog::default() }
}

/// What columns have to say, by all emails.
fn check(columns: &Columns, all: &BTreeMap<EmailId, Email>, context: &str) {
    let mut seen: Vec<&Email> = all.values().filter(|email| email.is_seen()).collect();
    seen.sort_by_key(|email| (email.received, email.id));
    let ids: Vec<EmailId> = seen.iter().map(|email| email.id).collect();
    assert_eq!(columns.ids, ids, "{context}");
    for (row, email) in seen.iter().enumerate() {
        assert_eq!(columns.received[row], email.received, "{context}");
        assert_eq!(u64::from(columns.sizes[row]), email.size, "{context}");
        assert_eq!(columns.thread_number(email.thread), Some(columns.threads[row]), "{context}");
        assert_eq!(columns.flags.sets[columns.sets[row] as usize], email.flags(), "{context}");
        for mailbox in (0..5).map(MailboxId) {
            let within = columns.within(0..columns.len(), |at| at == mailbox).contains(row);
            assert_eq!(within, email.mailboxes().contains(&mailbox), "{context}");
            let outside = columns.within(0..columns.len(), |at| at != mailbox).contains(row);
            assert_eq!(outside, !email.mailboxes().is_subset(&BTreeSet::from([mailbox])), "{context}");
        }
    }
}

/// Emails and threads are found by their ids, and are what rows say of them.
fn check_listed(columns: &mut Columns, all: &BTreeMap<EmailId, Email>, context: &str) {
    let catalog = Catalog { columns: std::mem::take(columns), ..Catalog::default() };
    let wanted: Vec<EmailId> = (0..41).rev().map(EmailId).collect();
    for (id, listed) in wanted.iter().zip(catalog.listed(&wanted).unwrap()) {
        let listed = listed.map(|one| {
            let mailboxes: BTreeSet<MailboxId> = one.mailboxes.into_iter().collect();
            (one.id, one.thread, one.size, one.received, mailboxes, one.flags.clone())
        });
        let email = all.get(id).filter(|email| email.is_seen());
        let read =
            email.map(|one| (one.id, one.thread, one.size, one.received, one.mailboxes(), one.flags()));
        assert_eq!(listed, read, "{context}");
    }
    let mut seen: Vec<&Email> = all.values().filter(|email| email.is_seen()).collect();
    seen.sort_by_key(|email| (email.received, email.id));
    let mut threads: BTreeMap<ThreadId, Vec<EmailId>> = BTreeMap::new();
    for email in seen.iter().filter(|email| email.thread.0 < 5) {
        threads.entry(email.thread).or_default().push(email.id);
    }
    let wanted: Vec<ThreadId> = (0..5).chain([99]).map(ThreadId).collect();
    assert_eq!(catalog.in_threads(&wanted), Some(threads), "{context}");
    *columns = catalog.columns;
}

fn head(id: EmailId) -> Head {
    Head {
        sent: Some(i64::try_from(id.0 * 1_000).unwrap()),
        base_subject: format!("Subject {}", id.0 % 3),
        has_attachment: id.0.is_multiple_of(2),
        ..Head::default()
    }
}

/// What was learnt of summaries stays with its email.
fn check_traits(columns: &Columns, context: &str) {
    let known = columns.traits.rows.iter().zip(&columns.ids).filter(|(traits, _)| traits.is_known());
    for (traits, id) in known {
        let text = &*columns.traits.texts[traits.subject as usize];
        assert_eq!(
            (traits.sent, traits.attached),
            (i64::try_from(id.0).unwrap(), id.0 % 2 == 0),
            "{context}"
        );
        assert_eq!(text, format!("subject {}", id.0 % 3), "{context}");
    }
    let unknown = columns.traits.rows.iter().filter(|traits| !traits.is_known()).count();
    let complete =
        columns.traits.rows.len() == columns.len() && unknown == 0 && !columns.traits.rows.is_empty();
    assert!(columns.traits.rows.is_empty() || columns.traits.is_complete() == complete, "{context}");
}

/// An order that is kept is what a new one would be.
fn check_order(columns: &Columns, made: &mut u32, context: &str) {
    let key = |row: u32| (std::cmp::Reverse(columns.ids[row as usize].0 % 5), row);
    let all = || {
        let mut rows: Vec<u32> = (0..u32::try_from(columns.len()).unwrap()).collect();
        rows.sort_by_key(|row| key(*row));
        rows
    };
    let make = || {
        *made += 1;
        all()
    };
    let kept = columns.orders.lock().get("fifths", |a, b| key(a).cmp(&key(b)), make);
    assert_eq!(*kept, all(), "{context}");
}

#[test]
fn columns_follow_what_happens() {
    for seed in 0..200 {
        let random = SeededRng::new(seed);
        let (mut columns, mut all, mut orders_made) = (Columns::default(), BTreeMap::new(), 0);
        for step in 0..30 {
            let context = format!("seed {seed}, step {step}");
            if random.below(8) == 0 {
                let mailbox = MailboxId(u32::try_from(random.below(4)).unwrap());
                columns.remove_mailbox(mailbox);
                all.values_mut().for_each(|email: &mut Email| email.copies.retain(|c| c.mailbox != mailbox));
            }
            let changed: BTreeSet<EmailId> =
                (0..random.below(9)).map(|_| EmailId(random.below(40))).collect();
            let mut there = Vec::new();
            for id in &changed {
                all.remove(id);
                if random.below(4) > 0 {
                    let new = email(&random, id.0);
                    all.insert(*id, new.clone());
                    there.push(new);
                }
            }
            columns.replace(&changed, &there);
            check(&columns, &all, &context);
            check_listed(&mut columns, &all, &context);
            if random.below(8) == 0 {
                columns.traits.want(columns.len());
                for (received, id) in columns.received.clone().into_iter().zip(columns.ids.clone()) {
                    columns.learn(received, id, Some(&head(id)));
                }
                assert!(columns.traits.is_complete(), "{context}");
            }
            check_traits(&columns, &context);
            if random.below(3) == 0 {
                check_order(&columns, &mut orders_made, &context);
            }
        }
        assert!(orders_made <= 1, "seed {seed}: sorted {orders_made} times");
    }
}

#[test]
fn entries_lie_in_order_of_arrival() {
    let mut columns = Columns::default();
    let set = columns.flags.number(Flags::none());
    let entry = |received, id| Entry {
        received,
        id: EmailId(id),
        size: u64::MAX,
        thread: ThreadId(1),
        copies: vec![(MailboxId(1), set)],
    };
    columns.insert(vec![entry(5, 1), entry(5, 3)]);
    columns.insert(vec![entry(4, 9), entry(5, 2), entry(7, 0)]);
    assert_eq!(columns.ids, [9, 1, 2, 3, 0].map(EmailId));
    assert_eq!((columns.sizes[0], columns.thread_count()), (u32::MAX, 1));
    let catalog = Catalog { columns, ..Catalog::default() };
    assert!(catalog.listed(&[EmailId(9)]).is_none(), "how large it is is not known");
    assert_eq!(catalog.listed(&[EmailId(4)]), Some(vec![None]));
}

/// Those that are used least make room, and come back as they were.
#[tokio::test]
async fn catalogues_make_room_for_each_other() {
    let catalogs = super::Catalogs::of(10 * super::LEAST as u64);
    for account in 0..100 {
        catalogs.0.insert(AccountId(account), Arc::default());
    }
    catalogs.0.run_pending_tasks();
    assert!(catalogs.0.entry_count() <= 10);
}
