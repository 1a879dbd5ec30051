//! 3×3 convolution with a quarter of the multiplications: Winograd's F(4×4, 3×3).
//!
//! A tile of 4×4 output pixels is 36 products of transformed numbers instead of 144: for each of the 36, a matrix
//! product over channels. In f32 it is as near to the plain sum as 1e-5 of the largest output, in 16-bit integers (see
//! [`ConvPrecision`]) as 3e-3. What goes before and after, a norm with SiLU, doubling of pixels and a sum, is done tile by tile,
//! too, so that of a large image only what goes in and what comes out is held.
//!
//! Source: Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks" (2015), section 4.

mod kernels;
mod points;

pub use kernels::{ConvPrecision, FEWEST_CHANNELS, Kernels, RoundedKernels};

use self::kernels::Transformed;
use self::points::{deinterleave, input_points, input_transform, interleave, output_points};
use super::activation::sigmoid;
use super::avx512::RoundedColumns;
use super::simd::{self, dispatch};
use super::threads::{each_with, in_parts, n_threads};

/// Output pixels along a tile's side.
const TILE: usize = 4;
/// Numbers along a kernel's side.
pub const KERNEL_SIDE: usize = 3;
/// Input pixels along a tile's side, and transformed numbers.
const SIDE: usize = TILE + KERNEL_SIDE - 1;
/// Transformed numbers of a tile.
const FREQUENCIES: usize = SIDE * SIDE;
/// Numbers that loops go through at once.
const REGISTER: usize = 16;
/// Tiles that are transformed at once: enough for full matrix products, few enough for the cache.
const BAND: usize = 128;

/// The sizes of a convolution with stride and padding 1.
#[derive(Clone, Copy, Debug)]
pub struct Sizes {
    /// Input channels.
    pub c_in: usize,
    /// Output channels.
    pub c_out: usize,
    /// Rows of output pixels.
    pub hh: usize,
    /// Columns of output pixels.
    pub ww: usize,
}

/// Numbers of 32 bits that [`convolve`] holds beside its input and output of so many pixels: transformed kernels, and
/// each thread's tiles.
pub fn scratch(c_in: usize, c_out: usize, n_pixels: usize, products: ConvPrecision) -> usize {
    let n_tiles = (n_threads() * BAND).min(n_pixels.div_ceil(TILE * TILE));
    let kernels = match products.are_rounded(KERNEL_SIDE, c_in, c_out) {
        true => c_in * c_out / 2,
        false => c_in * c_out,
    };
    FREQUENCIES * (kernels + n_tiles * (c_in + c_out))
}

/// Convolve an input with `kernels` (out, in, 3, 3) and `bias` (out), to `out` (out, hh, ww).
pub fn convolve(input: Input, kernels: Kernels, bias: &[f32], output: Output, sizes: Sizes) {
    let across = sizes.ww.div_ceil(TILE);
    let n_bands = (sizes.hh.div_ceil(TILE) * across).div_ceil(BAND);
    let n_bands = n_bands.max(n_threads());
    let lines = TILE * sizes.hh.div_ceil(TILE * n_bands).max(1);
    let kernels = Transformed::new(kernels, sizes);
    // Each band's part of every channel.
    let planes = output.numbers.chunks_exact_mut(sizes.hh * sizes.ww);
    let bands = in_parts(planes, lines * sizes.ww);
    each_with(bands, |buffers: &mut Buffers, i, mut out| {
        let band = Band::new(i * lines, &out, sizes, kernels.tiles_at_once());
        buffers.resize(&band, sizes);
        dispatch!(band.transform_input(input, &mut buffers.input, sizes));
        let inputs = buffers.input.chunks_exact(sizes.c_in * band.n_tiles);
        let outputs = buffers.output.chunks_exact_mut(sizes.c_out * band.n_tiles);
        for (f, (input, output)) in inputs.zip(outputs).enumerate() {
            kernels.product(f, input, output, &mut buffers.columns, sizes);
        }
        let from = &buffers.output;
        match output.is_sum {
            true => dispatch!(band.transform_output::<true>(from, bias, &mut out, sizes)),
            false => dispatch!(band.transform_output::<false>(from, bias, &mut out, sizes)),
        }
    });
}

/// What is convolved.
#[derive(Clone, Copy, Debug)]
pub struct Input<'a> {
    /// (in, rows, columns)
    pub pixels: &'a [f32],
    /// Whether there are half as many rows and columns as in the output, each to be seen twice.
    pub is_doubled: bool,
    /// Of each channel a factor and a summand, if SiLU of what they give is to be convolved, not the pixels.
    pub norm: Option<&'a [(f32, f32)]>,
}

impl Input<'_> {
    /// A line of a channel as the convolution sees it.
    #[inline(always)]
    fn line(&self, channel: usize, y: usize, into: &mut [f32], sizes: Sizes) {
        let (hh, ww) = match self.is_doubled {
            true => (sizes.hh / 2, sizes.ww / 2),
            false => (sizes.hh, sizes.ww),
        };
        let y = if self.is_doubled { y / 2 } else { y };
        let pixels = &self.pixels[(channel * hh + y) * ww..][..ww];
        // The next channel's line is far away: the processor does not guess it.
        for register in pixels.chunks(REGISTER) {
            simd::fetch_ahead(hh * ww * size_of::<f32>(), &register[0]);
        }
        if self.is_doubled {
            for (two, x) in into.chunks_exact_mut(2).zip(pixels) {
                two.fill(*x);
            }
        } else if let Some(norm) = self.norm {
            let (scale, shift) = norm[channel];
            for (to, x) in into.iter_mut().zip(pixels) {
                let x = x * scale + shift;
                *to = x * sigmoid(x);
            }
        } else {
            into.copy_from_slice(pixels);
        }
    }
}

