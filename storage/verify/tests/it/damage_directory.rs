//! Damage to the directory and the queue.

use godwit_verify::Kind;
use schema::keys::account::*;
use schema::keys::node::*;
use schema::keys::oauth::{ClientKey, NewClientKey};
use schema::keys::queue::*;
use schema::keys::share::ShareKey;
use schema::records::account::{
    AddressTarget, Credential, LastId, Membership, SecondFactor, Share, Visit, Visits,
};
use schema::records::node;
use schema::records::queue::{self as queue, Entry};
use schema::{AccountId, Key, MailboxId, NodeId, QueueId, Record, Site, SiteKind};

use crate::damage::{kept, mended};
use crate::world::{REMOTE, world};

fn address(local: &str) -> AddressKey {
    AddressKey { domain: "example.test".into(), local: local.into() }
}

#[tokio::test]
async fn domains_and_accounts_come_back() {
    let mut w = world().await;
    w.clear(&DomainKey { name: "example.test".into() }).await;
    mended(&mut w, &[Kind::DomainLost]).await;
    let principal = PrincipalKey { account: w.ann };
    w.clear(&principal).await;
    let follows = [Kind::PrincipalLost, Kind::PrincipalRowStale, Kind::MembershipUneven, Kind::MailUnowned];
    mended(&mut w, &follows).await;
    assert!(w.accounts.login("ann@example.test").await.unwrap().is_some());
    for last in [LastIdKey::Account, LastIdKey::Domain] {
        w.set(&last, &LastId { id: 0 }.to_bytes()).await;
        mended(&mut w, &[Kind::LastIdLow]).await;
    }
}

#[tokio::test]
async fn addresses_lead_to_accounts_and_back() {
    let mut w = world().await;
    for local in ["ann", "a"] {
        w.clear(&address(local)).await;
        mended(&mut w, &[Kind::AddressMissing]).await;
        assert_eq!(w.accounts.find(&format!("{local}@example.test")).await.unwrap().unwrap().id, w.ann);
    }
    w.set(&address("ghost"), &AddressTarget { account: 999, alias: false }.to_bytes()).await;
    mended(&mut w, &[Kind::AddressStale]).await;
    w.set(&address("ghost"), &AddressTarget { account: w.ann.0, alias: false }.to_bytes()).await;
    mended(&mut w, &[Kind::AddressStale]).await;
    w.clear(&AliasKey { account: w.ann, address: "a@example.test".into() }).await;
    mended(&mut w, &[Kind::AliasMissing]).await;
    w.set(&AliasKey { account: w.ann, address: "team@example.test".into() }, b"").await;
    mended(&mut w, &[Kind::AliasStale]).await;
}

#[tokio::test]
async fn memberships_have_two_halves() {
    let mut w = world().await;
    let (group, member) = (w.team, w.ann);
    w.clear(&MemberOfKey { member, group }).await;
    mended(&mut w, &[Kind::MembershipUneven]).await;
    assert_eq!(w.accounts.shared_with(member).await.unwrap().len(), 1);
    w.clear(&GroupMemberKey { group, member }).await;
    mended(&mut w, &[Kind::MembershipUneven]).await;
    assert_eq!(w.accounts.shared_with(member).await.unwrap().len(), 0, "its rights are not known");
    let nobody = AccountId(99);
    w.set(&GroupMemberKey { group, member: nobody }, &Membership { rights: 1 }.to_bytes()).await;
    mended(&mut w, &[Kind::MembershipUneven]).await;
}

