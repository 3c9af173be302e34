//! The thread that the library does its work on.
//!
//! The library wants it stopped before its own static objects go away, some of which it makes as it goes along. Exit
//! handlers run backwards, so the one that stops the thread is registered late: whenever a store is given up.

use crate::functions::{fdb_run_network, fdb_stop_network};
use crate::types::fdb_error_t;
use std::io;
use std::sync::{Mutex, PoisonError};
use std::thread::{Builder, JoinHandle};

static THREAD: Mutex<Option<JoinHandle<fdb_error_t>>> = Mutex::new(None);

/// Starts the thread, once the network is set up. The library cannot start it twice.
pub fn start_network() -> io::Result<()> {
    let mut thread = THREAD.lock().unwrap_or_else(PoisonError::into_inner);
    if thread.is_none() {
        // SAFETY: without a library, or one that is not set up, it returns an error.
        *thread = Some(Builder::new().name("fdb-network".to_owned()).spawn(|| unsafe { fdb_run_network() })?);
    }
    Ok(())
}

/// Stops the thread and waits for its end. Who still waits for an answer gets none; nothing can be started again.
pub fn stop_network() {
    let thread = THREAD.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(thread) = thread {
        // SAFETY: the network was started.
        if unsafe { fdb_stop_network() } == 0 {
            let _ = thread.join();
        }
    }
}

/// Stops the thread when the process exits, before anything that the library has made by now goes away.
pub fn stop_network_at_exit() {
    extern "C" fn stop() {
        stop_network();
    }
    // SAFETY: the function uses nothing that goes away. If there is no room for it the process exits without.
    unsafe { libc::atexit(stop) };
}
