//! Group norm of images: one pass for the statistics, one for the result.

use candle_core::{Module, Result, Tensor};
use candle_nn::VarBuilder;

use super::activation::{sigmoid, silu};
use super::autograd::{is_cpu_f32, needs_own_backward, with_backward3, with_slices};
use super::simd::{self, dispatch};
use super::threads::for_each;

/// Norms groups of channels over all pixels; affine per channel.
#[derive(Clone, Debug)]
pub struct GroupNorm {
    plain: candle_nn::GroupNorm,
    weight: Tensor,
    bias: Tensor,
    n_groups: usize,
    eps: f64,
}

/// How a batch (b, c, hh·ww) is normed.
#[derive(Clone, Copy)]
struct Groups {
    c: usize,
    n_pixels: usize,
    n_groups: usize,
    eps: f32,
}

impl GroupNorm {
    /// Reads `weight` and `bias` (c).
    ///
    /// # Errors
    /// If a tensor is missing or misshapen, or `c` is no multiple of `n_groups`.
    pub fn new(n_groups: usize, c: usize, eps: f64, vb: VarBuilder) -> Result<Self> {
        let (weight, bias) = (vb.get(c, "weight")?, vb.get(c, "bias")?);
        let plain = candle_nn::GroupNorm::new(weight.clone(), bias.clone(), c, n_groups, eps)?;
        Ok(Self {
            plain,
            weight,
            bias,
            n_groups,
            eps,
        })
    }

    /// (b, c, hh, ww) → the same shape.
    ///
    /// # Errors
    /// If the channels do not fit.
    pub fn forward(&self, xs: &Tensor) -> Result<Tensor> {
        if !is_cpu_f32(xs) {
            return self.plain.forward(xs);
        }
        let groups = self.groups(xs)?;
        let value = self.norm(xs, groups, |x| x)?;
        if !needs_own_backward(&[xs, &self.weight, &self.bias]) {
            return Ok(value);
        }
        let arguments = [xs, &self.weight, &self.bias];
        with_backward3(arguments, value, move |[xs, weight, bias], grad| {
            backward([xs, weight, bias], grad, groups)
        })
    }

    /// `silu` of [`Self::forward`], in one pass where no gradients are wanted.
    ///
    /// # Errors
    /// If the channels do not fit.
    pub fn forward_silu(&self, xs: &Tensor) -> Result<Tensor> {
        if !is_cpu_f32(xs) || needs_own_backward(&[xs, &self.weight, &self.bias]) {
            return silu(&self.forward(xs)?);
        }
        self.norm(xs, self.groups(xs)?, |x| x * sigmoid(x))
    }

    fn groups(&self, xs: &Tensor) -> Result<Groups> {
        let (_, c, hh, ww) = xs.dims4()?;
        Ok(Groups {
            c,
            n_pixels: hh * ww,
            n_groups: self.n_groups,
            eps: self.eps as f32,
        })
    }

    fn norm(
        &self,
        xs: &Tensor,
        groups: Groups,
        activation: impl Fn(f32) -> f32 + Sync,
    ) -> Result<Tensor> {
        let value = with_slices([xs, &self.weight, &self.bias], |[xs, weight, bias]| {
            norm(xs, weight, bias, groups, activation)
        })?;
        Tensor::from_vec(value, xs.shape(), xs.device())
    }

    /// The norm of these pixels as a factor and a summand for each channel (b, c). CPU, f32.
    ///
    /// # Errors
    /// If the pixels are on another device or of another type, or the channels do not fit.
    pub fn affine(&self, xs: &Tensor) -> Result<Vec<(f32, f32)>> {
        let (b, c, hh, ww) = xs.dims4()?;
        let n_channels = c / self.n_groups;
        let eps = self.eps as f32;
        with_slices([xs, &self.weight, &self.bias], |[xs, weight, bias]| {
            let mut groups = vec![(0.0, 0.0); b * self.n_groups];
            let parts = xs.chunks_exact(n_channels * hh * ww);
            let parts = groups.iter_mut().zip(parts).collect();
            for_each(parts, |_, (to, group)| {
                *to = dispatch!(statistics(group, eps))
            });
            let channels = (0..b * c).map(|i| {
                let (mean, r) = groups[i / n_channels];
                let scale = weight[i % c] * r;
                (scale, bias[i % c] - mean * scale)
            });
            channels.collect()
        })
    }

