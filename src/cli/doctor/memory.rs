//! What memory the model needs in each number format.

use serde::Serialize;

use crate::engine::Quantization;
use crate::model::config::ModelConfig;
use crate::model::inventory;

/// Tokens that a question with both maps has in its three contexts at the largest picture size, generously.
pub(super) const WORKING_TOKENS: u64 = 16_000;

/// The rows of the table: what is stored in which number format, and how matrices are quantised.
const FORMATS: [(&str, u64, Quantization); 5] = [
    ("f32", 4, Quantization::None),
    ("bf16", 2, Quantization::None),
    ("f16", 2, Quantization::None),
    ("f16+q8_0", 2, Quantization::Q8_0),
    ("f16+q4k", 2, Quantization::Q4K),
];

/// Bytes in one number format.
#[derive(Debug, Serialize)]
pub(super) struct Need {
    pub(super) dtype: &'static str,
    pub(super) weights_bytes: u64,
    /// The autoencoder works in f32 on a CPU.
    pub(super) vae_bytes: u64,
    pub(super) kv_per_1000_tokens_bytes: u64,
    /// All of it, with [`WORKING_TOKENS`]; activations come on top.
    pub(super) total_bytes: u64,
    /// Against the memory that is available here, if that is known.
    pub(super) fits: Option<bool>,
}

/// How many numbers the files have.
#[derive(Debug)]
pub(super) struct Counts {
    pub(super) transformer: u64,
    pub(super) vae: u64,
}

/// The need in every number format; of a directory that is quantised already, in its own.
pub(super) fn needs(
    config: &ModelConfig,
    counts: &Counts,
    quantized: Option<&str>,
    available: Option<u64>,
) -> Vec<Need> {
    let llm = &config.llm;
    let numbers_per_token = 2 * llm.num_hidden_layers * llm.num_key_value_heads * llm.head_dim();
    FORMATS
        .into_iter()
        .filter(|(_, _, quantization)| quantized.is_none_or(|name| name == quantization.name()))
        .map(|(dtype, bytes, quantization)| {
            let kv_per_1000_tokens_bytes = 1000 * bytes * numbers_per_token as u64;
            let weights_bytes = weights_bytes(config, counts.transformer, bytes, quantization);
            let vae_bytes = counts.vae * 4;
            let context_bytes = kv_per_1000_tokens_bytes * WORKING_TOKENS / 1000;
            let total_bytes = weights_bytes + vae_bytes + context_bytes;
            Need {
                dtype,
                weights_bytes,
                vae_bytes,
                kv_per_1000_tokens_bytes,
                total_bytes,
                fits: available.map(|available| total_bytes <= available),
            }
        })
        .collect()
}

/// Of the transformer, with the copies of quantised matrices that are laid out for this machine's vectors.
fn weights_bytes(
    config: &ModelConfig,
    parameters: u64,
    bytes: u64,
    quantization: Quantization,
) -> u64 {
    let plain_bytes = |n: u64| n * bytes;
    let mut total = plain_bytes(parameters);
    for shape in inventory::layer_matrices(config).into_values() {
        let (out, width) = (shape[0], shape[1]);
        if let Some(quantized) = quantization.bytes(out, width) {
            total = total.saturating_sub(plain_bytes((out * width) as u64)) + quantized;
        }
    }
    total
}
