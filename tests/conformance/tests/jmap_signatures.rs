//! Signatures of mail (RFC 9219) on a node: what clients were told is another once other authorities are trusted.

#![allow(clippy::expect_used, reason = "a test ends where it fails")]

use harness::wait::until;
use harness::{Node, NodeOptions, jmap};

const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../storage/content-mail/src/smime/fixtures");

/// What is told of the one email, and whether it is among those with a verified signature.
fn told(status: &str, at_delivery: &str, verified: &str) -> String {
    let (account, email) = ("{{account}}", "{{email}}");
    format!(
        r##"> Email/query {{"accountId": "{account}"}}
        < Email/query {{"ids": ["{email}"]}}
        >> POST /jmap application/json {{"using": ["urn:ietf:params:jmap:core", "urn:ietf:params:jmap:mail", "urn:ietf:params:jmap:smimeverify"], "methodCalls": [["Email/get", {{"accountId": "{account}", "ids": ["{email}"], "properties": ["smimeStatus", "smimeStatusAtDelivery"]}}, "0"], ["Email/query", {{"accountId": "{account}", "filter": {{"hasVerifiedSmime": true}}}}, "1"]]}}
        << 200 {{"methodResponses": [["Email/get", {{"list": [{{"smimeStatus": "{status}", "smimeStatusAtDelivery": "{at_delivery}"}}]}}, "0"], ["Email/query", {{"ids": {verified}}}, "1"]]}}"##
    )
}

#[test]
fn an_authority_that_is_added_vouches_for_mail_that_is_there() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let authorities = dir.path().join("authorities.pem");
    std::fs::copy(format!("{FIXTURES}/another.pem"), &authorities)?;
    let options = NodeOptions { smime_authorities: Some(authorities.clone()), ..NodeOptions::default() };
    let mut node = Node::start(options)?;
    let message = std::fs::read_to_string(format!("{FIXTURES}/opaque.eml"))?.replace("\r\n", "\\r\\n");
    jmap::play(&node, &format!("! message alice {message}\n"))?;
    jmap::play(&node, &told("signed/failed", "signed/failed", "[]"))?;
    assert!(node.stop()?, "it ends well");
    std::fs::copy(format!("{FIXTURES}/authority.pem"), &authorities)?;
    node.start_again()?;
    // What was told stays so for a day, unless upkeep finds that it is another.
    let verified = told("signed/verified", "signed/verified", r#"["{{email}}"]"#);
    until("it is looked at again", || Ok(jmap::play(&node, &verified).ok()))?;
    Ok(())
}
