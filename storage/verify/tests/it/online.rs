//! A verification finds nothing in a sound store, however many write to it and whatever becomes of their commits.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use content_mail::{Limits, summarize};
use godwit_verify::{Cursor, Error, Scope};
use kv::fault::Plan;
use mail::{FlagChange, Incoming, MailboxRef, Store, UidSet};
use runtime::{Rng, SeededRng};
use schema::keys::queue::slot_of;
use schema::{AccountId, Flags, Keyword, SystemFlags};
use spool::{Outcome, Reply, Spool};

use crate::world::{REMOTE, World, bare, path, text};

/// Random verbs until it is told to stop; what the store refuses is passed over.
async fn write(store: Store, account: AccountId, at: Vec<MailboxRef>, seed: u64, stop: Arc<AtomicBool>) {
    let rng = SeededRng::new(seed);
    let mut step = 0;
    while !stop.load(Ordering::Relaxed) {
        step += 1;
        let pick = |rng: &SeededRng| at[rng.below(at.len() as u64) as usize];
        let (from, to) = (pick(&rng), pick(&rng));
        let some: UidSet = (0..4).map(|_| 1 + rng.below(20) as u32).collect();
        let box_ = path(&format!("box{}", rng.below(3)));
        let keywords = [Keyword::new(&format!("$k{}", step % 4)).unwrap()].into();
        let flags = Flags { system: SystemFlags::DELETED | SystemFlags::SEEN, keywords };
        // Whatever it answers: what is stored is looked at.
        match rng.below(12) {
            0..=3 => {
                let text = text(step, rng.below(3_000) as usize);
                let summary = Arc::new(summarize(&text, &Limits::default()));
                if let Ok(staged) = store.blobs().stage(text.into()).await {
                    let _ = store.append(from, &Incoming { staged, summary }, &Flags::none(), 1).await;
                }
            }
            4 | 5 => drop(store.store_flags(from, &some, &FlagChange::Add(flags), None).await),
            6 => drop(store.copy(from, &some, to).await),
            7 => drop(store.move_(from, &some, to).await),
            8 => drop(store.expunge(from, None).await),
            9 => {
                let made = store.create(account, &box_, None).await;
                if let Ok(made) = made {
                    let to = MailboxRef { account, mailbox: made.id };
                    let _ = store.copy(from, &(1..=20).collect(), to).await;
                }
            }
            10 => drop(store.delete(account, &box_).await),
            _ => {
                for at in store.emptying(None, 9).await.unwrap_or_default() {
                    let _ = store.empty_step(at).await;
                }
            }
        }
        tokio::time::sleep(Duration::from_millis(1 + rng.below(5))).await;
    }
}

/// Mail is sent on, or not.
async fn send(w: Arc<World>, stop: Arc<AtomicBool>) {
    let mut fence = w.own(REMOTE).await;
    let mut step = 0;
    while !stop.load(Ordering::Relaxed) {
        step += 1;
        let (spool, mail): (&Spool, &Store) = (&w.spool, &w.mail);
        if let Ok(staged) = mail.blobs().stage(text(step, 10).into()).await {
            let new = &crate::world::entry(REMOTE, 2, staged);
            let _ = w.db.transact("test", |txn| async move { spool.enqueue_in(&txn, new).await }).await;
        }
        if let (Ok(fence), Ok(due)) = (&fence, spool.due(slot_of(REMOTE), 3, 3).await) {
            for due in due.entries {
                let Ok(Some(claimed)) = spool.claim(due.id, fence).await else { continue };
                let outcome = if step % 2 == 0 {
                    Outcome::Delivered(Reply::default())
                } else {
                    Outcome::Deferred(Reply::default())
                };
                let next = claimed.entry.created;
                let _ = spool.settle(&claimed, &[(0, outcome.clone()), (1, outcome)], next).await;
            }
        }
        if step % 7 == 0 {
            fence = w.own(REMOTE).await;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Looks through all of it; a page that could not be read is asked for again.
async fn look(w: &World) -> (Vec<String>, u64) {
    let scope = Scope { account: None, bodies: true };
    let (mut found, mut rows, mut next) = (Vec::new(), 0, Some(Cursor::START));
    while let Some(from) = next.take() {
        match w.verifier.page(&scope, &from).await {
            Ok(page) => {
                found.extend(page.findings.iter().map(ToString::to_string));
                rows += page.rows;
                next = page.next;
            }
            Err(Error::Kv(_) | Error::Mail(mail::Error::Kv(_)) | Error::Blob(blob::Error::Kv(_))) => {
                next = Some(from);
            }
            Err(error) => panic!("{error}"),
        }
    }
    (found, rows)
}

async fn online(seed: u64, plan: Plan, looks: usize) {
    let mut w = bare(seed).await;
    w.ann = w.account("ann", accounts::Kind::Person).await;
    let w = Arc::new(w);
    let mut at = vec![w.at("INBOX").await, w.at("Archive").await];
    at.push(w.at("Sent").await);
    w.faults.set_plan(plan);
    let stop = Arc::new(AtomicBool::new(false));
    let mut writers: Vec<_> = (0..3)
        .map(|n| tokio::spawn(write(w.mail.clone(), w.ann, at.clone(), seed * 10 + n, stop.clone())))
        .collect();
    writers.push(tokio::spawn(send(w.clone(), stop.clone())));
    let mut rows = 0;
    for _ in 0..looks {
        tokio::time::sleep(Duration::from_millis(50)).await;
        let (found, seen) = look(&w).await;
        assert_eq!(found, [""; 0], "seed {seed}");
        rows += seen;
    }
    stop.store(true, Ordering::Relaxed);
    for writer in writers {
        writer.await.unwrap();
    }
    w.faults.deliver().await;
    w.faults.set_plan(Plan::NONE);
    assert_eq!(look(&w).await.0, [""; 0], "seed {seed}, at rest");
    assert!(rows > 200, "{rows}");
}

#[tokio::test(start_paused = true)]
async fn a_sound_store_that_is_written_to_has_no_findings() {
    for seed in 1..=4 {
        online(seed, Plan::STALLS, 6).await;
    }
}

#[tokio::test(start_paused = true)]
async fn nor_has_one_that_loses_answers() {
    for seed in 1..=3 {
        online(seed, Plan { unavailable: 3, too_old: 3, ..Plan::HARSH }, 2).await;
    }
}
