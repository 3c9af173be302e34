//! Words by relevance: what FUZZY (RFC 6203) and JMAP ask for, best first.

use std::collections::BTreeSet;
use std::fmt;

use content_mail::fold;
use schema::{AccountId, EmailId};
use tantivy::collector::TopDocs;
use tantivy::columnar::Column;
use tantivy::query::{
    AllQuery, BitSetDocSet, BooleanQuery, BoostQuery, ConstScoreQuery, ConstScorer, DisjunctionMaxQuery,
    EmptyQuery, EnableScoring, Explanation, FuzzyTermQuery, Occur, Query, Scorer, TermQuery, Weight,
};
use tantivy::schema::IndexRecordOption;
use tantivy::{BitSet, DocAddress, DocId, Score, SegmentReader, TantivyError, Term};

use crate::analysis::{bare, plain, words};
use crate::exact::{Pattern, Place};
use crate::fields::{EMAIL, Section};
use crate::{Error, Reader};

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ranked {
    /// All of these words, in any order and field, in any of their forms.
    Words(String),
    /// This text as it is, but for case: words side by side.
    Phrase(String),
    /// Words that begin with this.
    Prefix(String),
    /// Words that differ in at most so many letters (1 or 2; two letters that changed places count as one).
    Fuzzy(String, u8),
    /// All of these.
    All(Vec<Ranked>),
    /// Any of these.
    Any(Vec<Ranked>),
    /// Not this.
    Not(Box<Ranked>),
}

/// A message that was found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Hit {
    /// Which.
    pub email: EmailId,
    /// How well it fits: BM25 over the fields, each with its weight.
    pub score: f32,
}

/// Steps that a score is cut into before the newer message goes first: a sixty-fourth of 1.
const STEPS: f32 = 64.0;
/// What a phrase or a beginning of a word counts.
const STEADY: f32 = 2.0;
/// How much fields other than the best one add.
const OTHERS: f32 = 0.2;

impl Reader {
    /// The messages of the account that fit best, best first; of equal ones the newest.
    ///
    /// # Errors
    /// When a file can not be read or is damaged.
    pub fn rank(&self, account: AccountId, asked: &Ranked, limit: usize) -> Result<Vec<Hit>, Error> {
        let term = Term::from_field_u64(self.fields().account, u64::from(account.0));
        let own = ConstScoreQuery::new(Box::new(TermQuery::new(term, IndexRecordOption::Basic)), 0.0);
        let query: Vec<(Occur, Box<dyn Query>)> =
            vec![(Occur::Must, Box::new(own)), (Occur::Must, self.query(account, asked)?)];
        let top = TopDocs::with_limit(limit.max(1)).tweak_score(|segment: &SegmentReader| {
            let emails: Option<Column<u64>> = segment.fast_fields().u64(EMAIL).ok();
            move |doc: DocId, score: Score| {
                let email = emails.as_ref().and_then(|column| column.first(doc)).unwrap_or_default();
                ((score * STEPS).round() as u64, email, score)
            }
        });
        let found = self.searcher().search(&BooleanQuery::new(query), &top)?;
        let hit =
            |((_, email, score), _): ((u64, u64, Score), DocAddress)| Hit { email: EmailId(email), score };
        Ok(found.into_iter().map(hit).take(limit).collect())
    }

    fn query(&self, account: AccountId, asked: &Ranked) -> Result<Box<dyn Query>, Error> {
        Ok(match asked {
            Ranked::Words(text) => self.words(text),
            Ranked::Phrase(text) => self.exactly(account, &fold(text))?,
            Ranked::Prefix(text) => self.exactly(account, &prefix(text))?,
            Ranked::Fuzzy(text, distance) => self.fuzzy(text, (*distance).clamp(1, 2)),
            Ranked::All(parts) => self.joined(account, parts, Occur::Must)?,
            Ranked::Any(parts) => self.joined(account, parts, Occur::Should)?,
            Ranked::Not(part) => Box::new(BooleanQuery::new(vec![
                (Occur::Must, Box::new(ConstScoreQuery::new(Box::new(AllQuery), 0.0))),
                (Occur::MustNot, self.query(account, part)?),
            ])),
        })
    }

    fn joined(&self, account: AccountId, parts: &[Ranked], occur: Occur) -> Result<Box<dyn Query>, Error> {
        let parts: Result<Vec<_>, Error> =
            parts.iter().map(|part| Ok((occur, self.query(account, part)?))).collect();
        Ok(Box::new(BooleanQuery::new(parts?)))
    }

