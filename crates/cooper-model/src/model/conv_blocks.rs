//! Convolutional blocks with their weights, one after another.
//!
//! Source: BAGEL `modeling/autoencoder.py`. The finest levels of a released autoencoder have hundreds of channels at the
//! image's size. On a CPU a block holds its input, its result and the tensor between its two convolutions; the rest is done
//! tile by tile within them (see `cooper_kernels::Conv2d`).

use candle_core::{DType, Result, Tensor};
use candle_nn::VarBuilder;
use cooper_kernels::{Conv2d, ConvPrecision, GroupNorm, attention, keys_dtype};

use super::network::Block as Description;
use super::weights::{conv, group_norm};

#[derive(Clone, Debug)]
struct ResnetBlock {
    norm1: GroupNorm,
    conv1: Conv2d,
    norm2: GroupNorm,
    conv2: Conv2d,
    shortcut: Option<Conv2d>,
}

impl ResnetBlock {
    fn forward(&self, xs: Tensor) -> Result<Tensor> {
        let hidden = self.conv1.forward_activated(&self.norm1, &xs)?;
        let skipped = match &self.shortcut {
            Some(shortcut) => {
                let skipped = shortcut.forward(&xs)?;
                drop(xs); // its memory is needed
                skipped
            }
            None => xs,
        };
        self.conv2.add_activated(&self.norm2, &hidden, skipped)
    }
}

/// Single-head attention over all cells.
#[derive(Clone, Debug)]
struct AttnBlock {
    norm: GroupNorm,
    qkv: [Conv2d; 3],
    out: Conv2d,
    /// Number format of keys and values.
    keys_dtype: DType,
}

impl AttnBlock {
    fn forward(&self, xs: &Tensor) -> Result<Tensor> {
        let (b, c, hh, ww) = xs.dims4()?;
        let normed = self.norm.forward(xs)?;
        // Images of a batch do not attend to each other: they take the place of heads.
        let cells = |conv: &Conv2d| {
            conv.forward(&normed)?
                .flatten_from(2)?
                .transpose(1, 2)?
                .contiguous() // (b, hh·ww, c)
        };
        let [q, k, v] = &self.qkv;
        let [k, v] = [k, v].map(|conv| cells(conv)?.to_dtype(self.keys_dtype));
        let attended = attention(&cells(q)?, &k?, &v?, None)?;
        let attended = attended.transpose(1, 2)?.reshape((b, c, hh, ww))?;
        xs + self.out.forward(&attended)?
    }
}

/// A block of the description with its weights.
#[derive(Clone, Debug)]
enum Block {
    /// A convolution as it is, and one that halves the size.
    Conv(Conv2d),
    Resnet(Box<ResnetBlock>),
    Attention(Box<AttnBlock>),
    Upsample(Conv2d),
    Output(GroupNorm, Conv2d),
}

impl Block {
    fn new(block: &Description, precision: ConvPrecision, vb: &VarBuilder) -> Result<Self> {
        let conv = |layer| conv(layer, precision, vb);
        Ok(match block {
            Description::Conv(layer) | Description::Downsample(layer) => Self::Conv(conv(layer)?),
            Description::Upsample(layer) => Self::Upsample(conv(layer)?),
            Description::Output { norm, conv: layer } => {
                Self::Output(group_norm(norm, vb)?, conv(layer)?)
            }
            Description::Resnet {
                norm1,
                conv1,
                norm2,
                conv2,
                shortcut,
            } => Self::Resnet(Box::new(ResnetBlock {
                norm1: group_norm(norm1, vb)?,
                conv1: conv(conv1)?,
                norm2: group_norm(norm2, vb)?,
                conv2: conv(conv2)?,
                shortcut: shortcut.as_ref().map(conv).transpose()?,
            })),
            Description::Attention { norm, qkv, out } => {
                let keys = precision.key_precision();
                let [q, k, v] = qkv;
                Self::Attention(Box::new(AttnBlock {
                    keys_dtype: keys_dtype(vb.dtype(), keys, norm.width, vb.device()),
                    norm: group_norm(norm, vb)?,
                    qkv: [conv(q)?, conv(k)?, conv(v)?],
                    out: conv(out)?,
                }))
            }
        })
    }

    fn forward(&self, xs: Tensor) -> Result<Tensor> {
        match self {
            Self::Conv(conv) => conv.forward(&xs),
            Self::Resnet(block) => block.forward(xs),
            Self::Attention(block) => block.forward(&xs),
            Self::Upsample(conv) => conv.forward_upsampled(&xs),
            Self::Output(norm, conv) => conv.forward_activated(norm, &xs),
        }
    }
}

/// Blocks that run one after another.
#[derive(Clone, Debug)]
pub struct ConvBlocks(Vec<Block>);

impl ConvBlocks {
    /// Reads the layers of a description.
    ///
    /// # Errors
    /// If a tensor is missing or misshapen.
    pub fn new(blocks: &[Description], precision: ConvPrecision, vb: &VarBuilder) -> Result<Self> {
        let blocks = blocks.iter().map(|block| Block::new(block, precision, vb));
        Ok(Self(blocks.collect::<Result<_>>()?))
    }

    /// Whether there is nothing to run.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// (b, c, hh, ww) → what the last block makes of it.
    ///
    /// # Errors
    /// If shapes do not fit.
    pub fn forward(&self, xs: Tensor) -> Result<Tensor> {
        self.0.iter().try_fold(xs, |xs, block| block.forward(xs))
    }
}
