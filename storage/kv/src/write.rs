//! Writes that wait for their commit: for backends that collect them in memory.

use crate::{AtomicOp, Error, Versionstamp};
use bytes::Bytes;

/// A write of a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Write {
    /// Sets a key.
    Set(Bytes, Bytes),
    /// Clears a key.
    Clear(Bytes),
    /// Clears each key from the first on and below the second.
    ClearRange(Bytes, Bytes),
    /// Does an operation on a key, with an operand.
    Atomic(AtomicOp, Bytes, Bytes),
}

impl Write {
    /// Bytes against [`crate::limits::TRANSACTION`]. The range that others conflict with counts too (a key and
    /// its successor), and a clear of one key as one of that range.
    pub fn size(&self) -> usize {
        match self {
            Write::Set(key, value) | Write::Atomic(_, key, value) => 3 * key.len() + 1 + value.len(),
            Write::Clear(key) => 4 * key.len() + 2,
            Write::ClearRange(begin, end) => 2 * (begin.len() + end.len()),
        }
    }

    /// The same with the commit's versionstamp in its place, where there is one: then a plain set.
    pub fn stamped(&self, stamp: Versionstamp) -> Result<Write, Error> {
        match self {
            Write::Atomic(op, key, operand) if op.is_versionstamped() => {
                let (key, value) = op.resolve(key, operand, stamp)?;
                Ok(Write::Set(key, value))
            }
            other => Ok(other.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_versionstamp_makes_a_plain_set() {
        let (stamp, key) = (Versionstamp::new(7, 0), Bytes::from("k0123456789"));
        let write =
            Write::Atomic(AtomicOp::SetVersionstampedKey { offset: 1 }, key.clone(), Bytes::from("v"));
        let placed = [b"k", &stamp.as_bytes()[..]].concat();
        assert_eq!(write.stamped(stamp), Ok(Write::Set(placed.into(), Bytes::from("v"))));
        let outside = Write::Atomic(AtomicOp::SetVersionstampedKey { offset: 2 }, key.clone(), Bytes::new());
        assert!(outside.stamped(stamp).is_err());
        let add = Write::Atomic(AtomicOp::Add, key, Bytes::from("1"));
        assert_eq!(add.stamped(stamp), Ok(add));
    }
}
