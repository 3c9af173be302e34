//! Damage to messages, emails, indexes and what is counted of them.

use godwit_verify::{Kind, Scope};
use mail::MailboxRef;
use schema::keys::mail::*;
use schema::page::Page;
use schema::records::mail::{EmailRecord, MessageRecord};
use schema::{EmailId, Key, Record, ThreadId, Uid};

use crate::damage::mended;
use crate::world::{World, world};

async fn row(w: &World, at: MailboxRef, uid: u32) -> (MessageKey, MessageRecord, Vec<u8>) {
    let key = MessageKey { account: at.account, mailbox: at.mailbox, uid: Uid::new(uid).unwrap() };
    let value = w.get(&key.encode()).await.unwrap().to_vec();
    (key, MessageRecord::from_bytes(&value).unwrap(), value)
}

#[tokio::test]
async fn lost_rows_are_rebuilt() {
    let mut w = world().await;
    let inbox = w.at("INBOX").await;
    let before = w.mail.message(inbox, 2).await.unwrap();
    let (key, ..) = row(&w, inbox, 2).await;
    w.clear(&key).await;
    mended(
        &mut w,
        &[Kind::MessageLost, Kind::PageGhost, Kind::IndexStale, Kind::CountersWrong, Kind::QuotaWrong],
    )
    .await;
    let after = w.mail.message(inbox, 2).await.unwrap();
    assert_eq!((after.flags, after.email, after.size), (before.flags, before.email, before.size));
    assert!(after.modseq > before.modseq, "clients are told to ask again");

    let account = w.ann;
    w.clear(&EmailKey { account, email: before.email }).await;
    mended(&mut w, &[Kind::EmailLost]).await;
    w.clear_range(StructureKey::range(account, before.email)).await;
    mended(&mut w, &[Kind::StructureLost]).await;
    assert_eq!(w.mail.summary(account, before.email).await.unwrap().base_subject, "lunch");
    w.set(&StructureKey { account, email: EmailId(5), part: 0 }, b"\x01").await;
    mended(&mut w, &[Kind::StructureStale]).await;
    w.set(&StructureKey { account, email: before.email, part: 0 }, b"\x01\x08").await;
    mended(&mut w, &[Kind::StructureLost]).await;
}

#[tokio::test]
async fn messages_and_emails_agree() {
    let mut w = world().await;
    let (inbox, account) = (w.at("INBOX").await, w.ann);
    let (key, record, value) = row(&w, inbox, 3).await;
    let wrong = MessageRecord { size: 5, ..record.clone() };
    let mut bytes = wrong.to_bytes();
    bytes[1..11].copy_from_slice(&value[1..11]);
    w.set(&key, &bytes).await;
    let all =
        [Kind::EmailDiffers, Kind::IndexMissing, Kind::IndexStale, Kind::CountersWrong, Kind::QuotaWrong];
    mended(&mut w, &all).await;
    assert_eq!(w.mail.message(inbox, 3).await.unwrap().size, record.size);

    let (_, two, _) = row(&w, inbox, 2).await;
    let copy = MembershipKey { account, email: two.email, mailbox: inbox.mailbox, uid: Uid::new(2).unwrap() };
    w.clear(&copy).await;
    mended(&mut w, &[Kind::CopyMissing]).await;
    w.set(&MembershipKey { uid: Uid::new(99).unwrap(), ..copy }, b"").await;
    mended(&mut w, &[Kind::CopyStale]).await;
    w.set(&MembershipKey { uid: Uid::new(3).unwrap(), ..copy }, b"").await;
    mended(&mut w, &[Kind::CopyStale]).await;
}

