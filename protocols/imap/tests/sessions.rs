//! Whole sessions over loopback, with a client that knows nothing: it sends lines and looks for lines.

#![allow(clippy::unwrap_used, clippy::panic)] // a test that can not go on says so

mod limits;
mod sharing;
mod subscriptions;
mod support;
mod tokens;

use support::{ALICE, MESSAGE, World};

#[tokio::test]
async fn a_session_from_greeting_to_logout() {
    let world = World::new().await;
    let mut c = world.connect().await;
    assert!(c.greeting.starts_with("* OK [CAPABILITY IMAP4rev1 IMAP4rev2 "), "{}", c.greeting);
    c.fails("SELECT INBOX", "BAD log in first").await;
    c.fails("NONSENSE", "BAD unknown command").await;
    c.fails("LOGIN alice wrong", "NO [AUTHENTICATIONFAILED]").await;
    let answer = c.ok("LOGIN alice secret").await;
    assert!(answer.contains("OK [CAPABILITY ") && answer.contains(" QRESYNC "), "{answer}");
    c.fails("LOGIN alice secret", "BAD you are logged in").await;
    c.fails("FETCH 1 FLAGS", "BAD open a mailbox first").await;
    let answer = c.ok("SELECT inbox").await;
    for line in
        ["* 0 EXISTS", "* 0 RECENT", "[UIDNEXT 1]", "[UIDVALIDITY ", "[READ-WRITE]", "\\*)]", "[MAILBOXID ("]
    {
        assert!(answer.contains(line), "{line} in {answer}");
    }
    let answer = c.ok("LOGOUT").await;
    assert!(answer.starts_with("* BYE"), "{answer}");
}

/// RFC 9051 §6.3.12, §6.4.5; RFC 3516; RFC 4315: what is stored is what is fetched.
#[tokio::test]
async fn append_and_fetch() {
    let world = World::new().await;
    let mut c = world.selected("INBOX").await;
    let answer = c.append("INBOX (\\Flagged $Work) \"17-Jul-1996 02:44:25 -0700\"", MESSAGE).await;
    assert!(answer.contains("* 1 EXISTS") && answer.contains("[APPENDUID "), "{answer}");
    let answer = c.ok("FETCH 1 (UID FLAGS INTERNALDATE RFC822.SIZE)").await;
    let size = MESSAGE.len();
    assert!(answer.contains(&format!(
        "* 1 FETCH (UID 1 FLAGS (\\Flagged $Work) INTERNALDATE \"17-Jul-1996 09:44:25 +0000\" RFC822.SIZE {size})"
    )), "{answer}");
    let answer = c.ok("FETCH 1 BODY.PEEK[]").await;
    assert!(answer.contains(&format!("* 1 FETCH (BODY[] {{{size}}}\r\n{MESSAGE})\r\n")), "{answer}");
    let answer =
        c.ok("FETCH 1 (BODY.PEEK[HEADER.FIELDS (subject)] BODY.PEEK[2.MIME]<0.12> BODY.PEEK[9])").await;
    assert!(answer.contains("BODY[HEADER.FIELDS (subject)] {28}\r\nSubject: Gr=?x?=ne Dinge"), "{answer}");
    assert!(answer.contains("BODY[2.MIME]<0> {12}\r\nContent-Type BODY[9] NIL)"), "{answer}");
    let answer = c.ok("FETCH 1 (BINARY.SIZE[2] BINARY.PEEK[2] BINARY.PEEK[2]<1.2>)").await;
    assert!(answer.contains("BINARY.SIZE[2] 5 BINARY[2] ~{5}\r\na\0b\r\n BINARY[2]<1>"), "{answer:?}");
    let answer = c.ok("FETCH 1 (ENVELOPE BODYSTRUCTURE EMAILID THREADID PREVIEW)").await;
    assert!(
        answer.contains("((\"Bob\" NIL \"bob\" \"example.org\"))") && answer.contains("\"mixed\""),
        "{answer}"
    );
    // Without PEEK a message is seen, and the client is told.
    let answer = c.ok("FETCH 1 BODY[TEXT]<0.3>").await;
    assert!(answer.contains("\\Seen"), "{answer}");
    c.fails("FETCH 2 FLAGS", "BAD").await;
    assert!(!c.ok("UID FETCH 2:9 FLAGS").await.contains("FETCH ("));
}

