//! What happens to mail: through JMAP, by the verbs that IMAP has, and by delivery.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use content_mail::{Limits, summarize};
use godwit_jmap::Trust;
use mail::{FlagChange, Incoming, MailboxPath, MailboxRef, UidSet};
use runtime::{Rng, SeededRng};
use schema::{AccountId, Flags, Keyword, SystemFlags};
use serde_json::{Value, json};

use crate::smime::fixture;
use crate::world::{SIGNERS, World, ids};

const SUBJECTS: [&str; 5] = ["Lunch", "Re: Lunch", "Report", "Re: report", "Words"];
const PEOPLE: [&str; 4] =
    ["a1@example.test", "Bea <a2@example.test>", "bea <a3@example.test>, Cid <c@example.test>", ""];
const NAMES: [&str; 8] =
    ["Work", "Work/Old", "Work/New", "Play", "Play/Old", "Lists", "INBOX/Sub", "Archive"];

pub(crate) struct Acts<'w> {
    world: &'w World,
    pub(crate) random: SeededRng,
}

impl<'w> Acts<'w> {
    pub(crate) fn new(world: &'w World, seed: u64) -> Self {
        Acts { world, random: SeededRng::new(seed ^ 0x5eed) }
    }

    fn below(&self, most: usize) -> usize {
        usize::try_from(self.random.below(most as u64)).unwrap()
    }

    fn pick<T: Clone>(&self, among: &[T]) -> T {
        among[self.below(among.len())].clone()
    }

    fn account(&self) -> AccountId {
        self.pick(&self.world.accounts)
    }

    /// Mailboxes and mail to begin with.
    pub(crate) async fn fill(&self, account: AccountId) {
        for name in ["Work", "Work/Old", "Play"] {
            self.world.mail().create(account, &MailboxPath::parse(name).unwrap(), None).await.unwrap();
        }
        for _ in 0..12 {
            self.append(account).await;
        }
    }

