//! The memory plan against what a process really takes, the refusal to load what does not fit, and the autoencoder in
//! bands, which bound its memory, against the whole one.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::process::Command;

use candle_core::DType;
use cooper_kernels::SafetensorsHeader;
use cooper_kernels::keep_one_heap;
use cooper_model::engine::{
    Control, DeviceChoice, DtypeChoice, Engine, FlowParams, Format, MapKind, MatrixSource,
    MemoryPlan, ModelOptions, Quantization, Workload, quantize,
};
use cooper_model::model::ModelConfig;
use cooper_model::model::inventory::{PositionSides, Shapes, expected_vae_tensors, tensors};
use cooper_model::perception::{MapRequest, draw_map_of};
use cooper_train::training::init::fresh;
use image::RgbImage;
use serde_json::json;

/// Which task a process of its own is given.
const CHILD: &str = "COOPER_MEMORY_CHILD";
const IMAGE: (u32, u32) = (256, 192);

/// A model with the full-size autoencoder and these sizes of the language model.
fn write_configs(dir: &Path, hidden: usize, inner: usize, layers: usize, vocabulary: usize) {
    let llm = json!({
        "hidden_size": hidden, "intermediate_size": inner, "num_hidden_layers": layers,
        "num_attention_heads": (hidden / 128).min(1024), "num_key_value_heads": 2,
        "vocab_size": vocabulary, "rope_theta": 1e6, "rms_norm_eps": 1e-6,
    });
    let vit = json!({
        "hidden_size": 192, "intermediate_size": 768, "num_hidden_layers": 3,
        "num_attention_heads": 3, "patch_size": 14,
    });
    let sizes = json!({
        "vae": {"max_image_size": 320, "min_image_size": 192, "image_stride": 16},
        "vit": {"max_image_size": 224, "min_image_size": 112, "image_stride": 14},
    });
    let files = [
        ("llm_config.json", llm),
        ("vit_config.json", vit),
        ("config.json", json!({"latent_patch_size": 2})),
        ("preprocessor_config.json", sizes),
    ];
    for (name, content) in files {
        std::fs::write(dir.join(name), content.to_string()).unwrap();
    }
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/random-a/checkpoint");
    for name in ["vocab.json", "merges.txt", "tokenizer_config.json"] {
        std::fs::copy(fixture.join(name), dir.join(name)).unwrap();
    }
}

/// Of the transformer and of the autoencoder.
fn shapes(dir: &Path) -> (Shapes, Shapes) {
    let config = ModelConfig::load(dir).unwrap();
    let sides = PositionSides {
        latent: 32,
        vit: 70,
    };
    let vae = expected_vae_tensors(&config.vae);
    (tensors(&config, sides), vae)
}

fn write_weights(dir: &Path) {
    let (transformer, vae) = shapes(dir);
    for (name, shapes, dtype) in [
        ("ema.safetensors", transformer, DType::BF16),
        ("ae.safetensors", vae, DType::F32),
    ] {
        let weights = fresh(&shapes, 1, 7).unwrap().into_iter();
        let weights = weights.map(|(name, tensor)| (name, tensor.to_dtype(dtype).unwrap()));
        candle_core::safetensors::save(&weights.collect(), dir.join(name)).unwrap();
    }
}

fn options(dir: &Path, quantization: Quantization) -> ModelOptions {
    ModelOptions {
        dir: dir.into(),
        device: DeviceChoice::Cpu,
        dtype: DtypeChoice::F32,
        quantization,
        ..ModelOptions::default()
    }
}

/// What a map takes, planned from the headers of the plain model.
fn planned(plain: &Path, quantization: Quantization, quantized_from: MatrixSource) -> MemoryPlan {
    let header = |name: &str| SafetensorsHeader::read(&plain.join(name)).unwrap();
    let format = Format {
        dtype: DType::F32,
        vae_dtype: DType::F32,
        quantization,
        quantized_from,
    };
    let config = ModelConfig::load(plain).unwrap();
    let (transformer, vae) = (header("ema.safetensors"), header("ae.safetensors"));
    MemoryPlan::new(&config, &transformer, &vae, format, Workload::map(IMAGE))
}

/// In a process of its own: load the model, draw a map, and tell the peak of the resident memory.
#[test]
fn child() {
    let Ok(task) = std::env::var(CHILD) else {
        return;
    };
    // As the programs do.
    keep_one_heap();
    let (quantization, dir) = task.split_once(' ').unwrap();
    let engine = Engine::load(&options(Path::new(dir), quantization.parse().unwrap())).unwrap();
    let image = RgbImage::from_fn(IMAGE.0, IMAGE.1, |x, y| image::Rgb([x as u8, y as u8, 7]));
    let flow = FlowParams {
        time_points: 3,
        ..FlowParams::default()
    };
    let request = MapRequest {
        instruction: "Draw the depth.",
        flow: &flow,
        seed: 1,
    };
    let control = &mut Control::unattended();
    draw_map_of(&engine, MapKind::Depth, &request, &image, control).unwrap();
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:"));
    println!("{}", line.unwrap());
}

