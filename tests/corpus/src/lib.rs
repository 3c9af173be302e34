//! Messages for tests: generated ones, examples of the RFCs, and real mail that is in the public domain.
//!
//! README.md says where each part comes from.

mod generate;
mod public;

pub use generate::generated;
pub use public::public_domain;

/// A message and what it is called in a test's output.
pub type Named = (String, Vec<u8>);

/// Generated messages in [`messages`].
pub const GENERATED: usize = 1200;

/// Everything there is, in the same order each time: generated messages, examples, and every sixth message of
/// the public-domain mail where it is installed.
pub fn messages() -> impl Iterator<Item = Named> {
    generated(GENERATED, 1).chain(examples()).chain(public_domain().step_by(6))
}

/// Examples of the RFCs, their lines ending in CRLF.
pub fn examples() -> impl Iterator<Item = Named> {
    EXAMPLES.iter().map(|(name, text)| (format!("rfc-{name}"), text.replace('\n', "\r\n").into_bytes()))
}

const EXAMPLES: &[(&str, &str)] = &[
    ("2046-5.1.1-simple", include_str!("../examples/2046-5.1.1-simple.eml")),
    ("2046-5.1.5-digest", include_str!("../examples/2046-5.1.5-digest.eml")),
    ("2046-5.2.3-external-body", include_str!("../examples/2046-5.2.3-external-body.eml")),
    ("2047-8-encoded-words", include_str!("../examples/2047-8-encoded-words.eml")),
    ("2049-A-complex", include_str!("../examples/2049-A-complex.eml")),
    ("2231-3-continuations", include_str!("../examples/2231-3-continuations.eml")),
    ("3464-E.1-failed", include_str!("../examples/3464-E.1-failed.eml")),
    ("5322-A.1.1-addressing", include_str!("../examples/5322-A.1.1-addressing.eml")),
    ("5322-A.1.2-mailboxes", include_str!("../examples/5322-A.1.2-mailboxes.eml")),
    ("5322-A.1.3-groups", include_str!("../examples/5322-A.1.3-groups.eml")),
    ("5322-A.2-reply", include_str!("../examples/5322-A.2-reply.eml")),
    ("5322-A.3-resent", include_str!("../examples/5322-A.3-resent.eml")),
    ("5322-A.4-trace", include_str!("../examples/5322-A.4-trace.eml")),
    ("5322-A.5-comments", include_str!("../examples/5322-A.5-comments.eml")),
    ("5322-A.6.1-obsolete-addressing", include_str!("../examples/5322-A.6.1-obsolete-addressing.eml")),
    ("5322-A.6.3-obsolete-blanks", include_str!("../examples/5322-A.6.3-obsolete-blanks.eml")),
];

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn there_are_enough_and_they_differ() {
        let all: Vec<Named> = generated(GENERATED, 1).chain(examples()).collect();
        assert!(all.len() >= 1000);
        let names: HashSet<&String> = all.iter().map(|(name, _)| name).collect();
        assert_eq!(names.len(), all.len());
        let bodies: HashSet<&Vec<u8>> = all.iter().map(|(_, message)| message).collect();
        assert!(bodies.len() > all.len() * 9 / 10, "{} different messages of {}", bodies.len(), all.len());
    }

    #[test]
    fn the_same_seed_gives_the_same() {
        assert!(generated(200, 7).eq(generated(200, 7)));
        assert!(!generated(200, 7).eq(generated(200, 8)));
    }

    #[test]
    fn all_have_a_sane_structure() {
        let limits = content_mail::Limits::default();
        for (name, message) in messages() {
            let summary = content_mail::summarize(&message, &limits);
            assert_eq!(summary.size, message.len() as u64, "{name}");
            summary.structure.walk(&mut |part| {
                assert!(part.header.end == part.body.start && part.body.end <= summary.size, "{name}");
            });
        }
    }

    #[test]
    fn well_formed_shapes_are_understood() {
        let limits = content_mail::Limits::default();
        for (name, message) in generated(GENERATED, 1).filter(|(name, _)| !name.contains("-broken-")) {
            let summary = content_mail::summarize(&message, &limits);
            assert!(!summary.envelope.from.is_empty(), "{name} has a sender");
            assert!(
                summary.envelope.date.is_some() == summary.sent.is_some(),
                "{name} has a date that is read"
            );
        }
    }
}
