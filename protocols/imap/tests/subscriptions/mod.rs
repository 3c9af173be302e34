//! LSUB, SUBSCRIBE and what LIST tells of subscriptions.

use crate::support::World;

/// RFC 3501 §6.3.9, RFC 5258 §3.5: what lies above a subscription is told for its sake.
#[tokio::test]
async fn levels_above_subscriptions() {
    let world = World::new().await;
    let mut c = world.login().await;
    c.ok("CREATE a/b/c").await;
    c.ok("SUBSCRIBE a/b/c").await;
    c.ok("SUBSCRIBE x/y/z").await;
    let answer = c.ok("LSUB \"\" %").await;
    for name in ["a", "x"] {
        assert!(answer.contains(&format!("* LSUB (\\Noselect) \"/\" \"{name}\"\r\n")), "{answer}");
    }
    assert!(answer.contains("* LSUB () \"/\" \"INBOX\"") && !answer.contains("a/"), "{answer}");
    assert!(c.ok("LSUB \"\" x/%").await.contains("* LSUB (\\Noselect) \"/\" \"x/y\"\r\n"));
    let answer = c.ok("LSUB \"\" *").await;
    assert!(answer.contains("\"a/b/c\"") && !answer.contains("\"a\"") && !answer.contains("\"x/y\""));
    assert!(!c.ok("LSUB \"\" a/b").await.contains("LSUB ("), "it is not subscribed");
    let answer = c.ok("LIST (SUBSCRIBED RECURSIVEMATCH) \"\" x").await;
    assert!(
        answer.contains("\\NonExistent") && answer.contains("(\"CHILDINFO\" (\"SUBSCRIBED\"))"),
        "{answer}"
    );
    assert!(!c.ok("LIST \"\" x*").await.contains("* LIST"), "nothing is there");
}

/// RFC 9051 §5.1, §6.3.7: a subscription is to the name that LIST tells.
#[tokio::test]
async fn subscriptions_are_to_names_as_they_are_told() {
    let world = World::new().await;
    let mut c = world.login().await;
    for (written, name) in [
        ("inbox/x", "INBOX/x"),
        ("a/", "a"),
        ("Shared/Sales/inbox", "Shared/Sales/INBOX"),
        ("Shared/Nobody/z", "Shared/Nobody/z"),
    ] {
        c.ok(&format!("SUBSCRIBE {written}")).await;
        let answer = c.ok("LSUB \"\" *").await;
        assert!(answer.contains(&format!("\"/\" \"{name}\"\r\n")), "{name}: {answer}");
        c.ok(&format!("UNSUBSCRIBE {written}")).await;
        assert!(!c.ok("LSUB \"\" *").await.contains(&format!("\"{name}\"")), "{name}");
    }
    c.fails("SUBSCRIBE a//b", "NO [CANNOT]").await;
}
