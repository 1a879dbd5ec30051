//! Attention with products of 16-bit numbers (AVX-512 BF16), twice as fast as in 32 bits.
//!
//! Queries, keys, values and weights are rounded to bf16; sums and the softmax are in f32. Some rows of scores are held at
//! a time, so that they stay in the cache.

use std::arch::x86_64::*;

use half::bf16;

use crate::attention::Heads;
use crate::packed_attention::softmax_row;
use crate::simd::{self, dispatch};
use crate::threads::{each, each_with, zeros};

/// Columns in a register.
const COLUMNS: usize = 16;
/// Queries that are multiplied at once: there are registers for the sums of so many with 32 columns.
const ROWS: usize = 12;

/// Two numbers that are neighbours along a sum, in each of 16 columns.
type Pairs = [u32; COLUMNS];

#[inline(always)]
fn pair(x: f32, y: f32) -> u32 {
    // To the nearest, ties to even.
    let rounded = |x: f32| {
        let odd = x.to_bits() >> 16 & 1;
        x.to_bits().wrapping_add(0x7fff + odd) >> 16
    };
    rounded(x) | rounded(y) << 16
}

#[inline(always)]
fn beside(x: bf16, y: bf16) -> u32 {
    u32::from(x.to_bits()) | u32::from(y.to_bits()) << 16
}

/// Keys and values of a head, by columns.
struct Head {
    /// (tokens/16, width/2): columns are tokens.
    keys: Vec<Pairs>,
    /// (width/16, tokens/2): columns are numbers of a value.
    values: Vec<Pairs>,
    /// Tokens.
    m: usize,
    /// Numbers of a query, key or value.
    d: usize,
}

impl Head {
    #[inline(always)]
    fn new(k: &[bf16], v: &[bf16], d: usize) -> Self {
        let m = k.len() / d;
        let (half_width, half) = (d / 2, m.div_ceil(2));
        let mut keys = vec![[0; COLUMNS]; m.div_ceil(COLUMNS) * half_width];
        for (j, k) in k.chunks_exact(d).enumerate() {
            let panel = &mut keys[j / COLUMNS * half_width..][..half_width];
            for (pairs, k) in panel.iter_mut().zip(k.chunks_exact(2)) {
                pairs[j % COLUMNS] = beside(k[0], k[1]);
            }
        }
        let mut values = vec![[0; COLUMNS]; d / COLUMNS * half];
        let none = vec![bf16::ZERO; d];
        for (j, two) in v.chunks(2 * d).enumerate() {
            let (first, second) = two.split_at(d);
            let second = if second.is_empty() { &none } else { second };
            let columns = first
                .chunks_exact(COLUMNS)
                .zip(second.chunks_exact(COLUMNS));
            for (c, (first, second)) in columns.enumerate() {
                let pairs = values[c * half + j]
                    .iter_mut()
                    .zip(first.iter().zip(second));
                pairs.for_each(|(to, (x, y))| *to = beside(*x, *y));
            }
        }
        Self { keys, values, m, d }
    }
}

/// Attend one query (d) of a head in f32 to its keys and values (m, d): `out` (d). Whether it was done: only for usual
/// widths, and where the processor has the instructions.
pub fn attend_one(q: &[f32], k: &[bf16], v: &[bf16], out: &mut [f32]) -> bool {
    if !has_bf16(q.len()) {
        return false;
    }
    // Sound: it has the instructions.
    #[allow(unsafe_code)]
    unsafe {
        match q.len() {
            32 => one_query::<1>(q, k, v, out),
            64 => one_query::<2>(q, k, v, out),
            128 => one_query::<4>(q, k, v, out),
            _ => return false,
        }
    }
    true
}

/// Numbers in a register of 16 bits.
const HALVES: usize = 2 * COLUMNS;

