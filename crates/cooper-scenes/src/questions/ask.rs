//! From facts to questions: every pair, every object, in one of several wordings.

use rand::rngs::StdRng;
use rand::seq::SliceRandom;

use super::question::Question;
use super::thing::Things;
use super::{pairs, singles, surroundings};

/// All questions about things.
pub(super) fn all(things: &Things, rng: &mut StdRng) -> Vec<Question> {
    let mut drafts = singles::counts(things, rng);
    for first in 0..things.all.len() {
        if !things.all[first].is_unique {
            continue;
        }
        drafts.extend(singles::about(things, first, rng));
        for second in first + 1..things.all.len() {
            if things.all[second].is_unique {
                drafts.extend(pairs::about(things, [first, second], rng));
            }
        }
    }
    if !things.is_complete {
        drafts.extend(surroundings::about(things, rng));
    }
    drafts.shuffle(rng);
    drafts.into_iter().map(|d| d.finish(rng)).collect()
}
