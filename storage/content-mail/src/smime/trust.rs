//! Whose word on certificates is taken.

use aws_lc_rs::digest::{SHA256, digest};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, TrustAnchor};

/// Authorities that are trusted.
#[derive(Debug, Clone, Default)]
pub struct Trust {
    anchors: Vec<TrustAnchor<'static>>,
    fingerprint: u64,
}

impl Trust {
    /// Those whose certificates stand in a file of PEM, as operating systems have one; what else is in it, or is no
    /// certificate of an authority, is left out.
    pub fn from_pem(file: &[u8]) -> Trust {
        let certificates = CertificateDer::pem_slice_iter(file).flatten();
        let mut anchors: Vec<TrustAnchor<'static>> = certificates
            .filter_map(|one| webpki::anchor_from_trusted_cert(&one).ok().map(|anchor| anchor.to_owned()))
            .collect();
        anchors.sort_unstable_by(|a, b| octets(a).cmp(&octets(b)));
        anchors.dedup();
        let fingerprint = fingerprint(&anchors);
        Trust { anchors, fingerprint }
    }

    /// What tells these authorities from others: the same for the same ones, in whatever order a file has them.
    pub fn fingerprint(&self) -> u64 {
        self.fingerprint
    }

    /// Whether nobody is.
    pub fn is_empty(&self) -> bool {
        self.anchors.is_empty()
    }

    pub(crate) fn anchors(&self) -> &[TrustAnchor<'static>] {
        &self.anchors
    }
}

fn octets<'a>(anchor: &'a TrustAnchor<'_>) -> [&'a [u8]; 3] {
    let constraints = anchor.name_constraints.as_deref().unwrap_or_default();
    [&anchor.subject, &anchor.subject_public_key_info, constraints]
}

/// Of the length of each field and the field, so that two lists do not run into the same octets.
fn fingerprint(anchors: &[TrustAnchor<'_>]) -> u64 {
    let fields = anchors.iter().flat_map(octets);
    let all: Vec<u8> =
        fields.flat_map(|field| [&(field.len() as u64).to_be_bytes(), field].concat()).collect();
    let digest = digest(&SHA256, &all);
    digest.as_ref().first_chunk().map_or(0, |first| u64::from_be_bytes(*first))
}
