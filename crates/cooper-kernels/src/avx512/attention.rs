//! Attention with matmul in bf16 (AVX-512 BF16).

use std::arch::x86_64::*;

use half::bf16;

use super::{LANES, Pairs};
use crate::bf16_head::{Buffers, PackedHead};
use crate::simd;
use crate::softmax::softmax_row;

/// How far ahead keys and values are prefetched, in bytes.
const AHEAD: usize = 1 << 11;
/// Numbers in a register of 16 bits.
const HALVES: usize = 2 * LANES;

/// Attend one query of `C` registers (d) to keys and values (m, d): `out` (d).
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
pub fn attend_one<const C: usize>(q: &[f32], k: &[bf16], v: &[bf16], out: &mut [f32]) {
    let d = C * HALVES;
    let scale = 1.0 / (d as f32).sqrt();
    let mut pairs = [[0u32; LANES]; C];
    for (to, x) in pairs.as_flattened_mut().iter_mut().zip(q.chunks_exact(2)) {
        *to = pair(x[0] * scale, x[1] * scale);
    }
    let q = pairs.map(|pairs| bf16s(bytemuck::cast(pairs)));
    let mut weights = vec![0f32; k.len() / d];
    for (weight, k) in weights.iter_mut().zip(k.chunks_exact(d)) {
        simd::prefetch(AHEAD, &k[0]);
        simd::prefetch(AHEAD, &k[d / 2]);
        let mut sum = _mm512_setzero_ps();
        for (q, k) in q.iter().zip(k.as_chunks().0) {
            sum = _mm512_dpbf16_ps(sum, *q, bf16s(halves(k)));
        }
        *weight = _mm512_reduce_add_ps(sum);
    }
    softmax_row(&mut weights);
    // The numbers at even and at odd places: two neighbours share a lane.
    let mut sums = [[_mm512_setzero_ps(); 2]; C];
    let upper = _mm512_set1_epi32(!0xffff);
    for (weight, v) in weights.iter().zip(v.chunks_exact(d)) {
        simd::prefetch(AHEAD, &v[0]);
        simd::prefetch(AHEAD, &v[d / 2]);
        let weight = _mm512_set1_ps(*weight);
        for ([even, odd], v) in sums.iter_mut().zip(v.as_chunks().0) {
            let v = halves(v);
            let even_v = _mm512_castsi512_ps(_mm512_slli_epi32::<16>(v));
            let odd_v = _mm512_castsi512_ps(_mm512_and_si512(v, upper));
            *even = _mm512_fmadd_ps(weight, even_v, *even);
            *odd = _mm512_fmadd_ps(weight, odd_v, *odd);
        }
    }
    for (out, sums) in out.chunks_exact_mut(HALVES).zip(sums) {
        let [even, odd]: [[f32; LANES]; 2] = sums.map(bytemuck::cast);
        for (out, (x, y)) in out.chunks_exact_mut(2).zip(even.into_iter().zip(odd)) {
            out.copy_from_slice(&[x, y]);
        }
    }
}

/// A register of 16-bit numbers.
#[inline(always)]
fn halves(numbers: &[bf16; HALVES]) -> __m512i {
    bytemuck::cast(*numbers)
}

