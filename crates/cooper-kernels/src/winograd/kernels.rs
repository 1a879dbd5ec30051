//! Kernels as they are kept, and as products take them.

use super::points::weight_points;
use super::{FREQUENCIES, KERNEL_SIDE, SIDE, Sizes};
use crate::avx512::{
    COLUMNS, EIGHT, EightRows, RoundedColumns, RoundedRows, has_rounded_rows, rounded_product,
};
use crate::matmul::product;
use crate::simd::{self, dispatch};
use crate::threads::{each, each_with, in_parts, zeros};

/// Numbers of a kernel.
const KERNEL: usize = KERNEL_SIDE * KERNEL_SIDE;
/// Kernels that are transformed at once: they fit into the nearest cache.
pub(super) const KERNELS: usize = 128;

/// Channels from which this is faster than a matrix of patches.
pub const FEWEST_CHANNELS: usize = 16;

/// What convolutions multiply in on a CPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConvPrecision {
    /// 32-bit floats.
    F32,
    /// 16-bit integers, where the processor and the channels allow; with AVX-512 twice as fast, off by some 1e-3. The
    /// kernels are kept so, too. Nothing of it can be trained.
    I16,
}

impl ConvPrecision {
    /// Whether a convolution with kernels of this side, from so many channels to so many, is by [`Self::I16`].
    pub fn are_rounded(self, kernel: usize, c_in: usize, c_out: usize) -> bool {
        let is_wide = c_in >= FEWEST_CHANNELS;
        self == Self::I16 && is_wide && has_rounded_rows(c_out, c_in * kernel * kernel)
    }
}

/// Kernels (out, in, 3, 3), as they are kept.
#[derive(Clone, Copy, Debug)]
pub enum Kernels<'a> {
    /// As they are.
    F32(&'a [f32]),
    /// In 16 bits; they are multiplied in 16 bits, too.
    Rounded(&'a RoundedKernels),
}

/// Kernels in 16-bit integers: the greatest of each output channel is 32767.
#[derive(Debug)]
pub struct RoundedKernels {
    /// (out, in, 3, 3)
    numbers: Vec<i16>,
    /// What an output channel's integers are to be multiplied with.
    units: Vec<f32>,
}

impl RoundedKernels {
    /// Round kernels (out, in, 3, 3).
    pub fn new(kernels: &[f32], c_out: usize) -> Self {
        let n = kernels.len() / c_out.max(1);
        let mut numbers = vec![0; kernels.len()];
        let mut units = vec![0.0; c_out];
        let channels = numbers.chunks_exact_mut(n).zip(&mut units);
        let channels = channels.zip(kernels.chunks_exact(n)).collect();
        each(channels, |_, ((numbers, unit), kernels)| {
            dispatch!({
                *unit = simd::most(kernels).max(f32::MIN_POSITIVE) / f32::from(i16::MAX);
                for (to, x) in numbers.iter_mut().zip(kernels) {
                    *to = (x / *unit).round_ties_even() as i16;
                }
            });
        });
        Self { numbers, units }
    }

    /// An output channel's, in f32.
    fn channel(&self, i: usize, into: &mut Vec<f32>) {
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
pub(super) enum Transformed {
    /// (frequencies, out, in)
    F32(Vec<f32>),
    /// (frequencies · out, in)
    Rounded(RoundedRows),
}

impl Transformed {
    /// G·g·Gᵀ.
    pub fn new(kernels: Kernels, sizes: Sizes) -> Self {
        let n_rows = FREQUENCIES * sizes.c_out;
        match kernels {
            Kernels::F32(kernels) => {
                let mut rows = zeros(n_rows * sizes.c_in);
                let planes = rows.chunks_exact_mut(sizes.c_out * sizes.c_in);
                each(in_parts(planes, sizes.c_in), |i, mut rows| {
                    let n = sizes.c_in * KERNEL;
                    dispatch!(transform(&kernels[i * n..][..n], &mut rows));
                });
                Self::F32(rows)
            }
            Kernels::Rounded(kernels) => {
                let mut rows = RoundedRows::zeros(n_rows, sizes.c_in);
                // Of eight output channels, all frequencies.
                let n_eights = sizes.c_out / EIGHT;
                let mut eights: Vec<Vec<_>> = (0..n_eights).map(|_| Vec::new()).collect();
                for (i, eight) in rows.eights().enumerate() {
                    eights[i % n_eights].push(eight);
                }
                each_with(eights, |own: &mut Own, i, mut eight| {
                    for channel in 0..EIGHT {
                        kernels.channel(i * EIGHT + channel, &mut own.kernels);
                        own.round(channel, &mut eight);
                    }
                });
                Self::Rounded(rows)
            }
        }
    }

    /// Of what the number of tiles is to be a multiple.
    pub fn tiles_at_once(&self) -> usize {
        match self {
            Self::F32(_) => 1,
            Self::Rounded(_) => COLUMNS,
        }
    }

    /// The products of a frequency's matrix with the numbers (in, n) of as many tiles: (out, n).
    pub fn product(
        &self,
        frequency: usize,
        input: &[f32],
        output: &mut [f32],
        columns: &mut RoundedColumns,
        sizes: Sizes,
    ) {
        let n = input.len() / sizes.c_in;
        let first = frequency * sizes.c_out;
        match self {
            Self::F32(rows) => {
                let rows = &rows[first * sizes.c_in..][..sizes.c_out * sizes.c_in];
                product(output, rows, input, (sizes.c_out, sizes.c_in, n));
            }
            Self::Rounded(rows) => {
                columns.set(input, sizes.c_in, n);
                rounded_product(output, rows, first, columns);
            }
        }
    }
}

/// What a thread works on: the kernels of an output channel.
#[derive(Default)]
struct Own {
    /// (in, 3, 3)
    kernels: Vec<f32>,
    /// (frequencies, in)
    transformed: Vec<f32>,
}

impl Own {
    /// Transform the kernels, and round each frequency's to the `i`-th of its eight rows.
    fn round(&mut self, i: usize, rows: &mut [EightRows]) {
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
    for (i, kernels) in kernels.chunks(KERNELS * KERNEL).enumerate() {
        let n = kernels.len() / KERNEL;
        let mut g = [[0f32; KERNELS]; KERNEL];
        for (j, kernel) in kernels.chunks_exact(KERNEL).enumerate() {
            for (g, x) in g.iter_mut().zip(kernel) {
                g[j] = *x;
            }
        }
        // By column: the six points down.
        let mut columns = [[[0f32; KERNELS]; SIDE]; 3];
        for (x, column) in columns.iter_mut().enumerate() {
            let to = column.each_mut().map(|points| &mut points[..]);
            weight_points([&g[x], &g[3 + x], &g[6 + x]], to);
        }
        let mut line = [[0f32; KERNELS]; SIDE];
        for (y, rows) in rows.chunks_exact_mut(SIDE).enumerate() {
            let to = line.each_mut().map(|points| &mut points[..]);
            weight_points([&columns[0][y], &columns[1][y], &columns[2][y]], to);
            for (row, points) in rows.iter_mut().zip(&line) {
                row[i * KERNELS..][..n].copy_from_slice(&points[..n]);
            }
        }
    }
}
