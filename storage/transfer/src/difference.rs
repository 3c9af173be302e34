//! What makes rows the same as others. Pure.

use bytes::Bytes;
use kv::{Row, successor};

/// A write to the destination.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// Sets a key.
    Set(Bytes, Bytes),
    /// Clears each key from the first on and below the second.
    Clear(Bytes, Bytes),
}

/// The writes after which `found` is `wanted`; both are in key order and of the same range.
pub(crate) fn difference(wanted: &[Row], found: &[Row]) -> Vec<Change> {
    let (mut changes, mut found) = (Vec::new(), found.iter().peekable());
    for (key, value) in wanted {
        let mut extra: Option<(&Bytes, &Bytes)> = None;
        while let Some((other, _)) = found.next_if(|(other, _)| other < key) {
            extra = Some((extra.map_or(other, |(first, _)| first), other));
        }
        changes.extend(extra.map(clear));
        let same = found.next_if(|(other, _)| other == key).is_some_and(|(_, old)| old == value);
        if !same {
            changes.push(Change::Set(key.clone(), value.clone()));
        }
    }
    let rest: Vec<&Row> = found.collect();
    if let (Some((first, _)), Some((last, _))) = (rest.first(), rest.last()) {
        changes.push(clear((first, last)));
    }
    changes
}

/// Nothing that is wanted lies between the two.
fn clear((first, last): (&Bytes, &Bytes)) -> Change {
    Change::Clear(first.clone(), successor(last))
}

/// BLAKE3 of rows, each field after its length.
pub(crate) fn digest(rows: &[Row]) -> Vec<u8> {
    let mut hasher = blake3::Hasher::new();
    for field in rows.iter().flat_map(|(key, value)| [key, value]) {
        hasher.update(&(field.len() as u64).to_be_bytes()).update(field);
    }
    hasher.finalize().as_bytes().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;
    use runtime::{Rng, SeededRng};
    use std::collections::BTreeMap;

    type Rows = BTreeMap<Bytes, Bytes>;

    fn random(rng: &SeededRng) -> Rows {
        let row = |_| (vec![rng.below(20) as u8].into(), vec![rng.below(2) as u8].into());
        (0..rng.below(15)).map(row).collect()
    }

    fn list(rows: &Rows) -> Vec<Row> {
        rows.iter().map(|(key, value)| (key.clone(), value.clone())).collect()
    }

    #[test]
    fn the_changes_make_them_the_same_and_nothing_more() {
        let rng = SeededRng::new(1);
        for _ in 0..2_000 {
            let (wanted, mut found) = (random(&rng), random(&rng));
            let changes = difference(&list(&wanted), &list(&found));
            assert_eq!(changes.is_empty(), wanted == found);
            assert_eq!(digest(&list(&wanted)) == digest(&list(&found)), wanted == found);
            for change in &changes {
                match change {
                    Change::Set(key, value) => {
                        assert_ne!(found.insert(key.clone(), value.clone()).as_ref(), Some(value));
                    }
                    Change::Clear(begin, end) => {
                        let before = found.len();
                        found.retain(|key, _| key < begin || key >= end);
                        assert!(found.len() < before);
                    }
                }
            }
            assert_eq!(found, wanted);
        }
    }

    #[test]
    fn a_digest_knows_where_a_field_ends() {
        let row = |key: &'static str, value: &'static str| vec![(Bytes::from(key), Bytes::from(value))];
        assert_ne!(digest(&row("ab", "c")), digest(&row("a", "bc")));
        assert_ne!(digest(&[]), digest(&row("", "")));
    }
}
