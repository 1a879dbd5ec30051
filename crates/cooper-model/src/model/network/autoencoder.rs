//! The autoencoder's file: blocks that run one after another.
//!
//! Source: FLUX's `autoencoder.py`, as in BAGEL `modeling/autoencoder.py`, and diffusers' `AutoencoderKL`.

use cooper_kernels::ConvShape;

use super::blocks::Block;
use super::layer::{Conv2d, ConvWeight, Layer, Norm};
use crate::model::config::{VaeConfig, VaeLayout};

/// Encoder and decoder.
#[derive(Clone, Debug)]
pub struct Autoencoder {
    /// Pixels (b, 3, hh, ww) → moments (b, 2z, lh, lw).
    pub encoder: Vec<Block>,
    /// Latents (b, z, lh, lw) → pixels (b, 3, hh, ww).
    pub decoder: Vec<Block>,
}

impl Autoencoder {
    /// The autoencoder of a config.
    pub fn new(config: &VaeConfig) -> Self {
        let names = Names {
            layout: match config.layout {
                VaeLayout::Flux => &FLUX,
                VaeLayout::Diffusers => &DIFFUSERS,
            },
            n_groups: config.norm_num_groups,
        };
        Self {
            encoder: names.encoder(config),
            decoder: names.decoder(config),
        }
    }

    /// All layers.
    pub fn layers(&self) -> impl Iterator<Item = Layer<'_>> {
        let blocks = self.encoder.iter().chain(&self.decoder);
        blocks.flat_map(Block::layers)
    }
}

/// What a family of checkpoints calls the parts, where `{level}` and `{block}` are numbers.
struct Layout {
    down_block: &'static str,
    down_conv: &'static str,
    up_order: UpOrder,
    up_block: &'static str,
    up_conv: &'static str,
    /// Behind `encoder.` and `decoder.`.
    mid_block_1: &'static str,
    mid_attention: &'static str,
    mid_block_2: &'static str,
    norm_out: &'static str,
    /// Inside a residual block.
    shortcut: &'static str,
    /// Inside attention: norm, queries, keys, values, and the way out.
    attention: [&'static str; 5],
    /// Shape of the weights inside attention.
    attention_weight: ConvWeight,
}

/// Which of the decoder's levels has the number 0.
enum UpOrder {
    Finest,
    Coarsest,
}

const FLUX: Layout = Layout {
    down_block: "encoder.down.{level}.block.{block}",
    down_conv: "encoder.down.{level}.downsample.conv",
    up_order: UpOrder::Finest,
    up_block: "decoder.up.{level}.block.{block}",
    up_conv: "decoder.up.{level}.upsample.conv",
    mid_block_1: "mid.block_1",
    mid_attention: "mid.attn_1",
    mid_block_2: "mid.block_2",
    norm_out: "norm_out",
    shortcut: "nin_shortcut",
    attention: ["norm", "q", "k", "v", "proj_out"],
    attention_weight: ConvWeight::Kernel,
};

const DIFFUSERS: Layout = Layout {
    down_block: "encoder.down_blocks.{level}.resnets.{block}",
    down_conv: "encoder.down_blocks.{level}.downsamplers.0.conv",
    up_order: UpOrder::Coarsest,
    up_block: "decoder.up_blocks.{level}.resnets.{block}",
    up_conv: "decoder.up_blocks.{level}.upsamplers.0.conv",
    mid_block_1: "mid_block.resnets.0",
    mid_attention: "mid_block.attentions.0",
    mid_block_2: "mid_block.resnets.1",
    norm_out: "conv_norm_out",
    shortcut: "conv_shortcut",
    attention: ["group_norm", "to_q", "to_k", "to_v", "to_out.0"],
    attention_weight: ConvWeight::Matrix,
};

/// Builds blocks with the names of a layout.
struct Names {
    layout: &'static Layout,
    n_groups: usize,
}

impl Names {
    fn encoder(&self, config: &VaeConfig) -> Vec<Block> {
        let mut c = config.first_channels();
        let mut blocks = vec![Block::conv3x3("encoder.conv_in", config.in_channels, c)];
        let channels = config.channels();
        for (level, c_out) in channels.iter().enumerate() {
            for block in 0..config.num_res_blocks {
                let name = numbered(self.layout.down_block, level, block);
                blocks.push(self.resnet(&name, c, *c_out));
                c = *c_out;
            }
            if level + 1 < channels.len() {
                let name = numbered(self.layout.down_conv, level, 0);
                blocks.push(Block::halving(name, c, c));
            }
        }
        blocks.extend(self.middle("encoder", c, config));
        let moments = 2 * config.z_channels;
        blocks.push(self.output("encoder", c, moments));
        if config.use_quant_conv {
            blocks.push(conv1x1("quant_conv", moments));
        }
        blocks
    }

