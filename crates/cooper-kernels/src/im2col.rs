//! Convolution by im2col and matmul, band by band, with a backward.
//!
//! The columns (c·k·k, pixels) hold for each output pixel the input numbers that its kernel meets.

use std::ops::Range;

use candle_core::{Result, Tensor};

use super::autograd::with_slices;
use super::int16_matmul::{COLUMNS, Int16Columns, Int16Rows, matmul_int16};
use super::simd;
use super::threads::{for_each_with, split_planes, zeros};

/// Numbers in the columns of a band of output rows: 16 MiB, for the caches.
pub const IM2COL_BAND: usize = 1 << 22;

/// How a kernel moves over an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConvShape {
    /// Numbers along the kernel's side.
    pub kernel: usize,
    /// Input pixels from one output pixel to the next.
    pub stride: usize,
    /// Zeros before and behind each row and column.
    pub padding: (usize, usize),
}

impl ConvShape {
    /// 3×3, the output as large as the input.
    pub const SAME_3X3: Self = Self {
        kernel: 3,
        stride: 1,
        padding: (1, 1),
    };
    /// Each pixel by itself.
    pub const POINTWISE: Self = Self {
        kernel: 1,
        stride: 1,
        padding: (0, 0),
    };
    /// 3×3, half as many rows and columns in the output.
    pub const HALVING: Self = Self {
        kernel: 3,
        stride: 2,
        padding: (0, 1),
    };

    /// The image with its padding.
    ///
    /// # Errors
    /// If the device fails.
    pub fn padded(&self, xs: &Tensor) -> Result<Tensor> {
        let (before, behind) = self.padding;
        xs.pad_with_zeros(2, before, behind)?
            .pad_with_zeros(3, before, behind)
    }
}

/// A row of the columns, one number of a kernel: its channel, and how far below and right of an output pixel's place (times
/// stride) it lies.
type Tap = (usize, isize, isize);

/// A thread's memory.
#[derive(Default)]
struct Scratch {
    columns: Vec<f32>,
    quantized: Int16Columns,
    planes: Vec<f32>,
}

/// The sizes of one image's convolution.
struct Image {
    c: usize,
    hh: usize,
    ww: usize,
    hh_out: usize,
    ww_out: usize,
}

impl ConvShape {
    fn image(&self, xs: &Tensor) -> Result<Image> {
        let (_, c, hh, ww) = xs.dims4()?;
        let out = |n: usize| (n + self.padding.0 + self.padding.1 - self.kernel) / self.stride + 1;
        Ok(Image {
            c,
            hh,
            ww,
            hh_out: out(hh),
            ww_out: out(ww),
        })
    }

    /// Y = W·columns + b, with columns (c·k·k, rows·ww') of a band of output rows.
    pub fn forward(&self, xs: &Tensor, weight: &Tensor, bias: &Tensor) -> Result<Tensor> {
        let image = self.image(xs)?;
        let (b, c_out) = (xs.dim(0)?, weight.dim(0)?);
        let (hh_out, ww_out) = (image.hh_out, image.ww_out);
        let (n_rows, n_out) = (image.c * self.kernel * self.kernel, hh_out * ww_out);
        let xs = xs.detach();
        let weight = weight.detach().reshape((c_out, n_rows))?;
        let n_lines = (IM2COL_BAND / (n_rows * ww_out).max(1)).clamp(1, hh_out.max(1));
        let mut out = zeros(b * c_out * n_out);
        for (i, out) in (0..b).zip(out.chunks_exact_mut(c_out * n_out)) {
            let x = xs.get(i)?;
            for start in (0..hh_out).step_by(n_lines) {
                let lines = start..(start + n_lines).min(hh_out);
                let (offset, width) = (lines.start * ww_out, lines.len() * ww_out);
                let columns = if self.is_pointwise() {
                    x.reshape((n_rows, n_out))?.narrow(1, offset, width)?
                } else {
                    let columns = with_slices([&x], |[x]| self.im2col(x, &image, lines))?;
                    Tensor::from_vec(columns, (n_rows, width), xs.device())?
                };
                with_slices([&weight.matmul(&columns)?, bias], |[planes, bias]| {
                    simd::for_each_row(out, n_out, |c, plane| {
                        let band = &planes[c * width..(c + 1) * width];
                        let plane = &mut plane[offset..offset + width];
                        let bias = bias[c];
                        let pairs = plane.iter_mut().zip(band);
                        pairs.for_each(|(out, y)| *out = y + bias);
                    });
                })?;
            }
        }
        Tensor::from_vec(out, (b, c_out, hh_out, ww_out), xs.device())
    }

