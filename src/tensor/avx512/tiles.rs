//! Quantised matrices in tiles, for x86 processors that multiply bytes (AVX-512 VNNI).
//!
//! The numbers are those of llama.cpp's Q4_K and Q8_0 in another order: 16 rows of the matrix lie side by side, so that an
//! instruction multiplies four numbers of each with four of the input. The input becomes bytes with a scale for 256 of
//! them, once for all matrices that it meets. Candle's kernels do the same with four rows of input at once; these take
//! twelve, and the scales of a tile stay in the few bits in which they are stored.

use std::arch::x86_64::*;
use std::ops::Range;

use bytemuck::{Pod, Zeroable};
use candle_core::quantized::GgmlDType;

use crate::tensor::lanes;

/// Rows of the matrix in a tile.
pub const TILE: usize = 16;
/// Numbers of a row in a tile, and of the input with one scale.
const WIDTH: usize = 256;
/// Numbers with a scale of their own in the matrix.
const SUB: usize = 32;
/// Rows of the input that are multiplied at once: there are registers for the sums of so many.
pub const ROWS: usize = 12;

/// Sums of one input row with the 16 rows of a tile.
type Sums = [f32; TILE];

/// 256 numbers of an input row.
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C)]
struct InputBlock {
    /// Four numbers each.
    numbers: [i32; WIDTH / 4],
    /// The sums of 32 of them, two each.
    sums: [i32; WIDTH / SUB / 2],
    /// What a number is to be multiplied with.
    scale: f32,
}

