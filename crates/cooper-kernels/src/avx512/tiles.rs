//! Matmul of input rows with quantised tiles (AVX-512 VNNI).
//!
//! Candle's kernels multiply four rows of input at once; these take twelve, and the scales of a tile stay in the few bits
//! in which they are stored.

use std::arch::x86_64::*;

use super::INPUT_ROWS;
use crate::simd::prefetch;
use crate::tile::{InputBlock, SUB, Sums, TILE, TileLayout, TileQ4K, TileQ8_0, WIDTH};

/// How far ahead tiles are prefetched, in bytes.
const AHEAD: usize = 2 * size_of::<TileQ4K>();

/// A layout with a kernel.
pub trait TileKernel: TileLayout {
    /// Add the products with the blocks of `M` input rows.
    ///
    /// # Safety
    /// The processor must have AVX-512 with VNNI.
    #[allow(unsafe_code)]
    unsafe fn add<const M: usize>(tiles: &[Self], rows: [&[InputBlock]; M], sums: &mut [Sums; M]);
}

/// The matmul of input rows with a matrix in tiles: (rows, 16 · tiles) into `out`, each row beginning with `bias`.
///
/// # Safety
/// The processor must have AVX-512 with VNNI.
#[allow(unsafe_code)]
pub unsafe fn matmul<T: TileKernel>(
    tiles: &[T],
    bias: &[Sums],
    input: &[InputBlock],
    out: &mut [f32],
) {
    let n = bias.len() * TILE;
    let n_blocks = tiles.len() / bias.len().max(1);
    for (t, (tiles, bias)) in tiles.chunks_exact(n_blocks).zip(bias).enumerate() {
        let groups = input
            .chunks(INPUT_ROWS * n_blocks)
            .zip(out.chunks_mut(INPUT_ROWS * n));
        for (mut rows, mut out) in groups {
            while !rows.is_empty() {
                let step = match rows.len() / n_blocks {
                    INPUT_ROWS => some_rows::<T, INPUT_ROWS>,
                    4.. => some_rows::<T, 4>,
                    _ => some_rows::<T, 1>,
                };
                (rows, out) = step((tiles, bias), rows, out, (n, t * TILE));
            }
        }
    }
}

/// The matmul of the next `M` input rows with a tile, into `out` of rows of `n` from `column` on. Returns what is left.
fn some_rows<'a, T: TileKernel, const M: usize>(
    (tiles, bias): (&[T], &Sums),
    input: &'a [InputBlock],
    out: &'a mut [f32],
    (n, column): (usize, usize),
) -> (&'a [InputBlock], &'a mut [f32]) {
    let (input, input_left) = input.split_at(M * tiles.len());
    let (out, out_left) = out.split_at_mut(M * n);
    let mut rows = input.chunks_exact(tiles.len());
    let rows = std::array::from_fn(|_| rows.next().unwrap_or_default());
    let mut sums = [*bias; M];
    // Sound: the caller of `matmul` answers for the processor.
    #[allow(unsafe_code)]
    unsafe {
        T::add(tiles, rows, &mut sums);
    }
    for (sums, out) in sums.iter().zip(out.chunks_exact_mut(n)) {
        out[column..column + TILE].copy_from_slice(sums);
    }
    (input_left, out_left)
}

#[inline]
#[target_feature(enable = "avx512f")]
fn halves_to_f32(halves: &[u16; TILE]) -> __m512 {
    _mm512_cvtph_ps(bytemuck::cast(*halves))
}

