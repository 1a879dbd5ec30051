//! What kind of weights a file holds, as far as names, shapes and what lies around it can tell.
//!
//! BAGEL, COOPER-AMG and COOPER have the same tensors: a header says whether the file is COOPER-style
//! (both experts and the latent path) or incomplete, and the rest is hearsay that is passed on as such.

use std::io::Read;
use std::path::Path;

use cooper_kernels::SafetensorsHeader;
use cooper_model::model::config::ModelConfig;
use cooper_model::model::inventory::{LATENT_POSITIONS, Mismatch, VIT_POSITIONS, expected_tensors};
use serde::Serialize;

use super::super::model::SHIPPED;

/// How much of a model card is read.
const CARD_BYTES: u64 = 1 << 16;

/// What the tensors' names and shapes say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Kind {
    /// Everything is there: BAGEL, COOPER-AMG or COOPER.
    CooperStyle,
    /// All that draws is absent.
    UnderstandingOnly,
    /// Something that is needed is missing.
    Incomplete,
    /// Nothing is missing, but sizes, types or surplus tensors are wrong.
    Mismatched,
    /// Another model.
    Foreign,
}

impl Kind {
    /// One sentence.
    pub(super) fn describe(self) -> &'static str {
        match self {
            Self::CooperStyle => {
                "COOPER-style, complete: both experts, vision encoder, latent path"
            }
            Self::UnderstandingOnly => {
                "understanding only: the generation expert and the latent path are absent, so it cannot draw maps"
            }
            Self::Incomplete => "incomplete: tensors that the model needs are missing",
            Self::Mismatched => "mismatched: the weights do not belong to these configs",
            Self::Foreign => "not a BAGEL or COOPER transformer: none of its tensors is there",
        }
    }
}

/// A part of the network, by the names of its tensors.
struct Part {
    name: &'static str,
    belongs: fn(&str) -> bool,
    /// What is lost without it.
    loss: &'static str,
}

const PARTS: [Part; 4] = [
    Part {
        name: "understanding expert",
        belongs: |name| name.starts_with("language_model.") && !name.contains("_moe_gen"),
        loss: "it cannot read or write",
    },
    Part {
        name: "generation expert (_moe_gen)",
        belongs: |name| name.contains("_moe_gen"),
        loss: "it cannot draw depth or segmentation",
    },
    Part {
        name: "latent path (vae2llm, llm2vae, time_embedder)",
        belongs: |name| starts_with_any(name, &["vae2llm.", "llm2vae.", "time_embedder."]),
        loss: "it can neither read nor draw latents",
    },
    Part {
        name: "vision encoder and connector",
        belongs: |name| starts_with_any(name, &["vit_model.", "connector."]),
        loss: "it cannot see images",
    },
];

fn starts_with_any(name: &str, prefixes: &[&str]) -> bool {
    prefixes.iter().any(|prefix| name.starts_with(prefix))
}

/// What was found out.
#[derive(Debug, Serialize)]
pub(super) struct Finding {
    pub(super) kind: Kind,
    /// The name that the surroundings suggest, if any.
    pub(super) likely: Option<&'static str>,
    /// Parts that are absent or broken, absent tables, and hearsay with its source.
    pub(super) notes: Vec<String>,
}

/// Judge a weights file by its header, its name and what lies beside it.
pub(super) fn judge(
    config: &ModelConfig,
    header: &SafetensorsHeader,
    mismatch: &Mismatch,
    weights: &Path,
) -> Finding {
    let expected = expected_tensors(config, header);
    let mut notes = Vec::new();
    let absent = PARTS.map(|part| {
        let n = expected.keys().filter(|name| (part.belongs)(name)).count();
        let missing = mismatch.missing.iter();
        let n_missing = missing.filter(|name| (part.belongs)(name)).count();
        if n_missing > 0 {
            let Part { name, loss, .. } = part;
            notes.push(format!(
                "{name}: {n_missing} of {n} tensors missing; {loss}"
            ));
        }
        n_missing == n
    });
    let kind = match absent {
        _ if mismatch.is_empty() => Kind::CooperStyle,
        [true, true, true, true] => Kind::Foreign,
        [false, true, true, false] => Kind::UnderstandingOnly,
        _ if mismatch.missing.is_empty() => Kind::Mismatched,
        _ => Kind::Incomplete,
    };
    let mut likely = None;
    if kind != Kind::Foreign {
        notes.extend(absent_tables(header));
        likely = hearsay(weights, &mut notes);
    }
    Finding {
        kind,
        likely,
        notes,
    }
}