#[tokio::test]
async fn append_of_several_and_of_none() {
    let world = World::new().await;
    let mut c = world.selected("INBOX").await;
    let answer = c.raw("x APPEND INBOX {5+}\r\nA: 1\n (\\Seen) {5+}\r\nB: 2\n\r\n", "x ").await; // RFC 3502
    assert!(answer.contains("x OK [APPENDUID ") && answer.contains(" 1:2]"), "{answer}");
    assert!(answer.contains("* 2 EXISTS"), "{answer}");
    let answer = c.raw("y APPEND nowhere {5+}\r\nA: 1\n\r\nz NOOP\r\n", "z ").await;
    assert!(answer.contains("y NO [TRYCREATE]") && answer.contains("z OK"), "{answer}");
    let answer = c.raw("y APPEND nowhere {5}\r\nz NOOP\r\n", "z ").await;
    assert!(answer.contains("y NO [TRYCREATE]"), "{answer}");
    let answer = c.raw("y APPEND INBOX {99999999999}\r\n", "y ").await;
    assert!(answer.contains("y NO [TOOBIG]"), "{answer}");
    let answer = c.raw("y APPEND INBOX (\\Foo) {3+}\r\nabc\r\nz NOOP\r\n", "z ").await;
    assert!(answer.contains("y BAD"), "{answer}");
    let answer = c.raw("y APPEND INBOX (\\Foo) {3}\r\nz NOOP\r\n", "z ").await;
    assert!(answer.contains("y BAD") && answer.contains("z OK"), "{answer}");
    let answer = c.raw("y APPEND INBOX {3+}\r\na\0c\r\nz NOOP\r\n", "z ").await;
    assert!(answer.contains("y BAD") && answer.contains("z OK"), "{answer:?}");
    assert!(c.ok("STATUS INBOX (MESSAGES)").await.contains("MESSAGES 2)"));
}

/// RFC 9051 §7.5.1: EXPUNGE never comes during FETCH, STORE and SEARCH.
#[tokio::test]
async fn sessions_see_each_other_in_order() {
    let world = World::new().await;
    let mut a = world.selected("INBOX").await;
    for _ in 0..3 {
        a.append("INBOX", MESSAGE).await;
    }
    let mut b = world.selected("INBOX").await;
    let answer = a.ok("STORE 2 +FLAGS (\\Deleted)").await;
    assert_eq!(answer.matches("FETCH (").count(), 1, "told once: {answer}");
    assert!(a.ok("STORE 2 +FLAGS (\\Deleted)").await.contains("* 2 FETCH (FLAGS (\\Deleted))"));
    assert!(b.ok("NOOP").await.contains("* 2 FETCH (UID 2 FLAGS (\\Deleted))"));
    assert!(a.ok("EXPUNGE").await.contains("* 2 EXPUNGE\r\n"));
    let answer = b.ok("FETCH 1:* UID").await;
    assert!(!answer.contains("EXPUNGE\r\n") && answer.contains("* 3 FETCH (UID 3)"), "{answer}");
    assert!(answer.contains("[EXPUNGEISSUED]"), "{answer}");
    let answer = b.ok("STORE 3 +FLAGS.SILENT (\\Answered)").await;
    assert!(!answer.contains("* 2 EXPUNGE"), "{answer}");
    assert!(b.ok("NOOP").await.contains("* 2 EXPUNGE\r\n"));
    assert!(b.ok("FETCH 2 (UID FLAGS)").await.contains("* 2 FETCH (UID 3 FLAGS (\\Answered))"));
    // A tagged OK there is seen by the next command here.
    a.append("INBOX", MESSAGE).await;
    assert!(b.ok("UID SEARCH ALL").await.contains("* SEARCH 1 3 4\r\n"));
}

/// RFC 2177: changes come without being asked for.
#[tokio::test]
async fn idle_is_told() {
    let world = World::new().await;
    let mut a = world.selected("INBOX").await;
    let mut b = world.selected("INBOX").await;
    b.send("i IDLE\r\n").await;
    b.until("+ ").await;
    a.append("INBOX", MESSAGE).await;
    b.until("* 1 EXISTS").await;
    a.ok("STORE 1 +FLAGS (\\Deleted)").await;
    b.until("\\Deleted").await;
    a.ok("EXPUNGE").await;
    b.until("* 1 EXPUNGE").await;
    let answer = b.raw("DONE\r\n", "i ").await;
    assert!(answer.contains("i OK"), "{answer}");
}

