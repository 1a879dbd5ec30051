//! Which tensors a model must have, and how a checkpoint differs from that: everything at once.
//!
//! Names and shapes: BAGEL's `modeling/bagel/*.py` and FLUX's `autoencoder.py`, as released.
//! Where a config is known to lie about a table's size (`max_latent_size`), the table itself is asked.

use std::collections::BTreeMap;

use cooper_kernels::checkpoint::SafetensorsHeader;

use crate::model::config::{ModelConfig, VaeConfig};

mod mismatch;

pub use mismatch::{Mismatch, Misshapen, check, check_vae};

/// Names with their shapes.
pub type Shapes = BTreeMap<String, Vec<usize>>;

/// Positions of latent tokens.
pub const LATENT_POSITIONS: &str = "latent_pos_embed.pos_embed";
/// Positions of vision tokens in the language model.
pub const VIT_POSITIONS: &str = "vit_pos_embed.pos_embed";
/// Positions of patches inside the vision encoder (learned).
pub const VIT_PATCH_POSITIONS: &str = "vit_model.vision_model.embeddings.position_embedding.weight";

/// Side of the latent table where the file has none: the released one.
const LATENT_SIDE: usize = 64;
/// Width of the sinusoid that the time embedder reads.
const TIME_FREQUENCIES: usize = 256;

/// Cells on the sides of the position tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PositionSides {
    /// Of the latent table.
    pub latent: usize,
    /// Of both vision tables.
    pub vit: usize,
}

impl PositionSides {
    /// From the tables' rows; from what training assumes where a table is absent.
    pub fn new(config: &ModelConfig, header: &SafetensorsHeader) -> Self {
        let side = |name| header.shape(name)?.first().map(|rows| rows.isqrt());
        Self {
            latent: side(LATENT_POSITIONS).unwrap_or(LATENT_SIDE),
            vit: side(VIT_PATCH_POSITIONS)
                .or_else(|| side(VIT_POSITIONS))
                .unwrap_or(config.bagel.vit_max_num_patch_per_side),
        }
    }
}

/// Every tensor of the transformer file (`ema.safetensors` or `model.safetensors`).
pub fn expected_tensors(config: &ModelConfig, header: &SafetensorsHeader) -> Shapes {
    tensors(config, PositionSides::new(config, header))
}

/// As [`expected_tensors`], with position tables of these sides.
pub fn tensors(config: &ModelConfig, sides: PositionSides) -> Shapes {
    let mut list = List::default();
    language_model(&mut list, config);
    vision_encoder(&mut list, config, sides);
    let (width, latent) = (config.llm.hidden_size, config.patch_latent_dim());
    list.linear("time_embedder.mlp.0", width, TIME_FREQUENCIES);
    list.linear("time_embedder.mlp.2", width, width);
    list.linear("vae2llm", width, latent);
    list.linear("llm2vae", latent, width);
    list.linear("connector.fc1", width, config.vit.hidden_size);
    list.linear("connector.fc2", width, width);
    list.add(LATENT_POSITIONS, &[sides.latent.pow(2), width]);
    list.add(VIT_POSITIONS, &[sides.vit.pow(2), width]);
    list.0
}

/// Every tensor of the autoencoder file (`ae.safetensors`).
pub fn expected_vae_tensors(config: &VaeConfig) -> Shapes {
    let mut list = List::default();
    let levels = || config.ch_mult.iter().map(|m| config.ch * m).enumerate();
    let n_levels = config.ch_mult.len();

    list.conv("encoder.conv_in", config.ch, config.in_channels, 3);
    let mut channels = config.ch;
    for (level, out) in levels() {
        for block in 0..config.num_res_blocks {
            list.res_block(
                &format!("encoder.down.{level}.block.{block}"),
                channels,
                out,
            );
            channels = out;
        }
        if level + 1 < n_levels {
            list.conv(
                &format!("encoder.down.{level}.downsample.conv"),
                out,
                out,
                3,
            );
        }
    }
    list.middle("encoder.mid", channels);
    list.norm("encoder.norm_out", channels);
    list.conv("encoder.conv_out", 2 * config.z_channels, channels, 3);

    list.conv("decoder.conv_in", channels, config.z_channels, 3);
    list.middle("decoder.mid", channels);
    for (level, out) in levels().rev() {
        for block in 0..=config.num_res_blocks {
            list.res_block(&format!("decoder.up.{level}.block.{block}"), channels, out);
            channels = out;
        }
        if level > 0 {
            list.conv(&format!("decoder.up.{level}.upsample.conv"), out, out, 3);
        }
    }
    list.norm("decoder.norm_out", channels);
    list.conv("decoder.conv_out", config.out_ch, channels, 3);
    list.0
}

/// What logits are computed with.
pub const HEAD: &str = "language_model.lm_head.weight";
/// Embedding and head.
const VOCABULARY: [&str; 2] = ["language_model.model.embed_tokens.weight", HEAD];

/// Whether a tensor has a row for each token.
pub fn is_vocabulary(name: &str) -> bool {
    VOCABULARY.contains(&name)
}

