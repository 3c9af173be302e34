//! Finding, checking and keeping the client library.

use crate::functions::{self, Functions};
use crate::types::FDB_API_VERSION;
use libc::{RTLD_LOCAL, RTLD_NOW, dlclose, dlerror, dlopen, dlsym};
use std::ffi::{CStr, CString, OsStr, c_int, c_void};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::ptr::NonNull;
use std::sync::{Mutex, OnceLock, PoisonError};

/// Why a library cannot be used. The operator acts.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LoadError {
    /// The system's loader cannot open it.
    #[error("{0}")]
    Unopened(String),
    /// It is something else.
    #[error("not a client library of FoundationDB: it has no {0}")]
    Foreign(&'static str),
    /// It is too old.
    #[error("its newest API is {newest}, {FDB_API_VERSION} is needed: install FoundationDB 7.3 or newer")]
    TooOld {
        /// The newest version of the API that it speaks.
        newest: i32,
    },
    /// Another one is in use in this process.
    #[error("this process uses {} already", .0.display())]
    Another(PathBuf),
}

/// A library that is open; closed when dropped.
pub(crate) struct Library(NonNull<c_void>);

impl Library {
    fn open(path: &Path) -> Result<Self, LoadError> {
        let name = CString::new(path.as_os_str().as_bytes())
            .map_err(|_| LoadError::Unopened("a path has no zero bytes".to_owned()))?;
        // SAFETY: the name is a C string. What runs when a library is opened is the operator's choice.
        let handle = unsafe { dlopen(name.as_ptr(), RTLD_NOW | RTLD_LOCAL) };
        NonNull::new(handle).map(Library).ok_or_else(|| LoadError::Unopened(why()))
    }

    pub(crate) fn symbol(&self, name: &'static str) -> Result<*mut c_void, LoadError> {
        let symbol = CString::new(name).map_err(|_| LoadError::Foreign(name))?;
        // SAFETY: the library is open, the name a C string.
        let address = unsafe { dlsym(self.0.as_ptr(), symbol.as_ptr()) };
        if address.is_null() { Err(LoadError::Foreign(name)) } else { Ok(address) }
    }

    /// What it calls itself able to speak.
    fn newest_api(&self) -> Result<i32, LoadError> {
        let address = self.symbol("fdb_get_max_api_version")?;
        // SAFETY: a library that exports this name is FoundationDB's, in every version of which it is this function.
        let ask = unsafe { std::mem::transmute::<*mut c_void, unsafe extern "C" fn() -> c_int>(address) };
        // SAFETY: it takes nothing, and may be called first of all.
        Ok(unsafe { ask() })
    }
}

impl Drop for Library {
    fn drop(&mut self) {
        // SAFETY: it was opened once and nothing of it is kept.
        unsafe { dlclose(self.0.as_ptr()) };
    }
}

/// The loader's last complaint.
fn why() -> String {
    // SAFETY: the text is valid until the next call of the loader in this thread, and copied before.
    let text = unsafe { dlerror() };
    if text.is_null() {
        return "no reason given".to_owned();
    }
    // SAFETY: as above; it is not null.
    unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
}

static PATH: OnceLock<PathBuf> = OnceLock::new();
static LOADING: Mutex<()> = Mutex::new(());

/// Loads the library at `path`, a file or a name that the system's loader looks for. It stays for the life of the
/// process, and no other can be loaded then.
pub fn load(path: &Path) -> Result<(), LoadError> {
    let _one_at_a_time = LOADING.lock().unwrap_or_else(PoisonError::into_inner);
    match loaded() {
        Some(other) if other == path => return Ok(()),
        Some(other) => return Err(LoadError::Another(other.to_owned())),
        None => {}
    }
    let library = Library::open(path)?;
    let newest = library.newest_api()?;
    if newest < c_int::try_from(FDB_API_VERSION).unwrap_or(c_int::MAX) {
        return Err(LoadError::TooOld { newest });
    }
    // SAFETY: it has told its version, so it is FoundationDB's.
    let functions = unsafe { Functions::find(&library) }?;
    // Its functions are called from now on: it must never be closed.
    std::mem::forget(library);
    if functions::install(functions) {
        let _ = PATH.set(path.to_owned());
    }
    Ok(())
}

/// The library in use.
pub fn loaded() -> Option<&'static Path> {
    PATH.get().map(PathBuf::as_path)
}

/// The version of the library in use, as `7.3.77`; empty if none is.
pub fn client_version() -> String {
    // SAFETY: the text is the library's for ever.
    let text = unsafe { CStr::from_ptr(functions::fdb_get_client_version()) }.to_string_lossy().into_owned();
    text.split(',').next().unwrap_or_default().to_owned()
}

/// Whether `name` is that of a client library, with whatever suffix.
pub fn is_library_name(name: &OsStr) -> bool {
    name.as_bytes().starts_with(b"libfdb_c") && name.to_string_lossy().contains(".so")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::process::Command;

    /// A library with the C source `code`.
    fn built(code: &str) -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let (source, library) = (dir.path().join("x.c"), dir.path().join("libfdb_c.so"));
        std::fs::write(&source, code).unwrap();
        let status = Command::new("cc").args(["-shared", "-fPIC", "-o"]).arg(&library).arg(&source).status();
        assert!(status.unwrap().success());
        (dir, library)
    }

    #[test]
    fn what_is_no_client_library_is_refused() {
        let error = load(Path::new("/nowhere/libfdb_c.so")).unwrap_err().to_string();
        assert!(error.contains("/nowhere/libfdb_c.so"), "{error}");
        let (_dir, other) = built("int something(void) { return 1; }");
        assert_eq!(load(&other), Err(LoadError::Foreign("fdb_get_max_api_version")));
        let (_dir, old) = built("int fdb_get_max_api_version(void) { return 710; }");
        assert_eq!(load(&old), Err(LoadError::TooOld { newest: 710 }));
        let (_dir, part) = built("int fdb_get_max_api_version(void) { return 730; }");
        assert!(matches!(load(&part), Err(LoadError::Foreign(_))));
        assert_eq!(loaded(), None);
    }

    #[test]
    fn names_of_libraries_are_known() {
        assert!(is_library_name(OsStr::new("libfdb_c.so")));
        assert!(is_library_name(OsStr::new("libfdb_c_7.1.61.so")));
        assert!(!is_library_name(OsStr::new("libfdb.so")));
        assert!(!is_library_name(OsStr::new("README")));
    }
}