/// What another node on the same store does comes without a hint, and is found by the look that the node takes.
#[tokio::test]
async fn idle_hears_of_what_another_node_does() {
    let world = World::new().await;
    let (mut writer, mut selected, mut nowhere) =
        (world.selected("INBOX").await, world.selected("INBOX").await, world.login().await);
    for client in [&mut selected, &mut nowhere] {
        client.send("i IDLE\r\n").await;
        client.until("+ ").await;
    }
    writer.append("INBOX", MESSAGE).await;
    selected.until("* 1 EXISTS").await;
    let inbox = world.inbox().await;
    let (one, seen) = ([1].into_iter().collect(), mail::FlagChange::Add(schema::SystemFlags::FLAGGED.into()));
    world.elsewhere.store_flags(inbox, &one, &seen, None).await.unwrap();
    world.poll.look().await.unwrap();
    let told = selected.until("* 1 FETCH").await;
    assert!(told.contains("\\Flagged"), "{told}");
    let answer = selected.raw("DONE\r\n", "i ").await;
    assert!(answer.contains("i OK"), "{answer}");
    world.remove_alice(&world.elsewhere).await;
    world.poll.look().await.unwrap();
    nowhere.until("* BYE ").await;
    nowhere.closed().await;
}

/// Sessions of an account that is removed end with BYE, whatever they are at, before the purge and after it.
#[tokio::test]
async fn sessions_of_a_removed_account_end() {
    let world = World::new().await;
    let mut first = world.selected("INBOX").await;
    first.append("INBOX", MESSAGE).await;
    let (mut idle, mut idle_nowhere) = (world.selected("INBOX").await, world.login().await);
    for client in [&mut idle, &mut idle_nowhere] {
        client.send("i IDLE\r\n").await;
        client.until("+ ").await;
    }
    let (mut none, mut shared, mut late) =
        (world.login().await, world.selected("Shared/Sales/INBOX").await, world.login().await);
    world.remove_alice(&world.mail).await;
    for client in [&mut idle, &mut idle_nowhere] {
        client.until("* BYE ").await;
        client.closed().await;
    }
    for (client, command) in
        [(&mut first, "FETCH 1 BODY[]"), (&mut none, "LIST \"\" *"), (&mut shared, "NOOP")]
    {
        client.send(&format!("x {command}\r\n")).await;
        client.until("* BYE ").await;
        client.closed().await;
    }
    world.purge_alice().await;
    late.send("x CREATE again\r\n").await;
    let answer = late.until("x NO").await;
    assert!(answer.contains("* BYE "), "{answer}");
    late.closed().await;
}

/// RFC 9051 §7.1.5: after BYE the connection ends, whoever waits.
#[tokio::test]
async fn idle_ends_with_its_mailbox() {
    let world = World::new().await;
    let (mut a, mut b) = (world.login().await, world.selected("Archive").await);
    b.send("i IDLE\r\n").await;
    b.until("+ ").await;
    a.ok("DELETE Archive").await;
    b.until("* BYE").await;
    b.closed().await;
}

/// RFC 3501 §6.3.1: the first message that is not seen, for clients of IMAP4rev1.
#[tokio::test]
async fn select_tells_the_first_unseen() {
    let world = World::new().await;
    let mut c = world.selected("INBOX").await;
    for _ in 0..4 {
        c.append("INBOX", MESSAGE).await;
    }
    c.ok("STORE 2 +FLAGS (\\Seen \\Deleted)").await;
    c.ok("STORE 1 +FLAGS (\\Seen)").await;
    c.ok("EXPUNGE").await;
    assert!(c.ok("SELECT INBOX").await.contains("* OK [UNSEEN 2] "));
    c.ok("STORE 2:3 +FLAGS (\\Seen)").await;
    assert!(!c.ok("SELECT INBOX").await.contains("UNSEEN"));
    c.ok("STORE 3 -FLAGS (\\Seen)").await;
    c.ok("ENABLE IMAP4rev2").await;
    assert!(!c.ok("SELECT INBOX").await.contains("UNSEEN"), "IMAP4rev2 has no such code");
}