/// A new UID: clients see that the old one vanished, and a new message.
#[tokio::test]
async fn pages_and_tombstones_agree_with_messages() {
    let mut w = world().await;
    let MailboxRef { account, mailbox } = w.at("INBOX").await;
    let inbox = w.at("INBOX").await;
    let page = PageKey { account, mailbox, page: 0 };
    let mut without = Page::from_run(1, 6);
    without.remove(3);
    w.set(&page, &without.to_bytes()).await;
    mended(&mut w, &[Kind::PageLacks]).await;
    let uids: Vec<u32> = w.mail.open(inbox).await.unwrap().uids.iter().collect();
    assert_eq!(uids, [1, 2, 4, 5, 6, 8]);

    let mut with = Page::from_run(4, 6);
    for uid in [1, 2, 8, 50] {
        with.insert(uid);
    }
    w.set(&page, &with.to_bytes()).await;
    mended(&mut w, &[Kind::PageGhost]).await;
    assert!(w.mail.open(inbox).await.unwrap().uids.iter().eq([1, 2, 4, 5, 6, 8]));

    let (_, record, _) = row(&w, inbox, 4).await;
    let first = Uid::new(4).unwrap();
    let vanished = VanishedKey { account, mailbox, stamp: record.stamp, first };
    w.set(&vanished, &schema::page::encode_ranges([4..=4])).await;
    mended(&mut w, &[Kind::VanishedIsThere]).await;
    assert!(w.mail.open(inbox).await.unwrap().uids.iter().eq([1, 2, 5, 6, 8, 9]));
}

#[tokio::test]
async fn an_email_that_is_nowhere_is_put_into_the_inbox() {
    let mut w = world().await;
    let (inbox, account) = (w.at("INBOX").await, w.ann);
    let (_, record, _) = row(&w, inbox, 4).await;
    let email = EmailId(record.email.0 + 1);
    let old = EmailKey { account, email: record.email }.encode();
    let value = w.get(&old).await.unwrap();
    w.set(&EmailKey { account, email }, &value).await;
    for (key, value) in w.range(StructureKey::range(account, record.email)).await {
        let part = StructureKey::decode(&key).unwrap().part;
        w.set(&StructureKey { account, email, part }, &value).await;
    }
    w.set(&ThreadEmailKey { account, thread: record.thread, email }, b"").await;
    let owner = schema::keys::blob::BlobOwner::Email(account, email);
    w.set(&schema::keys::blob::BlobReferenceKey { hash: record.blob, owner }, b"").await;
    mended(&mut w, &[Kind::EmailUnfiled]).await;
    assert_eq!(w.mail.message(inbox, 8).await.unwrap().email, email);
}

/// Every row of every index, one by one.
#[tokio::test]
async fn index_rows_are_written_again() {
    let mut w = world().await;
    let MailboxRef { account, mailbox } = w.at("INBOX").await;
    let (begin, end) = mailbox_range(account, mailbox);
    let is_index = |key: &[u8]| {
        let tag = key[begin.len()];
        b"defgjoz".contains(&tag)
    };
    let rows = w.range((begin.clone(), end)).await;
    let rows: Vec<_> = rows.into_iter().filter(|(key, _)| is_index(key)).collect();
    assert!(rows.len() > 40);
    for (key, _) in rows {
        if w.get(&key).await.is_none() {
            continue;
        }
        w.write(&[(key.to_vec(), None)]).await;
        let found = w.found(&Scope { account: Some(account), bodies: false }).await;
        assert_eq!(found.len(), 1, "{} {found:#?}", schema::explain(&key));
        assert_eq!((found[0].kind, found[0].key.as_slice()), (Kind::IndexMissing, key.as_ref()));
        w.verifier.mend(&found[0], false).await.unwrap();
        assert_eq!(w.found(&Scope { account: Some(account), bodies: false }).await, []);
    }
    w.clients_are_right().await;
}

#[tokio::test]
async fn index_rows_of_nothing_are_cleared() {
    let mut w = world().await;
    let MailboxRef { account, mailbox } = w.at("INBOX").await;
    let (_, record, _) = row(&w, w.at("INBOX").await, 2).await;
    let mut stamp = record.stamp;
    stamp[7] -= 1;
    for uid in [2, 77] {
        let uid = Uid::new(uid).unwrap();
        for key in [
            OrderKey { account, mailbox, stamp, uid }.encode(),
            ReceivedKey { account, mailbox, seconds: 5, uid }.encode(),
            SentKey { account, mailbox, seconds: 5, uid }.encode(),
            SizeKey { account, mailbox, size: 5, uid }.encode(),
            FromKey { account, mailbox, from: b"x".to_vec(), uid }.encode(),
            SubjectKey { account, mailbox, subject: b"x".to_vec(), uid }.encode(),
            FlagKey { account, mailbox, flag: FlagNumber::system(2), uid }.encode(),
            FlagKey { account, mailbox, flag: FlagNumber::keyword(9), uid }.encode(),
        ] {
            w.write(&[(key, Some(Vec::new()))]).await;
            mended(&mut w, &[Kind::IndexStale]).await;
        }
    }
}

