//! The files of the repository.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::Result;

/// Folders that hold what was built or stored, not what was written.
const NOT_SOURCES: [&str; 4] = ["target", "data", "node_modules", "corpus-found"];

/// Every Rust file of the repository, sorted.
pub fn rust_files(root: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    collect(root, &mut found)?;
    found.sort();
    Ok(found)
}

fn collect(folder: &Path, found: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let (path, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
        if entry.file_type()?.is_dir() {
            if !name.starts_with('.') && !NOT_SOURCES.contains(&name.as_str()) {
                collect(&path, found)?;
            }
        } else if name.ends_with(".rs") {
            found.push(path);
        }
    }
    Ok(())
}

/// Lines of a source that have code which the compiler must trust: `unsafe` outside comments and strings.
pub fn unsafe_lines(source: &str) -> Vec<usize> {
    let keyword = concat!("un", "safe");
    let numbered = source.lines().enumerate().filter(|(_, line)| {
        let code = line.split("//").next().unwrap_or_default();
        let mut words = code.split(|c: char| !(c.is_alphanumeric() || c == '_' || c == '"'));
        let quoted = code.find('"').is_some_and(|quote| code.find(keyword).is_some_and(|at| at > quote));
        words.any(|word| word == keyword) && !quoted
    });
    numbered.map(|(number, _)| number + 1).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_is_told_from_words() {
        let keyword = concat!("un", "safe");
        let source = format!(
            "{keyword} {{ }}\n// {keyword}\nlet a = \"{keyword}\";\n{keyword}_code\npub {keyword} fn x()\n"
        );
        assert_eq!(unsafe_lines(&source), [1, 5]);
    }
}
