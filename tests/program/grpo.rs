//! Reinforcement: rollouts, the loss on what was sampled, and runs, on tiny models.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use candle_core::{Device, Tensor, Var};
use cooper_model::Result;
use cooper_model::engine::{
    Cancel, Control, Engine, FlowParams, Generation, KvContext, ModelOptions, SamplingParams,
};
use cooper_model::model::ModelConfig;
use cooper_model::model::inventory::PositionSides;
use cooper_model::reasoning::{Mode, Sampler, TextGenerator};
use cooper_perception::config::read_yaml;
use cooper_train::training::grpo::{
    Asked, Flag, Group, GrpoStage, GrpoTraining, Judge, QuestionRows, QuestionSource, Reward,
    Rollout, SceneQuestions, Truth, roll_out,
};
use cooper_train::training::init::{fresh_model, fresh_vae};
use cooper_train::training::{
    AdamW, LogLine, Parameters, RunConfig, RunOutcome, Schedule, Stage, run,
};
use serde_json::json;

use crate::common;
use crate::common::{fixture, image};

const DEPTH: &str = "<think> a map\nhelps </think>\n<depth-estimation>go</depth-estimation>";
const SEGMENT: &str = "<think> another </think><segmentation>go</segmentation>";
const ANSWER: &str = "<think> ok </think>\n<answer> so \\boxed{2} </answer>";

/// A model directory much smaller than the fixture, with its tokenizer.
fn tiny_model(folder: &Path) -> PathBuf {
    let dir = folder.join("model");
    std::fs::create_dir_all(&dir).unwrap();
    for name in [
        "vocab.json",
        "merges.txt",
        "tokenizer_config.json",
        "preprocessor_config.json",
    ] {
        std::fs::copy(fixture("checkpoint").join(name), dir.join(name)).unwrap();
    }
    let configs = [
        (
            "llm_config.json",
            json!({
                "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
                "num_key_value_heads": 2, "vocab_size": 448, "rope_theta": 1e4, "rms_norm_eps": 1e-6,
                "max_position_embeddings": 512
            }),
        ),
        (
            "vit_config.json",
            json!({
                "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
                "patch_size": 14
            }),
        ),
        (
            "config.json",
            json!({"latent_patch_size": 2, "vit_max_num_patch_per_side": 8}),
        ),
        (
            "ae_config.json",
            json!({"ch": 8, "ch_mult": [1, 1, 1, 2], "num_res_blocks": 1, "z_channels": 4, "norm_num_groups": 4}),
        ),
    ];
    for (name, config) in configs {
        std::fs::write(dir.join(name), config.to_string()).unwrap();
    }
    let config = ModelConfig::load(&dir).unwrap();
    let sides = PositionSides { latent: 8, vit: 8 };
    let model = fresh_model(&config, sides, 1).unwrap();
    candle_core::safetensors::save(&model, dir.join("ema.safetensors")).unwrap();
    let vae = fresh_vae(&config, 2).unwrap();
    candle_core::safetensors::save(&vae, dir.join("ae.safetensors")).unwrap();
    dir
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap()
}

/// A file with one question about the fixture's image.
fn rows(folder: &Path) -> QuestionRows {
    let row = json!({"image": fixture("image.png"), "question": "How many?", "answer": 2, "kind": "count"});
    let file = folder.join("rows.jsonl");
    std::fs::write(&file, row.to_string()).unwrap();
    QuestionRows { file, root: None }
}

fn asked() -> Asked {
    Asked {
        image: Arc::new(image()),
        question: "How many?".into(),
        kind: "count".into(),
        truth: Truth::Text("2".into()),
        flag: Flag::Positive,
    }
}

fn config(init: &Path, folder: &Path, mode: Mode) -> GrpoTraining {
    GrpoTraining {
        run: RunConfig {
            init: init.into(),
            out: folder.join("out"),
            steps: 4,
            optimizer: AdamW {
                lr: 3e-3,
                ..AdamW::default()
            },
            schedule: Schedule {
                warmup: 1,
                ..Schedule::default()
            },
            log_every: 1,
            ..RunConfig::default()
        },
        mode,
        num_generations: 4,
        max_new_tokens: 6,
        flow: Some(FlowParams {
            time_points: 2,
            guidance_text: 1.0,
            ..FlowParams::default()
        }),
        data: vec![QuestionSource {
            weight: 1.0,
            scenes: None,
            jsonl: Some(rows(folder)),
        }],
        ..GrpoTraining::default()
    }
}

