//! Random numbers of a run as a function of where they are used.

use rand::SeedableRng;
use rand::rngs::StdRng;

/// The generator of a place in a run: the same numbers every time.
pub fn rng_at(seed: u64, step: usize, micro: usize) -> StdRng {
    StdRng::seed_from_u64(mixed(mixed(seed, step as u64), micro as u64))
}

/// SplitMix64's finish over both numbers.
pub fn mixed(a: u64, b: u64) -> u64 {
    let mut x = a ^ b
        .wrapping_add(0x9E37_79B9_7F4A_7C15)
        .wrapping_mul(0xD1B5_4A32_D192_ED03);
    x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    x ^ (x >> 31)
}

/// Where `i` of `0..n` goes in the permutation that belongs to `key`.
pub fn permuted(i: u64, n: u64, key: u64) -> u64 {
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
            let mut seen: Vec<u64> = (0..n).map(|i| permuted(i, n, 7)).collect();
            if n > 8 {
                let other: Vec<u64> = (0..n).map(|i| permuted(i, n, 8)).collect();
                let n_same = seen.iter().zip(&other).filter(|(a, b)| a == b).count();
                assert!(n_same < n as usize / 4, "{n}: {n_same} in the same place");
            }
            seen.sort_unstable();
            assert!(seen.into_iter().eq(0..n), "{n}");
        }
    }
}
