//! Whose word on certificates is taken.

use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, TrustAnchor};

/// Authorities that are trusted.
#[derive(Debug, Clone, Default)]
pub struct Trust {
    anchors: Vec<TrustAnchor<'static>>,
}

impl Trust {
    /// Those whose certificates stand in a file of PEM, as operating systems have one; what else is in it, or is no
    /// certificate of an authority, is left out.
    pub fn from_pem(file: &[u8]) -> Trust {
        let certificates = CertificateDer::pem_slice_iter(file).flatten();
        let anchors = certificates.filter_map(|certificate| {
            webpki::anchor_from_trusted_cert(&certificate).ok().map(|anchor| anchor.to_owned())
        });
        Trust { anchors: anchors.collect() }
    }

    /// Whether nobody is.
    pub fn is_empty(&self) -> bool {
        self.anchors.is_empty()
    }

    pub(crate) fn anchors(&self) -> &[TrustAnchor<'static>] {
        &self.anchors
    }
}
