//! What indexes say of a filter, before any message is read.

use futures::future::{BoxFuture, FutureExt};
use mail::{MailboxRef, UidSet};
use schema::SystemFlags;

use crate::{Error, Filter, SearchIndex, Spending};

/// Candidates for a filter within a set of messages.
pub(crate) struct Plan {
    /// Every match is among them.
    pub(crate) uids: UidSet,
    /// Every one of them matches.
    pub(crate) exact: bool,
}

impl Plan {
    fn all(within: &UidSet) -> Plan {
        Plan { uids: within.clone(), exact: false }
    }

    fn exactly(uids: UidSet) -> Plan {
        Plan { uids, exact: true }
    }
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
        spending: &'b mut Spending,
    ) -> BoxFuture<'b, Result<Plan, Error>> {
        async move {
            spending.pay(set_cost(within)).await?;
            Ok(match filter {
                Filter::All => Plan::exactly(within.clone()),
                Filter::And(filters) => self.and(filters, within, spending).await?,
                Filter::Or(filters) => self.or(filters, within, spending).await?,
                Filter::Not(inner) => {
                    let plan = self.plan(inner, within, spending).await?;
                    if plan.exact { Plan::exactly(within.difference(&plan.uids)) } else { Plan::all(within) }
                }
                Filter::Uids(uids) => Plan::exactly(within.intersection(uids)),
                Filter::System(flags) => Plan::exactly(self.flags(*flags, within, spending).await?),
                Filter::Keyword(keyword) => {
                    let carriers = self.store.with_keyword(self.at, keyword).await?;
                    spending.pay(scan_cost(&carriers)).await?;
                    Plan::exactly(within.intersection(&carriers))
                }
                Filter::Header(..) | Filter::Body(_) | Filter::Text(_) => {
                    match self.index.candidates(self.at, filter, within).await? {
                        Some(uids) => Plan { uids: within.intersection(&uids), exact: false },
                        None => Plan::all(within),
                    }
                }
                _ => Plan::all(within),
            })
        }
        .boxed()
    }

    /// Each narrows down what is left for the next.
    async fn and(&self, filters: &[Filter], within: &UidSet, spending: &mut Spending) -> Result<Plan, Error> {
        let mut plan = Plan::exactly(within.clone());
        for filter in filters {
            let next = self.plan(filter, &plan.uids, spending).await?;
            plan = Plan { uids: next.uids, exact: plan.exact && next.exact };
        }
        Ok(plan)
    }

    async fn or(&self, filters: &[Filter], within: &UidSet, spending: &mut Spending) -> Result<Plan, Error> {
        let mut plan = Plan::exactly(UidSet::new());
        for filter in filters {
            let next = self.plan(filter, within, spending).await?;
            plan = Plan { uids: plan.uids.union(&next.uids), exact: plan.exact && next.exact };
        }
        Ok(plan)
    }

    async fn flags(
        &self,
        flags: SystemFlags,
        within: &UidSet,
        spending: &mut Spending,
    ) -> Result<UidSet, Error> {
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

/// What putting sets together costs, in bytes: no more than one in four UIDs begins a run of its own that matters.
fn set_cost(within: &UidSet) -> u64 {
    u64::from(within.len() / 4)
}

/// What reading a set off an index cost, in bytes of its rows.
fn scan_cost(read: &UidSet) -> u64 {
    u64::from(read.len()) * 16
}
