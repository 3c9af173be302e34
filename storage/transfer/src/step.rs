//! One step of a pass: a page of the source, and what of the destination lies in its range.

use crate::copy::Copy;
use crate::difference::{Change, difference, digest};
use crate::plan::Task;
use crate::report::count;
use crate::{Error, PAGE_BYTES, PAGE_ROWS, mark};
use bytes::Bytes;
use kv::{RangeRequest, Row, successor};
use schema::keys::blob::BlobMetaKey;
use schema::keys::system::TransferPieceKey;
use schema::records::blob::BlobMeta;
use schema::records::system::TransferPiece;
use schema::{BlobHash, Key, Record};

/// How often a step is done again, where the source or the destination changes under it.
const ATTEMPTS: usize = 5;

/// More rows or bytes of the destination than so many full pages are not compared with one, but cleared and written anew.
const MOST_PAGES: usize = 4;

/// A page of the source and its range.
struct Piece {
    rows: Vec<Row>,
    /// The first key behind its range.
    end: Bytes,
    digest: Vec<u8>,
}

impl Copy {
    /// Makes the destination the same as the source from `begin` on, as far as one page goes. Returns where it ends.
    pub(crate) async fn step(&self, begin: &Bytes, task: &Task, strict: bool) -> Result<Bytes, Error> {
        for attempt in 1..=ATTEMPTS {
            let piece = self.piece(begin, task).await?;
            if !strict && piece.end == task.end && task.known.as_deref() == Some(&piece.digest[..]) {
                self.write(begin, &piece, &[]).await?;
                return Ok(piece.end);
            }
            // In the first pass there is nothing where nothing was noted, and it looks nowhere else.
            let first = !strict && self.mark.lock().pass == 1;
            let changes = match first {
                true => difference(&piece.rows, &[]),
                false => self.changes(begin, &piece).await?,
            };
            if self.carry_bodies(&changes, attempt == ATTEMPTS).await? {
                let equal = changes.is_empty();
                self.write(begin, &piece, &changes).await?;
                count(&self.tally.equal, u64::from(strict && equal));
                if equal || !strict {
                    return Ok(piece.end);
                }
            }
        }
        Err(Error::Unsettled(begin.escape_ascii().to_string()))
    }

    async fn piece(&self, begin: &Bytes, task: &Task) -> Result<Piece, Error> {
        let page = self.from.page(begin, &task.end).await?;
        let end = match page.rows.last() {
            Some((last, _)) if page.more => successor(last),
            _ => task.end.clone(),
        };
        let inside = page.rows.iter().all(|(key, _)| begin <= key && *key < task.end);
        if !inside || (page.more && page.rows.is_empty()) {
            return Err(Error::Source("it gives rows that were not asked for".to_owned()));
        }
        let bytes = page.rows.iter().map(|(key, value)| (key.len() + value.len()) as u64).sum();
        self.pace.take(bytes).await;
        count(&self.tally.rows, page.rows.len() as u64);
        count(&self.tally.bytes, bytes);
        let digest = digest(&page.rows);
        Ok(Piece { rows: page.rows, end, digest })
    }

    /// The writes that are needed in the range of the piece.
    async fn changes(&self, begin: &Bytes, piece: &Piece) -> Result<Vec<Change>, Error> {
        let (mut found, mut bytes, mut from) = (Vec::new(), 0, begin.clone());
        // A store may give pages that are smaller than what was asked for.
        while found.len() <= MOST_PAGES * PAGE_ROWS && bytes <= MOST_PAGES * PAGE_BYTES {
            let request = &RangeRequest {
                limit: PAGE_ROWS,
                target_bytes: PAGE_BYTES,
                snapshot: true,
                ..RangeRequest::new(from.clone(), piece.end.clone())
            };
            let page = self.to.read("transfer.compare", |txn| async move { txn.page(request).await });
            let page = page.await?;
            bytes += page.rows.iter().map(|(key, value)| key.len() + value.len()).sum::<usize>();
            found.extend(page.rows);
            match found.last() {
                Some((last, _)) if page.more => from = successor(last),
                _ => return Ok(difference(&piece.rows, &found)),
            }
        }
        let mut anew = vec![Change::Clear(begin.clone(), piece.end.clone())];
        anew.extend(piece.rows.iter().map(|(key, value)| Change::Set(key.clone(), value.clone())));
        Ok(anew)
    }