/// RFC 6851, RFC 4315.
#[tokio::test]
async fn copy_and_move() {
    let world = World::new().await;
    let mut c = world.selected("INBOX").await;
    for _ in 0..3 {
        c.append("INBOX", MESSAGE).await;
    }
    c.fails("COPY 1 nowhere", "NO [TRYCREATE]").await;
    let answer = c.ok("COPY 1:2 Archive").await;
    assert!(answer.contains("OK [COPYUID ") && answer.contains(" 1:2 1:2]"), "{answer}");
    let answer = c.ok("UID MOVE 2:3 Trash").await;
    let (code, gone) = (answer.find("* OK [COPYUID ").unwrap(), answer.find("* 3 EXPUNGE").unwrap());
    assert!(code < gone && answer.contains("* 2 EXPUNGE"), "{answer}");
    assert!(c.ok("STATUS Trash (MESSAGES UIDNEXT)").await.contains("(MESSAGES 2 UIDNEXT 3)"));
    c.ok("STORE 1 +FLAGS (\\Deleted)").await;
    c.ok("CLOSE").await;
    assert!(c.ok("STATUS INBOX (MESSAGES)").await.contains("(MESSAGES 0)"));
}

/// RFC 7162 §3.1 and §3.2.
#[tokio::test]
async fn condstore_and_qresync() {
    let world = World::new().await;
    let mut a = world.selected("INBOX").await;
    for _ in 0..4 {
        a.append("INBOX", MESSAGE).await;
    }
    let mut b = world.login().await;
    assert!(b.ok("ENABLE QRESYNC").await.contains("* ENABLED QRESYNC"));
    let answer = b.ok("SELECT INBOX").await;
    let number = |answer: &str, name: &str| -> String {
        let at = answer.find(name).unwrap() + name.len();
        answer[at..].chars().take_while(char::is_ascii_digit).collect()
    };
    let (validity, modseq) = (number(&answer, "UIDVALIDITY "), number(&answer, "HIGHESTMODSEQ "));
    b.ok("CLOSE").await;
    a.ok("STORE 4 +FLAGS (\\Flagged)").await;
    a.ok("STORE 2 +FLAGS (\\Deleted)").await;
    a.ok("EXPUNGE").await;
    let answer = b.ok(&format!("SELECT INBOX (QRESYNC ({validity} {modseq}))")).await;
    assert!(answer.contains("* VANISHED (EARLIER) 2\r\n"), "{answer}");
    assert!(answer.contains("* 3 FETCH (UID 4 FLAGS (\\Flagged) MODSEQ ("), "{answer}");
    assert!(!answer.contains("UID 1 "), "{answer}");
    let answer = b.ok(&format!("UID FETCH 1:* (FLAGS) (CHANGEDSINCE {modseq} VANISHED)")).await;
    assert!(answer.contains("VANISHED (EARLIER) 2\r\n") && answer.contains("UID 4 "), "{answer}");
    // A conditional STORE does not touch what changed.
    let answer = b.ok(&format!("STORE 1,3 (UNCHANGEDSINCE {modseq}) +FLAGS (\\Seen)")).await;
    assert!(
        answer.contains("[MODIFIED 3]") && answer.contains("* 1 FETCH (UID 1 FLAGS (\\Seen) MODSEQ ("),
        "{answer}"
    );
    a.ok("STORE 1 +FLAGS (\\Deleted)").await;
    a.ok("EXPUNGE").await;
    assert!(b.ok("NOOP").await.contains("* VANISHED 1\r\n"));
}

