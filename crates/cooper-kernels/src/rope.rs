//! Rotary position embedding by explicit positions, half rotation (Qwen2's convention).

use candle_core::{DType, Device, Result, Tensor};

use super::autograd::{needs_own_backward, with_backward1};

/// The frequencies of one head width.
#[derive(Clone, Debug)]
pub struct RotaryEmbedding {
    /// (1, d/2), f32
    inverse_frequencies: Tensor,
}

impl RotaryEmbedding {
    /// `theta^(-2k/d)` for k < d/2.
    ///
    /// # Errors
    /// If the device fails.
    pub fn new(theta: f64, d: usize, device: &Device) -> Result<Self> {
        let inverse: Vec<f32> = (0..d / 2)
            .map(|k| 1.0 / (theta as f32).powf(2.0 * k as f32 / d as f32))
            .collect();
        let inverse_frequencies = Tensor::from_vec(inverse, (1, d / 2), device)?;
        Ok(Self {
            inverse_frequencies,
        })
    }

    /// Cosines and sines (n, d/2) of `positions` (n), in f32.
    ///
    /// # Errors
    /// If the device fails.
    pub fn angles(&self, positions: &[u32]) -> Result<(Tensor, Tensor)> {
        let n = positions.len();
        let positions = Tensor::from_slice(positions, (n, 1), self.inverse_frequencies.device())?;
        let angles = positions
            .to_dtype(DType::F32)?
            .matmul(&self.inverse_frequencies)?;
        Ok((angles.cos()?, angles.sin()?))
    }
}

/// Rotate `xs` (h, n, d) by cosines and sines (n, d/2) of the same dtype.
///
/// # Errors
/// If shapes or dtypes do not fit.
pub fn rotate(xs: &Tensor, cos: &Tensor, sin: &Tensor) -> Result<Tensor> {
    if xs.track_op() && !needs_own_backward(&[xs]) {
        let xs = xs.unsqueeze(0)?.contiguous()?;
        return candle_nn::rotary_emb::rope_slow(&xs, cos, sin)?.squeeze(0);
    }
    let rotated = rotated(&xs.detach(), cos, sin)?;
    if !xs.track_op() {
        return Ok(rotated);
    }
    // The gradient is the inverse rotation.
    let (cos, sin) = (cos.clone(), sin.neg()?);
    with_backward1(xs, rotated, move |_, grad| {
        Ok([self::rotated(grad, &cos, &sin)?])
    })
}

fn rotated(xs: &Tensor, cos: &Tensor, sin: &Tensor) -> Result<Tensor> {
    let xs = xs.unsqueeze(0)?.contiguous()?;
    candle_nn::rotary_emb::rope(&xs, cos, sin)?.squeeze(0)
}
