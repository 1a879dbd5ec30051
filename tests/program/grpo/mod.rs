//! Reinforcement: rollouts, the loss on what was sampled, and runs, on tiny models.

mod runs;
mod scores;

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
use cooper_model::reasoning::answers::Truth;
use cooper_model::reasoning::{Mode, Sampler, TextGenerator};
use cooper_perception::config::read_yaml;
use cooper_train::training::grpo::{
    Asked, Flag, Group, GrpoStage, GrpoTraining, Judge, QuestionRows, QuestionSource, Reward,
    Rollout, SceneQuestions, roll_out,
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
        truth: Truth::of_answer("2").unwrap(),
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