/// One query of `C` registers.
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
fn one_query<const C: usize>(q: &[f32], k: &[bf16], v: &[bf16], out: &mut [f32]) {
    let d = C * HALVES;
    let scale = 1.0 / (d as f32).sqrt();
    let mut pairs = [[0u32; COLUMNS]; C];
    for (to, x) in pairs.as_flattened_mut().iter_mut().zip(q.chunks_exact(2)) {
        *to = pair(x[0] * scale, x[1] * scale);
    }
    let q = pairs.map(|pairs| bf16s(bytemuck::cast(pairs)));
    let mut weights = vec![0f32; k.len() / d];
    for (weight, k) in weights.iter_mut().zip(k.chunks_exact(d)) {
        simd::fetch_ahead(AHEAD, &k[0]);
        simd::fetch_ahead(AHEAD, &k[d / 2]);
        let mut sum = _mm512_setzero_ps();
        for (q, k) in q.iter().zip(k.as_chunks().0) {
            sum = _mm512_dpbf16_ps(sum, *q, bf16s(halves(k)));
        }
        *weight = _mm512_reduce_add_ps(sum);
    }
    softmax_row(&mut weights);
    // Numbers in even and in odd places: two neighbours share a lane.
    let mut sums = [[_mm512_setzero_ps(); 2]; C];
    let upper = _mm512_set1_epi32(!0xffff);
    for (weight, v) in weights.iter().zip(v.chunks_exact(d)) {
        simd::fetch_ahead(AHEAD, &v[0]);
        simd::fetch_ahead(AHEAD, &v[d / 2]);
        let weight = _mm512_set1_ps(*weight);
        for ([even, odd], v) in sums.iter_mut().zip(v.as_chunks().0) {
            let v = halves(v);
            let of_even = _mm512_castsi512_ps(_mm512_slli_epi32::<16>(v));
            let of_odd = _mm512_castsi512_ps(_mm512_and_si512(v, upper));
            *even = _mm512_fmadd_ps(weight, of_even, *even);
            *odd = _mm512_fmadd_ps(weight, of_odd, *odd);
        }
    }
    for (out, sums) in out.chunks_exact_mut(HALVES).zip(sums) {
        let [even, odd]: [[f32; COLUMNS]; 2] = sums.map(bytemuck::cast);
        for (out, (x, y)) in out.chunks_exact_mut(2).zip(even.into_iter().zip(odd)) {
            out.copy_from_slice(&[x, y]);
        }
    }
}

/// How far ahead memory is asked for keys and values, bytes.
const AHEAD: usize = 1 << 11;

/// A register of 16-bit numbers.
#[inline(always)]
fn halves(numbers: &[bf16; HALVES]) -> __m512i {
    bytemuck::cast(*numbers)
}

/// What a thread works on.
#[derive(Default)]
struct Buffers {
    q: Vec<u32>,
    scores: Vec<f32>,
    weights: Vec<u32>,
}

/// Whether the processor has the instructions, and queries of `d` numbers are whole registers.
pub fn has_bf16(d: usize) -> bool {
    is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512bf16")
        && d.is_multiple_of(COLUMNS)
}

/// Attend queries (h, n, d) to keys and values of `m` tokens, with an optional mask (n, m) that is added to the scores:
/// (h, n, d).
///
/// # Panics
/// Where [`has_bf16`] says no, or sizes do not fit.
pub fn attend_in_bf16(
    q: &[f32],
    k: &Heads<bf16>,
    v: &Heads<bf16>,
    mask: Option<&[f32]>,
    (n, d): (usize, usize),
) -> Vec<f32> {
    assert!(has_bf16(d));
    let kv = k.n_heads();
    let mut heads: Vec<Option<Head>> = (0..kv).map(|_| None).collect();
    each(heads.iter_mut().collect(), |i, head| {
        *head = Some(dispatch!(Head::new(k.head(i), v.head(i), d)));
    });
    let heads: Vec<Head> = heads.into_iter().flatten().collect();
    let mut out = zeros(q.len());
    let h = q.len() / (n * d);
    let queries = out.chunks_exact_mut(n * d).zip(q.chunks_exact(n * d));
    let jobs = queries.enumerate().flat_map(|(i, (out, q))| {
        let head = &heads[i * kv / h];
        let jobs = out.chunks_mut(ROWS * d).zip(q.chunks(ROWS * d));
        jobs.enumerate().map(move |(j, (out, q))| Job {
            head,
            out,
            q,
            first: j * ROWS,
        })
    });
    each_with(jobs.collect(), |buffers, _, job| job.run(mask, buffers));
    out
}

