//! A certificate of a signer: whose it is, what it is for, and who vouches for it (RFC 8550).

use cms::cert::x509;
use der::Encode;
use der::asn1::{Ia5StringRef, ObjectIdentifier, Utf8StringRef};
use rustls_pki_types::{CertificateDer, SignatureVerificationAlgorithm, UnixTime};
use webpki::{EndEntityCert, KeyUsage as Purpose};
use x509::ext::pkix::name::GeneralName;
use x509::ext::pkix::{KeyUsage, SubjectAltName, SubjectKeyIdentifier};
use x509::name::Name;
use x509::serial_number::SerialNumber;

use super::Trust;
use super::signed::{Error, Signed};

/// `id-kp-emailProtection` (RFC 5280 §4.2.1.12), as the content of its DER.
const EMAIL_PROTECTION: &[u8] = &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x04];
/// `emailAddress` in a name (RFC 8550 §3).
const EMAIL_ADDRESS: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.1");

/// A certificate that came with a message.
pub(crate) struct Certificate {
    parsed: x509::Certificate,
    der: CertificateDer<'static>,
}

impl Certificate {
    pub(crate) fn of(parsed: &x509::Certificate) -> Option<Certificate> {
        let der = parsed.to_der().ok()?;
        Some(Certificate { parsed: parsed.clone(), der: der.into() })
    }

    pub(crate) fn is(&self, issuer: &Name, serial: &SerialNumber) -> bool {
        let own = &self.parsed.tbs_certificate;
        own.issuer == *issuer && own.serial_number == *serial
    }

    pub(crate) fn has_key(&self, id: &SubjectKeyIdentifier) -> bool {
        let own = self.parsed.tbs_certificate.get::<SubjectKeyIdentifier>();
        own.is_ok_and(|own| own.is_some_and(|(_, own)| own == *id))
    }

    /// From when on it is valid, and from when on not any more (RFC 5280 §4.1.2.5): its last second is one of validity.
    pub(crate) fn boundaries(&self) -> [u64; 2] {
        let validity = &self.parsed.tbs_certificate.validity;
        let [begin, end] =
            [validity.not_before, validity.not_after].map(|time| time.to_unix_duration().as_secs());
        [begin, end.saturating_add(1)]
    }

    /// Whether its key made a signature, in one of these ways.
    pub(crate) fn signed(
        &self,
        ways: &[&dyn SignatureVerificationAlgorithm],
        octets: &[u8],
        signature: &[u8],
    ) -> bool {
        let Ok(own) = EndEntityCert::try_from(&self.der) else { return false };
        ways.iter().any(|way| own.verify_signature(*way, octets, signature).is_ok())
    }

    /// Whether somebody who is trusted says that it is for mail from one of these addresses at that time.
    pub(crate) fn vouched(
        &self,
        signed: &Signed,
        trust: &Trust,
        from: &[String],
        at: UnixTime,
    ) -> Result<(), Error> {
        let own = EndEntityCert::try_from(&self.der).map_err(|_| Error::Unreadable)?;
        let others: Vec<CertificateDer<'_>> =
            signed.certificates().iter().map(|one| CertificateDer::from(one.der.as_ref())).collect();
        // RFC 8550 §4.4.4: it may say nothing of what it is for.
        let purpose = Purpose::required_if_present(EMAIL_PROTECTION);
        let algorithms = webpki::ALL_VERIFICATION_ALGS;
        own.verify_for_usage(algorithms, trust.anchors(), &others, at, purpose, None, None)
            .map_err(|error| reason(&error))?;
        if !self.is_for_signing() {
            return Err(Error::Purpose);
        }
        let own = self.addresses();
        // RFC 9219 §4.1: verified is what the sender signed whom From names.
        let is_from = !from.is_empty() && from.iter().all(|from| own.iter().any(|own| is_same(own, from)));
        if is_from { Ok(()) } else { Err(Error::From) }
    }

    /// RFC 8550 §4.4.2
    fn is_for_signing(&self) -> bool {
        match self.parsed.tbs_certificate.get::<KeyUsage>() {
            Ok(Some((_, usage))) => usage.digital_signature() || usage.non_repudiation(),
            Ok(None) => true,
            Err(_) => false,
        }
    }

    /// Addresses that it is for (RFC 8550 §3).
    fn addresses(&self) -> Vec<String> {
        let own = &self.parsed.tbs_certificate;
        let mut addresses = Vec::new();
        if let Ok(Some((_, SubjectAltName(names)))) = own.get::<SubjectAltName>() {
            addresses.extend(names.iter().filter_map(|name| match name {
                GeneralName::Rfc822Name(address) => Some(address.to_string()),
                _ => None,
            }));
        }
        let named = own.subject.0.iter().flat_map(|names| names.0.iter());
        for value in named.filter(|one| one.oid == EMAIL_ADDRESS).map(|one| &one.value) {
            let text = value.decode_as::<Ia5StringRef<'_>>().map(|text| text.to_string());
            let text = text.or_else(|_| value.decode_as::<Utf8StringRef<'_>>().map(|text| text.to_string()));
            addresses.extend(text.ok());
        }
        addresses
    }
}

/// Small and capital letters are the same to whoever gives addresses out, whatever RFC 5321 §2.4 allows.
fn is_same(one: &str, other: &str) -> bool {
    one.eq_ignore_ascii_case(other)
}

fn reason(error: &webpki::Error) -> Error {
    match error {
        webpki::Error::CertExpired { .. } | webpki::Error::CertNotValidYet { .. } => Error::Expired,
        webpki::Error::RequiredEkuNotFoundContext(_) => Error::Purpose,
        _ => Error::Untrusted,
    }
}
