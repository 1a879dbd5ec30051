//! From facts to questions: every pair, every object, in one of several wordings.

use rand::rngs::StdRng;
use rand::seq::SliceRandom;

use super::super::sampling::chance;
use super::super::scene::Scene;
use super::choices::lettered;
use super::{Question, QuestionKind, pairs, singles};

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

/// All questions of a scene.
pub(super) fn all(scene: &Scene, rng: &mut StdRng) -> Vec<Question> {
    let mut drafts = singles::counts(scene, rng);
    for first in 0..scene.objects.len() {
        drafts.extend(singles::about(scene, first, rng));
        for second in first + 1..scene.objects.len() {
            drafts.extend(pairs::about(scene, [first, second], rng));
        }
    }
    drafts.shuffle(rng);
    drafts.into_iter().map(|d| d.finish(rng)).collect()
}

impl Draft {
    fn finish(self, rng: &mut StdRng) -> Question {
        // The conclusion is told in words, whether there are letters or not.
        let mut conclusion = self.right.clone();
        let (text, answer, choices) = if chance(rng, CHOICE_SHARE) {
            // Whoever learns from it learns to take the nearest choice, not to hope for an equal one.
            conclusion = self.estimate.unwrap_or(conclusion);
            let (letter, choices) = lettered(self.right, self.wrong, rng);
            (
                super::choices::with_choices(&self.stem, &choices),
                letter,
                choices,
            )
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
