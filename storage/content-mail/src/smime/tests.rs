//! Messages that openssl signed (`fixtures/make`).

use super::*;
use crate::{Encoding, Limits, summarize};

/// 2027-01-01, when all certificates are valid but one.
const NOW: u64 = 1_798_761_600;
/// The day on which they were made.
const THAT_DAY: u64 = 1_795_321_800;

fn trust() -> Trust {
    Trust::from_pem(include_bytes!("fixtures/authority.pem"))
}

fn read(name: &str) -> Vec<u8> {
    std::fs::read(format!("{}/src/smime/fixtures/{name}.eml", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

fn verified(message: &[u8], trust: &Trust, at: u64) -> Option<Verdict> {
    verify(message, &summarize(message, &Limits::default()), trust, at)
}

/// The outcome, and the last word of why.
fn of(message: &[u8]) -> (Status, String) {
    let verdict = verified(message, &trust(), NOW).unwrap();
    (verdict.status, verdict.errors.join("; "))
}

#[test]
fn signatures_of_every_kind_are_verified() {
    for name in ["detached", "rsa", "pss", "by-key", "without-attributes", "opaque", "indefinite"] {
        assert_eq!(of(&read(name)), (Status::Verified, String::new()), "{name}");
    }
}

#[test]
fn what_does_not_hold_fails_and_says_why() {
    for (name, why) in [
        ("changed", "changed"),
        ("sha1", "not safe"),
        ("by-bob", "From address"),
        ("by-website", "not for signing"),
        ("by-agreement", "not for signing"),
        ("for-a-day", "not valid at that time"),
        ("by-stranger", "Nobody who is trusted"),
        ("without-certificate", "missing"),
    ] {
        let (status, errors) = of(&read(name));
        assert!(status == Status::Failed && errors.contains(why), "{name}: {errors}");
    }
    assert_eq!(verified(&read("for-a-day"), &trust(), THAT_DAY).unwrap().status, Status::Verified);
    assert_eq!(verified(&read("detached"), &trust(), 0).unwrap().status, Status::Failed);
    assert_eq!(verified(&read("detached"), &Trust::default(), NOW).unwrap().status, Status::Failed);
}

/// What is told is the same until then, and not at that second.
#[test]
fn a_verdict_says_up_to_when_it_holds() {
    let message = read("for-a-day");
    let verdict = |at| verified(&message, &trust(), at).unwrap();
    let first = verdict(THAT_DAY);
    let end = first.until.unwrap();
    assert!((THAT_DAY..THAT_DAY + 2 * 86_400).contains(&end), "{end}");
    assert_eq!((verdict(end - 1).status, verdict(end - 1).until), (Status::Verified, Some(end)));
    assert_eq!(verdict(end).status, Status::Failed);
    let begin = verdict(0).until.unwrap();
    assert_eq!((verdict(begin - 1).status, verdict(begin).status), (Status::Failed, Status::Verified));
    let (mut at, mut boundaries) = (0, 0);
    while let Some(next) = verdict(at).until {
        assert!(next > at);
        (at, boundaries) = (next, boundaries + 1);
    }
    assert!(boundaries >= 2, "it begins and ends");
    assert_eq!(verified(&read("encrypted"), &trust(), NOW).unwrap().until, None);
}

#[test]
fn authorities_have_a_fingerprint() {
    let one = include_str!("fixtures/authority.pem");
    let other = include_str!("fixtures/another.pem");
    let of = |pem: &str| Trust::from_pem(pem.as_bytes()).fingerprint();
    assert_eq!(of(&format!("{one}{other}")), of(&format!("{other}{one}{one}")));
    assert_ne!(of(one), of(&format!("{one}{other}")));
    assert_ne!(of(one), of(""));
}

#[test]
fn all_that_from_names_have_to_have_signed() {
    let text = String::from_utf8(read("detached")).unwrap();
    let from = |from: &str| of(text.replace("From: alice@example.test", from).as_bytes()).0;
    assert_eq!(from("From: Alice <ALICE@example.test>"), Status::Verified);
    assert_eq!(from("From: alice@example.test, bob@example.test"), Status::Failed);
    assert_eq!(from("From: \"alice@example.test\" <mallory@example.test>"), Status::Failed);
    assert_eq!(from("X-From: alice@example.test"), Status::Failed);
}

#[test]
fn messages_without_a_signature_that_could_be_verified() {
    assert_eq!(of(&read("encrypted")).0, Status::Unknown);
    let pgp = b"From: a@b\r\nContent-Type: multipart/signed; boundary=b; protocol=\"application/pgp-signature\"\r\n\r\n\
        --b\r\n\r\nx\r\n--b\r\nContent-Type: application/pgp-signature\r\n\r\nx\r\n--b--\r\n";
    assert_eq!(of(pgp).0, Status::Unknown);
    assert_eq!(verified(b"From: a@b\r\n\r\nhello\r\n", &trust(), NOW), None);
    let detached = String::from_utf8(read("detached")).unwrap();
    let (header, body) = detached.split_once("\r\nContent-Type: multipart/signed").unwrap();
    let within = format!(
        "{header}\r\nContent-Type: multipart/mixed; boundary=around\r\n\r\n--around\r\n\
         Content-Type: multipart/signed{body}\r\n--around--\r\n"
    );
    assert_eq!(verified(within.as_bytes(), &trust(), NOW), None);
}

#[test]
fn any_octet_that_differs_is_survived() {
    for name in ["detached", "opaque", "indefinite"] {
        let message = read(name);
        let start = message.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
        for at in start..message.len() {
            let mut changed = message.clone();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            let _ = verified(&changed, &trust(), NOW);
            let _ = verified(&message[..at], &trust(), NOW);
        }
    }
}

#[test]
fn signers_are_no_way_to_make_work() {
    let message = String::from_utf8(read("detached")).unwrap();
    let (_, signature) = message.split_once("filename=\"smime.p7s\"\r\n\r\n").unwrap();
    let (signature, _) = signature.split_once("\r\n\r\n").unwrap();
    let der = decode::transfer(&Encoding::Base64, signature.as_bytes()).into_owned();
    let mut data: cms::signed_data::SignedData = {
        use der::Decode;
        cms::content_info::ContentInfo::from_der(&der).unwrap().content.decode_as().unwrap()
    };
    let one = data.signer_infos.0.iter().next().unwrap().clone();
    let many = (0..9u32).map(|n| {
        let mut one = one.clone();
        one.signature = der::asn1::OctetString::new(n.to_be_bytes()).unwrap();
        one
    });
    data.signer_infos =
        cms::signed_data::SignerInfos(der::asn1::SetOfVec::try_from(many.collect::<Vec<_>>()).unwrap());
    let content = der::Any::encode_from(&data).unwrap();
    let info =
        cms::content_info::ContentInfo { content_type: "1.2.840.113549.1.7.2".parse().unwrap(), content };
    let many = der::Encode::to_der(&info).unwrap();
    assert!(matches!(signed::Signed::parse(&many, Some(b"")), Err(signed::Error::Unreadable)));
    assert!(matches!(signed::Signed::parse(&der, Some(b"")), Ok(Some(_))));
}
