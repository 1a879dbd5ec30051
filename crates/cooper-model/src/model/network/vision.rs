//! The vision encoder SigLIP, in the transformer's file.
//!
//! Source: BAGEL `modeling/bagel/siglip_navit.py`; one layer fewer than the config lists. The stem is ours.

use super::blocks::Block;
use super::layer::{Layer, Linear, Norm, NormKind, Table};
use crate::model::config::{StemLevel, VitConfig};

/// Positions of patches inside the vision encoder (learned).
pub const VIT_PATCH_POSITIONS: &str = "vit_model.vision_model.embeddings.position_embedding.weight";

/// The encoder.
#[derive(Clone, Debug)]
pub struct VisionEncoder {
    /// Pixels on a patch's side.
    pub patch_size: usize,
    /// From a patch's pixels.
    pub patch_embedding: Linear,
    /// Pixels (b, 3, hh, ww) → (b, hidden, rows, columns), added to the patch embedding. Empty in released models.
    pub stem: Vec<Block>,
    /// A row for each place of a patch.
    pub position_embedding: Table,
    /// From the first layer to the last.
    pub encoder: Vec<VisionLayer>,
    /// Behind the last layer.
    pub post_layernorm: Norm,
}

impl VisionEncoder {
    pub(in crate::model) fn new(config: &VitConfig, side: usize) -> Self {
        let (width, eps) = (config.hidden_size, config.layer_norm_eps);
        let patch = config.patch_size.pow(2) * config.num_channels;
        let model = "vit_model.vision_model";
        let layer = |i| VisionLayer::new(config, &format!("{model}.encoder.layers.{i}"));
        Self {
            patch_size: config.patch_size,
            patch_embedding: Linear::new(
                format!("{model}.embeddings.patch_embedding"),
                patch,
                width,
            ),
            stem: stem(config, &format!("{model}.embeddings.stem")),
            position_embedding: Table::new(VIT_PATCH_POSITIONS, side.pow(2), width),
            encoder: (0..config.n_layers()).map(layer).collect(),
            post_layernorm: layer_norm(format!("{model}.post_layernorm"), width, eps),
        }
    }

    pub(super) fn layers(&self) -> Vec<Layer<'_>> {
        let mut layers = vec![
            Layer::from(&self.patch_embedding),
            Layer::from(&self.position_embedding),
            Layer::from(&self.post_layernorm),
        ];
        layers.extend(self.stem.iter().flat_map(Block::layers));
        for layer in &self.encoder {
            layers.extend(layer.matrices().map(Layer::from));
            layers.extend([&layer.layer_norm1, &layer.layer_norm2].map(Layer::from));
        }
        layers
    }
}

/// The stem's levels, and a last halving to the patches' grid; source for the idea: "Early Convolutions Help Transformers See
/// Better" (arXiv 2106.14881).
fn stem(config: &VitConfig, name: &str) -> Vec<Block> {
    let mut c = config.num_channels;
    let mut blocks = Vec::new();
    for (level, shape) in config.stem.iter().enumerate() {
        blocks.push(Block::halving(
            format!("{name}.{level}.conv"),
            c,
            shape.channels,
        ));
        c = shape.channels;
        let resnet = |block| {
            let name = format!("{name}.{level}.block.{block}");
            Block::resnet(&name, (c, c), StemLevel::NORM_GROUPS, "nin_shortcut")
        };
        blocks.extend((0..shape.num_res_blocks).map(resnet));
    }
    if !blocks.is_empty() {
        let out = format!("{name}.conv_out");
        blocks.push(Block::halving(out, c, config.hidden_size));
    }
    blocks
}

/// An encoder layer.
#[derive(Clone, Debug)]
pub struct VisionLayer {
    /// Before attention.
    pub layer_norm1: Norm,
    /// To queries.
    pub q_proj: Linear,
    /// To keys.
    pub k_proj: Linear,
    /// To values.
    pub v_proj: Linear,
    /// From attention's result.
    pub out_proj: Linear,
    /// Before the feed-forward part.
    pub layer_norm2: Norm,
    /// Into the feed-forward part.
    pub fc1: Linear,
    /// And out of it.
    pub fc2: Linear,
    /// Attention heads.
    pub n_heads: usize,
}

impl VisionLayer {
    fn new(config: &VitConfig, name: &str) -> Self {
        let (width, inner) = (config.hidden_size, config.intermediate_size);
        let projection = |part: &str| Linear::new(format!("{name}.self_attn.{part}"), width, width);
        let norm = |part: &str| layer_norm(format!("{name}.{part}"), width, config.layer_norm_eps);
        Self {
            layer_norm1: norm("layer_norm1"),
            q_proj: projection("q_proj"),
            k_proj: projection("k_proj"),
            v_proj: projection("v_proj"),
            out_proj: projection("out_proj"),
            layer_norm2: norm("layer_norm2"),
            fc1: Linear::new(format!("{name}.mlp.fc1"), width, inner),
            fc2: Linear::new(format!("{name}.mlp.fc2"), inner, width),
            n_heads: config.num_attention_heads,
        }
    }

    /// The matrices that every patch goes through.
    pub fn matrices(&self) -> [&Linear; 6] {
        [
            &self.q_proj,
            &self.k_proj,
            &self.v_proj,
            &self.out_proj,
            &self.fc1,
            &self.fc2,
        ]
    }
}

fn layer_norm(name: String, width: usize, eps: f64) -> Norm {
    Norm {
        name,
        width,
        eps,
        kind: NormKind::Layer,
    }
}
