//! Writes that are computed from the value at commit, so that they conflict with nothing.

use crate::{Error, Versionstamp};
use bytes::Bytes;
use std::cmp::Ordering;

/// A write whose result is known only at commit.
///
/// `Add`, `Max` and `Min` take value and operand as little-endian unsigned numbers of the operand's length: a
/// shorter value is extended with zeros, a longer one cut, an absent one counts as zero for `Add` and gives
/// way to the operand for `Max` and `Min`. All this is as in FoundationDB.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AtomicOp {
    /// The sum, which wraps: adding `(-1i64).to_le_bytes()` subtracts one.
    Add,
    /// The larger number.
    Max,
    /// The smaller number.
    Min,
    /// Clears the key if its value is the operand.
    CompareAndClear,
    /// Sets a key, ten bytes of which become the commit's versionstamp, to the operand.
    SetVersionstampedKey {
        /// Where in the key the versionstamp goes.
        offset: usize,
    },
    /// Sets the key to the operand, ten bytes of which become the commit's versionstamp.
    SetVersionstampedValue {
        /// Where in the operand the versionstamp goes.
        offset: usize,
    },
}

impl AtomicOp {
    /// Whether the result holds the versionstamp and so cannot be read before the commit.
    pub fn is_versionstamped(self) -> bool {
        matches!(self, AtomicOp::SetVersionstampedKey { .. } | AtomicOp::SetVersionstampedValue { .. })
    }

    /// The value after this operation on `existing`; `None` means that the key is clear.
    ///
    /// For `SetVersionstampedValue` the versionstamp must have been placed by the caller
    /// ([`AtomicOp::resolve`]); here both versionstamped forms mean a plain set.
    pub fn apply(self, existing: Option<&[u8]>, operand: &[u8]) -> Option<Bytes> {
        match self {
            AtomicOp::Add => Some(add(existing.unwrap_or_default(), operand)),
            AtomicOp::Max => Some(choose(existing, operand, Ordering::Greater)),
            AtomicOp::Min => Some(choose(existing, operand, Ordering::Less)),
            AtomicOp::CompareAndClear => {
                existing.filter(|value| *value != operand).map(Bytes::copy_from_slice)
            }
            AtomicOp::SetVersionstampedKey { .. } | AtomicOp::SetVersionstampedValue { .. } => {
                Some(Bytes::copy_from_slice(operand))
            }
        }
    }

    /// The value after all of `operations` on `existing`.
    pub fn apply_all(operations: &[(AtomicOp, Bytes)], existing: Option<Bytes>) -> Option<Bytes> {
        operations.iter().fold(existing, |value, (op, operand)| op.apply(value.as_deref(), operand))
    }

    /// Key and operand with the commit's versionstamp in its place.
    pub fn resolve(self, key: &Bytes, operand: &Bytes, stamp: Versionstamp) -> Result<(Bytes, Bytes), Error> {
        match self {
            AtomicOp::SetVersionstampedKey { offset } => Ok((stamp.place(key, offset)?, operand.clone())),
            AtomicOp::SetVersionstampedValue { offset } => Ok((key.clone(), stamp.place(operand, offset)?)),
            _ => Ok((key.clone(), operand.clone())),
        }
    }
}

fn add(existing: &[u8], operand: &[u8]) -> Bytes {
    let mut carry = 0u16;
    let sum = operand.iter().enumerate().map(|(i, byte)| {
        let digit = u16::from(existing.get(i).copied().unwrap_or(0)) + u16::from(*byte) + carry;
        carry = digit >> 8;
        (digit & 0xFF) as u8
    });
    sum.collect::<Vec<u8>>().into()
}

/// The one of `existing` and `operand` that is `wanted` than the other, in the operand's length.
fn choose(existing: Option<&[u8]>, operand: &[u8], wanted: Ordering) -> Bytes {
    let Some(existing) = existing else { return Bytes::copy_from_slice(operand) };
    let mut padded = vec![0; operand.len()];
    let shared = existing.len().min(operand.len());
    padded[..shared].copy_from_slice(&existing[..shared]);
    if padded.iter().rev().cmp(operand.iter().rev()) == wanted {
        padded.into()
    } else {
        Bytes::copy_from_slice(operand)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use AtomicOp::{Add, CompareAndClear, Max, Min};

    fn apply(op: AtomicOp, existing: Option<&[u8]>, operand: &[u8]) -> Option<Vec<u8>> {
        op.apply(existing, operand).map(|value| value.to_vec())
    }

    #[test]
    fn add_takes_the_length_of_the_operand() {
        assert_eq!(apply(Add, None, &[5, 0]), Some(vec![5, 0]));
        assert_eq!(apply(Add, Some(&[255]), &[1, 0]), Some(vec![0, 1]));
        assert_eq!(apply(Add, Some(&[1, 2, 3]), &[1, 0]), Some(vec![2, 2]));
        assert_eq!(apply(Add, Some(&[255, 255]), &[1, 0]), Some(vec![0, 0]));
        assert_eq!(apply(Add, Some(&[1]), &[]), Some(vec![]));
    }

    #[test]
    fn add_of_a_negative_number_subtracts() {
        let ten = 10u64.to_le_bytes();
        let seven = apply(Add, Some(&ten), &(-3i64).to_le_bytes());
        assert_eq!(seven, Some(7u64.to_le_bytes().to_vec()));
    }

    #[test]
    fn max_and_min_compare_little_endian_numbers() {
        assert_eq!(apply(Max, Some(&[1, 2]), &[2, 1]), Some(vec![1, 2]));
        assert_eq!(apply(Min, Some(&[1, 2]), &[2, 1]), Some(vec![2, 1]));
        assert_eq!(apply(Max, None, &[0, 0]), Some(vec![0, 0]));
        assert_eq!(apply(Min, None, &[9, 9]), Some(vec![9, 9]));
        assert_eq!(apply(Min, Some(&[7]), &[9, 9]), Some(vec![7, 0]));
        assert_eq!(apply(Max, Some(&[1, 1, 9]), &[2, 0]), Some(vec![1, 1]));
    }

    #[test]
    fn compare_and_clear_clears_only_what_is_equal() {
        assert_eq!(apply(CompareAndClear, Some(b"a"), b"a"), None);
        assert_eq!(apply(CompareAndClear, Some(b"a"), b"b"), Some(b"a".to_vec()));
        assert_eq!(apply(CompareAndClear, None, b"a"), None);
    }
}
