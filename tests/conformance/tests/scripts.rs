//! Plays each transcript of `tests/scripts` against a node of its own; every file is a test.

use std::path::{Path, PathBuf};

use harness::{Node, NodeOptions, jmap, script};
use libtest_mimic::{Arguments, Failed, Trial};

fn main() {
    let arguments = Arguments::from_args();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts");
    let mut files = Vec::new();
    collect(&root, &mut files);
    files.sort();
    let trials = files.into_iter().map(|file| {
        let name = file.strip_prefix(&root).unwrap_or(&file).display().to_string();
        Trial::test(name, move || run(&file).map_err(|e| Failed::from(format!("{e:?}"))))
    });
    libtest_mimic::run(&arguments, trials.collect()).exit();
}

fn collect(dir: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|e| e == "test") {
            files.push(path);
        }
    }
}

fn run(file: &Path) -> anyhow::Result<()> {
    let text = std::fs::read_to_string(file)?;
    let node = Node::start(NodeOptions::default())?;
    let jmap = file.components().any(|part| part.as_os_str() == "jmap");
    if jmap { jmap::play(&node, &text) } else { script::play(&node, &text) }
}
