//! The way of a message: accepted, delivered, queued, sent on, told of.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    dead_code,
    unreachable_pub,
    reason = "a test ends where it fails; its support serves others too"
)]

#[path = "support/sink.rs"]
mod sink;
#[path = "support/world.rs"]
mod world;

use std::sync::Arc;

use kv::fault::{FaultBackend, Plan};
use kv::memory::Memory;
use runtime::{SeededRng, SystemClock};
use sink::{Script, Sink};
use smtp::{HeaderFacts, Role};
use world::World;

const TEXT: &str = "Received: from a by b; x\r\nFrom: s@example.org\r\nSubject: hello\r\n\r\nbody\r\n";
const SENDER: &str = "<s@example.org>";

#[tokio::test]
async fn one_recipient_gets_the_message_byte_for_byte() {
    let world = World::new().await;
    let large = format!("{TEXT}{}", "a line of text\r\n".repeat(20_000));
    for text in [TEXT, &large] {
        assert_eq!(world.send(Role::Mx, SENDER, &["<bob@example.test>"], text).await, ["250 2.0.0"]);
    }
    let trace = "Return-Path: <s@example.org>\r\nDelivered-To: bob@example.test\r\n";
    assert_eq!(world.inbox("bob").await, [format!("{trace}{TEXT}"), format!("{trace}{large}")]);
    assert!(world.queued().await.is_empty());
}

/// Mail for an account that is being removed: what got its 250 was there before and is purged, the rest is refused,
/// and neither a row nor a reference is left behind.
#[tokio::test]
async fn mail_for_an_account_that_is_removed() {
    use kv::fault::{FaultBackend, Plan};
    let (mut taken, mut refused) = (0, 0);
    for seed in 1..=8 {
        let rng = Arc::new(runtime::SeededRng::new(seed));
        let faults = FaultBackend::new(Arc::new(kv::memory::Memory::new()), rng.clone(), Plan::STALLS);
        let db = kv::Database::new(Arc::new(faults), runtime::SystemClock::shared(), rng);
        let world = Arc::new(World::over(db.clone()).await);
        let bob = world.account("bob").await;
        let senders: Vec<_> = (0..6)
            .map(|n: u64| {
                let world = Arc::clone(&world);
                tokio::spawn(async move {
                    let mut replies = Vec::new();
                    for m in 0..12 {
                        let text = format!("Subject: {n} {m}\r\n\r\nbody\r\n");
                        replies.extend(world.send(Role::Mx, "<>", &["<bob@example.test>"], &text).await);
                    }
                    replies
                })
            })
            .collect();
        let some = 8 * seed;
        while world.mail.usage(bob).await.unwrap().messages < some {
            tokio::task::yield_now().await;
        }
        world.remove(bob).await;
        let mut emails = 0;
        loop {
            match world.mail.purge_step(bob).await.unwrap() {
                mail::Step::Cleared { emails: some, .. } => emails += some,
                mail::Step::Finished => break,
                mail::Step::Absent => panic!("nobody else purges"),
            }
        }
        let mut replies = Vec::new();
        for sender in senders {
            replies.extend(sender.await.unwrap());
        }
        let of = |status: &str| replies.iter().filter(|reply| *reply == status).count() as u64;
        assert_eq!(of("250 2.0.0") + of("550 5.1.1"), 72, "{replies:?}");
        assert_eq!(of("250 2.0.0"), emails, "what was taken was there, and is gone");
        (taken, refused) = (taken + emails, refused + of("550 5.1.1"));
        let left = db.read("test", |txn| async move {
            let (begin, end) = schema::keys::mail::account_range(bob);
            let mut left = txn.range(&begin, &end).collect().await?;
            let references = txn.scan_prefix(b"Bh").collect().await?;
            left.extend(references.into_iter().filter(|(key, _)| key.get(34) == Some(&b'r')));
            Ok::<_, kv::Error>(left)
        });
        assert_eq!(left.await.unwrap(), [], "seed {seed}");
        // The same address, another account: it starts empty.
        let again = world.person("bob").await;
        assert!(again != bob && world.inbox("bob").await.is_empty());
        assert_eq!(world.send(Role::Mx, "<>", &["<bob@example.test>"], TEXT).await, ["250 2.0.0"]);
        assert_eq!(world.inbox("bob").await.len(), 1);
    }
    assert!(taken > 0 && refused > 0, "{taken} taken, {refused} refused");
}

