//! A set of documents of a segment.

use tantivy::DocId;

/// A set of documents, one bit each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Docs {
    words: Vec<u64>,
}

impl Docs {
    pub(crate) fn none(documents: u32) -> Docs {
        Docs { words: vec![0; (documents as usize).div_ceil(64)] }
    }

    pub(crate) fn all(documents: u32) -> Docs {
        let mut words = vec![u64::MAX; (documents as usize).div_ceil(64)];
        if let Some(last) = words.last_mut().filter(|_| !documents.is_multiple_of(64)) {
            *last = (1 << (documents % 64)) - 1;
        }
        Docs { words }
    }

    /// Writes a bit for each document, those of each 64 as a number.
    pub(crate) fn put(&self, out: &mut Vec<u8>) {
        self.words.iter().for_each(|word| out.extend_from_slice(&word.to_le_bytes()));
    }

    /// What [`Docs::put`] wrote of so many documents; none where that is something else.
    pub(crate) fn take(documents: u32, bytes: &[u8]) -> Option<Docs> {
        let (words, rest) = bytes.as_chunks::<8>();
        let set = Docs { words: words.iter().map(|word| u64::from_le_bytes(*word)).collect() };
        let all = Docs::all(documents);
        let is_within = set.words.iter().zip(&all.words).all(|(set, all)| set & !all == 0);
        (rest.is_empty() && set.words.len() == all.words.len() && is_within).then_some(set)
    }

    pub(crate) fn insert(&mut self, doc: DocId) {
        if let Some(word) = self.words.get_mut(doc as usize / 64) {
            *word |= 1 << (doc % 64);
        }
    }

    pub(crate) fn remove(&mut self, doc: DocId) {
        if let Some(word) = self.words.get_mut(doc as usize / 64) {
            *word &= !(1 << (doc % 64));
        }
    }

    pub(crate) fn has(&self, doc: DocId) -> bool {
        self.words.get(doc as usize / 64).is_some_and(|word| word & (1 << (doc % 64)) != 0)
    }

    pub(crate) fn insert_all(&mut self, docs: &[DocId]) {
        docs.iter().for_each(|doc| self.insert(*doc));
    }

    /// Bytes of memory.
    pub(crate) fn bytes(&self) -> usize {
        size_of_val(self.words.as_slice())
    }

    /// How many there are before each 64 documents.
    pub(crate) fn counts(&self) -> Vec<u32> {
        let mut sum = 0;
        let before = |word: &u64| {
            let before = sum;
            sum += word.count_ones();
            before
        };
        self.words.iter().map(before).collect()
    }

    /// How many of its 64 documents are before a document; none if it is not in the set.
    pub(crate) fn below(&self, doc: DocId) -> Option<u32> {
        let (word, bit) = (self.words.get(doc as usize / 64)?, 1 << (doc % 64));
        (word & bit != 0).then(|| (word & (bit - 1)).count_ones())
    }

    pub(crate) fn len(&self) -> u32 {
        self.words.iter().map(|word| word.count_ones()).sum()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.words.iter().all(|word| *word == 0)
    }

    pub(crate) fn add(&mut self, other: &Docs) {
        self.words.iter_mut().zip(&other.words).for_each(|(a, b)| *a |= b);
    }

    pub(crate) fn keep(&mut self, other: &Docs) {
        self.words.iter_mut().zip(&other.words).for_each(|(a, b)| *a &= b);
    }

    pub(crate) fn take_away(&mut self, other: &Docs) {
        self.words.iter_mut().zip(&other.words).for_each(|(a, b)| *a &= !b);
    }

    /// Visits them in order.
    pub(crate) fn each(&self, mut visit: impl FnMut(DocId)) {
        for (word, at) in self.words.iter().zip(0u32..) {
            let mut left = *word;
            while left != 0 {
                visit(at * 64 + left.trailing_zeros());
                left &= left - 1;
            }
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = DocId> + '_ {
        self.words.iter().zip(0u32..).flat_map(|(word, at)| {
            let mut left = *word;
            std::iter::from_fn(move || {
                let bit = (left != 0).then(|| left.trailing_zeros())?;
                left &= left - 1;
                Some(at * 64 + bit)
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets() {
        let mut a = Docs::none(200);
        [0, 63, 64, 199].into_iter().for_each(|doc| a.insert(doc));
        let mut b = Docs::none(200);
        [63, 100].into_iter().for_each(|doc| b.insert(doc));
        let with = |f: &dyn Fn(&mut Docs)| {
            let mut set = a.clone();
            f(&mut set);
            set.iter().collect::<Vec<_>>()
        };
        assert_eq!(with(&|s| s.add(&b)), [0, 63, 64, 100, 199]);
        assert_eq!(with(&|s| s.keep(&b)), [63]);
        assert_eq!(with(&|s| s.take_away(&b)), [0, 64, 199]);
        assert_eq!(with(&|s| s.remove(63)), [0, 64, 199]);
        assert_eq!(a.counts(), [0, 2, 3, 3]);
        assert_eq!([0, 1, 63, 199, 200].map(|doc| a.below(doc)), [Some(0), None, Some(1), Some(0), None]);
        for documents in [0, 1, 63, 64, 65, 200] {
            assert!(Docs::all(documents).iter().eq(0..documents), "{documents}");
        }
        assert!(a.has(199) && !a.has(198) && a.len() == 4 && !a.is_empty());
    }
}
