//! How the hooks of `godwit drill` reach what this program started: processes end with the thread that starts them, so it is one
//! thread of this program that does what hooks ask for, and not a shell of theirs.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread::JoinHandle;

use anyhow::{Context, ensure};

/// What a hook hears when all went well.
const DONE: &str = "done";

/// What the thread hears when it is to end.
const END: &str = "";

/// Where hooks ask. Dropped, it ends what it has made.
pub(crate) struct Control {
    address: SocketAddr,
    thread: Option<JoinHandle<()>>,
}

impl Control {
    /// Makes something on a thread that stays, and does there what hooks ask for, one after the other.
    ///
    /// # Errors
    /// If it cannot be made.
    pub(crate) fn start<T>(
        make: impl FnOnce() -> anyhow::Result<T> + Send + 'static,
        act: impl Fn(&T, &str) -> anyhow::Result<()> + Send + 'static,
    ) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let (made, outcome) = std::sync::mpsc::channel();
        let thread = std::thread::spawn(move || {
            let made = match make() {
                Ok(value) => made.send(Ok(())).map(|()| value),
                Err(error) => return drop(made.send(Err(error))),
            };
            let Ok(value) = made else { return };
            while let Ok((socket, _)) = listener.accept() {
                // A hook that has gone away is asked for again by its drill.
                if answer(&socket, |words| act(&value, words)).is_ok_and(|goes_on| !goes_on) {
                    break;
                }
            }
        });
        outcome.recv().context("it panicked")??;
        Ok(Control { address, thread: Some(thread) })
    }

    /// The command for a shell that asks for something, and fails if that does.
    pub(crate) fn command(&self, words: &str) -> anyhow::Result<String> {
        let program = std::env::current_exe()?;
        Ok(format!("{} hook {} '{words}'", program.display(), self.address))
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        // Without the thread there is nothing to end.
        let _ = ask(self.address, END);
        self.thread.take().map(JoinHandle::join);
    }
}

/// Whether there may be more.
fn answer(socket: &TcpStream, act: impl Fn(&str) -> anyhow::Result<()>) -> anyhow::Result<bool> {
    let mut words = String::new();
    BufReader::new(socket).read_line(&mut words)?;
    if words.trim() == END {
        return Ok(false);
    }
    let outcome = act(words.trim()).map_or_else(|error| format!("{error:#}"), |()| DONE.to_owned());
    writeln!(&mut &*socket, "{}", outcome.replace('\n', " "))?;
    Ok(true)
}

/// Asks for something where a [`Control`] is, and waits until it is done.
pub(crate) fn ask(address: SocketAddr, words: &str) -> anyhow::Result<()> {
    let mut socket = TcpStream::connect(address)?;
    writeln!(socket, "{words}")?;
    let mut outcome = String::new();
    BufReader::new(socket).read_line(&mut outcome)?;
    ensure!(outcome.trim() == DONE, "{words}: {}", outcome.trim());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hooks_are_done_and_hear_what_went_wrong() {
        let act = |bad: &String, words: &str| {
            ensure!(words != bad, "two\nlines");
            Ok(())
        };
        let control = Control::start(|| Ok("fail".to_owned()), act).unwrap();
        ask(control.address, "lose it").unwrap();
        assert_eq!(ask(control.address, "fail").unwrap_err().to_string(), "fail: two lines");
        assert!(control.command("lose it").unwrap().ends_with(" 'lose it'"));
        assert!(Control::start(|| anyhow::bail!("no"), |(): &(), _| Ok(())).is_err());
    }
}