#[tokio::test]
async fn several_recipients_share_a_body_that_names_none() {
    let world = World::new().await;
    let to = ["<bob@example.test>", "<alice@example.test>", "<bob@example.test>"];
    assert_eq!(world.send(Role::Mx, "<>", &to, TEXT).await, ["250 2.0.0"]);
    for name in ["alice", "bob"] {
        assert_eq!(world.inbox(name).await, [format!("Return-Path: <>\r\n{TEXT}")]);
    }
    assert!(world.inbox("carol").await.is_empty());
}

#[tokio::test]
async fn recipients_that_are_refused() {
    let world = World::new().await;
    world.mail.set_quota(world.account("carol").await, Some(1), None).await.unwrap();
    assert_eq!(world.send(Role::Mx, SENDER, &["<nobody@example.test>"], TEXT).await, ["550 5.1.1"]);
    assert_eq!(world.send(Role::Mx, SENDER, &["<x@elsewhere.example>"], TEXT).await, ["550 5.7.1"]);
    assert_eq!(world.send(Role::Mx, SENDER, &["<carol@example.test>"], TEXT).await, ["452 4.2.2"]);
    assert!(world.inbox("carol").await.is_empty());
    let id = world.account("bob").await;
    world.accounts.set_enabled(id, false).await.unwrap();
    assert_eq!(world.send(Role::Mx, SENDER, &["<bob@example.test>"], TEXT).await, ["550 5.2.1"]);
}

/// VERP: what the codec takes, the directory does too.
#[tokio::test]
async fn long_addresses_elsewhere_get_mail_and_bounces() {
    assert_eq!(accounts::LOCAL_MAX, smtp_proto::limits::LOCAL_PART);
    let world = World::new().await;
    let long = format!("{}@one.example", "v".repeat(accounts::LOCAL_MAX));
    let to = [format!("<{long}>"), "<full@example.test>".to_owned(), "<bob@example.test>".to_owned()];
    let to: Vec<&str> = to.iter().map(String::as_str).collect();
    world.mail.set_quota(world.account("carol").await, Some(1), None).await.unwrap();
    world.list("full", &["carol@example.test"]).await;
    assert_eq!(world.send(Role::Submission, &format!("<{long}>"), &to, TEXT).await, ["250 2.0.0"]);
    let queued = world.queued().await;
    assert_eq!(queued.len(), 2, "the message and the notification of the full mailbox");
    assert!(queued.iter().all(|entry| entry.recipients[0].address == long));
    world.list("far", &[&long]).await;
    assert_eq!(world.send(Role::Mx, SENDER, &["<far@example.test>"], TEXT).await, ["250 2.0.0"]);
}

#[tokio::test]
async fn lmtp_tells_of_each_recipient() {
    let world = World::new().await;
    world.mail.set_quota(world.account("carol").await, Some(1), None).await.unwrap();
    world.list("full", &["carol@example.test"]).await;
    let to = ["<alice@example.test>", "<full@example.test>", "<bob@example.test>"];
    let replies = world.send(Role::Lmtp, SENDER, &to, TEXT).await;
    assert_eq!(replies, ["250 2.0.0", "452 4.2.2", "250 2.0.0"]);
    assert!(world.queued().await.is_empty(), "who was told by the reply is not told again");
}

