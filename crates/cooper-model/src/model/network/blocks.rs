//! Convolutional blocks: of the autoencoder, and of the vision encoder's stem.
//!
//! Source: FLUX's `autoencoder.py`, as in BAGEL `modeling/autoencoder.py`.

use cooper_kernels::ConvShape;

use super::layer::{Conv2d, Layer, Norm};

/// What runs one after another.
#[derive(Clone, Debug)]
pub enum Block {
    /// A convolution that keeps the size.
    Conv(Conv2d),
    /// Twice norm, SiLU and convolution, and the input added.
    Resnet {
        /// Before the first convolution.
        norm1: Norm,
        /// To the block's channels.
        conv1: Conv2d,
        /// Before the second.
        norm2: Norm,
        /// From the block's channels to as many.
        conv2: Conv2d,
        /// What the input goes through, if the channels change.
        shortcut: Option<Conv2d>,
    },
    /// Single-head attention over all cells, and the input added.
    Attention {
        /// Before the projections.
        norm: Norm,
        /// To queries, keys and values.
        qkv: [Conv2d; 3],
        /// From attention's result.
        out: Conv2d,
    },
    /// A convolution that halves the size.
    Downsample(Conv2d),
    /// A convolution behind a doubling of the size.
    Upsample(Conv2d),
    /// Norm, SiLU and convolution.
    Output {
        /// Before the convolution.
        norm: Norm,
        /// To the result's channels.
        conv: Conv2d,
    },
}

impl Block {
    pub(super) fn conv3x3(name: &str, c_in: usize, c_out: usize) -> Self {
        Self::Conv(Conv2d::new(name, (c_in, c_out), ConvShape::SAME_3X3))
    }

    pub(super) fn halving(name: String, c_in: usize, c_out: usize) -> Self {
        Self::Downsample(Conv2d::new(name, (c_in, c_out), ConvShape::HALVING))
    }

    /// From `c_in` channels to `c_out`.
    pub(super) fn resnet(
        name: &str,
        (c_in, c_out): (usize, usize),
        n_groups: usize,
        shortcut: &str,
    ) -> Self {
        let conv =
            |part: &str, c_in, shape| Conv2d::new(format!("{name}.{part}"), (c_in, c_out), shape);
        let norm = |part: &str, c| Norm::group(format!("{name}.{part}"), c, n_groups);
        let shortcut = || conv(shortcut, c_in, ConvShape::POINTWISE);
        Self::Resnet {
            norm1: norm("norm1", c_in),
            conv1: conv("conv1", c_in, ConvShape::SAME_3X3),
            norm2: norm("norm2", c_out),
            conv2: conv("conv2", c_out, ConvShape::SAME_3X3),
            shortcut: (c_in != c_out).then(shortcut),
        }
    }

    /// Its layers.
    pub fn layers(&self) -> Vec<Layer<'_>> {
        match self {
            Self::Conv(conv) | Self::Downsample(conv) | Self::Upsample(conv) => vec![conv.into()],
            Self::Resnet {
                norm1,
                conv1,
                norm2,
                conv2,
                shortcut,
            } => {
                let mut layers = vec![norm1.into(), conv1.into(), norm2.into(), conv2.into()];
                layers.extend(shortcut.iter().map(Layer::from));
                layers
            }
            Self::Attention { norm, qkv, out } => {
                let mut layers = vec![norm.into(), out.into()];
                layers.extend(qkv.iter().map(Layer::from));
                layers
            }
            Self::Output { norm, conv } => vec![norm.into(), conv.into()],
        }
    }
}
