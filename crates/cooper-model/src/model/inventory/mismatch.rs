//! How a checkpoint's header differs from what the model needs, listed at once.

use std::fmt;

use cooper_kernels::SafetensorsHeader;
use safetensors::Dtype;

use super::{
    LATENT_POSITIONS, Shapes, VIT_PATCH_POSITIONS, VIT_POSITIONS, expected_tensors,
    expected_vae_tensors,
};
use crate::model::config::{ModelConfig, VaeConfig};

/// Names that a group of a report lists before it says "and N more".
const LISTED: usize = 20;

/// A tensor of another shape than the configs say.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Misshapen {
    /// The tensor.
    pub name: String,
    /// From the configs.
    pub expected: Vec<usize>,
    /// In the file.
    pub got: Vec<usize>,
}

/// Everything in which a file differs from what the model needs.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Mismatch {
    /// Needed, and not in the file.
    pub missing: Vec<String>,
    /// In the file, and not known to the model.
    pub unexpected: Vec<String>,
    /// In the file with another shape.
    pub misshapen: Vec<Misshapen>,
    /// In the file as something else than floating point, with its type.
    pub not_float: Vec<String>,
}

/// Compare the transformer file with what `config` needs.
pub fn check(config: &ModelConfig, header: &SafetensorsHeader) -> Mismatch {
    let mut mismatch = compare(&expected_tensors(config, header), header);
    // Sinusoids that are computed when they are absent: training drops them from its checkpoints.
    mismatch
        .missing
        .retain(|name| name != LATENT_POSITIONS && name != VIT_POSITIONS);
    mismatch.unexpected.retain(|name| !is_unused(name, config));
    mismatch
}

/// Compare the autoencoder file with what `config` needs.
pub fn check_vae(config: &VaeConfig, header: &SafetensorsHeader) -> Mismatch {
    compare(&expected_vae_tensors(config), header)
}

/// Tensors that other exporters of the same model leave in the file, and that nothing reads.
fn is_unused(name: &str, config: &ModelConfig) -> bool {
    let Some(vit) = name.strip_prefix("vit_model.vision_model.") else {
        // Frequencies of the rotary positions: a buffer of older `transformers`, computed here.
        return name.starts_with("language_model.") && name.ends_with(".rotary_emb.inv_freq");
    };
    // SigLIP's pooling head and its last layer (`vit_select_layer = -2`), and a buffer of 0, 1, 2, ….
    let last_layer = format!("encoder.layers.{}.", config.vit.n_layers());
    vit.starts_with("head.") || vit.starts_with(&last_layer) || vit == "embeddings.position_ids"
}

fn compare(expected: &Shapes, header: &SafetensorsHeader) -> Mismatch {
    let mut mismatch = Mismatch::default();
    for (name, shape) in expected {
        let Some(got) = header.tensors.get(name) else {
            mismatch.missing.push(name.clone());
            continue;
        };
        if got.shape != *shape {
            mismatch.misshapen.push(Misshapen {
                name: name.clone(),
                expected: shape.clone(),
                got: got.shape.clone(),
            });
        }
        if !matches!(
            got.dtype,
            Dtype::F64 | Dtype::F32 | Dtype::F16 | Dtype::BF16
        ) {
            mismatch.not_float.push(format!("{name} ({})", got.dtype));
        }
    }
    let unknown = header.tensors.keys().filter(|n| !expected.contains_key(*n));
    mismatch.unexpected = unknown.cloned().collect();
    mismatch
}

impl Mismatch {
    /// Whether the file is what the model needs.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl fmt::Display for Misshapen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            name,
            expected,
            got,
        } = self;
        write!(f, "{name}: expected {expected:?}, got {got:?}")?;
        let table = [LATENT_POSITIONS, VIT_POSITIONS, VIT_PATCH_POSITIONS].contains(&name.as_str());
        if table && got.first().is_some_and(|rows| rows.isqrt().pow(2) != *rows) {
            write!(f, " (the rows must be a perfect square)")?;
        }
        Ok(())
    }
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let misshapen: Vec<_> = self.misshapen.iter().map(ToString::to_string).collect();
        let groups = [
            ("missing", &self.missing),
            ("unexpected", &self.unexpected),
            ("misshapen", &misshapen),
            ("not floating point", &self.not_float),
        ];
        let mut separator = "";
        for (what, names) in groups.into_iter().filter(|(_, names)| !names.is_empty()) {
            let noun = if names.len() == 1 {
                "tensor"
            } else {
                "tensors"
            };
            write!(f, "{separator}{} {what} {noun}:", names.len())?;
            for name in names.iter().take(LISTED) {
                write!(f, "\n  {name}")?;
            }
            if names.len() > LISTED {
                write!(f, "\n  and {} more", names.len() - LISTED)?;
            }
            separator = "\n";
        }
        Ok(())
    }
}
