//! What no row says of an email: what its text has, what its summary says, and whether it is signed.

use std::collections::{BTreeMap, HashMap};

use jmap_proto::filter::Filter;
use mail::Remembered;
use query::{EmailQuery, Relevant, Spending};
use schema::{AccountId, EmailId, ModSeq};

use super::filter::{self, Condition};
use super::select;
use super::smime::{self, Findings};
use crate::access::Access;
use crate::call::Call;
use crate::fail::Fail;

/// What a summary costs of the budget, in octets.
const SUMMARY: u64 = 512;
/// Summaries that are read at a time.
const SUMMARIES: usize = 2_000;
/// Emails that fit a text which are told apart by how well they do.
const FITTING: usize = 10_000;
/// Steps that a score is cut into before the newer email goes first: a sixty-fourth of 1.
const STEPS: f32 = 64.0;

/// What was found out about emails, by asking messages.
#[derive(Debug, Default)]
pub(crate) struct Known {
    /// For each text of the filter, in the order of its conditions, the emails that have it.
    pub(crate) texts: Vec<Vec<EmailId>>,
    /// The emails of S/MIME, and what is known of their signatures.
    pub(crate) signed: BTreeMap<EmailId, Findings>,
    /// How well emails fit the texts, in steps of which the smaller ones do not count.
    pub(crate) scores: HashMap<EmailId, i64>,
    /// The state after which nothing was asked; none if nothing had to be.
    pub(crate) as_of: Option<ModSeq>,
}

impl Known {
    /// Who asks for what fits best is told of words in any of their forms too, and of those in attachments.
    fn add(&mut self, fitting: &[Relevant], found: &mut Vec<EmailId>) {
        for one in fitting {
            *self.scores.entry(one.email).or_default() += (one.score * STEPS).round() as i64;
        }
        found.extend(fitting.iter().map(|one| one.email));
        found.sort_unstable();
        found.dedup();
    }
}

/// Asks messages for what a filter wants to know of them.
pub(crate) async fn look(
    call: &Call,
    access: &Access,
    filter: &Filter<Condition>,
    by_relevance: bool,
    spending: &Spending,
) -> Result<Known, Fail> {
    let (texts, asked) = (filter::texts(filter), filter::asked(filter));
    if texts.is_empty() && !asked.smime {
        return Ok(Known::default());
    }
    let (services, account) = (call.services(), access.account);
    let catalog = services.catalog(access).await?;
    let (as_of, mut candidates) = catalog.read(|catalog| {
        let rows = select::at_most(&catalog.all(), filter);
        (catalog.as_of(), rows.iter().map(|row| catalog.ids()[row]).collect::<Vec<_>>())
    });
    candidates.sort_unstable();
    let mut known = Known { as_of: Some(as_of), ..Known::default() };
    let query = EmailQuery {
        store: &services.mail,
        index: &*services.index,
        account,
        budget: call.server.options.query_budget,
        clock: services.clock.clone(),
    };
    for text in texts {
        let mut found = query.search(&candidates, text.filter).await?;
        if let Some(words) = text.words().filter(|_| by_relevance) {
            let fitting = services.index.relevant(account, &words, FITTING).await?.unwrap_or_default();
            known.add(&fitting, &mut found);
        }
        known.texts.push(found);
    }
    for email in candidates.into_iter().filter(|_| asked.smime) {
        spending.pay(SUMMARY).await?;
        let findings = smime::find_out(call, access, email, asked.signatures, spending).await?;
        known.signed.extend(findings.map(|findings| (email, findings)));
    }
    Ok(known)
}

/// Sees to it that a catalogue has what summaries say of each email: sorts and conditions ask for it. What was read stays, so a
/// query that would cost too much costs less the next time.
pub(crate) async fn learn(
    call: &Call,
    account: AccountId,
    catalog: &Remembered,
    spending: &Spending,
) -> Result<(), Fail> {
    loop {
        match call.services().mail.learn_traits(account, catalog, SUMMARIES).await? {
            0 => return Ok(()),
            read => spending.pay(SUMMARY * read as u64).await?,
        }
    }
}