    /// A few things happen; says which.
    pub(crate) async fn some(&self) -> Vec<&'static str> {
        let mut done = Vec::new();
        for _ in 0..=self.below(4) {
            self.world.clock.advance(Duration::from_secs(self.random.below(120)));
            done.push(self.one().await);
        }
        done
    }

    async fn one(&self) -> &'static str {
        let account = self.account();
        match self.below(24) {
            0..=2 => self.append(account).await,
            3 => self.deliver().await,
            4..=6 => self.store(account).await,
            7 => self.copy(account).await,
            8 => self.move_(account).await,
            9 => self.expunge(account).await,
            10 => self.create(account).await,
            11 => self.rename(account).await,
            12 => self.delete(account).await,
            13 => self.subscribe(account).await,
            14 => self.jmap_create(account).await,
            15 | 16 => self.jmap_update(account).await,
            17 => self.jmap_destroy(account).await,
            18 => self.jmap_import(account).await,
            19 => self.jmap_copy(account).await,
            20 => self.jmap_mailboxes(account).await,
            21 => self.authorities().await,
            _ => self.trim(account).await,
        }
    }

    /// Others are believed about certificates, or the same as ever.
    async fn authorities(&self) -> &'static str {
        let trust = self.pick(&[Trust::from_pem(SIGNERS), Trust::default()]);
        self.world.renew(trust).await;
        "authorities"
    }

    fn message(&self) -> String {
        if self.below(6) == 0 {
            return String::from_utf8(fixture(self.pick(&["opaque", "for-a-day", "encrypted"]))).unwrap();
        }
        let references: String = (0..self.below(3)).map(|_| format!("<{}@x> ", self.below(12))).collect();
        let attached = "Content-Disposition: attachment; filename=a.bin\r\n";
        format!(
            "From: {}\r\nTo: {}\r\nMessage-ID: <{}@x>\r\nReferences: {references}\r\n{}Subject: {}\r\n\r\n{}\r\n",
            self.pick(&PEOPLE),
            self.pick(&PEOPLE),
            self.below(12),
            self.pick(&["", "", attached]),
            self.pick(&SUBJECTS),
            "text ".repeat(self.below(20)),
        )
    }

    async fn incoming(&self) -> Incoming {
        let message = self.message();
        let summary = Arc::new(summarize(message.as_bytes(), &Limits::default()));
        Incoming { staged: self.world.mail().blobs().stage(message.into()).await.unwrap(), summary }
    }

    fn flags(&self) -> Flags {
        let mut flags = Flags::none();
        for flag in [SystemFlags::SEEN, SystemFlags::FLAGGED, SystemFlags::DELETED, SystemFlags::DRAFT] {
            if self.below(4) == 0 {
                flags.system |= flag;
            }
        }
        if self.below(4) == 0 {
            flags.keywords = BTreeSet::from([Keyword::new(self.pick(&["work", "Play"])).unwrap()]);
        }
        flags
    }

    async fn mailbox(&self, account: AccountId) -> MailboxRef {
        let all = self.world.mail().mailboxes(account).await.unwrap();
        MailboxRef { account, mailbox: self.pick(&all).id }
    }

    async fn uids(&self, at: MailboxRef) -> UidSet {
        let uids = self.world.mail().open(at).await.unwrap().uids;
        uids.iter().filter(|_| self.below(3) == 0).collect()
    }

    fn received(&self) -> i64 {
        1_800_000_000 + i64::try_from(self.random.below(3_600)).unwrap()
    }

    async fn append(&self, account: AccountId) -> &'static str {
        let (at, incoming) = (self.mailbox(account).await, self.incoming().await);
        self.world.mail().append(at, &incoming, &self.flags(), self.received()).await.unwrap();
        "append"
    }

    /// One message for all, in one transaction.
    async fn deliver(&self) -> &'static str {
        let (incoming, received) = (&self.incoming().await, self.received());
        let ((mail, db), accounts) = (self.world.store(), &self.world.accounts);
        let delivered = db.transact_versioned("test", |txn| async move {
            let mut pending = Vec::new();
            for account in accounts {
                let at = MailboxRef { account: *account, mailbox: mail.inbox_in(&txn, *account).await? };
                pending.push(mail.append_in(&txn, at, incoming, &Flags::none(), received).await?);
            }
            Ok::<_, mail::Error>(pending)
        });
        let (pending, version) = delivered.await.unwrap();
        for one in &pending {
            mail.committed(one, version);
        }
        "deliver"
    }

    async fn store(&self, account: AccountId) -> &'static str {
        let at = self.mailbox(account).await;
        let (uids, flags) = (self.uids(at).await, self.flags());
        let change = match self.below(3) {
            0 => FlagChange::Add(flags),
            1 => FlagChange::Remove(flags),
            _ => FlagChange::Replace(flags),
        };
        self.world.mail().store_flags(at, &uids, &change, None).await.unwrap();
        "store"
    }

    async fn copy(&self, account: AccountId) -> &'static str {
        let (from, to) = (self.mailbox(account).await, self.mailbox(self.account()).await);
        self.world.mail().copy(from, &self.uids(from).await, to).await.unwrap();
        "copy"
    }

    async fn move_(&self, account: AccountId) -> &'static str {
        let (from, to) = (self.mailbox(account).await, self.mailbox(self.account()).await);
        self.world.mail().move_(from, &self.uids(from).await, to).await.unwrap();
        "move"
    }

    async fn expunge(&self, account: AccountId) -> &'static str {
        let at = self.mailbox(account).await;
        let some = self.uids(at).await;
        let uids = Some(&some).filter(|_| self.below(2) == 0);
        self.world.mail().expunge(at, uids).await.unwrap();
        "expunge"
    }

    fn path(&self) -> MailboxPath {
        MailboxPath::parse(self.pick(&NAMES)).unwrap()
    }

    /// May be there already, as all that follows may be impossible.
    async fn create(&self, account: AccountId) -> &'static str {
        drop(self.world.mail().create(account, &self.path(), None).await);
        "create"
    }

    async fn rename(&self, account: AccountId) -> &'static str {
        let all = self.world.mail().mailboxes(account).await.unwrap();
        drop(self.world.mail().rename(account, &self.pick(&all).path, &self.path()).await);
        "rename"
    }

    async fn delete(&self, account: AccountId) -> &'static str {
        drop(self.world.mail().delete(account, &self.path()).await);
        "delete"
    }

    async fn subscribe(&self, account: AccountId) -> &'static str {
        let on = self.below(2) == 0;
        self.world.mail().subscribe(account, self.pick(&NAMES), on).await.unwrap();
        "subscribe"
    }

    /// The log is kept for a time only.
    async fn trim(&self, account: AccountId) -> &'static str {
        if self.below(4) == 0 {
            self.world.mail().trim(account, i64::MAX).await.unwrap();
        }
        "trim"
    }

    async fn mailbox_ids(&self, account: AccountId) -> Value {
        let mut all = json!({});
        for _ in 0..=self.below(2) {
            all[self.mailbox(account).await.mailbox.to_string()] = true.into();
        }
        all
    }

    async fn emails(&self, account: AccountId) -> Vec<String> {
        let told = self.world.told("Email/query", json!({"accountId": account.to_string()})).await;
        ids(&told["ids"]).into_iter().filter(|_| self.below(4) == 0).collect()
    }

    async fn set(&self, kind: &str, account: AccountId, arguments: Value) {
        let mut all = json!({"accountId": account.to_string()});
        all.as_object_mut().unwrap().extend(arguments.as_object().unwrap().clone());
        let told = self.world.told(&format!("{kind}/set"), all).await;
        assert!(told["newState"].is_string());
    }

    async fn jmap_create(&self, account: AccountId) -> &'static str {
        let email = json!({
            "mailboxIds": self.mailbox_ids(account).await,
            "keywords": {"$draft": true},
            "receivedAt": "2027-01-15T08:30:00Z",
            "subject": self.pick(&SUBJECTS),
            "bodyValues": {"1": {"value": "made here"}},
            "textBody": [{"partId": "1", "type": "text/plain"}],
        });
        self.set("Email", account, json!({"create": {"a": email}})).await;
        "Email/set create"
    }

    async fn jmap_update(&self, account: AccountId) -> &'static str {
        let mut update = json!({});
        for id in self.emails(account).await {
            let mailbox = self.mailbox(account).await.mailbox;
            update[id] = match self.below(5) {
                0 => json!({"keywords/$seen": true, "keywords/work": null}),
                1 => json!({"keywords": {"$flagged": true, "play": true}}),
                2 => json!({"mailboxIds": self.mailbox_ids(account).await}),
                3 => json!({format!("mailboxIds/{mailbox}"): true, "keywords/$seen": null}),
                _ => json!({format!("mailboxIds/{mailbox}"): null}),
            };
        }
        self.set("Email", account, json!({"update": update})).await;
        "Email/set update"
    }

    async fn jmap_destroy(&self, account: AccountId) -> &'static str {
        let some: Vec<String> = self.emails(account).await.into_iter().take(2).collect();
        self.set("Email", account, json!({"destroy": some})).await;
        "Email/set destroy"
    }

    async fn jmap_import(&self, account: AccountId) -> &'static str {
        let account_id = account.to_string();
        let data = json!({"data": [{"data:asText": self.message()}]});
        let told =
            self.world.told("Blob/upload", json!({"accountId": account_id, "create": {"b": data}})).await;
        let email = json!({
            "blobId": told["created"]["b"]["id"],
            "mailboxIds": self.mailbox_ids(account).await,
            "keywords": {"work": true},
        });
        self.world.told("Email/import", json!({"accountId": account_id, "emails": {"a": email}})).await;
        "Email/import"
    }

    async fn jmap_copy(&self, from: AccountId) -> &'static str {
        let Some(to) = self.world.accounts.into_iter().find(|to| *to != from) else { return "none" };
        let mut create = json!({});
        for id in self.emails(from).await {
            create[format!("c{id}")] = json!({"id": id, "mailboxIds": self.mailbox_ids(to).await});
        }
        let destroy = self.below(2) == 0;
        let arguments = json!({"fromAccountId": from.to_string(), "accountId": to.to_string(), "create": create, "onSuccessDestroyOriginal": destroy});
        self.world.told("Email/copy", arguments).await;
        "Email/copy"
    }

    async fn jmap_mailboxes(&self, account: AccountId) -> &'static str {
        let (one, other) = (self.mailbox(account).await.mailbox, self.mailbox(account).await.mailbox);
        let change = match self.below(7) {
            0 => {
                json!({"create": {"a": {"name": self.pick(&["Old", "New", "Lists"]), "parentId": one.to_string()}}})
            }
            1 => json!({"update": {one.to_string(): {"name": self.pick(&["Old", "New", "Lists"])}}}),
            2 => json!({"update": {one.to_string(): {"parentId": other.to_string()}}}),
            3 => json!({"update": {one.to_string(): {"sortOrder": self.below(9)}}}),
            4 => json!({"update": {one.to_string(): {"isSubscribed": self.below(2) == 0}}}),
            5 => {
                let all = self.world.mail().mailboxes(account).await.unwrap();
                let (one, other) = (self.pick(&all), self.pick(&all));
                let place = |of: &mail::Mailbox| {
                    let parent = of.parent.map(|id| id.to_string());
                    json!({"name": of.name, "parentId": parent})
                };
                json!({"update": {one.id.to_string(): place(&other), other.id.to_string(): place(&one)}})
            }
            _ => json!({"destroy": [one.to_string()], "onDestroyRemoveEmails": self.below(2) == 0}),
        };
        self.set("Mailbox", account, change).await;
        "Mailbox/set"
    }
}
