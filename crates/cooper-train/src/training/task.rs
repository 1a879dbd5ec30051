//! What samples teach.

use cooper_model::{Error, Result};
use cooper_scenes::Question;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a sample teaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Task {
    Direct,
    Text,
    Perception,
    Interleaved,
    Draw,
    Grounding,
    GroundingInMaps,
}

impl Task {
    /// Whether it needs questions with thoughts.
    pub(super) fn asks(self) -> bool {
        matches!(
            self,
            Self::Direct | Self::Text | Self::Perception | Self::Interleaved
        )
    }

    /// Whether it needs questions about places.
    pub(super) fn grounds(self) -> bool {
        matches!(self, Self::Grounding | Self::GroundingInMaps)
    }
}

/// How often which task is set, relative to the others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TaskWeights {
    /// Answer at once.
    pub direct: f64,
    /// Think, then answer.
    pub text: f64,
    /// Answer from both maps.
    pub perception: f64,
    /// Think, look at a map where it helps, think, answer.
    pub interleaved: f64,
    /// Draw the depth map and the segmentation.
    pub draw: f64,
    /// Name what is at a place, and say where something is.
    pub grounding: f64,
    /// Grounding with both maps in view.
    pub grounding_in_maps: f64,
}

impl TaskWeights {
    /// Names, weights and tasks.
    fn all(&self) -> [(&'static str, f64, Task); 7] {
        [
            ("direct", self.direct, Task::Direct),
            ("text", self.text, Task::Text),
            ("perception", self.perception, Task::Perception),
            ("interleaved", self.interleaved, Task::Interleaved),
            ("grounding", self.grounding, Task::Grounding),
            (
                "grounding_in_maps",
                self.grounding_in_maps,
                Task::GroundingInMaps,
            ),
            ("draw", self.draw, Task::Draw),
        ]
    }

    /// Whether a task can be drawn; `what` names the weights.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] for a weight below 0, and if none is above it.
    pub(super) fn check(&self, what: &str) -> Result<()> {
        let weights = self.all();
        let is_wrong = |weight: f64| weight.is_nan() || weight < 0.0;
        if let Some((name, weight, _)) = weights.iter().find(|(_, weight, _)| is_wrong(*weight)) {
            let why = format!("expected a weight from 0, got {weight}");
            return Err(Error::invalid(format!("{what}: {name}"), why));
        }
        let sum: f64 = weights.iter().map(|(_, weight, _)| weight).sum();
        if !(sum > 0.0 && sum.is_finite()) {
            let names = weights.map(|(name, ..)| name).join(", ");
            let why = format!("expected a task with a weight above 0, got none ({names})");
            return Err(Error::invalid(what, why));
        }
        Ok(())
    }

    /// A task by weight.
    pub(super) fn draw(&self, rng: &mut StdRng) -> Task {
        let weights = self.all();
        let drawn = weights.choose_weighted(rng, |(_, weight, _)| *weight);
        // Fails only without any weight, which `check` refuses.
        drawn.map_or(Task::Draw, |(_, _, task)| *task)
    }
}

/// The first `n` questions, one of each kind in turn: images have many pairs and few sizes.
pub(super) fn balanced(questions: Vec<Question>, n: usize) -> Vec<Question> {
    let mut ranked: Vec<(usize, Question)> = Vec::with_capacity(questions.len());
    for question in questions {
        let rank = ranked
            .iter()
            .filter(|(_, q)| q.kind == question.kind)
            .count();
        ranked.push((rank, question));
    }
    // Stable: within a turn the kinds stay in their random order.
    ranked.sort_by_key(|(rank, _)| *rank);
    ranked
        .into_iter()
        .take(n)
        .map(|(_, question)| question)
        .collect()
}