/// Some queries of a head.
struct Job<'a> {
    head: &'a Head,
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
                ROWS.. => ROWS,
                4.. => 4,
                _ => 1,
            };
            let numbers = start * d..(start + step) * d;
            let (q, out) = (&self.q[numbers.clone()], &mut self.out[numbers]);
            let mask = mask.map(|mask| &mask[(self.first + start) * m..][..step * m]);
            // Sound: `attend_in_bf16` makes jobs only where the processor has the instructions.
            #[allow(unsafe_code)]
            unsafe {
                match step {
                    ROWS => self.head.attend::<ROWS>(q, mask, out, buffers),
                    4 => self.head.attend::<4>(q, mask, out, buffers),
                    _ => self.head.attend::<1>(q, mask, out, buffers),
                }
            }
            start += step;
        }
    }
}

impl Head {
    /// Attend `M` queries (M, d).
    #[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
    fn attend<const M: usize>(
        &self,
        q: &[f32],
        mask: Option<&[f32]>,
        out: &mut [f32],
        buffers: &mut Buffers,
    ) {
        let (m, d) = (self.m, self.d);
        // Powers of two are nearer at hand than those of e.
        let scale = std::f32::consts::LOG2_E / (d as f32).sqrt();
        let scaled = q.chunks_exact(2).map(|x| pair(x[0] * scale, x[1] * scale));
        buffers.q.clear();
        buffers.q.extend(scaled);
        let width = m.next_multiple_of(2 * COLUMNS);
        buffers.scores.resize(M * width, 0.0);
        buffers.weights.resize(M * width / 2, 0);

        let mut queries = buffers.q.chunks_exact(d / 2);
        let queries = std::array::from_fn(|_| queries.next().unwrap_or_default());
        products::<M>(queries, &self.keys, |i, column, sums| {
            buffers.scores[i * width + column..][..COLUMNS].copy_from_slice(&sums);
        });
        let mut inverse_sums = [0f32; M];
        let rows = buffers.scores.chunks_exact_mut(width);
        let rows = rows.zip(buffers.weights.chunks_exact_mut(width / 2));
        for (i, (scores, weights)) in rows.enumerate() {
            if let Some(mask) = mask {
                let of_row = &mask[i * m..][..m];
                let mask = of_row.iter().map(|y| y * std::f32::consts::LOG2_E);
                scores.iter_mut().zip(mask).for_each(|(x, y)| *x += y);
            }
            scores[m..].fill(f32::NEG_INFINITY);
            inverse_sums[i] = 1.0 / weigh(scores, weights);
        }
        let mut weights = buffers.weights.chunks_exact(width / 2);
        let weights =
            std::array::from_fn(|_| weights.next().map_or(&[][..], |row| &row[..m.div_ceil(2)]));
        products::<M>(weights, &self.values, |i, column, sums| {
            let out = &mut out[i * d + column..][..COLUMNS];
            let sums = sums.iter().zip(out);
            sums.for_each(|(sum, out)| *out = sum * inverse_sums[i]);
        });
    }
}

