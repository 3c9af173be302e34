//! The caller's side: a process for each file, some at a time.

use std::ffi::OsString;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};
use tokio::sync::Semaphore;

use crate::Kind;
use crate::limits::{INPUT, TEXT, TIME};
use crate::worker::UNREADABLE;

/// Why it can not be said now what text the file has: no fault of the file, try again later.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The worker could not be started or spoken to.
    #[error("no worker for attachments: {0}")]
    Io(#[from] std::io::Error),
    /// The worker was not let run: it can not work for so long by itself, its CPU time ends before.
    #[error("reading an attachment took too long")]
    TooLong,
}

/// Starts workers.
#[derive(Debug, Clone)]
pub struct Extractor {
    program: PathBuf,
    arguments: Vec<OsString>,
    time: Duration,
    places: Arc<Semaphore>,
}

/// The subcommand that calls [`crate::work`].
const SUBCOMMAND: &str = "extract-worker";
/// The worker's allocator is mimalloc, which maps its first gigabyte as writable: that alone would be more than the
/// worker may have ([`crate::limits::MEMORY`]), and whatever it maps later would be refused. So, as it is used.
const COMMIT_AS_USED: (&str, &str) = ("MIMALLOC_ARENA_EAGER_COMMIT", "0");
/// How often a file is tried whose worker was ended from outside.
const ATTEMPTS: usize = 2;
/// SIGKILL: workers end by others when they go beyond their limits.
const KILLED: i32 = 9;

/// What became of a worker.
enum Outcome {
    Text(String),
    /// The file has no text, or none that can be had.
    None(&'static str, Option<ExitStatus>),
    Killed,
}

impl Extractor {
    /// The program that is running, with its subcommand `extract-worker`, at most `at_once` times at once.
    pub fn own(at_once: usize) -> Extractor {
        // Of the new process this is the program of the old one, also when another file has taken its place.
        Extractor::new("/proc/self/exe".into(), vec![SUBCOMMAND.into()], at_once)
    }

    /// A program that calls [`crate::work`] when it is started with these arguments.
    pub fn new(program: PathBuf, arguments: Vec<OsString>, at_once: usize) -> Extractor {
        Extractor { program, arguments, time: TIME, places: Arc::new(Semaphore::new(at_once)) }
    }

    /// With another limit on the time, in place of [`TIME`].
    #[must_use]
    pub fn within(self, time: Duration) -> Extractor {
        Extractor { time, ..self }
    }

    /// The text of a file, at most [`TEXT`] bytes of it; none where it has none, is not what it says it is, or costs
    /// more than [`crate::limits`].
    ///
    /// # Errors
    /// When the machine does not let it be read now.
    pub async fn text(&self, kind: Kind, file: &[u8]) -> Result<Option<String>, Error> {
        if file.len() > INPUT {
            return Ok(without("it is too large", None));
        }
        let _place = self.places.acquire().await.map_err(std::io::Error::other)?;
        for _ in 0..ATTEMPTS {
            // Dropped at the end of the time, and with it killed.
            let mut child = self.start()?;
            let outcome = tokio::time::timeout(self.time, read(&mut child, kind, file)).await;
            match outcome.map_err(|_| Error::TooLong)?? {
                Outcome::Text(text) => return Ok(Some(text)),
                Outcome::None(reason, status) => return Ok(without(reason, status)),
                Outcome::Killed => {}
            }
        }
        Ok(without("its workers are killed", None))
    }

    fn start(&self) -> std::io::Result<Child> {
        Command::new(&self.program)
            .args(&self.arguments)
            .env_clear()
            .env(COMMIT_AS_USED.0, COMMIT_AS_USED.1)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
    }
}

fn without(reason: &'static str, status: Option<ExitStatus>) -> Option<String> {
    let status = status.map(|status| status.to_string());
    tracing::debug!(reason, status, "attachment without text");
    None
}

async fn read(child: &mut Child, kind: Kind, file: &[u8]) -> Result<Outcome, Error> {
    let (Some(mut into), Some(from)) = (child.stdin.take(), child.stdout.take()) else {
        return Err(Error::Io(std::io::ErrorKind::BrokenPipe.into()));
    };
    let mut text = Vec::new();
    let mut from = from.take(TEXT as u64 + 1);
    let write = async move {
        // A worker that has died is known by how it ended, not by its pipe.
        let _ = into.write_all(&[kind.byte()]).await;
        let _ = into.write_all(file).await;
    };
    let (_, read) = tokio::join!(write, from.read_to_end(&mut text));
    read?;
    // One that has more to say than it may ends by it.
    drop(from);
    let status = child.wait().await?;
    Ok(match (status.code(), status.signal()) {
        (Some(0), _) => Outcome::Text(String::from_utf8_lossy(&text).into_owned()),
        (Some(UNREADABLE), _) => Outcome::None("it can not be read", None),
        (_, Some(KILLED)) => Outcome::Killed,
        _ => Outcome::None("it ended its worker", Some(status)),
    })
}
