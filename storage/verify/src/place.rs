//! Where a finding is, in the names that people know.

use crate::{Finding, Verifier};
use schema::AccountId;
use std::collections::HashMap;

/// Where a finding is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Where {
    /// The account's address, its number if the directory does not know it.
    pub account: Option<String>,
    /// The mailbox's path, its number if it has none.
    pub mailbox: Option<String>,
    /// The message.
    pub uid: Option<u32>,
}

/// The names of one account, kept from one finding to the next.
#[derive(Debug, Default)]
pub struct Names(Option<Known>);

#[derive(Debug)]
struct Known {
    account: AccountId,
    address: String,
    paths: HashMap<u32, String>,
}

impl Verifier {
    /// Where a finding is. What cannot be read is told by its number.
    pub async fn locate(&self, finding: &Finding, names: &mut Names) -> Where {
        let mut place = findings::place_of(&finding.key);
        if place.account.is_none() {
            place = findings::place_of(&finding.source);
        }
        let Some(account) = place.account else { return Where::default() };
        if names.0.as_ref().is_none_or(|known| known.account != account) {
            names.0 = Some(self.learn(account).await);
        }
        let known = names.0.as_ref();
        let path = |id: u32| known.and_then(|known| known.paths.get(&id).cloned());
        Where {
            account: known.map(|known| known.address.clone()),
            mailbox: place.mailbox.map(|id| path(id.0).unwrap_or_else(|| format!("mailbox {}", id.0))),
            uid: place.uid.map(schema::Uid::get),
        }
    }

    async fn learn(&self, account: AccountId) -> Known {
        let found = self.accounts.account(account).await.ok().flatten();
        let address = found.map_or_else(|| format!("account {account}"), |found| found.address);
        let mailboxes = self.mail.mailboxes(account).await.unwrap_or_default();
        let paths = mailboxes.into_iter().map(|one| (one.id.0, one.path.to_string())).collect();
        Known { account, address, paths }
    }

    /// The account of an address, or of a number: one that the directory does not know any more may have rows.
    ///
    /// # Errors
    /// The store's.
    pub async fn account(&self, name: &str) -> Result<Option<AccountId>, accounts::Error> {
        match self.accounts.find(name).await? {
            Some(account) => Ok(Some(account.id)),
            None => Ok(name.parse().ok().map(AccountId)),
        }
    }
}
