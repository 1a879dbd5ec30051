//! What memory the model needs in each number format.

use serde::Serialize;

use crate::model::config::LlmConfig;

/// Tokens that a question with both maps has in its three contexts at the largest picture size, generously.
pub(super) const WORKING_TOKENS: u64 = 16_000;

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

/// The need in f32, bf16 and f16.
pub(super) fn needs(
    llm: &LlmConfig,
    parameters: u64,
    vae_parameters: u64,
    available: Option<u64>,
) -> Vec<Need> {
    let numbers_per_token = 2 * llm.num_hidden_layers * llm.num_key_value_heads * llm.head_dim();
    [("f32", 4), ("bf16", 2), ("f16", 2)]
        .into_iter()
        .map(|(dtype, bytes)| {
            let kv_per_1000_tokens_bytes = 1000 * bytes * numbers_per_token as u64;
            let (weights_bytes, vae_bytes) = (parameters * bytes, vae_parameters * 4);
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
