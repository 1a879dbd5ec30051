//! 2-D convolution: on a CPU by [`winograd`] or by [`patches`](super::patches), with a backward of our own.
//!
//! Candle's forward gathers patches number by number, and its backward of the kernel convolves with the gradient as a
//! kernel as large as the image; both take longer than the products.

use std::sync::Arc;

use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, InplaceOp1, Layout, Result, Tensor};
use candle_nn::VarBuilder;

use super::autograd::{by_hand, computed3, is_ours, values};
use super::avx512::RoundedRows;
use super::group_norm::GroupNorm;
use super::im2col::Shape;
use super::threads::zeros;
use super::upsample::upsample_2x;
use super::winograd::{self, ConvPrecision, FEWEST_CHANNELS, Kernels, RoundedKernels};

/// A square kernel with bias.
#[derive(Clone, Debug)]
pub struct Conv2d {
    weight: Weight,
    bias: Tensor,
    shape: Shape,
    /// Input and output.
    channels: (usize, usize),
}

/// Kernels (out, in, k, k).
#[derive(Clone, Debug)]
enum Weight {
    Plain(Tensor),
    /// For [`winograd`].
    Rounded(Arc<RoundedKernels>),
    /// For patches: (out, in·k·k).
    RoundedRows(Arc<RoundedRows>),
}

/// What happens to pixels before they are convolved.
#[derive(Clone, Copy)]
enum Before<'a> {
    Nothing,
    Activation(&'a GroupNorm),
    Doubling,
}

impl Before<'_> {
    fn of(self, xs: &Tensor) -> Result<Tensor> {
        match self {
            Self::Nothing => Ok(xs.clone()),
            Self::Activation(norm) => norm.forward_silu(xs),
            Self::Doubling => upsample_2x(xs),
        }
    }
}

impl Conv2d {
    /// Reads `weight` (out, in, k, k) and `bias` (out).
    ///
    /// # Errors
    /// If a tensor is missing or misshapen.
    pub fn new((c_in, c_out): (usize, usize), shape: Shape, vb: VarBuilder) -> Result<Self> {
        let kernels = (c_out, c_in, shape.kernel, shape.kernel);
        Ok(Self {
            weight: Weight::Plain(vb.get(kernels, "weight")?),
            bias: vb.get(c_out, "bias")?,
            shape,
            channels: (c_in, c_out),
        })
    }

    /// The same with products like these, where they are for it.
    ///
    /// # Errors
    /// If the kernels cannot be read.
    pub fn with_products(mut self, products: ConvPrecision) -> Result<Self> {
        let (c_in, c_out) = self.channels;
        if let Weight::Plain(weight) = &self.weight
            && is_ours(weight)
            && products.are_rounded(self.shape.kernel, c_in, c_out)
        {
            let by_tiles = is_winograds(self.shape, c_in);
            self.weight = values([weight], |[kernels]| match by_tiles {
                true => Weight::Rounded(RoundedKernels::new(kernels, c_out).into()),
                false => Weight::RoundedRows(RoundedRows::new(kernels, c_out).into()),
            })?;
        }
        Ok(self)
    }

    /// (b, in, hh, ww) → (b, out, hh', ww')
    ///
    /// # Errors
    /// If the channels do not fit.
    pub fn forward(&self, xs: &Tensor) -> Result<Tensor> {
        self.convolve(xs, Before::Nothing, None)
    }

    /// [`Self::forward`] of SiLU of a norm of `xs`.
    ///
    /// # Errors
    /// If the channels do not fit.
    pub fn forward_activated(&self, norm: &GroupNorm, xs: &Tensor) -> Result<Tensor> {
        self.convolve(xs, Before::Activation(norm), None)
    }

    /// [`Self::forward_activated`], and `to` added, whose memory is used for the result: nobody is to see it any more.
    ///
    /// # Errors
    /// If the shapes do not fit.
    pub fn add_activated(&self, norm: &GroupNorm, xs: &Tensor, to: Tensor) -> Result<Tensor> {
        self.convolve(xs, Before::Activation(norm), Some(to))
    }

    /// [`Self::forward`] of [`upsample_2x`].
    ///
    /// # Errors
    /// If the channels do not fit.
    pub fn forward_doubled(&self, xs: &Tensor) -> Result<Tensor> {
        self.convolve(xs, Before::Doubling, None)
    }

