//! Spawned tasks, each with a kind that says what its end means.

use crate::Shutdown;
use futures::FutureExt;
use std::any::Any;
use std::fmt::Display;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// What the end of a task means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TaskKind {
    /// One client's connection. Ends as it likes; an error or panic is logged and concerns nobody else.
    Session,
    /// Accepts connections. If it ends before the drain, the process drains: a node that cannot be reached
    /// must not look alive.
    Listener,
    /// Upkeep that can wait. An error or panic is logged; the process goes on without it until the next run.
    Background,
    /// Without it the process must not go on. Its end, error or panic before the drain starts the drain.
    Critical,
}

impl TaskKind {
    fn ends_the_process(self) -> bool {
        matches!(self, TaskKind::Listener | TaskKind::Critical)
    }

    fn label(self) -> &'static str {
        match self {
            TaskKind::Session => "session",
            TaskKind::Listener => "listener",
            TaskKind::Background => "background",
            TaskKind::Critical => "critical",
        }
    }
}

/// What a task may return: nothing, or a result whose error is logged.
pub trait Outcome: Send + 'static {
    /// The error's text, if it is one.
    fn error(&self) -> Option<String>;
}

impl Outcome for () {
    fn error(&self) -> Option<String> {
        None
    }
}

impl<E: Display + Send + 'static> Outcome for Result<(), E> {
    fn error(&self) -> Option<String> {
        self.as_ref().err().map(ToString::to_string)
    }
}

/// Spawns tasks, enters them in the ledger and acts on how they end.
#[derive(Clone, Debug)]
pub struct Supervisor {
    shutdown: Shutdown,
}

impl Supervisor {
    /// A supervisor that raises and obeys `shutdown`.
    pub fn new(shutdown: Shutdown) -> Self {
        Supervisor { shutdown }
    }

    /// The signals it obeys.
    pub fn shutdown(&self) -> &Shutdown {
        &self.shutdown
    }

    /// Runs `future` as a task. It is dropped at its next await when `stop` comes.
    pub fn spawn<F>(&self, kind: TaskKind, name: &'static str, future: F) -> JoinHandle<()>
    where
        F: Future + Send + 'static,
        F::Output: Outcome,
    {
        let guard = self.shutdown.ledger().guard(name);
        let shutdown = self.shutdown.clone();
        // Boxed before it is moved into the wrapper, which would otherwise hold room for it twice.
        let mut future = Box::pin(AssertUnwindSafe(future).catch_unwind());
        tokio::spawn(async move {
            let ended = tokio::select! {
                ended = &mut future => Some(ended),
                () = shutdown.stop.cancelled() => None,
            };
            // What the future holds is given back before the ledger says that it is done.
            drop(future);
            if let Some(ended) = ended {
                settle(kind, name, &shutdown, &ended);
            }
            drop(guard);
        })
    }

    /// Runs `work` at once and then again `pause` after each end, until the drain. It takes no input: each run
    /// looks at the state as it is. An error or panic of one run is logged and the next comes as usual.
    pub fn spawn_recurring<W, F>(&self, name: &'static str, pause: Duration, work: W) -> JoinHandle<()>
    where
        W: Fn() -> F + Send + Sync + 'static,
        F: Future + Send + 'static,
        F::Output: Outcome,
    {
        self.spawn_recurring_until(self.shutdown.drain.clone(), name, pause, work)
    }

    /// As [`Supervisor::spawn_recurring`], until `end`, which comes with the drain or before it.
    pub fn spawn_recurring_until<W, F>(
        &self,
        end: CancellationToken,
        name: &'static str,
        pause: Duration,
        work: W,
    ) -> JoinHandle<()>
    where
        W: Fn() -> F + Send + Sync + 'static,
        F: Future + Send + 'static,
        F::Output: Outcome,
    {
        let shutdown = self.shutdown.clone();
        self.spawn(TaskKind::Background, name, async move {
            while !end.is_cancelled() {
                let ended = AssertUnwindSafe(work()).catch_unwind().await;
                settle(TaskKind::Background, name, &shutdown, &ended);
                tokio::select! {
                    () = end.cancelled() => {}
                    () = tokio::time::sleep(pause) => {}
                }
            }
        })
    }
}

fn settle<O: Outcome>(
    kind: TaskKind,
    name: &'static str,
    shutdown: &Shutdown,
    ended: &Result<O, Box<dyn Any + Send>>,
) {
    match ended {
        Ok(outcome) => {
            if let Some(error) = outcome.error() {
                metrics::counter!("runtime_task_errors_total", "kind" => kind.label(), "task" => name)
                    .increment(1);
                tracing::error!(task = name, kind = kind.label(), error, "task failed");
            }
        }
        Err(panic) => {
            metrics::counter!("runtime_task_panics_total", "kind" => kind.label(), "task" => name)
                .increment(1);
            tracing::error!(
                task = name,
                kind = kind.label(),
                panic = panic_text(panic.as_ref()),
                "task panicked"
            );
        }
    }
    if kind.ends_the_process() && !shutdown.is_draining() {
        tracing::error!(task = name, kind = kind.label(), "task ended early, draining the node");
        shutdown.begin();
    }
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("not a text")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    fn supervisor() -> Supervisor {
        Supervisor::new(Shutdown::new())
    }

    #[tokio::test]
    async fn a_session_that_panics_concerns_nobody_else() {
        let supervisor = supervisor();
        supervisor
            .spawn(TaskKind::Session, "session", async { assert!(std::hint::black_box(false), "boom") })
            .await
            .unwrap();
        assert!(!supervisor.shutdown().is_draining());
        assert!(supervisor.shutdown().ledger().busy().is_empty());
    }

    #[tokio::test]
    async fn a_critical_task_takes_the_process_with_it() {
        for panics in [true, false] {
            let supervisor = supervisor();
            let task = supervisor.spawn(TaskKind::Critical, "critical", async move {
                assert!(!panics, "boom");
                Err("lost the store")
            });
            task.await.unwrap();
            assert!(supervisor.shutdown().is_draining());
        }
    }

    #[tokio::test]
    async fn stop_ends_what_never_ends() {
        let supervisor = supervisor();
        let task = supervisor.spawn(TaskKind::Session, "endless", std::future::pending::<()>());
        supervisor.shutdown().stop.cancel();
        task.await.unwrap();
        assert!(supervisor.shutdown().ledger().busy().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn recurring_work_survives_its_failures_and_ends_with_the_drain() {
        let supervisor = supervisor();
        let runs = Arc::new(AtomicUsize::new(0));
        let task = supervisor.spawn_recurring("upkeep", Duration::from_secs(1), {
            let (runs, shutdown) = (Arc::clone(&runs), supervisor.shutdown().clone());
            move || {
                let run = runs.fetch_add(1, Ordering::Relaxed);
                let shutdown = shutdown.clone();
                async move {
                    assert_ne!(run, 0, "the first run panics");
                    if run == 3 {
                        shutdown.begin();
                    }
                    if run == 1 { Err("the second fails") } else { Ok(()) }
                }
            }
        });
        task.await.unwrap();
        assert_eq!(runs.load(Ordering::Relaxed), 4);
    }
}
