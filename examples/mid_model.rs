//! Write a model directory with random weights to measure with: the workload "mid", or the released model's sizes.
//!
//! `scripts/make_bench_model OUT_DIR [mid|released]` (or `cargo run --release --example mid_model -- …`); 1 GB and 11 GB.
//! Weights are normal with variance 1/inputs; the released sizes come with matrices in 4 bits (Q4K), which are drawn as
//! such. The tokenizer is that of tests/fixtures.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use candle_core::quantized::GgmlDType;
use candle_core::{DType, Device, Tensor};
use cooper_kernels::{MatrixInfo, write_gguf};
use cooper_model::engine::QUANTIZED_NAME;
use cooper_model::model::ModelConfig;
use cooper_model::model::inventory::{
    LATENT_POSITIONS, PositionSides, Shapes, VIT_POSITIONS, expected_vae_tensors, layer_matrices,
    tensors,
};
use cooper_model::model::parts::sincos_table;
use cooper_train::training::init::fresh;
use half::{bf16, f16};
use rand::rngs::StdRng;
use rand::{RngCore, SeedableRng};
use serde_json::{Map, Value, json};

const SEED: u64 = 4396;
const SIDES: PositionSides = PositionSides {
    latent: 64,
    vit: 70,
};
const TOKENIZER: [&str; 3] = ["vocab.json", "merges.txt", "tokenizer_config.json"];

type AnyError = Box<dyn std::error::Error + Send + Sync>;

fn main() -> Result<(), AnyError> {
    let usage = "expected OUT_DIR [mid|released]";
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (out, is_released) = match arguments.as_slice() {
        [out] => (out, false),
        [out, size] if size == "mid" => (out, false),
        [out, size] if size == "released" => (out, true),
        _ => return Err(usage.into()),
    };
    let out = Path::new(out);
    std::fs::create_dir_all(out)?;
    for (name, config) in if is_released { released() } else { mid() } {
        let text = serde_json::to_string_pretty(&config)? + "\n";
        std::fs::write(out.join(name), text)?;
    }
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/random-a/checkpoint");
    for name in TOKENIZER {
        std::fs::copy(fixture.join(name), out.join(name))?;
    }
    let config = ModelConfig::load(out)?;
    let mut shapes = tensors(&config, SIDES);
    let n = count(&shapes);
    if is_released {
        let matrices = layer_matrices(&config);
        shapes.retain(|name, _| !matrices.contains_key(name));
        write_matrices(&out.join(QUANTIZED_NAME), matrices)?;
    }
    write_rest(
        &out.join("ema.safetensors"),
        &shapes,
        config.llm.hidden_size,
    )?;
    let vae = expected_vae_tensors(&config.vae);
    candle_core::safetensors::save(&fresh(&vae, 1, SEED + 1)?, out.join("ae.safetensors"))?;
    println!("transformer {n}, autoencoder {} parameters", count(&vae));
    Ok(())
}

fn count(shapes: &Shapes) -> usize {
    let shapes = shapes.values();
    shapes.map(|shape| shape.iter().product::<usize>()).sum()
}

/// Tensors in bf16, drawn and written one after another.
fn write_rest(path: &Path, shapes: &Shapes, width: usize) -> Result<(), AnyError> {
    let mut header = Map::new();
    let mut end = 0;
    for (name, shape) in shapes {
        let begin = end;
        end += 2 * shape.iter().product::<usize>();
        let tensor = json!({"dtype": "BF16", "shape": shape, "data_offsets": [begin, end]});
        header.insert(name.clone(), tensor);
    }
    let header = Value::Object(header).to_string();
    let mut file = BufWriter::new(File::create(path)?);
    file.write_all(&(header.len() as u64).to_le_bytes())?;
    file.write_all(header.as_bytes())?;
    for (i, (name, shape)) in shapes.iter().enumerate() {
        let tensor = match name.as_str() {
            LATENT_POSITIONS => sincos_table(SIDES.latent, width, &Device::Cpu)?,
            VIT_POSITIONS => sincos_table(SIDES.vit, width, &Device::Cpu)?,
            _ => drawn(name, shape, SEED + 2 + i as u64)?,
        };
        let numbers = tensor.to_dtype(DType::BF16)?.flatten_all()?;
        for number in numbers.to_vec1::<bf16>()? {
            file.write_all(&number.to_le_bytes())?;
        }
    }
    Ok(file.flush()?)
}

