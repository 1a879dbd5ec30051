//! RMS and layer norm over the last dimension, fused where no gradient is wanted.

use candle_core::{D, DType, Result, Tensor};
use candle_nn::VarBuilder;

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
        if xs.track_op() || weight.track_op() {
            candle_nn::ops::rms_norm_slow(xs, &weight, self.eps as f32)
        } else {
            candle_nn::ops::rms_norm(&xs.contiguous()?, &weight, self.eps as f32)
        }
    }
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
        if !(xs.track_op() || self.weight.track_op()) {
            let xs = xs.contiguous()?;
            return candle_nn::ops::layer_norm(&xs, &self.weight, &self.bias, self.eps as f32);
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
