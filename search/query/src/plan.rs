//! What indexes say of a filter, before any message is read.

use std::collections::HashMap;

use futures::future::{BoxFuture, FutureExt};
use mail::{MailboxRef, UidSet};
use schema::{EmailId, SystemFlags};

use crate::{Error, Filter, Hits, SearchIndex, Spending};

/// What is known of a filter within a set of messages.
pub(crate) struct Plan {
    /// Every one of them matches.
    pub(crate) least: UidSet,
    /// Every match is among them.
    pub(crate) most: UidSet,
}

impl Plan {
    fn all(within: &UidSet) -> Plan {
        Plan { least: UidSet::new(), most: within.clone() }
    }

    fn exactly(uids: UidSet) -> Plan {
        Plan { least: uids.clone(), most: uids }
    }
}

/// What an index said of a part of the filter: messages are not looked at for it again.
struct Told {
    within: UidSet,
    hits: Hits,
}

/// What planning adds to.
pub(crate) struct Ledger {
    pub(crate) spending: Spending,
    /// By the address of the part, which stays where it is as long as the search goes on.
    told: HashMap<usize, Vec<Told>>,
}

impl Ledger {
    pub(crate) fn new(spending: Spending) -> Ledger {
        Ledger { spending, told: HashMap::new() }
    }

    /// Whether a message matches a part of the filter, if an index said so.
    pub(crate) fn says(&self, filter: &Filter, uid: u32) -> Option<bool> {
        let told = self.told.get(&address(filter))?;
        let mut said = told.iter().filter(|t| t.within.contains(uid) && !t.hits.maybe.contains(uid));
        said.next().map(|t| t.hits.sure.contains(uid))
    }
}

fn address(filter: &Filter) -> usize {
    std::ptr::from_ref(filter).addr()
}

/// Where a plan is made.
pub(crate) struct Planner<'a> {
    pub(crate) store: &'a mail::Store,
    pub(crate) index: &'a dyn SearchIndex,
    pub(crate) at: MailboxRef,
}

impl Planner<'_> {
    pub(crate) fn plan<'b>(
        &'b self,
        filter: &'b Filter,
        within: &'b UidSet,
        ledger: &'b mut Ledger,
    ) -> BoxFuture<'b, Result<Plan, Error>> {
        async move {
            ledger.spending.pay(set_cost(within)).await?;
            Ok(match filter {
                Filter::All => Plan::exactly(within.clone()),
                Filter::And(filters) => self.and(filters, within, ledger).await?,
                Filter::Or(filters) => self.or(filters, within, ledger).await?,
                Filter::Not(inner) => {
                    let plan = self.plan(inner, within, ledger).await?;
                    Plan { least: within.difference(&plan.most), most: within.difference(&plan.least) }
                }
                Filter::Uids(uids) => Plan::exactly(within.intersection(uids)),
                Filter::System(flags) => Plan::exactly(self.flags(*flags, within, &ledger.spending).await?),
                Filter::Keyword(keyword) => {
                    let carriers = self.store.with_keyword(self.at, keyword).await?;
                    ledger.spending.pay(scan_cost(&carriers)).await?;
                    Plan::exactly(within.intersection(&carriers))
                }
                Filter::Header(..)
                | Filter::Body(_)
                | Filter::Text(_)
                | Filter::BodyOrHint(_)
                | Filter::TextOrHint(_) => self.text(filter, within, ledger).await?,
                Filter::Fuzzy(words, exactly) => {
                    let plan = self.plan(exactly, within, ledger).await?;
                    self.fuzzy(filter, words, plan, within, ledger).await?
                }
                _ => Plan::all(within),
            })
        }
        .boxed()
    }

    async fn text(&self, filter: &Filter, within: &UidSet, ledger: &mut Ledger) -> Result<Plan, Error> {
        if within.is_empty() {
            return Ok(Plan::exactly(UidSet::new()));
        }
        let Some(hits) = self.index.candidates(self.at, filter, within).await? else {
            return Ok(Plan::all(within));
        };
        ledger.spending.pay(LOOK).await?;
        let sure = within.intersection(&hits.sure);
        let maybe = within.intersection(&hits.maybe).difference(&sure);
        let plan = Plan { most: sure.union(&maybe), least: sure.clone() };
        let told = Told { within: within.clone(), hits: Hits { sure, maybe } };
        ledger.told.entry(address(filter)).or_default().push(told);
        Ok(plan)
    }

    /// What matches exactly, and what fits the words besides.
    async fn fuzzy(
        &self,
        filter: &Filter,
        words: &str,
        exactly: Plan,
        within: &UidSet,
        ledger: &mut Ledger,
    ) -> Result<Plan, Error> {
        let fitting = self.index.relevant(self.at.account, words, FITTING).await?.unwrap_or_default();
        ledger.spending.pay(LOOK).await?;
        let mut emails: Vec<EmailId> = fitting.iter().map(|one| one.email).collect();
        emails.sort_unstable();
        let fitting = match self.store.uids_of(self.at, &emails).await {
            // The mailbox is gone.
            Err(mail::Error::NotFound) => return Ok(exactly),
            uids => within.intersection(&uids?),
        };
        let sure = exactly.least.union(&fitting);
        let maybe = exactly.most.difference(&sure);
        let plan = Plan { most: sure.union(&maybe), least: sure.clone() };
        let told = Told { within: within.clone(), hits: Hits { sure, maybe } };
        ledger.told.entry(address(filter)).or_default().push(told);
        Ok(plan)
    }

    /// Each narrows down what is left for the next.
    async fn and(&self, filters: &[Filter], within: &UidSet, ledger: &mut Ledger) -> Result<Plan, Error> {
        let mut plan = Plan::exactly(within.clone());
        for filter in filters {
            let next = self.plan(filter, &plan.most, ledger).await?;
            plan = Plan { least: plan.least.intersection(&next.least), most: next.most };
        }
        Ok(plan)
    }

    async fn or(&self, filters: &[Filter], within: &UidSet, ledger: &mut Ledger) -> Result<Plan, Error> {
        let mut plan = Plan::exactly(UidSet::new());
        for filter in filters {
            let next = self.plan(filter, within, ledger).await?;
            plan = Plan { least: plan.least.union(&next.least), most: plan.most.union(&next.most) };
        }
        Ok(plan)
    }

    async fn flags(&self, flags: SystemFlags, within: &UidSet, spending: &Spending) -> Result<UidSet, Error> {
        let mut uids = within.clone();
        for flag in flags.iter() {
            let listed = self.store.with_flag(self.at, flag).await?;
            spending.pay(scan_cost(&listed)).await?;
            // The index of \Seen lists those without it.
            uids =
                if flag == SystemFlags::SEEN { uids.difference(&listed) } else { uids.intersection(&listed) };
        }
        Ok(uids)
    }
}

/// Emails that fit words best; others are found only where they match exactly.
pub(crate) const FITTING: usize = 10_000;

/// What asking an index costs, in bytes.
const LOOK: u64 = 16 * 1024;

/// What putting sets together costs, in bytes: no more than one in four UIDs begins a run of its own that matters.
fn set_cost(within: &UidSet) -> u64 {
    u64::from(within.len() / 4)
}

/// What reading a set off an index cost, in bytes of its rows.
fn scan_cost(read: &UidSet) -> u64 {
    u64::from(read.len()) * 16
}
