//! RMS and layer norm over the last dimension, fused, with backwards of our own.

use candle_core::{D, DType, Result, Tensor};
use candle_nn::VarBuilder;

use super::autograd::{
    is_cpu_f32, needs_own_backward, with_backward2, with_backward3, with_slices,
};
use super::simd::{self, dispatch};
use super::threads::parallel_vec;

/// `x / sqrt(mean(x²) + eps) · weight`, the mean in f32.
#[derive(Clone, Debug)]
pub struct RmsNorm {
    weight: Tensor,
    eps: f64,
}

impl RmsNorm {
    /// Reads `weight` (c).
    ///
    /// # Errors
    /// If the tensor is missing or misshapen.
    pub fn new(c: usize, eps: f64, vb: VarBuilder) -> Result<Self> {
        let weight = vb.get(c, "weight")?;
        Ok(Self { weight, eps })
    }

    /// (…, c) → (…, c), in the dtype of `xs` (the weight follows it).
    ///
    /// # Errors
    /// If the last dimension is not the weight's.
    pub fn forward(&self, xs: &Tensor) -> Result<Tensor> {
        let weight = self.weight.to_dtype(xs.dtype())?;
        let eps = self.eps as f32;
        if needs_own_backward(&[xs, &weight]) {
            let value = rms_normed(xs, &weight, eps)?;
            with_backward2([xs, &weight], value, move |[xs, weight], grad| {
                rms_norm_backward(xs, weight, grad, eps)
            })
        } else if xs.track_op() || weight.track_op() {
            candle_nn::ops::rms_norm_slow(xs, &weight, eps)
        } else if is_cpu_f32(xs) {
            rms_normed(xs, &weight, eps)
        } else {
            candle_nn::ops::rms_norm(&xs.contiguous()?, &weight, eps)
        }
    }

    /// The factors (c) of each row's numbers.
    pub fn weight(&self) -> &Tensor {
        &self.weight
    }

    /// The number that is added to the mean of the squares.
    pub fn eps(&self) -> f32 {
        self.eps as f32
    }
}

/// 1/sqrt(mean(x²) + eps). To be inlined into `dispatch!`.
#[inline(always)]
pub fn inverse_rms(xs: &[f32], eps: f32) -> f32 {
    1.0 / (simd::dot(xs, xs) / xs.len() as f32 + eps).sqrt()
}

/// Rows in a part of the work.
const ROWS: usize = 16;

/// CPU, f32.
fn rms_normed(xs: &Tensor, weight: &Tensor, eps: f32) -> Result<Tensor> {
    let c = weight.elem_count();
    if xs.dim(D::Minus1)? != c {
        candle_core::bail!("norm: expected rows of {c}, got {:?}", xs.dims());
    }
    let normed = with_slices([xs, weight], |[xs, weight]| {
        parallel_vec(xs.len(), ROWS * c, |(): &mut (), i, out: &mut [f32]| {
            let xs = &xs[i * ROWS * c..][..out.len()];
            dispatch!({
                for (x, out) in xs.chunks_exact(c).zip(out.chunks_exact_mut(c)) {
                    let r = inverse_rms(x, eps);
                    for ((out, x), w) in out.iter_mut().zip(x).zip(weight) {
                        *out = x * r * w;
                    }
                }
            });
        })
    })?;
    Tensor::from_vec(normed, xs.shape(), xs.device())
}

/// With r = 1/sqrt(mean(x²) + eps): dx = r·(w·g − x·r²·mean(x·w·g)), dw = Σ g·x·r.
fn rms_norm_backward(xs: &Tensor, weight: &Tensor, grad: &Tensor, eps: f32) -> Result<[Tensor; 2]> {
    let c = weight.elem_count();
    let (dx, dw) = with_slices([xs, weight, grad], |[xs, weight, grad]| {
        let mut dx = vec![0f32; xs.len()];
        let mut dw = vec![0f32; c];
        let rows = xs.chunks_exact(c).zip(grad.chunks_exact(c));
        for ((x, g), dx) in rows.zip(dx.chunks_exact_mut(c)) {
            let r = 1.0 / (simd::dot(x, x) / c as f32 + eps).sqrt();
            let back = r * r * simd::dot3(x, weight, g) / c as f32;
            for i in 0..c {
                dx[i] = r * (weight[i] * g[i] - x[i] * back);
                dw[i] += g[i] * x[i] * r;
            }
        }
        (dx, dw)
    })?;
    Ok([
        Tensor::from_vec(dx, xs.shape(), xs.device())?,
        Tensor::from_vec(dw, weight.shape(), xs.device())?,
    ])
}

