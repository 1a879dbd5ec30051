//! Softmax: of a tensor, and the fused forms that attention uses.

use candle_core::{CpuStorage, D, InplaceOp2, Layout, Result, Tensor, bail};

use super::activation::exp;
use super::simd::{self, dispatch};

/// Softmax over the last dimension.
///
/// # Errors
/// If the device fails.
pub fn softmax(xs: &Tensor) -> Result<Tensor> {
    if xs.track_op() {
        candle_nn::ops::softmax(xs, D::Minus1)
    } else {
        candle_nn::ops::softmax_last_dim(xs)
    }
}

/// Softmax of a row of scores, in place.
#[inline(always)]
pub fn softmax_row(row: &mut [f32]) {
    let largest = simd::max(row);
    for x in row.iter_mut() {
        // Far below the largest score: masked, or as good as.
        *x = if *x - largest < -80.0 {
            0.0
        } else {
            exp(*x - largest)
        };
    }
    let inverse = 1.0 / simd::sum(row);
    row.iter_mut().for_each(|x| *x *= inverse);
}

/// Turns scores into weights in place; the mask's rows repeat.
pub struct MaskedSoftmax {
    /// Factor on the scores before the mask is added.
    pub scale: f32,
}

impl InplaceOp2 for MaskedSoftmax {
    fn name(&self) -> &'static str {
        "masked-softmax"
    }

    fn cpu_fwd(
        &self,
        scores: &mut CpuStorage,
        layout: &Layout,
        mask: &CpuStorage,
        mask_layout: &Layout,
    ) -> Result<()> {
        let width = layout.shape().dims().last().copied().unwrap_or(1);
        let CpuStorage::F32(scores) = scores else {
            bail!("attention: expected f32 scores, got another number format");
        };
        let start = mask_layout.start_offset();
        let mask = &mask.as_slice::<f32>()?[start..start + mask_layout.shape().elem_count()];
        let n_masks = mask.len() / width.max(1);
        simd::for_each_row(scores, width, |i, row| {
            let start = i % n_masks.max(1) * width;
            let mask = &mask[start..start + width];
            dispatch!({
                for (x, m) in row.iter_mut().zip(mask) {
                    *x = *x * self.scale + m;
                }
                softmax_row(row);
            });
        });
        Ok(())
    }
}

/// Turns the weights' gradient into that of the unscaled scores in place: p·(g − Σ p·g)·scale.
pub struct SoftmaxGradient {
    /// That of [`MaskedSoftmax`].
    pub scale: f32,
}

impl InplaceOp2 for SoftmaxGradient {
    fn name(&self) -> &'static str {
        "softmax-gradient"
    }

    fn cpu_fwd(
        &self,
        grads: &mut CpuStorage,
        layout: &Layout,
        weights: &CpuStorage,
        _: &Layout,
    ) -> Result<()> {
        let width = layout.shape().dims().last().copied().unwrap_or(1);
        let CpuStorage::F32(grads) = grads else {
            bail!("attention: expected f32 gradients, got another number format");
        };
        let weights = weights.as_slice::<f32>()?;
        for (row, weights) in grads
            .chunks_exact_mut(width)
            .zip(weights.chunks_exact(width))
        {
            let dot = simd::dot(row, weights);
            for (g, p) in row.iter_mut().zip(weights) {
                *g = p * (*g - dot) * self.scale;
            }
        }
        Ok(())
    }
}