    /// [`Self::forward`] in 16-bit integers with kernels (out, c·k·k), line by line of the output.
    pub fn forward_int16(&self, xs: &Tensor, kernels: &Int16Rows, bias: &Tensor) -> Result<Tensor> {
        let image = self.image(xs)?;
        let (b, c_out) = (xs.dim(0)?, bias.dim(0)?);
        let (hh_out, ww_out) = (image.hh_out, image.ww_out);
        let n_rows = image.c * self.kernel * self.kernel;
        let pitch = ww_out.next_multiple_of(COLUMNS);
        let mut out = zeros(b * c_out * hh_out * ww_out);
        with_slices([xs, bias], |[xs, bias]| {
            let outs = out.chunks_exact_mut(c_out * hh_out * ww_out);
            let images = xs.chunks_exact(image.c * image.hh * image.ww);
            for (x, out) in images.zip(outs) {
                let lines = split_planes(out.chunks_exact_mut(hh_out * ww_out), ww_out);
                for_each_with(lines, |scratch: &mut Scratch, y, line| {
                    scratch.columns.resize(n_rows * pitch, 0.0);
                    scratch.planes.resize(c_out * pitch, 0.0);
                    let rows = scratch.columns.chunks_exact_mut(pitch);
                    for (row, column) in self.taps(&image).zip(rows) {
                        column.fill(0.0);
                        self.gather(row, x, &image, y..y + 1, column);
                    }
                    scratch.quantized.set(&scratch.columns, n_rows, pitch);
                    matmul_int16(&mut scratch.planes, kernels, 0, &scratch.quantized);
                    let planes = scratch.planes.chunks_exact(pitch).zip(bias);
                    for (out, (plane, bias)) in line.into_iter().zip(planes) {
                        let pairs = out.iter_mut().zip(plane);
                        pairs.for_each(|(out, y)| *out = y + bias);
                    }
                });
            }
        })?;
        Tensor::from_vec(out, (b, c_out, hh_out, ww_out), xs.device())
    }

    /// Whether the columns are the image itself.
    fn is_pointwise(&self) -> bool {
        *self == Self::POINTWISE
    }

    /// dW = dY·columnsᵀ, db = Σ dY.
    pub fn kernel_gradients(
        &self,
        xs: &Tensor,
        weight: &Tensor,
        grad: &Tensor,
    ) -> Result<[Tensor; 2]> {
        let image = self.image(xs)?;
        let (n_rows, n_out) = (
            image.c * self.kernel * self.kernel,
            image.hh_out * image.ww_out,
        );
        let (b, c_out) = (xs.dim(0)?, weight.dim(0)?);
        let xs = xs.detach();
        let mut dw = Tensor::zeros((c_out, n_rows), xs.dtype(), xs.device())?;
        let mut db = vec![0f32; c_out];
        for i in 0..b {
            let lines = 0..image.hh_out;
            let columns = with_slices([&xs.get(i)?], |[x]| self.im2col(x, &image, lines))?;
            let columns = Tensor::from_vec(columns, (n_rows, n_out), xs.device())?;
            let grad = grad.get(i)?.reshape((c_out, n_out))?;
            dw = (dw + grad.matmul(&columns.t()?)?)?;
            with_slices([&grad], |[grad]| {
                for (db, plane) in db.iter_mut().zip(grad.chunks_exact(n_out)) {
                    *db += simd::sum(plane);
                }
            })?;
        }
        let db = Tensor::from_vec(db, c_out, xs.device())?;
        Ok([dw.reshape(weight.shape())?, db])
    }

    /// dX = col2im(Wᵀ·dY).
    pub fn input_gradient(&self, xs: &Tensor, weight: &Tensor, grad: &Tensor) -> Result<Tensor> {
        let image = self.image(xs)?;
        let (c_out, n_out) = (weight.dim(0)?, image.hh_out * image.ww_out);
        let weight = weight.detach().reshape((c_out, ()))?;
        let weight_t = weight.t()?.contiguous()?;
        let grad = grad.contiguous()?;
        let mut dx = vec![0f32; xs.elem_count()];
        let planes = dx.chunks_exact_mut(image.c * image.hh * image.ww);
        for (i, dx) in planes.enumerate() {
            let grad = grad.get(i)?.reshape((c_out, n_out))?;
            with_slices([&weight_t.matmul(&grad)?], |[columns]| {
                self.col2im(columns, &image, dx);
            })?;
        }
        Tensor::from_vec(dx, xs.shape(), xs.device())
    }

    /// The rows of the columns.
    fn taps(&self, image: &Image) -> impl Iterator<Item = Tap> + use<> {
        let (k, padding) = (self.kernel, self.padding.0 as isize);
        (0..image.c * k * k).map(move |row| {
            let (channel, y, x) = (row / (k * k), row / k % k, row % k);
            (channel, y as isize - padding, x as isize - padding)
        })
    }

