//! Links, and paths that the documents name.

use std::path::{Path, PathBuf};

use super::document::{Document, check, documents, root};

/// Files and folders whose paths the documents give from the root.
const TOP: [&str; 15] = [
    ".devcontainer",
    ".github",
    "action",
    "benches",
    "config",
    "crates",
    "docs",
    "examples",
    "launch",
    "models",
    "msg",
    "rviz",
    "scripts",
    "src",
    "tests",
];

#[test]
fn links_resolve() {
    let documents = documents();
    let (mut n_links, mut wrong) = (0, Vec::new());
    for document in &documents {
        for link in document
            .links()
            .iter()
            .filter(|link| !link.starts_with("http"))
        {
            if !resolves(link, document, &documents) {
                wrong.push(format!(
                    "{}: the link {link} leads nowhere",
                    document.path.display()
                ));
            }
            n_links += 1;
        }
    }
    check(&wrong);
    assert!(n_links > 80, "{n_links}");
}

/// Whether the file of a link exists, and its anchor in it.
fn resolves(link: &str, from: &Document, documents: &[Document]) -> bool {
    let (file, anchor) = link
        .split_once('#')
        .map_or((link, None), |(file, anchor)| (file, Some(anchor)));
    let path = match file {
        "" => from.path.clone(),
        _ => normal(&from.path.parent().unwrap().join(file)),
    };
    let has_anchor = |anchor| {
        documents
            .iter()
            .any(|other| other.path == path && other.anchors().contains(anchor))
    };
    root().join(&path).exists() && anchor.is_none_or(has_anchor)
}

/// The path without `..`.
fn normal(path: &Path) -> PathBuf {
    let mut parts = PathBuf::new();
    for part in path.iter() {
        if part == ".." {
            parts.pop();
        } else {
            parts.push(part);
        }
    }
    parts
}

#[test]
fn named_files_exist() {
    let is_path = |word: &&String| {
        let top = word.split('/').next().unwrap_or_default();
        let plain = word
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "_./-".contains(c));
        plain && word.contains('/') && TOP.contains(&top)
    };
    let (mut n_paths, mut wrong) = (0, Vec::new());
    for document in documents() {
        let in_code = document.commands().flatten().filter(|word| is_path(&word));
        for path in in_code.chain(scripts_in(&document.text)) {
            if !root().join(&path).exists() {
                wrong.push(format!("{}: there is no {path}", document.path.display()));
            }
            n_paths += 1;
        }
    }
    check(&wrong);
    assert!(n_paths > 40, "{n_paths}");
}

/// Scripts that are named anywhere, also in prose or glued to other words.
fn scripts_in(text: &str) -> Vec<String> {
    let begins = |at: usize| !text[..at].ends_with(|c: char| c == '/' || c.is_alphanumeric());
    let path = |at: usize| {
        let rest = &text[at..];
        let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || "_./-".contains(c)));
        rest[..end.unwrap_or(rest.len())]
            .trim_end_matches('.')
            .to_owned()
    };
    text.match_indices("scripts/")
        .filter(|(at, _)| begins(*at))
        .map(|(at, _)| path(at))
        .collect()
}
