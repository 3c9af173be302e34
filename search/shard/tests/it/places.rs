//! Documents become UIDs by tables that are kept: whatever happens to the mailbox, or to the segments, they are right.

use mail::{MailboxRef, UidSet};
use query::{Filter, Needle};

use crate::world::{ALICE, BOB, World, settle};

fn message(n: usize, words: &str) -> String {
    format!("Subject: number {n}\r\n\r\nThere are words, {words}, and number {n}.\r\n")
}

/// What a search finds, once with the mailbox remembered and once with nothing of it in memory, is what a scan finds.
async fn found(world: &World, at: MailboxRef, needle: &str) -> UidSet {
    let tally = world.mail.tally(at).await.unwrap();
    let listing = world.mail.listing(at).await.unwrap();
    assert!(listing.is_some() || tally.emails == 0, "it is remembered");
    let filter = Filter::Body(Needle::new(needle));
    let found = world.agree(at, &filter, "with what is kept").await;
    world.agree_with(&world.fresh(), at, &filter, "from nothing").await;
    found
}

fn uids(uids: impl IntoIterator<Item = u32>) -> UidSet {
    uids.into_iter().collect()
}

#[tokio::test]
async fn what_is_kept_of_a_mailbox_is_right_whatever_happens() {
    let world = World::new(11, 1 << 20).await;
    let (inbox, work) = (world.inbox(ALICE).await, world.mailbox(ALICE, "Work").await);
    let mut shard = world.shard().await;
    for n in 1..=60 {
        let words = if n % 2 == 0 { "even" } else { "odd" };
        world.append(inbox, message(n, words)).await;
    }
    // Another account of the same shard, whose emails have the same ids.
    for n in 1..=60 {
        world.append(world.inbox(BOB).await, message(n, "even and odd")).await;
    }
    settle(&mut shard).await;
    assert_eq!(found(&world, inbox, "even").await, uids((2..=60).step_by(2)));
    assert_eq!(found(&world, inbox, "there").await.len(), 60);
    assert_eq!(found(&world, work, "there").await.len(), 0);

    // Expunged: with the index as it was, and after it followed.
    world.remove(inbox, &[2, 4, 60]).await;
    assert_eq!(found(&world, inbox, "even").await.len(), 27);
    settle(&mut shard).await;
    assert_eq!(found(&world, inbox, "even").await.len(), 27);

    // Moved away and back, and copied beside itself: other UIDs of emails that the table knows.
    world.mail.move_(inbox, &uids(6..=30), work).await.unwrap();
    assert_eq!(found(&world, work, "even").await.len(), 13);
    assert_eq!(found(&world, inbox, "even").await.len(), 14);
    let all = world.mail.open(work).await.unwrap().uids;
    world.mail.move_(work, &all, inbox).await.unwrap();
    assert_eq!(found(&world, work, "there").await.len(), 0);
    let even = found(&world, inbox, "even").await;
    assert_eq!((even.len(), even.last()), (27, Some(85)));
    world.mail.copy(inbox, &uids(31..=50), inbox).await.unwrap();
    assert_eq!(found(&world, inbox, "there").await.len(), 77);
    world.remove(inbox, &[32, 34, 85]).await;
    assert_eq!(found(&world, inbox, "even").await.len(), 34);

    // New mail: before the index has it, after, and of an edition that is made anew.
    for n in 100..=150 {
        world.append(inbox, message(n, "even")).await;
    }
    assert_eq!(found(&world, inbox, "even").await.len(), 85);
    settle(&mut shard).await;
    assert_eq!(found(&world, inbox, "even").await.len(), 85);
    world.segments.rebuild(3, "a test", 0).await.unwrap();
    settle(&mut shard).await;
    assert_eq!(found(&world, inbox, "even").await.len(), 85);
    assert_eq!(found(&world, world.inbox(BOB).await, "even").await.len(), 60);
}