fn absent_tables(header: &SafetensorsHeader) -> Option<String> {
    let tables = [LATENT_POSITIONS, VIT_POSITIONS];
    let absent: Vec<_> = tables
        .into_iter()
        .filter(|name| header.shape(name).is_none())
        .collect();
    (!absent.is_empty()).then(|| {
        format!(
            "{} absent, as in checkpoints of a training run; recomputed when loaded",
            absent.join(" and ")
        )
    })
}

/// What names and the model card suggest; the folder's name counts most, since the user may have given it.
fn hearsay(weights: &Path, notes: &mut Vec<String>) -> Option<&'static str> {
    let weights = std::path::absolute(weights).unwrap_or_else(|_| weights.into());
    let file_name = weights.file_name().unwrap_or_default().to_string_lossy();
    if file_name == "model.safetensors" {
        notes.push("named model.safetensors, as COOPER's reinforcement learning writes it".into());
    }
    let by_name = named(&file_name).or_else(|| folder_name(&weights).and_then(|name| named(&name)));
    if let Some(name) = by_name {
        notes.push(format!("its name or its folder's says {name}"));
    }
    let by_card = weights
        .parent()
        .and_then(card)
        .and_then(|text| named(&text));
    if let Some(name) = by_card {
        notes.push(format!("the model card beside it speaks of {name}"));
    }
    by_name.or(by_card)
}

/// The folder's name, or the repository's in a Hugging Face cache (`models--owner--name/snapshots/hash`).
fn folder_name(weights: &Path) -> Option<String> {
    let mut names = weights.parent()?.iter().map(|name| name.to_string_lossy());
    let cached = names.clone().rfind(|name| name.starts_with("models--"));
    cached
        .or_else(|| names.next_back())
        .map(|name| name.into_owned())
}

/// cooper-nano's card speaks of COOPER too, and COOPER's texts of BAGEL: the first word that is found counts.
fn named(text: &str) -> Option<&'static str> {
    let text = text.to_lowercase().replace('_', "-");
    [
        (SHIPPED, SHIPPED),
        ("cooper-amg", "COOPER-AMG"),
        ("cooper", "COOPER"),
        ("bagel", "BAGEL"),
    ]
    .into_iter()
    .find_map(|(word, name)| text.contains(word).then_some(name))
}

fn card(folder: &Path) -> Option<String> {
    let names = ["model_card.md", "README.md"];
    let file = names
        .iter()
        .find_map(|name| std::fs::File::open(folder.join(name)).ok())?;
    let mut bytes = Vec::new();
    file.take(CARD_BYTES).read_to_end(&mut bytes).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(path: &str, expected: Option<&str>) {
        assert_eq!(
            hearsay(Path::new(path), &mut Vec::new()),
            expected,
            "{path}"
        );
    }

    #[test]
    fn names_suggest_the_model() {
        check("/none/COOPER-AMG/ema.safetensors", Some("COOPER-AMG"));
        check("/none/bagel/cooper.safetensors", Some("COOPER"));
        check("/none/cooper-nano/ema.safetensors", Some("cooper-nano"));
        check("/none/BAGEL-7B-MoT/ema.safetensors", Some("BAGEL"));
        check("/none/cooper_perception/models/mine/ema.safetensors", None);
        let cached = "/none/models--Starrrrrry--COOPER/snapshots/0ab/ema.safetensors";
        check(cached, Some("COOPER"));
    }

    #[test]
    fn a_model_card_speaks_when_names_do_not() {
        let dir = tempfile::tempdir_in("/tmp").unwrap();
        let weights = dir.path().join("ema.safetensors");
        std::fs::write(dir.path().join("README.md"), "Trained from BAGEL: COOPER").unwrap();
        let mut notes = Vec::new();
        assert_eq!(hearsay(&weights, &mut notes), Some("COOPER"));
        assert_eq!(notes, ["the model card beside it speaks of COOPER"]);
    }
}