    fn decoder(&self, config: &VaeConfig) -> Vec<Block> {
        let channels = config.channels();
        let mut c = channels.last().copied().unwrap_or(config.ch);
        let mut blocks = Vec::new();
        if config.use_post_quant_conv {
            blocks.push(conv1x1("post_quant_conv", config.z_channels));
        }
        blocks.push(Block::conv3x3("decoder.conv_in", config.z_channels, c));
        blocks.extend(self.middle("decoder", c, config));
        for (level, c_out) in channels.iter().enumerate().rev() {
            let number = match self.layout.up_order {
                UpOrder::Finest => level,
                UpOrder::Coarsest => channels.len() - 1 - level,
            };
            for block in 0..=config.num_res_blocks {
                let name = numbered(self.layout.up_block, number, block);
                blocks.push(self.resnet(&name, c, *c_out));
                c = *c_out;
            }
            if level > 0 {
                let name = numbered(self.layout.up_conv, number, 0);
                let conv = Conv2d::new(name, (c, c), ConvShape::SAME_3X3);
                blocks.push(Block::Upsample(conv));
            }
        }
        blocks.push(self.output("decoder", c, config.out_ch));
        blocks
    }

    fn middle(&self, side: &str, c: usize, config: &VaeConfig) -> Vec<Block> {
        let name = |part: &str| format!("{side}.{part}");
        let mut blocks = vec![self.resnet(&name(self.layout.mid_block_1), c, c)];
        if config.mid_block_add_attention {
            blocks.push(self.attention(&name(self.layout.mid_attention), c));
        }
        blocks.push(self.resnet(&name(self.layout.mid_block_2), c, c));
        blocks
    }

    fn resnet(&self, name: &str, c_in: usize, c_out: usize) -> Block {
        Block::resnet(name, (c_in, c_out), self.n_groups, self.layout.shortcut)
    }

    fn attention(&self, name: &str, c: usize) -> Block {
        let [norm, q, k, v, out] = self.layout.attention.map(|part| format!("{name}.{part}"));
        let conv = |name| Conv2d {
            stored: self.layout.attention_weight,
            ..Conv2d::new(name, (c, c), ConvShape::POINTWISE)
        };
        Block::Attention {
            norm: self.norm(norm, c),
            qkv: [q, k, v].map(conv),
            out: conv(out),
        }
    }

    fn output(&self, side: &str, c_in: usize, c_out: usize) -> Block {
        Block::Output {
            norm: self.norm(format!("{side}.{}", self.layout.norm_out), c_in),
            conv: Conv2d::new(
                format!("{side}.conv_out"),
                (c_in, c_out),
                ConvShape::SAME_3X3,
            ),
        }
    }

    fn norm(&self, name: String, width: usize) -> Norm {
        Norm::group(name, width, self.n_groups)
    }
}

fn conv1x1(name: &str, c: usize) -> Block {
    Block::Conv(Conv2d::new(name, (c, c), ConvShape::POINTWISE))
}

fn numbered(name: &str, level: usize, block: usize) -> String {
    let name = name.replace("{level}", &level.to_string());
    name.replace("{block}", &block.to_string())
}
