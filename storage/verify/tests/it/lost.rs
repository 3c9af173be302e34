//! What is lost stays until it may go, and then goes as an expunge does.

use godwit_verify::{Kind, Scope};
use schema::keys::blob::body_range;
use schema::keys::mail::StructureKey;

use crate::damage::kept;
use crate::world::world;

#[tokio::test]
async fn a_message_without_body_is_kept_until_it_may_go() {
    for with_structure in [true, false] {
        let mut w = world().await;
        let (inbox, work) = (w.at("INBOX").await, w.at("Work").await);
        let row = w.mail.message(inbox, 2).await.unwrap();
        w.clear_range(body_range(row.blob)).await;
        let mut expected = vec![Kind::BodyLost];
        if !with_structure {
            w.clear_range(StructureKey::range(w.ann, row.email)).await;
            expected.push(Kind::StructureLost);
        }
        kept(&w, &expected).await;
        assert_eq!(w.mail.message(inbox, 2).await.unwrap().email, row.email);
        let (done, left) = w.repair(true).await;
        assert_eq!(left, [], "{done:#?}");
        assert!(w.mail.message(inbox, 2).await.is_err() && w.mail.message(work, 2).await.is_err());
        w.clients_are_right().await;
        let log = changes::log::read(&w.db, w.ann, row.modseq, 1_000).await.unwrap();
        assert!(log.entries.iter().any(|(_, change)| change.emails == [row.email.0]));
        assert_eq!(w.found(&Scope { account: None, bodies: true }).await, []);
    }
}

#[tokio::test]
async fn an_object_that_is_gone_takes_its_messages_along_if_it_may() {
    let mut w = world().await;
    let inbox = w.at("INBOX").await;
    for entry in std::fs::read_dir(w.dir.path()).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.ends_with("spill") {
            std::fs::remove_dir_all(&path).unwrap();
            std::fs::create_dir(&path).unwrap();
        }
    }
    kept(&w, &[Kind::BodyLost]).await;
    let found = w.found(&Scope { account: Some(w.ann), bodies: false }).await;
    assert_eq!(found.iter().map(|f| f.kind).collect::<Vec<_>>(), [Kind::BodyLost]);
    let (done, left) = w.repair(true).await;
    assert_eq!((done.len(), left), (1, vec![]));
    assert!(w.mail.message(inbox, 6).await.is_err());
    w.clients_are_right().await;
}

#[tokio::test]
async fn an_entry_without_body_is_kept_until_it_may_go() {
    let w = world().await;
    let hash = w.spool.get(w.waiting).await.unwrap().blob;
    w.clear_range(body_range(hash)).await;
    kept(&w, &[Kind::BodyLost]).await;
    assert_eq!(w.repair(true).await.1, []);
    assert!(w.spool.get(w.waiting).await.is_err() && w.spool.get(w.claimed).await.is_err());
}
