//! Convolution of tensors by [`winograd`]: images of a batch one by one, into new memory or added to a tensor in place.

use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, InplaceOp1, Layout, Result, Tensor, bail};

use super::autograd::with_slices;
use super::group_norm::GroupNorm;
use super::threads::zeros;
use super::upsample::upsample_2x;
use super::winograd::{self, Int16Kernels, Kernels, Sizes, WriteMode};

/// What happens to pixels before they are convolved.
#[derive(Clone, Copy)]
pub enum Prelude<'a> {
    /// Nothing.
    None,
    /// Group norm, then SiLU.
    NormSilu(&'a GroupNorm),
    /// Nearest-neighbour upsampling by 2.
    Upsample,
}

impl Prelude<'_> {
    /// The pixels (b, c, hh, ww) that are convolved.
    ///
    /// # Errors
    /// If the channels do not fit.
    pub fn apply(self, xs: &Tensor) -> Result<Tensor> {
        match self {
            Self::None => Ok(xs.clone()),
            Self::NormSilu(norm) => norm.forward_silu(xs),
            Self::Upsample => upsample_2x(xs),
        }
    }
}

/// Kernels for [`winograd`].
#[derive(Clone, Copy)]
pub enum WinogradKernels<'a> {
    /// (out, in, 3, 3)
    F32(&'a Tensor),
    /// In 16-bit integers.
    Int16(&'a Int16Kernels),
}

/// A convolution by [`winograd`] of images (b, in, rows, columns).
pub struct WinogradConv<'a> {
    /// The images, on the CPU in f32.
    pub xs: &'a Tensor,
    /// What happens to them first.
    pub prelude: Prelude<'a>,
    /// The kernels.
    pub kernels: WinogradKernels<'a>,
    /// (out)
    pub bias: &'a Tensor,
    /// The sizes of one image's convolution.
    pub sizes: Sizes,
}

impl WinogradConv<'_> {
    /// Numbers of the result, b·out·hh·ww.
    ///
    /// # Errors
    /// If `xs` is no tensor of images.
    pub fn n_out(&self) -> Result<usize> {
        Ok(self.xs.dim(0)? * self.sizes.c_out * self.sizes.hh * self.sizes.ww)
    }

    /// The result (b, out, hh, ww).
    ///
    /// # Errors
    /// If a tensor cannot be read.
    pub fn forward(&self) -> Result<Tensor> {
        let Sizes { c_out, hh, ww, .. } = self.sizes;
        let mut out = zeros(self.n_out()?);
        self.write(&mut out, WriteMode::Overwrite)?;
        Tensor::from_vec(out, ((), c_out, hh, ww), self.xs.device())
    }

    /// Write the result into `out` (b, out, hh, ww), or add it.
    ///
    /// # Errors
    /// If a tensor cannot be read.
    pub fn write(&self, out: &mut [f32], mode: WriteMode) -> Result<()> {
        let sizes = self.sizes;
        let norm = match self.prelude {
            Prelude::NormSilu(norm) => Some(norm.affine(self.xs)?),
            Prelude::None | Prelude::Upsample => None,
        };
        let mut convolve_batch = |kernels: Kernels, xs: &[f32], bias: &[f32]| {
            let outs = out.chunks_exact_mut(sizes.c_out * sizes.hh * sizes.ww);
            let images = xs.chunks_exact(xs.len() / outs.len().max(1));
            for (i, (pixels, numbers)) in images.zip(outs).enumerate() {
                let input = winograd::Input {
                    pixels,
                    is_upsampled: matches!(self.prelude, Prelude::Upsample),
                    norm: norm
                        .as_ref()
                        .map(|norm| &norm[i * sizes.c_in..][..sizes.c_in]),
                };
                let output = winograd::Output { numbers, mode };
                winograd::convolve(input, kernels, bias, output, sizes);
            }
        };
        let (xs, bias) = (self.xs, self.bias);
        match self.kernels {
            WinogradKernels::F32(weight) => {
                with_slices([xs, bias, weight], |[xs, bias, kernels]| {
                    convolve_batch(Kernels::F32(kernels), xs, bias)
                })
            }
            WinogradKernels::Int16(kernels) => with_slices([xs, bias], |[xs, bias]| {
                convolve_batch(Kernels::Int16(kernels), xs, bias)
            }),
        }
    }
}

impl InplaceOp1 for WinogradConv<'_> {
    fn name(&self) -> &'static str {
        "convolution"
    }

    fn cpu_fwd(&self, storage: &mut CpuStorage, layout: &Layout) -> Result<()> {
        let n = self.n_out()?;
        let dtype = storage.dtype();
        let (CpuStorage::F32(numbers), Some((start, end))) = (storage, layout.contiguous_offsets())
        else {
            bail!("a convolution: expected a contiguous sum in f32, got {dtype:?} in {layout:?}");
        };
        if end - start != n {
            let dims = layout.dims();
            bail!("a convolution: expected a sum of {n} numbers, got {dims:?}");
        }
        self.write(&mut numbers[start..end], WriteMode::Add)
    }
}
