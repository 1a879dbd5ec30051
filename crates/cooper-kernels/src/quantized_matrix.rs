//! Quantised matrices in the form that is fastest here, and their products.

use std::sync::Arc;

use candle_core::quantized::{GgmlDType, QMatMul, QTensor};
use candle_core::{DType, Module, Result, Tensor, bail};

use super::activation::sigmoid;
use super::autograd::values;
use super::avx512::{QuantizedRows, ROWS, TILE, TiledMatrix};
use super::repacked::repacked_bytes;
use super::simd::dispatch;
use super::threads::{each, made, n_threads};

/// A quantised matrix (out, width), and the bias (out) that is added to its products.
#[derive(Clone, Debug)]
pub enum QuantizedMatrix {
    /// As candle keeps it.
    Candle(QMatMul, Option<Tensor>),
    /// In tiles of our own, where the processor has instructions for them.
    Tiled(Arc<TiledMatrix>),
}

impl QuantizedMatrix {
    /// Of a matrix that candle has quantised or read.
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

    /// Of tiles.
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

/// Where quantised matrices come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QuantizedFrom {
    /// Plain weights, quantised while loading.
    PlainWeights,
    /// A file of quantised matrices.
    File,
}

/// Bytes of a quantised matrix on this machine's CPU. Candle's own form of one from a file needs no other beside it.
pub fn quantized_bytes(
    dtype: GgmlDType,
    (out, width): (usize, usize),
    source: QuantizedFrom,
) -> u64 {
    if let Some(tiled) = TiledMatrix::bytes(dtype, out, width) {
        return tiled;
    }
    let stored = (out * width / dtype.block_size() * dtype.type_size()) as u64;
    match repacked_bytes(dtype, out, width) {
        repacked if repacked > 0 && source == QuantizedFrom::File => repacked,
        repacked => stored + repacked,
    }
}

/// Whether a quantised matrix on this machine's CPU is kept in tiles.
pub fn has_tiles(dtype: GgmlDType, out: usize, width: usize) -> bool {
    TiledMatrix::bytes(dtype, out, width).is_some()
}

/// Products of the rows of `xs` (n, width) with matrices of this width: (n, out) of each. The rows are rounded once.
///
/// # Errors
/// If shapes do not fit.
pub fn products(xs: &Tensor, matrices: &[&QuantizedMatrix]) -> Result<Vec<Tensor>> {
    let dtype = xs.dtype();
    let xs = xs.contiguous()?.to_dtype(DType::F32)?;
    let products = match all_tiled(matrices) {
        Some(tiled) => tiled_products(&xs, &tiled)?,
        None => {
            let each = matrices.iter().map(|matrix| product(&xs, matrix));
            each.collect::<Result<_>>()?
        }
    };
    products.into_iter().map(|ys| ys.to_dtype(dtype)).collect()
}

fn product(xs: &Tensor, matrix: &QuantizedMatrix) -> Result<Tensor> {
    match matrix {
        QuantizedMatrix::Candle(matrix, None) => matrix.forward(xs),
        QuantizedMatrix::Candle(matrix, Some(bias)) => {
            let bias = bias.to_dtype(DType::F32)?;
            matrix.forward(xs)?.broadcast_add(&bias)
        }
        QuantizedMatrix::Tiled(matrix) => Ok(tiled_products(xs, &[matrix])?.swap_remove(0)),
    }
}

