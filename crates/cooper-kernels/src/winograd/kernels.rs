//! Kernels as the model holds them, and transformed for matmul.

use super::points::weight_points;
use super::sizes::{FREQUENCIES, KERNEL_SIDE, KERNELS_AT_ONCE, SIDE, Sizes};
use crate::avx512::ROW_GROUP;
use crate::int16_matmul::{COLUMNS, Int16Columns, Int16Rows, RowGroup, matmul_int16};
use crate::matmul::matmul;
use crate::simd::{self, dispatch};
use crate::threads::{for_each, for_each_with, split_planes, zeros};

/// Numbers of a kernel.
const KERNEL: usize = KERNEL_SIDE * KERNEL_SIDE;
/// Kernels (out, in, 3, 3) as the model holds them.
#[derive(Clone, Copy, Debug)]
pub enum Kernels<'a> {
    /// In 32-bit floats.
    F32(&'a [f32]),
    /// In 16-bit integers, in which they are multiplied, too.
    Int16(&'a Int16Kernels),
}

/// Kernels in 16-bit integers: the largest of each output channel is 32767.
#[derive(Debug)]
pub struct Int16Kernels {
    /// (out, in, 3, 3)
    numbers: Vec<i16>,
    /// The value of 1 in each output channel.
    units: Vec<f32>,
}

impl Int16Kernels {
    /// Round kernels (out, in, 3, 3).
    pub fn new(kernels: &[f32], c_out: usize) -> Self {
        let n = kernels.len() / c_out.max(1);
        let mut numbers = vec![0; kernels.len()];
        let mut units = vec![0.0; c_out];
        let channels = numbers.chunks_exact_mut(n).zip(&mut units);
        let channels = channels.zip(kernels.chunks_exact(n)).collect();
        for_each(channels, |_, ((numbers, unit), kernels)| {
            dispatch!({
                *unit = simd::max_abs(kernels).max(f32::MIN_POSITIVE) / f32::from(i16::MAX);
                for (to, x) in numbers.iter_mut().zip(kernels) {
                    *to = (x / *unit).round_ties_even() as i16;
                }
            });
        });
        Self { numbers, units }
    }

    /// The kernels of an output channel in f32.
    fn dequantize_channel(&self, i: usize, into: &mut Vec<f32>) {
        let (n, unit) = (self.numbers.len() / self.units.len(), self.units[i]);
        into.clear();
        into.extend(
            self.numbers[i * n..][..n]
                .iter()
                .map(|x| f32::from(*x) * unit),
        );
    }
}

/// Transformed kernels: a matrix (out, in) for each frequency.
pub enum Transformed {
    /// (frequencies, out, in)
    F32(Vec<f32>),
    /// (frequencies · out, in)
    Int16(Int16Rows),
}

impl Transformed {
    /// G·g·Gᵀ.
    pub fn new(kernels: Kernels, sizes: Sizes) -> Self {
        let n_rows = FREQUENCIES * sizes.c_out;
        match kernels {
            Kernels::F32(kernels) => {
                let mut rows = zeros(n_rows * sizes.c_in);
                let planes = rows.chunks_exact_mut(sizes.c_out * sizes.c_in);
                for_each(split_planes(planes, sizes.c_in), |i, mut rows| {
                    let n = sizes.c_in * KERNEL;
                    dispatch!(transform(&kernels[i * n..][..n], &mut rows));
                });
                Self::F32(rows)
            }
            Kernels::Int16(kernels) => {
                let mut rows = Int16Rows::zeros(n_rows, sizes.c_in);
                // A part of the work: all frequencies of eight output channels.
                let n_parts = sizes.c_out / ROW_GROUP;
                let mut parts: Vec<Vec<_>> = (0..n_parts).map(|_| Vec::new()).collect();
                for (i, group) in rows.row_groups().enumerate() {
                    parts[i % n_parts].push(group);
                }
                for_each_with(parts, |scratch: &mut Scratch, i, mut groups| {
                    for channel in 0..ROW_GROUP {
                        let c = i * ROW_GROUP + channel;
                        kernels.dequantize_channel(c, &mut scratch.kernels);
                        scratch.quantize(channel, &mut groups);
                    }
                });
                Self::Int16(rows)
            }
        }
    }

    /// The number of tiles must be a multiple of this.
    pub fn tiles_at_once(&self) -> usize {
        match self {
            Self::F32(_) => 1,
            Self::Int16(_) => COLUMNS,
        }
    }

    /// The matmul of a frequency's matrix with the numbers (in, n) of `n` tiles: (out, n).
    pub fn matmul(
        &self,
        frequency: usize,
        input: &[f32],
        output: &mut [f32],
        columns: &mut Int16Columns,
        sizes: Sizes,
    ) {
        let n = input.len() / sizes.c_in;
        let first = frequency * sizes.c_out;
        match self {
            Self::F32(rows) => {
                let rows = &rows[first * sizes.c_in..][..sizes.c_out * sizes.c_in];
                matmul(output, rows, input, (sizes.c_out, sizes.c_in, n));
            }
            Self::Int16(rows) => {
                columns.set(input, sizes.c_in, n);
                matmul_int16(output, rows, first, columns);
            }
        }
    }
}

/// A thread's memory: the kernels of an output channel.
#[derive(Default)]
struct Scratch {
    /// (in, 3, 3)
    kernels: Vec<f32>,
    /// (frequencies, in)
    transformed: Vec<f32>,
}

impl Scratch {
    /// Transform the kernels, and quantise those of each frequency to the `i`-th row of its group.
    fn quantize(&mut self, i: usize, rows: &mut [RowGroup]) {
        let c_in = self.kernels.len() / KERNEL;
        self.transformed.resize(FREQUENCIES * c_in, 0.0);
        let mut planes: Vec<_> = self.transformed.chunks_exact_mut(c_in).collect();
        dispatch!(transform(&self.kernels, &mut planes));
        for (rows, numbers) in rows.iter_mut().zip(planes) {
            rows.set(i, numbers);
        }
    }
}

/// G·g·Gᵀ of kernels, into the rows of the frequencies.
#[inline(always)]
fn transform(kernels: &[f32], rows: &mut [&mut [f32]]) {
    for (i, kernels) in kernels.chunks(KERNELS_AT_ONCE * KERNEL).enumerate() {
        let n = kernels.len() / KERNEL;
        let mut g = [[0f32; KERNELS_AT_ONCE]; KERNEL];
        for (j, kernel) in kernels.chunks_exact(KERNEL).enumerate() {
            for (g, x) in g.iter_mut().zip(kernel) {
                g[j] = *x;
            }
        }
        // By column: the six points down.
        let mut columns = [[[0f32; KERNELS_AT_ONCE]; SIDE]; 3];
        for (x, column) in columns.iter_mut().enumerate() {
            let to = column.each_mut().map(|points| &mut points[..]);
            weight_points([&g[x], &g[3 + x], &g[6 + x]], to);
        }
        let mut line = [[0f32; KERNELS_AT_ONCE]; SIDE];
        for (y, rows) in rows.chunks_exact_mut(SIDE).enumerate() {
            let to = line.each_mut().map(|points| &mut points[..]);
            weight_points([&columns[0][y], &columns[1][y], &columns[2][y]], to);
            for (row, points) in rows.iter_mut().zip(&line) {
                row[i * KERNELS_AT_ONCE..][..n].copy_from_slice(&points[..n]);
            }
        }
    }
}
