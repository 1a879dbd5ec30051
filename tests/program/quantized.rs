//! Quantised matrices: near the plain ones, the same from a file as on the fly, and clear errors.

use std::path::Path;
use std::process::Command;

use candle_core::{DType, Device, Module, Tensor};
use candle_nn::VarBuilder;
use cooper_kernels::{ConvPrecision, GgufFile, Linear, Matrices, swiglu};
use cooper_model::engine::{
    Control, Engine, FlowParams, GuidanceContexts, ModelOptions, Noise, Quantization, Views,
    quantize,
};
use cooper_model::model::config::VaeConfig;
use cooper_model::model::inventory::expected_vae_tensors;
use cooper_model::model::{FluxVae, ModelConfig};
use cooper_train::training::init::fresh;

use crate::common;

/// A matrix (out, width) of seeded numbers and its quantised form.
fn layers(out: usize, width: usize, quantization: Quantization) -> (Linear, Linear) {
    let numbers = Noise::seeded(7).normal((out, width), &Device::Cpu).unwrap();
    let bias = Noise::seeded(8).normal(out, &Device::Cpu).unwrap();
    let tensors = [("weight".to_owned(), numbers), ("bias".to_owned(), bias)];
    let vb = VarBuilder::from_tensors(tensors.into(), DType::F32, &Device::Cpu);
    let build = |quantization| Matrices::Stored(quantization).linear(width, out, vb.clone());
    (
        build(Quantization::None).unwrap(),
        build(quantization).unwrap(),
    )
}

fn relative_error(exact: &Tensor, got: &Tensor) -> f32 {
    let size = |t: &Tensor| {
        t.sqr()
            .unwrap()
            .sum_all()
            .unwrap()
            .to_scalar::<f32>()
            .unwrap()
            .sqrt()
    };
    size(&(exact - got).unwrap()) / size(exact)
}

#[track_caller]
fn check_layer(out: usize, width: usize, quantization: Quantization, tolerance: f32) {
    let (plain, quantized) = layers(out, width, quantization);
    assert!(matches!(quantized, Linear::Quantized(_)));
    // One row takes another path through candle than many.
    for n in [1, 3, 40] {
        let xs = Noise::seeded(9).normal((n, width), &Device::Cpu).unwrap();
        let (exact, got) = (plain.forward(&xs).unwrap(), quantized.forward(&xs).unwrap());
        let error = relative_error(&exact, &got);
        assert!(error < tolerance, "{n} rows of {width}: {error}");
        assert!(error > 0.0, "nothing was quantised");
    }
}

#[test]
fn a_quantised_layer_is_near_the_plain_one() {
    check_layer(48, 64, Quantization::Q8_0, 0.01);
    // Rows of whole blocks of 256 take a path that rounds what they are multiplied with to 8 bits, too.
    check_layer(48, 512, Quantization::Q8_0, 0.02);
    check_layer(48, 512, Quantization::Q4K, 0.1);
    check_layer(48, 512, Quantization::Q5K, 0.06);
    // Rows of 64 are no whole blocks of 256: 8 bits.
    check_layer(48, 64, Quantization::Q4K, 0.01);
    check_layer(48, 64, Quantization::Q5K, 0.01);
}

#[test]
fn swiglu_from_end_to_end_is_swiglu_by_parts() {
    let numbers = |seed| {
        Noise::seeded(seed)
            .normal((512, 512), &Device::Cpu)
            .unwrap()
    };
    let tensors = (0..3).map(|i| (format!("{i}.weight"), numbers(i)));
    let vb = VarBuilder::from_tensors(tensors.collect(), DType::F32, &Device::Cpu);
    for quantization in [Quantization::Q8_0, Quantization::Q4K, Quantization::Q5K] {
        let matrices = Matrices::Stored(quantization);
        let layer = |i: u64| matrices.linear_no_bias(512, 512, vb.pp(i)).unwrap();
        let [gate, up, down] = [layer(0), layer(1), layer(2)];
        // Few rows and many, of which not all make whole groups.
        for n in [1, 5, 500] {
            let xs = Noise::seeded(9).normal((n, 512), &Device::Cpu).unwrap();
            let got = Linear::gated([&gate, &up, &down], &xs).unwrap();
            let [gated, upped] = [&gate, &up].map(|layer| layer.forward(&xs).unwrap());
            let expected = down.forward(&swiglu(&gated, &upped).unwrap()).unwrap();
            assert!(relative_error(&expected, &got) < 1e-6);
        }
    }
}

