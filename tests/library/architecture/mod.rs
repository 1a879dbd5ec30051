//! Rules of the source tree: the layers of `docs/architecture.md`, no rings of files, small functions and files.

mod imports;
mod rings;
mod sizes;
mod sources;

use std::path::Path;

use self::sources::sources;

/// What each layer may import from its own crate; between crates, cargo decides.
const ALLOWED: &[(&str, &[&str])] = &[
    ("error", &[]),
    ("flow", &[]),
    ("model", &["error"]),
    ("engine", &["error", "flow", "model"]),
    ("perception", &["error", "engine", "model"]),
    ("reasoning", &["error", "engine", "perception"]),
    ("measure", &["error", "engine", "perception", "reasoning"]),
    ("training", &["evaluation"]),
    ("evaluation", &[]),
    ("conformance", &["training"]),
    ("pipeline", &[]),
    ("trace", &["pipeline"]),
    ("config", &["pipeline", "trace"]),
    ("cli", &[]),
    ("ros", &[]),
];

/// Words that may stand in some places only.
const PLACES: &[(&str, &[&str])] = &[
    ("r2r::", &["src/ros/"]),
    ("println!", &["src/cli/"]),
    (
        "std::env",
        // The trace asks for the names of system and processor only.
        &[
            "src/cli/",
            "src/ros/",
            "src/trace/record.rs",
            "crates/cooper-kernels/src/threads.rs",
        ],
    ),
    (
        "unsafe {",
        &[
            "crates/cooper-kernels/src/avx512/",
            "crates/cooper-kernels/src/simd.rs",
            "crates/cooper-kernels/src/mapped.rs",
            "crates/cooper-kernels/src/memory.rs",
            "crates/cooper-kernels/src/matmul.rs",
            "crates/cooper-kernels/src/threads.rs",
        ],
    ),
    (
        "serde_yaml::",
        &[
            "crates/cooper-model/src/reasoning/prompts.rs",
            "src/config/",
        ],
    ),
    ("todo!", &[]),
    ("unimplemented!", &[]),
    ("kv_cache", &[]),
];

/// The layer of a file: the folder below its crate's `src`, or its own name.
fn layer(path: &Path) -> String {
    let mut parts = path.iter().skip_while(|part| *part != "src");
    let below = parts.nth(1).unwrap().to_string_lossy();
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
        // In crates without layers there is nothing to hide behind a brace.
        let has_layers = ALLOWED
            .iter()
            .any(|(_, below)| below.contains(&layer(&path).as_str()));
        assert!(
            !(has_layers && text.contains("use crate::{")),
            "{}: one layer an import",
            path.display()
        );
    }
}

#[test]
fn a_planted_import_is_found() {
    assert_eq!(forbidden("flow", "use crate::model::KvContext;"), ["model"]);
    assert_eq!(
        forbidden("engine", "fn f() -> crate::measure::Kind {}"),
        ["measure"]
    );
    assert!(forbidden("engine", "use crate::model::KvContext;").is_empty());
}

#[test]
fn every_crate_and_layer_is_named_in_the_architecture() {
    let text = include_str!("../../../docs/architecture.md");
    for (layer, _) in ALLOWED {
        assert!(text.contains(&format!("`{layer}`")), "{layer}");
    }
    for path in sources().keys() {
        let mut parts = path.iter().map(|part| part.to_string_lossy());
        if let (Some(_), Some(name)) = (parts.next().filter(|part| part == "crates"), parts.next())
        {
            assert!(text.contains(&format!("`{name}`")), "{name}");
        }
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
    }
}

/// What a robot runs has neither the trainer nor the command line's libraries in it.
#[test]
fn the_node_is_built_without_the_trainer_and_the_command_line() {
    let tree = |features: &[&str]| {
        let output = std::process::Command::new(env!("CARGO"))
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .args([
                "tree",
                "--offline",
                "-p",
                "cooper-perception",
                "-e",
                "normal",
                "--prefix",
                "none",
            ])
            .args(features)
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        let text = String::from_utf8(output.stdout).unwrap();
        text.lines()
            .map(|line| line.split(' ').next().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    let (node, all) = (
        tree(&["--no-default-features", "--features", "ros"]),
        tree(&["--features", "ros"]),
    );
    for name in [
        "cooper-train",
        "cooper-scenes",
        "cooper-bag",
        "clap",
        "indicatif",
        "ureq",
        "csv",
    ] {
        assert!(
            !node.iter().any(|found| found == name),
            "the node needs {name}"
        );
        assert!(
            all.iter().any(|found| found == name),
            "nothing needs {name}: is it another name now?"
        );
    }
    assert!(node.iter().any(|found| found == "cooper-model"), "{node:?}");
}
