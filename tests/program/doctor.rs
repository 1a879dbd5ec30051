//! `cooper doctor` on headers: the released model's sizes, incomplete and broken files, the fixture.
//!
//! The released files are sparse: true headers, and as many bytes as the header promises, none of them stored.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use cooper_kernels::SafetensorsHeader;
use cooper_model::model::config::{ModelConfig, VaeConfig};
use cooper_model::model::inventory::{expected_tensors, expected_vae_tensors};
use serde_json::{Value, json};

type Shapes = BTreeMap<String, Vec<usize>>;

const RELEASED_BYTES: u64 = 14_607_260_128 * 2;

fn doctor(dir: &Path, rest: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_cooper"))
        .arg("doctor")
        .arg(dir)
        .args(rest)
        .output()
        .unwrap()
}

/// The report as words, with the exit code.
fn words(dir: &Path, rest: &[&str]) -> (String, Option<i32>) {
    let output = doctor(dir, rest);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    (text, output.status.code())
}

fn report(dir: &Path) -> Value {
    serde_json::from_slice(&doctor(dir, &["--json"]).stdout).unwrap()
}

#[track_caller]
fn check_says(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "{part:?} is not in:\n{text}");
    }
}

/// A file with a header and all its bytes, of which only the header takes space on disk.
fn write_sparse(path: &Path, shapes: &Shapes, dtype: &str, bytes_each: u64) {
    let mut end = 0;
    let mut header = serde_json::Map::new();
    for (name, shape) in shapes {
        let begin = end;
        end += bytes_each * shape.iter().map(|&n| n as u64).product::<u64>();
        let tensor = json!({"dtype": dtype, "shape": shape, "data_offsets": [begin, end]});
        header.insert(name.clone(), tensor);
    }
    let header = Value::Object(header).to_string();
    let mut file = File::create(path).unwrap();
    file.write_all(&(header.len() as u64).to_le_bytes())
        .unwrap();
    file.write_all(header.as_bytes()).unwrap();
    file.set_len(8 + header.len() as u64 + end).unwrap();
}

/// A released model directory of the given name, its transformer changed by `change`.
struct Released {
    _parent: tempfile::TempDir,
    dir: PathBuf,
}

impl Released {
    fn new(name: &str, change: impl FnOnce(&mut Shapes)) -> Self {
        let parent = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let dir = parent.path().join(name);
        std::fs::create_dir(&dir).unwrap();
        let llm = json!({
            "hidden_size": 3584, "intermediate_size": 18944, "num_hidden_layers": 28,
            "num_attention_heads": 28, "num_key_value_heads": 4, "vocab_size": 152_064,
            "rope_theta": 1e6, "rms_norm_eps": 1e-6, "model_type": "qwen2",
        });
        let vit = json!({
            "hidden_size": 1152, "intermediate_size": 4304, "num_hidden_layers": 27,
            "num_attention_heads": 16, "patch_size": 14, "image_size": 980,
        });
        // The released config.json says 32 here or nothing; the table in the file says 64.
        let bagel = json!({"latent_patch_size": 2, "max_latent_size": 32});
        let files = [
            ("llm_config.json", llm),
            ("vit_config.json", vit),
            ("config.json", bagel),
            ("tokenizer.json", json!({})),
        ];
        for (file, content) in files {
            std::fs::write(dir.join(file), content.to_string()).unwrap();
        }
        let config = ModelConfig::load(&dir).unwrap();
        let mut shapes = expected_tensors(&config, &SafetensorsHeader::default());
        change(&mut shapes);
        write_sparse(&dir.join("ema.safetensors"), &shapes, "BF16", 2);
        let vae = expected_vae_tensors(&VaeConfig::default());
        write_sparse(&dir.join("ae.safetensors"), &vae, "F32", 4);
        Self {
            _parent: parent,
            dir,
        }
    }

    fn weights(&self) -> PathBuf {
        self.dir.join("ema.safetensors")
    }
}

#[test]
fn the_released_model_is_named_in_full() {
    let released = Released::new("COOPER", |_| {});
    let started = Instant::now();
    let (text, code) = words(&released.dir, &[]);
    let took = started.elapsed();
    assert_eq!(code, Some(0), "{text}");
    assert!(took < Duration::from_secs(1), "{took:?}");
    check_says(
        &text,
        &[
            "1223 tensors, 14 607 260 128 parameters, stored as BF16",
            "83 819 683 parameters, stored as F32",
            "COOPER-style, complete",
            "so probably COOPER",
            "headers cannot tell them apart",
            "56.8 GB",
            "29.2 GB",
            "the model can be loaded",
            "prompts.yaml               not there: the built-in prompts are used",
        ],
    );
}

