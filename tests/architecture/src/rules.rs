//! Which crate may use which. The folder list is the diagram, and arrows go one way:
//!
//! ```text
//! ops/runtime <- storage <- cluster <- search <- protocols <- server <- tests      (protocols skips cluster)
//! storage: kv <- schema <- changes <- domain
//! ```

/// A crate, by its folder: `storage/kv`.
pub type Folder<'a> = &'a str;

/// The layers, lowest first.
const LAYERS: [&str; 7] = ["ops", "storage", "cluster", "search", "protocols", "server", "tests"];

/// The floors of storage below the domain, lowest first.
const FLOORS: [&[&str]; 3] = [&["kv"], &["schema"], &["changes"]];

/// Crates that only drive what others say; every protocol may use them.
const SHARED_PROTOCOLS: [&str; 2] = ["net", "sasl"];

/// Why `from` may not use `to`; `None` where it may. `dev` is whether only its tests do.
pub fn violation(from: Folder<'_>, to: Folder<'_>, dev: bool) -> Option<&'static str> {
    let (Some((from_layer, from_name)), Some((to_layer, to_name))) = (split(from), split(to)) else {
        return Some("a crate is in a folder of the layout");
    };
    if is_pure(from_layer, from_name) && !(dev && to_layer == "tests") {
        return Some("a *-proto or content-* crate uses nothing of ours");
    }
    if dev && may_test_with(from_layer, to_layer, to_name) {
        return None;
    }
    match (from_layer, to_layer) {
        ("ops", _) if from_name == "runtime" => Some("ops/runtime uses nothing of ours"),
        ("ops", _) if to != "ops/runtime" => Some("ops uses ops/runtime only"),
        (_, "ops") if to_name == "telemetry" && from != "server/node" => {
            Some("only server/node uses telemetry")
        }
        (_, "server") if !matches!(from_layer, "server" | "tests") => Some("nothing uses server"),
        ("protocols", "cluster") => Some("protocols skip cluster"),
        _ if is_backend(to) && !matches!(from_layer, "server" | "tests") => {
            Some("only server and tests choose a kv backend")
        }
        _ if to_name.ends_with("-sys") && !is_backend(from) => Some("only a kv backend uses a binding to C"),
        ("storage", "storage") => storage(from_name, to_name),
        ("protocols", "protocols") => protocols(from_name, to_name),
        _ => (rank(from_layer) < rank(to_layer)).then_some("arrows go one way"),
    }
}

/// Folder and name of a crate that is where crates may be.
fn split(folder: Folder<'_>) -> Option<(&str, &str)> {
    let (layer, name) = folder.split_once('/')?;
    (LAYERS.contains(&layer) && !name.is_empty() && !name.contains('/')).then_some((layer, name))
}

fn rank(layer: &str) -> usize {
    LAYERS.iter().position(|known| *known == layer).unwrap_or(LAYERS.len())
}

fn is_pure(layer: &str, name: &str) -> bool {
    (layer == "protocols" && name.ends_with("-proto")) || (layer == "storage" && name.starts_with("content-"))
}

fn is_backend(folder: Folder<'_>) -> bool {
    folder.starts_with("storage/kv-")
}

/// Tests of a crate may use a store that is on disk, and messages and helpers made for tests.
fn may_test_with(from: &str, to: &str, name: &str) -> bool {
    (to == "storage" && name == "kv-embedded" && rank(from) >= rank("storage")) || to == "tests"
}

/// kv <- schema <- changes <- domain; backends and bindings stand beside kv.
fn storage(from: &str, to: &str) -> Option<&'static str> {
    if from.starts_with("kv-") || from.ends_with("-sys") {
        return (to != "kv" && !to.ends_with("-sys")).then_some("a kv backend knows kv only");
    }
    if to.starts_with("content-") {
        return (floor(from) < FLOORS.len()).then_some("formats are the domain's");
    }
    (floor(from) < floor(to)).then_some("storage floors: kv <- schema <- changes <- domain")
}

