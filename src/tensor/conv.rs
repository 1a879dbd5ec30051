//! 2-D convolution and upsampling on a CPU: matrix products of patches, band by band, with a backward of our own.
//!
//! Candle's forward gathers patches number by number, and its backward of the kernel convolves with the gradient as a
//! kernel as large as the picture; both take longer than the products.

use std::ops::Range;

use candle_core::{DType, Result, Tensor};
use candle_nn::VarBuilder;

use super::autograd::{by_hand, computed1, computed3, values};
use super::lanes;
use super::winograd;

/// Channels from which [`winograd`] is faster.
const WINOGRADS_CHANNELS: usize = 16;

/// Numbers in the patches of a band of rows: 16 MiB, so that they stay in the cache's neighbourhood.
const BAND: usize = 1 << 22;

/// A square kernel with bias.
#[derive(Clone, Debug)]
pub struct Conv2d {
    /// (out, in, k, k)
    weight: Tensor,
    bias: Tensor,
    shape: Shape,
}

#[derive(Clone, Copy, Debug)]
struct Shape {
    kernel: usize,
    stride: usize,
    padding: usize,
}

impl Conv2d {
    /// Reads `weight` (out, in, k, k) and `bias` (out).
    ///
    /// # Errors
    /// If a tensor is missing or misshapen.
    pub fn new(
        (c_in, c_out): (usize, usize),
        kernel: usize,
        stride: usize,
        padding: usize,
        vb: VarBuilder,
    ) -> Result<Self> {
        Ok(Self {
            weight: vb.get((c_out, c_in, kernel, kernel), "weight")?,
            bias: vb.get(c_out, "bias")?,
            shape: Shape {
                kernel,
                stride,
                padding,
            },
        })
    }

    /// (b, in, hh, ww) → (b, out, hh', ww')
    ///
    /// # Errors
    /// If the channels do not fit.
    pub fn forward(&self, xs: &Tensor) -> Result<Tensor> {
        let shape = self.shape;
        let arguments = [xs, &self.weight, &self.bias];
        if by_hand(&arguments) {
            let value = shape.forward(xs, &self.weight, &self.bias)?;
            return computed3(arguments, value, move |[xs, weight, bias], grad| {
                shape.backward(xs, weight, bias, grad)
            });
        }
        if xs.device().is_cpu() && xs.dtype() == DType::F32 {
            return if shape.is_winograds(&self.weight)? {
                shape.forward_in_tiles(xs, &self.weight, &self.bias)
            } else {
                shape.forward(xs, &self.weight, &self.bias)
            };
        }
        let out = xs.conv2d(&self.weight, shape.padding, shape.stride, 1, 1)?;
        out.broadcast_add(&self.bias.reshape((1, self.bias.elem_count(), 1, 1))?)
    }
}

/// Each pixel four times, as a square (b, c, hh, ww) → (b, c, 2·hh, 2·ww).
///
/// # Errors
/// If the device fails.
pub fn upsample_2x(xs: &Tensor) -> Result<Tensor> {
    let (_, _, hh, ww) = xs.dims4()?;
    let value = xs.detach().upsample_nearest2d(2 * hh, 2 * ww)?;
    if !by_hand(&[xs]) {
        return xs.upsample_nearest2d(2 * hh, 2 * ww);
    }
    computed1(xs, value, move |[xs], grad| {
        let sums = values([grad], |[grad]| {
            let mut sums = Vec::with_capacity(grad.len() / 4);
            for rows in grad.chunks_exact(4 * ww) {
                let (upper, lower) = rows.split_at(2 * ww);
                let squares = upper.chunks_exact(2).zip(lower.chunks_exact(2));
                sums.extend(squares.map(|(u, l)| u[0] + u[1] + l[0] + l[1]));
            }
            sums
        })?;
        Ok([Tensor::from_vec(sums, xs.shape(), xs.device())?])
    })
}

/// The sizes of one picture's convolution.
struct Picture {
    c: usize,
    hh: usize,
    ww: usize,
    hh_out: usize,
    ww_out: usize,
}

impl Shape {
    fn picture(&self, xs: &Tensor) -> Result<Picture> {
        let (_, c, hh, ww) = xs.dims4()?;
        let out = |n: usize| (n + 2 * self.padding - self.kernel) / self.stride + 1;
        Ok(Picture {
            c,
            hh,
            ww,
            hh_out: out(hh),
            ww_out: out(ww),
        })
    }

