//! Words by relevance: what FUZZY (RFC 6203) and JMAP ask for, best first.
//!
//! Each part of what is asked for gives scores for each segment; of a word they are known only when all segments have
//! said how many messages of the account have it.

use std::sync::Arc;

use content_mail::fold;
use schema::{AccountId, EmailId};
use tantivy::DocId;

use crate::analysis::{plain, words};
use crate::exact::{Docs, Pattern, Place};
use crate::fields::{RANKED, Section};
use crate::relevance::{How, Word, scored};
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

/// Documents of a segment that fit, in order, and how well.
type Scores = Vec<(DocId, f32)>;
/// The same of all segments.
type All = Vec<Scores>;

impl Reader {
    /// The messages of the account that fit best, best first; of equal ones the newest.
    ///
    /// # Errors
    /// When a file can not be read or is damaged.
    pub fn rank(&self, account: AccountId, asked: &Ranked, limit: usize) -> Result<Vec<Hit>, Error> {
        let scopes: Result<Vec<_>, Error> =
            self.segments().iter().map(|segment| segment.scope(account)).collect();
        let scores = Ranking { reader: self, scopes: scopes? }.scores(asked)?;
        let mut hits = Vec::new();
        for (segment, scores) in self.segments().iter().zip(scores) {
            for (doc, score) in scores {
                let email = segment.email(doc).unwrap_or(EmailId(0));
                hits.push(((score * STEPS).round() as u64, email, score));
            }
        }
        hits.sort_unstable_by_key(|(steps, email, _)| std::cmp::Reverse((*steps, *email)));
        Ok(hits.into_iter().take(limit).map(|(_, email, score)| Hit { email, score }).collect())
    }
}

/// What is asked of the messages of one account.
struct Ranking<'a> {
    reader: &'a Reader,
    /// Its messages in each segment.
    scopes: Vec<Arc<Docs>>,
}

