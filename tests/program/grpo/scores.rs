//! Scores of packed answers, and the loss on them.

use super::*;

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
