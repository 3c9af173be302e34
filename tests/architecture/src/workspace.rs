//! The crates of this workspace and what they use of each other.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use cargo_metadata::{DependencyKind, MetadataCommand};

/// A crate of the workspace.
#[derive(Debug, Clone)]
pub struct Crate {
    /// Its folder, as `storage/kv`.
    pub folder: String,
    /// Its package, as `godwit-kv`.
    pub package: String,
    /// The workspace's crates it uses, by folder, and whether only its tests do.
    pub uses: Vec<(String, bool)>,
}

/// The top of the repository.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .canonicalize()
        .unwrap_or_else(|_| PathBuf::from("../.."))
}

/// The crates, sorted by folder.
pub fn crates() -> Result<Vec<Crate>> {
    let root = root();
    // What the lock file says of other people's crates does not matter here, and no network is needed.
    let metadata = MetadataCommand::new().manifest_path(root.join("Cargo.toml")).no_deps().exec()?;
    let folder_of = |path: &Path| -> Result<String> {
        let folder = path.strip_prefix(&root).with_context(|| format!("{} is outside", path.display()))?;
        Ok(folder.to_string_lossy().into_owned())
    };
    let mut crates = Vec::new();
    for package in metadata.workspace_packages() {
        let folder = package.manifest_path.parent().context("a manifest is in a folder")?;
        let mut uses = Vec::new();
        for dependency in &package.dependencies {
            if let Some(path) = &dependency.path {
                uses.push((folder_of(path.as_std_path())?, dependency.kind == DependencyKind::Development));
            }
        }
        let folder = folder_of(folder.as_std_path())?;
        crates.push(Crate { folder, package: package.name.to_string(), uses });
    }
    crates.sort_by(|a, b| a.folder.cmp(&b.folder));
    Ok(crates)
}
