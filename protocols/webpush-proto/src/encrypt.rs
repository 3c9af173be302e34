//! Message encryption for Web Push (RFC 8291): one record of `aes128gcm` (RFC 8188), for the keys of one device.

use aws_lc_rs::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::agreement::{self, ECDH_P256, ParsedPublicKey, PrivateKey, UnparsedPublicKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Salt};
use base64::Engine as _;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};

use crate::Error;

/// Octets of a record (RFC 8291 §4: no more than push services have to take).
const RECORD: u32 = 4096;
/// Octets before the record: salt, its size, the length of the key, the key (RFC 8188 §2.1).
const HEAD: usize = 16 + 4 + 1 + POINT;
/// A point of P-256, uncompressed.
const POINT: usize = 65;
/// The tag of AES-GCM.
const TAG: usize = 16;

/// Octets of the longest message. Head, the delimiter of the padding, and the tag are to fit beside it.
pub const LONGEST: usize = RECORD as usize - HEAD - 1 - TAG;

/// RFC 4648 §5; what clients send may have its padding, or not.
const URL_SAFE: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::URL_SAFE,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The keys of a device that has subscribed (RFC 8291 §2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// `p256dh`: a point of P-256, uncompressed.
    public: [u8; POINT],
    /// `auth`
    secret: [u8; 16],
}

impl Device {
    /// Reads both as clients send them, in base64url (RFC 8620 §7.2 `keys`).
    ///
    /// # Errors
    /// [`Error::Keys`], also for a point that is not on the curve.
    pub fn read(p256dh: &str, auth: &str) -> Result<Self, Error> {
        let decode = |text: &str| URL_SAFE.decode(text).map_err(|_| Error::Keys);
        let public: [u8; POINT] = decode(p256dh)?.try_into().map_err(|_| Error::Keys)?;
        let secret = decode(auth)?.try_into().map_err(|_| Error::Keys)?;
        ParsedPublicKey::try_from(UnparsedPublicKey::new(&ECDH_P256, &public)).map_err(|_| Error::Keys)?;
        Ok(Device { public, secret })
    }
}

/// Octets that a key is derived to.
struct Length(usize);

impl KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

/// HKDF with SHA-256 (RFC 5869), both steps.
fn derive<const N: usize>(salt: &[u8], input: &[u8], info: &[&[u8]]) -> Result<[u8; N], Error> {
    let mut derived = [0; N];
    let key = Salt::new(HKDF_SHA256, salt).extract(input);
    let output = key.expand(info, Length(N)).map_err(|_| Error::OwnKey)?;
    output.fill(&mut derived).map_err(|_| Error::OwnKey)?;
    Ok(derived)
}

/// The body of a push, with `Content-Encoding: aes128gcm`. `private` is a key of P-256 that is used for this message only,
/// `salt` likewise is random.
///
/// # Errors
/// [`Error::TooLong`], [`Error::Keys`], [`Error::OwnKey`] for a `private` that is no key: another one will do.
pub fn encrypt(
    device: &Device,
    private: &[u8; 32],
    salt: &[u8; 16],
    message: &[u8],
) -> Result<Vec<u8>, Error> {
    if message.len() > LONGEST {
        return Err(Error::TooLong);
    }
    let own = PrivateKey::from_private_key(&ECDH_P256, private).map_err(|_| Error::OwnKey)?;
    let public = own.compute_public_key().map_err(|_| Error::OwnKey)?;
    let peer = UnparsedPublicKey::new(&ECDH_P256, &device.public);
    // RFC 8291 §3.3, §3.4: what both know, bound to both their keys.
    let info: [&[u8]; 3] = [b"WebPush: info\0", &device.public, public.as_ref()];
    let input: [u8; 32] =
        agreement::agree(&own, peer, Error::Keys, |shared| derive(&device.secret, shared, &info))?;
    // RFC 8188 §2.2, §2.3
    let key: [u8; 16] = derive(salt, &input, &[b"Content-Encoding: aes128gcm\0"])?;
    let nonce: [u8; 12] = derive(salt, &input, &[b"Content-Encoding: nonce\0"])?;
    let key = LessSafeKey::new(UnboundKey::new(&AES_128_GCM, &key).map_err(|_| Error::OwnKey)?);
    // §2: the last record, and here the only one, ends with a 2.
    let mut record = [message, &[2]].concat();
    let nonce = Nonce::assume_unique_for_key(nonce);
    key.seal_in_place_append_tag(nonce, Aad::empty(), &mut record).map_err(|_| Error::OwnKey)?;
    let length = [u8::try_from(POINT).unwrap_or_default()];
    Ok([&salt[..], &RECORD.to_be_bytes(), &length, public.as_ref(), &record].concat())
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

    const P256DH: &str =
        "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4";
    const AUTH: &str = "BTBZMqHH6r4Tts7J_aSIgg";

    fn decode<const N: usize>(text: &str) -> [u8; N] {
        URL_SAFE_NO_PAD.decode(text).unwrap().try_into().unwrap()
    }

    /// RFC 8291 §5 and its appendix
    #[test]
    fn the_rfcs_example() {
        let device = Device::read(P256DH, AUTH).unwrap();
        let private = decode("yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw");
        let salt = decode("DGv6ra1nlYgDCS1FRnbzlw");
        let body = encrypt(&device, &private, &salt, b"When I grow up, I want to be a watermelon").unwrap();
        let wanted = "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIg\
            Dll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl7A_yl95bQpu6cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN";
        assert_eq!(URL_SAFE_NO_PAD.encode(body), wanted);
    }

    #[test]
    fn a_message_fits_what_services_take_or_is_refused() {
        let device = Device::read(&format!("{P256DH}="), &format!("{AUTH}==")).unwrap();
        let body = encrypt(&device, &[1; 32], &[0; 16], &[b'x'; LONGEST]).unwrap();
        assert_eq!(body.len(), 4096);
        assert_eq!(encrypt(&device, &[1; 32], &[0; 16], &[b'x'; LONGEST + 1]), Err(Error::TooLong));
        assert_eq!(encrypt(&device, &[0; 32], &[0; 16], b"x"), Err(Error::OwnKey));
    }

    #[test]
    fn what_is_no_key_is_refused() {
        let off_the_curve = URL_SAFE_NO_PAD.encode([&[4_u8][..], &[7; 64]].concat());
        for (public, secret) in [
            ("", AUTH),
            (P256DH, ""),
            (P256DH, P256DH),
            (AUTH, AUTH),
            ("not base64!", AUTH),
            (&off_the_curve, AUTH),
        ] {
            assert_eq!(Device::read(public, secret), Err(Error::Keys), "{public} {secret}");
        }
    }
}