/// RFC 7162 §3.2.4: whoever changes flags, the mod-sequence is told with them.
#[tokio::test]
async fn flags_that_change_are_told_with_modseq() {
    let world = World::new().await;
    let mut c = world.selected("INBOX").await;
    for _ in 0..4 {
        c.append("INBOX", "A: 1\r\n\r\nx").await;
    }
    let answer = c.ok("FETCH 1 BODY[TEXT]").await;
    assert!(answer.contains("* 1 FETCH (BODY[TEXT] {1}\r\nx FLAGS (\\Seen))\r\n"), "{answer}");
    c.ok("ENABLE CONDSTORE").await;
    let answer = c.ok("FETCH 2 BODY[TEXT]").await;
    assert!(answer.contains("{1}\r\nx UID 2 FLAGS (\\Seen) MODSEQ ("), "{answer}");
    let answer = c.ok("UID FETCH 3 (FLAGS MODSEQ BODY[TEXT])").await;
    assert_eq!((answer.matches("UID ").count(), answer.matches("MODSEQ ").count()), (1, 1), "{answer}");
    let answer = c.ok("STORE 4 +FLAGS (\\Seen)").await;
    assert!(answer.contains("* 4 FETCH (UID 4 FLAGS (\\Seen) MODSEQ ("), "{answer}");
    assert!(!c.ok("FETCH 4 BODY[TEXT]").await.contains("MODSEQ"), "nothing changed");
}

/// RFC 9051 §6.4.4; RFC 4731; RFC 5182; RFC 5256.
#[tokio::test]
async fn search_sort_thread() {
    let world = World::new().await;
    let mut c = world.selected("INBOX").await;
    for (id, subject, references) in [("a", "beta", ""), ("b", "Alpha", ""), ("c", "Re: beta", "<a@x>")] {
        let text = format!(
            "Message-ID: <{id}@x>\r\nReferences: {references}\r\nSubject: {subject}\r\n\r\nBODY {id} ÄÖ\r\n"
        );
        c.append("INBOX", &text).await;
    }
    c.ok("STORE 2 +FLAGS (\\Seen kw)").await;
    for (key, hits) in [
        ("ALL", " 1 2 3"),
        ("SEEN", " 2"),
        ("NOT KEYWORD kw", " 1 3"),
        ("SUBJECT BETA", " 1 3"),
        ("BODY \"body b\"", " 2"),
        ("OR SEEN HEADER Message-ID a@x", " 1 2"),
        ("TEXT {4+}\r\näö", " 1 2 3"),
        ("2:* UID 1:2", " 2"),
        ("LARGER 100000", ""),
        ("(SMALLER 100000 UNSEEN) SUBJECT re", " 3"),
        ("YOUNGER 100", " 1 2 3"),
        ("SINCE 1-Jan-2099", ""),
    ] {
        let answer = c.ok(&format!("SEARCH {key}")).await;
        assert!(answer.contains(&format!("* SEARCH{hits}\r\n")), "{key}: {answer}");
    }
    c.fails("SEARCH CHARSET KOI8-R ALL", "NO [BADCHARSET").await;
    let answer = c.ok("UID SEARCH RETURN (MIN MAX COUNT ALL) ALL").await;
    assert!(answer.contains(") UID MIN 1 MAX 3 COUNT 3 ALL 1:3\r\n"), "{answer}");
    assert!(!c.ok("SEARCH RETURN (SAVE) UNSEEN").await.contains("ESEARCH"));
    assert!(c.ok("FETCH $ UID").await.contains("* 1 FETCH (UID 1)\r\n* 3 FETCH (UID 3)\r\n"));
    assert!(
        c.ok("SEARCH RETURN (SAVE ALL) $ SUBJECT re").await.contains("ALL 3\r\n"),
        "$ is the result before"
    );
    assert!(c.ok("SORT (SUBJECT) UTF-8 ALL").await.contains("* SORT 2 1 3\r\n"));
    // All came in the same second: REVERSE keeps their order (RFC 5256 §3).
    assert!(c.ok("SORT (REVERSE ARRIVAL) UTF-8 ALL").await.contains("* SORT 1 2 3\r\n"));
    assert!(c.ok("SORT (REVERSE SUBJECT) UTF-8 ALL").await.contains("* SORT 1 3 2\r\n"));
    assert!(c.ok("THREAD REFERENCES UTF-8 ALL").await.contains("* THREAD (1 3)(2)\r\n"));
}