/// A turn of a script, as if it had been sampled.
fn said(engine: &Engine, text: &str, ended: bool, token_by_token: bool) -> Generation {
    let tokenizer = engine.tokenizer();
    let mut ids = vec![tokenizer.control.im_start];
    if token_by_token {
        let letters = text.char_indices().map(|(i, c)| &text[i..i + c.len_utf8()]);
        letters.for_each(|letter| ids.extend(tokenizer.encode(letter).unwrap()));
    } else {
        ids.extend(tokenizer.encode(text).unwrap());
    }
    Generation {
        ids,
        text: text.into(),
        ended,
        ..Generation::default()
    }
}

/// Says what was said before, and scores it token by token in the contexts that it is said in.
struct Replay<'a> {
    generations: &'a [Generation],
    temperature: f64,
    log_probs: Vec<f32>,
}

impl TextGenerator for Replay<'_> {
    fn generate(
        &mut self,
        engine: &Engine,
        context: &KvContext,
        turn: usize,
        _: &mut Control,
    ) -> Result<Generation> {
        let generation = &self.generations[turn - 1];
        let mut context = context.clone();
        let end = generation
            .ended
            .then_some(engine.tokenizer().control.im_end);
        let ids: Vec<u32> = generation.ids.iter().copied().chain(end).collect();
        for pair in ids.windows(2) {
            let hidden = engine.model().prefill_tokens(&mut context, &pair[..1])?;
            let logits = engine.model().next_logits(&hidden)?;
            let logits = logits
                .narrow(0, 0, engine.tokenizer().len())?
                .unsqueeze(0)?;
            let all = candle_nn::ops::log_softmax(&(logits / self.temperature)?, 1)?;
            self.log_probs
                .push(all.to_vec2::<f32>()?[0][pair[1] as usize]);
        }
        Ok(generation.clone())
    }

    fn repeats_itself(&self) -> bool {
        false
    }
}

const SEED: u64 = 7;

/// Scripted answers of every kind: maps, broken turns, other ids than the text's, turns that were cut off.
fn scripts(engine: &Engine) -> Vec<Vec<Generation>> {
    let plain = |text| said(engine, text, true, false);
    let odd = |text| said(engine, text, true, true);
    let cut = |text| said(engine, text, false, false);
    let odd_cut = |text| said(engine, text, false, true);
    assert!(odd(SEGMENT).ids != plain(SEGMENT).ids);
    vec![
        vec![
            plain(DEPTH),
            plain("<think> no tag"),
            odd(SEGMENT),
            plain(ANSWER),
        ],
        vec![plain(ANSWER)],
        vec![cut(DEPTH), odd_cut(SEGMENT), cut(" nothing"), odd(ANSWER)],
        vec![plain("broken"), cut("again"), plain(SEGMENT), plain(DEPTH)],
    ]
}

fn scripted(stage: &GrpoStage, seed: u64) -> Group {
    let asked = asked();
    let contexts = stage.opening().read(stage.engine(), &asked, seed).unwrap();
    let rollouts = (0..).zip(scripts(stage.engine())).map(|(i, generations)| {
        let mut generator = Replay {
            generations: &generations,
            temperature: 1.0,
            log_probs: Vec::new(),
        };
        roll_out(&contexts, &mut generator, 4, i).unwrap()
    });
    let rollouts = rollouts.collect();
    stage.group(asked, seed, rollouts).unwrap()
}

/// Each answer of a group once more, after a prefill of its own: log-probabilities token by token.
fn replayed(stage: &GrpoStage, group: &Group, temperature: f64, seeds: &[u64]) -> Vec<f32> {
    let mut all = Vec::new();
    for (rollout, seed) in group.rollouts.iter().zip(seeds) {
        let contexts = stage
            .opening()
            .read(stage.engine(), &group.asked, group.seed)
            .unwrap();
        let mut generator = Replay {
            generations: &rollout.generations,
            temperature,
            log_probs: Vec::new(),
        };
        let again = roll_out(&contexts, &mut generator, rollout.generations.len(), *seed).unwrap();
        assert_eq!(again.transcript.turns, rollout.transcript.turns);
        let maps = |rollout: &Rollout| -> Vec<_> {
            rollout
                .transcript
                .evidence
                .iter()
                .map(|map| map.image.clone())
                .collect()
        };
        assert_eq!(maps(&again), maps(rollout));
        all.extend(generator.log_probs);
    }
    all
}

