//! What is whose: rights, ids and quota.

use accounts::Rights;

use crate::support::{ALICE, BOARD, MESSAGE, SALES, World};

/// What an administrator gives and takes is in force for sessions that are open.
#[tokio::test]
async fn rights_are_looked_up_again() {
    let world = World::new().await;
    let mut c = world.login().await;
    c.fails("CREATE Shared/Board/x", "NO [NOPERM]").await;
    world.accounts.add_member(BOARD, ALICE, Rights::ALL).await.unwrap();
    c.ok("CREATE Shared/Board/x").await;
    let (mut open, mut idle) =
        (world.selected("Shared/Sales/INBOX").await, world.selected("Shared/Sales/INBOX").await);
    open.append("Shared/Sales/INBOX", MESSAGE).await;
    idle.send("i IDLE\r\n").await;
    idle.until("* 1 EXISTS").await;
    world.accounts.remove_member(SALES, ALICE).await.unwrap();
    let sales = world.mail.with_role(SALES, mail::Role::Inbox).await.unwrap().unwrap();
    let sales = mail::MailboxRef { account: SALES, mailbox: sales };
    let flagged = mail::FlagChange::Add(schema::SystemFlags::FLAGGED.into());
    world.mail.store_flags(sales, &[1].into_iter().collect(), &flagged, None).await.unwrap();
    let told = idle.until("* BYE").await;
    assert!(!told.contains("Flagged"), "{told}");
    idle.closed().await;
    open.send("x FETCH 1 BODY[]\r\n").await;
    let told = open.until("* BYE").await;
    assert!(!told.contains("FETCH"), "{told}");
    open.closed().await;
    c.fails("SELECT Shared/Sales/INBOX", "NO [NONEXISTENT]").await;
    assert!(!c.ok("LIST \"\" *").await.contains("Sales"));
    let answer = c.raw("y APPEND Shared/Sales/INBOX {3+}\r\nabc\r\nz NOOP\r\n", "z ").await;
    assert!(answer.contains("y NO [TRYCREATE]"), "{answer}");
}

/// A session that only waits for its client ends as well, by a hint or by a look.
#[tokio::test]
async fn sessions_of_a_disabled_account_end_by_themselves() {
    let world = World::new().await;
    for accounts in [&world.accounts, &world.directory_elsewhere] {
        let mut waiting = vec![world.login().await, world.selected("Shared/Sales/INBOX").await];
        for mailbox in ["INBOX", "Shared/Sales/INBOX"] {
            let mut idle = world.selected(mailbox).await;
            idle.send("i IDLE\r\n").await;
            idle.until("+ ").await;
            waiting.push(idle);
        }
        let mut literal = world.selected("INBOX").await;
        literal.send("a APPEND INBOX {1000}\r\n").await;
        literal.until("+ ").await;
        waiting.push(literal);
        accounts.set_enabled(ALICE, false).await.unwrap();
        if std::ptr::eq(accounts, &raw const world.directory_elsewhere) {
            world.poll.look().await.unwrap();
        }
        for client in &mut waiting {
            client.until("* BYE").await;
            client.closed().await;
        }
        accounts.set_enabled(ALICE, true).await.unwrap();
    }
}

/// Who may not read a mailbox any more does not wait in it.
#[tokio::test]
async fn idle_ends_with_the_membership() {
    let world = World::new().await;
    let (mut idle, mut own) = (world.selected("Shared/Sales/INBOX").await, world.selected("INBOX").await);
    idle.send("i IDLE\r\n").await;
    idle.until("+ ").await;
    world.accounts.remove_member(SALES, ALICE).await.unwrap();
    idle.until("* BYE").await;
    idle.closed().await;
    own.ok("NOOP").await;
}

