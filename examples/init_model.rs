//! Write a model directory to start training from: sizes and other files of one folder, the weights of another model
//! where names and shapes are the same, and fresh ones elsewhere. Layers that only the new model has begin by passing on
//! what they get: the outputs of their residual branches are 0.
//!
//! `cargo run --release --example init_model -- SIZES_DIR BASE_DIR OUT_DIR`
//!
//! The tokenizer is that of SIZES_DIR, or else of BASE_DIR. Position tables are made anew.

use std::collections::HashMap;
use std::path::Path;

use candle_core::{DType, Device, Tensor, safetensors};
use cooper_model::model::ModelConfig;
use cooper_model::model::inventory::PositionSides;
use cooper_train::training::init::{TRANSFORMER_BRANCH_ENDS, fresh_model, fresh_vae};

type AnyError = Box<dyn std::error::Error + Send + Sync>;

const SEED: u64 = 4396;
const TOKENIZER: &str = "tokenizer.json";

fn main() -> Result<(), AnyError> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [sizes, base, out] = arguments.as_slice() else {
        return Err("expected SIZES_DIR BASE_DIR OUT_DIR".into());
    };
    let (sizes, base, out) = (Path::new(sizes), Path::new(base), Path::new(out));
    std::fs::create_dir_all(out)?;
    for entry in std::fs::read_dir(sizes)? {
        let entry = entry?;
        std::fs::copy(entry.path(), out.join(entry.file_name()))?;
    }
    if !out.join(TOKENIZER).exists() {
        std::fs::copy(base.join(TOKENIZER), out.join(TOKENIZER))?;
    }
    let config = ModelConfig::load(out)?;
    let side = config.bagel.vit_max_num_patch_per_side;
    let sides = PositionSides {
        latent: side,
        vit: side,
    };
    let model = fresh_model(&config, sides, SEED)?;
    for (fresh, file) in [
        (model, "ema.safetensors"),
        (fresh_vae(&config, SEED + 1)?, "ae.safetensors"),
    ] {
        let known = safetensors::load(base.join(file), &Device::Cpu)?;
        let weights = taken_over(fresh, &known, file)?;
        safetensors::save(&weights, out.join(file))?;
    }
    Ok(())
}

/// Fresh weights with those of another model in place of the ones with the same name and shape.
fn taken_over(
    mut weights: HashMap<String, Tensor>,
    known: &HashMap<String, Tensor>,
    file: &str,
) -> Result<HashMap<String, Tensor>, AnyError> {
    let total: usize = weights.values().map(|tensor| tensor.elem_count()).sum();
    let mut taken = 0;
    for (name, tensor) in &mut weights {
        let same = known.get(name).filter(|other| {
            other.shape() == tensor.shape() && !name.ends_with("pos_embed.pos_embed")
        });
        if let Some(other) = same {
            *tensor = other.to_dtype(DType::F32)?;
            taken += tensor.elem_count();
        } else if TRANSFORMER_BRANCH_ENDS.iter().any(|end| name.contains(end)) {
            *tensor = tensor.zeros_like()?;
        }
    }
    println!("{file}: {total} numbers, {taken} of them from the other model");
    Ok(weights)
}
