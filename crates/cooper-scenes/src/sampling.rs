//! Random numbers of a scene. Nothing here panics, whatever the ranges of a configuration are.

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::split::Split;

/// The smallest and the largest value of something.
pub type Span = [f64; 2];

/// The random generator of an analytic scene.
pub(super) fn scene_rng(split: Split, index: u64) -> StdRng {
    rng_of_kind(b"cooper scenes\0\0\0", split, index)
}

/// The random generator of a scene of a kind: kind, split and index are different bytes of the key, so no two scenes share
/// one.
pub(super) fn rng_of_kind(kind: &[u8; 16], split: Split, index: u64) -> StdRng {
    let mut key = [b'_'; 32];
    key[..16].copy_from_slice(kind);
    key[16] = split as u8;
    key[24..].copy_from_slice(&index.to_le_bytes());
    StdRng::from_seed(key)
}

/// A number of a span, uniformly.
pub(super) fn between(rng: &mut StdRng, [low, high]: Span) -> f64 {
    low + (high - low) * rng.random::<f64>()
}

/// An integer of `low..=high`, uniformly.
pub(super) fn whole(rng: &mut StdRng, low: usize, high: usize) -> usize {
    let n_values = high.saturating_sub(low) + 1;
    // A unit sample instead of `random_range`, which refuses empty ranges.
    low + ((rng.random::<f64>() * n_values as f64) as usize).min(n_values - 1)
}

/// True with a probability of `share`.
pub(super) fn chance(rng: &mut StdRng, share: f64) -> bool {
    rng.random::<f64>() < share
}

/// One of some values, uniformly.
pub(super) fn one_of<T: Copy, const N: usize>(rng: &mut StdRng, values: [T; N]) -> T {
    const { assert!(N > 0) };
    values[whole(rng, 0, N - 1)]
}
