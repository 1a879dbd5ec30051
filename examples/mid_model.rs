//! Write a model directory with random weights, large enough that a measurement means something: the workload "mid".
//!
//! `scripts/make_bench_model OUT_DIR` (or `cargo run --release --example mid_model -- OUT_DIR`); 1 GB.
//! Weights are normal with variance 1/inputs; the tokenizer is that of tests/fixtures.

use std::collections::HashMap;
use std::path::Path;

use candle_core::{DType, Device, Tensor};
use cooper_perception::model::ModelConfig;
use cooper_perception::model::inventory::{
    LATENT_POSITIONS, PositionSides, VIT_POSITIONS, expected_vae_tensors, tensors,
};
use cooper_perception::model::parts::sincos_table;
use cooper_perception::training::init::fresh;
use serde_json::{Value, json};

const SEED: u64 = 4396;
const SIDES: PositionSides = PositionSides {
    latent: 64,
    vit: 70,
};
const TOKENIZER: [&str; 3] = ["vocab.json", "merges.txt", "tokenizer_config.json"];

type AnyError = Box<dyn std::error::Error + Send + Sync>;

fn main() -> Result<(), AnyError> {
    let out = std::env::args().nth(1).ok_or("expected OUT_DIR")?;
    let out = Path::new(&out);
    std::fs::create_dir_all(out)?;
    for (name, config) in configs() {
        let text = serde_json::to_string_pretty(&config)? + "\n";
        std::fs::write(out.join(name), text)?;
    }
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/random-a/checkpoint");
    for name in TOKENIZER {
        std::fs::copy(fixture.join(name), out.join(name))?;
    }
    let config = ModelConfig::load(out)?;
    let mut model = fresh(&tensors(&config, SIDES), 1, SEED)?;
    let width = config.llm.hidden_size;
    for (name, side) in [(LATENT_POSITIONS, SIDES.latent), (VIT_POSITIONS, SIDES.vit)] {
        model.insert(name.into(), sincos_table(side, width, &Device::Cpu)?);
    }
    let n = save(model, DType::BF16, &out.join("ema.safetensors"))?;
    let vae = fresh(&expected_vae_tensors(&config.vae), 1, SEED + 1)?;
    let n_vae = save(vae, DType::F32, &out.join("ae.safetensors"))?;
    println!("transformer {n}, autoencoder {n_vae} parameters");
    Ok(())
}

/// Save in a number format; how many parameters there are.
fn save(weights: HashMap<String, Tensor>, dtype: DType, file: &Path) -> Result<usize, AnyError> {
    let n = weights.values().map(|tensor| tensor.elem_count()).sum();
    let cast = |(name, tensor): (String, Tensor)| Ok((name, tensor.to_dtype(dtype)?));
    let weights: HashMap<_, _> = weights
        .into_iter()
        .map(cast)
        .collect::<Result<_, AnyError>>()?;
    candle_core::safetensors::save(&weights, file)?;
    Ok(n)
}

fn configs() -> [(&'static str, Value); 4] {
    let llm = json!({
        "model_type": "qwen2", "hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 8,
        "num_attention_heads": 8, "num_key_value_heads": 2, "vocab_size": 32768, "rope_theta": 1e6,
        "rms_norm_eps": 1e-6, "max_position_embeddings": 32768, "hidden_act": "silu", "qk_norm": true,
        "tie_word_embeddings": false, "layer_module": "Qwen2MoTDecoderLayer"
    });
    let vit = json!({
        "model_type": "siglip_vision_model", "hidden_size": 384, "intermediate_size": 1536,
        "num_hidden_layers": 7, "num_attention_heads": 6, "patch_size": 14, "num_channels": 3,
        "hidden_act": "gelu_pytorch_tanh", "layer_norm_eps": 1e-6
    });
    let joints =
        json!({"model_type": "bagel", "latent_patch_size": 2, "vit_max_num_patch_per_side": 70});
    let sizes = json!({
        "vae": {"max_image_size": 448, "min_image_size": 256, "image_stride": 16},
        "vit": {"max_image_size": 434, "min_image_size": 224, "image_stride": 14}
    });
    [
        ("llm_config.json", llm),
        ("vit_config.json", vit),
        ("config.json", joints),
        ("preprocessor_config.json", sizes),
    ]
}