    /// The outputs `x` whose input `x · stride + offset` lies in the image.
    fn valid_outputs(&self, offset: isize, n_in: usize, n_out: usize) -> Range<usize> {
        let stride = self.stride as isize;
        let first =
            (-offset).max(0).div_euclid(stride) + isize::from((-offset).max(0) % stride != 0);
        let end = ((n_in as isize - 1 - offset).div_euclid(stride) + 1).clamp(0, n_out as isize);
        (first.min(end) as usize)..end as usize
    }

    /// The columns (c·k·k, lines·ww') of these lines of the output.
    fn im2col(&self, x: &[f32], image: &Image, lines: Range<usize>) -> Vec<f32> {
        let width = lines.len() * image.ww_out;
        let rows: Vec<_> = self.taps(image).collect();
        let mut columns = zeros(rows.len() * width);
        simd::for_each_row(&mut columns, width, |i, row| {
            self.gather(rows[i], x, image, lines.clone(), row);
        });
        columns
    }

    /// Write a row of the columns for these lines of the output. Places outside of the image stay as they are.
    fn gather(
        &self,
        (channel, dy, dx): Tap,
        x: &[f32],
        image: &Image,
        lines: Range<usize>,
        row: &mut [f32],
    ) {
        let ww_out = image.ww_out;
        let plane = &x[channel * image.hh * image.ww..];
        let across = self.valid_outputs(dx, image.ww, ww_out);
        let inside = self.valid_outputs(dy, image.hh, image.hh_out);
        for y in inside.start.max(lines.start)..inside.end.min(lines.end) {
            let start = ((y * self.stride) as isize + dy) as usize * image.ww;
            let line = &plane[start..start + image.ww];
            let out = &mut row[(y - lines.start) * ww_out..][..ww_out];
            let first = ((across.start * self.stride) as isize + dx) as usize;
            let from = &line[first.min(line.len())..];
            let out = &mut out[across.clone()];
            if self.stride == 1 {
                out.copy_from_slice(&from[..out.len()]);
            } else {
                let from = from.iter().step_by(self.stride);
                out.iter_mut().zip(from).for_each(|(out, x)| *out = *x);
            }
        }
    }

    /// The inverse of [`Self::im2col`]: add each number to its pixel.
    fn col2im(&self, columns: &[f32], image: &Image, into: &mut [f32]) {
        let (hh_out, ww_out) = (image.hh_out, image.ww_out);
        let rows = self.taps(image).zip(columns.chunks_exact(hh_out * ww_out));
        for ((channel, dy, dx), row) in rows {
            let plane = &mut into[channel * image.hh * image.ww..];
            let across = self.valid_outputs(dx, image.ww, ww_out);
            for y in self.valid_outputs(dy, image.hh, hh_out) {
                let start = ((y * self.stride) as isize + dy) as usize * image.ww;
                let line = &mut plane[start..start + image.ww];
                let from = &row[y * ww_out..(y + 1) * ww_out];
                let first = (((across.start * self.stride) as isize + dx) as usize).min(line.len());
                let (to, from) = (&mut line[first..], &from[across.clone()]);
                if self.stride == 1 {
                    to.iter_mut().zip(from).for_each(|(to, x)| *to += x);
                } else {
                    let to = to.iter_mut().step_by(self.stride);
                    to.zip(from).for_each(|(to, x)| *to += x);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;
    use crate::Noise;

    #[test]
    fn convolution_in_bands_is_candles() {
        let mut noise = Noise::seeded(1);
        let mut normal = |shape: &[usize]| noise.normal(shape, &Device::Cpu).unwrap();
        // The second takes several bands.
        for (c_in, c_out, shape, hh, ww) in [
            (3, 5, ConvShape::SAME_3X3, 7, 9),
            (128, 4, ConvShape::SAME_3X3, 67, 90),
            (4, 6, ConvShape::HALVING, 11, 9),
            (4, 6, ConvShape::HALVING, 12, 8),
            (6, 2, ConvShape::POINTWISE, 5, 4),
        ] {
            assert!(c_in < 128 || c_in * 9 * hh * ww > IM2COL_BAND);
            let (kernel, stride) = (shape.kernel, shape.stride);
            let xs = normal(&[2, c_in, hh, ww]);
            let (weight, bias) = (normal(&[c_out, c_in, kernel, kernel]), normal(&[c_out]));
            let got = shape.forward(&xs, &weight, &bias).unwrap();
            let padded = shape.padded(&xs).unwrap();
            let expected = padded.conv2d(&weight, 0, stride, 1, 1).unwrap();
            let bias = bias.reshape((1, c_out, 1, 1)).unwrap();
            let expected = expected.broadcast_add(&bias).unwrap();
            let most = |xs: &Tensor| {
                let most = xs.abs().unwrap().flatten_all().unwrap().max(0).unwrap();
                most.to_scalar::<f32>().unwrap()
            };
            let error = most(&(got - &expected).unwrap()) / most(&expected);
            assert!(error < 1e-5, "{c_in} to {c_out}: {error}");
        }
    }
}
