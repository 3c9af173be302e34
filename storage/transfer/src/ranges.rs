//! Which keys are copied, and where the key space is cut so that several can work on it.

use bytes::Bytes;
use kv::{limits, prefix_end};
use schema::keys::system::BodyPlaceKey;
use schema::keys::{blob, mail, node, system};
use schema::{AccountId, Key};

/// Parts that the mail of all accounts is cut into.
const ACCOUNT_PARTS: u64 = 64;
/// First bytes of hashes that go together.
const HASH_STEP: usize = 4;

/// A range of keys: its first one, and the first one behind it.
pub(crate) type Range = (Bytes, Bytes);

/// The ranges that are copied, in order. With `moved` bodies the rows of objects are not: they are made by the place
/// that the objects go to, if it is the store, and not needed otherwise.
pub(crate) fn copied(moved: bool) -> Vec<Range> {
    let all = |prefix: &[u8]| (prefix.to_vec(), prefix_end(prefix).to_vec());
    let mut left_out = vec![
        all(&[kv::idempotency::TAG]),
        all(&[node::TAG]),
        all(&BodyPlaceKey.encode()),
        system::transfer_range(),
    ];
    if moved {
        // `B n` and `B o` lie side by side.
        left_out.insert(0, (vec![blob::TAG, b'n'], vec![blob::TAG, b'o' + 1]));
    }
    let (mut ranges, mut at) = (Vec::new(), Vec::new());
    for (begin, end) in left_out {
        ranges.push((Bytes::from(at), Bytes::from(begin)));
        at = end;
    }
    ranges.push((Bytes::from(at), Bytes::from_static(&[limits::SYSTEM_KEYS])));
    ranges
}

/// Where ranges are cut, ascending; `last` is the last account's id.
pub(crate) fn cuts(last: u32) -> Vec<Bytes> {
    let mut cuts = Vec::new();
    let mut account = None;
    for part in 0..ACCOUNT_PARTS {
        let id = (u64::from(last) + 1) * part / ACCOUNT_PARTS;
        let id = u32::try_from(id).unwrap_or(last);
        if account.replace(id) != Some(id) {
            cuts.push(Bytes::from(mail::account_range(AccountId(id)).0));
        }
    }
    cuts.push(Bytes::from_static(&[blob::TAG]));
    cuts.extend((0..=255u8).step_by(HASH_STEP).map(|first| Bytes::from(vec![blob::TAG, b'h', first])));
    cuts.push(Bytes::from(vec![blob::TAG, b'h' + 1]));
    cuts
}

/// The parts of a range between cuts.
pub(crate) fn parts(cuts: &[Bytes], (begin, end): Range) -> Vec<Range> {
    let (mut parts, mut at) = (Vec::new(), begin);
    for cut in cuts.iter().filter(|cut| **cut < end) {
        if *cut > at {
            parts.push((at, cut.clone()));
            at = cut.clone();
        }
    }
    if at < end {
        parts.push((at, end));
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;
    use schema::keys::system::{IncarnationKey, SealKey, TransferKey, TransferPieceKey};

    fn is_copied(moved: bool, key: &[u8]) -> bool {
        copied(moved).iter().any(|(begin, end)| &begin[..] <= key && key < &end[..])
    }

    #[test]
    fn what_belongs_to_one_store_stays_there() {
        let own = [b"I".to_vec(), b"I\xff".to_vec(), TransferKey.encode(), SealKey.encode()];
        let piece = TransferPieceKey { begin: vec![0xff; 9] }.encode();
        assert!(own.iter().chain([&piece]).all(|key| !is_copied(false, key) && !is_copied(true, key)));
        for key in [&b"N"[..], b"N\xff", b"Sb"] {
            assert!(!is_copied(false, key), "nodes, and where bodies lie: {key:?}");
        }
        for key in
            [&b""[..], b"A\x07", b"Bc", b"Bh", b"Bx", b"H\xff", b"J", b"Sa", b"Sc", b"Sv", b"Su", b"\xfe"]
        {
            assert!(is_copied(false, key) && is_copied(true, key), "{key:?}");
        }
        assert!(is_copied(false, &IncarnationKey.encode()));
        for object in [b"Bn1", b"Bo1"] {
            assert!(is_copied(false, object) && !is_copied(true, object));
        }
    }

    #[test]
    fn parts_are_the_whole() {
        for last in [0, 1, 5, 63, 64, 1_000, u32::MAX] {
            let cuts = cuts(last);
            assert!(cuts.is_sorted_by(|a, b| a < b), "{last}");
            for (begin, end) in copied(true) {
                let parts = parts(&cuts, (begin.clone(), end.clone()));
                assert!(parts.first().is_some_and(|part| part.0 == begin));
                assert!(parts.last().is_some_and(|part| part.1 == end));
                assert!(parts.windows(2).all(|two| two[0].1 == two[1].0));
                assert!(parts.iter().all(|(begin, end)| begin < end));
            }
        }
    }
}