/// `(x - mean) / sqrt(var + eps) · weight + bias`, the statistics in f32.
#[derive(Clone, Debug)]
pub struct LayerNorm {
    weight: Tensor,
    bias: Tensor,
    eps: f64,
}

impl LayerNorm {
    /// Reads `weight` and `bias` (c).
    ///
    /// # Errors
    /// If a tensor is missing or misshapen.
    pub fn new(c: usize, eps: f64, vb: VarBuilder) -> Result<Self> {
        Ok(Self {
            weight: vb.get(c, "weight")?,
            bias: vb.get(c, "bias")?,
            eps,
        })
    }

    /// (…, c) → (…, c), in the dtype of `xs`.
    ///
    /// # Errors
    /// If the last dimension is not the weight's.
    pub fn forward(&self, xs: &Tensor) -> Result<Tensor> {
        let eps = self.eps as f32;
        if needs_own_backward(&[xs, &self.weight, &self.bias]) {
            let (x, w, b) = (
                xs.detach().contiguous()?,
                self.weight.detach(),
                self.bias.detach(),
            );
            let value = candle_nn::ops::layer_norm(&x, &w, &b, eps)?;
            return with_backward3(
                [xs, &self.weight, &self.bias],
                value,
                move |[xs, weight, bias], grad| layer_norm_backward(xs, weight, bias, grad, eps),
            );
        }
        if !(xs.track_op() || self.weight.track_op()) {
            return candle_nn::ops::layer_norm(&xs.contiguous()?, &self.weight, &self.bias, eps);
        }
        let wide = xs.to_dtype(DType::F32)?;
        let centered = wide.broadcast_sub(&wide.mean_keepdim(D::Minus1)?)?;
        let variance = centered.sqr()?.mean_keepdim(D::Minus1)?;
        centered
            .broadcast_div(&(variance + self.eps)?.sqrt()?)?
            .to_dtype(xs.dtype())?
            .broadcast_mul(&self.weight)?
            .broadcast_add(&self.bias)
    }
}

/// With x̂ = (x − mean)·r: dx = r·(w·g − mean(w·g) − x̂·mean(x̂·w·g)), dw = Σ g·x̂, db = Σ g.
fn layer_norm_backward(
    xs: &Tensor,
    weight: &Tensor,
    bias: &Tensor,
    grad: &Tensor,
    eps: f32,
) -> Result<[Tensor; 3]> {
    let c = weight.elem_count();
    let (dx, dw, db) = with_slices([xs, weight, grad], |[xs, weight, grad]| {
        let mut dx = vec![0f32; xs.len()];
        let (mut dw, mut db, mut unit) = (vec![0f32; c], vec![0f32; c], vec![0f32; c]);
        let rows = xs.chunks_exact(c).zip(grad.chunks_exact(c));
        for ((x, g), dx) in rows.zip(dx.chunks_exact_mut(c)) {
            let n = c as f32;
            let mean = simd::sum(x) / n;
            unit.iter_mut().zip(x).for_each(|(u, x)| *u = x - mean);
            let r = 1.0 / (simd::dot(&unit, &unit) / n + eps).sqrt();
            unit.iter_mut().for_each(|u| *u *= r);
            let sum = simd::dot(weight, g);
            let dot = simd::dot3(weight, g, &unit);
            for i in 0..c {
                dx[i] = r * (weight[i] * g[i] - sum / n - unit[i] * dot / n);
                dw[i] += g[i] * unit[i];
                db[i] += g[i];
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