/// ConvPrecision of rows with columns, two panels of columns at a time; `take` gets a row's number, the first column and the
/// sums of 16 columns.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
fn products<const M: usize>(
    rows: [&[u32]; M],
    columns: &[Pairs],
    mut take: impl FnMut(usize, usize, [f32; COLUMNS]),
) {
    let len = rows[0].len();
    let n_panels = columns.len() / len;
    let panel = |p: usize| &columns[p.min(n_panels - 1) * len..][..len];
    for p in (0..n_panels).step_by(2) {
        let sums = two_panels(rows, [panel(p), panel(p + 1)]);
        for (i, [left, right]) in sums.into_iter().enumerate() {
            take(i, p * COLUMNS, bytemuck::cast(left));
            if p + 1 < n_panels {
                take(i, (p + 1) * COLUMNS, bytemuck::cast(right));
            }
        }
    }
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
fn two_panels<const M: usize>(rows: [&[u32]; M], columns: [&[Pairs]; 2]) -> [[__m512; 2]; M] {
    let mut sums = [[_mm512_setzero_ps(); 2]; M];
    // Told once, so that nothing is checked within the loop.
    let len = columns[0].len();
    let right = &columns[1][..len];
    let rows = rows.map(|row| &row[..len]);
    for (i, left) in columns[0].iter().enumerate() {
        let columns = [left, &right[i]].map(|pairs| bf16s(bytemuck::cast(*pairs)));
        for m in 0..M {
            let row = bf16s(_mm512_set1_epi32(rows[m][i] as i32));
            sums[m][0] = _mm512_dpbf16_ps(sums[m][0], row, columns[0]);
            sums[m][1] = _mm512_dpbf16_ps(sums[m][1], row, columns[1]);
        }
    }
    sums
}

/// The same bits; bytemuck does not know the type.
fn bf16s(pairs: __m512i) -> __m512bh {
    // Sound: both are 512 bits, of which every pattern is a value.
    #[allow(unsafe_code)]
    unsafe {
        std::mem::transmute(pairs)
    }
}

/// Softmax's numerators of a row's scores in bf16, and their sum; the scores are exponents of two.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
fn weigh(scores: &[f32], weights: &mut [u32]) -> f32 {
    let most = _mm512_set1_ps(simd::max(scores));
    let mut sum = _mm512_setzero_ps();
    let pairs = scores
        .as_chunks::<{ 2 * COLUMNS }>()
        .0
        .iter()
        .zip(weights.as_chunks_mut::<COLUMNS>().0);
    for (scores, weights) in pairs {
        let halves: [[f32; COLUMNS]; 2] = bytemuck::cast(*scores);
        let [first, second] =
            halves.map(|scores| power_of_two(_mm512_sub_ps(bytemuck::cast(scores), most)));
        sum = _mm512_add_ps(sum, _mm512_add_ps(first, second));
        // Sound: both are 512 bits, of which every pattern is a value.
        #[allow(unsafe_code)]
        let rounded: Pairs = unsafe { std::mem::transmute(_mm512_cvtne2ps_pbh(second, first)) };
        *weights = rounded;
    }
    _mm512_reduce_add_ps(sum)
}

/// 2ˣ to within 3e-7 of it; 0 far below.
#[inline]
#[target_feature(enable = "avx512f")]
fn power_of_two(x: __m512) -> __m512 {
    // In this order what is no number stays so.
    let x = _mm512_max_ps(_mm512_set1_ps(-1000.0), x);
    let n = _mm512_roundscale_ps::<0>(x);
    let r = _mm512_sub_ps(x, n);
    // Taylor's polynomial of 2ʳ, |r| ≤ 1/2.
    let mut p = _mm512_set1_ps(1.540_353e-4);
    for c in [
        1.333_355_8e-3,
        9.618_129e-3,
        5.550_411e-2,
        0.240_226_5,
        std::f32::consts::LN_2,
        1.0,
    ] {
        p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(c));
    }
    _mm512_scalef_ps(p, n)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn powers_of_two_are_as_near_as_told() {
        if !has_bf16(COLUMNS) {
            return;
        }
        for i in 0..4000 {
            let x = -40.0 + 0.01 * i as f32;
            // Sound: the instructions are there.
            #[allow(unsafe_code)]
            let got: [f32; COLUMNS] = bytemuck::cast(unsafe { power_of_two(_mm512_set1_ps(x)) });
            assert!((got[0] / x.exp2() - 1.0).abs() < 3e-7, "{x}: {}", got[0]);
        }
        for x in [-1e4, f32::MIN, f32::NEG_INFINITY] {
            #[allow(unsafe_code)]
            let got: [f32; COLUMNS] = bytemuck::cast(unsafe { power_of_two(_mm512_set1_ps(x)) });
            assert_eq!(got[0], 0.0);
        }
    }
}