#[tokio::test]
async fn rights_have_two_halves_and_go_with_accounts() {
    let mut w = world().await;
    let bob = w.account("bob", accounts::Kind::Person).await;
    let mailbox = w.mail.with_role(w.ann, mail::Role::Inbox).await.unwrap().unwrap();
    let rights = accounts::Rights::parse("lr").unwrap();
    let edit = mail::ShareEdit { by: w.ann, whole: true, rights: [(bob, rights)].into() };
    let share = mail::MailboxEdit { shares: Some(edit), ..mail::MailboxEdit::default() };
    w.mail.edit_mailbox(w.ann, mailbox, &share).await.unwrap();
    w.watch().await;
    let key = ShareKey { owner: w.ann, mailbox, principal: bob };
    let shares = async |w: &crate::world::World| w.accounts.identity(bob).await.unwrap().unwrap().shares;
    assert_eq!(shares(&w).await[0].mailboxes[&mailbox].rights, rights);
    w.clear(&key.other()).await;
    mended(&mut w, &[Kind::ShareUneven]).await;
    assert_eq!(shares(&w).await.len(), 1, "the list says so");
    let more = Share { rights: accounts::Rights::ALL.bits(), subscribed: true };
    w.set(&key.other(), &more.to_bytes()).await;
    mended(&mut w, &[Kind::ShareUneven]).await;
    assert_eq!(shares(&w).await[0].mailboxes[&mailbox].rights, rights, "nobody gets a right by it");
    w.clear(&key).await;
    mended(&mut w, &[Kind::ShareUneven]).await;
    assert_eq!(shares(&w).await.len(), 0, "the list does not have it");
    for lost in [ShareKey { mailbox: MailboxId(999), ..key }, ShareKey { principal: AccountId(99), ..key }] {
        w.set(&lost, &more.to_bytes()).await;
        mended(&mut w, &[Kind::ShareUneven]).await;
    }
    w.mail.edit_mailbox(w.ann, mailbox, &share).await.unwrap();
    w.watch().await;
    w.accounts.set_enabled(w.ann, false).await.unwrap();
    assert_eq!(shares(&w).await.len(), 0, "who takes no part shares nothing");
    w.accounts.set_enabled(w.ann, true).await.unwrap();
    let state = w.mail.state(w.ann).await.unwrap();
    let (accounts, mail) = (&w.accounts, &w.mail);
    let delete = w.db.transact("test", |txn| async move {
        let account = accounts.delete_account_in(&txn, bob).await?;
        mail.remove_in(&txn, bob, &account.address);
        Ok::<_, accounts::Error>(())
    });
    delete.await.unwrap();
    assert!(w.mail.lists(w.ann).await.unwrap().is_empty());
    assert!(w.mail.state(w.ann).await.unwrap() > state, "who shared it is told");
}

#[tokio::test]
async fn a_grant_is_for_a_client() {
    let mut w = world().await;
    let (client, _) = w.range(ClientKey::range()).await.remove(0);
    w.write(&[(client.to_vec(), None)]).await;
    mended(&mut w, &[Kind::GrantStale]).await;
    let waiting = w.range(NewClientKey::range()).await.remove(0).0;
    w.write(&[(waiting.to_vec(), Some(b"\x09".to_vec()))]).await;
    kept(&w, &[Kind::ForeignFormat]).await;
}

#[tokio::test]
async fn a_password_of_an_application_is_one_that_somebody_can_have() {
    let mut w = world().await;
    let row = Credential { version: 1, hash: vec![1; 31], name: "phone".into(), ..Credential::default() };
    w.set(&CredentialKey { account: w.ann, number: 7 }, &row.to_bytes()).await;
    mended(&mut w, &[Kind::CredentialStale]).await;
    assert_eq!(w.accounts.applications(w.ann).await.unwrap(), []);
    assert_eq!(w.accounts.login("ann@example.test").await.unwrap().unwrap().credentials.len(), 1);
}

#[tokio::test]
async fn a_second_factor_that_is_none_is_left_to_an_operator() {
    let w = world().await;
    let row = SecondFactor { secret: vec![1; 19], since: 1, ..SecondFactor::default() };
    w.set(&SecondFactorKey { account: w.ann }, &row.to_bytes()).await;
    kept(&w, &[Kind::SecondFactorLost]).await;
    assert!(w.accounts.remove_second(w.ann).await.unwrap());
    assert_eq!(w.kinds().await, [].into());
}

#[tokio::test]
async fn visits_are_known() {
    let w = world().await;
    w.set(&VisitsKey { account: w.ann }, &Visits { visits: vec![Visit::default()] }.to_bytes()).await;
    assert_eq!(w.kinds().await, [].into());
    w.set(&VisitsKey { account: w.ann }, b"\x09").await;
    kept(&w, &[Kind::ForeignFormat]).await;
}

