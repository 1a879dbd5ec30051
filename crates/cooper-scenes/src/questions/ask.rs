//! From facts to questions: every pair, every object, in one of several wordings.

use rand::rngs::StdRng;
use rand::seq::SliceRandom;

use super::super::scene::Scene;
use super::question::Question;
use super::{pairs, singles};

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
