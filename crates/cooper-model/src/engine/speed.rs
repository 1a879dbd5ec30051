//! How fast an engine works: the newest measured times, by which work is fitted into a time budget.
//!
//! A median says how long a part takes. What fits follows from means: on a busy machine few parts are interrupted, for
//! long, and a median ignores them.

use std::collections::VecDeque;

use cooper_metric::{Interpolation, quantile};

/// How many measurements of a part are kept: the newest ones.
const N_RECENT: usize = 127;

/// A kind of work whose time is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Reading an image into a context, its encoder included unless it was cached; a unit is a token.
    Prefill,
    /// Writing a token; that is the unit.
    Token,
    /// A flow step with one, two or three branches; a unit is a latent token of a branch.
    FlowStep(usize),
    /// Decoding a map; a unit is a latent token.
    Decode,
}

impl Part {
    const N: usize = 6;

    fn index(self) -> usize {
        match self {
            Self::Prefill => 0,
            Self::Token => 1,
            Self::Decode => 2,
            Self::FlowStep(n_branches) => 2 + n_branches.clamp(1, 3),
        }
    }
}

/// Measured times since the model was loaded, the newest ones of each part.
#[derive(Clone, Debug, Default)]
pub struct Speed {
    /// Seconds and units.
    recent: [VecDeque<(f64, f64)>; Part::N],
    /// Tokens of texts.
    texts: VecDeque<usize>,
}

impl Speed {
    /// Note that so many units of a part took so long.
    pub fn note(&mut self, part: Part, seconds: f64, units: usize) {
        put(&mut self.recent[part.index()], (seconds, units as f64));
    }

    /// Note that a text had so many tokens.
    pub fn note_text(&mut self, n_tokens: usize) {
        put(&mut self.texts, n_tokens);
    }

    /// The median time of a part as it came, in seconds.
    pub fn seconds(&self, part: Part) -> Option<f64> {
        let recent = self.recent[part.index()].iter();
        let mut seconds: Vec<f64> = recent.map(|(seconds, _)| *seconds).collect();
        quantile(&mut seconds, 0.5, Interpolation::Nearest)
    }

    /// The mean time of a unit of a part, in seconds. A flow step that was never made with so many branches is taken for
    /// as fast as with another number of them.
    pub fn seconds_per_unit(&self, part: Part) -> Option<f64> {
        match part {
            Part::FlowStep(_) => {
                let others = [3, 2, 1].map(Part::FlowStep);
                let mut parts = std::iter::once(part).chain(others);
                parts.find_map(|part| self.mean(part))
            }
            _ => self.mean(part),
        }
    }

    /// Tokens of the longest of the newest texts.
    pub fn longest_text(&self) -> Option<usize> {
        self.texts.iter().copied().max()
    }

    fn mean(&self, part: Part) -> Option<f64> {
        let recent = self.recent[part.index()].iter();
        let (seconds, units) = recent.fold((0.0, 0.0), |(s, u), (seconds, units)| {
            (s + seconds, u + units)
        });
        (units > 0.0).then(|| seconds / units)
    }
}

fn put<T>(recent: &mut VecDeque<T>, value: T) {
    recent.push_back(value);
    if recent.len() > N_RECENT {
        recent.pop_front();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_old_is_forgotten() {
        let mut speed = Speed::default();
        assert_eq!(speed.seconds(Part::Token), None);
        assert_eq!(speed.seconds_per_unit(Part::Token), None);
        for seconds in [9.0, 1.0, 2.0] {
            speed.note(Part::Decode, seconds, 2);
        }
        assert_eq!(speed.seconds(Part::Decode), Some(2.0), "the median");
        assert_eq!(speed.seconds_per_unit(Part::Decode), Some(2.0), "the mean");
        for _ in 0..N_RECENT {
            speed.note(Part::Decode, 4.0, 1);
        }
        assert_eq!(speed.seconds(Part::Decode), Some(4.0));
        assert_eq!(speed.seconds_per_unit(Part::Decode), Some(4.0));
        speed.note_text(70);
        speed.note_text(5);
        assert_eq!(speed.longest_text(), Some(70));
    }

    #[test]
    fn a_step_that_was_never_made_is_taken_for_one_that_was() {
        let mut speed = Speed::default();
        speed.note(Part::FlowStep(3), 6.0, 60);
        assert_eq!(speed.seconds_per_unit(Part::FlowStep(1)), Some(0.1));
        speed.note(Part::FlowStep(1), 4.0, 20);
        assert_eq!(speed.seconds_per_unit(Part::FlowStep(1)), Some(0.2));
        assert_eq!(speed.seconds(Part::FlowStep(2)), None);
    }
}