#[track_caller]
fn near(got: &Tensor, expected: &[f32], tolerance: f32) {
    let got = got.to_vec1::<f32>().unwrap();
    assert_eq!(got.len(), expected.len());
    for (i, (got, expected)) in got.iter().zip(expected).enumerate() {
        assert!(
            (got - expected).abs() <= tolerance,
            "token {i}: {got} {expected}"
        );
    }
}

#[test]
fn packed_answers_are_as_likely_as_they_were_when_they_were_said() {
    let folder = folder();
    // The fixture's experts differ, unlike fresh ones.
    let config = config(&fixture("checkpoint"), folder.path(), Mode::Interleaved);
    let (stage, _) = GrpoStage::new(&config).unwrap();
    let group = scripted(&stage, SEED);
    let n_maps: Vec<usize> = group
        .rollouts
        .iter()
        .map(|r| r.transcript.evidence.len())
        .collect();
    assert_eq!(n_maps, [2, 0, 2, 1]);
    let scores = stage.scores(&group).unwrap();
    near(
        &scores.log_probs,
        &replayed(&stage, &group, 1.0, &[0, 1, 2, 3]),
        1e-4,
    );
    let tracked = stage.tracked_scores(&group).unwrap().log_probs;
    near(&tracked, &scores.log_probs.to_vec1().unwrap(), 1e-4);
    // Other latents of the image would be noticed.
    let other = stage.group(asked(), SEED + 1, group.rollouts).unwrap();
    let other = stage.scores(&other).unwrap().log_probs;
    assert!(common::difference(&other, &scores.log_probs) > 1e-2);
}

#[test]
fn sampled_answers_are_as_likely_as_they_were_when_sampled() {
    let folder = folder();
    for mode in [Mode::Interleaved, Mode::Text] {
        let config = GrpoTraining {
            temperature: 0.7,
            ..config(&fixture("checkpoint"), folder.path(), mode)
        };
        let (stage, _) = GrpoStage::new(&config).unwrap();
        let group = &stage.batch(0, 0).unwrap()[0];
        assert_eq!(group.rollouts.len(), 4);
        assert!(
            group
                .rollouts
                .iter()
                .any(|r| r.generations != group.rollouts[0].generations)
        );
        let scores = stage.scores(group).unwrap();
        near(
            &scores.log_probs,
            &replayed(&stage, group, 0.7, &[0; 4]),
            1e-4,
        );
        let n = group.n_tokens() as f64;
        // Nearly even chances: the model is random, but not cold.
        let nats = scores.entropy / n;
        assert!(
            (1.0..(stage.engine().tokenizer().len() as f64).ln()).contains(&nats),
            "{nats}"
        );
    }
}

#[test]
fn a_shared_prefill_is_worth_separate_ones() {
    let folder = folder();
    let config = config(&fixture("checkpoint"), folder.path(), Mode::Interleaved);
    let (stage, _) = GrpoStage::new(&config).unwrap();
    let params = SamplingParams {
        max_new_tokens: 6,
        temperature: 1.0,
        top_p: 1.0,
    };
    let asked = asked();
    let open = || stage.opening().read(stage.engine(), &asked, SEED).unwrap();
    let shared = open();
    for seed in 0..4 {
        let sample = |contexts| {
            let mut sampler = Sampler {
                params: &params,
                seed,
            };
            roll_out(contexts, &mut sampler, 2, seed)
                .unwrap()
                .generations
        };
        assert_eq!(sample(&shared), sample(&open()));
    }
}

/// Rewards by an answer's place in its group.
#[derive(Debug)]
struct ByPlace(Vec<f64>);

impl Judge for ByPlace {
    fn rewards(&self, _: &Asked, rollouts: &[Rollout]) -> Result<Vec<Reward>> {
        let worth = |answer: &f64| Reward {
            answer: *answer,
            ..Reward::default()
        };
        Ok(self.0[..rollouts.len()].iter().map(worth).collect())
    }
}