#[test]
fn rows_that_are_no_whole_blocks_stay_as_they_are() {
    let (_, same) = layers(8, 40, Quantization::Q4K);
    assert!(matches!(same, Linear::Plain(_)));
}

fn depth_latent(engine: &Engine) -> Vec<f32> {
    let mut contexts = GuidanceContexts::default();
    let mut noise = Noise::seeded(1);
    let image = common::image();
    let views = Views::VaeAndVit;
    engine
        .prefill_image(&mut contexts.full, &image, views, &mut noise)
        .unwrap();
    let params = FlowParams {
        time_points: 3,
        guidance_text: 1.0,
        guidance_image: 1.0,
        ..FlowParams::default()
    };
    let control = &mut Control::unattended();
    let size = (image.width(), image.height());
    let size = engine.vae_rule().apply(&image).dimensions().min(size);
    let latent = engine.sample_latent(&contexts, size, &params, &mut noise, control);
    let latent = latent.unwrap().tokens;
    latent.flatten_all().unwrap().to_vec1().unwrap()
}

fn load(dir: &Path, quantization: Quantization) -> Result<Engine, String> {
    let options = ModelOptions {
        dir: dir.into(),
        quantization,
        ..common::model_options()
    };
    Engine::load(&options).map_err(|e| e.to_string())
}

#[test]
fn a_quantised_directory_is_the_model_quantised_on_load() {
    let plain_dir = common::fixture("checkpoint");
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("q8");
    let options = ModelOptions {
        quantization: Quantization::Q8_0,
        ..common::model_options()
    };
    let mut told = Vec::new();
    let done = quantize(&options, &dir, &mut |done, all| told.push((done, all))).unwrap();
    assert_eq!(told.last(), Some(&(42, 42)));
    assert_eq!(done.types, [("Q8_0".to_owned(), 42)].into());
    assert!(done.kept.is_empty() && done.bytes_after < done.bytes_before);

    let stored = load(&dir, Quantization::None).unwrap();
    let on_load = load(&plain_dir, Quantization::Q8_0).unwrap();
    let plain = load(&plain_dir, Quantization::None).unwrap();
    assert_eq!(stored.dtype_name(), "f32+q8_0");
    // What candle makes of a matrix stands beside it, or in its place where it is in a file.
    assert!(stored.memory_bytes() <= on_load.memory_bytes());
    assert!(stored.memory_bytes() < plain.memory_bytes());
    assert_eq!(depth_latent(&stored), depth_latent(&on_load));
    assert_ne!(depth_latent(&stored), depth_latent(&plain));

    // What does not fit is told with the file and both sides.
    let error = load(&dir, Quantization::Q4K).unwrap_err();
    for part in ["transformer.gguf", "expected q4k", "got matrices in q8_0"] {
        assert!(error.contains(part), "{error}");
    }
    let again = ModelOptions {
        dir: dir.clone(),
        ..options.clone()
    };
    let error = quantize(&again, &folder.path().join("twice"), &mut |_, _| ()).unwrap_err();
    assert!(
        error.to_string().contains("expected plain weights"),
        "{error}"
    );
    assert!(!folder.path().join("twice").exists());
    let error = quantize(&options, &dir, &mut |_, _| ()).unwrap_err();
    assert!(error.to_string().contains("does not exist yet"), "{error}");

    // Doctor knows it.
    let output = Command::new(env!("CARGO_BIN_EXE_cooper"))
        .arg("doctor")
        .arg(&dir)
        .output()
        .unwrap();
    let report = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && report.contains("42 Q8_0"),
        "{report}"
    );

    // A file that is cut off, and one that is no GGUF.
    let gguf = dir.join("transformer.gguf");
    let bytes = std::fs::read(&gguf).unwrap();
    std::fs::write(&gguf, &bytes[..bytes.len() / 2]).unwrap();
    let error = load(&dir, Quantization::None).unwrap_err();
    assert!(error.contains("remaining in file"), "{error}");
    std::fs::write(&gguf, "<!DOCTYPE html>").unwrap();
    let error = load(&dir, Quantization::None).unwrap_err();
    assert!(
        error.contains("transformer.gguf") && error.contains("expected a GGUF file"),
        "{error}"
    );
    // A matrix that could not be quantised is in the weights file, with the rest.
    std::fs::write(&gguf, &bytes).unwrap();
    let of_file = Matrices::Gguf(GgufFile::open(&gguf).unwrap().into());
    let numbers = Noise::seeded(7).normal((8, 40), &Device::Cpu).unwrap();
    let rest = VarBuilder::from_tensors(
        [("kept.weight".to_owned(), numbers)].into(),
        DType::F32,
        &Device::Cpu,
    );
    let kept = of_file.linear_no_bias(40, 8, rest.pp("kept")).unwrap();
    assert!(matches!(kept, Linear::Plain(_)));
    // Plain weights beside a GGUF: which are meant?
    std::fs::copy(
        plain_dir.join("ema.safetensors"),
        dir.join("ema.safetensors"),
    )
    .unwrap();
    let error = load(&dir, Quantization::None).unwrap_err();
    assert!(error.contains("is in the weights file, too"), "{error}");
}