/// RFC 9051 §6.3.4 to §6.3.11; RFC 5258; RFC 5819; RFC 6154.
#[tokio::test]
async fn mailboxes() {
    let world = World::new().await;
    let mut c = world.login().await;
    assert!(c.ok("LIST \"\" \"\"").await.contains("* LIST (\\Noselect) \"/\" \"\"\r\n"));
    assert!(!c.ok("LIST \"\" dra%").await.contains("* LIST"), "case matters but for INBOX");
    assert!(c.ok("LIST \"\" Dra%").await.contains("\\Drafts) \"/\" \"Drafts\""));
    c.ok("CREATE \"a/Entw&APw-rfe/\"").await;
    assert!(c.ok("LIST \"\" a").await.contains("* LIST (\\HasChildren) \"/\" \"a\""));
    assert!(c.ok("LIST \"\" a/*").await.contains("\"a/Entw&APw-rfe\""));
    c.fails("CREATE a", "NO [ALREADYEXISTS]").await;
    c.fails("DELETE a", "NO [HASCHILDREN]").await;
    c.fails("DELETE inbox", "NO ").await;
    c.fails("SELECT nowhere", "NO [NONEXISTENT]").await;
    c.fails("CREATE \"Entwürfe\"", "BAD").await;
    c.ok("RENAME a b").await;
    assert!(c.ok("LIST \"\" b/*").await.contains("\"b/Entw&APw-rfe\""));
    c.append("INBOX", MESSAGE).await;
    c.ok("RENAME INBOX old").await;
    assert!(c.ok("STATUS old (MESSAGES)").await.contains("(MESSAGES 1)"));
    assert!(c.ok("STATUS INBOX (MESSAGES)").await.contains("(MESSAGES 0)"));
    c.ok("SUBSCRIBE b/gone").await;
    let answer = c.ok("LIST (SUBSCRIBED RECURSIVEMATCH) \"\" b").await;
    assert!(answer.contains("\"b\" (\"CHILDINFO\" (\"SUBSCRIBED\"))"), "{answer}");
    assert!(c.ok("LIST (SUBSCRIBED) \"\" b/*").await.contains("\\NonExistent"));
    let answer = c.ok("LIST \"\" INBOX RETURN (SUBSCRIBED STATUS (MESSAGES))").await;
    assert!(
        answer.contains("\\Subscribed") && answer.contains("* STATUS \"INBOX\" (MESSAGES 0)"),
        "{answer}"
    );
    c.ok("ENABLE IMAP4rev2").await;
    assert!(c.ok("LIST \"\" b/%").await.contains("\"b/Entwürfe\""));
    assert!(c.ok("NAMESPACE").await.contains("* NAMESPACE ((\"\" \"/\")) NIL ((\"Shared/\" \"/\"))"));
    assert!(c.ok("LIST \"\" Shared/*").await.contains("\"Shared/Sales/INBOX\""));
    c.ok("SELECT Shared/Sales/INBOX").await;
    assert!(
        c.ok("STATUS INBOX (SIZE UIDNEXT HIGHESTMODSEQ APPENDLIMIT)").await.contains("(SIZE 0 UIDNEXT 2")
    );
}

/// RFC 9051 §6.2.2, RFC 4959.
#[tokio::test]
async fn authenticate() {
    let world = World::new().await;
    let mut c = world.connect().await;
    let answer = c.raw("a AUTHENTICATE PLAIN\r\n*\r\n", "a ").await;
    assert!(answer.contains("+ \r\n") && answer.contains("a BAD"), "{answer}");
    c.fails("AUTHENTICATE X-FOO", "NO").await;
    c.ok("AUTHENTICATE PLAIN AGFsaWNlAHNlY3JldA==").await;
    let mut c = world.connect().await;
    let answer = c.raw("a AUTHENTICATE PLAIN\r\nAGFsaWNlAHNlY3JldA==\r\n", "a ").await;
    assert!(answer.contains("a OK"), "{answer}");
}

#[tokio::test]
async fn bad_input_is_answered_and_ends() {
    let world = World::new().await;
    let mut c = world.connect().await;
    let answer = c.raw("a LOGIN {4294967296}\r\nb NOOP\r\n", "b ").await;
    assert!(answer.contains("a BAD [TOOBIG]") && answer.contains("b OK"), "{answer}");
    c.send("GET / HTTP/1.1\r\n").await;
    c.until("* BYE").await;
    c.closed().await;
    let mut c = world.connect().await;
    for _ in 0..4 {
        c.fails("LOGIN alice wrong", "NO [AUTHENTICATIONFAILED]").await;
    }
    c.send("x LOGIN alice wrong\r\n").await;
    c.until("* BYE").await;
    c.closed().await;
    let mut c = world.connect().await;
    world.shutdown.begin();
    c.until("* BYE").await;
    c.closed().await;
}

