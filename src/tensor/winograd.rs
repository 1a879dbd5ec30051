//! 3×3 convolution with a quarter of the multiplications: Winograd's F(4×4, 3×3).
//!
//! A tile of 4×4 output pixels is 36 products of transformed numbers instead of 144: for each of the 36, a matrix
//! product over channels. In f32 it is as near to the plain sum as 1e-5 of the largest output.
//!
//! Source: Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks" (2015), section 4.

use super::lanes::widest;
use super::product::product;
use super::threads::{each, each_with, n_threads};

/// Output pixels along a tile's side.
const TILE: usize = 4;
/// Input pixels along a tile's side, and transformed numbers.
const SIDE: usize = TILE + 2;
/// Transformed numbers of a tile.
const FREQUENCIES: usize = SIDE * SIDE;
/// Tiles that are transformed at once: enough for full matrix products, few enough for the cache.
const BAND: usize = 384;

/// The sizes of a convolution with stride and padding 1.
#[derive(Clone, Copy, Debug)]
pub struct Sizes {
    /// Input channels.
    pub c_in: usize,
    /// Output channels.
    pub c_out: usize,
    /// Rows of pixels.
    pub hh: usize,
    /// Columns of pixels.
    pub ww: usize,
}

/// Numbers that [`convolve`] holds beside its input and output of so many pixels: transformed kernels, and each
/// thread's tiles.
pub fn scratch(c_in: usize, c_out: usize, n_pixels: usize) -> usize {
    let n_tiles = (n_threads() * BAND).min(n_pixels.div_ceil(TILE * TILE));
    FREQUENCIES * (c_in * c_out + n_tiles * (c_in + c_out))
}

/// (in, hh, ww) → (out, hh, ww) with `weight` (out, in, 3, 3) and `bias` (out), into `out`.
pub fn convolve(xs: &[f32], weight: &[f32], bias: &[f32], out: &mut [f32], sizes: Sizes) {
    let across = sizes.ww.div_ceil(TILE);
    let n_bands = (sizes.hh.div_ceil(TILE) * across).div_ceil(BAND);
    let n_bands = n_bands.max(n_threads());
    let lines = TILE * sizes.hh.div_ceil(TILE * n_bands).max(1);
    let weight = transformed_weight(weight, sizes);
    // Each band's part of every channel.
    let bands = in_parts(out.chunks_exact_mut(sizes.hh * sizes.ww), lines * sizes.ww);
    each_with(bands, |buffers: &mut Buffers, i, mut out| {
        let band = Band::new(i * lines, &out, sizes);
        buffers.resize(&band, sizes);
        widest!(band.transform_input(xs, &mut buffers.input, sizes));
        for (f, weight) in weight.chunks_exact(sizes.c_out * sizes.c_in).enumerate() {
            let of = |c: usize| f * c * band.n_tiles()..(f + 1) * c * band.n_tiles();
            product(
                &mut buffers.output[of(sizes.c_out)],
                weight,
                &buffers.input[of(sizes.c_in)],
                (sizes.c_out, sizes.c_in, band.n_tiles()),
            );
        }
        widest!(band.transform_output(&buffers.output, bias, &mut out, sizes));
    });
}

/// What a thread works on.
#[derive(Default)]
struct Buffers {
    /// (frequencies, in, tiles)
    input: Vec<f32>,
    /// (frequencies, out, tiles)
    output: Vec<f32>,
}

impl Buffers {
    fn resize(&mut self, band: &Band, sizes: Sizes) {
        let n = FREQUENCIES * band.n_tiles();
        self.input.resize(n * sizes.c_in, 0.0);
        self.output.resize(n * sizes.c_out, 0.0);
    }
}

/// Lines of the picture that are convolved together.
struct Band {
    first_line: usize,
    n_lines: usize,
    across: usize,
}

impl Band {
    fn new(first_line: usize, out: &[&mut [f32]], sizes: Sizes) -> Self {
        Self {
            first_line,
            n_lines: out.first().map_or(0, |part| part.len() / sizes.ww.max(1)),
            across: sizes.ww.div_ceil(TILE),
        }
    }

    fn n_tiles(&self) -> usize {
        self.n_lines.div_ceil(TILE) * self.across
    }

