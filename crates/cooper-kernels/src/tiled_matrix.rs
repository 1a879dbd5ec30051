//! Quantised matrices in tiles, for x86 processors that multiply bytes (AVX-512 VNNI).

use std::ops::Range;

use bytemuck::Zeroable;
use candle_core::quantized::GgmlDType;

use super::avx512::{has_amx, has_vnni, on_avx512};
use super::simd::{self, dispatch};
use super::tile::{InputBlock, Sums, TILE, TileLayout, TileQ4K, TileQ8_0, WIDTH};

/// Input rows, quantised to bytes.
#[derive(Debug)]
pub struct QuantizedInput {
    blocks: Vec<InputBlock>,
    blocks_per_row: usize,
}

impl QuantizedInput {
    /// Round rows that are as wide as those of `matrix`, for all matrices of this width; on all threads.
    pub fn new(xs: &[f32], matrix: &TiledMatrix) -> Self {
        let mut rows = Self::zeros(xs, matrix);
        simd::for_each_part(&mut rows.blocks, |first, blocks| {
            dispatch!(round(&xs[first * WIDTH..], blocks));
        });
        rows
    }

    /// [`Self::new`] on this thread.
    pub fn on_this_thread(xs: &[f32], matrix: &TiledMatrix) -> Self {
        let mut rows = Self::zeros(xs, matrix);
        dispatch!(round(xs, &mut rows.blocks));
        rows
    }

    fn zeros(xs: &[f32], matrix: &TiledMatrix) -> Self {
        Self {
            blocks: vec![InputBlock::zeroed(); xs.len() / WIDTH],
            blocks_per_row: matrix.blocks_per_row,
        }
    }
}

#[inline(always)]
fn round(xs: &[f32], blocks: &mut [InputBlock]) {
    let pairs = blocks.iter_mut().zip(xs.chunks_exact(WIDTH));
    pairs.for_each(|(block, xs)| *block = InputBlock::quantize(xs));
}

/// A matrix (out, width) in tiles, with a bias.
#[derive(Debug)]
pub struct TiledMatrix {
    tiles: Tiles,
    /// One for each row of the matrix, by tiles.
    bias: Vec<Sums>,
    blocks_per_row: usize,
}

#[derive(Debug)]
enum Tiles {
    Q4K(Vec<TileQ4K>),
    Q8_0(Vec<TileQ8_0>),
}

impl TiledMatrix {
    /// Bytes of such a matrix; none if the shape does not fill tiles, or candle is faster on this processor.
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

    /// From rows as a file stores them; none where [`Self::bytes`] is none or `stored` has another length.
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
            blocks_per_row: width / WIDTH,
        })
    }

    /// The same matrix with a bias (out); numbers beyond its rows are ignored.
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
        self.blocks_per_row * WIDTH
    }

    /// The matmul of input rows with the rows of some tiles: (rows, 16 · tiles) into `out`.
    ///
    /// # Panics
    /// If sizes do not fit.
    pub fn matmul(
        &self,
        input: &QuantizedInput,
        rows: Range<usize>,
        tiles: Range<usize>,
        out: &mut [f32],
    ) {
        assert_eq!(input.blocks_per_row, self.blocks_per_row);
        let n_blocks = self.blocks_per_row;
        let input = &input.blocks[rows.start * n_blocks..rows.end * n_blocks];
        let bias = &self.bias[tiles.clone()];
        let tiles = tiles.start * n_blocks..tiles.end * n_blocks;
        // There are tiles only where the processor has the instructions, see `Self::bytes`.
        match &self.tiles {
            Tiles::Q4K(all) => on_avx512!(tiles::matmul(&all[tiles], bias, input, out)),
            Tiles::Q8_0(all) => on_avx512!(tiles::matmul(&all[tiles], bias, input, out)),
        }
    }
}

/// Whether the processor has the instructions, and not those for whole tiles, which candle uses.
fn is_for_this_processor() -> bool {
    has_vnni() && !has_amx()
}

fn tiles<T: TileLayout>(stored: &[u8], out: usize, width: usize) -> Option<Vec<T>> {
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
    use crate::avx512::say_skipped;

    /// Whole numbers that rounding keeps: the largest of 256 is 127.
    fn whole_numbers(n: usize, width: usize) -> Vec<f32> {
        let number = |i: usize| match i % WIDTH {
            7 => -127.0,
            _ => ((i * 7919 + i / 3) % 255) as f32 - 127.0,
        };
        (0..n * width).map(number).collect()
    }

    #[test]
    fn tiled_matmul_is_that_of_the_dequantized_matrix() {
        let (out, width) = (48, 512);
        for dtype in [GgmlDType::Q4K, GgmlDType::Q8_0] {
            let weight = Noise::seeded(3).normal((out, width), &Device::Cpu).unwrap();
            let stored = QTensor::quantize(&weight, dtype).unwrap();
            let bytes = stored.data().unwrap();
            let Some(tiled) = TiledMatrix::new(dtype, &bytes, (out, width)) else {
                say_skipped(
                    "tiled_matmul_is_that_of_the_dequantized_matrix",
                    "AVX-512 VNNI, or has AMX",
                );
                return assert_eq!(TiledMatrix::bytes(dtype, out, width), None);
            };
            let dequantized = stored.dequantize(&Device::Cpu).unwrap().t().unwrap();
            // Every way to take rows together, and some tiles of all.
            for (n, tiles) in [(1, 0..3), (3, 1..2), (7, 0..3), (12, 1..3), (30, 0..3)] {
                let xs = whole_numbers(n, width);
                let input = QuantizedInput::new(&xs, &tiled);
                let mut got = vec![f32::NAN; n * tiles.len() * TILE];
                tiled.matmul(&input, 0..n, tiles.clone(), &mut got);
                let xs = Tensor::from_vec(xs, (n, width), &Device::Cpu).unwrap();
                let expected = xs.matmul(&dequantized).unwrap();
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
    fn rows_that_do_not_fill_tiles_have_none() {
        assert_eq!(TiledMatrix::bytes(GgmlDType::Q8_0, 40, 256), None);
        assert_eq!(TiledMatrix::bytes(GgmlDType::Q8_0, 48, 96), None);
        assert_eq!(TiledMatrix::bytes(GgmlDType::F16, 48, 256), None);
        assert!(TiledMatrix::new(GgmlDType::Q8_0, &[0; 7], (48, 256)).is_none());
    }
}
