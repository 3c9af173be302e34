//! An account with much mail.

use std::collections::BTreeSet;
use std::sync::Arc;

use content_mail::{Limits, summarize};
use futures::future::join_all;
use mail::{Incoming, MailboxPath, MailboxRef};
use schema::{Flags, Keyword, SystemFlags};

use crate::world::{ACCOUNT, World};

/// Messages that one transaction stores.
const BATCH: usize = 100;
/// Transactions at once, each in mailboxes of its own.
const WRITERS: usize = 8;
/// Mailboxes, and those of them that half of the mail is in.
const MAILBOXES: usize = 5_000;
const LARGE: usize = 8;
/// Emails of a thread.
const THREAD: usize = 3;
/// From 2020 on, for three years.
const BEGIN: usize = 1_577_836_800;
const SPAN: usize = 3 * 365 * 86_400;

/// Returns the mailboxes, the large ones first. They are filled unless they are there.
pub(crate) async fn fill(world: &World, emails: usize) -> Vec<MailboxRef> {
    let known = world.mail.mailboxes(ACCOUNT).await.unwrap();
    let at = |mailbox| MailboxRef { account: ACCOUNT, mailbox };
    let own = known.iter().filter(|one| one.name.starts_with("Folder "));
    let mut known: Vec<MailboxRef> = own.map(|one| at(one.id)).collect();
    // Their ids are in the order in which they were made.
    known.sort_unstable_by_key(|at| at.mailbox);
    if !known.is_empty() {
        return known;
    }
    let mut mailboxes = Vec::new();
    for n in 0..MAILBOXES.min(emails / 10 + LARGE) {
        let path = MailboxPath::parse(&format!("Folder {n}")).unwrap();
        let made = world.mail.create(ACCOUNT, &path, None).await.unwrap();
        mailboxes.push(MailboxRef { account: ACCOUNT, mailbox: made.id });
    }
    let step = SPAN / emails.max(1);
    join_all((0..WRITERS).map(|writer| write(world, &mailboxes, emails, step, writer))).await;
    mailboxes
}

/// What one of the writers writes: threads whose number is its own, in mailboxes whose number is.
async fn write(world: &World, mailboxes: &[MailboxRef], emails: usize, step: usize, writer: usize) {
    let own: Vec<usize> = (0..emails).filter(|n| n / THREAD % WRITERS == writer).collect();
    for batch in own.chunks(BATCH) {
        let mut messages = Vec::with_capacity(batch.len());
        for n in batch {
            messages.push((place(mailboxes, *n), incoming(world, *n).await, flags(*n), BEGIN + n * step));
        }
        let messages = &messages;
        let stored = world.db.transact("bench", |txn| async move {
            for (at, incoming, flags, received) in messages {
                let received = i64::try_from(*received).unwrap();
                world.mail.append_in(&txn, *at, incoming, flags, received).await?;
            }
            Ok::<_, mail::Error>(())
        });
        stored.await.unwrap();
    }
}

fn place(mailboxes: &[MailboxRef], n: usize) -> MailboxRef {
    let (thread, writer) = (n / THREAD, n / THREAD % WRITERS);
    let large = (thread / WRITERS).is_multiple_of(2) || mailboxes.len() < 2 * LARGE;
    let at = if large { writer } else { (thread / WRITERS * WRITERS + writer) % mailboxes.len() };
    mailboxes[at]
}

async fn incoming(world: &World, n: usize) -> Incoming {
    let first = n / THREAD * THREAD;
    let references =
        if first == n { String::new() } else { format!("References: <{first}@example.test>\r\n") };
    let attached =
        if n.is_multiple_of(9) { "Content-Disposition: attachment; filename=a.txt\r\n" } else { "" };
    let message = format!(
        "From: Somebody Number {} <s{}@example.test>\r\nTo: alice@example.test\r\nMessage-ID: <{n}@example.test>\r\n\
         {references}{attached}Date: Thu, {} Jan 2020 {:02}:{:02}:00 +0000\r\nSubject: {}about matter {first}\r\n\r\n{}\r\n",
        n % 997,
        n % 997,
        1 + n % 28,
        n % 24,
        n % 59,
        if first == n { "" } else { "Re: " },
        "some words of a message that is read. ".repeat(1 + n % 17),
    );
    let summary = Arc::new(summarize(message.as_bytes(), &Limits::default()));
    Incoming { staged: world.mail.blobs().stage(message.into()).await.unwrap(), summary }
}

fn flags(n: usize) -> Flags {
    let mut flags = Flags::none();
    if !n.is_multiple_of(10) {
        flags.system |= SystemFlags::SEEN;
    }
    if n % 50 == 7 {
        flags.system |= SystemFlags::FLAGGED;
    }
    if n % 20 == 3 {
        flags.keywords = BTreeSet::from([Keyword::new("work").unwrap()]);
    }
    flags
}

/// One more message.
pub(crate) async fn append(world: &World, at: MailboxRef, n: usize) {
    let incoming = incoming(world, 1_000_000_000 + n).await;
    world.mail.append(at, &incoming, &Flags::none(), 1_800_000_000).await.unwrap();
}
