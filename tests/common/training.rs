//! What the tests of training share: tiny rows in the public training set's form, configurations, runs of the program.
#![allow(dead_code, clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use candle_core::Tensor;
use cooper_model::model::ModelConfig;
use cooper_model::model::inventory::PositionSides;
use cooper_train::training::init;
use image::{ImageBuffer, ImageFormat, Luma, Rgb, RgbImage};
use serde_json::{Value, json};

pub const WIDTH: u32 = 64;
pub const HEIGHT: u32 = 48;

/// Short, since the fixture's tokenizer knows few words.
const PROMPTS: &str = "
depth_instruction: <depth-estimation>Depth.</depth-estimation>
segmentation_instruction: <segmentation>Regions.</segmentation>
interleave_system: Think, look, answer.
perception_system: Look.
think_system: Think.
reflection: The map.
";

pub fn folder() -> tempfile::TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap()
}

/// An image of two colours that depend on `i`.
pub fn image(i: u32) -> RgbImage {
    RgbImage::from_fn(WIDTH, HEIGHT, |x, y| {
        let inside = x > 10 + 3 * i && y > 30 - 2 * i;
        let (near, far) = ((60 * i % 256) as u8, (255 - 40 * i % 256) as u8);
        Rgb(if inside {
            [near, 200, 30]
        } else {
            [far, 20, near]
        })
    })
}

/// A slope of depth, in centimetres, that depends on `i`.
pub fn depth(i: u32) -> ImageBuffer<Luma<u16>, Vec<u16>> {
    ImageBuffer::from_fn(WIDTH, HEIGHT, |x, y| {
        Luma([(100 + (20 + 5 * i) * x + 10 * y) as u16])
    })
}

fn in_base64(image: &RgbImage) -> String {
    let mut bytes = Cursor::new(Vec::new());
    image.write_to(&mut bytes, ImageFormat::Png).unwrap();
    STANDARD.encode(bytes.into_inner())
}

pub fn write_lines(path: &Path, rows: &[Value]) {
    let lines: Vec<String> = rows.iter().map(Value::to_string).collect();
    std::fs::write(path, lines.join("\n")).unwrap();
}

/// A conversation with the question's image, a thought, a map, and an answer.
pub fn conversation(i: u32) -> Value {
    let text = |value: &str, loss: &str| json!({"type": "text", "value": value, "need_loss": loss});
    let image = |i| json!({"type": "image", "value": in_base64(&image(i)), "need_loss": "false"});
    json!({"id": i, "interleaved_reason": [
        image(i),
        text(&format!("Which is nearer, {i} or {}?", i + 1), "false"),
        text("<think>near the ball</think>", "true"),
        image(i + 1),
        text("\nThe map is above.\n", "false"),
        text(&format!("<answer>{}</answer>", i % 2), "true"),
    ]})
}

/// `n` rows each in depth.jsonl, segmentation.jsonl and reason.jsonl, with their images.
pub fn write_rows(dir: &Path, n: u32) {
    let (mut depths, mut segmentations, mut reasons) = (Vec::new(), Vec::new(), Vec::new());
    for i in 0..n {
        image(i).save(dir.join(format!("rgb{i}.png"))).unwrap();
        image(i + 1).save(dir.join(format!("seg{i}.png"))).unwrap();
        depth(i).save(dir.join(format!("depth{i}.png"))).unwrap();
        let rgb = format!("rgb{i}.png");
        depths.push(json!({"id": i, "rgb_image": rgb, "depth_image": format!("depth{i}.png")}));
        segmentations.push(json!({"rgb_image": rgb, "seg_image": format!("seg{i}.png")}));
        reasons.push(conversation(i));
    }
    write_lines(&dir.join("depth.jsonl"), &depths);
    write_lines(&dir.join("segmentation.jsonl"), &segmentations);
    write_lines(&dir.join("reason.jsonl"), &reasons);
}

/// All three forms, as a configuration lists them.
pub fn all_rows(dir: &Path) -> [Value; 3] {
    [
        json!({"weight": 2, "jsonl": {"file": dir.join("depth.jsonl"), "rows": "depth",
            "depth_scale": {"scale": 100, "lo": 0.5, "hi": 40}}}),
        json!({"jsonl": {"file": dir.join("segmentation.jsonl"), "rows": "segmentation", "root": dir}}),
        json!({"weight": 2, "jsonl": {"file": dir.join("reason.jsonl"), "rows": "interleaved",
            "generated_views": "vit"}}),
    ]
}

