//! This repository against the rules.

use std::{collections::BTreeSet, fs, process::Command};

use anyhow::Result;
use godwit_test_architecture::{files, monitoring, rfc, rules, workspace};

/// Crates in which `unsafe` is allowed: bindings to other people's C, nothing else.
const FOREIGN: [&str; 1] = ["storage/foundationdb-sys"];

/// What may be at the top besides dotted files: the house and its rooms.
const TOP: [&str; 11] = [
    "Cargo.toml",
    "Cargo.lock",
    "LICENSE",
    "Makefile",
    "README.md",
    "cluster",
    "ops",
    "protocols",
    "search",
    "server",
    "storage",
];
const TOP_TESTS: &str = "tests";

#[test]
fn arrows_go_one_way() -> Result<()> {
    let mut wrong = Vec::new();
    for from in workspace::crates()? {
        for (to, dev) in &from.uses {
            if let Some(why) = rules::violation(&from.folder, to, *dev) {
                wrong.push(format!("{} -> {to}: {why}", from.folder));
            }
        }
    }
    assert!(wrong.is_empty(), "forbidden arrows:\n{}", wrong.join("\n"));
    Ok(())
}

#[test]
fn packages_are_named_after_their_folders() -> Result<()> {
    for one in workspace::crates()? {
        let (layer, name) = one.folder.split_once('/').unwrap_or_default();
        let expected = match (layer, name) {
            ("tests", name) => format!("godwit-test-{name}"),
            (_, name) if name.ends_with("-sys") => name.to_owned(),
            (_, name) => format!("godwit-{name}"),
        };
        assert_eq!(one.package, expected, "the package in {}", one.folder);
    }
    Ok(())
}

#[test]
fn the_top_is_the_house() -> Result<()> {
    let root = workspace::root();
    let listed = Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard"])
        .current_dir(&root)
        .output()?;
    let text = String::from_utf8(listed.stdout)?;
    let tops: BTreeSet<&str> = text.lines().filter_map(|path| path.split('/').next()).collect();
    for entry in tops.into_iter().filter(|entry| !entry.starts_with(['.', '"'])) {
        assert!(TOP.contains(&entry) || entry == TOP_TESTS, "{entry} does not belong at the top");
    }
    Ok(())
}

#[test]
fn every_file_says_what_it_is_for() -> Result<()> {
    let root = workspace::root();
    let silent: Vec<_> = files::rust_files(&root)?
        .into_iter()
        .filter(|file| !fs::read_to_string(file).is_ok_and(|text| text.starts_with("//!")))
        .collect();
    assert!(silent.is_empty(), "files that do not begin with //!: {silent:#?}");
    Ok(())
}

#[test]
fn nothing_is_unsafe() -> Result<()> {
    let root = workspace::root();
    for file in files::rust_files(&root)? {
        let path = file.strip_prefix(&root)?.to_string_lossy().into_owned();
        if !FOREIGN.iter().any(|folder| path.starts_with(folder)) {
            let lines = files::unsafe_lines(&fs::read_to_string(&file)?);
            assert!(lines.is_empty(), "{path} lines {lines:?}");
        }
    }
    Ok(())
}

#[test]
fn every_crate_has_the_workspace_lints() -> Result<()> {
    let root = workspace::root();
    for one in workspace::crates()? {
        let manifest: toml::Table = fs::read_to_string(root.join(&one.folder).join("Cargo.toml"))?.parse()?;
        let inherits =
            manifest.get("lints").and_then(|lints| lints.get("workspace")).and_then(toml::Value::as_bool);
        let foreign = FOREIGN.contains(&one.folder.as_str());
        assert!(inherits == Some(true) || foreign, "{} does not inherit the workspace lints", one.folder);
    }
    Ok(())
}

#[test]
fn every_rfc_is_listed() -> Result<()> {
    let root = workspace::root();
    let path = root.join("protocols/RFC.md");
    let text = fs::read_to_string(&path)?;
    let wanted = rfc::updated(&rfc::parse(&text), &rfc::citations(&root, &workspace::crates()?)?);
    if std::env::var_os("GODWIT_UPDATE").is_some() {
        fs::write(&path, rfc::render(&wanted))?;
    } else {
        let how = "GODWIT_UPDATE=1 cargo nextest run -p godwit-test-architecture writes it";
        assert!(text == rfc::render(&wanted), "protocols/RFC.md is not what the code cites; {how}");
    }
    for (number, row) in &wanted {
        assert!(row.title != "?", "protocols/RFC.md: write the title of RFC {number}");
        assert!(
            ["complete", "partly", "planned"].contains(&row.status.as_str()),
            "RFC {number}: {}",
            row.status
        );
    }
    Ok(())
}

#[test]
fn what_is_watched_is_what_nodes_tell() -> Result<()> {
    let unknown = monitoring::unknown(&workspace::root(), "ops/deploy/monitoring")?;
    assert!(unknown.is_empty(), "metrics that no node records:\n{}", unknown.join("\n"));
    Ok(())
}

#[test]
fn each_alert_has_its_page() -> Result<()> {
    let root = workspace::root();
    let rules = fs::read_to_string(root.join("ops/deploy/monitoring/alerts.yaml"))?;
    let pages = rules.lines().filter_map(|line| line.trim().strip_prefix("runbook: "));
    for page in pages {
        assert!(root.join(page).is_file(), "{page}");
    }
    Ok(())
}
