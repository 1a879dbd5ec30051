//! Join what cooper-nano's stages trained apart: a model directory with the understanding expert of one,
//! the generation expert of another, and the autoencoder of a third.
//!
//! `cargo run --release --example join_nano -- UND_DIR GEN_DIR|- VAE_DIR OUT_DIR [bf16]`
//!
//! `-` for GEN_DIR: the generation expert begins as a copy of the understanding one.

use std::collections::HashMap;
use std::path::Path;

use candle_core::{DType, Device, Tensor, safetensors};
use cooper_train::training::init::with_gen_like_und;

type AnyError = Box<dyn std::error::Error + Send + Sync>;

const WEIGHTS: &str = "ema.safetensors";
const VAE: &str = "ae.safetensors";
/// Tensors that only drawing uses.
const DRAWING: [&str; 4] = ["_moe_gen", "vae2llm.", "llm2vae.", "time_embedder."];

fn main() -> Result<(), AnyError> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [und, r#gen, vae, out, dtype @ ..] = arguments.as_slice() else {
        return Err("expected UND_DIR GEN_DIR|- VAE_DIR OUT_DIR [bf16]".into());
    };
    let dtype = if dtype == ["bf16"] {
        DType::BF16
    } else {
        DType::F32
    };
    let (und, out) = (Path::new(und), Path::new(out));
    std::fs::create_dir_all(out)?;
    for entry in std::fs::read_dir(und)? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if !name.ends_with(".safetensors") && name != "training_config.json" {
            std::fs::copy(entry.path(), out.join(entry.file_name()))?;
        }
    }
    let mut weights = read(&und.join(WEIGHTS))?;
    if r#gen == "-" {
        weights = with_gen_like_und(weights);
    } else {
        let drawn = read(&Path::new(r#gen).join(WEIGHTS))?;
        let of_drawing = |name: &String| DRAWING.iter().any(|part| name.contains(part));
        weights.extend(drawn.into_iter().filter(|(name, _)| of_drawing(name)));
    }
    write(weights, dtype, &out.join(WEIGHTS))?;
    write(read(&Path::new(vae).join(VAE))?, dtype, &out.join(VAE))
}

fn read(file: &Path) -> Result<HashMap<String, Tensor>, AnyError> {
    safetensors::load(file, &Device::Cpu).map_err(|e| format!("{}: {e}", file.display()).into())
}

fn write(tensors: HashMap<String, Tensor>, dtype: DType, file: &Path) -> Result<(), AnyError> {
    let tensors = tensors
        .into_iter()
        .map(|(name, tensor)| Ok((name, tensor.to_dtype(dtype)?)));
    let tensors = tensors.collect::<Result<HashMap<_, _>, candle_core::Error>>()?;
    Ok(safetensors::save(&tensors, file)?)
}
