//! The source text of the workspace, as files and as the modules of each crate.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A module's path below its crate's root; empty for the root.
pub type Module = Vec<String>;

/// A source file.
#[derive(Clone, Debug)]
pub struct Source {
    /// From the workspace's root.
    pub file: String,
    pub text: String,
}

/// The Rust files of these folders, by path from the workspace's root.
fn files(mut folders: Vec<PathBuf>) -> BTreeMap<PathBuf, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = BTreeMap::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                found.insert(path.strip_prefix(root).unwrap().to_path_buf(), text);
            }
        }
    }
    found
}

/// The root package's folder and those of all other crates.
fn packages() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let crates = std::fs::read_dir(root.join("crates")).unwrap();
    let crates = crates.map(|entry| entry.unwrap().path());
    std::iter::once(root.to_path_buf()).chain(crates).collect()
}

/// The sources of every crate, without tests, benches and examples.
pub fn sources() -> BTreeMap<PathBuf, String> {
    let found = files(packages().iter().map(|dir| dir.join("src")).collect());
    assert!(found.len() > 200, "found only {} files", found.len());
    found
}

/// Every Rust file of the workspace.
pub fn all_files() -> BTreeMap<PathBuf, String> {
    let folders = ["src", "tests", "benches", "examples"];
    let folders = packages()
        .into_iter()
        .flat_map(|dir| folders.map(|folder| dir.join(folder)))
        .filter(|folder| folder.is_dir());
    files(folders.collect())
}

/// The modules of each crate; the root package is a library and two binaries.
pub fn modules_by_crate() -> BTreeMap<String, BTreeMap<Module, Source>> {
    let mut crates: BTreeMap<String, BTreeMap<Module, Source>> = BTreeMap::new();
    for (path, text) in sources() {
        let parts: Vec<_> = path.iter().map(|part| part.to_string_lossy()).collect();
        let parts: Vec<&str> = parts.iter().map(AsRef::as_ref).collect();
        let (name, below) = match parts.as_slice() {
            ["crates", name, "src", below @ ..] => (*name, below),
            ["src", "cli", below @ ..] => ("cooper", below),
            ["src", "ros", below @ ..] => ("cooper_node", below),
            ["src", below @ ..] => ("cooper-perception", below),
            other => panic!("a file in no crate: {other:?}"),
        };
        let source = Source {
            file: path.display().to_string(),
            text,
        };
        let modules = crates.entry(name.into()).or_default();
        modules.insert(module(below), source);
    }
    crates
}

/// The module of a file below its crate's `src`.
fn module(parts: &[&str]) -> Module {
    let mut module: Module = parts.iter().map(ToString::to_string).collect();
    if let Some(name) = module.pop() {
        match name.trim_end_matches(".rs") {
            "mod" | "lib" | "main" => {}
            name => module.push(name.into()),
        }
    }
    module
}
