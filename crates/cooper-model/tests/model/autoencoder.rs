//! Autoencoders of other forms and with other names than FLUX's, from `ae_config.json`.

use std::collections::HashMap;
use std::path::Path;

use candle_core::{DType, Device, Tensor};
use candle_nn::VarBuilder;
use cooper_kernels::ConvPrecision;
use cooper_kernels::SafetensorsHeader;
use cooper_model::engine::{Engine, ModelOptions, Noise};
use cooper_model::model::inventory::{check_vae, expected_vae_tensors};
use cooper_model::model::{FluxVae, ModelConfig};
use serde_json::{Value, json};

use crate::common::{ENGINE, fixture, model_options};

type Weights = HashMap<String, Tensor>;

/// The fixture's model directory with another autoencoder.
fn model_directory(ae_config: &Value, weights: &Weights) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(fixture("checkpoint")).unwrap() {
        let path = entry.unwrap().path();
        std::fs::copy(&path, dir.path().join(path.file_name().unwrap())).unwrap();
    }
    std::fs::write(dir.path().join("ae_config.json"), ae_config.to_string()).unwrap();
    write(dir.path(), weights);
    dir
}

fn write(dir: &Path, weights: &Weights) {
    candle_core::safetensors::save(weights, dir.join("ae.safetensors")).unwrap();
}

/// FLUX's names as diffusers' conversion script renames them, for four levels.
fn diffusers_name(name: &str) -> String {
    let mut name = name.to_owned();
    for level in 0..4 {
        let down = format!("encoder.down_blocks.{level}.");
        let up = format!("decoder.up_blocks.{}.", 3 - level);
        name = name.replace(&format!("encoder.down.{level}."), &down);
        name = name.replace(&format!("decoder.up.{level}."), &up);
    }
    for (flux, diffusers) in [
        (".block.", ".resnets."),
        (".downsample.", ".downsamplers.0."),
        (".upsample.", ".upsamplers.0."),
        ("mid.block_1", "mid_block.resnets.0"),
        ("mid.block_2", "mid_block.resnets.1"),
        ("mid.attn_1.norm", "mid_block.attentions.0.group_norm"),
        ("mid.attn_1.proj_out", "mid_block.attentions.0.to_out.0"),
        ("mid.attn_1.", "mid_block.attentions.0.to_"),
        ("coder.norm_out", "coder.conv_norm_out"),
        ("nin_shortcut", "conv_shortcut"),
    ] {
        name = name.replace(flux, diffusers);
    }
    name
}

/// The fixture's autoencoder with diffusers' names, attention's weights as linear layers.
fn diffusers_weights() -> Weights {
    let file = fixture("checkpoint/ae.safetensors");
    let weights = candle_core::safetensors::load(file, &Device::Cpu).unwrap();
    let renamed = weights.into_iter().map(|(name, tensor)| {
        let name = diffusers_name(&name);
        let tensor = match name.contains(".attentions.0.to_") && tensor.rank() == 4 {
            true => tensor.flatten_from(1).unwrap(),
            false => tensor,
        };
        (name, tensor)
    });
    renamed.collect()
}

/// The fixture's autoencoder as diffusers describes it.
fn diffusers_config() -> Value {
    json!({
        "layout": "diffusers", "block_out_channels": [32, 32, 64, 64], "num_res_blocks": 1,
        "z_channels": 16, "scale_factor": 0.3611, "shift_factor": 0.1159,
    })
}

fn load(dir: &Path) -> Result<Engine, String> {
    let options = ModelOptions {
        dir: dir.into(),
        ..model_options()
    };
    Engine::load(&options).map_err(|e| e.to_string())
}