fn language_model(list: &mut List, config: &ModelConfig) {
    let llm = &config.llm;
    let (width, inner) = (llm.hidden_size, llm.intermediate_size);
    let keys = llm.num_key_value_heads * llm.head_dim();
    for name in VOCABULARY {
        list.add(name, &[llm.vocab_size, width]);
    }
    for expert in ["", "_moe_gen"] {
        list.scale(&format!("language_model.model.norm{expert}"), width);
        for layer in 0..llm.num_hidden_layers {
            let layer = format!("language_model.model.layers.{layer}");
            let attention = format!("{layer}.self_attn");
            list.linear(&format!("{attention}.q_proj{expert}"), width, width);
            list.linear(&format!("{attention}.k_proj{expert}"), keys, width);
            list.linear(&format!("{attention}.v_proj{expert}"), keys, width);
            list.matrix(&format!("{attention}.o_proj{expert}"), width, width);
            list.scale(&format!("{attention}.q_norm{expert}"), llm.head_dim());
            list.scale(&format!("{attention}.k_norm{expert}"), llm.head_dim());
            list.matrix(&format!("{layer}.mlp{expert}.gate_proj"), inner, width);
            list.matrix(&format!("{layer}.mlp{expert}.up_proj"), inner, width);
            list.matrix(&format!("{layer}.mlp{expert}.down_proj"), width, inner);
            list.scale(&format!("{layer}.input_layernorm{expert}"), width);
            list.scale(&format!("{layer}.post_attention_layernorm{expert}"), width);
        }
    }
}

/// The matrices of the transformer's layers, which may be quantised, each with its shape (out, input).
pub fn layer_matrices(config: &ModelConfig) -> Shapes {
    let mut list = List::default();
    language_model(&mut list, config);
    list.0
        .retain(|name, shape| name.contains(".layers.") && shape.len() == 2);
    list.0
}

fn vision_encoder(list: &mut List, config: &ModelConfig, sides: PositionSides) {
    let vit = &config.vit;
    let (width, inner) = (vit.hidden_size, vit.intermediate_size);
    let patch = vit.patch_size.pow(2) * vit.num_channels;
    let model = "vit_model.vision_model";
    list.linear(&format!("{model}.embeddings.patch_embedding"), width, patch);
    list.add(VIT_PATCH_POSITIONS, &[sides.vit.pow(2), width]);
    for layer in 0..vit.n_layers() {
        let layer = format!("{model}.encoder.layers.{layer}");
        for projection in ["q_proj", "k_proj", "v_proj", "out_proj"] {
            list.linear(&format!("{layer}.self_attn.{projection}"), width, width);
        }
        list.norm(&format!("{layer}.layer_norm1"), width);
        list.norm(&format!("{layer}.layer_norm2"), width);
        list.linear(&format!("{layer}.mlp.fc1"), inner, width);
        list.linear(&format!("{layer}.mlp.fc2"), width, inner);
    }
    list.norm(&format!("{model}.post_layernorm"), width);
}

/// Modules written as the tensors they consist of.
#[derive(Default)]
struct List(Shapes);

impl List {
    fn add(&mut self, name: &str, shape: &[usize]) {
        self.0.insert(name.to_owned(), shape.to_vec());
    }

    fn matrix(&mut self, name: &str, out: usize, input: usize) {
        self.add(&format!("{name}.weight"), &[out, input]);
    }

    fn scale(&mut self, name: &str, width: usize) {
        self.add(&format!("{name}.weight"), &[width]);
    }

    fn bias(&mut self, name: &str, width: usize) {
        self.add(&format!("{name}.bias"), &[width]);
    }

    fn linear(&mut self, name: &str, out: usize, input: usize) {
        self.matrix(name, out, input);
        self.bias(name, out);
    }

    fn norm(&mut self, name: &str, width: usize) {
        self.scale(name, width);
        self.bias(name, width);
    }

    fn conv(&mut self, name: &str, out: usize, input: usize, kernel: usize) {
        self.add(&format!("{name}.weight"), &[out, input, kernel, kernel]);
        self.bias(name, out);
    }

    fn res_block(&mut self, name: &str, input: usize, out: usize) {
        self.norm(&format!("{name}.norm1"), input);
        self.conv(&format!("{name}.conv1"), out, input, 3);
        self.norm(&format!("{name}.norm2"), out);
        self.conv(&format!("{name}.conv2"), out, out, 3);
        if input != out {
            self.conv(&format!("{name}.nin_shortcut"), out, input, 1);
        }
    }

    fn middle(&mut self, name: &str, width: usize) {
        self.res_block(&format!("{name}.block_1"), width, width);
        self.norm(&format!("{name}.attn_1.norm"), width);
        for conv in ["q", "k", "v", "proj_out"] {
            self.conv(&format!("{name}.attn_1.{conv}"), width, width, 1);
        }
        self.res_block(&format!("{name}.block_2"), width, width);
    }
}

#[cfg(test)]
mod tests;
