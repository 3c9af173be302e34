//! `SignedData` (RFC 5652 §5): what was signed, and by which signature.

use aws_lc_rs::digest;
use cms::cert::CertificateChoices;
use cms::content_info::ContentInfo;
use cms::signed_data::{SignedData, SignerIdentifier, SignerInfo};
use der::asn1::{ObjectIdentifier, OctetString};
use der::{Decode, Encode};
use rustls_pki_types::SignatureVerificationAlgorithm;
use webpki::aws_lc_rs as algorithms;

use super::ber;
use super::signer::Certificate;

/// Why a signature was not verified.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("There is no signature where one belongs")]
    NoSignature,
    #[error("The signature can not be read")]
    Unreadable,
    #[error("The content was changed after it was signed")]
    Changed,
    #[error("It is signed in a way that is not known or not safe")]
    Algorithm,
    #[error("The signer's certificate is missing")]
    NoCertificate,
    #[error("The signature is not by the key of the certificate")]
    Wrong,
    #[error("The certificate is not for signing mail")]
    Purpose,
    #[error("The certificate is not valid at that time")]
    Expired,
    #[error("Nobody who is trusted vouches for the certificate")]
    Untrusted,
    #[error("The From address is not one that the certificate is for")]
    From,
}

const SIGNED_DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.2");
const DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.1");
const CONTENT_TYPE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.3");
const MESSAGE_DIGEST: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.4");

/// Signers that are heard, each of whom costs a hash of the content.
const SIGNERS: usize = 8;

/// What was signed, who signed it, and their certificates.
pub(crate) struct Signed {
    data: SignedData,
    content: Vec<u8>,
    certificates: Vec<Certificate>,
}

impl Signed {
    /// Reads a value of CMS, with what it signs if that is elsewhere; none if nothing is signed in it.
    pub(crate) fn parse(cms: &[u8], detached: Option<&[u8]>) -> Result<Option<Signed>, Error> {
        let der = ber::to_der(cms).ok_or(Error::Unreadable)?;
        let info = ContentInfo::from_der(&der).map_err(|_| Error::Unreadable)?;
        if info.content_type != SIGNED_DATA {
            return Ok(None);
        }
        let data: SignedData = info.content.decode_as().map_err(|_| Error::Unreadable)?;
        if data.signer_infos.0.len() > SIGNERS {
            return Err(Error::Unreadable);
        }
        let content = match (detached, &data.encap_content_info.econtent) {
            (Some(content), None) => content.to_vec(),
            (None, Some(within)) => {
                within.decode_as::<OctetString>().map_err(|_| Error::Unreadable)?.into_bytes()
            }
            // RFC 8551 §3.2.2: of certificates alone there is no content.
            (None, None) if data.signer_infos.0.is_empty() => Vec::new(),
            _ => return Err(Error::NoSignature),
        };
        let certificates = data.certificates.iter().flat_map(|set| set.0.iter());
        let certificates = certificates.filter_map(|one| match one {
            CertificateChoices::Certificate(certificate) => Certificate::of(certificate),
            CertificateChoices::Other(_) => None,
        });
        let certificates = certificates.collect();
        Ok(Some(Signed { data, content, certificates }))
    }

    pub(crate) fn signers(&self) -> impl Iterator<Item = &SignerInfo> {
        self.data.signer_infos.0.iter()
    }

    pub(crate) fn certificates(&self) -> &[Certificate] {
        &self.certificates
    }

    /// When the first of its certificates begins or ends that does so after `at`, in seconds since the epoch.
    pub(crate) fn next_boundary(&self, at: u64) -> Option<u64> {
        self.certificates.iter().flat_map(Certificate::boundaries).filter(|boundary| *boundary > at).min()
    }

    /// Whether a signer signed the content, and by which certificate, which nobody has vouched for yet (RFC 5652 §5.4,
    /// §5.6).
    pub(crate) fn verify(&self, signer: &SignerInfo) -> Result<&Certificate, Error> {
        let hash = hash(&signer.digest_alg.oid).ok_or(Error::Algorithm)?;
        let certificate =
            self.certificates.iter().find(|one| is_of(one, &signer.sid)).ok_or(Error::NoCertificate)?;
        let signed = self.signed_octets(signer, hash)?;
        let signature = signer.signature.as_bytes();
        let ways = ways(&signer.signature_algorithm.oid, hash).ok_or(Error::Algorithm)?;
        certificate.signed(&ways, &signed, signature).then_some(certificate).ok_or(Error::Wrong)
    }

