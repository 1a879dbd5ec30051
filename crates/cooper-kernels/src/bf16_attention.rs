//! Attention with matmul of 16-bit numbers (AVX-512 BF16), twice as fast as in 32 bits.
//!
//! Queries, keys, values and weights are rounded to bf16; sums and the softmax are in f32. A few rows of scores are held at
//! a time, so that they stay in the cache.

use half::bf16;

use super::avx512::{LANES, QUERY_ROWS, has_bf16, on_avx512};
use super::bf16_head::{Buffers, PackedHead};
use super::key_heads::KeyHeads;
use super::simd::dispatch;
use super::threads::{for_each, for_each_with, zeros};

/// Whether the processor has the instructions, and queries of `d` numbers fill registers.
pub fn fits_bf16(d: usize) -> bool {
    has_bf16() && d.is_multiple_of(LANES)
}

/// Attend one query (d) of a head in f32 to its keys and values (m, d): `out` (d). Returns false, and does nothing, for
/// unusual widths and where the processor lacks the instructions.
pub fn attend_one(q: &[f32], k: &[bf16], v: &[bf16], out: &mut [f32]) -> bool {
    if !fits_bf16(q.len()) {
        return false;
    }
    match q.len() {
        32 => on_avx512!(attention::attend_one::<1>(q, k, v, out)),
        64 => on_avx512!(attention::attend_one::<2>(q, k, v, out)),
        128 => on_avx512!(attention::attend_one::<4>(q, k, v, out)),
        _ => return false,
    }
    true
}

/// Attend queries (h, n, d) to keys and values of `m` tokens, with an optional mask (n, m) that is added to the scores:
/// (h, n, d).
///
/// # Panics
/// If [`fits_bf16`] is false, or sizes do not fit.
pub fn attend_heads_bf16(
    q: &[f32],
    k: &KeyHeads<bf16>,
    v: &KeyHeads<bf16>,
    mask: Option<&[f32]>,
    (n, d): (usize, usize),
) -> Vec<f32> {
    assert!(fits_bf16(d));
    let kv = k.n_heads();
    let mut heads: Vec<Option<PackedHead>> = (0..kv).map(|_| None).collect();
    for_each(heads.iter_mut().collect(), |i, head| {
        *head = Some(dispatch!(PackedHead::new(k.head(i), v.head(i), d)));
    });
    let heads: Vec<PackedHead> = heads.into_iter().flatten().collect();
    let mut out = zeros(q.len());
    let h = q.len() / (n * d);
    let queries = out.chunks_exact_mut(n * d).zip(q.chunks_exact(n * d));
    let jobs = queries.enumerate().flat_map(|(i, (out, q))| {
        let head = &heads[i * kv / h];
        let jobs = out.chunks_mut(QUERY_ROWS * d).zip(q.chunks(QUERY_ROWS * d));
        jobs.enumerate().map(move |(j, (out, q))| Job {
            head,
            out,
            q,
            first: j * QUERY_ROWS,
        })
    });
    for_each_with(jobs.collect(), |buffers, _, job| job.run(mask, buffers));
    out
}

/// Some queries of a head.
struct Job<'a> {
    head: &'a PackedHead,
    out: &'a mut [f32],
    q: &'a [f32],
    /// The number of the first of them.
    first: usize,
}

impl Job<'_> {
    fn run(self, mask: Option<&[f32]>, buffers: &mut Buffers) {
        let (d, m) = (self.head.d, self.head.m);
        let n = self.q.len() / d;
        let mut start = 0;
        while start < n {
            let step = match n - start {
                QUERY_ROWS.. => QUERY_ROWS,
                4.. => 4,
                _ => 1,
            };
            let numbers = start * d..(start + step) * d;
            let (q, out) = (&self.q[numbers.clone()], &mut self.out[numbers]);
            let mask = mask.map(|mask| &mask[(self.first + start) * m..][..step * m]);
            let head = self.head;
            // `attend_heads_bf16` checks that the processor has the instructions.
            match step {
                QUERY_ROWS => {
                    on_avx512!(attention::attend::<QUERY_ROWS>(head, q, mask, out, buffers))
                }
                4 => on_avx512!(attention::attend::<4>(head, q, mask, out, buffers)),
                _ => on_avx512!(attention::attend::<1>(head, q, mask, out, buffers)),
            }
            start += step;
        }
    }
}
