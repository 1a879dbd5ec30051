//! Runs of `cooper train` on tiny data: they go on bit for bit, learn, keep what is frozen, and give models that load.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use candle_core::{DType, Device, Tensor};
use cooper_model::engine::{
    Control, Engine, FlowParams, GuidanceContexts, KvContext, ModelOptions, Noise, SamplingParams,
    Views,
};
use cooper_model::reasoning::Prompts;
use cooper_train::training::{Collator, Dropout, ModelDirectory, Part, Sample, Target, rng_at};
use serde_json::{Value, json};

use crate::common::{difference, fixture};
use crate::training_support::{
    HEIGHT, WIDTH, command, depth, files, folder, image, log, short_run, train,
};
use crate::{common, training_support as training};

/// Differs between runs that otherwise do the same: it names the folder.
const SETTINGS: &str = "training_config.json";

#[test]
fn a_stopped_run_goes_on_bit_for_bit_with_any_number_of_threads() {
    let dir = folder();
    let at_once = short_run(dir.path(), "at_once");
    let expected = files(&train("sft", &at_once), &[SETTINGS]);
    assert!(expected.contains_key("training_state.safetensors"));
    let mut in_parts = short_run(dir.path(), "in_parts");
    in_parts["run"]["threads"] = json!(2);
    in_parts["run"]["steps"] = json!(3);
    train("sft", &in_parts);
    in_parts["run"]["threads"] = json!(1);
    in_parts["run"]["steps"] = json!(6);
    let in_two = files(&train("sft", &in_parts), &[SETTINGS]);
    assert!(in_two == expected, "in two parts");
    let mut threads = short_run(dir.path(), "threads");
    threads["run"]["threads"] = json!(2);
    let mut two_threads = command("sft", &threads);
    two_threads.env("RAYON_NUM_THREADS", "2");
    assert!(two_threads.output().unwrap().status.success());
    let threaded = files(&dir.path().join("threads/step-000006"), &[SETTINGS]);
    assert!(threaded == expected, "with two threads");
    let losses = |config: &Value| {
        let lines = log(config).into_iter();
        lines
            .map(|line| (line["step"].clone(), line["loss"].clone()))
            .collect::<Vec<_>>()
    };
    assert_eq!(losses(&at_once).len(), 6);
    assert_eq!(losses(&at_once), losses(&in_parts));
}

