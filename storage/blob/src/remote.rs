//! Objects in S3 or Azure Blob Storage, by opendal: `ROOT/ab/abcd…-staged-nonce`.
//!
//! Each request has a time limit and is tried again with growing pauses; what is larger than a part is uploaded in
//! parts while it is read. An upload that a crash cuts short never becomes an object; its parts are the bucket's to
//! drop (a lifecycle rule for incomplete multipart uploads).

use crate::error::blocking;
use crate::place::{Azblob, S3};
use crate::{Error, ObjectName, Objects, Pending};
use bytes::Bytes;
use futures::TryStreamExt;
use futures::future::{BoxFuture, FutureExt};
use opendal::layers::{ConcurrentLimitLayer, RetryEvent, RetryLayer, TimeoutLayer};
use opendal::{Builder, ErrorKind, Executor, HttpTransporter, OperationContext, Operator, Writer, services};
use opendal_http_transport_reqwest::ReqwestTransport;
use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;

/// Bytes of a part: the least that S3 allows, as each upload holds about two of them in memory.
const PART: usize = 5 << 20;
/// Uploads at a time.
const UPLOADS: usize = 16;
/// Requests at a time.
const REQUESTS: usize = 128;
/// Bytes read from a spill file at a time.
const PIECE: usize = 1 << 20;
/// Pieces of a body asked for at once.
const AHEAD: usize = 3;
/// Until a connection is there.
const CONNECT: Duration = Duration::from_secs(3);
/// Further tries of a request, and the pauses before them; jitter adds up to the first pause to each.
const TRIES: usize = 3;
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LAST_PAUSE: Duration = Duration::from_secs(2);

/// Objects behind an opendal operator.
pub(crate) struct RemoteObjects {
    operator: Operator,
    uploads: Semaphore,
    /// Whether what was uploaded is read once more: where neither TLS nor a checksum guards it on its way.
    reads_back: bool,
}

impl RemoteObjects {
    /// In a bucket of S3 or of what speaks like it.
    pub(crate) fn s3(place: &S3, timeout: Duration) -> Result<Self, Error> {
        let mut builder = services::S3::default()
            .bucket(&place.bucket)
            .region(&place.region)
            .root(&place.root)
            // Checked by the server: what it confirms is what was sent.
            .checksum_algorithm("crc32c");
        if let Some(endpoint) = &place.endpoint {
            builder = builder.endpoint(endpoint);
        }
        if place.virtual_host {
            builder = builder.enable_virtual_host_style();
        }
        if let Some((id, secret)) = &place.credentials {
            builder = builder.access_key_id(id).secret_access_key(secret.expose());
            builder = builder.disable_config_load().disable_ec2_metadata();
        }
        Self::new(builder, timeout, false)
    }

    /// In a container of Azure Blob Storage.
    pub(crate) fn azblob(place: &Azblob, timeout: Duration) -> Result<Self, Error> {
        let mut builder = services::Azblob::default()
            .container(&place.container)
            .endpoint(&place.endpoint)
            .root(&place.root);
        if let Some((account, key)) = &place.credentials {
            builder = builder.account_name(account).account_key(key.expose());
        }
        Self::new(builder, timeout, !place.endpoint.starts_with("https://"))
    }

    fn new(builder: impl Builder, timeout: Duration, reads_back: bool) -> Result<Self, Error> {
        let retry = RetryLayer::new()
            .with_max_times(TRIES)
            .with_min_delay(FIRST_PAUSE)
            .with_max_delay(LAST_PAUSE)
            .with_jitter()
            .with_notify(|event: RetryEvent<'_>| {
                metrics::counter!("blob_retries_total").increment(1);
                tracing::debug!(error = %event.err, after = ?event.retry_after, "object store asked again");
            });
        // Fails where the system has no certificate authorities to trust.
        let client = reqwest::Client::builder().connect_timeout(CONNECT.min(timeout)).build();
        let client = client.map_err(|error| failed("open", "object store", io::Error::other(error)))?;
        let transport = HttpTransporter::new(ReqwestTransport::new(client));
        let operator = Operator::new(builder)
            .map_err(|error| failed("open", "object store", error))?
            .with_context(OperationContext::from_parts(transport, Executor::default()))
            .layer(ConcurrentLimitLayer::new(REQUESTS))
            .layer(TimeoutLayer::new().with_timeout(timeout).with_io_timeout(timeout))
            .layer(retry);
        Ok(RemoteObjects { operator, uploads: Semaphore::new(UPLOADS), reads_back })
    }

    async fn upload(&self, name: &ObjectName, bytes: Pending) -> Result<(), Error> {
        let path = path(name);
        let turn = self.uploads.acquire().await;
        let _turn = turn.map_err(|error| failed("upload", &path, io::Error::other(error)))?;
        let opened = self.operator.writer_with(&path).chunk(PART).await;
        let mut writer = opened.map_err(|error| failed("upload", &path, error))?;
        let sent = send(&mut writer, &path, bytes).await;
        if sent.is_err() {
            // Best effort: parts that stay behind are no object.
            let _ = writer.abort().await;
        }
        let (size, hash) = sent?;
        if self.reads_back && self.hash_of(&path, size).await? != hash {
            // Best effort: the sweep finds what stays behind.
            let _ = self.operator.delete(&path).await;
            let changed = io::Error::new(io::ErrorKind::InvalidData, "other bytes arrived than were sent");
            return Err(failed("upload", &path, changed));
        }
        Ok(())
    }

    async fn hash_of(&self, path: &str, size: u64) -> Result<blake3::Hash, Error> {
        let (mut hasher, mut at) = (blake3::Hasher::new(), 0);
        while at < size {
            let end = size.min(at + PIECE as u64);
            let read = self.operator.read_with(path).range(at..end).await;
            hasher.update(&read.map_err(|error| failed("read", path, error))?.to_bytes());
            at = end;
        }
        Ok(hasher.finalize())
    }

    async fn download(&self, name: &ObjectName, range: Range<u64>) -> Result<Bytes, Error> {
        let path = path(name);
        let wanted = range.end.saturating_sub(range.start);
        let read = self.operator.read_with(&path).range(range).await;
        let bytes = read.map_err(|error| failed("read", &path, error))?.to_bytes();
        if bytes.len() as u64 == wanted {
            return Ok(bytes);
        }
        Err(failed("read", &path, io::Error::from(io::ErrorKind::UnexpectedEof)))
    }

    async fn names(&self, shard: u8) -> Result<Vec<ObjectName>, Error> {
        let folder = format!("{shard:02x}/");
        let listed = async {
            let entries = self.operator.lister(&folder).await?;
            entries
                .try_filter_map(async |entry| Ok(entry.name().parse::<ObjectName>().ok()))
                .try_collect()
                .await
        };
        listed.await.map_err(|error| failed("list", &folder, error))
    }
}

