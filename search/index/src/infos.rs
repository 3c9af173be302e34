//! Where the lists of terms are, by the numbers of terms: Tantivy has a table of it behind each word list, and looks
//! into it by terms alone.
//!
//! A word list ends with how long the table is (u64), a version (u32) and a kind (u32). The table begins with how long its
//! heads are (u64) and how many terms there are (u64). Each 256 terms have a head: where their rows begin (u64); the
//! documents (u32), beginning (u64) and length (u32) of the list and of the positions (u64, u32) of the first of them; bits
//! of documents, of a list's beginning and of that of positions (a byte each). The others have a row of so many bits: list,
//! positions, documents; one more row says where the last one ends. All of it is little-endian.

use tantivy::HasLen as _;
use tantivy::directory::{FileSlice, OwnedBytes};
use tantivy::postings::TermInfo;

use crate::Error;
use crate::bytes::{BITS, bits, part, u32_at, u64_at};

/// Terms of a head.
const BLOCK: u64 = 256;
const HEAD: usize = 39;
const TAIL: usize = 16;
/// Version and kind of a word list.
const KNOWN: (u32, u32) = (1, 1);

/// The table of a word list: its heads in memory, its rows where they are.
#[derive(Debug)]
pub(crate) struct Infos {
    terms: u64,
    heads: Vec<u8>,
    rows: FileSlice,
}

/// A head.
struct Head {
    rows: usize,
    first: TermInfo,
    document_bits: u8,
    list_bits: u8,
    position_bits: u8,
}

fn damaged() -> Error {
    Error::Damaged("a table of terms")
}

impl Infos {
    /// Of a word list.
    pub(crate) fn open(file: &FileSlice) -> Result<Infos, Error> {
        let end = file.len().checked_sub(TAIL).ok_or_else(damaged)?;
        let tail = part(file, end, TAIL)?;
        if (u32_at(&tail, 8), u32_at(&tail, 12)) != KNOWN {
            return Err(damaged());
        }
        let begin = usize::try_from(u64_at(&tail, 0)).ok().and_then(|length| end.checked_sub(length));
        let begin = begin.ok_or_else(damaged)?;
        let lengths = part(file, begin, 16)?;
        let (length, terms) =
            (usize::try_from(u64_at(&lengths, 0)).map_err(|_| damaged())?, u64_at(&lengths, 8));
        // What is kept is not to keep a block of the file.
        let heads = part(file, begin + lengths.len(), length)?.to_vec();
        let rows = begin + lengths.len() + length;
        if rows > end || (terms.div_ceil(BLOCK)).saturating_mul(HEAD as u64) > length as u64 {
            return Err(damaged());
        }
        Ok(Infos { terms, heads, rows: file.slice(rows..end) })
    }

    /// For some terms, best in order.
    pub(crate) fn reader(&self) -> InfoReader<'_> {
        InfoReader { infos: self, held: None }
    }

    fn head(&self, at: usize) -> Result<Head, Error> {
        let bytes = self.heads.get(at * HEAD..(at + 1) * HEAD).ok_or_else(damaged)?;
        let range = |begin: u64, length: u32| {
            let begin = usize::try_from(begin).map_err(|_| damaged())?;
            Ok::<_, Error>(begin..begin.checked_add(length as usize).ok_or_else(damaged)?)
        };
        let first = TermInfo {
            doc_freq: u32_at(bytes, 8),
            postings_range: range(u64_at(bytes, 12), u32_at(bytes, 20))?,
            positions_range: range(u64_at(bytes, 24), u32_at(bytes, 32))?,
        };
        let (document_bits, list_bits, position_bits) = (bytes[36], bytes[37], bytes[38]);
        if [document_bits, list_bits, position_bits].iter().any(|bits| *bits > BITS) {
            return Err(damaged());
        }
        let rows = usize::try_from(u64_at(bytes, 0)).map_err(|_| damaged())?;
        Ok(Head { rows, first, document_bits, list_bits, position_bits })
    }

    /// A head and its rows.
    fn block(&self, at: usize) -> Result<(Head, OwnedBytes), Error> {
        let head = self.head(at)?;
        let is_last = (at + 1) * HEAD >= self.heads.len();
        let end = if is_last { self.rows.len() } else { self.head(at + 1)?.rows };
        let rows = part(&self.rows, head.rows, end.checked_sub(head.rows).ok_or_else(damaged)?)?;
        Ok((head, rows))
    }
}

