//! Quantised matrices in tiles, for x86 processors that multiply bytes (AVX-512 VNNI).
//!
//! The numbers are those of llama.cpp's Q4_K and Q8_0 in another order: 16 rows of the matrix lie side by side, so that an
//! instruction multiplies four numbers of each with four of the input. The input becomes bytes with a scale for 256 of
//! them, once for all matrices that it meets. Candle's kernels do the same with four rows of input at once; these take
//! twelve, and the scales of a tile stay in the few bits in which they are stored.

use std::arch::x86_64::*;

use bytemuck::{Pod, Zeroable};

use crate::simd::fetch_ahead;

/// Rows of the matrix in a tile.
pub const TILE: usize = 16;
/// Numbers of a row in a tile, and of the input with one scale.
pub const WIDTH: usize = 256;
/// Numbers with a scale of their own in the matrix.
const SUB: usize = 32;

/// Sums of one input row with the 16 rows of a tile.
pub type Sums = [f32; TILE];

/// 256 numbers of an input row.
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C)]
pub struct InputBlock {
    /// Four numbers each.
    numbers: [i32; WIDTH / 4],
    /// The sums of 32 of them, two each.
    sums: [i32; WIDTH / SUB / 2],
    /// What a number is to be multiplied with.
    scale: f32,
}

impl InputBlock {
    /// Round so many numbers. To be inlined into `dispatch!`.
    #[inline(always)]
    pub fn of(xs: &[f32]) -> Self {
        const NEAREST: f32 = 12_582_912.0; // 1.5·2²³: adding it leaves the nearest integer in the low bits
        let mut most = [0f32; 16];
        for xs in xs.chunks_exact(16) {
            for (most, x) in most.iter_mut().zip(xs) {
                *most = most.max(x.abs());
            }
        }
        let most = most.into_iter().fold(0f32, f32::max);
        let inverse = if most > 0.0 { 127.0 / most } else { 0.0 };
        let mut block = Self::zeroed();
        block.scale = most / 127.0;
        let numbers: &mut [i8] = bytemuck::cast_slice_mut(&mut block.numbers);
        for (number, x) in numbers.iter_mut().zip(xs) {
            *number = (x * inverse + NEAREST).to_bits() as i8;
        }
        let sums: &mut [i16] = bytemuck::cast_slice_mut(&mut block.sums);
        for (sum, numbers) in sums.iter_mut().zip(numbers.chunks_exact(SUB)) {
            *sum = numbers.iter().map(|x| i16::from(*x)).sum();
        }
        block
    }
}

/// How far ahead memory is asked for tiles.
const AHEAD: usize = 2 * size_of::<TileQ4K>();

/// 256 numbers of 16 rows.
pub trait Tile: Pod + Send + Sync {
    /// Bytes of one row's 256 numbers as they are stored.
    const STORED_BYTES: usize;

    /// Take one row's numbers as they are stored.
    fn set_row(&mut self, row: usize, stored: &[u8]);

    /// Add the products with the blocks of `M` input rows.
    ///
    /// # Safety
    /// The processor must have AVX-512 with VNNI.
    #[allow(unsafe_code)]
    unsafe fn add<const M: usize>(tiles: &[Self], rows: [&[InputBlock]; M], sums: &mut [Sums; M]);
}

/// In 4 bits: `d · scale · number − d_min · min`.
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C)]
pub struct TileQ4K {
    /// By 8 numbers of each row: the first four in the lower bits, the others in the upper.
    numbers: [[u8; 4 * TILE]; WIDTH / 8],
    scales: [[u8; TILE]; WIDTH / SUB],
    /// Of 64 numbers, two of each row.
    mins: [[u8; 2 * TILE]; WIDTH / SUB / 2],
    /// In half precision.
    d: [u16; TILE],
    /// In half precision.
    d_min: [u16; TILE],
}

/// In 8 bits: `d · (number − 128)`.
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C)]
pub struct TileQ8_0 {
    /// By 4 numbers of each row.
    numbers: [[u8; 4 * TILE]; WIDTH / 4],
    /// In half precision.
    d: [[u16; TILE]; WIDTH / SUB],
}

/// The six bits of scale and minimum of 32 numbers.
fn scale_and_min(sub: usize, packed: &[u8]) -> (u8, u8) {
    if sub < 4 {
        (packed[sub] & 63, packed[sub + 4] & 63)
    } else {
        let (low, scale, min) = (packed[sub + 4], packed[sub - 4], packed[sub]);
        (low & 15 | scale >> 6 << 4, low >> 4 | min >> 6 << 4)
    }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn wide(halves: &[u16; TILE]) -> __m512 {
    _mm512_cvtph_ps(bytemuck::cast(*halves))
}

impl Tile for TileQ4K {
    const STORED_BYTES: usize = 144;

    fn set_row(&mut self, row: usize, stored: &[u8]) {
        let half = |i: usize| u16::from_le_bytes([stored[i], stored[i + 1]]);
        (self.d[row], self.d_min[row]) = (half(0), half(2));
        for sub in 0..WIDTH / SUB {
            let (scale, min) = scale_and_min(sub, &stored[4..16]);
            self.scales[sub][row] = scale;
            self.mins[sub / 2][2 * row + sub % 2] = min;
        }
        // 64 numbers lie in 32 bytes: the first half of them in the lower bits.
        let number = |i: usize| stored[16 + i / 64 * 32 + i % 32] >> (i % 64 / 32 * 4) & 15;
        for (i, numbers) in self.numbers.iter_mut().enumerate() {
            for j in 0..4 {
                numbers[4 * row + j] = number(8 * i + j) | number(8 * i + 4 + j) << 4;
            }
        }
    }

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
                        fetch_ahead(AHEAD, &tile.numbers[i]);
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
                    fetch_ahead(AHEAD, &tile.scales[sub]);
                    fetch_ahead(AHEAD, &tile.mins[sub / 2]);
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
            let (d, d_min) = (wide(&tile.d), wide(&tile.d_min));
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

impl Tile for TileQ8_0 {
    const STORED_BYTES: usize = 34 * WIDTH / SUB;

    fn set_row(&mut self, row: usize, stored: &[u8]) {
        for (sub, block) in stored.chunks_exact(34).enumerate() {
            self.d[sub][row] = u16::from_le_bytes([block[0], block[1]]);
            for (i, number) in block[2..].iter().enumerate() {
                self.numbers[8 * sub + i / 4][4 * row + i % 4] = number ^ 128;
            }
        }
    }

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
                        fetch_ahead(AHEAD, &tile.numbers[i]);
                    }
                    let numbers = bytemuck::cast(tile.numbers[i]);
                    for m in 0..M {
                        let input = _mm512_set1_epi32(rows[m].numbers[i]);
                        products[m] = _mm512_dpbusd_epi32(products[m], numbers, input);
                    }
                }
                if M == 1 {
                    fetch_ahead(AHEAD, &tile.d[sub]);
                }
                let d = wide(&tile.d[sub]);
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