    /// Each word in any form that a language of the index gives it. A word that says nothing in some language may be
    /// missing, as it is not in the index for messages of that language.
    fn words(&self, text: &str) -> Box<dyn Query> {
        let plain = plain(text);
        let mut parts: Vec<(Occur, Box<dyn Query>)> = Vec::new();
        let mut pair = "";
        words(&plain, &mut |word, stems| {
            let last = std::mem::replace(&mut pair, if stems { "" } else { word });
            if !stems && word.chars().count() == 1 {
                // The end of a run: the text's may go on there. Alone it is the beginning of a pair.
                if last.is_empty() || !last.ends_with(word) {
                    let forms = BTreeSet::from([bare(word).into_owned()]);
                    let begins =
                        |term| Box::new(FuzzyTermQuery::new_prefix(term, 0, false)) as Box<dyn Query>;
                    parts.push((Occur::Must, self.any_field(&forms, begins)));
                }
                return;
            }
            let stop = self.languages().iter().any(|language| language.is_stop_word(word));
            let occur = if stop { Occur::Should } else { Occur::Must };
            let forms = if stems { self.forms(word) } else { BTreeSet::from([bare(word).into_owned()]) };
            parts.push((
                occur,
                self.any_field(&forms, |term| Box::new(TermQuery::new(term, IndexRecordOption::WithFreqs))),
            ));
        });
        if parts.is_empty() { Box::new(EmptyQuery) } else { Box::new(BooleanQuery::new(parts)) }
    }

    fn forms(&self, word: &str) -> BTreeSet<String> {
        let stems = self.languages().iter().map(|language| bare(&language.stemmer().stem(word)).into_owned());
        stems.chain([bare(word).into_owned()]).collect()
    }

    fn fuzzy(&self, text: &str, distance: u8) -> Box<dyn Query> {
        let plain = plain(text);
        let mut parts: Vec<(Occur, Box<dyn Query>)> = Vec::new();
        words(&plain, &mut |word, stems| {
            if stems {
                let query = self
                    .any_field(&self.forms(word), |term| Box::new(FuzzyTermQuery::new(term, distance, true)));
                parts.push((Occur::Must, query));
            }
        });
        if parts.is_empty() { Box::new(EmptyQuery) } else { Box::new(BooleanQuery::new(parts)) }
    }

    /// The best field counts, the others a little.
    fn any_field(&self, forms: &BTreeSet<String>, make: impl Fn(Term) -> Box<dyn Query>) -> Box<dyn Query> {
        let mut fields: Vec<Box<dyn Query>> = Vec::new();
        for (field, boost) in self.fields().boosts() {
            let forms = forms.iter().map(|form| make(Term::from_field_text(field, form))).collect();
            let best = DisjunctionMaxQuery::new(forms);
            fields.push(Box::new(BoostQuery::new(Box::new(best), boost)));
        }
        Box::new(DisjunctionMaxQuery::with_tie_breaker(fields, OTHERS))
    }

    /// What the exact fields have of the folded text.
    fn exactly(&self, account: AccountId, folded: &str) -> Result<Box<dyn Query>, Error> {
        let pattern = Pattern::of(folded);
        let places = [
            Section::Subject,
            Section::From,
            Section::To,
            Section::Cc,
            Section::Bcc,
            Section::Body,
            Section::File,
        ];
        let places = places.map(Place::Section);
        let mut sets = Vec::new();
        for segment in self.segments() {
            let found = segment.find(&places, &pattern, &segment.scope(account)?)?;
            let mut docs = BitSet::with_max_value(segment.reader.max_doc());
            found.sure.iter().chain(found.maybe.iter()).for_each(|doc| {
                docs.insert(doc);
            });
            sets.push((segment.reader.segment_id(), docs));
        }
        Ok(Box::new(Known { sets: sets.into() }))
    }
}

/// A word that begins so: a blank before it, which the index can not see but takes for the beginning of a word.
fn prefix(text: &str) -> String {
    format!(" {}", fold(text).trim())
}

/// Documents that are known already.
#[derive(Clone)]
struct Known {
    sets: std::sync::Arc<[(tantivy::index::SegmentId, BitSet)]>,
}

impl fmt::Debug for Known {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Known({} segments)", self.sets.len())
    }
}

impl Query for Known {
    fn weight(&self, _scoring: EnableScoring<'_>) -> tantivy::Result<Box<dyn Weight>> {
        Ok(Box::new(self.clone()))
    }
}

impl Weight for Known {
    fn scorer(&self, reader: &SegmentReader, boost: Score) -> tantivy::Result<Box<dyn Scorer>> {
        let set = self.sets.iter().find(|(id, _)| *id == reader.segment_id());
        let docs = set.map_or_else(|| BitSet::with_max_value(reader.max_doc()), |(_, docs)| docs.clone());
        Ok(Box::new(ConstScorer::new(BitSetDocSet::from(docs), boost * STEADY)))
    }

    fn explain(&self, _reader: &SegmentReader, _doc: DocId) -> tantivy::Result<Explanation> {
        Err(TantivyError::InvalidArgument("a set of documents explains nothing".to_owned()))
    }
}