/// Where the convolution goes.
#[derive(Debug)]
pub struct Output<'a> {
    /// (out, hh, ww)
    pub numbers: &'a mut [f32],
    /// Whether it is added to what is there.
    pub is_sum: bool,
}

/// What a thread works on.
#[derive(Default)]
struct Buffers {
    /// (frequencies, in, tiles)
    input: Vec<f32>,
    /// (frequencies, out, tiles)
    output: Vec<f32>,
    columns: RoundedColumns,
}

impl Buffers {
    fn resize(&mut self, band: &Band, sizes: Sizes) {
        let n = FREQUENCIES * band.n_tiles;
        self.input.resize(n * sizes.c_in, 0.0);
        self.output.resize(n * sizes.c_out, 0.0);
    }
}

/// Lines of the image that are convolved together.
struct Band {
    first_line: usize,
    n_lines: usize,
    /// Tiles beside each other.
    across: usize,
    /// All tiles, and those that products need beside them.
    n_tiles: usize,
}

impl Band {
    fn new(first_line: usize, out: &[&mut [f32]], sizes: Sizes, tiles_at_once: usize) -> Self {
        let n_lines = out.first().map_or(0, |part| part.len() / sizes.ww.max(1));
        let across = sizes.ww.div_ceil(TILE);
        Self {
            first_line,
            n_lines,
            across,
            n_tiles: (n_lines.div_ceil(TILE) * across).next_multiple_of(tiles_at_once),
        }
    }

    /// Tiles of a row that are transformed together, the row beginning at tile `start` of its channel: whole registers,
    /// into the next row, which comes later, as far as there is one.
    fn width(&self, start: usize) -> usize {
        self.across
            .next_multiple_of(REGISTER)
            .min(self.n_tiles - start)
    }

    /// Bᵀ·d·B of every tile of every channel.
    #[inline(always)]
    fn transform_input(&self, input: Input, into: &mut [f32], sizes: Sizes) {
        let n = self.n_tiles;
        // One tile more: the last two of its six numbers are the next one's first.
        let pitch = self.across.next_multiple_of(REGISTER) + 1;
        let width = TILE * pitch;
        let mut lines = vec![0f32; SIDE * width];
        let mut columns = vec![0f32; SIDE * width];
        let mut phases = vec![0f32; TILE * pitch];
        for channel in 0..sizes.c_in {
            for row in 0..self.n_lines.div_ceil(TILE) {
                // Two lines are those of the row of tiles above.
                let n_known = if row == 0 { 0 } else { SIDE - TILE };
                lines.copy_within((SIDE - n_known) * width.., 0);
                let top = self.first_line + row * TILE;
                for (i, line) in lines.chunks_exact_mut(width).enumerate().skip(n_known) {
                    // The line above the tile is the first; the pixel left of it is the first, too.
                    match (top + i).checked_sub(1).filter(|y| *y < sizes.hh) {
                        Some(y) => input.line(channel, y, &mut line[1..=sizes.ww], sizes),
                        None => line.fill(0.0),
                    }
                }
                input_transform(&lines, &mut columns, width);
                let start = row * self.across;
                let n_done = self.width(start);
                for (i, line) in columns.chunks_exact(width).enumerate() {
                    deinterleave(line, &mut phases, pitch);
                    let mut of = into[i * SIDE * sizes.c_in * n..]
                        .chunks_mut(sizes.c_in * n)
                        .map(|frequency| &mut frequency[channel * n + start..][..n_done]);
                    let p = |k: usize| &phases[k % TILE * pitch + k / TILE..][..n_done];
                    let d = [p(0), p(1), p(2), p(3), p(4), p(5)];
                    let to = std::array::from_fn(|_| of.next().unwrap_or_default());
                    input_points(d, to);
                }
            }
        }
    }

    /// Aᵀ·m·A of every tile of every channel, and the bias; `SUM`: added to what is there.
    #[inline(always)]
    fn transform_output<const SUM: bool>(
        &self,
        from: &[f32],
        bias: &[f32],
        out: &mut [&mut [f32]],
        sizes: Sizes,
    ) {
        let n = self.n_tiles;
        let pitch = self.across.next_multiple_of(REGISTER);
        // Of each of the four lines, the six numbers across.
        let mut lines = vec![0f32; TILE * SIDE * pitch];
        let mut phases = vec![0f32; TILE * pitch];
        for (channel, (out, bias)) in out.iter_mut().zip(bias).enumerate() {
            for row in 0..self.n_lines.div_ceil(TILE) {
                let start = row * self.across;
                let n_done = self.width(start);
                for k in 0..SIDE {
                    let m = |i: usize| {
                        let frequency = &from[(i * SIDE + k) * sizes.c_out * n..];
                        &frequency[channel * n + start..][..n_done]
                    };
                    let m = [m(0), m(1), m(2), m(3), m(4), m(5)];
                    let mut to = lines[k * pitch..].chunks_mut(SIDE * pitch);
                    let mut next = || to.next().map_or(&mut [][..], |line| &mut line[..n_done]);
                    output_points(m, [next(), next(), next(), next()]);
                }
                let parts = out[row * TILE * sizes.ww..].chunks_mut(sizes.ww);
                for (line, out) in lines.chunks_exact(SIDE * pitch).zip(parts) {
                    let m = |k: usize| &line[k * pitch..][..pitch];
                    let m = [m(0), m(1), m(2), m(3), m(4), m(5)];
                    let mut to = phases.chunks_exact_mut(pitch);
                    let mut next = || to.next().unwrap_or_default();
                    output_points(m, [next(), next(), next(), next()]);
                    interleave::<SUM>(&phases, out, pitch, *bias);
                }
            }
        }
    }
}