#[test]
fn the_autoencoder_in_16_bits_is_near_the_exact_one() {
    let nano = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/cooper-nano");
    let nano_config = ModelConfig::load(&nano).unwrap().vae;
    let stored = candle_core::safetensors::load(nano.join("ae.safetensors"), &Device::Cpu).unwrap();
    let large = VaeConfig::default();
    let drawn = fresh(&expected_vae_tensors(&large), 1, 3).unwrap();
    for (config, weights, (width, height)) in
        [(nano_config, stored, (128, 96)), (large, drawn, (80, 48))]
    {
        let build = |products| {
            let vb = VarBuilder::from_tensors(weights.clone(), DType::F32, &Device::Cpu);
            FluxVae::new(&config, products, vb).unwrap()
        };
        let (exact, rounded) = (build(ConvPrecision::F32), build(ConvPrecision::I16));
        let noise = Noise::seeded(5).normal((1, 3, height, width), &Device::Cpu);
        let pixels = noise.unwrap().clamp(-1f32, 1f32).unwrap();
        let moments = exact.moments(&pixels).unwrap();
        let off = relative_error(&moments, &rounded.moments(&pixels).unwrap());
        assert!(off < 5e-3, "encoded: {off}");
        let latent = exact.latent(&moments, None).unwrap();
        let image = exact.decode(&latent).unwrap();
        let drawn = relative_error(&image, &rounded.decode(&latent).unwrap());
        println!("encoded: off by {off}, drawn: {drawn}");
        assert!(drawn < 5e-3, "drawn: {drawn}");
    }
}

#[test]
fn the_command_quantises_and_the_result_draws() {
    let folder = tempfile::tempdir().unwrap();
    let cooper = |args: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_cooper"))
            .args(args)
            .current_dir(folder.path())
            .output()
            .unwrap();
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{args:?}: {told}");
        String::from_utf8(output.stdout).unwrap()
    };
    let model = concat!(env!("CARGO_MANIFEST_DIR"), "/models/cooper-nano");
    cooper(&["scenes", "rooms", "--n", "1"]);
    let depth = |args: &[&str], name: &str| {
        let all = ["depth", "rooms/000000.png", "-o", name, "--model"];
        cooper(&[&all[..], args].concat());
        let map = image::open(folder.path().join(name)).unwrap().to_luma16();
        map.iter()
            .map(|d| f64::from(*d) / 65535.0)
            .collect::<Vec<_>>()
    };
    let plain = depth(&[model], "plain.png");
    // Rows of 256 take 4 or 5 bits; those of 576 (the way down) 8.
    for (kind, types) in [("q4k", "72 Q4K and 12 Q8_0"), ("q5k", "72 Q5K and 12 Q8_0")] {
        let dir = format!("nano-{kind}");
        let summary = cooper(&["quantize", model, &dir, "--type", kind]);
        assert!(summary.contains(types), "{summary}");
        let quantised = depth(&[dir.as_str()], "quantised.png");
        let n = plain.len() as f64;
        let pairs = plain.iter().zip(&quantised);
        let error = pairs.map(|(a, b)| (a - b).abs()).sum::<f64>() / n;
        assert!(
            error > 0.0 && error < 0.02,
            "{kind}: mean difference {error}"
        );
        let on_load = depth(&[model, "--quantization", kind], "on_load.png");
        assert!(
            on_load == quantised,
            "{kind}: from a file and while loading"
        );
        let report = cooper(&["doctor", &dir]);
        assert!(
            report.contains(types) && report.contains(&format!("f32+{kind}")),
            "{report}"
        );
    }
    let mixed = load(&folder.path().join("nano-q5k"), Quantization::Q4K).unwrap_err();
    assert!(
        mixed.contains("expected q4k as asked for, got matrices in q5k"),
        "{mixed}"
    );
}