fn moved(var: &Var, at: usize, by: f32) -> f32 {
    let mut numbers = var.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    let before = numbers[at];
    numbers[at] += by;
    var.set(&Tensor::from_vec(numbers, var.shape(), &Device::Cpu).unwrap())
        .unwrap();
    before
}

#[test]
fn the_loss_has_the_policys_gradient() {
    let folder = folder();
    let config = config(&tiny_model(folder.path()), folder.path(), Mode::Interleaved);
    let (stage, parameters) = GrpoStage::new(&config).unwrap();
    let stage = stage.judged_by(ByPlace(vec![1.0, 0.0, 0.0, 3.0]));
    let groups = vec![scripted(&stage, SEED)];
    let counts = stage.counts(&groups);
    assert_eq!(
        (counts.samples, counts.ce),
        (4.0, groups[0].n_tokens() as f64)
    );
    let (loss, metrics) = stage.loss(&groups, &counts).unwrap();
    assert_eq!(metrics["reward"], (4.0, 4.0));
    assert_eq!(metrics["groups_alike"], (0.0, 1.0));
    let advantages = groups[0].token_advantages().unwrap();
    // −mean(A·log p), whose gradient it is, at weights that the engine sees at once.
    let surrogate = || {
        let log_probs = stage.scores(&groups[0]).unwrap().log_probs;
        let sum = (log_probs * &advantages).unwrap().sum_all().unwrap();
        -f64::from(sum.to_scalar::<f32>().unwrap()) / counts.ce
    };
    let gradients = loss.backward().unwrap();
    let mut n_checked = 0;
    for name in [
        "language_model.lm_head.weight",
        "language_model.model.embed_tokens.weight",
        "language_model.model.layers.0.self_attn.q_proj.weight",
        "language_model.model.layers.0.self_attn.v_proj_moe_gen.weight",
        "language_model.model.layers.1.mlp.down_proj.weight",
        "connector.fc1.weight",
        "vae2llm.weight",
        "vit_model.vision_model.encoder.layers.0.self_attn.v_proj.weight",
    ] {
        let var = parameters.get(name).unwrap();
        let gradient = gradients
            .get(var)
            .unwrap()
            .flatten_all()
            .unwrap()
            .to_vec1::<f32>()
            .unwrap();
        let steepest =
            (0..gradient.len()).max_by(|a, b| gradient[*a].abs().total_cmp(&gradient[*b].abs()));
        let at = steepest.unwrap();
        let h = 2e-3;
        moved(var, at, h);
        let above = surrogate();
        moved(var, at, -2.0 * h);
        let below = surrogate();
        moved(var, at, h);
        let slope = (above - below) / (2.0 * f64::from(h));
        let got = f64::from(gradient[at]);
        assert!(
            (got - slope).abs() <= 0.02 * slope.abs() + 1e-5,
            "{name}: {got} {slope}"
        );
        n_checked += 1;
    }
    assert_eq!(n_checked, 8);
}

#[test]
fn what_is_all_alike_teaches_nothing_but_the_way_back() {
    let folder = folder();
    let mut config = config(&tiny_model(folder.path()), folder.path(), Mode::Interleaved);
    for beta in [0.0, 0.5] {
        config.beta = beta;
        let (stage, parameters) = GrpoStage::new(&config).unwrap();
        let stage = stage.judged_by(ByPlace(vec![1.0; 4]));
        let groups = vec![scripted(&stage, SEED)];
        let counts = stage.counts(&groups);
        let head = parameters.get("language_model.lm_head.weight").unwrap();
        let (loss, metrics) = stage.loss(&groups, &counts).unwrap();
        assert_eq!(loss.to_scalar::<f32>().unwrap(), 0.0);
        assert_eq!(metrics["groups_alike"], (1.0, 1.0));
        assert_eq!(metrics.contains_key("kl"), beta > 0.0);
        assert_eq!(loss.backward().unwrap().get(head).is_some(), beta > 0.0);
        if beta > 0.0 {
            // The reference stays where it was.
            head.set(&(head.as_tensor() * 1.1).unwrap()).unwrap();
            let (loss, metrics) = stage.loss(&groups, &counts).unwrap();
            let (sum, n) = metrics["kl"];
            let loss = f64::from(loss.to_scalar::<f32>().unwrap());
            assert!(
                loss > 1e-4 && (loss - beta * sum / n).abs() < 1e-5,
                "{loss} {sum} {n}"
            );
        }
    }
}