fn numbers(tensor: &Tensor) -> Vec<f32> {
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

#[test]
fn the_same_weights_draw_the_same_under_the_names_of_diffusers() {
    let weights = diffusers_weights();
    for name in [
        "encoder.down_blocks.0.resnets.0.conv1.weight",
        "encoder.mid_block.attentions.0.to_q.weight",
        "decoder.up_blocks.0.upsamplers.0.conv.bias",
    ] {
        assert!(weights.contains_key(name), "{name}");
    }
    let dir = model_directory(&diffusers_config(), &weights);
    let engine = load(dir.path()).unwrap();
    let tokens = Noise::seeded(3).normal((4 * 3, 64), &Device::Cpu).unwrap();
    let draw = |engine: &Engine| numbers(&engine.decode_latent(&tokens, (64, 48)).unwrap());
    assert_eq!(draw(&engine), draw(&ENGINE));
    let pixels = Noise::seeded(4).normal((1, 3, 48, 64), &Device::Cpu);
    let pixels = pixels.unwrap();
    let encode = |engine: &Engine| numbers(&engine.vae().moments(&pixels).unwrap());
    assert_eq!(encode(&engine), encode(&ENGINE));
    assert_eq!(engine.memory_bytes(), ENGINE.memory_bytes());
}

#[test]
fn tensors_that_the_layout_does_not_expect_are_named() {
    let mut weights = diffusers_weights();
    let surplus = weights.remove("decoder.conv_norm_out.bias").unwrap();
    weights.insert("decoder.norm_out.bias".into(), surplus);
    let dir = model_directory(&diffusers_config(), &weights);
    let error = load(dir.path()).unwrap_err();
    for part in [
        "ae.safetensors",
        "1 missing tensor:\n  decoder.conv_norm_out.bias",
        "1 unexpected tensor:\n  decoder.norm_out.bias",
    ] {
        assert!(error.contains(part), "{part:?} is not in {error}");
    }
    let unknown = json!({"layout": "keras"});
    let error = load(model_directory(&unknown, &weights).path()).unwrap_err();
    assert!(
        error.contains("ae_config.json") && error.contains("keras"),
        "{error}"
    );
    let broken = json!({"block_out_channels": []});
    let error = load(model_directory(&broken, &weights).path()).unwrap_err();
    let expected = "ae_config.json: block_out_channels: its length: expected 1 to 16, got 0";
    assert!(error.contains(expected), "{error}");
}

/// Normal weights with variance 1/inputs, norms 1.
fn random_weights(config: &ModelConfig) -> Weights {
    let mut noise = Noise::seeded(6);
    let shapes = expected_vae_tensors(&config.vae).into_iter();
    let weights = shapes.map(|(name, shape)| {
        let n_inputs: usize = shape.iter().skip(1).product();
        let tensor = match shape.len() {
            1 => Tensor::ones(shape, DType::F32, &Device::Cpu),
            _ => noise.normal(shape, &Device::Cpu).unwrap() / (n_inputs as f64).sqrt(),
        };
        (name, tensor.unwrap())
    });
    weights.collect()
}

#[test]
fn another_form_encodes_and_decodes() {
    let form = json!({
        "layout": "diffusers", "block_out_channels": [8, 24, 40], "num_res_blocks": 2,
        "norm_num_groups": 4, "z_channels": 6, "mid_block_add_attention": false,
        "use_quant_conv": true, "use_post_quant_conv": true,
    });
    let dir = model_directory(&form, &Weights::new());
    let config = ModelConfig::load(dir.path()).unwrap();
    let mut weights = random_weights(&config);
    let header = |weights: &Weights| {
        write(dir.path(), weights);
        SafetensorsHeader::read(&dir.path().join("ae.safetensors")).unwrap()
    };
    let mismatch = check_vae(&config.vae, &header(&weights));
    assert!(mismatch.is_empty(), "{mismatch}");
    assert!(weights.contains_key("post_quant_conv.weight"));
    assert!(!weights.keys().any(|name| name.contains("attention")));

    let vb = VarBuilder::from_tensors(weights.clone(), DType::F32, &Device::Cpu);
    let vae = FluxVae::new(&config.vae, ConvPrecision::F32, vb).unwrap();
    let pixels = Noise::seeded(4).normal((1, 3, 24, 32), &Device::Cpu);
    let moments = vae.moments(&pixels.unwrap()).unwrap();
    assert_eq!(moments.dims(), [1, 12, 6, 8]);
    let latent = vae.latent(&moments, None).unwrap();
    let drawn = vae.decode(&latent).unwrap();
    assert_eq!(drawn.dims(), [1, 3, 24, 32]);
    assert!(numbers(&drawn).iter().all(|x| x.is_finite()));

    weights.remove("quant_conv.bias");
    let mismatch = check_vae(&config.vae, &header(&weights));
    assert_eq!(mismatch.missing, ["quant_conv.bias"]);
}