impl TileKernel for TileQ4K {
    #[allow(unsafe_code)]
    #[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
    unsafe fn add<const M: usize>(tiles: &[Self], rows: [&[InputBlock]; M], sums: &mut [Sums; M]) {
        let low = _mm512_set1_epi8(15);
        for (b, tile) in tiles.iter().enumerate() {
            let rows = rows.map(|row| &row[b]);
            let mut scaled = [_mm512_setzero_ps(); M];
            for sub in 0..WIDTH / SUB {
                let mut products = [_mm512_setzero_si512(); M];
                for i in 4 * sub..4 * (sub + 1) {
                    if M == 1 {
                        prefetch(AHEAD, &tile.numbers[i]);
                    }
                    let both = bytemuck::cast(tile.numbers[i]);
                    let first = _mm512_and_si512(both, low);
                    let second = _mm512_and_si512(_mm512_srli_epi16::<4>(both), low);
                    for m in 0..M {
                        let input = _mm512_set1_epi32(rows[m].numbers[2 * i]);
                        products[m] = _mm512_dpbusd_epi32(products[m], first, input);
                        let input = _mm512_set1_epi32(rows[m].numbers[2 * i + 1]);
                        products[m] = _mm512_dpbusd_epi32(products[m], second, input);
                    }
                }
                if M == 1 {
                    prefetch(AHEAD, &tile.scales[sub]);
                    prefetch(AHEAD, &tile.mins[sub / 2]);
                }
                let scale = _mm512_cvtepu8_epi32(bytemuck::cast(tile.scales[sub]));
                let scale = _mm512_cvtepi32_ps(scale);
                for m in 0..M {
                    let products = _mm512_cvtepi32_ps(products[m]);
                    scaled[m] = _mm512_fmadd_ps(products, scale, scaled[m]);
                }
            }
            let mut below = [_mm512_setzero_si512(); M];
            for (i, mins) in tile.mins.iter().enumerate() {
                let mins = _mm512_cvtepu8_epi16(bytemuck::cast(*mins));
                for m in 0..M {
                    let sums = _mm512_set1_epi32(rows[m].sums[i]);
                    below[m] = _mm512_dpwssd_epi32(below[m], mins, sums);
                }
            }
            let (d, d_min) = (halves_to_f32(&tile.d), halves_to_f32(&tile.d_min));
            for m in 0..M {
                let below = _mm512_mul_ps(_mm512_cvtepi32_ps(below[m]), d_min);
                let sum = _mm512_fmsub_ps(scaled[m], d, below);
                let scale = _mm512_set1_ps(rows[m].scale);
                let before = bytemuck::cast(sums[m]);
                sums[m] = bytemuck::cast(_mm512_fmadd_ps(sum, scale, before));
            }
        }
    }
}

impl TileKernel for TileQ8_0 {
    #[allow(unsafe_code)]
    #[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
    unsafe fn add<const M: usize>(tiles: &[Self], rows: [&[InputBlock]; M], sums: &mut [Sums; M]) {
        // The lower or the upper one of two sums, times −128.
        let offsets = [0xff80_u32, 0xff80_0000].map(|x| _mm512_set1_epi32(x as i32));
        for (b, tile) in tiles.iter().enumerate() {
            let rows = rows.map(|row| &row[b]);
            let mut scaled = [_mm512_setzero_ps(); M];
            for sub in 0..WIDTH / SUB {
                let mut products = [_mm512_setzero_si512(); M];
                for m in 0..M {
                    let sums = _mm512_set1_epi32(rows[m].sums[sub / 2]);
                    products[m] = _mm512_dpwssd_epi32(products[m], offsets[sub % 2], sums);
                }
                for i in 8 * sub..8 * (sub + 1) {
                    if M == 1 {
                        prefetch(AHEAD, &tile.numbers[i]);
                    }
                    let numbers = bytemuck::cast(tile.numbers[i]);
                    for m in 0..M {
                        let input = _mm512_set1_epi32(rows[m].numbers[i]);
                        products[m] = _mm512_dpbusd_epi32(products[m], numbers, input);
                    }
                }
                if M == 1 {
                    prefetch(AHEAD, &tile.d[sub]);
                }
                let d = halves_to_f32(&tile.d[sub]);
                for m in 0..M {
                    let products = _mm512_cvtepi32_ps(products[m]);
                    scaled[m] = _mm512_fmadd_ps(products, d, scaled[m]);
                }
            }
            for m in 0..M {
                let scale = _mm512_set1_ps(rows[m].scale);
                let before = bytemuck::cast(sums[m]);
                sums[m] = bytemuck::cast(_mm512_fmadd_ps(scaled[m], scale, before));
            }
        }
    }
}