/// Whoever has begun to say something may finish it; what was sent ahead is left for another server.
#[tokio::test]
async fn a_drain_cuts_nothing_short() {
    let world = World::new().await;
    let mut c = world.selected("INBOX").await;
    c.send("a APPEND INBOX {11}\r\n").await;
    c.until("+ ").await;
    c.send("From: ").await;
    world.shutdown.begin();
    c.send("x\r\n\r").await;
    c.send("\n\r\nb NOOP\r\n").await;
    c.until("a OK").await;
    let rest = c.until("* BYE").await;
    assert!(!rest.contains("b OK"), "{rest}");
    c.closed().await;
}

/// RFC 4314 §4: a group's mailboxes are open as far as the group allows.
#[tokio::test]
async fn rights_are_obeyed() {
    let world = World::new().await;
    let mut c = world.selected("Shared/Sales/INBOX").await;
    c.append("Shared/Sales/INBOX", MESSAGE).await;
    assert!(c.ok("STORE 1 +FLAGS (\\Seen)").await.contains("\\Seen"));
    assert!(c.ok("SELECT Shared/Board/INBOX").await.contains("[READ-ONLY]"));
    c.fails("CREATE Shared/Board/x", "NO [NOPERM]").await;
    c.fails("DELETE Shared/Board/Trash", "NO [NOPERM]").await;
    c.fails("RENAME Shared/Board/Trash Shared/Board/x", "NO [NOPERM]").await;
    c.fails("STORE 1:* +FLAGS (\\Deleted)", "NO [NOPERM]").await;
    c.fails("EXPUNGE", "NO [NOPERM]").await;
    let answer = c.raw("y APPEND Shared/Board/INBOX {3+}\r\nabc\r\nz NOOP\r\n", "z ").await;
    assert!(answer.contains("y NO [NOPERM]"), "{answer}");
    c.ok("SELECT INBOX").await;
    c.append("INBOX", MESSAGE).await;
    c.fails("COPY 1 Shared/Board/INBOX", "NO [NOPERM]").await;
    c.fails("CREATE Shared/Nobody/x", "NO [CANNOT]").await;
    // RFC 4314 §4: counters are for who may read.
    c.fails("STATUS Shared/Archive/INBOX (MESSAGES)", "NO [NOPERM]").await;
    let answer = c.ok("LIST \"\" Shared/*/INBOX RETURN (STATUS (MESSAGES))").await;
    assert!(answer.contains("\"/\" \"Shared/Archive/INBOX\"\r\n"), "{answer}");
    assert!(!answer.contains("STATUS \"Shared/Archive"), "{answer}");
    assert!(answer.contains("* STATUS \"Shared/Board/INBOX\" (MESSAGES 0)"), "{answer}");
}

/// As when another session expunges a message between the look at its row and the look at its summary.
#[tokio::test]
async fn sort_and_thread_pass_over_what_is_gone_meanwhile() {
    let world = World::new().await;
    let mut c = world.selected("INBOX").await;
    for subject in ["b", "a"] {
        c.append("INBOX", &format!("Subject: {subject}\r\n\r\n")).await;
    }
    assert!(c.ok("THREAD REFERENCES UTF-8 ALL").await.contains("* THREAD (1)(2)\r\n"));
    let answer = c.ok("FETCH 2 EMAILID").await;
    let (_, id) = answer.split_once("EMAILID (").unwrap();
    let email = id.split(')').next().unwrap().parse().unwrap();
    let (begin, end) = &schema::keys::mail::StructureKey::range(ALICE, email);
    let cleared = world.mail.database().transact("test", |txn| async move {
        txn.clear_range(begin, end);
        Ok::<_, mail::Error>(())
    });
    cleared.await.unwrap();
    assert!(c.ok("THREAD REFERENCES UTF-8 ALL").await.contains("* THREAD (1)\r\n"));
    assert!(c.ok("SORT (TO) UTF-8 ALL").await.contains("* SORT 1\r\n"));
}

/// A hundred thousand idle sessions are a hundred thousand of these.
#[tokio::test]
async fn a_session_is_small() {
    let world = World::new().await;
    let size = world.session_size().await;
    assert!(size <= 4096, "{size}");
}