/// Attend `M` queries (M, d) to the tokens of a head, with an optional mask (M, m): `out` (M, d).
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
pub fn attend<const M: usize>(
    head: &PackedHead,
    q: &[f32],
    mask: Option<&[f32]>,
    out: &mut [f32],
    buffers: &mut Buffers,
) {
    let (m, d) = (head.m, head.d);
    // The softmax takes powers of two, which are faster than powers of e.
    let scale = std::f32::consts::LOG2_E / (d as f32).sqrt();
    let scaled = q.chunks_exact(2).map(|x| pair(x[0] * scale, x[1] * scale));
    buffers.q.clear();
    buffers.q.extend(scaled);
    let width = m.next_multiple_of(2 * LANES);
    buffers.scores.resize(M * width, 0.0);
    buffers.weights.resize(M * width / 2, 0);

    let mut queries = buffers.q.chunks_exact(d / 2);
    let queries = std::array::from_fn(|_| queries.next().unwrap_or_default());
    matmul::<M>(queries, &head.keys, |i, column, sums| {
        buffers.scores[i * width + column..][..LANES].copy_from_slice(&sums);
    });
    let mut inverse_sums = [0f32; M];
    let rows = buffers.scores.chunks_exact_mut(width);
    let rows = rows.zip(buffers.weights.chunks_exact_mut(width / 2));
    for (i, (scores, weights)) in rows.enumerate() {
        if let Some(mask) = mask {
            let row = &mask[i * m..][..m];
            let mask = row.iter().map(|y| y * std::f32::consts::LOG2_E);
            scores.iter_mut().zip(mask).for_each(|(x, y)| *x += y);
        }
        scores[m..].fill(f32::NEG_INFINITY);
        inverse_sums[i] = 1.0 / softmax_numerators(scores, weights);
    }
    let mut weights = buffers.weights.chunks_exact(width / 2);
    let weights =
        std::array::from_fn(|_| weights.next().map_or(&[][..], |row| &row[..m.div_ceil(2)]));
    matmul::<M>(weights, &head.values, |i, column, sums| {
        let out = &mut out[i * d + column..][..LANES];
        let sums = sums.iter().zip(out);
        sums.for_each(|(sum, out)| *out = sum * inverse_sums[i]);
    });
}

/// Two neighbours as bf16, the first in the lower bits.
#[inline(always)]
fn pair(x: f32, y: f32) -> u32 {
    // To the nearest, ties to even.
    let rounded = |x: f32| {
        let odd = x.to_bits() >> 16 & 1;
        x.to_bits().wrapping_add(0x7fff + odd) >> 16
    };
    rounded(x) | rounded(y) << 16
}

/// The matmul of rows with columns, two panels of columns at a time; `take` gets a row's number, the first column and the
/// sums of 16 columns.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
fn matmul<const M: usize>(
    rows: [&[u32]; M],
    columns: &[Pairs],
    mut take: impl FnMut(usize, usize, [f32; LANES]),
) {
    let len = rows[0].len();
    let n_panels = columns.len() / len;
    let panel = |p: usize| &columns[p.min(n_panels - 1) * len..][..len];
    for p in (0..n_panels).step_by(2) {
        let sums = two_panels(rows, [panel(p), panel(p + 1)]);
        for (i, [left, right]) in sums.into_iter().enumerate() {
            take(i, p * LANES, bytemuck::cast(left));
            if p + 1 < n_panels {
                take(i, (p + 1) * LANES, bytemuck::cast(right));
            }
        }
    }
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
fn two_panels<const M: usize>(rows: [&[u32]; M], columns: [&[Pairs]; 2]) -> [[__m512; 2]; M] {
    let mut sums = [[_mm512_setzero_ps(); 2]; M];
    // The lengths are fixed here, so that the loop checks no bounds.
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

/// The numerators of a row's softmax in bf16, and their sum; the scores are exponents of two.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
fn softmax_numerators(scores: &[f32], weights: &mut [u32]) -> f32 {
    let most = _mm512_set1_ps(simd::max(scores));
    let mut sum = _mm512_setzero_ps();
    let pairs = scores
        .as_chunks::<{ 2 * LANES }>()
        .0
        .iter()
        .zip(weights.as_chunks_mut::<LANES>().0);
    for (scores, weights) in pairs {
        let halves: [[f32; LANES]; 2] = bytemuck::cast(*scores);
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
    // In this order NaN stays NaN.
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
    use crate::avx512::{has_bf16, say_skipped};

    #[test]
    fn powers_of_two_are_within_their_error() {
        if !has_bf16() {
            return say_skipped("powers_of_two_are_within_their_error", "AVX-512 BF16");
        }
        for i in 0..4000 {
            let x = -40.0 + 0.01 * i as f32;
            // Sound: the instructions are there.
            #[allow(unsafe_code)]
            let got: [f32; LANES] = bytemuck::cast(unsafe { power_of_two(_mm512_set1_ps(x)) });
            assert!((got[0] / x.exp2() - 1.0).abs() < 3e-7, "{x}: {}", got[0]);
        }
        for x in [-1e4, f32::MIN, f32::NEG_INFINITY] {
            #[allow(unsafe_code)]
            let got: [f32; LANES] = bytemuck::cast(unsafe { power_of_two(_mm512_set1_ps(x)) });
            assert_eq!(got[0], 0.0);
        }
    }
}
