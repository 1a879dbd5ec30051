//! Runs of the stage and of the command.

use super::*;

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