    fn convolve(&self, xs: &Tensor, before: Before, to: Option<Tensor>) -> Result<Tensor> {
        let out = match &self.weight {
            Weight::Rounded(kernels) => {
                return self.by_tiles(xs, before, TileKernels::Rounded(kernels), to);
            }
            Weight::Plain(weight) if self.goes_by_tiles(xs, before, weight) => {
                return self.by_tiles(xs, before, TileKernels::Plain(weight), to);
            }
            Weight::Plain(weight) => self.by_patches(&before.of(xs)?, weight)?,
            Weight::RoundedRows(kernels) => {
                let xs = before.of(xs)?.contiguous()?;
                self.shape.forward_rounded(&xs, kernels, &self.bias)?
            }
        };
        match to {
            Some(to) => to + out,
            None => Ok(out),
        }
    }

    /// Whether [`winograd`] is for these kernels; it has no backward.
    fn goes_by_tiles(&self, xs: &Tensor, before: Before, weight: &Tensor) -> bool {
        let of_norm = match before {
            Before::Activation(norm) => norm.is_trained(),
            Before::Nothing | Before::Doubling => false,
        };
        let is_trained = of_norm || by_hand(&[xs, weight, &self.bias]);
        is_ours(xs) && is_winograds(self.shape, self.channels.0) && !is_trained
    }

    fn by_patches(&self, xs: &Tensor, weight: &Tensor) -> Result<Tensor> {
        let shape = self.shape;
        let arguments = [xs, weight, &self.bias];
        if by_hand(&arguments) {
            let value = shape.forward(xs, weight, &self.bias)?;
            return computed3(arguments, value, move |[xs, weight, bias], grad| {
                shape.backward(xs, weight, bias, grad)
            });
        }
        if is_ours(xs) {
            return shape.forward(xs, weight, &self.bias);
        }
        let padded = shape.padded(xs)?;
        let out = padded.conv2d(weight, 0, shape.stride, 1, 1)?;
        out.broadcast_add(&self.bias.reshape((1, self.channels.1, 1, 1))?)
    }

    /// By [`winograd`], into memory of its own or added to `to` where it lies.
    fn by_tiles(
        &self,
        xs: &Tensor,
        before: Before,
        kernels: TileKernels,
        to: Option<Tensor>,
    ) -> Result<Tensor> {
        let convolution = Convolution {
            conv: self,
            sizes: self.tile_sizes(xs, before)?,
            xs,
            before,
            kernels,
        };
        if let Some(to) = to {
            to.inplace_op1(&convolution)?;
            return Ok(to);
        }
        let sizes = convolution.sizes;
        let mut out = zeros(convolution.n_out()?);
        convolution.write(&mut out, false)?;
        Tensor::from_vec(out, ((), sizes.c_out, sizes.hh, sizes.ww), xs.device())
    }

    fn tile_sizes(&self, xs: &Tensor, before: Before) -> Result<winograd::Sizes> {
        let (_, c_in, hh, ww) = xs.dims4()?;
        if c_in != self.channels.0 {
            let expected = self.channels.0;
            candle_core::bail!("a convolution: expected {expected} channels, got {c_in}");
        }
        let factor = match before {
            Before::Doubling => 2,
            Before::Nothing | Before::Activation(_) => 1,
        };
        Ok(winograd::Sizes {
            c_in,
            c_out: self.channels.1,
            hh: hh * factor,
            ww: ww * factor,
        })
    }
}

/// Whether [`winograd`] is for it; with few channels its products are too small.
fn is_winograds(shape: Shape, c_in: usize) -> bool {
    shape == Shape::SAME_3X3 && c_in >= FEWEST_CHANNELS
}

/// Kernels for [`winograd`].
#[derive(Clone, Copy)]
enum TileKernels<'a> {
    /// (out, in, 3, 3)
    Plain(&'a Tensor),
    Rounded(&'a RoundedKernels),
}

/// A convolution by [`winograd`].
struct Convolution<'a> {
    conv: &'a Conv2d,
    xs: &'a Tensor,
    before: Before<'a>,
    kernels: TileKernels<'a>,
    sizes: winograd::Sizes,
}

impl Convolution<'_> {
    /// Numbers of the result.
    fn n_out(&self) -> Result<usize> {
        Ok(self.xs.dim(0)? * self.sizes.c_out * self.sizes.hh * self.sizes.ww)
    }

    /// Write it into `out` or add it.
    fn write(&self, out: &mut [f32], is_sum: bool) -> Result<()> {
        let sizes = self.sizes;
        let norm = match self.before {
            Before::Activation(norm) => Some(norm.affine(self.xs)?),
            Before::Nothing | Before::Doubling => None,
        };
        let mut of_batch = |kernels: Kernels, xs: &[f32], bias: &[f32]| {
            let outs = out.chunks_exact_mut(sizes.c_out * sizes.hh * sizes.ww);
            let images = xs.chunks_exact(xs.len() / outs.len().max(1));
            for (i, (pixels, numbers)) in images.zip(outs).enumerate() {
                let input = winograd::Input {
                    pixels,
                    is_doubled: matches!(self.before, Before::Doubling),
                    norm: norm
                        .as_ref()
                        .map(|norm| &norm[i * sizes.c_in..][..sizes.c_in]),
                };
                let output = winograd::Output { numbers, is_sum };
                winograd::convolve(input, kernels, bias, output, sizes);
            }
        };
        let (xs, bias) = (self.xs, &self.conv.bias);
        match self.kernels {
            TileKernels::Plain(weight) => values([xs, bias, weight], |[xs, bias, kernels]| {
                of_batch(Kernels::F32(kernels), xs, bias)
            }),
            TileKernels::Rounded(kernels) => values([xs, bias], |[xs, bias]| {
                of_batch(Kernels::Rounded(kernels), xs, bias)
            }),
        }
    }
}