impl Ranking<'_> {
    fn scores(&self, asked: &Ranked) -> Result<All, Error> {
        Ok(match asked {
            Ranked::Words(text) => self.words(text)?,
            Ranked::Phrase(text) => self.exactly(&Pattern::of(&fold(text)))?,
            // A blank before it, which the index can not see but takes for the beginning of a word.
            Ranked::Prefix(text) => self.exactly(&Pattern::of(&format!(" {}", fold(text).trim())))?,
            Ranked::Fuzzy(text, distance) => self.fuzzy(text, (*distance).clamp(1, 2))?,
            Ranked::All(parts) => self.all(&self.each(parts)?, &[]),
            Ranked::Any(parts) => self.any(&self.each(parts)?),
            Ranked::Not(part) => {
                let not = self.scores(part)?;
                let rest = |(scope, not): (&Arc<Docs>, Scores)| {
                    let mut rest = Docs::clone(scope);
                    not.iter().for_each(|(doc, _)| rest.remove(*doc));
                    rest.iter().map(|doc| (doc, 0.0)).collect()
                };
                self.scopes.iter().zip(not).map(rest).collect()
            }
        })
    }

    fn each(&self, parts: &[Ranked]) -> Result<Vec<All>, Error> {
        parts.iter().map(|part| self.scores(part)).collect()
    }

    /// Each word in any form that a language of the index gives it. A word that says nothing in some language may be
    /// missing, as it does not count in messages of that language.
    fn words(&self, text: &str) -> Result<All, Error> {
        let plain = plain(text);
        let mut asked: Vec<(&str, bool)> = Vec::new();
        words(&plain, &mut |word, stems| asked.push((word, stems)));
        let (mut must, mut may, mut pair) = (Vec::new(), Vec::new(), "");
        for (word, stems) in asked {
            let last = std::mem::replace(&mut pair, if stems { "" } else { word });
            let how = match (stems, word.chars().count()) {
                (true, _) => How::Stems,
                // The end of a run: the text's may go on there. Alone it is the beginning of a pair.
                (false, 1) if !last.is_empty() && last.ends_with(word) => continue,
                (false, 1) => How::Begins,
                (false, _) if word.contains('.') => {
                    must.push(self.exactly(&Pattern::whole(&fold(word)))?);
                    continue;
                }
                (false, _) => How::Part,
            };
            let word = Word::new(word, how, self.reader.languages());
            let scores = self.word(&word)?;
            if word.is_stop_word(self.reader.languages()) { may.push(scores) } else { must.push(scores) }
        }
        Ok(if must.is_empty() { self.any(&may) } else { self.all(&must, &may) })
    }

    fn fuzzy(&self, text: &str, distance: u8) -> Result<All, Error> {
        let plain = plain(text);
        let mut asked = Vec::new();
        words(&plain, &mut |word, stems| asked.extend(stems.then_some(word)));
        let how = How::Nearly(usize::from(distance));
        let parts: Result<Vec<All>, Error> =
            asked.into_iter().map(|word| self.word(&Word::new(word, how, &[]))).collect();
        Ok(self.all(&parts?, &[]))
    }

    /// The best field counts, the others a little.
    fn word(&self, word: &Word) -> Result<All, Error> {
        let segments = self.reader.segments();
        let documents = self.scopes.iter().map(|scope| scope.len()).sum();
        let mut best: All = vec![Scores::new(); segments.len()];
        let mut sums = best.clone();
        for (place, (section, boost)) in RANKED.into_iter().enumerate() {
            let counts: Result<Vec<_>, Error> =
                segments.iter().zip(&self.scopes).map(|(s, scope)| word.counts(s, place, scope)).collect();
            let counts = counts?;
            let having: usize = counts.iter().map(Vec::len).sum();
            if having == 0 {
                continue;
            }
            let average = self.average(section)?;
            for (at, (segment, counts)) in segments.iter().zip(&counts).enumerate() {
                let mut scores = scored(segment, section, counts, (having, documents), average)?;
                scores.iter_mut().for_each(|(_, score)| *score *= boost);
                best[at] = joined(&best[at], &scores, f32::max);
                sums[at] = joined(&sums[at], &scores, |a, b| a + b);
            }
        }
        for (best, sums) in best.iter_mut().zip(&sums) {
            best.iter_mut().zip(sums).for_each(|((_, best), (_, sum))| *best += OTHERS * (sum - *best));
        }
        Ok(best)
    }

    /// Words of a document in the section, about.
    fn average(&self, section: Section) -> Result<f32, Error> {
        let (mut words, mut documents) = (0, 0);
        for segment in self.reader.segments() {
            let field = segment.fields.exact(section);
            words += segment.reader.inverted_index(field)?.total_num_tokens();
            documents += u64::from(segment.reader.max_doc());
        }
        Ok((words as f32 / documents.max(1) as f32).max(1.0))
    }

    /// What exact fields have of a pattern.
    fn exactly(&self, pattern: &Pattern) -> Result<All, Error> {
        let places = [
            Section::Subject,
            Section::From,
            Section::To,
            Section::Cc,
            Section::Bcc,
            Section::Body,
            Section::File,
            Section::List,
        ];
        let places = places.map(Place::Section);
        let mut all = All::new();
        for (segment, scope) in self.reader.segments().iter().zip(&self.scopes) {
            let found = segment.find(&places, pattern, scope)?;
            let mut docs = found.sure;
            docs.add(&found.maybe);
            all.push(docs.iter().map(|doc| (doc, STEADY)).collect());
        }
        Ok(all)
    }

    /// Documents that all of the parts have; what others have of them counts too.
    fn all(&self, must: &[All], may: &[All]) -> All {
        let Some((first, rest)) = must.split_first() else { return vec![Scores::new(); self.scopes.len()] };
        let mut out = first.clone();
        for (at, scores) in out.iter_mut().enumerate() {
            for part in rest {
                scores.retain_mut(|(doc, score)| add(&part[at], *doc, score));
            }
            for part in may {
                scores.iter_mut().for_each(|(doc, score)| {
                    add(&part[at], *doc, score);
                });
            }
        }
        out
    }

    /// Documents that any of the parts have.
    fn any(&self, parts: &[All]) -> All {
        let mut out = vec![Scores::new(); self.scopes.len()];
        for part in parts {
            for (sum, scores) in out.iter_mut().zip(part) {
                *sum = joined(sum, scores, |a, b| a + b);
            }
        }
        out
    }
}

/// Adds the document's score; says whether it has one.
fn add(scores: &[(DocId, f32)], doc: DocId, sum: &mut f32) -> bool {
    let found = scores.binary_search_by_key(&doc, |(doc, _)| *doc);
    found.is_ok_and(|at| {
        *sum += scores[at].1;
        true
    })
}

/// Documents of both.
fn joined(a: &[(DocId, f32)], b: &[(DocId, f32)], both: impl Fn(f32, f32) -> f32) -> Scores {
    let (mut a, mut b) = (a.iter().peekable(), b.iter().peekable());
    let mut out = Scores::with_capacity(a.len() + b.len());
    while let (Some((x, of_a)), Some((y, of_b))) = (a.peek().copied(), b.peek().copied()) {
        if x == y {
            out.push((*x, both(*of_a, *of_b)));
        } else {
            out.push(if x < y { (*x, *of_a) } else { (*y, *of_b) });
        }
        a.next_if(|(doc, _)| doc <= y);
        b.next_if(|(doc, _)| doc <= x);
    }
    out.extend(a.chain(b));
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_of_both() {
        let (a, b) = (vec![(1, 1.0), (3, 2.0), (9, 1.0)], vec![(0, 5.0), (3, 3.0), (4, 1.0)]);
        let expected = vec![(0, 5.0), (1, 1.0), (3, 5.0), (4, 1.0), (9, 1.0)];
        assert_eq!(joined(&a, &b, |a, b| a + b), expected);
        assert_eq!(joined(&b, &a, |a, b| a + b), expected);
        assert_eq!(joined(&a, &[], f32::max), a);
    }
}