    /// Carries the bodies that the rows to be written name. Says no if one of them has gone, which a later look at the
    /// source should show.
    async fn carry_bodies(&self, changes: &[Change], last: bool) -> Result<bool, Error> {
        let Some(bodies) = &self.bodies else { return Ok(true) };
        for change in changes {
            let Some((hash, meta)) = named_body(change)? else { continue };
            match bodies.carry(hash, &meta, &*self.rng).await {
                Ok(0) => {}
                Ok(bytes) => {
                    self.pace.take(bytes).await;
                    count(&self.tally.bodies, 1);
                    count(&self.tally.body_bytes, bytes);
                }
                Err(e) if !(e.is_absent() || matches!(e, blob::Error::Corrupt { .. })) => {
                    return Err(e.into());
                }
                Err(_) if !last => return Ok(false),
                Err(_) if self.options.accept_damaged => count(&self.tally.damaged, 1),
                Err(e) => return Err(Error::Lost { hash, why: e.to_string() }),
            }
        }
        Ok(true)
    }

    /// Writes the changes and notes the piece, in one transaction.
    async fn write(&self, begin: &Bytes, piece: &Piece, changes: &[Change]) -> Result<(), Error> {
        let pass = self.mark.lock().pass;
        let rows = piece.rows.len() as u64;
        let noted = TransferPiece { end: piece.end.to_vec(), pass, digest: piece.digest.clone(), rows };
        let note = &(TransferPieceKey { begin: begin.to_vec() }.encode(), noted.to_bytes());
        self.to
            .transact("transfer.write", |txn| async move {
                mark::own_in(&txn, self.run).await?;
                for change in changes {
                    match change {
                        Change::Set(key, value) => txn.set_bytes(key.clone(), value.clone()),
                        Change::Clear(begin, end) => txn.clear_range(begin, end),
                    }
                }
                // What of the task is behind the page is a gap from now on, until a step has come there.
                txn.set(&note.0, &note.1);
                Ok::<_, Error>(())
            })
            .await?;
        for change in changes {
            match change {
                Change::Set(..) => count(&self.tally.written, 1),
                Change::Clear(..) => count(&self.tally.cleared, 1),
            }
        }
        Ok(())
    }
}

/// The body outside of rows that a row to be written names.
fn named_body(change: &Change) -> Result<Option<(BlobHash, BlobMeta)>, Error> {
    let Change::Set(key, value) = change else { return Ok(None) };
    let Ok(BlobMetaKey { hash }) = BlobMetaKey::decode(key) else { return Ok(None) };
    let meta = BlobMeta::from_bytes(value)?;
    Ok((meta.chunk == 0).then_some((hash, meta)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_rows_of_bodies_elsewhere_name_one() {
        let hash = BlobHash([7; 32]);
        let set = |key: Vec<u8>, meta: &BlobMeta| Change::Set(key.into(), meta.to_bytes().into());
        let (key, outside) = (BlobMetaKey { hash }.encode(), BlobMeta { size: 5, ..BlobMeta::default() });
        let inside = BlobMeta { chunk: 90_000, ..outside.clone() };
        let named = |change| named_body(&change).unwrap();
        assert_eq!(named(set(key.clone(), &outside)), Some((hash, outside.clone())));
        assert_eq!(named(set(key.clone(), &inside)), None);
        assert_eq!(named(set(b"Si".to_vec(), &outside)), None);
        let cleared = Change::Clear(key.into(), Bytes::from_static(b"C"));
        assert_eq!(named(cleared), None);
    }
}