#[tokio::test]
async fn the_change_log_knows_of_every_change() {
    let mut w = world().await;
    let (inbox, account) = (w.at("INBOX").await, w.ann);
    let before = w.mail.message(inbox, 3).await.unwrap();
    let (_, record, _) = row(&w, inbox, 3).await;
    let begin = ChangeKey { account, stamp: record.stamp, discriminator: 0 }.encode();
    let end = ChangeKey { account, stamp: record.stamp, discriminator: u64::MAX }.encode();
    w.clear_range((begin, end)).await;
    mended(&mut w, &[Kind::ChangeUnlogged]).await;
    let log = changes::log::read(&w.db, account, before.modseq, 1_000).await.unwrap();
    assert!(log.entries.iter().any(|(_, change)| change.emails == [before.email.0]));
}

#[tokio::test]
async fn threads_are_mended() {
    let mut w = world().await;
    let (inbox, account) = (w.at("INBOX").await, w.ann);
    let (_, record, _) = row(&w, inbox, 2).await;
    w.clear(&ThreadEmailKey { account, thread: record.thread, email: record.email }).await;
    mended(&mut w, &[Kind::ThreadMissing]).await;
    let (key, _) = w.range(ThreadHashKey::range(account, record.thread)).await.remove(0);
    let key = ThreadHashKey::decode(&key).unwrap();
    w.clear(&key).await;
    mended(&mut w, &[Kind::ThreadMissing]).await;
    w.set(&ThreadHashKey { hash: *b"01234567", ..key }, b"").await;
    mended(&mut w, &[Kind::ThreadStale]).await;
    w.set(&ThreadEmailKey { account, thread: ThreadId(7), email: record.email }, b"").await;
    mended(&mut w, &[Kind::ThreadStale]).await;
    w.clear(&ThreadReferenceKey { account, hash: key.hash }).await;
    mended(&mut w, &[Kind::ThreadStale]).await;
}

#[tokio::test]
async fn counts_are_set_right() {
    let mut w = world().await;
    let MailboxRef { account, mailbox } = w.at("INBOX").await;
    let right = w.mail.status(w.at("INBOX").await).await.unwrap();
    let usage = w.mail.usage(account).await.unwrap();
    for wrong in [vec![0; 20], vec![9; 20], vec![9; 19]] {
        let expected: &[Kind] =
            if wrong.len() == 20 { &[Kind::CountersWrong] } else { &[Kind::CountersWrong, Kind::Unreadable] };
        w.set(&CountersKey { account, mailbox }, &wrong).await;
        mended(&mut w, expected).await;
    }
    w.set(&UidNextKey { account, mailbox }, &3_u32.to_le_bytes()).await;
    mended(&mut w, &[Kind::UidNextLow]).await;
    let after = w.mail.status(w.at("INBOX").await).await.unwrap();
    assert_eq!((after.exists, after.unseen, after.size), (right.exists, right.unseen, right.size));
    assert!(after.uid_next > 6);
    w.set(&QuotaUsedKey { account }, &[7; 16]).await;
    mended(&mut w, &[Kind::QuotaWrong]).await;
    assert_eq!(w.mail.usage(account).await.unwrap(), usage);
    w.clear(&QuotaUsedKey { account }).await;
    w.clear(&CountersKey { account, mailbox }).await;
    mended(&mut w, &[Kind::CountersWrong, Kind::QuotaWrong]).await;
    assert_eq!(w.mail.usage(account).await.unwrap(), usage);
    w.clear(&QuotaLimitKey { account }).await;
    mended(&mut w, &[Kind::QuotaLimitDiffers]).await;
    let _ = EmailRecord::default().to_bytes();
}