impl InputBlock {
    #[inline(always)]
    fn of(xs: &[f32]) -> Self {
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

/// Rows of numbers as bytes.
#[derive(Debug)]
pub struct QuantizedRows {
    blocks: Vec<InputBlock>,
    blocks_a_row: usize,
}

impl QuantizedRows {
    /// Round rows that are as wide as those of a matrix, for all matrices of this width.
    pub fn of(xs: &[f32], matrix: &TiledMatrix) -> Self {
        let mut blocks = vec![InputBlock::zeroed(); xs.len() / WIDTH];
        lanes::each_part(&mut blocks, |first, blocks| {
            let xs = xs[first * WIDTH..].chunks_exact(WIDTH);
            let pairs = blocks.iter_mut().zip(xs);
            pairs.for_each(|(block, xs)| *block = InputBlock::of(xs));
        });
        Self {
            blocks,
            blocks_a_row: matrix.blocks_a_row,
        }
    }
}

/// 256 numbers of 16 rows.
trait Tile: Pod + Send + Sync {
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
struct TileQ4K {
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
struct TileQ8_0 {
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
                    let numbers = bytemuck::cast(tile.numbers[i]);
                    for m in 0..M {
                        let input = _mm512_set1_epi32(rows[m].numbers[i]);
                        products[m] = _mm512_dpbusd_epi32(products[m], numbers, input);
                    }
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

/// A matrix (out, width) in tiles.
#[derive(Debug)]
pub struct TiledMatrix {
    tiles: Tiles,
    out: usize,
    blocks_a_row: usize,
}

#[derive(Debug)]
enum Tiles {
    Q4K(Vec<TileQ4K>),
    Q8_0(Vec<TileQ8_0>),
}

impl TiledMatrix {
    /// Bytes of such a matrix; none if it cannot be, or this processor has something better.
    pub fn bytes(dtype: GgmlDType, out: usize, width: usize) -> Option<u64> {
        let tile = match dtype {
            GgmlDType::Q4K => size_of::<TileQ4K>(),
            GgmlDType::Q8_0 => size_of::<TileQ8_0>(),
            _ => return None,
        };
        let is_whole = out.is_multiple_of(TILE) && width.is_multiple_of(WIDTH);
        (is_whole && is_for_this_processor())
            .then_some((out / TILE * (width / WIDTH) * tile) as u64)
    }

    /// From rows as they are stored; none where [`Self::bytes`] is none or `stored` is not as long as it is to be.
    pub fn new(dtype: GgmlDType, stored: &[u8], (out, width): (usize, usize)) -> Option<Self> {
        Self::bytes(dtype, out, width)?;
        let tiles = match dtype {
            GgmlDType::Q4K => Tiles::Q4K(tiles(stored, out, width)?),
            _ => Tiles::Q8_0(tiles(stored, out, width)?),
        };
        Some(Self {
            tiles,
            out,
            blocks_a_row: width / WIDTH,
        })
    }

    /// Its rows.
    pub fn out(&self) -> usize {
        self.out
    }

    /// Its rows by tiles.
    pub fn n_tiles(&self) -> usize {
        self.out / TILE
    }

    /// Numbers of a row.
    pub fn width(&self) -> usize {
        self.blocks_a_row * WIDTH
    }

    /// Products of input rows with the rows of some tiles: (rows, 16 · tiles) into `out`.
    ///
    /// # Panics
    /// If sizes do not fit.
    pub fn product(
        &self,
        input: &QuantizedRows,
        rows: Range<usize>,
        tiles: Range<usize>,
        out: &mut [f32],
    ) {
        assert_eq!(input.blocks_a_row, self.blocks_a_row);
        let n_blocks = self.blocks_a_row;
        let input = &input.blocks[rows.start * n_blocks..rows.end * n_blocks];
        let tiles = tiles.start * n_blocks..tiles.end * n_blocks;
        match &self.tiles {
            Tiles::Q4K(all) => product(&all[tiles], input, n_blocks, out),
            Tiles::Q8_0(all) => product(&all[tiles], input, n_blocks, out),
        }
    }
}

fn product<T: Tile>(tiles: &[T], input: &[InputBlock], n_blocks: usize, out: &mut [f32]) {
    let n = tiles.len() / n_blocks * TILE;
    for (t, tiles) in tiles.chunks_exact(n_blocks).enumerate() {
        let groups = input.chunks(ROWS * n_blocks).zip(out.chunks_mut(ROWS * n));
        for (mut rows, mut out) in groups {
            while !rows.is_empty() {
                let step = match rows.len() / n_blocks {
                    ROWS => some_rows::<T, ROWS>,
                    4.. => some_rows::<T, 4>,
                    _ => some_rows::<T, 1>,
                };
                (rows, out) = step(tiles, rows, out, (n, t * TILE));
            }
        }
    }
}

/// Products of the next `M` input rows with a tile's, into `out` of rows of `n` from `column` on. Gives what is left.
fn some_rows<'a, T: Tile, const M: usize>(
    tiles: &[T],
    input: &'a [InputBlock],
    out: &'a mut [f32],
    (n, column): (usize, usize),
) -> (&'a [InputBlock], &'a mut [f32]) {
    let (input, input_left) = input.split_at(M * tiles.len());
    let (out, out_left) = out.split_at_mut(M * n);
    let mut rows = input.chunks_exact(tiles.len());
    let rows = std::array::from_fn(|_| rows.next().unwrap_or_default());
    let mut sums = [[0f32; TILE]; M];
    // Sound: there are tiles only where the processor has the instructions (TiledMatrix::new).
    #[allow(unsafe_code)]
    unsafe {
        T::add(tiles, rows, &mut sums);
    }
    for (sums, out) in sums.iter().zip(out.chunks_exact_mut(n)) {
        out[column..column + TILE].copy_from_slice(sums);
    }
    (input_left, out_left)
}

/// Whether it has the instructions, and not those for whole tiles (AMX), which candle uses.
fn is_for_this_processor() -> bool {
    let has_tiles = std::arch::x86_64::__cpuid_count(7, 0).edx >> 25 & 1 == 1;
    is_x86_feature_detected!("avx512bw") && is_x86_feature_detected!("avx512vnni") && !has_tiles
}

fn tiles<T: Tile>(stored: &[u8], out: usize, width: usize) -> Option<Vec<T>> {
    let n_blocks = width / WIDTH;
    if stored.len() != out * n_blocks * T::STORED_BYTES {
        return None;
    }
    let mut tiles = vec![T::zeroed(); out / TILE * n_blocks];
    for (row, blocks) in stored.chunks_exact(T::STORED_BYTES * n_blocks).enumerate() {
        let tiles = &mut tiles[row / TILE * n_blocks..][..n_blocks];
        for (tile, block) in tiles.iter_mut().zip(blocks.chunks_exact(T::STORED_BYTES)) {
            tile.set_row(row % TILE, block);
        }
    }
    Some(tiles)
}

#[cfg(test)]
mod tests {
    use candle_core::quantized::QTensor;
    use candle_core::{Device, Tensor};

    use super::*;
    use crate::tensor::Noise;

    /// Whole numbers that rounding leaves as they are: the greatest of 256 is 127.
    fn whole_numbers(n: usize, width: usize) -> Vec<f32> {
        let number = |i: usize| match i % WIDTH {
            7 => -127.0,
            _ => ((i * 7919 + i / 3) % 255) as f32 - 127.0,
        };
        (0..n * width).map(number).collect()
    }

    #[test]
    fn products_are_those_of_the_numbers_that_the_matrix_stands_for() {
        let (out, width) = (48, 512);
        for dtype in [GgmlDType::Q4K, GgmlDType::Q8_0] {
            let weight = Noise::seeded(3).normal((out, width), &Device::Cpu).unwrap();
            let stored = QTensor::quantize(&weight, dtype).unwrap();
            let bytes = stored.data().unwrap();
            let Some(tiled) = TiledMatrix::new(dtype, &bytes, (out, width)) else {
                return assert_eq!(TiledMatrix::bytes(dtype, out, width), None);
            };
            let meant = stored.dequantize(&Device::Cpu).unwrap().t().unwrap();
            // Every way to take rows together, and some tiles of all.
            for (n, tiles) in [(1, 0..3), (3, 1..2), (7, 0..3), (12, 1..3), (30, 0..3)] {
                let xs = whole_numbers(n, width);
                let input = QuantizedRows::of(&xs, &tiled);
                let mut got = vec![f32::NAN; n * tiles.len() * TILE];
                tiled.product(&input, 0..n, tiles.clone(), &mut got);
                let xs = Tensor::from_vec(xs, (n, width), &Device::Cpu).unwrap();
                let expected = xs.matmul(&meant).unwrap();
                let columns = expected.narrow(1, tiles.start * TILE, tiles.len() * TILE);
                let expected = columns.unwrap().flatten_all().unwrap();
                let expected: Vec<f32> = expected.to_vec1().unwrap();
                for (got, expected) in got.iter().zip(&expected) {
                    assert!(
                        (got - expected).abs() < 0.05,
                        "{dtype:?}: {got}, {expected}"
                    );
                }
            }
        }
    }

    #[test]
    fn what_is_no_whole_tile_has_none() {
        assert_eq!(TiledMatrix::bytes(GgmlDType::Q8_0, 40, 256), None);
        assert_eq!(TiledMatrix::bytes(GgmlDType::Q8_0, 48, 96), None);
        assert_eq!(TiledMatrix::bytes(GgmlDType::F16, 48, 256), None);
        assert!(TiledMatrix::new(GgmlDType::Q8_0, &[0; 7], (48, 256)).is_none());
    }
}
