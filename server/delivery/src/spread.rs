//! A batch of messages within its transaction: stored for everybody here, queued for everybody elsewhere.
//!
//! A store on other machines answers after a while, and a transaction that is long loses to those that are short. So
//! what does not depend on each other goes on at once: looking up recipients, and storing for different accounts. What
//! one account gets keeps its order.

use std::collections::{BTreeMap, HashMap};

use accounts::Status;
use futures::future::try_join_all;
use kv::Transaction;
use mail::{MailboxRef, PendingAppend};
use schema::{AccountId, Flags, QueueId};
use spool::{NewEntry, NewRecipient};

use crate::commit::{Message, Outcome, Outcomes, Target};
use crate::{Error, Shared};

/// Accounts that are served at once.
const SIDE_BY_SIDE: usize = 64;

/// What became of messages.
pub(crate) struct Spread {
    /// In the order of the messages.
    pub(crate) outcomes: Vec<Outcomes>,
    /// What was stored.
    pub(crate) pending: Vec<PendingAppend>,
    /// Who has which message now, by its number.
    pub(crate) stored: Vec<(usize, AccountId)>,
    /// What was queued, of each message.
    pub(crate) queued: Vec<Vec<QueueId>>,
}

/// Stores messages for all whom their recipients lead to here, and queues them for those elsewhere.
pub(crate) async fn all_in(
    shared: &Shared,
    txn: &Transaction,
    messages: &[&Message],
) -> Result<Spread, Error> {
    let routed = messages.iter().map(|message| async move {
        let leads = message.targets.iter().map(|target| lead_in(shared, txn, target));
        Ok::<_, Error>(Routed { message, leads: try_join_all(leads).await? })
    });
    let routed = try_join_all(routed).await?;
    let mut stores = Stores { shared, txn, taken: HashMap::new(), pending: Vec::new() };
    stores.store(&routed).await?;
    let (mut outcomes, mut queued) = (Vec::with_capacity(messages.len()), Vec::with_capacity(messages.len()));
    for (number, one) in routed.iter().enumerate() {
        let (outcome, remote) = one.outcomes(|account| stores.taken.get(&(number, account)) == Some(&true));
        queued.push(enqueue_in(shared, txn, one.message, remote).await?);
        outcomes.push(outcome);
    }
    let mut stored: Vec<_> = stores.taken.iter().filter(|(_, taken)| **taken).map(|(one, _)| *one).collect();
    stored.sort_unstable();
    Ok(Spread { outcomes, pending: stores.pending, stored, queued })
}

/// A message and where its recipients lead, in their order.
struct Routed<'a> {
    message: &'a Message,
    leads: Vec<Lead>,
}

/// Where a recipient leads.
enum Lead {
    Nowhere(Outcome),
    Somewhere { here: Vec<AccountId>, elsewhere: Vec<String> },
}

async fn lead_in(shared: &Shared, txn: &Transaction, target: &Target) -> Result<Lead, Error> {
    if target.loops {
        return Ok(Lead::Nowhere(Outcome::Loop));
    }
    let expansion = shared.services.accounts.expand_in(txn, &target.address).await?;
    let elsewhere = match expansion.status {
        Status::UnknownUser | Status::Disabled => return Ok(Lead::Nowhere(Outcome::Gone)),
        Status::UnknownDomain => vec![target.address.clone()],
        Status::Known => expansion.remote,
    };
    Ok(Lead::Somewhere { here: expansion.local.iter().map(|to| to.account).collect(), elsewhere })
}

impl Routed<'_> {
    /// The accounts that get it, each once.
    fn accounts(&self) -> Vec<AccountId> {
        let mut accounts = Vec::new();
        for lead in &self.leads {
            let Lead::Somewhere { here, .. } = lead else { continue };
            accounts.extend(here);
        }
        accounts.sort_unstable();
        accounts.dedup();
        accounts
    }

    /// What became of each recipient, and who elsewhere is to get it, by domain.
    fn outcomes(
        &self,
        is_taken: impl Fn(AccountId) -> bool,
    ) -> (Outcomes, BTreeMap<String, Vec<NewRecipient>>) {
        let mut remote = BTreeMap::new();
        let outcome = |(target, lead): (&Target, &Lead)| {
            let (here, elsewhere) = match lead {
                Lead::Nowhere(outcome) => return *outcome,
                Lead::Somewhere { here, elsewhere } => (here, elsewhere),
            };
            elsewhere.iter().for_each(|address| queue(&mut remote, address, target));
            let stored = here.iter().filter(|account| is_taken(**account)).count();
            match (stored + elsewhere.len(), here.len() - stored) {
                (0, 1..) => Outcome::MailboxFull,
                (_, 1..) => Outcome::Partly,
                _ if !elsewhere.is_empty() => Outcome::Queued,
                _ => Outcome::Delivered,
            }
        };
        let outcomes = self.message.targets.iter().zip(&self.leads).map(outcome).collect();
        (outcomes, remote)
    }
}