    /// Whether its weights are tracked for gradients.
    pub fn is_trained(&self) -> bool {
        needs_own_backward(&[&self.weight, &self.bias])
    }
}

/// Mean and 1/sqrt(var + eps) of a group.
#[inline(always)]
fn statistics(group: &[f32], eps: f32) -> (f32, f32) {
    let n = group.len() as f32;
    let mean = simd::sum(group) / n;
    let variance = simd::squared_deviations(group, mean) / n;
    (mean, 1.0 / (variance + eps).sqrt())
}

fn norm(
    xs: &[f32],
    weight: &[f32],
    bias: &[f32],
    groups: Groups,
    activation: impl Fn(f32) -> f32 + Sync,
) -> Vec<f32> {
    let n_channels = groups.c / groups.n_groups;
    let width = n_channels * groups.n_pixels;
    let mut out = vec![0f32; xs.len()];
    simd::for_each_row(&mut out, width, |i, out| {
        let group = &xs[i * width..(i + 1) * width];
        let first = i % groups.n_groups * n_channels;
        dispatch!({
            let (mean, r) = statistics(group, groups.eps);
            let planes = group.chunks_exact(groups.n_pixels);
            let planes = planes.zip(out.chunks_exact_mut(groups.n_pixels));
            for (j, (plane, out)) in planes.enumerate() {
                let scale = weight[first + j] * r;
                let shift = bias[first + j] - mean * scale;
                for (out, x) in out.iter_mut().zip(plane) {
                    *out = activation(x * scale + shift);
                }
            }
        });
    });
    out
}

/// As that of a layer norm, with groups for rows; see [`super::norm`].
fn backward([xs, weight, bias]: [&Tensor; 3], grad: &Tensor, sizes: Groups) -> Result<[Tensor; 3]> {
    let (dx, dw, db) = with_slices([xs, weight, grad], |[xs, weight, grad]| {
        let (n_channels, n_pixels) = (sizes.c / sizes.n_groups, sizes.n_pixels);
        let mut dx = vec![0f32; xs.len()];
        let (mut dw, mut db) = (vec![0f32; sizes.c], vec![0f32; sizes.c]);
        let n = n_channels * n_pixels;
        let groups = xs.chunks_exact(n).zip(grad.chunks_exact(n));
        for (i, ((group, g), dx)) in groups.zip(dx.chunks_exact_mut(n)).enumerate() {
            let (mean, r) = statistics(group, sizes.eps);
            let first = i % sizes.n_groups * n_channels;
            let planes = || group.chunks_exact(n_pixels).zip(g.chunks_exact(n_pixels));
            let (mut sum, mut dot) = (0f32, 0f32);
            for (j, (x, g)) in planes().enumerate() {
                let g_sum = simd::sum(g);
                let unit_dot = (simd::dot(x, g) - mean * g_sum) * r;
                dw[first + j] += unit_dot;
                db[first + j] += g_sum;
                sum += weight[first + j] * g_sum;
                dot += weight[first + j] * unit_dot;
            }
            // dx = r·(w·g − sum/n − x̂·dot/n), with x̂ = (x − mean)·r
            let x_factor = -r * r * dot / n as f32;
            let constant = -r * sum / n as f32 - x_factor * mean;
            for ((j, (x, g)), dx) in planes().enumerate().zip(dx.chunks_exact_mut(n_pixels)) {
                let g_factor = r * weight[first + j];
                for ((dx, x), g) in dx.iter_mut().zip(x).zip(g) {
                    *dx = g_factor * g + x_factor * x + constant;
                }
            }
        }
        (dx, dw, db)
    })?;
    Ok([
        Tensor::from_vec(dx, xs.shape(), xs.device())?,
        Tensor::from_vec(dw, weight.shape(), xs.device())?,
        Tensor::from_vec(db, bias.shape(), xs.device())?,
    ])
}