impl InplaceOp1 for Convolution<'_> {
    fn name(&self) -> &'static str {
        "convolution"
    }

    fn cpu_fwd(&self, storage: &mut CpuStorage, layout: &Layout) -> Result<()> {
        let n = self.n_out()?;
        let dtype = storage.dtype();
        let (CpuStorage::F32(numbers), Some((start, end))) = (storage, layout.contiguous_offsets())
        else {
            candle_core::bail!(
                "a convolution: expected a contiguous sum in f32, got {dtype:?} in {layout:?}"
            );
        };
        if end - start != n {
            let dims = layout.dims();
            candle_core::bail!("a convolution: expected a sum of {n} numbers, got {dims:?}");
        }
        self.write(&mut numbers[start..end], true)
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{DType, Device};

    use super::*;
    use crate::Noise;

    const SAME: Shape = Shape::SAME_3X3;

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

        fn shaped(&mut self, c_in: usize, c_out: usize, shape: Shape) -> Conv2d {
            let weights = self.weights([&[c_out, c_in, shape.kernel, shape.kernel], &[c_out]]);
            Conv2d::new((c_in, c_out), shape, weights).unwrap()
        }
    }

    /// Root of the mean square of the difference, as a part of that of what is expected.
    fn off(got: &Tensor, expected: &Tensor) -> f32 {
        assert_eq!(got.dims(), expected.dims());
        let rms = |xs: &Tensor| {
            let mean = xs.sqr().unwrap().mean_all().unwrap();
            mean.to_scalar::<f32>().unwrap().sqrt()
        };
        rms(&(got - expected).unwrap()) / rms(expected)
    }

    #[test]
    fn convolution_by_tiles_and_all_that_is_done_within_is_what_candle_makes_of_the_parts() {
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
            assert!(conv.goes_by_tiles(&xs, Before::Activation(&norm), weight));
            let bias = conv.bias.reshape((1, c_out, 1, 1)).unwrap();
            let candles = |xs: &Tensor| {
                let product = xs.conv2d(weight, 1, 1, 1, 1).unwrap();
                product.broadcast_add(&bias).unwrap()
            };
            let activated = candles(&norm.forward_silu(&xs).unwrap());
            let doubled = candles(&xs.upsample_nearest2d(2 * hh, 2 * ww).unwrap());
            let sum = (&before + &activated).unwrap();
            for (got, expected) in [
                (conv.forward(&xs), candles(&xs)),
                (conv.forward_activated(&norm, &xs), activated),
                (conv.forward_doubled(&xs), doubled),
                (conv.add_activated(&norm, &xs, before), sum),
            ] {
                let off = off(&got.unwrap(), &expected);
                assert!(off < 2e-6, "{c_in} to {c_out}: {off}");
            }
        }
    }

    #[test]
    fn products_of_16_bits_are_off_by_little() {
        let mut numbers = Numbers(Noise::seeded(2));
        // The longest sums of the autoencoder are among them.
        for (c_in, c_out, shape, hh, ww) in [
            (16, 16, SAME, 7, 9),
            (48, 24, SAME, 61, 34),
            (512, 64, SAME, 20, 17),
            (512, 16, Shape::HALVING, 6, 8),
            (16, 8, Shape::HALVING, 11, 37),
            (48, 24, Shape::POINTWISE, 5, 33),
        ] {
            let exact = numbers.shaped(c_in, c_out, shape);
            let rounded = exact.clone().with_products(ConvPrecision::I16).unwrap();
            let xs = numbers.normal(&[2, c_in, hh, ww]);
            let [got, expected] = [rounded, exact].map(|conv| conv.forward(&xs).unwrap());
            let off = off(&got, &expected);
            assert!(off < 2e-3, "{c_in} to {c_out}: {off}");
            let is_rounded = ConvPrecision::I16.are_rounded(shape.kernel, c_in, c_out);
            assert_eq!(is_rounded, off > 1e-6, "{c_in} to {c_out}: {off}");
        }
    }

    #[test]
    fn what_does_not_fit_is_told() {
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
