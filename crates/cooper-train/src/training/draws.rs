//! Random numbers as a function of their place in a run.

use rand::SeedableRng;
use rand::rngs::StdRng;

/// The generator for micro-batch `micro` of `step`.
pub fn rng_at(seed: u64, step: usize, micro: usize) -> StdRng {
    StdRng::seed_from_u64(mixed(mixed(seed, step as u64), micro as u64))
}

/// A hash of both numbers, by SplitMix64's finisher.
pub fn mixed(a: u64, b: u64) -> u64 {
    let mut x = a ^ b
        .wrapping_add(0x9E37_79B9_7F4A_7C15)
        .wrapping_mul(0xD1B5_4A32_D192_ED03);
    x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    x ^ (x >> 31)
}

/// The row, of `n_rows`, for sample number `n` of a run: each row comes once in `n_rows` samples, in another order each
/// time. Where several sources are mixed, a row comes only if its source is drawn.
pub(super) fn row_of_epoch(n: u64, n_rows: usize, seed: u64) -> usize {
    let n_rows = n_rows as u64;
    permuted(n % n_rows, n_rows, mixed(seed, n / n_rows)) as usize
}

/// Where `i` of `0..n` goes in the permutation of `key`.
fn permuted(i: u64, n: u64, key: u64) -> u64 {
    // A Feistel network permutes the numbers of an even count of bits; walking its cycles permutes those below n.
    let half = (64 - n.saturating_sub(1).leading_zeros())
        .div_ceil(2)
        .max(1);
    let mask = (1 << half) - 1;
    let mut x = i;
    loop {
        for round in 0..4 {
            let (left, right) = (x >> half, x & mask);
            x = (right << half) | (left ^ (mixed(mixed(key, round), right) & mask));
        }
        if x < n.max(1) {
            return x;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::permuted;

    #[test]
    fn every_number_comes_once() {
        for n in [1, 2, 3, 8, 100, 1025] {
            let mut places: Vec<u64> = (0..n).map(|i| permuted(i, n, 7)).collect();
            if n > 8 {
                let other: Vec<u64> = (0..n).map(|i| permuted(i, n, 8)).collect();
                let n_same = places.iter().zip(&other).filter(|(a, b)| a == b).count();
                assert!(n_same < n as usize / 4, "{n}: {n_same} in the same place");
            }
            places.sort_unstable();
            assert!(places.into_iter().eq(0..n), "{n}");
        }
    }
}
