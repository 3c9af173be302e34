//! Sorting by how well emails fit what is looked for.

use std::sync::Arc;

use content_mail::{Limits, summarize};
use futures::future::{BoxFuture, ready};
use mail::{Incoming, MailboxRef, UidSet};
use parking_lot::Mutex;
use query::{EmailHits, Filter, Hits, Relevant, SearchIndex};
use schema::{AccountId, EmailId, Flags};
use serde_json::{Value, json};

use crate::world::{ALICE, World, ids};

/// Says what it was told to say.
#[derive(Default)]
struct Said {
    relevant: Mutex<Vec<Relevant>>,
    asked: Mutex<Vec<String>>,
}

impl SearchIndex for Said {
    fn candidates<'a>(
        &'a self,
        _: MailboxRef,
        _: &'a Filter,
        _: &'a UidSet,
    ) -> BoxFuture<'a, Result<Option<Hits>, mail::Error>> {
        Box::pin(ready(Ok(None)))
    }

    fn relevant<'a>(
        &'a self,
        _: AccountId,
        words: &'a str,
        _: usize,
    ) -> BoxFuture<'a, Result<Option<Vec<Relevant>>, mail::Error>> {
        self.asked.lock().push(words.to_owned());
        Box::pin(ready(Ok(Some(self.relevant.lock().clone()))))
    }

    fn emails<'a>(
        &'a self,
        _: AccountId,
        _: &'a Filter,
        _: usize,
    ) -> BoxFuture<'a, Result<Option<EmailHits>, mail::Error>> {
        Box::pin(ready(Ok(None)))
    }
}

async fn append(world: &World, text: &str, received: i64) -> EmailId {
    let inbox = world.mail().mailboxes(ALICE).await.unwrap()[0].id;
    let message = format!("Subject: x\r\n\r\n{text}\r\n");
    let summary = Arc::new(summarize(message.as_bytes(), &Limits::default()));
    let incoming = Incoming { staged: world.mail().blobs().stage(message.into()).await.unwrap(), summary };
    let at = MailboxRef { account: ALICE, mailbox: inbox };
    world.mail().append(at, &incoming, &Flags::none(), received).await.unwrap().email
}

#[tokio::test]
async fn what_fits_best_comes_first() {
    let said = Arc::new(Said::default());
    let world = World::with(1, said.clone()).await;
    let mut emails = Vec::new();
    for (text, received) in [("report", 10), ("reported", 20), ("nothing", 30), ("report", 40), ("other", 50)]
    {
        emails.push(append(&world, text, received).await);
    }
    let score = |at: usize, score: f32| Relevant { email: emails[at], score };
    // What is alike to a sixty-fourth is ordered by age; an attachment has what the third one's text has not.
    *said.relevant.lock() = vec![score(2, 5.0), score(0, 2.001), score(1, 2.0)];
    let query = |filter: Value, ascending: bool| {
        let sort = json!([{"property": "relevance", "isAscending": ascending}]);
        json!({"accountId": ALICE.to_string(), "filter": filter, "sort": sort})
    };
    let found = async |filter: Value, ascending: bool| {
        let told = world.told("Email/query", query(filter, ascending)).await;
        assert_eq!(told["canCalculateChanges"], false);
        let place = |id: &String| emails.iter().position(|email| email.to_string() == *id).unwrap();
        ids(&told["ids"]).iter().map(place).collect::<Vec<_>>()
    };
    assert_eq!(found(json!({"text": "Report"}), false).await, [2, 1, 0, 3]);
    assert_eq!(found(json!({"body": "Report"}), true).await, [3, 1, 0, 2]);
    // What must not be there, and what is asked of one field, is as it is.
    let not = json!({"operator": "NOT", "conditions": [{"text": "report"}]});
    assert_eq!(found(not, false).await, [4, 2]);
    assert_eq!(found(json!({"subject": "x"}), false).await, [4, 3, 2, 1, 0]);
    assert_eq!(*said.asked.lock(), ["report", "report"]);
    let mut asked = query(json!({"text": "report"}), false);
    asked["sinceQueryState"] = world.told("Email/query", asked.clone()).await["queryState"].clone();
    assert_eq!(world.call("Email/queryChanges", asked).await, Err("cannotCalculateChanges".to_owned()));
}
