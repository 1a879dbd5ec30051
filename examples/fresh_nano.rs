//! Write the directory that cooper-nano's training starts from: its sizes, its tokenizer, and weights before training.
//!
//! `cargo run --release --example fresh_nano -- OUT_DIR`

use std::path::Path;

use cooper_model::model::ModelConfig;
use cooper_model::model::inventory::PositionSides;
use cooper_model::model::tokenizer::byte_level_bpe;
use cooper_model::reasoning::Prompts;
use cooper_scenes::{Scene, SceneConfig, Split};
use cooper_train::training::init::{fresh_model, fresh_vae};
use rand::SeedableRng;
use rand::rngs::StdRng;
use serde_json::{Value, json};
use tokenizers::models::TrainerWrapper;
use tokenizers::models::bpe::BpeTrainer;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::{AddedToken, Tokenizer};

const SEED: u64 = 4396;
/// Rows of the embedding; the tokenizer has no more tokens.
const VOCAB_SIZE: usize = 640;
/// Scenes whose questions the tokenizer learns its words from.
const N_SCENES: u64 = 1000;
const CONTROL: [&str; 4] = [
    "<|im_start|>",
    "<|im_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
];
const PROMPTS: &str = include_str!("../config/train/nano-prompts.yaml");

type AnyError = Box<dyn std::error::Error + Send + Sync>;

fn main() -> Result<(), AnyError> {
    let out = std::env::args().nth(1).ok_or("expected OUT_DIR")?;
    let out = Path::new(&out);
    std::fs::create_dir_all(out)?;
    for (name, config) in configs() {
        std::fs::write(
            out.join(name),
            serde_json::to_string_pretty(&config)? + "\n",
        )?;
    }
    std::fs::write(out.join("prompts.yaml"), PROMPTS)?;
    let tokenizer = tokenizer(&corpus(&Prompts::load(None, out)?))?;
    tokenizer.save(out.join("tokenizer.json"), false)?;
    let config = ModelConfig::load(out)?;
    let sides = PositionSides {
        latent: 16,
        vit: 16,
    };
    let model = fresh_model(&config, sides, SEED)?;
    let n: usize = model.values().map(|tensor| tensor.elem_count()).sum();
    candle_core::safetensors::save(&model, out.join("ema.safetensors"))?;
    let vae = fresh_vae(&config, SEED + 1)?;
    let n_vae: usize = vae.values().map(|tensor| tensor.elem_count()).sum();
    candle_core::safetensors::save(&vae, out.join("ae.safetensors"))?;
    println!(
        "tokenizer {} of {VOCAB_SIZE} tokens",
        tokenizer.get_vocab_size(true)
    );
    println!(
        "transformer {n}, autoencoder {n_vae}: {:.1} MB in bf16",
        (n + n_vae) as f64 * 2e-6
    );
    Ok(())
}

/// Everything that the model will read and write.
fn corpus(prompts: &Prompts) -> Vec<String> {
    let prompts_once = [
        prompts.depth_instruction.clone(),
        prompts.segmentation_instruction.clone(),
        prompts.interleave_system.clone(),
        prompts.perception_system.clone(),
        prompts.think_system.clone(),
        prompts.reflection.clone(),
    ];
    // A prompt is read with every question.
    let n = prompts_once.len() * N_SCENES as usize;
    let mut texts: Vec<String> = prompts_once.into_iter().cycle().take(n).collect();
    let config = SceneConfig::default();
    for index in 0..N_SCENES {
        let scene = Scene::generate(&config, Split::Train, index);
        let mut rng = StdRng::seed_from_u64(index);
        for question in scene.questions(&mut rng) {
            let instruction = question.tool().map_or("", |_| &prompts.depth_instruction);
            texts.push(question.text_reasoning());
            texts.extend(question.interleaved(instruction));
            texts.push(question.text);
        }
    }
    texts
}

/// Byte-level BPE, so that any text can be encoded.
fn tokenizer(corpus: &[String]) -> Result<Tokenizer, AnyError> {
    let mut tokenizer = Tokenizer::from_bytes(serde_json::to_vec(&byte_level_bpe())?)?;
    let trainer = BpeTrainer::builder()
        .vocab_size(VOCAB_SIZE - CONTROL.len())
        .min_frequency(20)
        .show_progress(false)
        .initial_alphabet(ByteLevel::alphabet().into_iter().collect())
        .build();
    let mut trainer = TrainerWrapper::BpeTrainer(trainer);
    tokenizer.train(&mut trainer, corpus.iter())?;
    tokenizer.add_special_tokens(CONTROL.map(|token| AddedToken::from(token, true)))?;
    Ok(tokenizer)
}

fn configs() -> Vec<(&'static str, Value)> {
    vec![
        (
            "llm_config.json",
            json!({
                "model_type": "qwen2", "hidden_size": 256, "intermediate_size": 576, "num_hidden_layers": 6,
                "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": VOCAB_SIZE, "rope_theta": 10000.0,
                "rms_norm_eps": 1e-6, "max_position_embeddings": 4096, "hidden_act": "silu", "qk_norm": true,
                "tie_word_embeddings": false, "layer_module": "Qwen2MoTDecoderLayer"
            }),
        ),
        (
            "vit_config.json",
            json!({
                "model_type": "siglip_vision_model", "hidden_size": 256, "intermediate_size": 640,
                "num_hidden_layers": 5, "num_attention_heads": 4, "patch_size": 16, "num_channels": 3,
                "hidden_act": "gelu_pytorch_tanh", "layer_norm_eps": 1e-6
            }),
        ),
        (
            "config.json",
            json!({"model_type": "bagel", "latent_patch_size": 2, "vit_max_num_patch_per_side": 16}),
        ),
        (
            "ae_config.json",
            json!({
                "ch": 16, "ch_mult": [1, 2, 4, 4], "num_res_blocks": 1, "z_channels": 16, "norm_num_groups": 4
            }),
        ),
        (
            "preprocessor_config.json",
            json!({
                "vae": {"max_image_size": 128, "min_image_size": 96, "image_stride": 16},
                "vit": {"max_image_size": 128, "min_image_size": 96, "image_stride": 16}
            }),
        ),
    ]
}
