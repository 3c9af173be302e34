//! The rows of a store that a node has open, by its admin API.

use std::time::Duration;

use anyhow::{Context, ensure};
use data_encoding::HEXLOWER;
use futures::future::BoxFuture;
use kv::RangePage;
use transfer::{Source, wire};

use crate::Connection;
use crate::client::Client;

/// How often a page is asked for, and the pause in between: a node may be restarted meanwhile.
const TRIES: u32 = 10;
const PAUSE: Duration = Duration::from_secs(3);

/// A node whose store is read.
pub struct NodeRows(Client);

impl NodeRows {
    /// The node that `connection` leads to; fails if it does not answer.
    ///
    /// # Errors
    /// What the admin API says, or why it could not be asked.
    pub async fn open(connection: &Connection) -> anyhow::Result<Self> {
        let rows = NodeRows(Client::new(connection)?);
        rows.ask(b"", b"").await?;
        Ok(rows)
    }

    async fn ask(&self, begin: &[u8], end: &[u8]) -> anyhow::Result<RangePage> {
        let (begin, end) = (HEXLOWER.encode(begin), HEXLOWER.encode(end));
        let bytes = self.0.bytes(&["store", "rows"], &[("begin", &begin), ("end", &end)]).await?;
        let page = wire::decode(bytes).context("the node's answer is no page of rows")?;
        ensure!(!page.more || !page.rows.is_empty(), "the node's answer has no end");
        Ok(page)
    }

    async fn patiently(&self, begin: &[u8], end: &[u8]) -> Result<RangePage, transfer::Error> {
        let mut tries = 0;
        loop {
            tries += 1;
            match self.ask(begin, end).await {
                Ok(page) => return Ok(page),
                Err(error) if tries == TRIES => return Err(transfer::Error::Source(format!("{error:#}"))),
                Err(_) => tokio::time::sleep(PAUSE).await,
            }
        }
    }
}

impl Source for NodeRows {
    fn page<'a>(
        &'a self,
        begin: &'a [u8],
        end: &'a [u8],
    ) -> BoxFuture<'a, Result<RangePage, transfer::Error>> {
        Box::pin(self.patiently(begin, end))
    }
}
