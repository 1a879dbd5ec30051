//! Weights before any training.

use std::collections::HashMap;

use candle_core::{DType, Device, Result, Tensor};
use cooper_kernels::Noise;
use cooper_model::model::ModelConfig;
use cooper_model::model::inventory::{
    LATENT_POSITIONS, PositionSides, Shapes, VIT_POSITIONS, expected_vae_tensors, tensors,
};
use cooper_model::model::parts::sincos_table;

/// Suffix of the generation expert's names.
const GEN: &str = "_moe_gen";
/// Parts of the names of what ends a residual branch of a transformer's layer.
pub const TRANSFORMER_BRANCH_ENDS: [&str; 4] = ["o_proj", "down_proj", "out_proj", "mlp.fc2"];
/// The same of the autoencoder's blocks.
const VAE_BRANCH_ENDS: [&str; 2] = ["conv2", "attn_1.proj_out"];
/// Standard deviation of token embeddings.
const EMBEDDING_STD: f64 = 0.5;

/// The transformer's weights: normal with variance 1/inputs, outputs of residual branches smaller by the square root
/// of their number, biases 0, norms 1, `llm2vae` 0, and both experts alike.
///
/// # Errors
/// If the device fails.
pub fn fresh_model(
    config: &ModelConfig,
    sides: PositionSides,
    seed: u64,
) -> Result<HashMap<String, Tensor>> {
    let n_branches = 2 * config.llm.num_hidden_layers;
    let shapes = tensors(config, sides);
    let mut fresh = fresh(&shapes, n_branches, seed)?;
    let width = config.llm.hidden_size;
    for (name, side) in [(LATENT_POSITIONS, sides.latent), (VIT_POSITIONS, sides.vit)] {
        fresh.insert(name.into(), sincos_table(side, width, &Device::Cpu)?);
    }
    let embeddings = "language_model.model.embed_tokens.weight";
    if let Some(drawn) = fresh.get(embeddings) {
        let scaled = (drawn * (EMBEDDING_STD * (width as f64).sqrt()))?;
        fresh.insert(embeddings.into(), scaled);
    }
    for name in ["llm2vae.weight", "llm2vae.bias"] {
        if let Some(tensor) = fresh.get(name) {
            let zeros = tensor.zeros_like()?;
            fresh.insert(name.into(), zeros);
        }
    }
    Ok(with_gen_like_und(fresh))
}

/// Every weight of the generation expert becomes the understanding expert's.
pub fn with_gen_like_und(mut weights: HashMap<String, Tensor>) -> HashMap<String, Tensor> {
    let pairs: Vec<(String, Tensor)> = weights
        .keys()
        .filter(|name| name.contains(GEN))
        .filter_map(|name| Some((name.clone(), weights.get(&name.replace(GEN, ""))?.clone())))
        .collect();
    weights.extend(pairs);
    weights
}

/// The autoencoder's weights, by the same rules.
///
/// # Errors
/// If the device fails.
pub fn fresh_vae(config: &ModelConfig, seed: u64) -> Result<HashMap<String, Tensor>> {
    fresh(&expected_vae_tensors(&config.vae), 2, seed)
}

/// Weights of these shapes by the rules of [`fresh_model`].
///
/// # Errors
/// If the device fails.
pub fn fresh(shapes: &Shapes, n_branches: usize, seed: u64) -> Result<HashMap<String, Tensor>> {
    let mut noise = Noise::seeded(seed);
    let mut fresh = HashMap::new();
    for (name, shape) in shapes {
        let n_inputs: usize = shape.iter().skip(1).product();
        let tensor = if name.ends_with(".bias") {
            Tensor::zeros(shape.as_slice(), DType::F32, &Device::Cpu)?
        } else if shape.len() == 1 {
            Tensor::ones(shape.as_slice(), DType::F32, &Device::Cpu)?
        } else {
            let ends = TRANSFORMER_BRANCH_ENDS.iter().chain(&VAE_BRANCH_ENDS);
            let gain = if ends.into_iter().any(|part| name.contains(part)) {
                1.0 / (n_branches as f64).sqrt()
            } else {
                1.0
            };
            (noise.normal(shape.as_slice(), &Device::Cpu)? * (gain / (n_inputs as f64).sqrt()))?
        };
        fresh.insert(name.clone(), tensor);
    }
    Ok(fresh)
}
