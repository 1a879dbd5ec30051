//! Quantised matrices in the layout that is fastest on this machine, and matmul with them.

use std::sync::Arc;

use candle_core::quantized::{GgmlDType, QMatMul, QTensor};
use candle_core::{DType, Module, Result, Tensor, bail};

use super::activation::sigmoid;
use super::autograd::with_slices;
use super::avx512::INPUT_ROWS;
use super::repacked::repacked_bytes;
use super::simd::dispatch;
use super::threads::{for_each, n_threads, parallel_vec};
use super::tile::TILE;
use super::tiled_matrix::{QuantizedInput, TiledMatrix};

/// A quantised matrix (out, width) with an optional bias (out).
#[derive(Clone, Debug)]
pub enum QuantizedMatrix {
    /// In candle's layout.
    Candle(QMatMul, Option<Tensor>),
    /// In tiles of our own, where the processor has instructions for them.
    Tiled(Arc<TiledMatrix>),
}

impl QuantizedMatrix {
    /// From a matrix that candle has quantised or read.
    ///
    /// # Errors
    /// If it is no matrix.
    pub fn new(matrix: QTensor, bias: Option<Tensor>) -> Result<Self> {
        if matrix.device().is_cpu() {
            let shape = matrix.shape().dims2()?;
            if let Some(tiled) = TiledMatrix::new(matrix.dtype(), &matrix.data()?, shape) {
                return Self::tiled(tiled, bias);
            }
        }
        Ok(Self::Candle(QMatMul::from_qtensor(matrix)?, bias))
    }

    /// From tiles.
    ///
    /// # Errors
    /// If the bias cannot be read.
    pub fn tiled(tiled: TiledMatrix, bias: Option<Tensor>) -> Result<Self> {
        let tiled = match bias {
            Some(bias) => {
                let bias = bias.to_dtype(DType::F32)?.to_vec1::<f32>()?;
                tiled.with_bias(&bias)
            }
            None => tiled,
        };
        Ok(Self::Tiled(Arc::new(tiled)))
    }
}

/// Where a quantised matrix comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MatrixSource {
    /// It is quantised while the weights are read.
    Weights,
    /// A file holds it in blocks. Where candle repacks it, the blocks stay in the file.
    File,
}

/// Bytes of a quantised matrix (out, width) on this machine's CPU.
pub fn quantized_bytes(
    dtype: GgmlDType,
    (out, width): (usize, usize),
    source: MatrixSource,
) -> u64 {
    if let Some(tiled) = TiledMatrix::bytes(dtype, out, width) {
        return tiled;
    }
    let stored = (out * width / dtype.block_size() * dtype.type_size()) as u64;
    match repacked_bytes(dtype, out, width) {
        repacked if repacked > 0 && source == MatrixSource::File => repacked,
        repacked => stored + repacked,
    }
}

/// Whether a quantised matrix on this machine's CPU is kept in tiles.
pub fn has_tiles(dtype: GgmlDType, out: usize, width: usize) -> bool {
    TiledMatrix::bytes(dtype, out, width).is_some()
}

/// The matmul of the rows of `xs` (n, width) with matrices of this width: (n, out) for each matrix. The rows are quantised
/// once for all.
///
/// # Errors
/// If shapes do not fit.
pub fn quantized_matmul(xs: &Tensor, matrices: &[&QuantizedMatrix]) -> Result<Vec<Tensor>> {
    let dtype = xs.dtype();
    let xs = xs.contiguous()?.to_dtype(DType::F32)?;
    let all = match all_tiled(matrices) {
        Some(tiled) => tiled_matmul(&xs, &tiled)?,
        None => {
            let each = matrices.iter().map(|matrix| matmul(&xs, matrix));
            each.collect::<Result<_>>()?
        }
    };
    all.into_iter().map(|ys| ys.to_dtype(dtype)).collect()
}

fn matmul(xs: &Tensor, matrix: &QuantizedMatrix) -> Result<Tensor> {
    match matrix {
        QuantizedMatrix::Candle(matrix, None) => matrix.forward(xs),
        QuantizedMatrix::Candle(matrix, Some(bias)) => {
            let bias = bias.to_dtype(DType::F32)?;
            matrix.forward(xs)?.broadcast_add(&bias)
        }
        QuantizedMatrix::Tiled(matrix) => Ok(tiled_matmul(xs, &[matrix])?.swap_remove(0)),
    }
}

