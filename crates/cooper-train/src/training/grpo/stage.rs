//! The stage: rollouts with the present weights, and the loss on what was sampled.

use std::iter::repeat_n;

use candle_core::{DType, Device, Tensor};
use candle_nn::VarBuilder;
use cooper_model::engine::{Engine, MapKind};
use cooper_model::model::UnifiedModel;
use cooper_model::reasoning::{Prompts, Sampler, Settings, Status, Transcript};
use cooper_model::{Error, Result};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::config::GrpoTraining;
use super::policy::{Scores, divergence, policy_losses, score};
use super::questions::{Asked, Questions};
use super::rewards::{Reward, advantages, group_rewards};
use super::rollout::{Opening, Rollout, roll_out};
use crate::training::collate::{Collated, Collator, Dropout};
use crate::training::draws::{mixed, rng_at};
use crate::training::model_directory::ModelDirectory;
use crate::training::parameters::Parameters;
use crate::training::run_config::RunConfig;
use crate::training::sample::Sample;
use crate::training::settings::settings_of;
use crate::training::stage::{Counts, Layout, Metrics, Stage};
use crate::training::supervised::SupervisedStage;

/// Rewards the answers to a question.
pub trait Judge: std::fmt::Debug + Send + Sync {
    /// The rewards of all answers to a question, in their order; a function of these alone.
    ///
    /// # Errors
    /// If they cannot be rewarded.
    fn rewards(&self, asked: &Asked, rollouts: &[Rollout]) -> Result<Vec<Reward>>;
}

/// [`group_rewards`].
#[derive(Debug)]
struct Rules<'c>(&'c GrpoTraining);

impl Judge for Rules<'_> {
    fn rewards(&self, asked: &Asked, rollouts: &[Rollout]) -> Result<Vec<Reward>> {
        let Self(config) = self;
        let transcripts: Vec<&Transcript> = rollouts.iter().map(|r| &r.transcript).collect();
        let (weights, mode) = (&config.rewards, config.mode);
        Ok(group_rewards(
            weights,
            mode,
            &asked.truth,
            asked.flag,
            &transcripts,
        ))
    }
}

/// The answers to one question, their rewards, and the packed sample.
#[derive(Clone, Debug)]
pub struct Group {
    /// The question.
    pub asked: Asked,
    /// Of the image's latents; the answers' seeds follow from it.
    pub seed: u64,
    /// The answers.
    pub rollouts: Vec<Rollout>,
    /// The reward of each.
    pub rewards: Vec<Reward>,
    /// Each reward relative to the group's.
    pub advantages: Vec<f64>,
    /// The question as a trunk with the answers as branches.
    pub collated: Collated,
}

impl Group {
    /// Sampled tokens of all answers.
    pub fn n_tokens(&self) -> usize {
        self.rollouts.iter().map(Rollout::n_tokens).sum()
    }

    /// The advantage (n) of each sampled token.
    ///
    /// # Errors
    /// If memory runs out.
    pub fn token_advantages(&self) -> Result<Tensor> {
        let answers = self.rollouts.iter().zip(&self.advantages);
        let tokens = answers.flat_map(|(r, a)| repeat_n(*a as f32, r.n_tokens()));
        Ok(Tensor::new(tokens.collect::<Vec<f32>>(), &Device::Cpu)?)
    }

    /// Whether one answer was better than another.
    fn has_advantages(&self) -> bool {
        self.advantages.iter().any(|advantage| *advantage != 0.0)
    }
}

/// The stage.
#[derive(Debug)]
pub struct GrpoStage<'c> {
    config: &'c GrpoTraining,
    settings: Settings,
    model: UnifiedModel,
    /// Answers with the present weights, which it shares with `model`, and tracks no gradients.
    engine: Engine,
    /// The first weights, if the policy is held to them.
    reference: Option<UnifiedModel>,
    collator: Collator,
    prompts: Prompts,
    questions: Questions<'c>,
    judge: Box<dyn Judge + 'c>,
}