/// `down(silu(gate(xs)) · up(xs))` (n, out), the inside of SwiGLU, some rows at a time from one end to the other: what is
/// as wide as the middle never leaves the cache. None where that is no gain: few rows, or matrices that are not in tiles.
///
/// # Errors
/// If shapes do not fit.
pub fn gated_product(
    xs: &Tensor,
    [gate, up, down]: [&QuantizedMatrix; 3],
) -> Result<Option<Tensor>> {
    let (n, _) = xs.dims2()?;
    let Some(tiled) = all_tiled(&[gate, up, down]) else {
        return Ok(None);
    };
    if n < n_threads() * ROWS {
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
    let part = part_of_rows(n, inner * size_of::<f32>());
    let (all, some) = (n * down.out(), part * down.out());
    let out = values([&xs], |[xs]| {
        let input = QuantizedRows::of(xs, gate);
        made(all, some, |[gates, ups]: &mut [Vec<f32>; 2], i, out| {
            let n = out.len() / down.out();
            let rows = i * part..i * part + n;
            for (matrix, to) in [(gate, &mut *gates), (up, &mut *ups)] {
                to.resize(n * inner, 0.0);
                matrix.product(&input, rows.clone(), 0..matrix.n_tiles(), to);
            }
            dispatch!({
                for (g, u) in gates.iter_mut().zip(&*ups) {
                    *g = *g * sigmoid(*g) * u;
                }
            });
            let middle = QuantizedRows::of_part(gates, down);
            down.product(&middle, 0..n, 0..down.n_tiles(), out);
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

/// Of f32 rows.
fn tiled_products(xs: &Tensor, matrices: &[&TiledMatrix]) -> Result<Vec<Tensor>> {
    let n = xs.dims2()?.0;
    for matrix in matrices {
        check_width(xs, matrix)?;
    }
    let Some(first) = matrices.first() else {
        return Ok(Vec::new());
    };
    let products = values([xs], |[xs]| {
        let input = QuantizedRows::of(xs, first);
        match n < n_threads() * ROWS {
            true => by_columns(&input, n, matrices),
            false => matrices.iter().map(|m| by_rows(&input, n, m)).collect(),
        }
    })?;
    let tensors = products.into_iter().zip(matrices);
    let tensors = tensors.map(|(p, matrix)| Tensor::from_vec(p, (n, matrix.out()), xs.device()));
    tensors.collect()
}

/// Parts of the work for each thread: where one is late, another takes its next.
const PARTS: usize = 4;
/// Bytes of rows that stay in a core's cache while a matrix passes by.
const CACHED: usize = 1 << 19;

/// Rows of so many bytes that are worked on at once, of `n`.
fn part_of_rows(n: usize, n_bytes: usize) -> usize {
    let part = n.div_ceil(n_threads() * PARTS).min(CACHED / n_bytes);
    part.next_multiple_of(ROWS).max(ROWS)
}

/// Few rows: each part of the work is some of all matrices' columns.
fn by_columns(input: &QuantizedRows, n: usize, matrices: &[&TiledMatrix]) -> Vec<Vec<f32>> {
    let n_tiles: usize = matrices.iter().map(|m| m.n_tiles()).sum();
    let part = n_tiles.div_ceil(n_threads() * PARTS).max(1);
    let parts = matrices.iter().enumerate().flat_map(|(i, matrix)| {
        let starts = (0..matrix.n_tiles()).step_by(part);
        starts.map(move |start| (i, start..(start + part).min(matrix.n_tiles())))
    });
    let parts: Vec<_> = parts.collect();
    let sizes = parts.iter().map(|(_, tiles)| n * tiles.len() * TILE);
    let mut done: Vec<_> = sizes.map(|size| vec![0f32; size]).collect();
    each(done.iter_mut().collect(), |i, out| {
        let (matrix, tiles) = &parts[i];
        matrices[*matrix].product(input, 0..n, tiles.clone(), out);
    });
    let mut all: Vec<_> = matrices.iter().map(|m| vec![0f32; n * m.out()]).collect();
    for ((matrix, tiles), part) in parts.iter().zip(done) {
        let rows = all[*matrix].chunks_exact_mut(matrices[*matrix].out());
        for (row, part) in rows.zip(part.chunks_exact(tiles.len() * TILE)) {
            row[tiles.start * TILE..][..part.len()].copy_from_slice(part);
        }
    }
    all
}

/// Many rows: each part of the work is some of them.
fn by_rows(input: &QuantizedRows, n: usize, matrix: &TiledMatrix) -> Vec<f32> {
    let part = part_of_rows(n, matrix.width());
    made(
        n * matrix.out(),
        part * matrix.out(),
        |(): &mut (), i, out| {
            let rows = i * part..(i * part + out.len() / matrix.out());
            matrix.product(input, rows, 0..matrix.n_tiles(), out);
        },
    )
}