fn floor(name: &str) -> usize {
    FLOORS.iter().position(|names| names.contains(&name)).unwrap_or(FLOORS.len())
}

fn protocols(from: &str, to: &str) -> Option<&'static str> {
    let own_codec = to.strip_suffix("-proto") == Some(from);
    (!own_codec && !SHARED_PROTOCOLS.contains(&to)).then_some("a protocol uses no other protocol")
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALLOWED: &[(&str, &str)] = &[
        ("storage/kv", "ops/runtime"),
        ("storage/kv-embedded", "storage/kv"),
        ("storage/kv-fdb", "storage/foundationdb-sys"),
        ("storage/schema", "storage/kv"),
        ("storage/changes", "storage/schema"),
        ("storage/mail", "storage/changes"),
        ("storage/mail", "storage/blob"),
        ("storage/mail", "storage/content-mail"),
        ("cluster/notify", "storage/changes"),
        ("search/query", "storage/mail"),
        ("protocols/imap", "storage/mail"),
        ("protocols/imap", "search/query"),
        ("protocols/imap", "protocols/imap-proto"),
        ("protocols/imap", "protocols/net"),
        ("protocols/net", "ops/runtime"),
        ("server/node", "storage/kv-embedded"),
        ("server/node", "ops/telemetry"),
        ("server/delivery", "protocols/smtp-proto"),
        ("server/delivery", "cluster/ownership"),
        ("tests/conformance", "server/node"),
        ("tests/conformance", "tests/harness"),
        ("ops/telemetry", "ops/runtime"),
    ];

    const FORBIDDEN: &[(&str, &str)] = &[
        ("storage/mail", "cluster/notify"),
        ("storage/kv", "storage/schema"),
        ("storage/schema", "storage/changes"),
        ("storage/changes", "storage/mail"),
        ("storage/kv-embedded", "storage/schema"),
        ("storage/mail", "storage/kv-embedded"),
        ("storage/mail", "storage/foundationdb-sys"),
        ("storage/schema", "storage/content-mail"),
        ("storage/content-mail", "ops/runtime"),
        ("storage/mail", "protocols/smtp-proto"),
        ("protocols/imap-proto", "ops/runtime"),
        ("protocols/imap-proto", "storage/schema"),
        ("protocols/imap", "protocols/smtp-proto"),
        ("protocols/imap", "protocols/smtp"),
        ("protocols/imap", "cluster/ownership"),
        ("protocols/imap", "storage/kv-embedded"),
        ("protocols/imap", "server/admin"),
        ("protocols/imap", "ops/telemetry"),
        ("search/query", "protocols/imap"),
        ("server/admin", "ops/telemetry"),
        ("server/node", "tests/harness"),
        ("ops/runtime", "ops/telemetry"),
        ("ops/telemetry", "storage/kv"),
        ("common", "ops/runtime"),
        ("storage/kv", "utils/strings"),
    ];

    #[test]
    fn arrows_of_the_layout_are_allowed() {
        for (from, to) in ALLOWED {
            assert_eq!(violation(from, to, false), None, "{from} -> {to}");
        }
    }

    #[test]
    fn others_are_found() {
        for (from, to) in FORBIDDEN {
            assert!(violation(from, to, false).is_some(), "{from} -> {to}");
        }
    }

    #[test]
    fn tests_may_use_a_store_on_disk_and_messages() {
        assert_eq!(violation("storage/mail", "storage/kv-embedded", true), None);
        assert_eq!(violation("storage/content-mail", "tests/corpus", true), None);
        assert_eq!(violation("protocols/imap", "tests/corpus", true), None);
        assert!(violation("protocols/imap-proto", "storage/mail", true).is_some());
        assert!(violation("protocols/imap", "server/admin", true).is_some());
        assert!(violation("storage/kv", "storage/schema", true).is_some());
    }
}
