//! Whether a name without addresses has none, or is an alias whose end nobody knows.
//!
//! The resolver follows some CNAME records. Where it gives up on them, and where they go in circles, it says that there are no
//! records, as if that were known. Mail goes back at once if a host has no address, so the aliases are looked at one by one
//! before that is believed. RFC 1034 §3.6.2: "CNAME chains should be followed and CNAME loops signalled as an error". What is
//! broken so may be mended tomorrow.

use futures::future::BoxFuture;

use super::ResolveError;

/// Aliases of one name that are followed: as many as the resolver follows.
pub(super) const MOST: usize = 7;

/// Fails if the aliases of a name have no end, or none that was looked for. `alias` says what a name is an alias of.
///
/// # Errors
///
/// [`ResolveError::Temporary`].
pub(super) async fn has_end<'a>(
    name: &str,
    alias: impl Fn(String) -> BoxFuture<'a, Result<Option<String>, ResolveError>>,
) -> Result<(), ResolveError> {
    let mut seen = vec![name.to_ascii_lowercase()];
    while let Some(last) = seen.last() {
        let Some(next) = alias(last.clone()).await? else { return Ok(()) };
        if seen.contains(&next) {
            return Err(ResolveError::Temporary(format!("the aliases of {name} go in circles")));
        }
        if seen.len() > MOST {
            return Err(ResolveError::Temporary(format!("more than {MOST} aliases of {name}")));
        }
        seen.push(next);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::future::{FutureExt, ready};

    /// What names become by aliases: `n3` of `n2`, and so on to `n0`; `self`, `a` and `b` lead to no end.
    #[allow(clippy::needless_pass_by_value, reason = "as who asks for it wants it")]
    fn aliases(name: String) -> BoxFuture<'static, Result<Option<String>, ResolveError>> {
        let alias = match &*name {
            "self" => Ok(Some("self".to_owned())),
            "a" => Ok(Some("b".to_owned())),
            "b" => Ok(Some("a".to_owned())),
            "away" => Err(ResolveError::Temporary("timeout".to_owned())),
            other => Ok(match other.strip_prefix('n').and_then(|n| n.parse::<usize>().ok()) {
                None | Some(0) => None,
                Some(n) => Some(format!("n{}", n - 1)),
            }),
        };
        ready(alias).boxed()
    }

    #[tokio::test]
    async fn only_aliases_that_end_say_that_there_is_nothing() {
        for (name, ends) in [
            ("plain", true),
            ("n0", true),
            ("n1", true),
            ("n7", true),
            ("n8", false),
            ("self", false),
            ("SELF", false),
            ("a", false),
            ("b", false),
            ("away", false),
        ] {
            assert_eq!(has_end(name, aliases).await.is_ok(), ends, "{name}");
        }
    }
}
