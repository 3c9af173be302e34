//! Certificates: chosen by the name the client asks for, replaced while the listeners run.

use parking_lot::RwLock;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use std::collections::HashMap;
use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A certificate or key cannot be used; the operator must act.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// The file cannot be read or written.
    #[error("{path}: {source}")]
    File {
        /// Which file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The file is not what it should be.
    #[error("{path}: {reason}")]
    Content {
        /// Which file.
        path: PathBuf,
        /// What is wrong in it.
        reason: String,
    },
}

/// The certificates of a node. Handshakes take what is set at their moment; nothing restarts for a new one.
#[derive(Debug)]
pub struct Certificates {
    current: RwLock<Arc<Chosen>>,
    strict: bool,
}

#[derive(Debug, Default)]
struct Chosen {
    default: Option<Arc<CertifiedKey>>,
    by_name: HashMap<String, Arc<CertifiedKey>>,
}

impl Certificates {
    /// No certificate yet: handshakes fail until [`Certificates::replace`].
    ///
    /// If `strict`, a client that asks for a name which is not ours gets an alert instead of the default
    /// certificate. Mail servers meet clients that ask for any CNAME of theirs, so this is for sites that know
    /// all their names.
    pub fn new(strict: bool) -> Arc<Self> {
        Arc::new(Certificates { current: RwLock::default(), strict })
    }

    /// Puts new certificates in place: the first is the default, each answers for its `names`.
    pub fn replace(&self, certificates: Vec<(Vec<String>, Arc<CertifiedKey>)>) {
        let default = certificates.first().map(|(_, key)| Arc::clone(key));
        let named = certificates.into_iter().flat_map(|(names, key)| {
            names.into_iter().map(move |name| (name.to_ascii_lowercase(), Arc::clone(&key)))
        });
        let by_name = named.collect();
        *self.current.write() = Arc::new(Chosen { default, by_name });
    }

    /// Reads a chain and its key from PEM files.
    pub fn load(chain: &Path, key: &Path) -> Result<Arc<CertifiedKey>, CertificateError> {
        let certificates = CertificateDer::pem_file_iter(chain)
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .map_err(|error| content(chain, &error))?;
        let private = PrivateKeyDer::from_pem_file(key).map_err(|error| content(key, &error))?;
        let certified = CertifiedKey::from_der(certificates, private, &provider())
            .map_err(|error| content(chain, &error))?;
        Ok(Arc::new(certified))
    }

    fn choose(&self, name: Option<&str>) -> Option<Arc<CertifiedKey>> {
        let current = Arc::clone(&self.current.read());
        let Some(name) = name else { return current.default.clone() };
        let wildcard = || name.split_once('.').map(|(_, parent)| format!("*.{parent}"));
        let named = current.by_name.get(name).or_else(|| current.by_name.get(&wildcard()?));
        match named {
            Some(key) => Some(Arc::clone(key)),
            None if self.strict => None,
            None => current.default.clone(),
        }
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.choose(hello.server_name())
    }
}

pub(crate) fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

fn content(path: &Path, error: &dyn std::fmt::Display) -> CertificateError {
    CertificateError::Content { path: path.to_owned(), reason: error.to_string() }
}

/// Where a self-signed certificate lies.
#[derive(Clone, Debug)]
pub struct SelfSigned {
    /// The certificate, in PEM.
    pub certificate: PathBuf,
    /// Its key, in PEM, readable by its owner only.
    pub key: PathBuf,
}

/// A self-signed certificate for `names` in `directory`: the one that is there, or a new one.
///
/// The same certificate over restarts, so that a developer trusts it once.
pub fn self_signed(directory: &Path, names: &[String]) -> Result<SelfSigned, CertificateError> {
    let paths = SelfSigned { certificate: directory.join("certificate.pem"), key: directory.join("key.pem") };
    if paths.certificate.exists() && paths.key.exists() {
        return Ok(paths);
    }
    let made =
        rcgen::generate_simple_self_signed(names).map_err(|error| content(&paths.certificate, &error))?;
    write_private(&paths.key, &made.signing_key.serialize_pem())?;
    write_private(&paths.certificate, &made.cert.pem())?;
    Ok(paths)
}

/// Written beside and renamed, so that a crash leaves no half of it.
fn write_private(path: &Path, text: &str) -> Result<(), CertificateError> {
    let beside = path.with_extension("new");
    let write = || {
        let mut file =
            fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&beside, path)
    };
    write().map_err(|source| CertificateError::File { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn make(name: &str) -> (tempfile::TempDir, Arc<CertifiedKey>) {
        let directory = tempfile::tempdir().unwrap();
        let paths = self_signed(directory.path(), &[name.to_owned()]).unwrap();
        let key = Certificates::load(&paths.certificate, &paths.key).unwrap();
        (directory, key)
    }

    #[test]
    fn a_self_signed_certificate_is_made_once_and_is_private() {
        let directory = tempfile::tempdir().unwrap();
        let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
        let paths = self_signed(directory.path(), &names).unwrap();
        let first = fs::read(&paths.certificate).unwrap();
        self_signed(directory.path(), &names).unwrap();
        assert_eq!(fs::read(&paths.certificate).unwrap(), first);
        assert_eq!(fs::metadata(&paths.key).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn the_name_chooses_and_strangers_get_the_default_or_nothing() {
        let ((_a, first), (_b, second)) = (make("a.test"), make("b.test"));
        for strict in [false, true] {
            let certificates = Certificates::new(strict);
            assert!(certificates.choose(None).is_none());
            certificates.replace(vec![
                (vec!["a.test".into()], Arc::clone(&first)),
                (vec!["B.test".into(), "*.c.test".into()], Arc::clone(&second)),
            ]);
            let is = |name: Option<&str>, key: &Arc<CertifiedKey>| {
                certificates.choose(name).is_some_and(|chosen| Arc::ptr_eq(&chosen, key))
            };
            assert!(is(None, &first) && is(Some("b.test"), &second) && is(Some("x.c.test"), &second));
            assert_eq!(is(Some("stranger.test"), &first), !strict);
        }
    }

    #[test]
    fn a_wrong_file_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let missing = directory.path().join("missing.pem");
        let error = Certificates::load(&missing, &missing).unwrap_err();
        assert!(error.to_string().contains("missing.pem"), "{error}");
    }
}