impl<'c> GrpoStage<'c> {
    /// The stage, and the weights that it trains.
    ///
    /// # Errors
    /// If the model directory, the prompts, the questions or the configuration cannot be used.
    pub fn new(config: &'c GrpoTraining) -> Result<(Self, Parameters)> {
        config.check()?;
        let dir = &config.run.init;
        let directory = ModelDirectory::read(dir)?;
        let parameters = Parameters::new(directory.weights()?, &config.run.freeze)?;
        let (tokenizer, sizes) = (directory.tokenizer.clone(), directory.config.clone());
        let present = directory.model(present_weights(&parameters))?;
        let engine = Engine::from_parts(present, directory.vae()?, tokenizer, sizes, dir)?;
        let reference = || {
            let first = VarBuilder::from_tensors(directory.weights()?, DType::F32, &Device::Cpu);
            directory.model(first)
        };
        let stage = Self {
            config,
            settings: config.settings()?,
            model: directory.model(parameters.builder())?,
            engine,
            reference: (config.beta > 0.0).then(reference).transpose()?,
            collator: Collator::new(directory, Dropout::default(), 1.0)?,
            prompts: Prompts::load(None, dir)?,
            questions: Questions::new(&config.data, config.run.seed)?,
            judge: Box::new(Rules(config)),
        };
        Ok((stage, parameters))
    }

    /// Replace the judge that rewards answers.
    pub fn judged_by(mut self, judge: impl Judge + 'c) -> Self {
        self.judge = Box::new(judge);
        self
    }

    /// The model that answers, with the weights of each moment.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// How questions are opened.
    pub fn opening(&self) -> Opening<'_> {
        Opening {
            prompts: &self.prompts,
            settings: &self.settings,
        }
    }

    /// Sample the answers to a question.
    ///
    /// # Errors
    /// If the network fails.
    pub fn answers(&self, asked: &Asked, seed: u64) -> Result<Vec<Rollout>> {
        let contexts = self.opening().read(&self.engine, asked, seed)?;
        let answer = |i: usize| {
            let seed = mixed(seed, 1 + i as u64);
            let mut sampler = Sampler {
                params: &self.settings.sampling,
                seed,
            };
            roll_out(&contexts, &mut sampler, self.settings.max_turns, seed)
        };
        (0..self.config.num_generations).map(answer).collect()
    }

    /// Reward and pack the answers to a question that was opened with `seed`.
    ///
    /// # Errors
    /// If the judge fails, or an answer is longer than the model can read.
    pub fn group(&self, asked: Asked, seed: u64, rollouts: Vec<Rollout>) -> Result<Group> {
        let rewards = self.judge.rewards(&asked, &rollouts)?;
        if rewards.len() != rollouts.len() {
            let (n, got) = (rollouts.len(), rewards.len());
            return Err(Error::Internal(format!("{got} rewards for {n} answers")));
        }
        let tokenizer = self.engine.tokenizer();
        let branches = rollouts.iter().map(|r| r.parts(tokenizer, &self.prompts));
        let sample = Sample {
            trunk: self.opening().parts(&asked),
            branches: branches.collect::<Result<_>>()?,
        };
        // The collator draws the same latents as the opening did.
        let mut rng = StdRng::seed_from_u64(seed);
        let totals: Vec<f64> = rewards.iter().map(Reward::total).collect();
        Ok(Group {
            advantages: advantages(&totals),
            collated: self.collator.collate(&[sample], &mut rng)?,
            asked,
            seed,
            rollouts,
            rewards,
        })
    }

    /// Log-probabilities of a group's tokens, without gradients.
    ///
    /// # Errors
    /// If the network fails.
    pub fn scores(&self, group: &Group) -> Result<Scores> {
        self.scores_by(self.engine.model(), group)
    }

    /// As [`Self::scores`], with gradients.
    ///
    /// # Errors
    /// If the network fails.
    pub fn tracked_scores(&self, group: &Group) -> Result<Scores> {
        self.scores_by(&self.model, group)
    }

    fn scores_by(&self, model: &UnifiedModel, group: &Group) -> Result<Scores> {
        let n_vocab = self.engine.tokenizer().len();
        score(model, &group.collated, n_vocab, self.config.temperature)
    }

    /// The sum of the losses of a group's tokens; none if nothing can be learned from it.
    fn group_loss(&self, group: &Group, metrics: &mut Metrics) -> Result<Option<Tensor>> {
        let n = group.n_tokens() as f64;
        if n == 0.0 {
            return Ok(None);
        }
        let learns = self.reference.is_some() || group.has_advantages();
        let scores = match learns {
            true => self.tracked_scores(group)?,
            false => self.scores(group)?,
        };
        add_metric(metrics, "entropy", scores.entropy, n);
        if !learns {
            add_metric(metrics, "clipped", 0.0, n);
            return Ok(None);
        }
        let log_probs = &scores.log_probs;
        let epsilon = [self.config.epsilon_low, self.config.epsilon_high];
        let advantages = group.token_advantages()?;
        let (mut losses, n_clipped) =
            policy_losses(log_probs, &log_probs.detach(), &advantages, epsilon)?;
        add_metric(metrics, "clipped", n_clipped as f64, n);
        if let Some(reference) = &self.reference {
            let reference = self.scores_by(reference, group)?.log_probs;
            let kl = divergence(log_probs, &reference)?;
            add_metric(
                metrics,
                "kl",
                f64::from(kl.sum_all()?.to_scalar::<f32>()?),
                n,
            );
            losses = (losses + (kl * self.config.beta)?)?;
        }
        Ok(Some(losses.sum_all()?))
    }
}

