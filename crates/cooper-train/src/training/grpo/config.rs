//! The configuration of `cooper train grpo`.

use cooper_model::engine::{FlowParams, SamplingParams};
use cooper_model::reasoning::{DEFAULT_MAX_TURNS, Mode, Settings};
use cooper_model::{Error, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::questions::QuestionSource;
use super::rewards::RewardWeights;
use crate::training::run_config::RunConfig;

/// `cooper train grpo`. Defaults are COOPER's and those of [`RunConfig`].
///
/// Each batch of rollouts is used for one update, so the ratio to the policy that sampled them is 1.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct GrpoTraining {
    /// The settings that all stages have in common.
    pub run: RunConfig,
    /// `interleaved`, or `text` without maps (BAGEL-RE).
    pub mode: Mode,
    /// Questions of a micro-batch, at least 1.
    pub prompts: usize,
    /// Answers that are sampled to each question, at least 2.
    pub num_generations: usize,
    /// Temperature of sampling, above 0.
    pub temperature: f64,
    /// Sample from the most probable tokens that hold this share of probability, above 0 and at most 1. The loss
    /// ignores it.
    pub top_p: f64,
    /// Tokens of a turn at most, at least 1.
    pub max_new_tokens: usize,
    /// Turns of an answer at most, at least 1.
    pub max_turns: usize,
    /// How maps are drawn; by default as the model's `flow_config.json` says.
    pub flow: Option<FlowParams>,
    /// How far below 1 the ratio of probabilities counts, 0 to 1.
    pub epsilon_low: f64,
    /// How far above 1 the ratio of probabilities counts, from 0.
    pub epsilon_high: f64,
    /// Weight of the KL divergence from the initial weights, from 0; 0 keeps no copy of them.
    pub beta: f64,
    /// Weights of the parts of a reward.
    pub rewards: RewardWeights,
    /// Where questions come from, drawn by weight. Required.
    pub data: Vec<QuestionSource>,
}

impl Default for GrpoTraining {
    fn default() -> Self {
        Self {
            run: RunConfig::default(),
            mode: Mode::Interleaved,
            prompts: 1,
            num_generations: 8,
            temperature: 1.0,
            top_p: 1.0,
            max_new_tokens: 4096,
            max_turns: DEFAULT_MAX_TURNS,
            flow: None,
            epsilon_low: 0.2,
            epsilon_high: 0.2,
            beta: 0.0,
            rewards: RewardWeights::default(),
            data: Vec::new(),
        }
    }
}

impl GrpoTraining {
    /// # Errors
    /// [`Error::InvalidInput`] with the first value out of range.
    pub fn check(&self) -> Result<()> {
        self.run.check()?;
        let refuse = |key: &str, why: String| Err(Error::invalid(key, why));
        if !matches!(self.mode, Mode::Interleaved | Mode::Text) {
            return refuse(
                "mode",
                format!("expected interleaved or text, got {:?}", self.mode),
            );
        }
        for (key, number, least) in [
            ("prompts", self.prompts, 1),
            ("num_generations", self.num_generations, 2),
            ("max_new_tokens", self.max_new_tokens, 1),
            ("max_turns", self.max_turns, 1),
            (
                "flow.time_points",
                self.flow.as_ref().map_or(2, |flow| flow.time_points),
                2,
            ),
        ] {
            if number < least {
                return refuse(key, format!("expected at least {least}, got {number}"));
            }
        }
        // Written so that NaN is refused.
        for (key, number, fits) in [
            ("temperature", self.temperature, self.temperature > 0.0),
            ("top_p", self.top_p, self.top_p > 0.0 && self.top_p <= 1.0),
            (
                "epsilon_low",
                self.epsilon_low,
                (0.0..=1.0).contains(&self.epsilon_low),
            ),
            ("epsilon_high", self.epsilon_high, self.epsilon_high >= 0.0),
            ("beta", self.beta, self.beta >= 0.0),
        ] {
            if !(fits && number.is_finite()) {
                return refuse(key, format!("{number} is out of range"));
            }
        }
        Ok(())
    }

    /// # Errors
    /// [`Error::Weights`] if the model's own values cannot be read.
    pub(super) fn settings(&self) -> Result<Settings> {
        Ok(Settings {
            flow: match &self.flow {
                Some(flow) => flow.clone(),
                None => FlowParams::of_model(&self.run.init)?,
            },
            sampling: SamplingParams {
                max_new_tokens: self.max_new_tokens,
                temperature: self.temperature,
                top_p: self.top_p,
            },
            mode: self.mode,
            max_turns: self.max_turns,
            // Each answer has its own.
            seed: 0,
        })
    }
}
