//! Files in the data directory that only the node's user may read.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use anyhow::Context;
use runtime::Rng;

/// The file with the bootstrap password of the admin API.
pub(crate) const ADMIN_PASSWORD: &str = "admin-password";
/// The file with the URL of the admin API, for commands on this machine.
pub(crate) const ADMIN_URL: &str = "admin-url";

/// A password of 20 letters and digits that are not mistaken for each other: 100 bits.
pub(crate) fn password(rng: &dyn Rng) -> String {
    const ALPHABET: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
    (0..20).map(|_| char::from(ALPHABET[(rng.u64() % 32) as usize])).collect()
}

/// The secret kept in a file; made and kept there if there is none.
pub(crate) fn kept(path: &Path, make: impl FnOnce() -> String) -> anyhow::Result<String> {
    match std::fs::read_to_string(path) {
        Ok(text) if !text.trim().is_empty() => Ok(text.trim().to_owned()),
        Ok(_) => write(path, make()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => write(path, make()),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
}

/// Writes a file that only its owner may read, whole or not at all.
pub(crate) fn write(path: &Path, text: String) -> anyhow::Result<String> {
    let new = path.with_extension("new");
    let written = || -> std::io::Result<()> {
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
        writeln!(file, "{text}")?;
        file.sync_all()?;
        std::fs::rename(&new, path)?;
        path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
    };
    written().with_context(|| format!("cannot write {}", path.display()))?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_kept_secret_stays() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secret");
        assert_eq!(kept(&path, || "one".into()).unwrap(), "one");
        assert_eq!(kept(&path, || "two".into()).unwrap(), "one");
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(kept(&dir.path().join("no/such/folder"), || "x".into()).is_err());
    }

    #[test]
    fn passwords_are_long_and_plain() {
        let password = password(&runtime::SystemRng);
        assert_eq!(password.len(), 20);
        assert!(password.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()));
    }
}