/// The weights as they are at each moment: the variables' own memory, without gradients.
fn present_weights(parameters: &Parameters) -> VarBuilder<'static> {
    let detached = parameters
        .all()
        .map(|(name, var)| (name.clone(), var.as_detached_tensor()));
    VarBuilder::from_tensors(detached.collect(), DType::F32, &Device::Cpu)
}

impl Stage for GrpoStage<'_> {
    type Batch = Vec<Group>;

    const LAYOUT: Layout = SupervisedStage::LAYOUT;

    fn run_config(&self) -> &RunConfig {
        &self.config.run
    }

    fn batch(&self, step: usize, micro: usize) -> Result<Vec<Group>> {
        let run = &self.config.run;
        let mut rng = rng_at(run.seed, step, micro);
        let first = ((step * run.micro_batches + micro) * self.config.prompts) as u64;
        let group = |i| {
            let asked = self.questions.ask(first + i, &mut rng)?;
            let seed = rng.random();
            let rollouts = self.answers(&asked, seed)?;
            self.group(asked, seed, rollouts)
        };
        (0..self.config.prompts as u64).map(group).collect()
    }

    fn counts(&self, batch: &Vec<Group>) -> Counts {
        let sum = |f: fn(&Group) -> usize| batch.iter().map(f).sum::<usize>() as f64;
        Counts {
            ce: sum(Group::n_tokens),
            mse: 0.0,
            samples: sum(|group| group.rollouts.len()),
            tokens: sum(|group| group.collated.packed.n_tokens()),
        }
    }

    fn settings(&self) -> Result<serde_json::Value> {
        settings_of(self.config)
    }

    fn loss(&self, batch: &Vec<Group>, totals: &Counts) -> Result<(Tensor, Metrics)> {
        let mut metrics = Metrics::new();
        let mut loss = Tensor::zeros((), DType::F32, &Device::Cpu)?;
        for group in batch {
            add_group_metrics(&mut metrics, group);
            if let Some(sum) = self.group_loss(group, &mut metrics)? {
                loss = (loss + (sum / totals.ce)?)?;
            }
        }
        Ok((loss, metrics))
    }
}

fn add_metric(metrics: &mut Metrics, name: &str, sum: f64, n: f64) {
    let entry = metrics.entry(name.into()).or_default();
    entry.0 += sum;
    entry.1 += n;
}

/// Metrics of a group, as means over its answers.
fn add_group_metrics(metrics: &mut Metrics, group: &Group) {
    let same = f64::from(u8::from(!group.has_advantages()));
    add_metric(metrics, "groups_alike", same, 1.0);
    let right = format!("accuracy/{}", group.asked.kind);
    for (rollout, reward) in group.rollouts.iter().zip(&group.rewards) {
        let share = |is: bool| f64::from(u8::from(is));
        let maps = &rollout.transcript.evidence;
        let drawn = |kind| maps.iter().filter(|map| map.kind == kind).count() as f64;
        for (name, number) in [
            ("reward", reward.total()),
            ("reward_answer", reward.answer),
            ("reward_format", reward.format),
            ("reward_exploration", reward.exploration),
            ("accuracy", share(reward.is_right)),
            (&right, share(reward.is_right)),
            (
                "answered",
                share(rollout.transcript.status == Status::Answered),
            ),
            ("with_tool", share(!maps.is_empty())),
            ("depth_calls", drawn(MapKind::Depth)),
            ("segmentation_calls", drawn(MapKind::Segmentation)),
            ("turns", rollout.generations.len() as f64),
            ("tokens", rollout.n_tokens() as f64),
            ("truncated", share(rollout.is_cut())),
        ] {
            add_metric(metrics, name, number, 1.0);
        }
    }
}