#[test]
fn memory_is_told_for_each_number_format() {
    let released = Released::new("model", |_| {});
    let report = report(&released.dir);
    assert_eq!(report["loadable"], true, "{report}");
    assert_eq!(report["weights"]["tensors"], 1223);
    assert_eq!(report["weights"]["parameters"], 14_607_260_128_u64);
    assert_eq!(report["weights"]["dtypes"], json!({"BF16": 1223}));
    assert_eq!(report["finding"]["likely"], Value::Null);
    let available = report["machine"]["memory_available_bytes"].as_u64();
    let memory = report["memory"].as_array().unwrap();
    let formats: Vec<_> = memory.iter().map(|need| need["dtype"].clone()).collect();
    let expected = [
        "f32", "bf16", "f16", "f32+q8_0", "f16+q8_0", "f32+q4k", "f16+q4k", "f32+q5k", "f16+q5k",
    ];
    assert_eq!(formats, expected);
    let bytes = |need: &Value, part: &str| need["plan"][part].as_u64().unwrap();
    // Both experts of 28 layers.
    let in_matrices = 2 * 28 * (2 * 3584 * 3584 + 2 * 512 * 3584 + 3 * 18_944 * 3584_u64);
    let others = RELEASED_BYTES / 2 - in_matrices;
    for need in memory {
        let dtype = need["dtype"].as_str().unwrap();
        let number = if dtype.starts_with("f32") { 4 } else { 2 };
        // Embedding and head stay in the 16 bits that they are stored in; beside the head are its rows in 8 bits, each
        // with two numbers, for the token that is argmax.
        let vocabulary = 2 * 152_064 * 3584;
        let draft = if number == 4 { 152_064 * (3584 + 8) } else { 0 };
        let expected = (others - vocabulary) * number + vocabulary * 2 + draft;
        assert_eq!(bytes(need, "other_weights"), expected);
        let vae = bytes(need, "vae") / 2;
        if dtype.contains('+') {
            // Most of it in 16 bits, where the processor multiplies them.
            assert!((83_819_683..=83_819_683 * 2).contains(&vae), "{need}");
        } else {
            assert_eq!(vae, 83_819_683 * 2);
            assert_eq!(bytes(need, "matrices"), in_matrices * number);
        }
        // Keys and values of 28 layers with 4 heads of 128 numbers, of several thousand tokens.
        let thousand = 1000 * 2 * 28 * 4 * 128 * number;
        let contexts = bytes(need, "contexts");
        assert!((10 * thousand..40 * thousand).contains(&contexts), "{need}");
        let parts = ["process", "matrices", "other_weights", "vae"];
        let weights: u64 = parts.map(|part| bytes(need, part)).into_iter().sum();
        let working: u64 = ["contexts", "kept", "step_bytes"]
            .map(|part| bytes(need, part))
            .into_iter()
            .sum();
        let total = need["total_bytes"].as_u64().unwrap();
        assert_eq!(total, weights + working.max(bytes(need, "loading")));
        // What is available changes between two looks, but not by a gigabyte here.
        if let Some(available) = available.filter(|a| a.abs_diff(total) > 1 << 30) {
            assert_eq!(need["fits"], available > total);
        }
    }
    // Eight bits, four or five, and a scale for 32 or two for 256; other forms that processors want are at most 16 bits.
    for (need, sixteenths) in [(&memory[3], 17), (&memory[5], 9), (&memory[7], 11)] {
        let matrices = bytes(need, "matrices");
        let stored = in_matrices / 16 * sixteenths;
        assert!(stored <= matrices && matrices <= 2 * in_matrices, "{need}");
    }
    // Larger images take more.
    let output = doctor(&released.dir, &["--json", "--picture", "1024x1024"]);
    let larger: Value = serde_json::from_slice(&output.stdout).unwrap();
    let total = |report: &Value| report["memory"][0]["total_bytes"].as_u64().unwrap();
    assert!(total(&larger) > total(&report) + 1_000_000_000);
    let output = doctor(&released.dir, &["--picture", "1024"]);
    assert!(String::from_utf8_lossy(&output.stderr).contains("such as 640x480"));
}

