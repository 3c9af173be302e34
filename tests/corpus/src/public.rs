//! Real mail that is in the public domain, where a folder of it is installed.

use std::{fs, path::PathBuf};

use crate::Named;

/// All messages of the folder that `GODWIT_CORPUS` names, sorted by name, with CRLF and without the mbox line;
/// none where it names none.
pub fn public_domain() -> impl Iterator<Item = Named> {
    files().into_iter().filter_map(|path| {
        let name = path.file_stem()?.to_str()?.to_owned();
        let folder = path.parent()?.file_name()?.to_str()?.to_owned();
        Some((format!("mail-{folder}-{name}"), as_received(&fs::read(&path).ok()?)))
    })
}

/// The messages are the text files below `data/`, in a folder for each collection.
fn files() -> Vec<PathBuf> {
    let Some(root) = std::env::var_os("GODWIT_CORPUS") else { return Vec::new() };
    let folders = fs::read_dir(PathBuf::from(root).join("data")).into_iter().flatten().flatten();
    let entries = folders.filter_map(|folder| fs::read_dir(folder.path()).ok()).flatten().flatten();
    let is_message = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "txt");
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.path()).filter(is_message).collect();
    files.sort();
    files
}

/// What a mail server would have received: CRLF, and no line that an mbox file put before the header.
fn as_received(file: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(file.len() + file.len() / 40);
    let mut lines = file.split_inclusive(|byte| *byte == b'\n').peekable();
    lines.next_if(|line| line.starts_with(b"From "));
    for line in lines {
        match line.strip_suffix(b"\n") {
            Some(content) => {
                out.extend_from_slice(content.strip_suffix(b"\r").unwrap_or(content));
                out.extend_from_slice(b"\r\n");
            }
            None => out.extend_from_slice(line),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_become_messages() {
        assert_eq!(as_received(b"From me Mon\nSubject: x\n\nFrom a\r\n"), b"Subject: x\r\n\r\nFrom a\r\n");
        assert_eq!(as_received(b"a\nb"), b"a\r\nb");
    }
}
