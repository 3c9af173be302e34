//! The marks: on the destination that it is not finished, on the source that another store serves in its place.

use crate::Error;
use kv::{Database, Transaction};
use runtime::Clock;
use schema::keys::system::{IncarnationKey, SealKey, TransferKey, TransferPieceKey};
use schema::records::system::{Incarnation, Seal, Transfer};
use schema::{Key, Record};

/// What a store says of itself.
#[derive(Clone, Debug, PartialEq)]
pub enum Standing {
    /// It may be served.
    Free,
    /// It is the unfinished copy of another.
    Unfinished(Transfer),
    /// Another serves in its place.
    Sealed(Seal),
}

/// What the store says of itself.
pub async fn standing(db: &Database) -> Result<Standing, Error> {
    db.read("transfer.standing", |txn| async move {
        if let Some(transfer) = transfer_in(&txn).await? {
            return Ok(Standing::Unfinished(transfer));
        }
        let seal = txn.get_snapshot(&SealKey.encode()).await?;
        let seal = seal.map(|bytes| Seal::from_bytes(&bytes)).transpose()?;
        Ok::<_, Error>(seal.map_or(Standing::Free, Standing::Sealed))
    })
    .await
}

/// Whether a node may serve the store; the error says why not.
pub async fn admit(db: &Database) -> Result<(), Error> {
    match standing(db).await? {
        Standing::Free => Ok(()),
        Standing::Unfinished(_) => Err(Error::Unfinished),
        Standing::Sealed(seal) => Err(Error::Sealed { heir: seal.heir }),
    }
}

/// From now on no node begins to serve the store, and those that do stop when they look. `heir` is what takes its place,
/// in words. A seal that is there stays.
pub async fn seal(db: &Database, heir: &str, clock: &dyn Clock) -> Result<(), Error> {
    let since = clock.now().secs();
    db.transact("transfer.seal", |txn| async move {
        let key = SealKey.encode();
        if txn.get(&key).await?.is_none() {
            txn.set(&key, &Seal { since, heir: heir.to_owned() }.to_bytes());
        }
        Ok(())
    })
    .await
}

/// Goes back: the destination, finished or not, is an unfinished copy again, and the source may be served. What was
/// stored in the destination since it was finished is not in the source.
pub async fn abandon(source: &Database, to: &Database, clock: &dyn Clock) -> Result<(), Error> {
    let theirs = source.read("transfer.incarnation", |txn| async move { incarnation_in(&txn).await });
    let theirs = theirs.await?.ok_or(Error::NoSource)?;
    let begun = clock.now().secs();
    to.transact("transfer.abandon", |txn| async move {
        match (transfer_in(&txn).await?, incarnation_in(&txn).await?) {
            (Some(transfer), _) if transfer.source == theirs => {}
            (Some(_), _) => return Err(Error::OtherSource),
            // Also where bodies were carried: the next copy looks at every row.
            (None, Some(ours)) if ours == theirs => {
                let again = Transfer { source: theirs, begun, pass: 1, passed: 1, ..Transfer::default() };
                txn.set(&TransferKey.encode(), &again.to_bytes());
            }
            (None, Some(_)) => return Err(Error::NotEmpty),
            (None, None) => {}
        }
        Ok(())
    })
    .await?;
    // Only now: at no moment may both be served.
    source
        .transact("transfer.unseal", |txn| async move {
            txn.clear(&SealKey.encode());
            Ok(())
        })
        .await
}

/// The mark of an unfinished copy.
pub(crate) async fn transfer_in(txn: &Transaction) -> Result<Option<Transfer>, Error> {
    let bytes = txn.get(&TransferKey.encode()).await?;
    Ok(bytes.map(|bytes| Transfer::from_bytes(&bytes)).transpose()?)
}

/// The store's incarnation.
pub(crate) async fn incarnation_in(txn: &Transaction) -> Result<Option<u64>, Error> {
    let bytes = txn.get(&IncarnationKey.encode()).await?;
    Ok(bytes.map(|bytes| Incarnation::from_bytes(&bytes)).transpose()?.map(|record| record.number))
}

/// Fails if the copy is not this run's any more.
pub(crate) async fn own_in(txn: &Transaction, run: u64) -> Result<Transfer, Error> {
    transfer_in(txn).await?.filter(|transfer| transfer.run == run).ok_or(Error::TakenOver)
}

/// Takes a destination over for this run: an empty one, or one with an unfinished copy of the same source.
pub(crate) async fn take_over(to: &Database, wanted: &Transfer) -> Result<Transfer, Error> {
    to.transact("transfer.begin", |txn| async move {
        let mark = match transfer_in(&txn).await? {
            Some(mark) if mark.source != wanted.source => return Err(Error::OtherSource),
            // Copied nothing yet, or made the mark anew when a copy was abandoned.
            Some(mark) if mark.bodies != wanted.bodies && !mark.bodies.is_empty() => {
                return Err(Error::OtherBodies { was: mark.bodies, is: wanted.bodies.clone() });
            }
            Some(mark) => Transfer { run: wanted.run, bodies: wanted.bodies.clone(), ..mark },
            None => {
                check_empty(&txn, wanted.source).await?;
                wanted.clone()
            }
        };
        txn.set(&TransferKey.encode(), &mark.to_bytes());
        Ok(mark)
    })
    .await
}

async fn check_empty(txn: &Transaction, source: u64) -> Result<(), Error> {
    for (begin, end) in crate::ranges::copied(false) {
        if txn.range(&begin, &end).first().await?.is_some() {
            let same = incarnation_in(txn).await? == Some(source);
            return Err(if same { Error::Finished } else { Error::NotEmpty });
        }
    }
    Ok(())
}

/// Changes the mark of this run.
pub(crate) async fn update(
    to: &Database,
    run: u64,
    change: impl Fn(&mut Transfer) + Send + Sync,
) -> Result<Transfer, Error> {
    let change = &change;
    to.transact("transfer.mark", |txn| async move {
        let mut mark = own_in(&txn, run).await?;
        change(&mut mark);
        txn.set(&TransferKey.encode(), &mark.to_bytes());
        Ok(mark)
    })
    .await
}

/// Takes the rows about the copy away, the mark last: then the store is one like others.
pub(crate) async fn release(to: &Database, run: u64) -> Result<(), Error> {
    const BATCH: usize = 1_000;
    let (begin, end) = &TransferPieceKey::range();
    loop {
        let cleared = to.transact("transfer.clear", |txn| async move {
            own_in(&txn, run).await?;
            let rows = txn.range(begin, end).limit(BATCH).collect().await?;
            if let Some((last, _)) = rows.last() {
                txn.clear_range(begin, &kv::successor(last));
            }
            Ok::<_, Error>(rows.len())
        });
        if cleared.await? < BATCH {
            break;
        }
    }
    to.transact("transfer.release", |txn| async move {
        own_in(&txn, run).await?;
        txn.clear(&TransferKey.encode());
        Ok(())
    })
    .await
}