    /// What the signature is of: the attributes, which have the hash of the content, or the content.
    fn signed_octets(&self, signer: &SignerInfo, hash: Hash) -> Result<Vec<u8>, Error> {
        let kind = self.data.encap_content_info.econtent_type;
        let Some(attributes) = &signer.signed_attrs else {
            // RFC 5652 §5.3: what is not data needs them.
            return if kind == DATA { Ok(self.content.clone()) } else { Err(Error::Unreadable) };
        };
        // RFC 5652 §11.1, §11.2: each once, with one value.
        let only = |oid: ObjectIdentifier| {
            let mut values = attributes.iter().filter(|one| one.oid == oid).flat_map(|one| one.values.iter());
            values.next().filter(|_| values.next().is_none())
        };
        let is_of_kind = only(CONTENT_TYPE)
            .and_then(|value| value.decode_as::<ObjectIdentifier>().ok())
            .is_some_and(|told| told == kind);
        let told = only(MESSAGE_DIGEST).and_then(|value| value.decode_as::<OctetString>().ok());
        let told = told.filter(|_| is_of_kind).ok_or(Error::Unreadable)?;
        if told.as_bytes() != digest::digest(hash.algorithm(), &self.content).as_ref() {
            return Err(Error::Changed);
        }
        // RFC 5652 §5.4: with the tag of a set, not with the one that it bears in the signature.
        attributes.to_der().map_err(|_| Error::Unreadable)
    }
}

fn is_of(certificate: &Certificate, signer: &SignerIdentifier) -> bool {
    match signer {
        SignerIdentifier::IssuerAndSerialNumber(named) => certificate.is(&named.issuer, &named.serial_number),
        SignerIdentifier::SubjectKeyIdentifier(id) => certificate.has_key(id),
    }
}

/// Hashes that are trusted (RFC 8551 §2.1); SHA-1 and MD5 are not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hash {
    Sha256,
    Sha384,
    Sha512,
}

impl Hash {
    fn algorithm(self) -> &'static digest::Algorithm {
        match self {
            Hash::Sha256 => &digest::SHA256,
            Hash::Sha384 => &digest::SHA384,
            Hash::Sha512 => &digest::SHA512,
        }
    }
}

fn hash(oid: &ObjectIdentifier) -> Option<Hash> {
    Some(match oid.to_string().as_str() {
        "2.16.840.1.101.3.4.2.1" => Hash::Sha256,
        "2.16.840.1.101.3.4.2.2" => Hash::Sha384,
        "2.16.840.1.101.3.4.2.3" => Hash::Sha512,
        _ => return None,
    })
}

type Ways = Vec<&'static dyn SignatureVerificationAlgorithm>;

/// How a signature of a kind may be made, with any key that fits; none where the hash is another one than it says
/// (RFC 5754 §3).
fn ways(oid: &ObjectIdentifier, hash: Hash) -> Option<Ways> {
    use Hash::{Sha256, Sha384, Sha512};
    Some(match (oid.to_string().as_str(), hash) {
        // rsaEncryption, which names no hash, and those that do.
        ("1.2.840.113549.1.1.1" | "1.2.840.113549.1.1.11", Sha256) => {
            vec![algorithms::RSA_PKCS1_2048_8192_SHA256]
        }
        ("1.2.840.113549.1.1.1" | "1.2.840.113549.1.1.12", Sha384) => {
            vec![algorithms::RSA_PKCS1_2048_8192_SHA384]
        }
        ("1.2.840.113549.1.1.1" | "1.2.840.113549.1.1.13", Sha512) => {
            vec![algorithms::RSA_PKCS1_2048_8192_SHA512]
        }
        // RSASSA-PSS (RFC 4056), with the same hash everywhere.
        ("1.2.840.113549.1.1.10", Sha256) => vec![algorithms::RSA_PSS_2048_8192_SHA256_LEGACY_KEY],
        ("1.2.840.113549.1.1.10", Sha384) => vec![algorithms::RSA_PSS_2048_8192_SHA384_LEGACY_KEY],
        ("1.2.840.113549.1.1.10", Sha512) => vec![algorithms::RSA_PSS_2048_8192_SHA512_LEGACY_KEY],
        // ECDSA (RFC 5753 §2.1).
        ("1.2.840.10045.4.3.2", Sha256) => {
            vec![algorithms::ECDSA_P256_SHA256, algorithms::ECDSA_P384_SHA256, algorithms::ECDSA_P521_SHA256]
        }
        ("1.2.840.10045.4.3.3", Sha384) => {
            vec![algorithms::ECDSA_P256_SHA384, algorithms::ECDSA_P384_SHA384, algorithms::ECDSA_P521_SHA384]
        }
        ("1.2.840.10045.4.3.4", Sha512) => {
            vec![algorithms::ECDSA_P256_SHA512, algorithms::ECDSA_P384_SHA512, algorithms::ECDSA_P521_SHA512]
        }
        _ => return None,
    })
}