/// RFC 9051 §6.4.5: what comes in pieces goes out whole.
#[tokio::test]
async fn a_large_message_there_and_back() {
    let world = World::new().await;
    let mut c = world.selected("INBOX").await;
    let line = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcd\r\n";
    let message = format!("Subject: large\r\n\r\n{}", line.repeat(40_000));
    c.append("INBOX", &message).await;
    let answer = c.ok("FETCH 1 BODY.PEEK[]").await;
    assert!(answer.contains(&format!("{{{}}}\r\n{message})", message.len())));
    let answer = c.ok("FETCH 1 BODY.PEEK[]<2000000.10>").await;
    assert!(
        answer.contains(&format!("BODY[]<2000000> {{10}}\r\n{})", &message[2_000_000..2_000_010])),
        "{answer}"
    );
}

/// The second FETCH of all flags is answered from what the first remembered: it tells the same, and what others
/// changed meanwhile.
#[tokio::test]
async fn all_flags_again() {
    let world = World::new().await;
    let mut c = world.selected("INBOX").await;
    for _ in 0..5 {
        c.append("INBOX", MESSAGE).await;
    }
    let fetches = |answer: String| {
        let lines: Vec<_> = answer.lines().filter(|l| l.contains(" FETCH (")).map(str::to_owned).collect();
        lines.join("\n")
    };
    let first = fetches(c.ok("FETCH 1:* (FLAGS UID MODSEQ)").await);
    assert_eq!(first.lines().count(), 5, "{first}");
    assert_eq!(fetches(c.ok("FETCH 1:* (FLAGS UID MODSEQ)").await), first);
    let mut other = world.selected("INBOX").await;
    other.ok("STORE 2 +FLAGS.SILENT (\\Deleted)").await;
    other.ok("STORE 3 +FLAGS.SILENT ($Work \\Seen)").await;
    other.ok("EXPUNGE").await;
    other.append("INBOX", MESSAGE).await;
    // Its numbers are still those of before: 2 is gone and may not be told yet (RFC 9051 §5.5, RFC 5530 §3).
    let answer = c.ok("FETCH 2:4 (UID FLAGS)").await;
    assert!(answer.contains("* 3 FETCH (UID 3 FLAGS (\\Seen $Work))"), "{answer}");
    assert!(!answer.contains("UID 2") && answer.contains("EXPUNGEISSUED"), "{answer}");
    c.ok("NOOP").await;
    let answer = c.ok("UID FETCH 3:* (FLAGS)").await;
    for line in
        ["* 2 FETCH (UID 3 FLAGS (\\Seen $Work))", "* 3 FETCH (UID 4 FLAGS ())", "* 5 FETCH (UID 6 FLAGS ())"]
    {
        assert!(answer.contains(line), "{line} in {answer}");
    }
}

#[tokio::test]
async fn a_damaged_body_is_said_to_be_and_the_message_stays_unseen() {
    let world = World::new().await;
    let mut c = world.login().await;
    let body = "a line of a large message\r\n".repeat(30_000);
    c.append("INBOX", &format!("Subject: large\r\n\r\n{body}")).await;
    c.append("INBOX", "Subject: small\r\n\r\nhello\r\n").await;
    c.ok("SELECT INBOX").await;
    let files = world.bodies();
    let good = std::fs::read(&files[0]).unwrap();
    let mut wrong = good.clone();
    // In the first block.
    wrong[20] ^= 1;
    std::fs::write(&files[0], wrong).unwrap();
    // Both messages are marked as seen together, and the second is never reached.
    for what in
        ["BODY[]", "BODY[TEXT]", "RFC822", "BODY[]<1000.5>", "BODY[HEADER.FIELDS (Subject)]", "BINARY[1]"]
    {
        c.fails(&format!("FETCH 1:2 ({what})"), "NO [CORRUPTION]").await;
    }
    assert!(c.ok("SEARCH UNSEEN").await.contains("* SEARCH 1 2"));
    assert!(c.ok("FETCH 2 BODY[]").await.contains("hello"));
    assert!(c.ok("FETCH 1 ENVELOPE").await.contains("large"), "what needs no body is told");
    std::fs::write(&files[0], good).unwrap();
    assert!(c.ok("FETCH 1 (BODY[])").await.contains(&body));
    assert!(c.ok("FETCH 1 FLAGS").await.contains("\\Seen"));
}
