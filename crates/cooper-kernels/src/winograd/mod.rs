//! 3×3 convolution with a quarter of the multiplications: Winograd's F(4×4, 3×3).
//!
//! A tile of 4×4 output pixels takes 36 multiplications of transformed numbers instead of 144: for each of the 36, a matmul
//! over channels. The error is at most 1e-5 of the largest output in f32, and 3e-3 in 16-bit integers (see
//! [`ConvPrecision`]). A norm with SiLU or an upsampling before the convolution, and a sum behind it, are done tile by tile, too:
//! of a large image only input and output are in memory.
//!
//! Source: Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks" (2015), section 4.

mod kernels;
mod points;
mod sizes;

use self::kernels::Transformed;
pub use self::kernels::{Int16Kernels, Kernels};
use self::points::{deinterleave, input_points, input_transform, interleave, output_points};
pub use self::sizes::Sizes;
use self::sizes::{FREQUENCIES, KERNEL_SIDE, SIDE, TILE};
use super::activation::sigmoid;
use super::conv_precision::ConvPrecision;
use super::int16_matmul::Int16Columns;
use super::simd::{self, dispatch};
use super::threads::{for_each_with, n_threads, split_planes};

/// Numbers that loops go through at once.
const REGISTER: usize = 16;
/// Tiles that are transformed at once: enough for full matmuls, few enough for the cache.
const BAND: usize = 128;

/// Numbers of 32 bits that the convolution allocates beside input and output of `n_pixels` pixels: transformed kernels, and
/// each thread's tiles.
pub fn winograd_scratch(
    c_in: usize,
    c_out: usize,
    n_pixels: usize,
    precision: ConvPrecision,
) -> usize {
    let n_tiles = (n_threads() * BAND).min(n_pixels.div_ceil(TILE * TILE));
    let kernels = match precision.is_int16(KERNEL_SIDE, c_in, c_out) {
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
    let bands = split_planes(planes, lines * sizes.ww);
    for_each_with(bands, |buffers: &mut Buffers, i, mut out| {
        let band = Band::new(i * lines, &out, sizes, kernels.tiles_at_once());
        buffers.resize(&band, sizes);
        dispatch!(band.transform_input(input, &mut buffers.input, sizes));
        let inputs = buffers.input.chunks_exact(sizes.c_in * band.n_tiles);
        let outputs = buffers.output.chunks_exact_mut(sizes.c_out * band.n_tiles);
        for (f, (input, output)) in inputs.zip(outputs).enumerate() {
            kernels.matmul(f, input, output, &mut buffers.columns, sizes);
        }
        let from = &buffers.output;
        match output.mode {
            WriteMode::Add => dispatch!(band.transform_output::<true>(from, bias, &mut out, sizes)),
            WriteMode::Overwrite => {
                dispatch!(band.transform_output::<false>(from, bias, &mut out, sizes))
            }
        }
    });
}

/// The input of a convolution.
#[derive(Clone, Copy, Debug)]
pub struct Input<'a> {
    /// (in, rows, columns)
    pub pixels: &'a [f32],
    /// Whether the convolution sees each pixel as a square of four, since the output has twice as many rows and columns.
    pub is_upsampled: bool,
    /// For each channel a factor and a summand: the convolution sees SiLU of the scaled and shifted pixels.
    pub norm: Option<&'a [(f32, f32)]>,
}

impl Input<'_> {
    /// A line of a channel as the convolution sees it.
    #[inline(always)]
    fn line(&self, channel: usize, y: usize, into: &mut [f32], sizes: Sizes) {
        let (hh, ww) = match self.is_upsampled {
            true => (sizes.hh / 2, sizes.ww / 2),
            false => (sizes.hh, sizes.ww),
        };
        let y = if self.is_upsampled { y / 2 } else { y };
        let pixels = &self.pixels[(channel * hh + y) * ww..][..ww];
        // The next channel's line is too far away for the processor to prefetch it.
        for register in pixels.chunks(REGISTER) {
            simd::prefetch(hh * ww * size_of::<f32>(), &register[0]);
        }
        if self.is_upsampled {
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

/// Where the result goes.
#[derive(Debug)]
pub struct Output<'a> {
    /// (out, hh, ww)
    pub numbers: &'a mut [f32],
    /// What becomes of the numbers there.
    pub mode: WriteMode,
}

/// What a result does to the numbers in its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriteMode {
    /// It replaces them.
    Overwrite,
    /// It is added to them.
    Add,
}

/// A thread's memory.
#[derive(Default)]
struct Buffers {
    /// (frequencies, in, tiles)
    input: Vec<f32>,
    /// (frequencies, out, tiles)
    output: Vec<f32>,
    columns: Int16Columns,
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
    /// Tiles in a row.
    across: usize,
    /// All tiles, with those that fill the last matmul.
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

    /// Tiles that are transformed together from tile `start` of a channel on: whole registers. They reach into the next row,
    /// if there is one, which overwrites them later.
    fn width(&self, start: usize) -> usize {
        self.across
            .next_multiple_of(REGISTER)
            .min(self.n_tiles - start)
    }

    /// Bᵀ·d·B of every tile of every channel.
    #[inline(always)]
    fn transform_input(&self, input: Input, into: &mut [f32], sizes: Sizes) {
        let n = self.n_tiles;
        // One tile more: the last two of a tile's six numbers are the first two of the next.
        let pitch = self.across.next_multiple_of(REGISTER) + 1;
        let width = TILE * pitch;
        let mut lines = vec![0f32; SIDE * width];
        let mut columns = vec![0f32; SIDE * width];
        let mut phases = vec![0f32; TILE * pitch];
        for channel in 0..sizes.c_in {
            for row in 0..self.n_lines.div_ceil(TILE) {
                // Rows of tiles share two lines.
                let n_shared = if row == 0 { 0 } else { SIDE - TILE };
                lines.copy_within((SIDE - n_shared) * width.., 0);
                let top = self.first_line + row * TILE;
                for (i, line) in lines.chunks_exact_mut(width).enumerate().skip(n_shared) {
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
                    let mut frequencies = into[i * SIDE * sizes.c_in * n..]
                        .chunks_mut(sizes.c_in * n)
                        .map(|frequency| &mut frequency[channel * n + start..][..n_done]);
                    let p = |k: usize| &phases[k % TILE * pitch + k / TILE..][..n_done];
                    let d = [p(0), p(1), p(2), p(3), p(4), p(5)];
                    let to = std::array::from_fn(|_| frequencies.next().unwrap_or_default());
                    input_points(d, to);
                }
            }
        }
    }

    /// Aᵀ·m·A of every tile of every channel, and the bias; `ADD`: add to the output.
    #[inline(always)]
    fn transform_output<const ADD: bool>(
        &self,
        from: &[f32],
        bias: &[f32],
        out: &mut [&mut [f32]],
        sizes: Sizes,
    ) {
        let n = self.n_tiles;
        let pitch = self.across.next_multiple_of(REGISTER);
        // The six numbers across, of each of the four lines.
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
                    interleave::<ADD>(&phases, out, pitch, *bias);
                }
            }
        }
    }
}