/// Who is disabled takes no part any more, whatever he is at.
#[tokio::test]
async fn sessions_of_a_disabled_account_end() {
    let world = World::new().await;
    let mut idle = world.selected("INBOX").await;
    idle.send("i IDLE\r\n").await;
    idle.until("+ ").await;
    let commands =
        ["NOOP", "SELECT INBOX", "LIST \"\" *", "STATUS INBOX (MESSAGES)", "APPEND INBOX {1+}\r\nx"];
    let mut sessions = Vec::new();
    for _ in commands {
        sessions.push(world.login().await);
    }
    world.accounts.set_enabled(ALICE, false).await.unwrap();
    for (client, command) in sessions.iter_mut().zip(commands) {
        client.send(&format!("x {command}\r\n")).await;
        client.until("* BYE").await;
        client.closed().await;
    }
    let inbox = world.mail.with_role(ALICE, mail::Role::Inbox).await.unwrap().unwrap();
    let inbox = mail::MailboxRef { account: ALICE, mailbox: inbox };
    let summary = content_mail::summarize(b"A: 1\r\n\r\n", &content_mail::Limits::default());
    let staged = world.mail.blobs().stage("A: 1\r\n\r\n".into()).await.unwrap();
    let incoming = mail::Incoming { staged, summary: summary.into() };
    world.mail.append(inbox, &incoming, &schema::Flags::none(), 0).await.unwrap();
    assert!(!idle.until("* BYE").await.contains("EXISTS"));
    idle.closed().await;
}

/// RFC 8474 §4: no two mailboxes have one id, whosever they are.
#[tokio::test]
async fn mailbox_ids_are_unique() {
    let world = World::new().await;
    let mut c = world.login().await;
    let id = |answer: String| {
        let at = answer.find("MAILBOXID (").unwrap() + "MAILBOXID (".len();
        answer[at..].split(')').next().unwrap().to_owned()
    };
    let mut ids = Vec::new();
    for name in ["INBOX", "Trash", "Shared/Sales/INBOX", "Shared/Sales/Trash", "Shared/Board/INBOX"] {
        let selected = id(c.ok(&format!("SELECT {name}")).await);
        assert_eq!(id(c.ok(&format!("STATUS {name} (MAILBOXID)")).await), selected);
        assert!(!ids.contains(&selected), "{ids:?} {selected}");
        ids.push(selected);
    }
    let own = world.mail.with_role(ALICE, mail::Role::Inbox).await.unwrap().unwrap();
    assert_eq!(ids[0], own.to_string(), "as JMAP has it");
    let made = id(c.ok("CREATE Shared/Sales/x").await);
    assert_eq!(id(c.ok("SELECT Shared/Sales/x").await), made);
}

/// RFC 9208 §4.1, §4.2.
#[tokio::test]
async fn quota_roots_are_limits() {
    let world = World::new().await;
    let mut c = world.selected("INBOX").await;
    let answer = c.ok("GETQUOTAROOT INBOX").await;
    assert!(answer.contains("* QUOTAROOT \"INBOX\"\r\n") && !answer.contains("* QUOTA "), "{answer}");
    c.fails("GETQUOTA \"\"", "NO [NONEXISTENT]").await;
    world.mail.set_quota(ALICE, Some(10 << 20), None).await.unwrap();
    let answer = c.ok("GETQUOTAROOT INBOX").await;
    assert!(answer.contains("* QUOTAROOT \"INBOX\" \"\"\r\n* QUOTA \"\" (STORAGE 0 10240)\r\n"), "{answer}");
    assert!(c.ok("GETQUOTA \"\"").await.contains("* QUOTA \"\" (STORAGE 0 10240)"));
    c.fails("GETQUOTA x", "NO [NONEXISTENT]").await;
    assert!(c.ok("GETQUOTAROOT Shared/Sales/INBOX").await.contains("* QUOTAROOT \"Shared/Sales/INBOX\"\r\n"));
}

/// RFC 9208 §4.1.4: what an EXPUNGE would bring.
#[tokio::test]
async fn deleted_storage() {
    let world = World::new().await;
    let mut c = world.selected("INBOX").await;
    assert!(c.ok("STATUS INBOX (DELETED-STORAGE)").await.contains("(DELETED-STORAGE 0)"));
    for size in 1..=50 {
        c.append("INBOX", &"x".repeat(size)).await;
    }
    c.ok("STORE 2,4:5,50 +FLAGS (\\Deleted)").await;
    let answer = c.ok("STATUS INBOX (DELETED-STORAGE DELETED)").await;
    assert!(answer.contains("(DELETED-STORAGE 61 DELETED 4)"), "{answer}");
    c.ok("EXPUNGE").await;
    assert!(c.ok("STATUS INBOX (DELETED-STORAGE)").await.contains("(DELETED-STORAGE 0)"));
}
