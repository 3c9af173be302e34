//! How well messages fit what is looked for fuzzily (RFC 6203 §4).

use std::collections::HashMap;

use schema::{AccountId, EmailId};

use crate::plan::FITTING;
use crate::{Error, Filter, SearchIndex};

/// The score of what fits best.
const BEST: f32 = 100.0;

/// How well emails fit.
#[derive(Debug, Clone, Default)]
pub struct Relevancy {
    scores: HashMap<EmailId, f32>,
    best: f32,
}

impl Relevancy {
    /// What an index says of the fuzzy parts of a filter; of those that must not match nothing.
    ///
    /// # Errors
    /// The store's.
    pub async fn of(index: &dyn SearchIndex, account: AccountId, filter: &Filter) -> Result<Self, Error> {
        let mut words = Vec::new();
        collect(filter, &mut words);
        let mut all = Relevancy::default();
        for words in words {
            for one in index.relevant(account, words, FITTING).await?.unwrap_or_default() {
                *all.scores.entry(one.email).or_default() += one.score;
            }
        }
        all.best = all.scores.values().copied().fold(0.0, f32::max);
        Ok(all)
    }

    /// `score = 1*3DIGIT`, from 1 to 100 (RFC 6203 §6): 1 for what matches without fitting any better.
    pub fn score(&self, email: EmailId) -> u8 {
        let score = self.scores.get(&email).copied().unwrap_or_default();
        if self.best > 0.0 { (score / self.best * BEST).round().clamp(1.0, BEST) as u8 } else { 1 }
    }
}

fn collect<'f>(filter: &'f Filter, words: &mut Vec<&'f str>) {
    match filter {
        Filter::And(parts) | Filter::Or(parts) => parts.iter().for_each(|part| collect(part, words)),
        Filter::Fuzzy(text, _) => words.push(text),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_has_a_hundred() {
        let scores = HashMap::from([(EmailId(1), 8.0), (EmailId(2), 2.0), (EmailId(3), 0.01)]);
        let relevancy = Relevancy { scores, best: 8.0 };
        assert_eq!([1, 2, 3, 4].map(|id| relevancy.score(EmailId(id))), [100, 25, 1, 1]);
        assert_eq!(Relevancy::default().score(EmailId(1)), 1);
    }

    #[test]
    fn what_must_not_be_there_does_not_count() {
        let fuzzy = |text: &str| Filter::Fuzzy(text.to_owned(), Box::new(Filter::none()));
        let filter = Filter::And(vec![fuzzy("a"), Filter::Or(vec![fuzzy("b"), fuzzy("c").negated()])]);
        let mut words = Vec::new();
        collect(&filter, &mut words);
        assert_eq!(words, ["a", "b"]);
    }
}
