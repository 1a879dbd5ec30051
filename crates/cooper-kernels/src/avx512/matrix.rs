//! Matrices of quantised tiles, and their products.

use std::ops::Range;

use bytemuck::Zeroable;
use candle_core::quantized::GgmlDType;

use super::tile::{InputBlock, Sums, TILE, Tile, TileQ4K, TileQ8_0, WIDTH};
use crate::simd::{self, dispatch};

/// Rows of the input that are multiplied at once: there are registers for the sums of so many.
pub const ROWS: usize = 12;

/// Rows of numbers as bytes.
#[derive(Debug)]
pub struct QuantizedRows {
    blocks: Vec<InputBlock>,
    blocks_a_row: usize,
}

impl QuantizedRows {
    /// Round rows that are as wide as those of a matrix, for all matrices of this width; on all threads.
    pub fn of(xs: &[f32], matrix: &TiledMatrix) -> Self {
        let mut rows = Self::zeros(xs, matrix);
        simd::each_part(&mut rows.blocks, |first, blocks| {
            dispatch!(round(&xs[first * WIDTH..], blocks));
        });
        rows
    }

    /// The same on this thread.
    pub fn of_part(xs: &[f32], matrix: &TiledMatrix) -> Self {
        let mut rows = Self::zeros(xs, matrix);
        dispatch!(round(xs, &mut rows.blocks));
        rows
    }

    fn zeros(xs: &[f32], matrix: &TiledMatrix) -> Self {
        Self {
            blocks: vec![InputBlock::zeroed(); xs.len() / WIDTH],
            blocks_a_row: matrix.blocks_a_row,
        }
    }
}

#[inline(always)]
fn round(xs: &[f32], blocks: &mut [InputBlock]) {
    let pairs = blocks.iter_mut().zip(xs.chunks_exact(WIDTH));
    pairs.for_each(|(block, xs)| *block = InputBlock::of(xs));
}

/// A matrix (out, width) in tiles, and what is added to its products.
#[derive(Debug)]
pub struct TiledMatrix {
    tiles: Tiles,
    /// By tiles.
    bias: Vec<Sums>,
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
        let bias = vec![[0.0; TILE]; out / TILE];
        let tiles = match dtype {
            GgmlDType::Q4K => Tiles::Q4K(tiles(stored, out, width)?),
            _ => Tiles::Q8_0(tiles(stored, out, width)?),
        };
        Some(Self {
            tiles,
            bias,
            blocks_a_row: width / WIDTH,
        })
    }

    /// The same with these numbers (out) added to its products; those beyond its rows are left out.
    pub fn with_bias(mut self, bias: &[f32]) -> Self {
        let numbers = self.bias.as_flattened_mut().iter_mut().zip(bias);
        numbers.for_each(|(to, bias)| *to = *bias);
        self
    }

    /// Its rows.
    pub fn out(&self) -> usize {
        self.bias.len() * TILE
    }

    /// Its rows by tiles.
    pub fn n_tiles(&self) -> usize {
        self.bias.len()
    }

    /// Numbers of a row.
    pub fn width(&self) -> usize {
        self.blocks_a_row * WIDTH
    }

    /// ConvPrecision of input rows with the rows of some tiles: (rows, 16 · tiles) into `out`.
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
        let bias = &self.bias[tiles.clone()];
        let tiles = tiles.start * n_blocks..tiles.end * n_blocks;
        match &self.tiles {
            Tiles::Q4K(all) => product(&all[tiles], bias, input, out),
            Tiles::Q8_0(all) => product(&all[tiles], bias, input, out),
        }
    }
}

fn product<T: Tile>(tiles: &[T], bias: &[Sums], input: &[InputBlock], out: &mut [f32]) {
    let n = bias.len() * TILE;
    let n_blocks = tiles.len() / bias.len().max(1);
    for (t, (tiles, bias)) in tiles.chunks_exact(n_blocks).zip(bias).enumerate() {
        let groups = input.chunks(ROWS * n_blocks).zip(out.chunks_mut(ROWS * n));
        for (mut rows, mut out) in groups {
            while !rows.is_empty() {
                let step = match rows.len() / n_blocks {
                    ROWS => some_rows::<T, ROWS>,
                    4.. => some_rows::<T, 4>,
                    _ => some_rows::<T, 1>,
                };
                (rows, out) = step((tiles, bias), rows, out, (n, t * TILE));
            }
        }
    }
}

/// ConvPrecision of the next `M` input rows with a tile's, into `out` of rows of `n` from `column` on. Gives what is left.
fn some_rows<'a, T: Tile, const M: usize>(
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
    use crate::Noise;

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