#[tokio::test]
async fn what_belongs_to_nobody_goes_only_if_it_may() {
    let w = world().await;
    w.set(&CredentialKey { account: AccountId(99), number: 0 }, b"\x01").await;
    kept(&w, &[Kind::PrincipalRowStale]).await;
    assert_eq!(w.repair(true).await.1, []);
    let gone = w.account("gone", accounts::Kind::Person).await;
    w.accounts.delete_account(gone).await.unwrap();
    kept(&w, &[Kind::MailUnowned]).await;
    assert_eq!(w.repair(true).await.1, []);
    while w.mail.purge_step(gone).await.unwrap() != mail::Step::Finished {}
    assert_eq!(w.kinds().await, [].into());
}

#[tokio::test]
async fn entries_are_found_by_those_who_send() {
    let mut w = world().await;
    let slot = slot_of("q.example");
    let key = QueueEntryKey { id: w.waiting };
    let entry = Entry::from_bytes(&w.get(&key.encode()).await.unwrap()).unwrap();
    let due = QueueDueKey { slot, time: entry.due, id: w.waiting };
    w.clear(&due).await;
    mended(&mut w, &[Kind::DueMissing]).await;
    w.set(&QueueDueKey { time: due.time + 1, ..due }, b"").await;
    mended(&mut w, &[Kind::DueStale]).await;
    w.set(&QueueDueKey { id: QueueId(9), ..due }, b"").await;
    mended(&mut w, &[Kind::DueStale]).await;
    let claim = QueueClaimKey { slot: slot_of(REMOTE), id: w.claimed };
    w.set(&QueueClaimKey { slot, id: w.waiting }, &queue::Claim { epoch: 1 }.to_bytes()).await;
    mended(&mut w, &[Kind::ClaimStale]).await;
    w.clear(&claim).await;
    mended(&mut w, &[Kind::ClaimMissing]).await;
    assert_eq!(w.spool.due(slot_of(REMOTE), 9, 9).await.unwrap().entries.len(), 1);
    w.set(&key, &Entry { slot: (u32::from(slot) + 1) % 64, ..entry }.to_bytes_at(1)).await;
    mended(&mut w, &[Kind::QueueSlotWrong, Kind::DueMissing, Kind::DueStale]).await;
    assert_eq!(w.spool.due(slot, 9, 9).await.unwrap().entries.len(), 1);
    w.write(&[(b"Qn".to_vec(), Some(b"\x01".to_vec())), (b"Qo\x07".to_vec(), Some(Vec::new()))]).await;
    mended(&mut w, &[Kind::Retired]).await;
}

#[tokio::test]
async fn nodes_and_their_numbers_fit_together() {
    let mut w = world().await;
    let nobody = NodeId(9);
    w.set(&IssuedKey, &node::Issued::default().to_bytes()).await;
    mended(&mut w, &[Kind::EpochLow]).await;
    assert!(w.own("other.example").await.is_ok());
    w.clear(&NodeNameKey { name: "n".into() }).await;
    mended(&mut w, &[Kind::NodeUneven]).await;
    w.set(&NodeNameKey { name: "m".into() }, &node::NodeName { node: 9 }.to_bytes()).await;
    mended(&mut w, &[Kind::NodeUneven]).await;
    w.set(&LeaseKey { node: nobody }, &node::Lease { epoch: 1, draining: false }.to_bytes()).await;
    mended(&mut w, &[Kind::NodeUneven, Kind::EpochLow]).await;
    w.set(&RenewalKey { node: nobody }, &[0; 8]).await;
    mended(&mut w, &[Kind::NodeUneven]).await;
    let site = SiteKey { site: Site { kind: SiteKind::Zone, name: "a".into() } };
    w.set(&site, &node::SiteSetting { state: 9, ..node::SiteSetting::default() }.to_bytes()).await;
    mended(&mut w, &[Kind::SiteStateWrong]).await;
}

#[tokio::test]
async fn an_envelope_that_is_lost_is_kept_until_it_may_go() {
    let w = world().await;
    w.clear(&QueueRecipientKey { id: w.claimed, number: 0 }).await;
    kept(&w, &[Kind::RecipientsLost]).await;
    assert_eq!(w.repair(true).await.1, []);
    assert!(w.spool.get(w.claimed).await.is_err());
    w.set(&QueueRecipientKey { id: QueueId(9), number: 0 }, b"\x01").await;
    kept(&w, &[Kind::RecipientStale]).await;
    assert_eq!(w.repair(true).await.1, []);
}
