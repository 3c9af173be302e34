//! `godwit probe`: asks a node as a load balancer does. For where there is nothing else that could: an image without a shell.

use std::io::Write;
use std::time::Duration;

use anyhow::{Context, ensure};

use crate::Connection;
use crate::client::base;
use crate::command::Question;

/// How long the node may take.
const PATIENCE: Duration = Duration::from_secs(5);

impl Question {
    fn path(self) -> &'static str {
        match self {
            Question::Livez => "livez",
            Question::Startupz => "startupz",
            Question::Readyz => "readyz",
        }
    }
}

/// Asks, and prints the answer.
///
/// # Errors
/// When the node says no, or nothing.
pub(crate) async fn ask(connection: &Connection, question: Question) -> anyhow::Result<()> {
    let url = format!("{}/{}", base(connection)?, question.path());
    let client = reqwest::Client::builder().timeout(PATIENCE).build()?;
    let response = client.get(&url).send().await.with_context(|| format!("no answer from {url}"))?;
    let status = response.status();
    let text = response.text().await.context("the answer breaks off")?;
    ensure!(status.is_success(), "{}", text.trim_end());
    writeln!(std::io::stdout(), "{}", text.trim_end()).context("cannot print")
}
