//! A mailbox of many pages is counted while it changes: exactly, and in small transactions.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use godwit_verify::{Kind, Scope};
use kv::fault::Plan;
use mail::{FlagChange, MailboxRef, UidSet};
use runtime::{Rng, SeededRng};
use schema::SystemFlags;
use schema::keys::mail::{CountersKey, UidNextKey};

use crate::damage::mended;
use crate::world::{World, bare, text, world};

/// Pages of UIDs.
const PAGES: u32 = 30;

/// A mailbox whose messages are spread over many pages.
async fn spread(w: &World, at: MailboxRef) {
    let next = UidNextKey { account: at.account, mailbox: at.mailbox };
    for page in 0..PAGES {
        w.set(&next, &(page * 4_096 + 4_090).to_le_bytes()).await;
        for n in 0..10 {
            w.append(at, text(page * 10 + n + 10, 10)).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_mailbox_of_many_pages_is_counted_while_it_changes() {
    let mut w = bare(3).await;
    w.ann = w.account("ann", accounts::Kind::Person).await;
    let at = w.at("INBOX").await;
    spread(&w, at).await;
    let right = w.mail.status(at).await.unwrap();
    w.faults.set_plan(Plan::STALLS);
    let (w, stop) = (Arc::new(w), Arc::new(AtomicBool::new(false)));
    let changes = Arc::new(AtomicU32::new(0));
    let writers: Vec<_> = (0..2)
        .map(|seed| {
            let (w, stop, changes) = (Arc::clone(&w), Arc::clone(&stop), Arc::clone(&changes));
            tokio::spawn(async move {
                let rng = SeededRng::new(seed);
                while !stop.load(Ordering::Relaxed) {
                    let page = rng.below(u64::from(PAGES)) as u32;
                    let some: UidSet = (0..6).map(|n| page * 4_096 + 4_090 + n).collect();
                    let flags = if rng.below(3) == 0 { SystemFlags::DELETED } else { SystemFlags::SEEN };
                    let _ = w.mail.store_flags(at, &some, &FlagChange::Add(flags.into()), None).await;
                    if rng.below(4) == 0 {
                        let _ = w.mail.expunge(at, None).await;
                        w.append(at, text(9_999, 10)).await;
                    }
                    changes.fetch_add(1, Ordering::Relaxed);
                    tokio::task::yield_now().await;
                }
            })
        })
        .collect();
    let mut counts = 0;
    while changes.load(Ordering::Relaxed) < 60 {
        assert_eq!(w.mail.recount(w.ann).await.unwrap(), []);
        counts += 1;
    }
    assert!(counts >= 3, "{counts} counts");
    stop.store(true, Ordering::Relaxed);
    for writer in writers {
        writer.await.unwrap();
    }
    assert!(w.mail.status(at).await.unwrap().exists != right.exists);
    assert_eq!(w.found(&Scope::default()).await, []);
}

#[tokio::test]
async fn one_message_too_many_is_noticed_among_many_pages() {
    let mut w = world().await;
    let at = w.at("Archive").await;
    spread(&w, at).await;
    w.watch().await;
    let key = CountersKey { account: at.account, mailbox: at.mailbox };
    let mut counters = w.get(&schema::Key::encode(&key)).await.unwrap().to_vec();
    counters[0] ^= 1;
    w.set(&key, &counters).await;
    mended(&mut w, &[Kind::CountersWrong]).await;
}