    /// Bᵀ·d·B of every tile of every channel.
    #[inline(always)]
    fn transform_input(&self, xs: &[f32], into: &mut [f32], sizes: Sizes) {
        let (n, across) = (self.n_tiles(), self.across);
        let width = TILE * (across + 1);
        let mut lines = vec![0f32; SIDE * width];
        let mut columns = vec![0f32; SIDE * width];
        let mut phases = vec![0f32; TILE * (across + 1)];
        for (channel, plane) in xs.chunks_exact(sizes.hh * sizes.ww).enumerate() {
            for row in 0..self.n_lines.div_ceil(TILE) {
                let top = self.first_line + row * TILE;
                for (i, line) in lines.chunks_exact_mut(width).enumerate() {
                    // The line above the tile is the first; the pixel left of it is the first, too.
                    let y = (top + i).checked_sub(1).filter(|y| *y < sizes.hh);
                    let pixels = y.map(|y| &plane[y * sizes.ww..][..sizes.ww]);
                    match pixels {
                        Some(pixels) => line[1..=sizes.ww].copy_from_slice(pixels),
                        None => line.fill(0.0),
                    }
                }
                input_transform(&lines, &mut columns, width);
                for (i, line) in columns.chunks_exact(width).enumerate() {
                    deinterleave(line, &mut phases, across + 1);
                    let start = channel * n + row * across;
                    let mut of = into[i * SIDE * sizes.c_in * n..]
                        .chunks_mut(sizes.c_in * n)
                        .map(|frequency| &mut frequency[start..start + across]);
                    let p = |k: usize| &phases[k % TILE * (across + 1) + k / TILE..][..across];
                    let d = [p(0), p(1), p(2), p(3), p(4), p(5)];
                    let to = std::array::from_fn(|_| of.next().unwrap_or_default());
                    input_points(d, to);
                }
            }
        }
    }

    /// Aᵀ·m·A of every tile of every channel, and the bias.
    #[inline(always)]
    fn transform_output(&self, from: &[f32], bias: &[f32], out: &mut [&mut [f32]], sizes: Sizes) {
        let (n, across) = (self.n_tiles(), self.across);
        // Of each of the four lines, the six numbers across.
        let mut lines = vec![0f32; TILE * SIDE * across];
        let mut phases = vec![0f32; TILE * across];
        for (channel, (out, bias)) in out.iter_mut().zip(bias).enumerate() {
            for row in 0..self.n_lines.div_ceil(TILE) {
                let start = channel * n + row * across;
                for k in 0..SIDE {
                    let m = |i: usize| &from[(i * SIDE + k) * sizes.c_out * n + start..][..across];
                    let m = [m(0), m(1), m(2), m(3), m(4), m(5)];
                    let mut to = lines[k * across..].chunks_mut(SIDE * across);
                    let mut next = || to.next().map_or(&mut [][..], |line| &mut line[..across]);
                    output_points(m, [next(), next(), next(), next()]);
                }
                let parts = out[row * TILE * sizes.ww..].chunks_mut(sizes.ww);
                for (line, out) in lines.chunks_exact(SIDE * across).zip(parts) {
                    let m = |k: usize| &line[k * across..][..across];
                    let m = [m(0), m(1), m(2), m(3), m(4), m(5)];
                    let mut to = phases.chunks_exact_mut(across);
                    let mut next = || to.next().unwrap_or_default();
                    output_points(m, [next(), next(), next(), next()]);
                    interleave(&phases, out, across, *bias);
                }
            }
        }
    }
}

/// (frequencies, out, in) of a kernel (out, in, 3, 3): G·g·Gᵀ.
fn transformed_weight(weight: &[f32], sizes: Sizes) -> Vec<f32> {
    let mut transformed = vec![0f32; FREQUENCIES * sizes.c_out * sizes.c_in];
    let n = sizes.c_out * sizes.c_in;
    let parts = in_parts(transformed.chunks_exact_mut(n), KERNELS);
    each(parts, |i, mut out| {
        let weight = &weight[i * KERNELS * KERNEL..];
        widest!(transform_kernels(weight.chunks_exact(KERNEL), &mut out));
    });
    transformed
}

/// Numbers of a kernel.
const KERNEL: usize = 9;
/// Kernels that are transformed at once: they fit into the nearest cache.
const KERNELS: usize = 128;

