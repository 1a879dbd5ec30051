//! 2-D convolution: on a CPU by [`winograd`](super::winograd) or by [`im2col`](super::im2col), with a backward of our own.
//!
//! Candle's forward gathers its columns number by number, and its backward of the kernel convolves with the gradient as a
//! kernel as large as the image; both take longer than the matmuls.

use std::sync::Arc;

use candle_core::{Result, Tensor, bail};
use candle_nn::VarBuilder;

use super::autograd::{is_cpu_f32, needs_own_backward, with_backward3, with_slices};
use super::conv_precision::{ConvPrecision, MIN_WINOGRAD_CHANNELS};
use super::group_norm::GroupNorm;
use super::im2col::ConvShape;
use super::int16_matmul::Int16Rows;
use super::winograd::{Int16Kernels, Sizes};
use super::winograd_conv::{Prelude, WinogradConv, WinogradKernels};

/// A square kernel with bias.
#[derive(Clone, Debug)]
pub struct Conv2d {
    weight: Weight,
    bias: Tensor,
    shape: ConvShape,
    /// Input and output channels.
    channels: (usize, usize),
}

/// Kernels (out, in, k, k).
#[derive(Clone, Debug)]
enum Weight {
    Plain(Tensor),
    /// For [`winograd`](super::winograd).
    Int16Winograd(Arc<Int16Kernels>),
    /// For [`im2col`](super::im2col): (out, in·k·k).
    Int16Im2col(Arc<Int16Rows>),
}

impl Conv2d {
    /// Reads `weight` (out, in, k, k) and `bias` (out).
    ///
    /// # Errors
    /// If a tensor is missing or misshapen.
    pub fn new((c_in, c_out): (usize, usize), shape: ConvShape, vb: VarBuilder) -> Result<Self> {
        let kernels = (c_out, c_in, shape.kernel, shape.kernel);
        Ok(Self {
            weight: Weight::Plain(vb.get(kernels, "weight")?),
            bias: vb.get(c_out, "bias")?,
            shape,
            channels: (c_in, c_out),
        })
    }

    /// The same convolution in this precision, where it fits.
    ///
    /// # Errors
    /// If the kernels cannot be read.
    pub fn with_precision(mut self, precision: ConvPrecision) -> Result<Self> {
        let (c_in, c_out) = self.channels;
        if let Weight::Plain(weight) = &self.weight
            && is_cpu_f32(weight)
            && precision.is_int16(self.shape.kernel, c_in, c_out)
        {
            let fits_winograd = fits_winograd(self.shape, c_in);
            self.weight = with_slices([weight], |[kernels]| match fits_winograd {
                true => Weight::Int16Winograd(Int16Kernels::new(kernels, c_out).into()),
                false => Weight::Int16Im2col(Int16Rows::new(kernels, c_out).into()),
            })?;
        }
        Ok(self)
    }

    /// (b, in, hh, ww) → (b, out, hh', ww')
    ///
    /// # Errors
    /// If the channels do not fit.
    pub fn forward(&self, xs: &Tensor) -> Result<Tensor> {
        self.convolve(xs, Prelude::None, None)
    }

    /// [`Self::forward`] of SiLU of a norm of `xs`.
    ///
    /// # Errors
    /// If the channels do not fit.
    pub fn forward_activated(&self, norm: &GroupNorm, xs: &Tensor) -> Result<Tensor> {
        self.convolve(xs, Prelude::NormSilu(norm), None)
    }

    /// [`Self::forward_activated`] added to `to`, whose memory holds the result: other clones of `to` change, too.
    ///
    /// # Errors
    /// If the shapes do not fit.
    pub fn add_activated(&self, norm: &GroupNorm, xs: &Tensor, to: Tensor) -> Result<Tensor> {
        self.convolve(xs, Prelude::NormSilu(norm), Some(to))
    }

    /// [`Self::forward`] of [`crate::upsample_2x`].
    ///
    /// # Errors
    /// If the channels do not fit.
    pub fn forward_upsampled(&self, xs: &Tensor) -> Result<Tensor> {
        self.convolve(xs, Prelude::Upsample, None)
    }

    fn convolve(&self, xs: &Tensor, prelude: Prelude, to: Option<Tensor>) -> Result<Tensor> {
        let out = match &self.weight {
            Weight::Int16Winograd(kernels) => {
                return self.forward_winograd(xs, prelude, WinogradKernels::Int16(kernels), to);
            }
            Weight::Plain(weight) if self.is_winograd_for(xs, prelude, weight) => {
                return self.forward_winograd(xs, prelude, WinogradKernels::F32(weight), to);
            }
            Weight::Plain(weight) => self.forward_apart(&prelude.apply(xs)?, weight)?,
            Weight::Int16Im2col(kernels) => {
                let xs = prelude.apply(xs)?.contiguous()?;
                self.shape.forward_int16(&xs, kernels, &self.bias)?
            }
        };
        match to {
            Some(to) => to + out,
            None => Ok(out),
        }
    }