/// Wait until the run has logged a step.
fn wait_for_a_step(out: &Path) {
    let began = Instant::now();
    let log = out.join("train.jsonl");
    while std::fs::metadata(&log).map_or(0, |file| file.len()) == 0 {
        assert!(
            began.elapsed() < Duration::from_secs(60),
            "no step was logged"
        );
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn an_interrupt_saves_and_ends_well() {
    let dir = folder();
    let mut config = short_run(dir.path(), "stopped");
    config["run"]["steps"] = json!(1_000_000);
    let child = command("sft", &config)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let out = dir.path().join("stopped");
    wait_for_a_step(&out);
    let pid = child.id().to_string();
    assert!(
        Command::new("kill")
            .args(["-INT", &pid])
            .status()
            .unwrap()
            .success()
    );
    let output = child.wait_with_output().unwrap();
    let told = training::stderr(&output);
    assert_eq!(output.status.code(), Some(0), "{told}");
    assert!(
        told.contains("stopped; the same command continues from"),
        "{told}"
    );
    let entries = std::fs::read_dir(&out).unwrap().flatten();
    let mut names: Vec<String> = entries
        .map(|entry| entry.file_name().into_string().unwrap())
        .collect();
    names.sort();
    let [saved, log] = &names[..] else {
        panic!("{names:?}");
    };
    assert_eq!(log, "train.jsonl");
    let steps: u64 = saved.strip_prefix("step-").unwrap().parse().unwrap();
    // What it saved is what a run of so many steps saves.
    let mut again = short_run(dir.path(), "again");
    again["run"]["steps"] = json!(steps);
    let expected = files(&train("sft", &again), &[SETTINGS]);
    assert!(files(&out.join(saved), &[SETTINGS]) == expected);
}

fn weights(folder: &Path) -> HashMap<String, Tensor> {
    candle_core::safetensors::load(folder.join("ema.safetensors"), &Device::Cpu).unwrap()
}

#[test]
fn frozen_weights_and_position_tables_stay_bit_for_bit() {
    let dir = folder();
    let before = weights(&fixture("checkpoint"));
    let after = weights(&train("amg", &short_run(dir.path(), "frozen")));
    assert_eq!(after.len(), before.len());
    let (mut n_same, mut n_changed) = (0, 0);
    for (name, before) in &before {
        let before = before.to_dtype(DType::F32).unwrap();
        let same = difference(&before, &after[name]) == 0.0;
        let frozen = name.starts_with("vit_model.")
            || name.contains("layers.0.mlp.")
            || name.ends_with("pos_embed.pos_embed");
        if frozen {
            assert!(same, "{name} has changed");
            n_same += 1;
        } else if !same {
            n_changed += 1;
        }
    }
    assert!(n_same > 20 && n_changed > 60, "{n_same} {n_changed}");
}

#[test]
fn checkpoints_are_kept_as_many_as_asked_and_may_be_in_bf16() {
    let dir = folder();
    let mut config = short_run(dir.path(), "kept");
    config["run"]["save_every"] = json!(1);
    config["run"]["keep"] = json!(2);
    config["run"]["bf16"] = json!(true);
    let last = train("sft", &config);
    let kept: Vec<PathBuf> = std::fs::read_dir(dir.path().join("kept"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_dir())
        .collect();
    assert_eq!(kept.len(), 2, "{kept:?}");
    assert!(
        weights(&last)
            .values()
            .all(|tensor| tensor.dtype() == DType::BF16)
    );
    // A checkpoint is a model directory: another run may begin with it, and takes over none of its state.
    let mut next = short_run(dir.path(), "next");
    next["run"]["init"] = json!(last);
    next["run"]["steps"] = json!(1);
    let next = train("sft", &next);
    assert!(!next.join("prompts.yaml").exists());
    let settings = std::fs::read_to_string(next.join(SETTINGS)).unwrap();
    assert!(settings.contains("kept/step-000006"), "{settings}");
}

/// A model that has learned four depth maps and four conversations.
fn learned(dir: &Path) -> (Value, PathBuf) {
    training::tiny_model(&dir.join("tiny"));
    let mut config = short_run(dir, "by_heart");
    config["run"]["init"] = json!(dir.join("tiny"));
    config["run"]["steps"] = json!(200);
    config["run"]["threads"] = json!(2);
    config["run"]["freeze"] = json!([]);
    config["run"]["optimizer"] = json!({"lr": 5e-3, "betas": [0.9, 0.99]});
    config["run"]["schedule"] = json!({"warmup": 10, "hold": 0.2, "decay": "cosine"});
    config["samples"] = json!(8);
    config["dropout"] = json!({});
    let [mut depths, _, conversations] = training::all_rows(dir);
    depths["jsonl"]["flip"] = json!(0);
    config["data"] = json!([depths, conversations]);
    let checkpoint = train("sft", &config);
    (config, checkpoint)
}

#[test]
fn two_hundred_steps_learn_eight_samples_by_heart() {
    let dir = folder();
    let (config, checkpoint) = learned(dir.path());
    let lines = log(&config);
    let mean = |name: &str, lines: &[Value]| {
        let values = lines.iter().map(|line| line[name].as_f64().unwrap());
        values.sum::<f64>() / lines.len() as f64
    };
    let last = &lines[lines.len() - 10..];
    let (ce, mse) = (mean("ce", last), mean("mse", last));
    assert!(ce < 0.05, "{ce}");
    assert!(mse < 0.1 * mean("mse", &lines[..1]), "{mse}");
    let options = ModelOptions {
        dir: checkpoint.clone(),
        ..common::model_options()
    };
    let engine = Engine::load(&options).unwrap();
    let prompts = Prompts::load(None, &checkpoint).unwrap();
    for i in 0..4 {
        check_thought(&engine, &prompts, i);
        check_drawing(&engine, &prompts, i);
    }
}

/// The first thought of conversation `i`.
fn check_thought(engine: &Engine, prompts: &Prompts, i: u32) {
    let mut context = KvContext::default();
    let mut noise = Noise::seeded(i.into());
    engine
        .prefill_text(&mut context, &prompts.interleave_system)
        .unwrap();
    engine
        .prefill_image(&mut context, &image(i), Views::VaeAndVit, &mut noise)
        .unwrap();
    let question = format!("Which is nearer, {i} or {}?", i + 1);
    engine.prefill_text(&mut context, &question).unwrap();
    let greedy = SamplingParams {
        max_new_tokens: 60,
        temperature: 0.0,
        ..SamplingParams::default()
    };
    let generation = engine
        .generate_text(&context, &greedy, 0, &mut Control::unattended())
        .unwrap();
    assert_eq!(generation.text, "<think>near the ball</think>");
}

/// The depth of image `i` at the model's size of drawings, as latent tokens.
fn true_latent(engine: &Engine, i: u32) -> Tensor {
    let (width, height) = engine.vae_rule().output_size(WIDTH, HEIGHT);
    let map = image::imageops::thumbnail(&depth(i), width, height);
    let unit = map
        .pixels()
        .map(|p| ((f32::from(p.0[0]) / 100.0).clamp(0.5, 40.0) - 0.5) / 39.5);
    let values: Vec<f32> = unit.map(|unit| unit * 2.0 - 1.0).collect();
    let shape = (1, 1, height as usize, width as usize);
    let grey = Tensor::from_vec(values, shape, &Device::Cpu).unwrap();
    let pixels = grey
        .broadcast_as((1, 3, shape.2, shape.3))
        .unwrap()
        .contiguous()
        .unwrap();
    let vae = engine.vae();
    let latent = vae.latent(&vae.moments(&pixels).unwrap(), None).unwrap();
    let grid = engine.latent_grid(width, height);
    engine
        .patchify_latent(&latent.squeeze(0).unwrap(), grid)
        .unwrap()
}

/// What is drawn for image `i` is nearest to its own map.
fn check_drawing(engine: &Engine, prompts: &Prompts, i: u32) {
    let mut full = KvContext::default();
    let mut noise = Noise::seeded(i.into());
    engine
        .prefill_image(&mut full, &image(i), Views::VaeAndVit, &mut noise)
        .unwrap();
    engine
        .prefill_text(&mut full, &prompts.depth_instruction)
        .unwrap();
    let contexts = GuidanceContexts {
        full,
        ..GuidanceContexts::default()
    };
    let flow = FlowParams {
        time_points: 20,
        guidance_text: 1.0,
        guidance_image: 1.0,
        timestep_shift: 1.0,
        ..FlowParams::default()
    };
    let size = engine.vae_rule().output_size(WIDTH, HEIGHT);
    let drawn = engine.sample_latent(
        &contexts,
        size,
        &flow,
        &mut noise,
        &mut Control::unattended(),
    );
    let drawn = drawn.unwrap().tokens;
    let distance = |j: u32| {
        let error = (&drawn - true_latent(engine, j)).unwrap().sqr().unwrap();
        error.sum_all().unwrap().to_scalar::<f32>().unwrap()
    };
    for j in (0..4).filter(|j| *j != i) {
        assert!(
            distance(i) < distance(j),
            "{i}, {j}: {} {}",
            distance(i),
            distance(j)
        );
    }
}

/// (tokens, rope position of the first, whether each further token takes the next one)
type Run = (usize, u32, bool);

#[track_caller]
fn check_positions(dropout: Dropout, expected: &[Run]) {
    let directory = ModelDirectory::read(&fixture("checkpoint")).unwrap();
    let collator = Collator::new(directory, dropout, 1.0).unwrap();
    let seen = Arc::new(common::image());
    let sample = Sample {
        trunk: vec![
            Part::prompt("abc"),
            Part::read(&seen, Views::VaeAndVit),
            Part::user("ab"),
            Part::Draw(Target::Image(seen.clone())),
            Part::model("a"),
        ],
        branches: Vec::new(),
    };
    let batch = collator.collate(&[sample], &mut rng_at(1, 0, 0)).unwrap();
    let expected: Vec<u32> = expected
        .iter()
        .flat_map(|&(n, start, runs)| (0..n as u32).map(move |i| start + if runs { i } else { 0 }))
        .collect();
    assert_eq!(batch.packed.positions(0), expected);
}

#[test]
fn what_guidance_leaves_out_keeps_a_images_position_and_no_texts() {
    let config = ModelDirectory::read(&fixture("checkpoint")).unwrap();
    let tokens = |text: &str| config.tokenizer.encode(text).unwrap().len() + 2;
    let (abc, ab, a) = (tokens("abc"), tokens("ab"), tokens("a"));
    let preprocessor = &config.config.preprocessor;
    let (width, height) = common::image().dimensions();
    let (width, height) = preprocessor
        .rule(&preprocessor.vae)
        .output_size(width, height);
    let vae = (width * height) as usize / config.config.latent_downsample().pow(2) + 2;
    let (width, height) = preprocessor
        .rule(&preprocessor.vit)
        .output_size(width, height);
    let vit = (width * height) as usize / config.config.vit.patch_size.pow(2) + 2;
    let texts = [abc, ab].map(|n| n as u32);
    let all = |text: f64, vit: f64, vae: f64| Dropout { text, vit, vae };
    let after = texts[0] + 2;
    let rest = [
        (ab, after, true),
        (vae, after + texts[1], false),
        (a, after + texts[1], true),
    ];
    let seen = [
        (abc, 0, true),
        (vae, texts[0], false),
        (vit, texts[0] + 1, false),
    ];
    let [prompt, latents, patches] = seen;
    check_positions(all(0.0, 0.0, 0.0), &[&seen[..], &rest].concat());
    check_positions(
        all(0.0, 1.0, 0.0),
        &[&[prompt, latents][..], &rest].concat(),
    );
    check_positions(
        all(0.0, 0.0, 1.0),
        &[&[prompt, patches][..], &rest].concat(),
    );
    check_positions(all(0.0, 1.0, 1.0), &[&[prompt][..], &rest].concat());
    // A text with a loss is never left out.
    let without_texts = [
        (vae, 0, false),
        (vit, 1, false),
        (vae, 2, false),
        (a, 2, true),
    ];
    check_positions(all(1.0, 0.0, 0.0), &without_texts);
}
