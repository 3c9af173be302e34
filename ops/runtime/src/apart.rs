//! A thread of its own for what must not wait for its turn behind all else that a process does.
//!
//! Tasks take turns. Where a thousand of them are ready, the one by which a process shows that it lives is one of a thousand. On a
//! thread of its own it takes turns with other threads, and one that mostly sleeps gets its turn at once.

use std::future::Future;
use std::io;

use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};

/// A thread that runs what is given to it. Its end ends what still runs there.
#[derive(Debug)]
pub struct Apart {
    handle: Handle,
    _end: DropGuard,
}

impl Apart {
    /// Begins it.
    ///
    /// # Errors
    /// The system has no thread to give.
    pub async fn start(name: &'static str) -> io::Result<Apart> {
        let end = CancellationToken::new();
        let (told, hears) = oneshot::channel();
        let ended = end.clone();
        // Made there, since it may not be dropped here.
        let run = move || match Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => {
                if told.send(Ok(runtime.handle().clone())).is_ok() {
                    runtime.block_on(ended.cancelled());
                }
            }
            // Who began it has gone away.
            Err(error) => drop(told.send(Err(error))),
        };
        std::thread::Builder::new().name(name.to_owned()).spawn(run)?;
        let handle = hears.await.map_err(|_| io::Error::other("the thread ended early"))??;
        Ok(Apart { handle, _end: end.drop_guard() })
    }

    /// Runs a task there.
    pub fn spawn<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.handle.spawn(future)
    }

    /// Runs a future there as if it were here: it is dropped with this one, and panics with it.
    pub async fn run<F>(&self, future: F) -> F::Output
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let mut running = Running(self.spawn(future));
        match (&mut running.0).await {
            Ok(output) => output,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                // It was ended with its thread: so is this one, wherever it waits next.
                Err(_) => std::future::pending().await,
            },
        }
    }
}

/// Ends a task when it is dropped.
struct Running<T>(JoinHandle<T>);

impl<T> Drop for Running<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Says that it was dropped.
    struct Last(Option<oneshot::Sender<()>>);

    impl Drop for Last {
        fn drop(&mut self) {
            let _ = self.0.take().map(|told| told.send(()));
        }
    }

    #[tokio::test]
    async fn work_is_done_on_another_thread_and_ends_with_who_asked_for_it() {
        let apart = Apart::start("elsewhere").await.unwrap();
        let name = apart.run(async { std::thread::current().name().map(str::to_owned) }).await;
        assert_eq!(name.as_deref(), Some("elsewhere"));
        let (told, dropped) = oneshot::channel();
        let (begun, begins) = oneshot::channel();
        let work = async move {
            let _last = Last(Some(told));
            let _ = begun.send(());
            std::future::pending::<()>().await;
        };
        tokio::select! {
            () = apart.run(work) => {}
            _ = begins => {}
        }
        dropped.await.unwrap();
    }

    #[tokio::test]
    async fn its_end_ends_what_runs_there() {
        let apart = Apart::start("elsewhere").await.unwrap();
        let (told, dropped) = oneshot::channel();
        let last = Last(Some(told));
        let task = apart.spawn(async move {
            let _last = last;
            std::future::pending::<()>().await;
        });
        drop(apart);
        dropped.await.unwrap();
        assert!(task.await.unwrap_err().is_cancelled());
    }
}
