//! The place of larger bodies is noted in the store, so that no configuration leads away from those that are there.
//!
//! Each transaction that references a new larger body reads the note: of two nodes with different ideas of the place the one
//! that is wrong can store nothing.

use crate::{Error, Place};
use kv::{Database, Transaction};
use schema::keys::system::BodyPlaceKey;
use schema::records::system::BodyPlace;
use schema::{Key, Record};

impl Place {
    /// Notes in the store that its larger bodies lie here.
    ///
    /// Fails with [`Error::AnotherPlace`] if they lie elsewhere. Where servers are is not part of a place: a bucket that
    /// moves to another endpoint is the same. As long as there are no larger bodies the place may change.
    pub async fn keep(&self, db: &Database) -> Result<(), Error> {
        let wanted = &self.record();
        let keep = |txn: Transaction| async move {
            let recorded = noted_in(&txn).await?;
            match recorded {
                Some(recorded) if is_same(&recorded, wanted) => {}
                Some(recorded) if recorded.used => return Err(another(&recorded, wanted)),
                _ => txn.set(&BodyPlaceKey.encode(), &wanted.to_bytes()),
            }
            Ok(())
        };
        db.transact("blob.place", keep).await
    }

    /// [`Place::keep`] for who brings larger bodies there himself: from now on they lie here.
    pub async fn hold(&self, db: &Database) -> Result<(), Error> {
        let place = &self.record();
        db.transact("blob.place", |txn| async move { use_in(&txn, place).await }).await
    }

    pub(crate) fn record(&self) -> BodyPlace {
        let (kind, container, root) = match self {
            Place::Files => ("fs", "", ""),
            Place::Chunks => ("store", "", ""),
            Place::S3(place) => ("s3", &*place.bucket, &*place.root),
            Place::Azblob(place) => ("azblob", &*place.container, &*place.root),
        };
        // However it is written, it is the same folder.
        let root = root.trim_matches('/').to_owned();
        BodyPlace { kind: kind.to_owned(), container: container.to_owned(), root, used: false }
    }
}

/// In a transaction that references a new body in `place`: makes sure that it is the place of all, and notes that it is in
/// use.
pub(crate) async fn use_in(txn: &Transaction, place: &BodyPlace) -> Result<(), Error> {
    match noted_in(txn).await? {
        Some(recorded) if !is_same(&recorded, place) => Err(another(&recorded, place)),
        Some(recorded) if recorded.used => Ok(()),
        _ => {
            txn.set(&BodyPlaceKey.encode(), &BodyPlace { used: true, ..place.clone() }.to_bytes());
            Ok(())
        }
    }
}

async fn noted_in(txn: &Transaction) -> Result<Option<BodyPlace>, Error> {
    let bytes = txn.get(&BodyPlaceKey.encode()).await?;
    Ok(bytes.map(|bytes| BodyPlace::from_bytes(&bytes)).transpose()?)
}

fn is_same(one: &BodyPlace, other: &BodyPlace) -> bool {
    (&one.kind, &one.container, &one.root) == (&other.kind, &other.container, &other.root)
}

fn another(recorded: &BodyPlace, configured: &BodyPlace) -> Error {
    Error::AnotherPlace { recorded: describe(recorded), configured: describe(configured) }
}

fn describe(place: &BodyPlace) -> String {
    match &*place.kind {
        "fs" => "files of the data directory (blob.kind = \"fs\")".to_owned(),
        "store" => "the store itself (blob.kind = \"store\")".to_owned(),
        kind => format!("{:?} below {:?} (blob.kind = {kind:?})", place.container, place.root),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::S3;
    use crate::store::tests::Fixture;
    use crate::{BlobOwner, Secret};
    use schema::QueueId;

    fn bucket(name: &str, root: &str, endpoint: &str) -> Place {
        Place::S3(S3 {
            bucket: name.to_owned(),
            region: "r".to_owned(),
            endpoint: Some(endpoint.to_owned()),
            virtual_host: false,
            root: root.to_owned(),
            credentials: Some(("id".to_owned(), Secret::new("hush"))),
        })
    }

    async fn keep(fixture: &Fixture, place: Place) -> Result<(), String> {
        place.keep(&fixture.db).await.map_err(|error| error.to_string())
    }

    #[tokio::test]
    async fn bodies_are_not_left_behind() {
        let fixture = Fixture::new(100);
        keep(&fixture, Place::Chunks).await.unwrap();
        let small = fixture.store.stage(vec![1; 10].into()).await.unwrap();
        fixture.reference(&small, BlobOwner::Queue(QueueId(1))).await.unwrap();
        keep(&fixture, Place::Files).await.unwrap();
        let large = fixture.store.stage(vec![2; 1_000].into()).await.unwrap();
        fixture.reference(&large, BlobOwner::Queue(QueueId(1))).await.unwrap();
        keep(&fixture, Place::Files).await.unwrap();
        let error = keep(&fixture, bucket("mail", "", "http://a")).await.unwrap_err();
        assert!(error.contains("\"fs\"") && error.contains("\"mail\"") && !error.contains("hush"), "{error}");
        Place::Files.hold(&fixture.db).await.unwrap();
        assert!(Place::Chunks.hold(&fixture.db).await.is_err());
        let error = keep(&fixture, Place::Chunks).await.unwrap_err();
        assert!(error.contains("blob.kind = \"store\""), "{error}");
        keep(&fixture, Place::Files).await.unwrap();
    }

    #[tokio::test]
    async fn bodies_that_were_brought_are_not_left_behind() {
        let fixture = Fixture::new(100);
        Place::Files.hold(&fixture.db).await.unwrap();
        assert!(keep(&fixture, Place::Chunks).await.is_err());
        keep(&fixture, Place::Files).await.unwrap();
    }

    /// As two nodes with different configurations that start on a new store.
    #[tokio::test]
    async fn a_node_with_another_idea_of_the_place_stores_nothing_there() {
        let fixture = Fixture::new(100);
        keep(&fixture, Place::Files).await.unwrap();
        keep(&fixture, Place::Chunks).await.unwrap();
        let large = fixture.store.stage(vec![2; 1_000].into()).await.unwrap();
        let refused = fixture.reference(&large, BlobOwner::Queue(QueueId(1))).await;
        assert!(matches!(refused, Err(Error::AnotherPlace { .. })), "{refused:?}");
    }

    #[tokio::test]
    async fn a_bucket_is_known_by_name_and_root() {
        let fixture = Fixture::new(0);
        let used = bucket("mail", "a", "http://one").record();
        let note = fixture.db.transact("test", |txn| {
            let used = &used;
            async move { use_in(&txn, used).await }
        });
        note.await.unwrap();
        keep(&fixture, bucket("mail", "/a/", "http://two")).await.unwrap();
        assert!(keep(&fixture, bucket("mail", "b", "http://one")).await.is_err());
        assert!(keep(&fixture, bucket("post", "a", "http://one")).await.is_err());
    }
}