/// Reads a table; what was read last is kept.
pub(crate) struct InfoReader<'a> {
    infos: &'a Infos,
    held: Option<(u64, Head, OwnedBytes)>,
}

impl InfoReader<'_> {
    /// What is known of the term of this number.
    pub(crate) fn get(&mut self, number: u64) -> Result<TermInfo, Error> {
        if number >= self.infos.terms {
            return Err(Error::Damaged("the number of a word"));
        }
        let block = number / BLOCK;
        let (head, rows) = match &mut self.held {
            Some((held, head, rows)) if *held == block => (&*head, &*rows),
            held => {
                let (head, rows) = self.infos.block(usize::try_from(block).map_err(|_| damaged())?)?;
                let (_, head, rows) = held.insert((block, head, rows));
                (&*head, &*rows)
            }
        };
        match number % BLOCK {
            0 => Ok(head.first.clone()),
            nth => head.row(rows, nth as usize - 1),
        }
    }
}

impl Head {
    fn row(&self, rows: &[u8], at: usize) -> Result<TermInfo, Error> {
        let width =
            usize::from(self.document_bits) + usize::from(self.list_bits) + usize::from(self.position_bits);
        let begin = at * width;
        let range = |first: usize, begin: usize, count: u8| {
            let place = |begin| first.saturating_add(bits(rows, begin, count) as usize);
            let (from, to) = (place(begin), place(begin + width));
            if from <= to { Ok(from..to) } else { Err(damaged()) }
        };
        let positions = begin + usize::from(self.list_bits);
        Ok(TermInfo {
            doc_freq: bits(rows, positions + usize::from(self.position_bits), self.document_bits) as u32,
            postings_range: range(self.first.postings_range.start, begin, self.list_bits)?,
            positions_range: range(self.first.positions_range.start, positions, self.position_bits)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use tantivy::termdict::{TermDictionary, TermDictionaryBuilder};

    use super::*;

    /// A word list with so many terms, whose lists have one length or another.
    fn words(count: u64) -> FileSlice {
        let mut builder = TermDictionaryBuilder::create(Vec::new()).unwrap();
        let (mut list, mut position) = (7, 3);
        for n in 0..count {
            let (from, first) = (list, position);
            list += (n * n % 1_009) as usize + 1;
            position += (n * 77 % 30_011) as usize;
            let (postings_range, positions_range) = (from..list, first..position);
            let info = TermInfo { doc_freq: (n * 31 % 5_003) as u32, postings_range, positions_range };
            builder.insert(format!("w{n:08}"), &info).unwrap();
        }
        FileSlice::from(builder.finish().unwrap())
    }

    #[test]
    fn what_it_says_is_what_tantivy_says() {
        for count in [0, 1, 2, 255, 256, 257, 258, 512, 513, 5_000] {
            let file = words(count);
            let (known, infos) = (TermDictionary::open(file.clone()).unwrap(), Infos::open(&file).unwrap());
            let (mut one, mut in_order) = (infos.reader(), infos.reader());
            for n in 0..count {
                let expected = known.get(format!("w{n:08}")).unwrap().unwrap();
                assert_eq!(in_order.get(n).unwrap(), expected, "{n} of {count}");
                let jumping = n * 263 % count;
                let expected = known.get(format!("w{jumping:08}")).unwrap().unwrap();
                assert_eq!(one.get(jumping).unwrap(), expected, "{jumping} of {count}");
            }
            assert!(one.get(count).is_err() && one.get(u64::MAX).is_err());
        }
    }

    #[test]
    fn what_is_no_table() {
        let bytes = words(600).read_bytes().unwrap();
        for end in 0..bytes.len() {
            assert!(Infos::open(&FileSlice::from(bytes[..end].to_vec())).is_err(), "cut at {end}");
        }
        for at in 0..bytes.len() {
            let mut changed = bytes.to_vec();
            changed[at] ^= 0xff;
            // An error, or another answer.
            if let Ok(infos) = Infos::open(&FileSlice::from(changed)) {
                let mut reader = infos.reader();
                (0..600).for_each(|n| drop(reader.get(n)));
            }
        }
    }
}