    /// Whether [`winograd`](super::winograd) runs these kernels together with what comes before them, which has no backward.
    fn is_winograd_for(&self, xs: &Tensor, prelude: Prelude, weight: &Tensor) -> bool {
        let is_norm_trained = match prelude {
            Prelude::NormSilu(norm) => norm.is_trained(),
            Prelude::None | Prelude::Upsample => false,
        };
        let is_trained = is_norm_trained || needs_own_backward(&[xs, weight, &self.bias]);
        is_cpu_f32(xs) && fits_winograd(self.shape, self.channels.0) && !is_trained
    }

    /// Of pixels that are prepared already; with a backward where one is needed.
    fn forward_apart(&self, xs: &Tensor, weight: &Tensor) -> Result<Tensor> {
        let shape = self.shape;
        let arguments = [xs, weight, &self.bias];
        if needs_own_backward(&arguments) {
            let value = forward_f32(shape, xs, weight, &self.bias)?;
            return with_backward3(arguments, value, move |[xs, weight, _], grad| {
                let [dw, db] = shape.kernel_gradients(xs, weight, grad)?;
                let dx = match fits_winograd(shape, weight.dim(0)?) {
                    true => forward_f32(shape, grad, &turned(weight)?, &bias_of_zeros(xs)?)?,
                    false => shape.input_gradient(xs, weight, grad)?,
                };
                Ok([dx, dw, db])
            });
        }
        if is_cpu_f32(xs) {
            return shape.forward(xs, weight, &self.bias);
        }
        let padded = shape.padded(xs)?;
        let out = padded.conv2d(weight, 0, shape.stride, 1, 1)?;
        out.broadcast_add(&self.bias.reshape((1, self.channels.1, 1, 1))?)
    }

    /// By [`winograd`](super::winograd), into new memory or added to `to` in place.
    fn forward_winograd(
        &self,
        xs: &Tensor,
        prelude: Prelude,
        kernels: WinogradKernels,
        to: Option<Tensor>,
    ) -> Result<Tensor> {
        let convolution = WinogradConv {
            bias: &self.bias,
            sizes: self.tile_sizes(xs, prelude)?,
            xs,
            prelude,
            kernels,
        };
        if let Some(to) = to {
            to.inplace_op1(&convolution)?;
            return Ok(to);
        }
        convolution.forward()
    }

    fn tile_sizes(&self, xs: &Tensor, prelude: Prelude) -> Result<Sizes> {
        let factor = match prelude {
            Prelude::Upsample => 2,
            Prelude::None | Prelude::NormSilu(_) => 1,
        };
        let sizes = sizes(xs, self.channels)?;
        Ok(Sizes {
            hh: sizes.hh * factor,
            ww: sizes.ww * factor,
            ..sizes
        })
    }
}

/// The sizes of one image's convolution between so many channels.
fn sizes(xs: &Tensor, (c_in, c_out): (usize, usize)) -> Result<Sizes> {
    let (_, got, hh, ww) = xs.dims4()?;
    if got != c_in {
        bail!("a convolution: expected {c_in} channels, got {got}");
    }
    Ok(Sizes {
        c_in,
        c_out,
        hh,
        ww,
    })
}

/// A convolution of f32 tensors on the CPU, by the faster way.
fn forward_f32(shape: ConvShape, xs: &Tensor, weight: &Tensor, bias: &Tensor) -> Result<Tensor> {
    let (c_out, c_in, ..) = weight.dims4()?;
    let sizes = sizes(xs, (c_in, c_out))?;
    if !fits_winograd(shape, c_in) {
        return shape.forward(xs, weight, bias);
    }
    let convolution = WinogradConv {
        xs: &xs.detach(),
        prelude: Prelude::None,
        kernels: WinogradKernels::F32(&weight.detach()),
        bias: &bias.detach(),
        sizes,
    };
    convolution.forward()
}

/// The kernels (in, out, k, k) by which a result's gradient becomes the input's, where the size stays.
fn turned(weight: &Tensor) -> Result<Tensor> {
    weight.detach().flip(&[2, 3])?.transpose(0, 1)?.contiguous()
}

fn bias_of_zeros(xs: &Tensor) -> Result<Tensor> {
    Tensor::zeros(xs.dim(1)?, xs.dtype(), xs.device())
}

/// Whether [`winograd`](super::winograd) is the faster way.
fn fits_winograd(shape: ConvShape, c_in: usize) -> bool {
    shape == ConvShape::SAME_3X3 && c_in >= MIN_WINOGRAD_CHANNELS
}

#[cfg(test)]
mod tests {
    use candle_core::{DType, Device};

    use super::*;
    use crate::Noise;

    const SAME: ConvShape = ConvShape::SAME_3X3;

    struct Numbers(Noise);

    impl Numbers {
        fn normal(&mut self, shape: &[usize]) -> Tensor {
            self.0.normal(shape, &Device::Cpu).unwrap()
        }