#[tokio::test]
async fn a_full_member_does_not_keep_a_list_from_the_others() {
    let world = World::new().await;
    world.list("team", &["alice@example.test", "carol@example.test", "x@elsewhere.example"]).await;
    world.mail.set_quota(world.account("carol").await, Some(1), None).await.unwrap();
    let sender = "<bob@example.test>";
    assert_eq!(world.send(Role::Mx, sender, &["<team@example.test>"], TEXT).await, ["250 2.0.0"]);
    assert_eq!(world.inbox("alice").await.len(), 1);
    let bounce = world.inbox("bob").await.remove(0);
    assert!(bounce.starts_with("Return-Path: <>\r\n") && bounce.contains("Status: 5.2.2"), "{bounce}");
    let queued = world.queued().await;
    assert_eq!((queued.len(), queued[0].domain.as_str()), (1, "elsewhere.example"));
}

#[tokio::test]
async fn a_message_that_was_there_before_loops() {
    let world = World::new().await;
    let headers = HeaderFacts { delivered_to: vec!["Bob@Example.TEST".into()], ..HeaderFacts::default() };
    let to = ["<bob@example.test>"];
    assert_eq!(world.send_with(Role::Mx, SENDER, &to, TEXT, &headers).await, ["554 5.4.6"]);
    assert_eq!(world.send_with(Role::Submission, SENDER, &to, TEXT, &headers).await, ["250 2.0.0"]);
    let both = ["<bob@example.test>", "<alice@example.test>"];
    let sender = "<carol@example.test>";
    assert_eq!(world.send_with(Role::Mx, sender, &both, TEXT, &headers).await, ["250 2.0.0"]);
    assert_eq!((world.inbox("bob").await.len(), world.inbox("alice").await.len()), (1, 1));
    assert!(world.inbox("carol").await[0].contains("Status: 5.4.6"));
}

#[tokio::test]
async fn success_is_told_when_asked_for() {
    let world = World::new().await;
    let to = ["<bob@example.test> NOTIFY=SUCCESS ORCPT=rfc822;b@x", "<carol@example.test> NOTIFY=NEVER"];
    let sender = "<alice@example.test> ENVID=e1 RET=HDRS";
    assert_eq!(world.send(Role::Submission, sender, &to, TEXT).await, ["250 2.0.0"]);
    let told = world.inbox("alice").await;
    assert_eq!(told.len(), 1);
    for part in ["Action: delivered", "Original-Recipient: rfc822;b@x", "Original-Envelope-Id: e1"] {
        assert!(told[0].contains(part), "{part}: {}", told[0]);
    }
    assert!(!told[0].contains("carol"));
}

/// What is written for a transaction is written outside of it, however often that is tried.
#[tokio::test]
async fn a_notification_is_written_once() {
    let backend =
        Arc::new(FaultBackend::new(Arc::new(Memory::new()), Arc::new(SeededRng::new(3)), Plan::NONE));
    let db = kv::Database::new(backend.clone(), SystemClock::shared(), Arc::new(SeededRng::new(4)));
    let world = World::over(db).await;
    backend.set_plan(Plan { conflict: 500, ..Plan::NONE });
    let text = format!("Subject: hello\r\n{}\r\nbody\r\n", "X-Long: header field\r\n".repeat(1500));
    for _ in 0..10 {
        let to = ["<bob@example.test> NOTIFY=SUCCESS"];
        assert_eq!(world.send(Role::Submission, "<alice@example.test>", &to, &text).await, ["250 2.0.0"]);
    }
    assert!(backend.injected()["conflict"] > 5);
    backend.set_plan(Plan::NONE);
    assert_eq!((world.inbox("bob").await.len(), world.inbox("alice").await.len()), (10, 10));
    assert_eq!(world.objects(), 10 * 3, "the message, its notification for here and for elsewhere");
}