fn drawn(name: &str, shape: &[usize], seed: u64) -> Result<Tensor, AnyError> {
    let one = Shapes::from([(name.to_owned(), shape.to_vec())]);
    let mut drawn: HashMap<_, _> = fresh(&one, 1, seed)?;
    drawn.remove(name).ok_or_else(|| name.into())
}

/// Matrices in 4 bits, drawn and written one after another.
fn write_matrices(path: &Path, shapes: Shapes) -> Result<(), AnyError> {
    let matrices = shapes.into_iter().map(|(name, shape)| MatrixInfo {
        name,
        dtype: GgmlDType::Q4K,
        shape: (shape[0], shape[1]),
    });
    let mut file = BufWriter::new(File::create(path)?);
    let mut random = StdRng::seed_from_u64(SEED);
    write_gguf(&mut file, &matrices.collect::<Vec<_>>(), |matrix| {
        Ok(random_blocks(matrix.shape, &mut random))
    })?;
    Ok(())
}

/// Blocks of 256 numbers `d·32·q − dmin·32` with q uniform in 0..16: mean 0, variance 1/width.
fn random_blocks((out, width): (usize, usize), random: &mut impl RngCore) -> Vec<u8> {
    const NUMBERS: usize = 256;
    /// The variance of a whole number that is uniform in 0..16.
    const VARIANCE: f64 = 255.0 / 12.0;
    // Eight scales and minima of 6 bits, each 32: four whole with the upper bits of four others, whose lower bits follow.
    const SCALES: [u8; 12] = [160, 160, 160, 160, 160, 160, 160, 160, 0, 0, 0, 0];
    let step = 1.0 / (VARIANCE * width as f64).sqrt();
    let d = f16::from_f64(step / 32.0).to_le_bytes();
    let dmin = f16::from_f64(7.5 * step / 32.0).to_le_bytes();
    let mut blocks = Vec::with_capacity(out * width / NUMBERS * 144);
    let mut numbers = [0; NUMBERS / 2];
    for _ in 0..out * width / NUMBERS {
        random.fill_bytes(&mut numbers);
        for part in [&d[..], &dmin, &SCALES, &numbers] {
            blocks.extend_from_slice(part);
        }
    }
    blocks
}

type Configs = Vec<(&'static str, Value)>;

fn mid() -> Configs {
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
    let sizes = json!({
        "vae": {"max_image_size": 448, "min_image_size": 256, "image_stride": 16},
        "vit": {"max_image_size": 434, "min_image_size": 224, "image_stride": 14}
    });
    vec![
        ("llm_config.json", llm),
        ("vit_config.json", vit),
        ("config.json", joints()),
        ("preprocessor_config.json", sizes),
    ]
}

/// BAGEL-7B-MoT; its image sizes hold where a directory names none.
fn released() -> Configs {
    let llm = json!({
        "model_type": "qwen2", "hidden_size": 3584, "intermediate_size": 18944, "num_hidden_layers": 28,
        "num_attention_heads": 28, "num_key_value_heads": 4, "vocab_size": 152064, "rope_theta": 1e6,
        "rms_norm_eps": 1e-6, "max_position_embeddings": 32768, "hidden_act": "silu", "qk_norm": true,
        "tie_word_embeddings": false, "layer_module": "Qwen2MoTDecoderLayer"
    });
    let vit = json!({
        "model_type": "siglip_vision_model", "hidden_size": 1152, "intermediate_size": 4304,
        "num_hidden_layers": 27, "num_attention_heads": 16, "patch_size": 14, "num_channels": 3,
        "hidden_act": "gelu_pytorch_tanh", "layer_norm_eps": 1e-6
    });
    vec![
        ("llm_config.json", llm),
        ("vit_config.json", vit),
        ("config.json", joints()),
    ]
}

fn joints() -> Value {
    json!({"model_type": "bagel", "latent_patch_size": 2, "vit_max_num_patch_per_side": 70})
}
