//! The client library: where it is looked for, and its one start in a process.

use crate::error;
use foundationdb::api::FdbApiBuilder;
use foundationdb::options::NetworkOption;
use kv::Error;
use parking_lot::Mutex;
use std::path::{Path, PathBuf};

/// The client library's name.
pub const LIBRARY: &str = "libfdb_c.so";

/// Where it is looked for if nobody says where it is, after the places of the system's loader.
const FOLDERS: [&str; 4] = ["/usr/lib", "/usr/lib64", "/usr/local/lib", "/usr/local/lib64"];

/// What became of the start. A library that was started once cannot be started again, even if that failed.
static STARTED: Mutex<Option<Started>> = Mutex::new(None);

struct Started {
    external_clients: Option<PathBuf>,
    outcome: Result<(), Error>,
}

/// The version of the client library in use; empty if none is.
pub fn client_version() -> String {
    foundationdb_sys::client_version()
}

/// Stops the library's network, if it runs, for good: the last thing that a process does. Stores that are open answer
/// no more.
pub fn stop() {
    foundationdb_sys::stop_network();
}

/// [`stop`] at the exit of the process, for who does not call it.
pub(crate) fn stop_at_exit() {
    foundationdb_sys::stop_network_at_exit();
}

/// Loads the library and starts its network, once in a process.
pub(crate) fn start(library: Option<&Path>, external_clients: Option<&Path>) -> Result<(), Error> {
    let mut started = STARTED.lock();
    match (&*started, library) {
        (Some(first), _) if first.external_clients.as_deref() != external_clients => {
            return Err(Error::fatal(
                "FoundationDB: this process uses another directory of external clients already",
            ));
        }
        (Some(_), Some(library)) => {
            foundationdb_sys::load(library)
                .map_err(|e| Error::fatal(format!("FoundationDB: {}: {e}", library.display())))?;
        }
        (Some(_), None) => {}
        (None, _) => find(library)?,
    }
    let started = started.get_or_insert_with(|| Started {
        external_clients: external_clients.map(Path::to_owned),
        outcome: start_network(external_clients),
    });
    started.outcome.clone()
}

/// Loads the library from the first place that has a good one.
fn find(library: Option<&Path>) -> Result<(), Error> {
    let places = match library {
        Some(library) => vec![library.to_owned()],
        // A name without a folder is the loader's to find: LD_LIBRARY_PATH, /etc/ld.so.cache.
        None => std::iter::once(PathBuf::from(LIBRARY))
            .chain(FOLDERS.map(|folder| Path::new(folder).join(LIBRARY)))
            .collect(),
    };
    let mut complaints = Vec::new();
    for place in places {
        match foundationdb_sys::load(&place) {
            Ok(()) => return Ok(()),
            Err(e) => complaints.push(complaint(&place, &e.to_string())),
        }
    }
    Err(Error::fatal(format!(
        "FoundationDB: no client library: looked for {} (install the package foundationdb-clients 7.3 or newer, or say \
         where the library is)",
        complaints.join("; ")
    )))
}

/// The loader begins most of its complaints with the path.
fn complaint(place: &Path, why: &str) -> String {
    let place = place.display().to_string();
    if why.starts_with(&place) { why.to_owned() } else { format!("{place}: {why}") }
}

fn start_network(external_clients: Option<&Path>) -> Result<(), Error> {
    let broken = |e| Error::fatal(format!("FoundationDB: the client does not start: {}", error::text(e)));
    let mut network = FdbApiBuilder::default().build().map_err(broken)?;
    if let Some(folder) = external_clients {
        let libraries = libraries(folder)?;
        let refused = |e| {
            Error::fatal(format!(
                "FoundationDB: external clients in {}: {}",
                folder.display(),
                error::text(e)
            ))
        };
        network = network
            .set_option(NetworkOption::ExternalClientDirectory(folder.display().to_string()))
            .map_err(refused)?;
        // The network's start loads them.
        network.build().map_err(refused)?;
        tracing::info!(folder = %folder.display(), libraries, "external FoundationDB clients");
    } else {
        network.build().map_err(broken)?;
    }
    foundationdb_sys::start_network()
        .map_err(|e| Error::fatal(format!("FoundationDB: no thread for its client: {e}")))?;
    let library = foundationdb_sys::loaded().map(|path| path.display().to_string()).unwrap_or_default();
    tracing::info!(library, version = client_version(), "FoundationDB client");
    Ok(())
}

/// How many client libraries are in the folder; an error if none is, since somebody expects some.
fn libraries(folder: &Path) -> Result<usize, Error> {
    let broken =
        |why: String| Error::fatal(format!("FoundationDB: external clients in {}: {why}", folder.display()));
    let entries = std::fs::read_dir(folder).map_err(|e| broken(e.to_string()))?;
    match entries.flatten().filter(|entry| foundationdb_sys::is_library_name(&entry.file_name())).count() {
        0 => {
            Err(broken(format!("no library there (a name begins with {})", LIBRARY.trim_end_matches(".so"))))
        }
        count => Ok(count),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_looked_for_is_said_and_where() {
        let error = find(Some(Path::new("/nowhere/libfdb_c.so"))).unwrap_err().to_string();
        assert!(
            error.contains("/nowhere/libfdb_c.so: ") && error.contains("foundationdb-clients"),
            "{error}"
        );
        assert_eq!(complaint(Path::new("/a"), "/a: no such file"), "/a: no such file");
    }

    #[test]
    fn a_folder_of_external_clients_has_some() {
        let folder = tempfile::tempdir().unwrap();
        assert!(libraries(folder.path()).unwrap_err().to_string().contains("no library there"));
        std::fs::write(folder.path().join("libfdb_c_7.4.so"), b"").unwrap();
        assert_eq!(libraries(folder.path()), Ok(1));
        let gone = folder.path().join("gone");
        assert!(libraries(&gone).unwrap_err().to_string().contains("gone"));
    }
}
