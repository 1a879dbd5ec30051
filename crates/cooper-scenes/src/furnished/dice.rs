//! Random numbers of a furnished scene.

use rand::Rng;
use rand::rngs::StdRng;

use crate::sampling::{Span, rng_of_kind};
use crate::split::Split;

/// The generator of one scene.
pub(super) struct Dice(StdRng);

impl Dice {
    pub(super) fn new(split: Split, index: u64) -> Self {
        Self(rng_of_kind(b"furnished rooms\0", split, index))
    }

    /// In [0, 1).
    pub(super) fn unit(&mut self) -> f32 {
        self.0.random()
    }

    /// A number of a range, evenly.
    pub(super) fn between(&mut self, low: f32, high: f32) -> f32 {
        low + (high - low) * self.unit()
    }

    /// Any direction, in radians.
    pub(super) fn angle(&mut self) -> f32 {
        std::f32::consts::TAU * self.unit()
    }

    /// A number of a configured range, evenly.
    pub(super) fn of(&mut self, [low, high]: Span) -> f32 {
        self.between(low as f32, high as f32)
    }

    pub(super) fn chance(&mut self, share: f32) -> bool {
        self.unit() < share
    }

    /// A whole number of `low..=high`.
    pub(super) fn whole(&mut self, low: usize, high: usize) -> usize {
        let n = high.saturating_sub(low) + 1;
        low + ((self.unit() * n as f32) as usize).min(n - 1)
    }

    /// One of some things; none of no things.
    pub(super) fn pick<T: Copy>(&mut self, things: &[T]) -> Option<T> {
        let last = things.len().checked_sub(1)?;
        things.get(self.whole(0, last)).copied()
    }

    /// One of some things.
    pub(super) fn one<T: Copy, const N: usize>(&mut self, things: [T; N]) -> T {
        const { assert!(N > 0) };
        things[self.whole(0, N - 1)]
    }

    /// A number with mean 0, standard deviation 1 and no long tails.
    pub(super) fn normal(&mut self) -> f32 {
        let sum: f32 = (0..6).map(|_| self.unit()).sum();
        (sum - 3.0) * std::f32::consts::SQRT_2
    }

    pub(super) fn seed(&mut self) -> u32 {
        self.0.random()
    }
}