#[tokio::test]
async fn a_message_that_is_too_large_is_returned_as_its_header() {
    let world = World::new().await;
    let sink = Sink::start(Script { rcpt: vec![("no", "550 no")], ..Script::default() }).await;
    world.run(sink.address);
    let large = format!("{TEXT}{}", "a line of text\r\n".repeat(100_000));
    for (text, whole) in [(TEXT, true), (&large, false)] {
        world.send(Role::Submission, "<alice@example.test> RET=FULL", &["<no@one.example>"], text).await;
        world.drained().await;
        let bounce = world.inbox("alice").await.pop().unwrap();
        assert_eq!(bounce.contains("Content-Type: message/rfc822\r\n"), whole);
        assert!(whole || bounce.len() < 10_000 && bounce.contains("Subject: hello"), "{}", bounce.len());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sixty_four_connections_to_one_mailbox() {
    let world = World::new().await;
    let to = ["<bob@example.test>"];
    let sends = (0..64).map(|n| {
        let text = format!("Subject: {n}\r\n\r\n{n}\r\n");
        let world = &world;
        async move { world.send(Role::Mx, SENDER, &to, &text).await }
    });
    let replies = futures::future::join_all(sends).await;
    assert!(replies.iter().all(|reply| reply == &["250 2.0.0"]));
    let inbox = world.inbox("bob").await;
    let subjects: std::collections::BTreeSet<&str> =
        inbox.iter().filter_map(|text| text.rsplit("\r\n").nth(1)).collect();
    assert_eq!((inbox.len(), subjects.len()), (64, 64));
}

#[tokio::test]
async fn mail_for_elsewhere_is_queued_and_sent_without_our_trace() {
    let world = World::new().await;
    let to = ["<bob@example.test>", "<x@one.example>", "<y@two.example>", "<z@one.example>"];
    assert_eq!(world.send(Role::Submission, "<alice@example.test>", &to, TEXT).await, ["250 2.0.0"]);
    assert_eq!(world.inbox("bob").await, [format!("Return-Path: <alice@example.test>\r\n{TEXT}")]);
    assert_eq!(world.queued().await.len(), 2);
    let sink = Sink::start(Script { keywords: vec!["PIPELINING", "SIZE"], ..Script::default() }).await;
    world.run(sink.address);
    world.drained().await;
    let mut taken = sink.taken();
    taken.sort_by_key(|message| message.rcpt.len());
    assert_eq!(taken.iter().map(|message| message.rcpt.len()).collect::<Vec<_>>(), [1, 2]);
    assert!(taken.iter().all(|message| message.text() == TEXT), "{:?}", taken[0].text());
    assert!(world.inbox("alice").await.is_empty());
}

#[tokio::test]
async fn a_refusal_comes_back_and_a_refused_bounce_does_not() {
    let world = World::new().await;
    let rcpt = vec![("no", "550 5.1.1 no such user")];
    let sink = Sink::start(Script { rcpt, ..Script::default() }).await;
    world.run(sink.address);
    let to = ["<no@one.example>", "<yes@one.example>", "<no@two.example> NOTIFY=NEVER"];
    assert_eq!(world.send(Role::Submission, "<alice@example.test>", &to, TEXT).await, ["250 2.0.0"]);
    world.drained().await;
    let bounces = world.inbox("alice").await;
    assert_eq!(bounces.len(), 1, "{bounces:?}");
    for part in ["Return-Path: <>", "Action: failed", "Status: 5.1.1", "no such user", "Subject: hello"] {
        assert!(bounces[0].contains(part), "{part}: {}", bounces[0]);
    }
    // To somebody elsewhere whose server refuses the bounce: it ends there (RFC 5321 §6.1).
    world.list("away", &["no@one.example"]).await;
    assert_eq!(
        world.send(Role::Mx, "<no@three.example>", &["<away@example.test>"], TEXT).await,
        ["250 2.0.0"]
    );
    world.drained().await;
    assert_eq!(sink.taken().len(), 1);
    assert_eq!(world.inbox("alice").await.len(), 1);
}

#[tokio::test]
async fn what_fails_for_now_is_tried_again() {
    let world = World::new().await;
    let sink = Sink::start(Script { dot: Some("451 4.3.0 later"), ..Script::default() }).await;
    world.run(sink.address);
    let to = ["<x@one.example> NOTIFY=SUCCESS,FAILURE"];
    world.send(Role::Submission, "<alice@example.test>", &to, TEXT).await;
    world
        .until(|| async { world.queued().await.iter().any(|entry| entry.recipients[0].attempts >= 3) })
        .await;
    sink.set(|script| script.dot = None);
    world.drained().await;
    assert_eq!(sink.taken().len(), 1);
    let told = world.inbox("alice").await;
    assert!(told.len() == 1 && told[0].contains("Action: relayed"), "{told:?}");
}

/// From what came in to what is said when it goes out.
#[tokio::test]
async fn octets_over_127_are_declared_on_the_way_out() {
    let world = World::new().await;
    let to = ["<x@one.example>"];
    let facts = |header_8bit, body_8bit| HeaderFacts { header_8bit, body_8bit, ..HeaderFacts::default() };
    for (mail, facts) in [
        ("<bob@example.test>", facts(false, true)),
        ("<bob@example.test>", facts(false, false)),
        ("<alice@example.test> SMTPUTF8", facts(true, false)),
    ] {
        world.send_with(Role::Submission, mail, &to, TEXT, &facts).await;
    }
    let sink = Sink::start(Script { keywords: vec!["8BITMIME"], ..Script::default() }).await;
    world.run(sink.address);
    world.drained().await;
    let mut said: Vec<_> = sink.taken().into_iter().map(|message| message.mail).collect();
    said.sort();
    assert_eq!(said, ["MAIL FROM:<bob@example.test>", "MAIL FROM:<bob@example.test> BODY=8BITMIME"]);
    assert!(world.inbox("alice").await[0].contains("Status: 5.6.7"));
}

/// A notification to an address that is not ASCII, for a message that did not say SMTPUTF8.
#[tokio::test]
async fn a_notification_says_what_its_address_needs() {
    let world = World::new().await;
    world.mail.set_quota(world.account("carol").await, Some(1), None).await.unwrap();
    world.list("full", &["carol@example.test"]).await;
    let to = ["<full@example.test>", "<bob@example.test>"];
    assert_eq!(world.send(Role::Mx, "<é@one.example> SMTPUTF8", &to, TEXT).await, ["250 2.0.0"]);
    let sink = Sink::start(Script { keywords: vec!["8BITMIME", "SMTPUTF8"], ..Script::default() }).await;
    world.run(sink.address);
    world.drained().await;
    assert_eq!(sink.taken()[0].mail, "MAIL FROM:<> BODY=8BITMIME SMTPUTF8");
    assert_eq!(sink.taken()[0].rcpt, ["RCPT TO:<é@one.example>"]);
}

/// Whoever speaks DSN tells the sender himself (RFC 3461 §5.2.1).
#[tokio::test]
async fn a_server_that_speaks_dsn_is_left_to_tell() {
    let world = World::new().await;
    let sink = Sink::start(Script { keywords: vec!["DSN"], ..Script::default() }).await;
    world.run(sink.address);
    world.send(Role::Submission, "<alice@example.test>", &["<x@one.example> NOTIFY=SUCCESS"], TEXT).await;
    world.drained().await;
    assert_eq!(sink.taken()[0].rcpt, ["RCPT TO:<x@one.example> NOTIFY=SUCCESS"]);
    assert!(world.inbox("alice").await.is_empty());
}

#[tokio::test]
async fn a_connection_cut_after_the_dot_may_make_a_duplicate_and_loses_nothing() {
    let world = World::new().await;
    let sink = Sink::start(Script { cut_after_dot: true, ..Script::default() }).await;
    world.run(sink.address);
    world.send(Role::Submission, "<alice@example.test>", &["<x@one.example>"], TEXT).await;
    world.until(|| async { !sink.taken().is_empty() }).await;
    sink.set(|script| script.cut_after_dot = false);
    world.drained().await;
    assert!(sink.taken().len() >= 2);
}

/// Connections are kept, and many entries for one destination go over few of them.
#[tokio::test]
async fn a_destination_gets_few_connections() {
    let world = World::new().await;
    for n in 0..60 {
        let to = format!("<u{n}@one.example>");
        world.send(Role::Submission, "<alice@example.test>", &[&to], TEXT).await;
    }
    let sink = Sink::start(Script { keywords: vec!["PIPELINING"], ..Script::default() }).await;
    world.run(sink.address);
    world.drained().await;
    assert_eq!(sink.taken().len(), 60);
    assert!(*sink.connections.lock() <= 8, "{}", sink.connections.lock());
}

/// RFC 5321 §4.5.3.1.8 asks for 100 recipients; a list may have far more.
#[tokio::test]
async fn a_long_list_is_one_commit() {
    let world = World::new().await;
    world.list("all", &[]).await;
    let list = world.account("all").await;
    for n in 0..1000 {
        world.person(&format!("u{n}")).await;
        world.accounts.add_list_member(list, &format!("u{n}@example.test")).await.unwrap();
    }
    assert_eq!(world.send(Role::Mx, SENDER, &["<all@example.test>"], TEXT).await, ["250 2.0.0"]);
    assert_eq!((world.inbox("u0").await.len(), world.inbox("u999").await.len()), (1, 1));
}

/// A recipient that leads elsewhere than it did when the message began to come in: the copy that it needs now was not
/// written, so the client is to send it again, and never hears 250 for mail that is nowhere.
#[tokio::test]
async fn a_recipient_rerouted_while_the_message_comes_in() {
    let world = World::new().await;
    let (submission, headers) = (Role::Submission, &HeaderFacts::default());
    let settled = async {
        world.accounts.create_domain("later.example", accounts::DomainSettings::default()).await.unwrap();
        let new = accounts::NewAccount::new(accounts::Kind::Person, "x@later.example");
        let id = world.accounts.create_account(&new).await.unwrap();
        let (mail, db) = (&world.mail, world.mail.database());
        db.transact("test", |txn| async move { mail.provision_in(&txn, id).await }).await.unwrap();
    };
    let to = ["<x@later.example>"];
    assert_eq!(world.send_while(submission, SENDER, &to, TEXT, headers, settled).await, ["451 4.3.0"]);
    assert!(world.queued().await.is_empty());
    assert_eq!(world.send(submission, SENDER, &to, TEXT).await, ["250 2.0.0"]);

    world.list("team", &["alice@example.test"]).await;
    let list = world.account("team").await;
    let joined = async { world.accounts.add_list_member(list, "y@elsewhere.example").await.unwrap() };
    let to = ["<team@example.test>"];
    assert_eq!(world.send_while(Role::Mx, SENDER, &to, TEXT, headers, joined).await, ["451 4.3.0"]);
    assert!(world.inbox("alice").await.is_empty());
    assert_eq!(world.send(Role::Mx, SENDER, &to, TEXT).await, ["250 2.0.0"]);
    assert_eq!((world.inbox("alice").await.len(), world.queued().await.len()), (1, 1));
}

/// A sender that tries again every half an hour must not fill the disk with a body that nobody gets.
#[tokio::test]
async fn a_refused_body_is_not_kept() {
    let world = World::new().await;
    let large = format!("{TEXT}{}", "a line of text\r\n".repeat(20_000));
    world.mail.set_quota(world.account("carol").await, Some(100_000), None).await.unwrap();
    let to = ["<carol@example.test>"];
    assert_eq!(world.send(Role::Mx, SENDER, &to, &large).await, ["452 4.2.2"]);
    assert_eq!(world.objects(), 0);
    let sized = format!("{SENDER} SIZE={}", large.len());
    assert_eq!(world.send(Role::Mx, &sized, &to, &large).await, ["452 4.2.2"], "at RCPT");
    assert_eq!(world.send(Role::Mx, SENDER, &["<bob@example.test>"], &large).await, ["250 2.0.0"]);
    assert_eq!(world.objects(), 1);
}