    /// With columns of patches (c·k·k, rows·ww') of a band of output rows: Y = W·columns + b.
    fn forward(&self, xs: &Tensor, weight: &Tensor, bias: &Tensor) -> Result<Tensor> {
        let picture = self.picture(xs)?;
        let (b, c_out) = (xs.dim(0)?, weight.dim(0)?);
        let (hh_out, ww_out) = (picture.hh_out, picture.ww_out);
        let (n_rows, n_out) = (picture.c * self.kernel * self.kernel, hh_out * ww_out);
        let xs = xs.detach();
        let weight = weight.detach().reshape((c_out, n_rows))?;
        let n_lines = (BAND / (n_rows * ww_out).max(1)).clamp(1, hh_out.max(1));
        let mut out = vec![0f32; b * c_out * n_out];
        for (i, out) in (0..b).zip(out.chunks_exact_mut(c_out * n_out)) {
            let x = xs.get(i)?;
            for start in (0..hh_out).step_by(n_lines) {
                let lines = start..(start + n_lines).min(hh_out);
                let (offset, width) = (lines.start * ww_out, lines.len() * ww_out);
                let columns = if self.is_pointwise() {
                    x.reshape((n_rows, n_out))?.narrow(1, offset, width)?
                } else {
                    let columns = values([&x], |[x]| self.columns(x, &picture, lines))?;
                    Tensor::from_vec(columns, (n_rows, width), xs.device())?
                };
                values([&weight.matmul(&columns)?, bias], |[planes, bias]| {
                    lanes::each_row(out, n_out, |c, plane| {
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

    /// Whether [`winograd`] is for it; with few channels its products are too small.
    fn is_winograds(&self, weight: &Tensor) -> Result<bool> {
        let (c_out, c_in, _, _) = weight.dims4()?;
        let is_3x3 = (self.kernel, self.stride, self.padding) == (3, 1, 1);
        Ok(is_3x3 && c_in.min(c_out) >= WINOGRADS_CHANNELS)
    }

    /// As [`Self::forward`] by [`winograd`].
    fn forward_in_tiles(&self, xs: &Tensor, weight: &Tensor, bias: &Tensor) -> Result<Tensor> {
        let (b, c_in, hh, ww) = xs.dims4()?;
        let sizes = winograd::Sizes {
            c_in,
            c_out: weight.dim(0)?,
            hh,
            ww,
        };
        let mut out = vec![0f32; b * sizes.c_out * hh * ww];
        values([xs, weight, bias], |[xs, weight, bias]| {
            let outs = out.chunks_exact_mut(sizes.c_out * hh * ww);
            for (xs, out) in xs.chunks_exact(c_in * hh * ww).zip(outs) {
                winograd::convolve(xs, weight, bias, out, sizes);
            }
        })?;
        Tensor::from_vec(out, (b, sizes.c_out, hh, ww), xs.device())
    }

    /// Whether the patches are the picture itself.
    fn is_pointwise(&self) -> bool {
        (self.kernel, self.stride, self.padding) == (1, 1, 0)
    }

    /// dW = dY·columnsᵀ, db = Σ dY, and dX adds up the patches of Wᵀ·dY.
    fn backward(
        &self,
        xs: &Tensor,
        weight: &Tensor,
        bias: &Tensor,
        grad: &Tensor,
    ) -> Result<[Tensor; 3]> {
        let picture = self.picture(xs)?;
        let (b, c, hh, ww) = xs.dims4()?;
        let c_out = weight.dim(0)?;
        let (hh_out, ww_out) = (picture.hh_out, picture.ww_out);
        let (n_rows, n_out) = (c * self.kernel * self.kernel, hh_out * ww_out);
        let xs = xs.detach();
        let weight_t = weight
            .detach()
            .reshape((c_out, n_rows))?
            .t()?
            .contiguous()?;
        let grad = grad.contiguous()?;
        let mut dx = vec![0f32; xs.elem_count()];
        let mut dw = Tensor::zeros((c_out, n_rows), xs.dtype(), xs.device())?;
        let mut db = vec![0f32; c_out];
        for (i, dx) in (0..b).zip(dx.chunks_exact_mut(c * hh * ww)) {
            let lines = 0..hh_out;
            let columns = values([&xs.get(i)?], |[x]| self.columns(x, &picture, lines))?;
            let columns = Tensor::from_vec(columns, (n_rows, n_out), xs.device())?;
            let grad = grad.get(i)?.reshape((c_out, n_out))?;
            dw = (dw + grad.matmul(&columns.t()?)?)?;
            values([&grad], |[grad]| {
                for (db, plane) in db.iter_mut().zip(grad.chunks_exact(n_out)) {
                    *db += lanes::sum(plane);
                }
            })?;
            values([&weight_t.matmul(&grad)?], |[columns]| {
                self.add_columns(columns, &picture, dx);
            })?;
        }
        let dx = Tensor::from_vec(dx, xs.shape(), xs.device())?;
        let db = Tensor::from_vec(db, bias.shape(), xs.device())?;
        Ok([dx, dw.reshape(weight.shape())?, db])
    }

    /// For each row of patches: (its offset in the input plane's row and column, in input pixels).
    fn rows(&self, picture: &Picture) -> impl Iterator<Item = (usize, isize, isize)> + use<> {
        let (k, padding) = (self.kernel, self.padding as isize);
        (0..picture.c * k * k).map(move |row| {
            let (channel, y, x) = (row / (k * k), row / k % k, row % k);
            (channel, y as isize - padding, x as isize - padding)
        })
    }

    /// The output columns whose input column `x · stride + offset` lies in the picture.
    fn inside(&self, offset: isize, n_in: usize, n_out: usize) -> Range<usize> {
        let stride = self.stride as isize;
        let first =
            (-offset).max(0).div_euclid(stride) + isize::from((-offset).max(0) % stride != 0);
        let end = ((n_in as isize - 1 - offset).div_euclid(stride) + 1).clamp(0, n_out as isize);
        (first.min(end) as usize)..end as usize
    }

    /// The patches (c·k·k, lines·ww') of these lines of the output.
    fn columns(&self, x: &[f32], picture: &Picture, lines: Range<usize>) -> Vec<f32> {
        let ww_out = picture.ww_out;
        let width = lines.len() * ww_out;
        let rows: Vec<_> = self.rows(picture).collect();
        let mut columns = vec![0f32; rows.len() * width];
        lanes::each_row(&mut columns, width, |i, row| {
            let (channel, dy, dx) = rows[i];
            let plane = &x[channel * picture.hh * picture.ww..];
            let across = self.inside(dx, picture.ww, ww_out);
            let inside = self.inside(dy, picture.hh, picture.hh_out);
            for y in inside.start.max(lines.start)..inside.end.min(lines.end) {
                let start = ((y * self.stride) as isize + dy) as usize * picture.ww;
                let line = &plane[start..start + picture.ww];
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
        });
        columns
    }

    fn add_columns(&self, columns: &[f32], picture: &Picture, into: &mut [f32]) {
        let (hh_out, ww_out) = (picture.hh_out, picture.ww_out);
        let rows = self
            .rows(picture)
            .zip(columns.chunks_exact(hh_out * ww_out));
        for ((channel, dy, dx), row) in rows {
            let plane = &mut into[channel * picture.hh * picture.ww..];
            let across = self.inside(dx, picture.ww, ww_out);
            for y in self.inside(dy, picture.hh, hh_out) {
                let start = ((y * self.stride) as isize + dy) as usize * picture.ww;
                let line = &mut plane[start..start + picture.ww];
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
    use super::*;
    use crate::tensor::Noise;
    use candle_core::Device;

    #[test]
    fn convolution_in_bands_and_in_tiles_is_candles() {
        let mut noise = Noise::seeded(1);
        let mut normal = |shape: &[usize]| noise.normal(shape, &Device::Cpu).unwrap();
        // (in, out, kernel, stride, padding, rows, columns); the second takes several bands.
        for (c_in, c_out, kernel, stride, padding, hh, ww) in [
            (3, 5, 3, 1, 1, 7, 9),
            (128, 4, 3, 1, 1, 67, 90),
            (4, 6, 3, 2, 0, 11, 9),
            (6, 2, 1, 1, 0, 5, 4),
        ] {
            let shape = Shape {
                kernel,
                stride,
                padding,
            };
            assert!(c_in < 128 || c_in * 9 * hh * ww > BAND);
            let xs = normal(&[2, c_in, hh, ww]);
            let (weight, bias) = (normal(&[c_out, c_in, kernel, kernel]), normal(&[c_out]));
            let mut got = vec![shape.forward(&xs, &weight, &bias).unwrap()];
            if (kernel, stride) == (3, 1) {
                got.push(shape.forward_in_tiles(&xs, &weight, &bias).unwrap());
            }
            let expected = xs.conv2d(&weight, padding, stride, 1, 1).unwrap();
            let bias = bias.reshape((1, c_out, 1, 1)).unwrap();
            let expected = expected.broadcast_add(&bias).unwrap();
            let most = |xs: &Tensor| {
                let most = xs.abs().unwrap().flatten_all().unwrap().max(0).unwrap();
                most.to_scalar::<f32>().unwrap()
            };
            for got in got {
                let error = most(&(got - &expected).unwrap()) / most(&expected);
                assert!(error < 1e-5, "{c_in} to {c_out}: {error}");
            }
        }
    }
}
