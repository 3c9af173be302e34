//! The cluster's own authority, and the certificates that it signs.

use std::time::Duration;

use data_encoding::HEXLOWER;
use leases::{Authority, GossipKey, Secrets};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, SerialNumber, date_time_ymd,
};
use runtime::{Rng, Timestamp};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use schema::NodeId;

use crate::Error;

/// How long an authority is good for: it is replaced by decision, not by date.
const AUTHORITY_TIME: Duration = Duration::from_secs(20 * 365 * 86_400);

/// By how much clocks of nodes may differ before certificates fail.
const SKEW: Duration = Duration::from_secs(86_400);

/// A node's certificate and key, and whom it trusts.
pub struct Credentials {
    pub(crate) cluster: String,
    pub(crate) chain: Vec<CertificateDer<'static>>,
    pub(crate) key: PrivateKeyDer<'static>,
    pub(crate) roots: Vec<CertificateDer<'static>>,
    renewal: Timestamp,
    /// When the certificate ends to be good.
    pub(crate) ends: Timestamp,
}

/// What the first node puts into the store, if nobody has yet ([`leases::Leases::secrets_or`]): a name for the cluster, a key for
/// gossip and an authority.
///
/// # Errors
/// As [`authority`].
pub fn found(rng: &dyn Rng, now: Timestamp) -> Result<Secrets, Error> {
    let (mut cluster, mut key) = (vec![0; 16], vec![0; 32]);
    rng.fill(&mut cluster);
    rng.fill(&mut key);
    let authorities = vec![authority(&cluster, now)?];
    Ok(Secrets { cluster, keys: vec![GossipKey { id: 1, key }], authorities })
}

/// A new authority for a cluster.
///
/// # Errors
/// [`Error::Certificates`] if the system has no randomness.
pub fn authority(cluster: &[u8], now: Timestamp) -> Result<Authority, Error> {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(wrong)?;
    let certificate = authority_params(cluster, now).self_signed(&key).map_err(wrong)?;
    Ok(Authority { certificate: certificate.der().to_vec(), key: key.serialize_der(), created: now.millis() })
}

/// The same for the same cluster and time, so that an issuer can be made of them again.
fn authority_params(cluster: &[u8], created: Timestamp) -> CertificateParams {
    let mut params = CertificateParams::default();
    params
        .distinguished_name
        .push(DnType::OrganizationName, format!("godwit cluster {}", HEXLOWER.encode(cluster)));
    params.distinguished_name.push(DnType::CommonName, format!("authority {}", created.millis()));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    set_validity(&mut params, created - SKEW, created + AUTHORITY_TIME);
    params
}

impl Credentials {
    /// A certificate for a node, signed with the first of the cluster's authorities, good for `valid`.
    ///
    /// # Errors
    /// [`Error::Certificates`] if the cluster's secrets hold no authority that can be used.
    pub fn issue(
        secrets: &Secrets,
        node: NodeId,
        now: Timestamp,
        valid: Duration,
        rng: &dyn Rng,
    ) -> Result<Credentials, Error> {
        let none = || Error::Certificates("the cluster has no authority".to_owned());
        let authority = secrets.authorities.first().ok_or_else(none)?;
        let pkcs8 = PrivatePkcs8KeyDer::from(&authority.key[..]);
        let signer = KeyPair::from_pkcs8_der_and_sign_algo(&pkcs8, &PKCS_ECDSA_P256_SHA256).map_err(wrong)?;
        let created = Timestamp::from_millis(authority.created);
        let issuer = Issuer::new(authority_params(&secrets.cluster, created), signer);
        let cluster = HEXLOWER.encode(&secrets.cluster);
        let mut params = CertificateParams::new([name(node, &cluster)]).map_err(wrong)?;
        params.distinguished_name.push(DnType::CommonName, format!("node {node}"));
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.use_authority_key_identifier_extension = true;
        set_validity(&mut params, now - SKEW, now + valid);
        let mut serial = [0; 16];
        rng.fill(&mut serial);
        // Positive, as RFC 5280 §4.1.2.2 wants it.
        serial[0] &= 0x7f;
        params.serial_number = Some(SerialNumber::from_slice(&serial));
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(wrong)?;
        let certificate = params.signed_by(&key, &issuer).map_err(wrong)?;
        let roots = secrets.authorities.iter().map(|one| CertificateDer::from(one.certificate.clone()));
        Ok(Credentials {
            chain: vec![certificate.der().clone()],
            key: PrivatePkcs8KeyDer::from(key.serialize_der()).into(),
            roots: roots.collect(),
            cluster,
            renewal: now + valid / 3,
            ends: now + valid,
        })
    }

    /// Whether it is time for new ones.
    pub fn are_due(&self, now: Timestamp, secrets: &Secrets) -> bool {
        now >= self.renewal || !self.trust(secrets)
    }

    /// Whether these trust just the authorities of the cluster, in their order.
    fn trust(&self, secrets: &Secrets) -> bool {
        let theirs = secrets.authorities.iter().map(|one| &one.certificate[..]);
        self.roots.iter().map(|root| &root[..]).eq(theirs)
    }
}

/// The name in a node's certificate.
pub(crate) fn name(node: NodeId, cluster: &str) -> String {
    format!("n{node}.{cluster}.godwit")
}

/// When a certificate begins and ends to be good.
fn set_validity(params: &mut CertificateParams, from: Timestamp, to: Timestamp) {
    let since = |time: Timestamp| Duration::from_secs(u64::try_from(time.secs()).unwrap_or(0));
    params.not_before = date_time_ymd(1970, 1, 1) + since(from);
    params.not_after = date_time_ymd(1970, 1, 1) + since(to);
}

#[allow(clippy::needless_pass_by_value, reason = "it is what map_err gives")]
fn wrong(error: rcgen::Error) -> Error {
    Error::Certificates(error.to_string())
}