#[test]
fn plain_bagel_is_suspected_by_name_only() {
    let released = Released::new("BAGEL-7B-MoT", |_| {});
    let (text, code) = words(&released.dir, &[]);
    assert_eq!(code, Some(0), "{text}");
    check_says(
        &text,
        &["so probably plain BAGEL, which cannot draw", "--weights"],
    );
    // COOPER's weights over BAGEL's configs.
    let cooper = Released::new("COOPER-AMG", |_| {});
    let (text, code) = words(
        &released.dir,
        &["--weights", cooper.weights().to_str().unwrap()],
    );
    assert_eq!(code, Some(0), "{text}");
    check_says(&text, &["so probably COOPER-AMG"]);
}

#[test]
fn weights_of_a_training_run_lack_the_tables() {
    let trained = Released::new("run", |shapes| {
        shapes.retain(|name, _| !name.ends_with("pos_embed"));
    });
    std::fs::rename(trained.weights(), trained.dir.join("model.safetensors")).unwrap();
    let (text, code) = words(&trained.dir, &[]);
    assert_eq!(code, Some(0), "{text}");
    check_says(
        &text,
        &[
            "1221 tensors",
            "latent_pos_embed.pos_embed and vit_pos_embed.pos_embed absent",
            "named model.safetensors, as COOPER's reinforcement learning writes it",
        ],
    );
}

#[test]
fn incomplete_weights_are_told_apart() {
    let understanding = Released::new("model", |shapes| {
        shapes.retain(|name, _| {
            let drawing = [
                "_moe_gen",
                "vae2llm",
                "llm2vae",
                "time_embedder",
                "latent_pos",
            ];
            !drawing.iter().any(|part| name.contains(part))
        });
    });
    let (text, code) = words(&understanding.dir, &[]);
    assert_eq!(code, Some(1), "{text}");
    check_says(
        &text,
        &[
            "understanding only: ",
            "generation expert (_moe_gen): 393 of 393 tensors missing; it cannot draw",
            "401 missing tensors:",
            "and 381 more",
            "cannot be loaded",
        ],
    );
    let partial = Released::new("model", |shapes| {
        shapes.remove("connector.fc1.bias");
        shapes.insert("llm2vae.weight".into(), vec![16, 3584]);
    });
    let (text, code) = words(&partial.dir, &[]);
    assert_eq!(code, Some(1), "{text}");
    check_says(
        &text,
        &[
            "incomplete: ",
            "vision encoder and connector: 1 of",
            "1 missing tensor:",
            "llm2vae.weight: expected [64, 3584], got [16, 3584]",
        ],
    );
    let foreign = Released::new("model", |shapes| {
        *shapes = BTreeMap::from([("model.embed_tokens.weight".into(), vec![8, 8])]);
    });
    assert_eq!(report(&foreign.dir)["finding"]["kind"], "foreign");
}

#[test]
fn a_broken_download_is_told_with_its_sizes() {
    let released = Released::new("COOPER", |_| {});
    let file = File::options()
        .write(true)
        .open(released.weights())
        .unwrap();
    let whole = file.metadata().unwrap().len();
    file.set_len(10_000_000_000).unwrap();
    let (text, code) = words(&released.dir, &[]);
    assert_eq!(code, Some(1), "{text}");
    let sizes = format!("truncated: expected {whole} bytes, got 10000000000");
    check_says(&text, &["ema.safetensors", &sizes]);
    std::fs::write(released.weights(), "<html>not found</html>").unwrap();
    check_says(&words(&released.dir, &[]).0, &["not a safetensors file"]);
}

#[test]
fn everything_that_is_missing_is_said_at_once() {
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let (text, code) = words(dir.path(), &[]);
    assert_eq!(code, Some(1), "{text}");
    check_says(
        &text,
        &[
            "llm_config.json, vit_config.json, vocab.json, merges.txt, tokenizer_config.json, ae.safetensors",
            "expected ema.safetensors or model.safetensors, got neither",
        ],
    );
    let output = doctor(Path::new("models/none"), &[]);
    assert_eq!(output.status.code(), Some(1));
    let message = String::from_utf8_lossy(&output.stderr);
    check_says(
        &message,
        &[
            "models/none",
            "expected a model directory, got no such folder",
        ],
    );
}

#[test]
fn the_fixture_is_well() {
    let report = report(Path::new("tests/fixtures/random-a/checkpoint"));
    assert_eq!(report["loadable"], true, "{report}");
    assert_eq!(report["problems"], json!([]));
    assert_eq!(report["weights"]["tensors"], 155);
    assert_eq!(report["vae"]["tensors"], 176);
    assert_eq!(report["finding"]["kind"], "cooper_style");
    assert_eq!(report["memory"][0]["fits"], true);
}
