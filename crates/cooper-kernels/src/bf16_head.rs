//! Keys and values of a head, packed for matmul in bf16.

use half::bf16;

use super::avx512::{LANES, Pairs};

/// Keys and values of a head, by columns.
pub struct PackedHead {
    /// (tokens/16, width/2): columns are tokens.
    pub keys: Vec<Pairs>,
    /// (width/16, tokens/2): columns are numbers of a value.
    pub values: Vec<Pairs>,
    /// Tokens.
    pub m: usize,
    /// Numbers of a query, key or value.
    pub d: usize,
}

impl PackedHead {
    /// Pack keys and values (m, d).
    #[inline(always)]
    pub fn new(k: &[bf16], v: &[bf16], d: usize) -> Self {
        let m = k.len() / d;
        let (half_width, half) = (d / 2, m.div_ceil(2));
        let mut keys = vec![[0; LANES]; m.div_ceil(LANES) * half_width];
        for (j, k) in k.chunks_exact(d).enumerate() {
            let panel = &mut keys[j / LANES * half_width..][..half_width];
            for (pairs, k) in panel.iter_mut().zip(k.chunks_exact(2)) {
                pairs[j % LANES] = pair(k[0], k[1]);
            }
        }
        let mut values = vec![[0; LANES]; d / LANES * half];
        let none = vec![bf16::ZERO; d];
        for (j, two) in v.chunks(2 * d).enumerate() {
            let (first, second) = two.split_at(d);
            let second = if second.is_empty() { &none } else { second };
            let columns = first.chunks_exact(LANES).zip(second.chunks_exact(LANES));
            for (c, (first, second)) in columns.enumerate() {
                let pairs = values[c * half + j]
                    .iter_mut()
                    .zip(first.iter().zip(second));
                pairs.for_each(|(to, (x, y))| *to = pair(*x, *y));
            }
        }
        Self { keys, values, m, d }
    }
}

/// Two neighbours, the first in the lower bits.
#[inline(always)]
fn pair(x: bf16, y: bf16) -> u32 {
    u32::from(x.to_bits()) | u32::from(y.to_bits()) << 16
}

/// A thread's memory for some queries of a head.
#[derive(Default)]
pub struct Buffers {
    /// Scaled queries: pairs of bf16.
    pub q: Vec<u32>,
    /// A row of scores for each query.
    pub scores: Vec<f32>,
    /// The numerators of the softmax: pairs of bf16.
    pub weights: Vec<u32>,
}