/// A reward for answers whose first token is even.
#[derive(Debug)]
struct Even;

impl Judge for Even {
    fn rewards(&self, _: &Asked, rollouts: &[Rollout]) -> Result<Vec<Reward>> {
        let worth = |rollout: &Rollout| {
            let first = rollout.generations[0].ids.get(1).copied().unwrap_or(1);
            Reward {
                answer: f64::from(1 - first % 2),
                ..Reward::default()
            }
        };
        Ok(rollouts.iter().map(worth).collect())
    }
}

fn train(stage: &GrpoStage, parameters: &Parameters) -> Vec<LogLine> {
    let mut lines = Vec::new();
    let on_log = |line: &LogLine| lines.push(line.clone());
    let outcome = run(stage, parameters, &Cancel::default(), on_log).unwrap();
    assert!(matches!(outcome, RunOutcome::Finished(_)));
    lines
}

#[test]
fn what_is_rewarded_becomes_likelier() {
    let folder = folder();
    let mut config = config(&tiny_model(folder.path()), folder.path(), Mode::Text);
    config.run.steps = 30;
    config.run.micro_batches = 4;
    config.run.save_every = 30;
    config.run.optimizer.lr = 1e-2;
    config.num_generations = 8;
    config.max_new_tokens = 2;
    let (stage, parameters) = GrpoStage::new(&config).unwrap();
    let lines = train(&stage.judged_by(Even), &parameters);
    let mean = |lines: &[LogLine]| {
        lines.iter().map(|line| line.metrics["reward"]).sum::<f64>() / lines.len() as f64
    };
    let (before, after) = (mean(&lines[..5]), mean(&lines[25..]));
    assert!((0.25..0.75).contains(&before), "{before}");
    assert!(after > before + 0.25 && after > 0.85, "{before} {after}");
}

fn state(config: &GrpoTraining) -> Vec<u8> {
    let file = config.run.out.join(format!(
        "step-{:06}/training_state.safetensors",
        config.run.steps
    ));
    std::fs::read(file).unwrap()
}

fn tensors(state: &[u8]) -> Vec<(String, Vec<u8>)> {
    let state = safetensors::SafeTensors::deserialize(state).unwrap();
    let mut tensors: Vec<_> = state
        .tensors()
        .into_iter()
        .map(|(name, view)| (name, view.data().to_vec()))
        .collect();
    tensors.sort();
    tensors
}

#[test]
fn runs_are_the_same_with_any_threads_and_after_a_stop() {
    let folder = folder();
    let init = tiny_model(folder.path());
    let mut config = config(&init, folder.path(), Mode::Interleaved);
    config.run.micro_batches = 2;
    let go = |config: &GrpoTraining, cancel_after: usize| {
        let (stage, parameters) = GrpoStage::new(config).unwrap();
        let (stage, cancel) = (stage.judged_by(Even), Cancel::default());
        let on_log = |line: &LogLine| {
            if line.step == cancel_after {
                cancel.cancel();
            }
        };
        run(&stage, &parameters, &cancel, on_log).unwrap()
    };
    let mut states = Vec::new();
    for (name, threads, stop) in [("a", 1, 9), ("b", 2, 9), ("c", 2, 2)] {
        config.run.out = folder.path().join(name);
        config.run.threads = threads;
        if stop < config.run.steps {
            assert!(matches!(go(&config, stop), RunOutcome::Stopped(_)));
        }
        assert!(matches!(go(&config, 9), RunOutcome::Finished(_)));
        states.push(tensors(&state(&config)));
    }
    assert!(states[0] == states[1], "threads");
    assert!(states[0] == states[2], "a stop");
    config.run.seed += 1;
    config.run.out = folder.path().join("d");
    go(&config, 9);
    assert!(states[0] != tensors(&state(&config)), "a seed");
}