/// G·g·Gᵀ of some kernels, each frequency's numbers side by side.
#[inline(always)]
fn transform_kernels(kernels: std::slice::ChunksExact<f32>, out: &mut [&mut [f32]]) {
    let n = out.first().map_or(0, |part| part.len());
    let mut g = [[0f32; KERNELS]; KERNEL];
    for (j, kernel) in kernels.take(n).enumerate() {
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
    for (y, out) in out.chunks_exact_mut(SIDE).enumerate() {
        let to = line.each_mut().map(|points| &mut points[..]);
        weight_points([&columns[0][y], &columns[1][y], &columns[2][y]], to);
        for (out, points) in out.iter_mut().zip(&line) {
            out.copy_from_slice(&points[..n]);
        }
    }
}

/// G of many threes side by side.
#[inline(always)]
fn weight_points([g0, g1, g2]: [&[f32; KERNELS]; 3], to: [&mut [f32]; SIDE]) {
    let [t0, t1, t2, t3, t4, t5] = to.map(|t| &mut t[..KERNELS]);
    for j in 0..KERNELS {
        let (even, odd) = (g0[j] + g2[j], g1[j]);
        let (even2, odd2) = (
            g0[j] * (1.0 / 24.0) + g2[j] * (1.0 / 6.0),
            g1[j] * (1.0 / 12.0),
        );
        t0[j] = g0[j] * 0.25;
        t1[j] = (even + odd) * (-1.0 / 6.0);
        t2[j] = (even - odd) * (-1.0 / 6.0);
        t3[j] = even2 + odd2;
        t4[j] = even2 - odd2;
        t5[j] = g2[j];
    }
}

/// The parts of `len` numbers of all planes: first all planes' first ones.
fn in_parts<'a>(
    planes: impl Iterator<Item = &'a mut [f32]>,
    len: usize,
) -> Vec<Vec<&'a mut [f32]>> {
    let mut parts = Vec::new();
    for plane in planes {
        for (i, part) in plane.chunks_mut(len).enumerate() {
            if i == parts.len() {
                parts.push(Vec::new());
            }
            parts[i].push(part);
        }
    }
    parts
}

/// Bᵀ down six lines.
#[inline(always)]
fn input_transform(lines: &[f32], into: &mut [f32], width: usize) {
    let line = |i: usize| &lines[i * width..][..width];
    let d = [line(0), line(1), line(2), line(3), line(4), line(5)];
    let mut into = into.chunks_exact_mut(width);
    let to = std::array::from_fn(|_| into.next().unwrap_or_default());
    input_points(d, to);
}

/// Bᵀ of many sixes side by side.
#[inline(always)]
fn input_points(d: [&[f32]; SIDE], to: [&mut [f32]; SIDE]) {
    let n = d[0].len();
    let [d0, d1, d2, d3, d4, d5] = d.map(|d| &d[..n]);
    let [t0, t1, t2, t3, t4, t5] = to.map(|t| &mut t[..n]);
    for j in 0..n {
        let (near, far) = (d4[j] - 4.0 * d2[j], d3[j] - 4.0 * d1[j]);
        let (near2, far2) = (d4[j] - d2[j], 2.0 * (d3[j] - d1[j]));
        t0[j] = 4.0 * d0[j] - 5.0 * d2[j] + d4[j];
        t1[j] = near + far;
        t2[j] = near - far;
        t3[j] = near2 + far2;
        t4[j] = near2 - far2;
        t5[j] = 4.0 * d1[j] - 5.0 * d3[j] + d5[j];
    }
}

/// Aᵀ of many sixes side by side.
#[inline(always)]
fn output_points(m: [&[f32]; SIDE], to: [&mut [f32]; TILE]) {
    let n = m[0].len();
    let [m0, m1, m2, m3, m4, m5] = m.map(|m| &m[..n]);
    let [t0, t1, t2, t3] = to.map(|t| &mut t[..n]);
    for j in 0..n {
        let (even, odd) = (m1[j] + m2[j], m1[j] - m2[j]);
        let (even2, odd2) = (m3[j] + m4[j], m3[j] - m4[j]);
        t0[j] = m0[j] + even + even2;
        t1[j] = odd + 2.0 * odd2;
        t2[j] = even + 4.0 * even2;
        t3[j] = odd + 8.0 * odd2 + m5[j];
    }
}

/// Every fourth number behind one another: (4, n) of n fours.
#[inline(always)]
fn deinterleave(line: &[f32], phases: &mut [f32], n: usize) {
    let (p0, rest) = phases.split_at_mut(n);
    let (p1, rest) = rest.split_at_mut(n);
    let (p2, p3) = rest.split_at_mut(n);
    for (j, four) in line.chunks_exact(TILE).take(n).enumerate() {
        p0[j] = four[0];
        p1[j] = four[1];
        p2[j] = four[2];
        p3[j] = four[3];
    }
}

/// The other way round, with a constant; what goes beyond `line` is dropped.
#[inline(always)]
fn interleave(phases: &[f32], line: &mut [f32], n: usize, bias: f32) {
    let p = |k: usize| &phases[k * n..][..n];
    let (p0, p1, p2, p3) = (p(0), p(1), p(2), p(3));
    let whole = line.len() / TILE;
    let (fours, rest) = line.split_at_mut(whole * TILE);
    for (j, four) in fours.chunks_exact_mut(TILE).enumerate() {
        four[0] = p0[j] + bias;
        four[1] = p1[j] + bias;
        four[2] = p2[j] + bias;
        four[3] = p3[j] + bias;
    }
    for (k, out) in rest.iter_mut().enumerate() {
        *out = p(k)[whole] + bias;
    }
}