        fn weights(&mut self, shapes: [&[usize]; 2]) -> VarBuilder<'static> {
            let [weight, bias] = shapes.map(|shape| self.normal(shape));
            let tensors = [("weight".to_owned(), weight), ("bias".to_owned(), bias)];
            VarBuilder::from_tensors(tensors.into(), DType::F32, &Device::Cpu)
        }

        fn conv(&mut self, c_in: usize, c_out: usize) -> Conv2d {
            self.shaped(c_in, c_out, SAME)
        }

        fn shaped(&mut self, c_in: usize, c_out: usize, shape: ConvShape) -> Conv2d {
            let weights = self.weights([&[c_out, c_in, shape.kernel, shape.kernel], &[c_out]]);
            Conv2d::new((c_in, c_out), shape, weights).unwrap()
        }
    }

    /// The root mean square of the difference, relative to that of `expected`.
    fn error(got: &Tensor, expected: &Tensor) -> f32 {
        assert_eq!(got.dims(), expected.dims());
        let rms = |xs: &Tensor| {
            let mean = xs.sqr().unwrap().mean_all().unwrap();
            mean.to_scalar::<f32>().unwrap().sqrt()
        };
        rms(&(got - expected).unwrap()) / rms(expected)
    }

    #[test]
    fn convolution_forward_winograd_and_all_that_is_done_within_is_what_candle_makes_of_the_parts()
    {
        let mut numbers = Numbers(Noise::seeded(1));
        // Sizes with a rest in every direction, and several bands of tiles.
        for (c_in, c_out, hh, ww) in [(16, 3, 7, 9), (24, 40, 6, 4), (32, 16, 67, 90)] {
            let conv = numbers.conv(c_in, c_out);
            let norm = GroupNorm::new(8, c_in, 1e-6, numbers.weights([&[c_in], &[c_in]])).unwrap();
            let xs = numbers.normal(&[2, c_in, hh, ww]);
            let before = numbers.normal(&[2, c_out, hh, ww]);
            let Weight::Plain(weight) = &conv.weight else {
                unreachable!()
            };
            assert!(conv.is_winograd_for(&xs, Prelude::NormSilu(&norm), weight));
            let bias = conv.bias.reshape((1, c_out, 1, 1)).unwrap();
            let candles = |xs: &Tensor| {
                let planes = xs.conv2d(weight, 1, 1, 1, 1).unwrap();
                planes.broadcast_add(&bias).unwrap()
            };
            let activated = candles(&norm.forward_silu(&xs).unwrap());
            let upsampled = candles(&xs.upsample_nearest2d(2 * hh, 2 * ww).unwrap());
            let sum = (&before + &activated).unwrap();
            for (got, expected) in [
                (conv.forward(&xs), candles(&xs)),
                (conv.forward_activated(&norm, &xs), activated),
                (conv.forward_upsampled(&xs), upsampled),
                (conv.add_activated(&norm, &xs, before), sum),
            ] {
                let error = error(&got.unwrap(), &expected);
                assert!(error < 2e-6, "{c_in} to {c_out}: {error}");
            }
        }
    }

    #[test]
    fn int16_convolution_has_a_small_error() {
        let mut numbers = Numbers(Noise::seeded(2));
        // The longest sums of the autoencoder are among them.
        for (c_in, c_out, shape, hh, ww) in [
            (16, 16, SAME, 7, 9),
            (48, 24, SAME, 61, 34),
            (512, 64, SAME, 20, 17),
            (512, 16, ConvShape::HALVING, 6, 8),
            (16, 8, ConvShape::HALVING, 11, 37),
            (48, 24, ConvShape::POINTWISE, 5, 33),
        ] {
            let exact = numbers.shaped(c_in, c_out, shape);
            let quantized = exact.clone().with_precision(ConvPrecision::I16).unwrap();
            let xs = numbers.normal(&[2, c_in, hh, ww]);
            let [got, expected] = [quantized, exact].map(|conv| conv.forward(&xs).unwrap());
            let error = error(&got, &expected);
            assert!(error < 2e-3, "{c_in} to {c_out}: {error}");
            let is_int16 = ConvPrecision::I16.is_int16(shape.kernel, c_in, c_out);
            assert_eq!(is_int16, error > 1e-6, "{c_in} to {c_out}: {error}");
        }
    }

    #[test]
    fn misshapen_input_is_an_error() {
        let mut numbers = Numbers(Noise::seeded(3));
        let conv = numbers.conv(16, 16);
        let error = conv.forward(&numbers.normal(&[1, 17, 4, 4])).unwrap_err();
        assert!(
            error.to_string().contains("expected 16 channels, got 17"),
            "{error}"
        );
        let norm = GroupNorm::new(8, 16, 1e-6, numbers.weights([&[16], &[16]])).unwrap();
        let (xs, to) = (
            numbers.normal(&[1, 16, 4, 4]),
            numbers.normal(&[1, 16, 4, 5]),
        );
        let error = conv.add_activated(&norm, &xs, to).unwrap_err().to_string();
        assert!(
            error.contains("expected a sum of 256 numbers, got [1, 16, 4, 5]"),
            "{error}"
        );
    }
}
