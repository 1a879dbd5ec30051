//! The layers of `src/ARCHITECTURE.md`, held by looking at the source text.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What each layer may import from the crate.
const ALLOWED: &[(&str, &[&str])] = &[
    ("error", &[]),
    ("tensor", &[]),
    ("imaging", &["error"]),
    ("metric", &["error"]),
    ("scenes", &["error", "imaging"]),
    ("flow", &[]),
    ("model", &["error", "tensor", "imaging"]),
    ("engine", &["error", "tensor", "imaging", "flow", "model"]),
    ("perception", &["error", "imaging", "engine"]),
    ("reasoning", &["error", "engine", "perception"]),
    (
        "measure",
        &["error", "engine", "metric", "perception", "reasoning"],
    ),
    (
        "pipeline",
        &["error", "engine", "measure", "perception", "reasoning"],
    ),
    (
        "trace",
        &["error", "imaging", "engine", "reasoning", "pipeline"],
    ),
    (
        "training",
        &[
            "error",
            "tensor",
            "imaging",
            "flow",
            "model",
            "engine",
            "reasoning",
            "scenes",
        ],
    ),
    (
        "evaluation",
        &[
            "error",
            "imaging",
            "engine",
            "perception",
            "reasoning",
            "scenes",
        ],
    ),
    (
        "conformance",
        &[
            "error",
            "tensor",
            "imaging",
            "model",
            "engine",
            "reasoning",
            "training",
        ],
    ),
    (
        "config",
        &[
            "error",
            "metric",
            "flow",
            "engine",
            "perception",
            "reasoning",
            "pipeline",
            "trace",
        ],
    ),
    (
        "bag",
        &[
            "error",
            "imaging",
            "engine",
            "perception",
            "reasoning",
            "pipeline",
            "config",
        ],
    ),
    (
        "cli",
        &[
            "error",
            "tensor",
            "imaging",
            "flow",
            "model",
            "engine",
            "perception",
            "reasoning",
            "pipeline",
            "trace",
            "scenes",
            "conformance",
            "config",
            "bag",
            "training",
            "evaluation",
        ],
    ),
    (
        "ros",
        &[
            "error",
            "imaging",
            "metric",
            "measure",
            "engine",
            "perception",
            "reasoning",
            "pipeline",
            "trace",
            "config",
        ],
    ),
];

/// Words that may stand in some places only.
const PLACES: &[(&str, &[&str])] = &[
    ("r2r::", &["src/ros/", "src/bin/cooper_node.rs"]),
    ("println!", &["src/cli/", "src/bin/"]),
    (
        "std::env",
        // The trace asks for the names of system and processor only.
        &[
            "src/cli/",
            "src/bin/",
            "src/ros/",
            "src/tensor/threads.rs",
            "src/trace/record.rs",
        ],
    ),
    (
        "unsafe {",
        &[
            "src/tensor/avx512/",
            "src/tensor/lanes.rs",
            "src/tensor/mapped.rs",
            "src/tensor/memory.rs",
            "src/tensor/product.rs",
            "src/tensor/threads.rs",
        ],
    ),
    ("serde_yaml::", &["src/reasoning/prompts.rs", "src/config/"]),
    ("todo!", &[]),
    ("unimplemented!", &[]),
    ("kv_cache", &[]),
];

const MAX_LINES: usize = 420;

fn sources() -> BTreeMap<PathBuf, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = BTreeMap::new();
    let mut folders = vec![root.join("src")];
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
    assert!(found.len() > 40, "found only {} files", found.len());
    found
}

/// The layer of a file: its folder below `src`, or its own name.
fn layer(path: &Path) -> String {
    let below = path.iter().nth(1).unwrap().to_string_lossy();
    below.trim_end_matches(".rs").to_string()
}

/// Imports of other layers that a layer may not have.
fn forbidden(layer: &str, text: &str) -> Vec<String> {
    let allowed = ALLOWED.iter().find(|(name, _)| *name == layer);
    let Some((_, allowed)) = allowed else {
        return Vec::new();
    };
    text.match_indices("crate::")
        .map(|(at, found)| {
            let rest = &text[at + found.len()..];
            let end = rest.find(|c: char| !(c.is_alphanumeric() || c == '_'));
            rest[..end.unwrap_or(rest.len())].to_string()
        })
        .filter(|name| ALLOWED.iter().any(|(known, _)| known == name))
        .filter(|name| name != layer && !allowed.contains(&name.as_str()))
        .collect()
}

#[test]
fn layers_import_only_what_lies_below() {
    for (path, text) in sources() {
        let wrong = forbidden(&layer(&path), &text);
        assert!(wrong.is_empty(), "{} imports {wrong:?}", path.display());
        assert!(
            !text.contains("use crate::{"),
            "{}: one import a line",
            path.display()
        );
    }
}

#[test]
fn a_planted_import_is_found() {
    assert_eq!(forbidden("flow", "use crate::model::KvContext;"), ["model"]);
    assert_eq!(
        forbidden("engine", "fn f() -> crate::ros::Node {}"),
        ["ros"]
    );
    assert!(forbidden("engine", "use crate::model::KvContext;").is_empty());
}

#[test]
fn every_layer_is_named_in_the_architecture() {
    let text = include_str!("../src/ARCHITECTURE.md");
    for (layer, _) in ALLOWED {
        assert!(text.contains(&format!("`{layer}`")), "{layer}");
    }
    for path in sources().keys().filter(|path| path.iter().count() > 2) {
        let layer = layer(path);
        let known = layer == "bin" || ALLOWED.iter().any(|(name, _)| *name == layer);
        assert!(known, "{} is in no layer", path.display());
    }
}

#[test]
fn words_stay_in_their_places() {
    for (path, text) in sources() {
        let path = path.to_string_lossy();
        let code = text
            .lines()
            .filter(|line| !line.trim_start().starts_with("//"));
        let code = code.collect::<Vec<_>>().join("\n");
        for (word, places) in PLACES {
            let fits = places.iter().any(|place| path.starts_with(place));
            assert!(fits || !code.contains(word), "{path} has `{word}`");
        }
        let n_lines = text.lines().count();
        assert!(n_lines <= MAX_LINES, "{path} has {n_lines} lines");
    }
}
