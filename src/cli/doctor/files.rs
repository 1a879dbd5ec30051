//! Which files of a model directory are there.

use std::path::Path;

use serde::Serialize;

/// One file, or the lack of it.
#[derive(Debug, Serialize)]
pub(super) struct FileState {
    pub(super) name: &'static str,
    pub(super) present: bool,
    /// Whether the model cannot be loaded without it.
    pub(super) needed: bool,
    /// What holds without it.
    pub(super) otherwise: &'static str,
}

const NEEDED: &str = "the model cannot be loaded without it";

/// The configs, tokenizer files, autoencoder and prompts of `dir`; the weights are looked at apart.
pub(super) fn look(dir: &Path) -> Vec<FileState> {
    let whole_tokenizer = is_file(dir, "tokenizer.json");
    let parts = if whole_tokenizer {
        None
    } else {
        Some("tokenizer.json or this file is needed")
    };
    let of_tokenizer = |name| {
        (
            name,
            parts.is_some(),
            parts.unwrap_or("tokenizer.json is used"),
        )
    };
    [
        ("llm_config.json", true, NEEDED),
        ("vit_config.json", true, NEEDED),
        ("config.json", false, "BAGEL's sizes hold"),
        ("ae_config.json", false, "FLUX's sizes hold"),
        (
            "preprocessor_config.json",
            false,
            "COOPER's image sizes hold",
        ),
        (
            "flow_config.json",
            false,
            "maps have COOPER's steps and guidance",
        ),
        ("depth_config.json", false, "brightness is relative depth"),
        ("palette.json", false, "regions have no classes"),
        (
            "tokenizer.json",
            false,
            "vocab.json, merges.txt and tokenizer_config.json are used",
        ),
        of_tokenizer("vocab.json"),
        of_tokenizer("merges.txt"),
        of_tokenizer("tokenizer_config.json"),
        ("ae.safetensors", true, NEEDED),
        ("prompts.yaml", false, "the built-in prompts are used"),
    ]
    .into_iter()
    .map(|(name, needed, otherwise)| FileState {
        name,
        present: is_file(dir, name),
        needed,
        otherwise,
    })
    .collect()
}

fn is_file(dir: &Path, name: &str) -> bool {
    dir.join(name).is_file()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn missing(present: &[&str]) -> Vec<&'static str> {
        let dir = tempfile::tempdir().unwrap();
        for name in present {
            std::fs::write(dir.path().join(name), "").unwrap();
        }
        let files = look(dir.path()).into_iter();
        files
            .filter(|file| file.needed && !file.present)
            .map(|file| file.name)
            .collect()
    }

    #[test]
    fn a_tokenizer_is_one_file_or_its_parts() {
        let others = ["llm_config.json", "vit_config.json", "ae.safetensors"];
        let parts = ["vocab.json", "merges.txt", "tokenizer_config.json"];
        assert_eq!(missing(&others), parts);
        assert!(missing(&[&others[..], &parts].concat()).is_empty());
        assert!(missing(&[&others[..], &["tokenizer.json"]].concat()).is_empty());
        assert_eq!(missing(&["tokenizer.json"]), others);
    }
}