#[test]
fn scene_questions_are_answered_and_scored() {
    let folder = folder();
    let mut config = config(&tiny_model(folder.path()), folder.path(), Mode::Interleaved);
    config.data = vec![QuestionSource {
        weight: 1.0,
        scenes: Some(SceneQuestions::default()),
        jsonl: None,
    }];
    config.prompts = 2;
    let (stage, _) = GrpoStage::new(&config).unwrap();
    let groups = stage.batch(3, 0).unwrap();
    assert_eq!(groups.len(), 2);
    assert!(groups[0].asked.image != groups[1].asked.image);
    let again = stage.batch(3, 0).unwrap();
    for (group, again) in groups.iter().zip(&again) {
        assert_eq!(group.asked.question, again.asked.question);
        let generations = |group: &Group| -> Vec<_> {
            group
                .rollouts
                .iter()
                .map(|r| r.generations.clone())
                .collect()
        };
        assert_eq!(generations(group), generations(again));
    }
    let (_, metrics) = stage.loss(&groups, &stage.counts(&groups)).unwrap();
    let of_kind = format!("accuracy/{}", groups[0].asked.kind);
    for name in [
        "reward",
        "reward_answer",
        "reward_format",
        "reward_exploration",
        "accuracy",
        "answered",
        "with_tool",
        "depth_calls",
        "segmentation_calls",
        "turns",
        "tokens",
        "truncated",
        "entropy",
        "clipped",
        "groups_alike",
        &of_kind,
    ] {
        assert!(metrics.contains_key(name), "{name}");
    }
}

#[test]
fn what_cannot_be_is_refused_by_its_key() {
    let folder = folder();
    let good = config(&tiny_model(folder.path()), folder.path(), Mode::Interleaved);
    let check = |key: &str, change: &dyn Fn(&mut GrpoTraining)| {
        let mut bad = good.clone();
        change(&mut bad);
        let error = GrpoStage::new(&bad).unwrap_err().to_string();
        assert!(error.contains(key), "{error}");
    };
    check("mode", &|c| c.mode = Mode::Direct);
    check("num_generations", &|c| c.num_generations = 1);
    check("temperature", &|c| c.temperature = 0.0);
    check("temperature", &|c| c.temperature = f64::NAN);
    check("top_p", &|c| c.top_p = 1.5);
    check("epsilon_low", &|c| c.epsilon_low = -0.1);
    check("beta", &|c| c.beta = f64::INFINITY);
    check("flow.time_points", &|c| {
        c.flow.iter_mut().for_each(|flow| flow.time_points = 1)
    });
    check("data", &|c| c.data.clear());
    check("data.weight", &|c| c.data[0].weight = 0.0);
    check("scenes or jsonl", &|c| c.data[0].jsonl = None);
    check("missing.jsonl", &|c| {
        c.data[0]
            .jsonl
            .iter_mut()
            .for_each(|rows| rows.file = "missing.jsonl".into());
    });
    check("init", &|c| c.run.init = "missing".into());
    check("freeze", &|c| c.run.freeze = vec!["nothing.*".into()]);
}

#[test]
fn the_command_trains_and_names_a_wrong_key() {
    let folder = folder();
    let mut config = config(&tiny_model(folder.path()), folder.path(), Mode::Interleaved);
    config.run.steps = 1;
    let file = folder.path().join("grpo.yaml");
    let cooper = |text: String| {
        std::fs::write(&file, text).unwrap();
        let args = [Path::new("train"), Path::new("grpo"), &file];
        Command::new(env!("CARGO_BIN_EXE_cooper"))
            .args(args)
            .output()
            .unwrap()
    };
    // JSON is YAML.
    let good = serde_json::to_value(&config).unwrap();
    let output = cooper(good.to_string());
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let log = std::fs::read_to_string(config.run.out.join("train.jsonl")).unwrap();
    let line: serde_json::Value = serde_json::from_str(log.trim()).unwrap();
    assert!(
        line["reward"].is_number() && line["accuracy/count"].is_number(),
        "{log}"
    );
    let checkpoint = config.run.out.join("step-000001");
    assert!(
        Engine::load(&ModelOptions {
            dir: checkpoint,
            ..common::model_options()
        })
        .is_ok()
    );
    let mut bad = good;
    bad["num_generation"] = json!(8);
    let output = cooper(bad.to_string());
    assert!(String::from_utf8_lossy(&output.stderr).contains("num_generation"));
}

#[test]
fn the_example_can_be_read() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let config: GrpoTraining = read_yaml(&root.join("config/train/nano-11-grpo.yaml")).unwrap();
    assert_eq!(config.mode, Mode::Interleaved);
    assert!(!config.data.is_empty());
}
