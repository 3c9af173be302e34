//! A demo that ends with the process that started it, whatever happens to that one.
//!
//! Who starts it holds the other end of its standard input, and nobody else does. So that end closes with the process, also
//! when it is killed and can tell nobody. A signal for the parent's death would do as much only for the thread that
//! started the child, and not if that one is gone before it is asked for.

use std::io::Read;

use rustix::process::{Signal, getpid, kill_process};

/// From now on the end of standard input is a SIGTERM.
///
/// # Errors
/// If there cannot be a thread that waits for it.
pub(crate) fn end_with_input() -> std::io::Result<()> {
    let watch = || {
        wait_for_the_end(std::io::stdin());
        // Who is told to end may be doing so already.
        let _ = kill_process(getpid(), Signal::TERM);
    };
    std::thread::Builder::new().name("parent".to_owned()).spawn(watch).map(drop)
}

/// Reads to the end; what comes is for nobody.
fn wait_for_the_end(mut input: impl Read) {
    // Input that cannot be read has nobody behind it either.
    let _ = std::io::copy(&mut input, &mut std::io::sink());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_does_not_end_it_and_the_end_does() {
        let (reader, mut writer) = std::io::pipe().unwrap();
        let waiting = std::thread::spawn(move || wait_for_the_end(reader));
        std::io::Write::write_all(&mut writer, b"words").unwrap();
        assert!(!waiting.is_finished());
        drop(writer);
        waiting.join().unwrap();
    }
}
