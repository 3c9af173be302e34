//! Terms as numbers, in the order in which they were met.

use std::collections::HashMap;
use std::hash::Hash;

use foldhash::fast::RandomState;

use crate::fields::kind;

/// Numbers by something.
pub(crate) type Ids<K> = HashMap<K, u32, RandomState>;

/// Bytes of a term that is kept in a number: nearly all are, and such are compared and sorted without a look elsewhere.
const SHORT: usize = 15;
/// What a term takes besides its bytes, about.
pub(crate) const TERM: usize = 48;

/// A short term: its bytes, zeros, and its length.
type Short = [u64; 2];

/// The number of each term.
#[derive(Default)]
pub(crate) struct Numbers {
    short: Ids<Short>,
    long: Ids<Box<str>>,
    /// Bytes of the long ones.
    bytes: usize,
}

/// A term with its kind, as it is looked up.
#[derive(Clone, Copy)]
pub(crate) enum Term<'a> {
    Short(Short),
    Long(&'a str),
}

impl Term<'_> {
    /// A term of a kind; what is put together lies in the buffer.
    pub(crate) fn of<'a>(of_kind: char, text: &str, buffer: &'a mut String) -> Term<'a> {
        const { assert!(kind::WORD.is_ascii() && kind::PAIR.is_ascii()) };
        if text.len() < SHORT {
            let mut bytes = [0; SHORT + 1];
            bytes[0] = of_kind as u8;
            bytes[1..=text.len()].copy_from_slice(text.as_bytes());
            bytes[SHORT] = text.len() as u8 + 1;
            return Term::Short(short(&bytes));
        }
        buffer.clear();
        buffer.push(of_kind);
        buffer.push_str(text);
        Term::Long(buffer)
    }

    /// A term whose kind is in it.
    pub(crate) fn whole(term: &str) -> Term<'_> {
        if term.len() > SHORT {
            return Term::Long(term);
        }
        let mut bytes = [0; SHORT + 1];
        bytes[..term.len()].copy_from_slice(term.as_bytes());
        bytes[SHORT] = term.len() as u8;
        Term::Short(short(&bytes))
    }
}

impl Numbers {
    pub(crate) fn get(&self, term: Term<'_>) -> Option<u32> {
        match term {
            Term::Short(term) => self.short.get(&term).copied(),
            Term::Long(term) => self.long.get(term).copied(),
        }
    }

    /// That of a term, which is a new one where it has none.
    pub(crate) fn get_or_add(&mut self, term: Term<'_>) -> u32 {
        if let Some(known) = self.get(term) {
            return known;
        }
        let next = self.len() as u32;
        match term {
            Term::Short(term) => {
                self.short.insert(term, next);
            }
            Term::Long(term) => {
                self.bytes += term.len();
                self.long.insert(term.into(), next);
            }
        }
        next
    }

    pub(crate) fn len(&self) -> usize {
        self.short.len() + self.long.len()
    }

    /// Bytes of memory, about.
    pub(crate) fn memory(&self) -> usize {
        self.bytes + TERM * self.len()
    }

    /// Visits all terms in the order of their bytes.
    pub(crate) fn sorted<E, F>(self, mut visit: F) -> Result<(), E>
    where
        F: FnMut(&[u8], u32) -> Result<(), E>,
    {
        let mut long = sorted(self.long).into_iter().peekable();
        for (term, number) in sorted(self.short) {
            let bytes = bytes(term);
            let term = &bytes[..usize::from(bytes[SHORT])];
            while let Some((before, number)) = long.next_if(|(other, _)| other.as_bytes() < term) {
                visit(before.as_bytes(), number)?;
            }
            visit(term, number)?;
        }
        long.try_for_each(|(term, number)| visit(term.as_bytes(), number))
    }
}

/// In the order of bytes.
fn short(bytes: &[u8; SHORT + 1]) -> Short {
    let whole = u128::from_be_bytes(*bytes);
    [(whole >> 64) as u64, whole as u64]
}

fn bytes(term: Short) -> [u8; SHORT + 1] {
    (u128::from(term[0]) << 64 | u128::from(term[1])).to_be_bytes()
}

/// As bytes are: zeros behind a short term, then its length.
fn sorted<K: Hash + Ord>(ids: Ids<K>) -> Vec<(K, u32)> {
    let mut all: Vec<(K, u32)> = ids.into_iter().collect();
    all.sort_unstable();
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terms_have_numbers_and_an_order() {
        let words = [
            "b",
            "abcdefghijklmn",
            "abcdefghijklmno",
            "abcdefghijklmnop",
            "",
            "a\0",
            "a",
            "ä",
            "abcdefghijklmnz",
        ];
        let (mut numbers, mut buffer) = (Numbers::default(), String::new());
        for (word, number) in words.iter().zip(0..) {
            assert_eq!(numbers.get(Term::of('w', word, &mut buffer)), None);
            assert_eq!(numbers.get_or_add(Term::of('w', word, &mut buffer)), number);
            assert_eq!(numbers.get(Term::whole(&format!("w{word}"))), Some(number), "the same by both ways");
            assert_eq!(numbers.get_or_add(Term::whole(&format!("w{word}"))), number);
        }
        let mut expected: Vec<(Vec<u8>, u32)> =
            words.iter().zip(0..).map(|(word, number)| (format!("w{word}").into_bytes(), number)).collect();
        expected.sort();
        let mut found = Vec::new();
        let visited: Result<(), ()> = numbers.sorted(|term, number| {
            found.push((term.to_vec(), number));
            Ok(())
        });
        visited.unwrap();
        assert_eq!(found, expected);
    }
}