/// Sends all bytes; returns how many, and their hash.
async fn send(writer: &mut Writer, path: &str, bytes: Pending) -> Result<(u64, blake3::Hash), Error> {
    let refused = |error| failed("upload", path, error);
    let mut hasher = blake3::Hasher::new();
    match bytes {
        Pending::Memory(bytes) => {
            hasher.update(&bytes);
            writer.write(bytes).await.map_err(refused)?;
        }
        Pending::Spilled(spill) => {
            let (spill, mut at) = (Arc::new(spill), 0);
            loop {
                let from = Arc::clone(&spill);
                let piece = blocking(move || from.piece(at, PIECE)).await?;
                at += piece.len() as u64;
                if piece.is_empty() {
                    break;
                }
                hasher.update(&piece);
                writer.write(piece).await.map_err(refused)?;
            }
        }
    }
    writer.close().await.map_err(refused)?;
    Ok((hasher.count(), hasher.finalize()))
}

fn path(name: &ObjectName) -> String {
    format!("{:02x}/{name}", name.shard())
}

/// The kinds that mean something to us stay; the words are for the log.
fn failed(action: &'static str, object: &str, error: impl Into<Failure>) -> Error {
    let Failure(kind, error) = error.into();
    Error::Io { action, object: object.to_owned(), source: io::Error::new(kind, error) }
}

struct Failure(io::ErrorKind, Box<dyn std::error::Error + Send + Sync>);

impl From<opendal::Error> for Failure {
    fn from(error: opendal::Error) -> Self {
        let kind = match error.kind() {
            ErrorKind::NotFound => io::ErrorKind::NotFound,
            ErrorKind::PermissionDenied => io::ErrorKind::PermissionDenied,
            ErrorKind::RangeNotSatisfied => io::ErrorKind::UnexpectedEof,
            _ => io::ErrorKind::Other,
        };
        Failure(kind, error.into())
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Failure(error.kind(), error.into())
    }
}

impl Objects for RemoteObjects {
    fn put<'a>(&'a self, name: &'a ObjectName, bytes: Pending) -> BoxFuture<'a, Result<(), Error>> {
        self.upload(name, bytes).boxed()
    }

    fn get<'a>(&'a self, name: &'a ObjectName, range: Range<u64>) -> BoxFuture<'a, Result<Bytes, Error>> {
        self.download(name, range).boxed()
    }

    fn delete<'a>(&'a self, name: &'a ObjectName) -> BoxFuture<'a, Result<(), Error>> {
        async move {
            let path = path(name);
            self.operator.delete(&path).await.map_err(|error| failed("delete", &path, error))
        }
        .boxed()
    }

    fn list(&self, shard: u8) -> BoxFuture<'_, Result<Vec<ObjectName>, Error>> {
        self.names(shard).boxed()
    }

    fn ahead(&self) -> usize {
        AHEAD
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Secret;
    use runtime::Timestamp;
    use schema::BlobHash;
    use std::io::{Read, Write};
    use std::net::TcpListener;

    const NAME: ObjectName = ObjectName { hash: BlobHash([1; 32]), staged: Timestamp(1), nonce: 1 };

    /// What comes first to a server is TLS, and what is no TLS is an error like others.
    #[tokio::test]
    async fn https_is_spoken() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("https://{}", listener.local_addr().unwrap());
        let server = std::thread::spawn(move || {
            let (mut socket, _) = listener.accept().unwrap();
            let mut first = [0; 3];
            socket.read_exact(&mut first).unwrap();
            socket.write_all(b"HTTP/1.1 400 speak plainly\r\n\r\n").unwrap();
            first
        });
        let place = S3 {
            bucket: "mail".to_owned(),
            region: "eu-central-1".to_owned(),
            endpoint: Some(endpoint),
            virtual_host: false,
            root: String::new(),
            credentials: Some(("id".to_owned(), Secret::new("secret"))),
        };
        let objects = RemoteObjects::s3(&place, Duration::from_millis(500)).unwrap();
        let error = objects.get(&NAME, 0..1).await.unwrap_err();
        assert!(matches!(&error, Error::Io { .. }) && !error.is_absent(), "{error}");
        assert_eq!(server.join().unwrap(), [22, 3, 1], "a handshake");
    }
}