/// Puts a remote recipient with the others of its domain.
fn queue(remote: &mut BTreeMap<String, Vec<NewRecipient>>, address: &str, target: &Target) {
    let domain = address.rsplit_once('@').map(|(_, domain)| domain).unwrap_or_default();
    let domain = idna::domain_to_ascii(domain).unwrap_or_else(|_| domain.to_ascii_lowercase());
    let orcpt = target.orcpt.clone();
    let recipient = NewRecipient { address: address.to_owned(), notify: target.notify, orcpt };
    let recipients = remote.entry(domain).or_default();
    if recipients.iter().all(|r| r.address != recipient.address) {
        recipients.push(recipient);
    }
}

/// Storing for accounts here.
struct Stores<'a> {
    shared: &'a Shared,
    txn: &'a Transaction,
    /// By the number of the message: whether the account has it, or its quota is used up.
    taken: HashMap<(usize, AccountId), bool>,
    pending: Vec<PendingAppend>,
}

impl Stores<'_> {
    /// Accounts are served side by side, and each in the order of the messages. A message for several is stored for one
    /// of them first, so that its body is written once.
    async fn store(&mut self, routed: &[Routed<'_>]) -> Result<(), Error> {
        let mut waiting = BTreeMap::<AccountId, Vec<usize>>::new();
        for (number, one) in routed.iter().enumerate() {
            match *one.accounts() {
                [] => {}
                [account] => waiting.entry(account).or_default().push(number),
                [first, ref others @ ..] => {
                    self.serve(routed, std::mem::take(&mut waiting)).await?;
                    self.serve(routed, BTreeMap::from([(first, vec![number])])).await?;
                    self.serve(routed, others.iter().map(|account| (*account, vec![number])).collect())
                        .await?;
                }
            }
        }
        self.serve(routed, waiting).await
    }

    async fn serve(
        &mut self,
        routed: &[Routed<'_>],
        waiting: BTreeMap<AccountId, Vec<usize>>,
    ) -> Result<(), Error> {
        let waiting: Vec<_> = waiting.into_iter().collect();
        for some in waiting.chunks(SIDE_BY_SIDE) {
            let (shared, txn) = (self.shared, self.txn);
            let served = some.iter().map(|(account, numbers)| async move {
                let mut stored = Vec::with_capacity(numbers.len());
                for number in numbers {
                    let Some(one) = routed.get(*number) else { continue };
                    let pending = store_in(shared, txn, one.message, *account).await?;
                    stored.push((*number, *account, pending));
                }
                Ok::<_, Error>(stored)
            });
            for (number, account, pending) in try_join_all(served).await?.into_iter().flatten() {
                self.taken.insert((number, account), pending.is_some());
                self.pending.extend(pending);
            }
        }
        Ok(())
    }
}

/// Stores a copy in the account's INBOX, unless it is full.
async fn store_in(
    shared: &Shared,
    txn: &Transaction,
    message: &Message,
    account: AccountId,
) -> Result<Option<PendingAppend>, Error> {
    let local = message.local.as_ref().ok_or(Error::Rerouted)?;
    let mail = &shared.services.mail;
    let mailbox = mail.inbox_in(txn, account).await?;
    let now = shared.services.clock.now().secs();
    let at = MailboxRef { account, mailbox };
    match mail.append_in(txn, at, local, &Flags::none(), now).await {
        Ok(pending) => {
            if let Some(tells) = &message.tells {
                mail.note_notification_in(txn, account, tells, pending.email()).await?;
            }
            Ok(Some(pending))
        }
        Err(mail::Error::OverQuota) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

async fn enqueue_in(
    shared: &Shared,
    txn: &Transaction,
    message: &Message,
    remote: BTreeMap<String, Vec<NewRecipient>>,
) -> Result<Vec<QueueId>, Error> {
    let mut queued = Vec::new();
    if remote.is_empty() {
        return Ok(queued);
    }
    let staged = message.relay.as_ref().ok_or(Error::Rerouted)?;
    let sender = &message.sender;
    for (domain, recipients) in remote {
        for some in recipients.chunks(spool::Entry::MAX_RECIPIENTS) {
            let entry = NewEntry {
                return_path: sender.return_path.clone(),
                domain: domain.clone(),
                staged: staged.clone(),
                recipients: some.to_vec(),
                envid: sender.envid.clone(),
                ret: sender.ret,
                smtputf8: sender.smtputf8,
                body: sender.body,
                header_8bit: sender.header_8bit,
                body_8bit: sender.body_8bit,
                submitter: sender.submitter,
                lifetime: shared.options.lifetime,
                not_before: None,
            };
            queued.push(shared.services.spool.enqueue_in(txn, &entry).await?);
        }
    }
    Ok(queued)
}