fn measured(dir: &Path, quantization: Quantization) -> u64 {
    let output = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "memory::child",
            "--nocapture",
            "--test-threads=1",
        ])
        .env(CHILD, format!("{} {}", quantization.name(), dir.display()))
        // As many as the plan counts, which is made here.
        .env(
            "RAYON_NUM_THREADS",
            rayon::current_num_threads().to_string(),
        )
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{told}");
    let line = told.lines().find_map(|line| line.split_once("VmHWM:"));
    let kilobytes = line.unwrap().1.trim().trim_end_matches("kB").trim();
    kilobytes.parse::<u64>().unwrap() * 1024
}

/// Large enough that the program itself does not decide: 305 million parameters beside the autoencoder's 84.
#[test]
#[cfg(target_os = "linux")]
fn the_plan_is_near_what_a_map_takes() {
    let folder = tempfile::tempdir().unwrap();
    let plain = folder.path().join("plain");
    std::fs::create_dir(&plain).unwrap();
    write_configs(&plain, 1024, 4096, 10, 8192);
    write_weights(&plain);
    use MatrixSource::{File, Weights};
    let in_file = folder.path().join("q8_0");
    let asked = options(&plain, Quantization::Q8_0);
    quantize(&asked, &in_file, &mut |_, _| ()).unwrap();
    for (dir, asked, quantization, quantized_from) in [
        (&plain, Quantization::None, Quantization::None, Weights),
        (&plain, Quantization::Q8_0, Quantization::Q8_0, Weights),
        (&plain, Quantization::Q5K, Quantization::Q5K, Weights),
        (&in_file, Quantization::None, Quantization::Q8_0, File),
    ] {
        let plan = planned(&plain, quantization, quantized_from);
        let (planned, measured) = (plan.peak(), measured(dir, asked));
        let ratio = planned as f64 / measured as f64;
        let kind = format!("{}, from {quantized_from:?}", quantization.name());
        println!("{kind}: planned {planned}, measured {measured}: {ratio:.3} ({plan})");
        assert!((0.9..1.1).contains(&ratio), "{kind}: {ratio}");
    }
}

/// A safetensors file of which only the header takes space on disk.
fn write_sparse(path: &Path, shapes: &Shapes) {
    let mut end = 0;
    let mut header = serde_json::Map::new();
    for (name, shape) in shapes {
        let begin = end;
        end += 2 * shape.iter().map(|&n| n as u64).product::<u64>();
        let tensor = json!({"dtype": "BF16", "shape": shape, "data_offsets": [begin, end]});
        header.insert(name.clone(), tensor);
    }
    let header = serde_json::Value::Object(header).to_string();
    let mut file = File::create(path).unwrap();
    let length = (header.len() as u64).to_le_bytes();
    file.write_all(&length).unwrap();
    file.write_all(header.as_bytes()).unwrap();
    file.set_len(8 + header.len() as u64 + end).unwrap();
}

#[test]
#[cfg(target_os = "linux")]
fn what_does_not_fit_is_refused_with_the_numbers() {
    // Where files may have any size: the embeddings alone have more bytes than a process can address.
    let dir = tempfile::tempdir_in("/dev/shm").unwrap();
    write_configs(dir.path(), 1 << 23, 1024, 1, 1 << 24);
    let (transformer, vae) = shapes(dir.path());
    write_sparse(&dir.path().join("ema.safetensors"), &transformer);
    write_sparse(&dir.path().join("ae.safetensors"), &vae);
    let load = |ignores_memory| {
        let options = ModelOptions {
            ignores_memory,
            ..options(dir.path(), Quantization::None)
        };
        Engine::load(&options).unwrap_err().to_string()
    };
    let refusal = load(false);
    println!("{refusal}");
    for part in [
        "of free memory for questions about images of 640x480, got ",
        "its other weights 1266",
        "autoencoder 0.34 GB",
        "no number format of it fits here",
        "--ignore-memory",
        "model.ignore_memory",
    ] {
        assert!(refusal.contains(part), "{part:?} is not in {refusal}");
    }
    // Who insists gets as far as the system lets him.
    let tried = load(true);
    assert!(tried.contains("annot allocate memory"), "{tried}");
}
