//! A question before it has choices or none.

use rand::rngs::StdRng;

use super::super::sampling::chance;
use super::choices::{lettered, with_choices};
use super::question::{Question, QuestionKind};

/// The share of questions that come with choices.
const CHOICE_SHARE: f64 = 0.5;

/// A question before it is decided whether it comes with choices.
#[derive(Clone, Debug)]
pub(super) struct Draft {
    pub kind: QuestionKind,
    /// How it is asked without choices.
    pub open: String,
    /// How it is asked before the choices.
    pub stem: String,
    /// The right answer in words.
    pub right: String,
    /// Answers that are wrong.
    pub wrong: Vec<String>,
    /// Of a length, an estimate of it: what a thought concludes before it is matched with choices.
    pub estimate: Option<String>,
    pub value: Option<f64>,
    pub unit: Option<&'static str>,
    pub objects: Vec<usize>,
    pub thought: String,
}

impl Draft {
    pub(super) fn finish(self, rng: &mut StdRng) -> Question {
        // The conclusion is told in words, whether there are letters or not.
        let mut conclusion = self.right.clone();
        let (text, answer, choices) = if chance(rng, CHOICE_SHARE) {
            // Whoever learns from it learns to take the nearest choice, not to hope for an equal one.
            conclusion = self.estimate.unwrap_or(conclusion);
            let (letter, choices) = lettered(self.right, self.wrong, rng);
            (with_choices(&self.stem, &choices), letter, choices)
        } else {
            (self.open, self.right, Vec::new())
        };
        let thought = format!("{} That is {conclusion}.", self.thought);
        Question {
            kind: self.kind,
            text,
            answer,
            choices,
            value: self.value,
            unit: self.unit,
            objects: self.objects,
            thought: thought.trim_start().into(),
        }
    }
}