/// A short run on the fixture model; the folder gets the rows too.
pub fn short_run(dir: &Path, out: &str) -> Value {
    write_rows(dir, 4);
    json!({
        "run": {
            "init": crate::common::fixture("checkpoint"), "out": dir.join(out), "seed": 3,
            "steps": 6, "micro_batches": 2, "threads": 1,
            "optimizer": {"lr": 1e-3}, "schedule": {"warmup": 2},
            "log_every": 1, "save_every": 100, "freeze": ["vit_model.*", "*layers.0.mlp.*"],
        },
        "samples": 2,
        "dropout": {"text": 0.2, "vit": 0.2, "vae": 0.2},
        "data": all_rows(dir),
    })
}

/// `cooper train STAGE` of a configuration, written beside its `out`.
pub fn command(stage: &str, config: &Value) -> Command {
    let out = PathBuf::from(config["run"]["out"].as_str().unwrap());
    let file = out.with_extension("yaml");
    std::fs::write(&file, config.to_string()).unwrap(); // JSON is YAML.
    let mut command = Command::new(env!("CARGO_BIN_EXE_cooper"));
    command.args(["train", stage]).arg(file);
    // Tiny matrix products are not worth more.
    command.env("RAYON_NUM_THREADS", "1");
    command
}

pub fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Train and expect it to end well; returns the last checkpoint.
#[track_caller]
pub fn train(stage: &str, config: &Value) -> PathBuf {
    let output = command(stage, config).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let steps = config["run"]["steps"].as_u64().unwrap();
    let out = PathBuf::from(config["run"]["out"].as_str().unwrap());
    out.join(format!("step-{steps:06}"))
}

/// All files below a folder with their bytes, but for some names.
pub fn files(folder: &Path, but: &[&str]) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        if entry.file_type().unwrap().is_dir() {
            for (inner, bytes) in files(&entry.path(), but) {
                found.insert(format!("{name}/{inner}"), bytes);
            }
        } else if !but.contains(&name.as_str()) {
            found.insert(name, std::fs::read(entry.path()).unwrap());
        }
    }
    found
}

/// The lines of a run's log.
pub fn log(config: &Value) -> Vec<Value> {
    let file = Path::new(config["run"]["out"].as_str().unwrap()).join("train.jsonl");
    let text = std::fs::read_to_string(file).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// A model directory smaller than the fixture's with fresh weights; its autoencoder adds no noise to speak of.
pub fn tiny_model(dir: &Path) {
    std::fs::create_dir_all(dir).unwrap();
    for name in [
        "vocab.json",
        "merges.txt",
        "tokenizer_config.json",
        "preprocessor_config.json",
    ] {
        std::fs::copy(
            crate::common::fixture("checkpoint").join(name),
            dir.join(name),
        )
        .unwrap();
    }
    for (name, config) in [
        (
            "llm_config.json",
            json!({"hidden_size": 96, "intermediate_size": 192, "num_hidden_layers": 2,
            "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 448, "rope_theta": 1e4,
            "rms_norm_eps": 1e-6, "max_position_embeddings": 1024}),
        ),
        (
            "vit_config.json",
            json!({"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2,
            "num_attention_heads": 2, "patch_size": 14}),
        ),
        (
            "ae_config.json",
            json!({"ch": 4, "ch_mult": [1, 1, 1, 1], "num_res_blocks": 1,
            "norm_num_groups": 4, "z_channels": 4, "scale_factor": 1.0, "shift_factor": 0.0}),
        ),
        (
            "config.json",
            json!({"latent_patch_size": 2, "vit_max_num_patch_per_side": 4}),
        ),
    ] {
        std::fs::write(dir.join(name), config.to_string()).unwrap();
    }
    std::fs::write(dir.join("prompts.yaml"), PROMPTS).unwrap();
    let config = ModelConfig::load(dir).unwrap();
    let sides = PositionSides { latent: 4, vit: 4 };
    let weights = init::fresh_model(&config, sides, 1).unwrap();
    candle_core::safetensors::save(&weights, dir.join("ema.safetensors")).unwrap();
    let mut vae = init::fresh_vae(&config, 2).unwrap();
    let last = |name: &str| format!("encoder.conv_out.{name}");
    for (name, log_variance) in [("weight", 0.0), ("bias", -20.0)] {
        let whole = &vae[&last(name)];
        let means = whole.narrow(0, 0, 4).unwrap();
        let variances = (means.zeros_like().unwrap() + log_variance).unwrap();
        vae.insert(last(name), Tensor::cat(&[means, variances], 0).unwrap());
    }
    candle_core::safetensors::save(&vae, dir.join("ae.safetensors")).unwrap();
}
