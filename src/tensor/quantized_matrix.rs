//! Quantised matrices in the form that is fastest here, and their products.

use std::sync::Arc;

use candle_core::quantized::{GgmlDType, QMatMul, QTensor};
use candle_core::{Module, Result, Tensor, bail};

use super::autograd::values;
use super::avx512::{QuantizedRows, ROWS, TILE, TiledMatrix};
use super::repacked::repacked_bytes;
use super::threads::{each, is_one_thread};

/// A quantised matrix (out, width).
#[derive(Clone, Debug)]
pub enum QuantizedMatrix {
    /// As candle keeps it.
    Candle(QMatMul),
    /// In tiles of our own, where the processor has instructions for them.
    Tiled(Arc<TiledMatrix>),
}

impl QuantizedMatrix {
    /// Of a matrix that candle has quantised or read.
    ///
    /// # Errors
    /// If it is no matrix.
    pub fn new(matrix: QTensor) -> Result<Self> {
        if matrix.device().is_cpu() {
            let shape = matrix.shape().dims2()?;
            if let Some(tiled) = TiledMatrix::new(matrix.dtype(), &matrix.data()?, shape) {
                return Ok(Self::Tiled(Arc::new(tiled)));
            }
        }
        Ok(Self::Candle(QMatMul::from_qtensor(matrix)?))
    }
}

/// Bytes of a quantised matrix on this machine's CPU; from a file where candle's own form of it needs no other beside it.
pub fn quantized_bytes(dtype: GgmlDType, (out, width): (usize, usize), is_in_file: bool) -> u64 {
    if let Some(tiled) = TiledMatrix::bytes(dtype, out, width) {
        return tiled;
    }
    let stored = (out * width / dtype.block_size() * dtype.type_size()) as u64;
    match repacked_bytes(dtype, out, width) {
        repacked if repacked > 0 && is_in_file => repacked,
        repacked => stored + repacked,
    }
}

/// Products of the rows of `xs` (n, width), f32 and row-major, with matrices of this width: (n, out) of each. What the
/// rows are rounded to is made once.
///
/// # Errors
/// If shapes do not fit.
pub fn products(xs: &Tensor, matrices: &[&QuantizedMatrix]) -> Result<Vec<Tensor>> {
    let tiled = |matrix: &&'_ QuantizedMatrix| match matrix {
        QuantizedMatrix::Tiled(matrix) => Some(matrix.clone()),
        QuantizedMatrix::Candle(_) => None,
    };
    if let Some(tiled) = matrices.iter().map(tiled).collect::<Option<Vec<_>>>() {
        return tiled_products(xs, &tiled);
    }
    let one = |matrix: &&QuantizedMatrix| match matrix {
        QuantizedMatrix::Candle(matrix) => matrix.forward(xs),
        tiled => Ok(products(xs, &[tiled])?.swap_remove(0)),
    };
    matrices.iter().map(one).collect()
}

fn tiled_products(xs: &Tensor, matrices: &[Arc<TiledMatrix>]) -> Result<Vec<Tensor>> {
    let (n, width) = xs.dims2()?;
    if let Some(other) = matrices.iter().find(|m| m.width() != width) {
        bail!(
            "quantised matrix: expected rows of {}, got {width}",
            other.width()
        );
    }
    let Some(first) = matrices.first() else {
        return Ok(Vec::new());
    };
    let products = values([xs], |[xs]| {
        let input = QuantizedRows::of(xs, first);
        let n_threads = match is_one_thread() {
            true => 1,
            false => rayon::current_num_threads(),
        };
        match n < n_threads * ROWS {
            true => by_columns(&input, n, matrices, n_threads),
            false => matrices
                .iter()
                .map(|m| by_rows(&input, n, m, n_threads))
                .collect(),
        }
    })?;
    let tensors = products.into_iter().zip(matrices);
    let tensors = tensors.map(|(p, matrix)| Tensor::from_vec(p, (n, matrix.out()), xs.device()));
    tensors.collect()
}

/// Parts of the work for each thread: where one is late, another takes its next.
const PARTS: usize = 4;
/// Bytes of rounded input that stay in a core's cache while a matrix passes by.
const CACHED: usize = 1 << 18;

/// Few rows: each part of the work is some of all matrices' columns.
fn by_columns(
    input: &QuantizedRows,
    n: usize,
    matrices: &[Arc<TiledMatrix>],
    n_threads: usize,
) -> Vec<Vec<f32>> {
    let n_tiles: usize = matrices.iter().map(|m| m.n_tiles()).sum();
    let part = if n_threads == 1 {
        n_tiles
    } else {
        n_tiles.div_ceil(n_threads * PARTS)
    };
    let parts = matrices.iter().flat_map(|matrix| {
        let starts = (0..matrix.n_tiles()).step_by(part.max(1));
        starts.map(move |start| (matrix, start..(start + part).min(matrix.n_tiles())))
    });
    let parts: Vec<_> = parts.collect();
    let sizes = parts.iter().map(|(_, tiles)| n * tiles.len() * TILE);
    let mut done: Vec<_> = sizes.map(|size| vec![0f32; size]).collect();
    each(done.iter_mut().collect(), |i, out| {
        let (matrix, tiles) = &parts[i];
        matrix.product(input, 0..n, tiles.clone(), out);
    });
    let mut all: Vec<_> = matrices.iter().map(|m| vec![0f32; n * m.out()]).collect();
    let mut which = 0;
    for ((matrix, tiles), part) in parts.iter().zip(done) {
        // Sorted by matrix.
        while !Arc::ptr_eq(matrix, &matrices[which]) {
            which += 1;
        }
        let rows = all[which].chunks_exact_mut(matrix.out());
        for (row, part) in rows.zip(part.chunks_exact(tiles.len() * TILE)) {
            row[tiles.start * TILE..][..part.len()].copy_from_slice(part);
        }
    }
    all
}

/// Many rows: each part of the work is some of them.
fn by_rows(input: &QuantizedRows, n: usize, matrix: &TiledMatrix, n_threads: usize) -> Vec<f32> {
    let cached = CACHED / matrix.width();
    let part = n
        .div_ceil(n_threads * PARTS)
        .min(cached)
        .next_multiple_of(ROWS);
    let mut out = vec![0f32; n * matrix.out()];
    each(out.chunks_mut(part * matrix.out()).collect(), |i, out| {
        let rows = i * part..(i * part + out.len() / matrix.out());
        matrix.product(input, rows, 0..matrix.n_tiles(), out);
    });
    out
}