/// SwiGLU, `down(silu(gate(xs)) · up(xs))` (n, out), in blocks of rows, so that the wide middle stays in the cache. None where
/// that is no faster: for few rows, or matrices that are not in tiles.
///
/// # Errors
/// If shapes do not fit.
pub fn quantized_swiglu(
    xs: &Tensor,
    [gate, up, down]: [&QuantizedMatrix; 3],
) -> Result<Option<Tensor>> {
    let (n, _) = xs.dims2()?;
    let Some(tiled) = all_tiled(&[gate, up, down]) else {
        return Ok(None);
    };
    if n < n_threads() * INPUT_ROWS {
        return Ok(None);
    }
    let [gate, up, down] = [tiled[0], tiled[1], tiled[2]];
    check_width(xs, gate)?;
    if (up.width(), up.out()) != (gate.width(), gate.out()) || down.width() != gate.out() {
        let (up, down) = ((up.out(), up.width()), down.width());
        let gate = (gate.out(), gate.width());
        bail!(
            "SwiGLU: expected up as large as gate {gate:?} and down as wide, got {up:?} and {down}"
        );
    }
    let dtype = xs.dtype();
    let xs = xs.contiguous()?.to_dtype(DType::F32)?;
    let inner = gate.out();
    let part = rows_per_part(n, inner * size_of::<f32>());
    let (all, some) = (n * down.out(), part * down.out());
    let out = with_slices([&xs], |[xs]| {
        let input = QuantizedInput::new(xs, gate);
        parallel_vec(all, some, |[gates, ups]: &mut [Vec<f32>; 2], i, out| {
            let n = out.len() / down.out();
            let rows = i * part..i * part + n;
            for (matrix, to) in [(gate, &mut *gates), (up, &mut *ups)] {
                to.resize(n * inner, 0.0);
                matrix.matmul(&input, rows.clone(), 0..matrix.n_tiles(), to);
            }
            dispatch!({
                for (g, u) in gates.iter_mut().zip(&*ups) {
                    *g = *g * sigmoid(*g) * u;
                }
            });
            let middle = QuantizedInput::on_this_thread(gates, down);
            down.matmul(&middle, 0..n, 0..down.n_tiles(), out);
        })
    })?;
    let out = Tensor::from_vec(out, (n, down.out()), xs.device())?;
    out.to_dtype(dtype).map(Some)
}

fn all_tiled<'m>(matrices: &[&'m QuantizedMatrix]) -> Option<Vec<&'m TiledMatrix>> {
    let tiled = matrices.iter().map(|matrix| match matrix {
        QuantizedMatrix::Tiled(matrix) => Some(&**matrix),
        QuantizedMatrix::Candle(..) => None,
    });
    tiled.collect()
}

fn check_width(xs: &Tensor, matrix: &TiledMatrix) -> Result<()> {
    let (width, expected) = (xs.dims2()?.1, matrix.width());
    if width != expected {
        bail!("quantised matrix: expected rows of {expected}, got {width}");
    }
    Ok(())
}

/// The matmul of f32 rows.
fn tiled_matmul(xs: &Tensor, matrices: &[&TiledMatrix]) -> Result<Vec<Tensor>> {
    let n = xs.dims2()?.0;
    for matrix in matrices {
        check_width(xs, matrix)?;
    }
    let Some(first) = matrices.first() else {
        return Ok(Vec::new());
    };
    let results = with_slices([xs], |[xs]| {
        let input = QuantizedInput::new(xs, first);
        match n < n_threads() * INPUT_ROWS {
            true => by_columns(&input, n, matrices),
            false => matrices.iter().map(|m| by_rows(&input, n, m)).collect(),
        }
    })?;
    let tensors = results.into_iter().zip(matrices);
    let tensors = tensors.map(|(p, matrix)| Tensor::from_vec(p, (n, matrix.out()), xs.device()));
    tensors.collect()
}

/// Parts of the work for each thread, so that a fast one takes over parts of a slow one.
const PARTS: usize = 4;
/// Bytes of rows that stay in a core's cache during a matmul.
const CACHED: usize = 1 << 19;

/// Rows of `n_bytes` each in a part of the work on `n` rows.
fn rows_per_part(n: usize, n_bytes: usize) -> usize {
    let part = n.div_ceil(n_threads() * PARTS).min(CACHED / n_bytes);
    part.next_multiple_of(INPUT_ROWS).max(INPUT_ROWS)
}

/// For few rows: each part of the work is some columns of a matrix.
fn by_columns(input: &QuantizedInput, n: usize, matrices: &[&TiledMatrix]) -> Vec<Vec<f32>> {
    let n_tiles: usize = matrices.iter().map(|m| m.n_tiles()).sum();
    let part = n_tiles.div_ceil(n_threads() * PARTS).max(1);
    let parts = matrices.iter().enumerate().flat_map(|(i, matrix)| {
        let starts = (0..matrix.n_tiles()).step_by(part);
        starts.map(move |start| (i, start..(start + part).min(matrix.n_tiles())))
    });
    let parts: Vec<_> = parts.collect();
    let sizes = parts.iter().map(|(_, tiles)| n * tiles.len() * TILE);
    let mut parts_out: Vec<_> = sizes.map(|size| vec![0f32; size]).collect();
    for_each(parts_out.iter_mut().collect(), |i, out| {
        let (matrix, tiles) = &parts[i];
        matrices[*matrix].matmul(input, 0..n, tiles.clone(), out);
    });
    let mut all: Vec<_> = matrices.iter().map(|m| vec![0f32; n * m.out()]).collect();
    for ((matrix, tiles), part) in parts.iter().zip(parts_out) {
        let rows = all[*matrix].chunks_exact_mut(matrices[*matrix].out());
        for (row, part) in rows.zip(part.chunks_exact(tiles.len() * TILE)) {
            row[tiles.start * TILE..][..part.len()].copy_from_slice(part);
        }
    }
    all
}

/// For many rows: each part of the work is some of them.
fn by_rows(input: &QuantizedInput, n: usize, matrix: &TiledMatrix) -> Vec<f32> {
    let part = rows_per_part(n, matrix.width());
    parallel_vec(
        n * matrix.out(),
        part * matrix.out(),
        |(): &mut (), i, out| {
            let rows = i * part..(i * part + out.len() / matrix.out());
            matrix.matmul(input, rows, 0..matrix.n_tiles(), out);
        },
    )
}
