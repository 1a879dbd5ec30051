//! Rounding to 16-bit integers, and matmul of them (AVX-512 VNNI).

use std::arch::x86_64::*;

use super::{ColumnsMut, LANES, Numbers, Pairs, ROW_GROUP};

/// The largest length of a column of integers, so that none of its numbers leaves 16 bits.
const COLUMN_LENGTH: f32 = 32_700.0;
/// A shorter column counts as zero.
const LEAST: f32 = 1e-30;

/// Up to 32 numbers times `scale` as integers, two neighbours in one; missing numbers are 0.
#[inline]
#[target_feature(enable = "avx512f")]
pub fn round(xs: &[f32], scale: f32) -> Pairs {
    let mut numbers = [[0f32; LANES]; 2];
    numbers.as_flattened_mut()[..xs.len()].copy_from_slice(xs);
    let scale = _mm512_set1_ps(scale);
    bytemuck::cast(numbers.map(|numbers| {
        let integers = _mm512_cvtps_epi32(_mm512_mul_ps(bytemuck::cast(numbers), scale));
        _mm512_cvtsepi32_epi16(integers)
    }))
}

/// Round numbers (k, n/16). `units` must be zeros.
#[target_feature(enable = "avx512f,avx512bw")]
pub fn round_columns(xs: &[Numbers], to: ColumnsMut) {
    let ColumnsMut {
        pairs,
        units,
        scales,
    } = to;
    let n_panels = units.len();
    let half = pairs.len() / n_panels;
    // Line by line, as they lie in memory; first the squares of the lengths.
    for line in xs.chunks_exact(n_panels) {
        for (sum, x) in units.iter_mut().zip(line) {
            let (x, before) = (bytemuck::cast(*x), bytemuck::cast(*sum));
            *sum = bytemuck::cast(_mm512_fmadd_ps(x, x, before));
        }
    }
    let most = _mm512_set1_ps(COLUMN_LENGTH);
    for (unit, scale) in units.iter_mut().zip(scales.iter_mut()) {
        let length = _mm512_sqrt_ps(bytemuck::cast(*unit));
        // In this order NaN stays NaN.
        let length = _mm512_max_ps(_mm512_set1_ps(LEAST), length);
        *scale = bytemuck::cast(_mm512_div_ps(most, length));
        *unit = bytemuck::cast(_mm512_div_ps(length, most));
    }
    let low = _mm512_set1_epi32(0xffff);
    for (i, lines) in xs.chunks_exact(2 * n_panels).enumerate() {
        let (first, second) = lines.split_at(n_panels);
        let second = &second[..n_panels];
        for (p, scale) in scales.iter().enumerate() {
            let scale = bytemuck::cast(*scale);
            let [x, y] = [first[p], second[p]].map(bytemuck::cast);
            let x = _mm512_cvtps_epi32(_mm512_mul_ps(x, scale));
            let y = _mm512_cvtps_epi32(_mm512_mul_ps(y, scale));
            let both = _mm512_or_si512(_mm512_and_si512(x, low), _mm512_slli_epi32::<16>(y));
            pairs[p * half + i] = bytemuck::cast(both);
        }
    }
}

/// The matmul of eight rows with `P` panels of 16 columns, to the beginnings of rows of `n`.
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
pub fn multiply<const P: usize>(
    (pairs, row_units): (&[[u32; ROW_GROUP]], &[f32; ROW_GROUP]),
    (panels, units): (&[Pairs], &[Numbers]),
    out: &mut [f32],
    n: usize,
) {
    let half = pairs.len();
    // The lengths are fixed here, so that the loop checks no bounds.
    let mut panels = panels.chunks_exact(half);
    let panels = [(); P].map(|()| panels.next().map_or(&[][..], |panel| &panel[..half]));
    let mut sums = [[_mm512_setzero_si512(); P]; ROW_GROUP];
    for (i, rows) in pairs.iter().enumerate() {
        let columns = panels.map(|panel| bytemuck::cast(panel[i]));
        for m in 0..ROW_GROUP {
            let row = _mm512_set1_epi32(rows[m] as i32);
            for p in 0..P {
                sums[m][p] = _mm512_dpwssd_epi32(sums[m][p], row, columns[p]);
            }
        }
    }
    for m in 0..ROW_GROUP {
        let unit = _mm512_set1_ps(row_units[m]);
        let out = out[m * n..].as_chunks_mut().0;
        for p in 0..P {
            let product = _mm512_mul_ps(_mm512_cvtepi32_ps(sums[m][p]), unit);
            let product = _mm512_mul_ps(product, bytemuck::cast(units[p]));
            out[p] = bytemuck::cast::<_, Numbers>(product);
        }
    }
}
