//! Sizes of the network, from the files of a released model directory.
//!
//! Source: BAGEL's `llm_config.json`, `vit_config.json` and `config.json`; `ae_config.json`,
//! `preprocessor_config.json`, `depth_config.json` and `palette.json` are ours and optional (the released sizes hold
//! without them).
//! Where a config is known to lie (`max_latent_size`), [`crate::model::inventory`] asks the tensors.

use std::path::Path;

use cooper_imaging::ResizeRule;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::palette::Palette;

mod depth;
mod problems;

pub use depth::{DepthConfig, DepthCurve};

/// The language model, `llm_config.json`.
#[derive(Clone, Debug, Deserialize)]
pub struct LlmConfig {
    /// Width of the residual stream.
    pub hidden_size: usize,
    /// Width inside the feed-forward blocks.
    pub intermediate_size: usize,
    /// Decoder layers.
    pub num_hidden_layers: usize,
    /// Query heads.
    pub num_attention_heads: usize,
    /// Key and value heads.
    pub num_key_value_heads: usize,
    /// Rows of the embedding and of the head, padding included.
    pub vocab_size: usize,
    /// Base of the rotary frequencies.
    pub rope_theta: f64,
    /// Added to the mean square in RMS norms.
    pub rms_norm_eps: f64,
    /// The most tokens of a context.
    #[serde(default = "released_positions")]
    pub max_position_embeddings: usize,
}

impl LlmConfig {
    /// Width of one attention head.
    pub fn head_dim(&self) -> usize {
        self.hidden_size / self.num_attention_heads
    }
}

/// The vision encoder, `vit_config.json`.
#[derive(Clone, Debug, Deserialize)]
pub struct VitConfig {
    /// Width of the residual stream.
    pub hidden_size: usize,
    /// Width inside the feed-forward blocks.
    pub intermediate_size: usize,
    /// Layers that the file lists; one fewer is used (`vit_select_layer = -2` upstream).
    pub num_hidden_layers: usize,
    /// Attention heads.
    pub num_attention_heads: usize,
    /// Pixels on a patch's side.
    pub patch_size: usize,
    /// Colour channels.
    #[serde(default = "three")]
    pub num_channels: usize,
    /// Added to the variance in layer norms.
    #[serde(default = "one_millionth")]
    pub layer_norm_eps: f64,
    /// Levels of a convolutional stem that adds to the patch embedding; BAGEL's encoder has none.
    #[serde(default)]
    pub stem: Vec<StemLevel>,
}

/// A level of the stem: a convolution that halves the size, and residual blocks.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StemLevel {
    /// Channels of the level.
    pub channels: usize,
    /// Residual blocks behind the halving.
    #[serde(default)]
    pub num_res_blocks: usize,
}

impl StemLevel {
    /// Groups of channels in its norms.
    pub const NORM_GROUPS: usize = 8;
}

impl VitConfig {
    /// Encoder layers that are used.
    pub fn n_layers(&self) -> usize {
        self.num_hidden_layers.saturating_sub(1)
    }
}

fn released_positions() -> usize {
    32_768
}

fn three() -> usize {
    3
}

fn one_millionth() -> f64 {
    1e-6
}

/// What joins the parts, `config.json`.
#[derive(Clone, Debug, Deserialize)]
#[serde(default)]
pub struct BagelConfig {
    /// Latent cells on a token's side.
    pub latent_patch_size: usize,
    /// Patches on the side of the ViT position table.
    pub vit_max_num_patch_per_side: usize,
}

impl Default for BagelConfig {
    fn default() -> Self {
        Self {
            latent_patch_size: 2,
            vit_max_num_patch_per_side: 70,
        }
    }
}

/// What the autoencoder's tensors are called.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VaeLayout {
    /// As in FLUX's and BAGEL's `ae.safetensors`: `encoder.down.0.block.0.conv1.weight`.
    #[default]
    Flux,
    /// As `AutoencoderKL` of diffusers: `encoder.down_blocks.0.resnets.0.conv1.weight`.
    Diffusers,
}

/// The autoencoder, `ae_config.json`.
#[derive(Clone, Debug, Deserialize)]
#[serde(default)]
pub struct VaeConfig {
    /// What its tensors are called.
    pub layout: VaeLayout,
    /// Channels of the image.
    pub in_channels: usize,
    /// Channels of the decoded image.
    pub out_ch: usize,
    /// Channels of the first level.
    pub ch: usize,
    /// Each level's channels as a multiple of `ch`; every level but the last halves the size.
    pub ch_mult: Vec<usize>,
    /// Each level's channels, the finest first, in place of `ch` and `ch_mult`.
    pub block_out_channels: Option<Vec<usize>>,
    /// Whether the coarsest level has attention.
    pub mid_block_add_attention: bool,
    /// Whether a 1×1 convolution follows the encoder.
    pub use_quant_conv: bool,
    /// Whether a 1×1 convolution precedes the decoder.
    pub use_post_quant_conv: bool,
    /// Residual blocks per encoder level (the decoder has one more).
    pub num_res_blocks: usize,
    /// Groups of channels that are normed together; ours, 32 in every released file.
    pub norm_num_groups: usize,
    /// Channels of the latent.
    pub z_channels: usize,
    /// The latent is `(z - shift_factor) * scale_factor`.
    pub scale_factor: f64,
    /// See `scale_factor`.
    pub shift_factor: f64,
}

impl Default for VaeConfig {
    fn default() -> Self {
        Self {
            layout: VaeLayout::Flux,
            in_channels: 3,
            out_ch: 3,
            ch: 128,
            ch_mult: vec![1, 2, 4, 4],
            block_out_channels: None,
            mid_block_add_attention: true,
            use_quant_conv: false,
            use_post_quant_conv: false,
            num_res_blocks: 2,
            norm_num_groups: 32,
            z_channels: 16,
            scale_factor: 0.3611,
            shift_factor: 0.1159,
        }
    }
}

impl VaeConfig {
    /// Channels of each level, the finest first.
    pub fn channels(&self) -> Vec<usize> {
        match &self.block_out_channels {
            Some(channels) => channels.clone(),
            None => self.ch_mult.iter().map(|m| self.ch * m).collect(),
        }
    }

    /// Channels behind the encoder's first convolution.
    pub fn first_channels(&self) -> usize {
        let channels = self.block_out_channels.as_ref();
        let first = channels.and_then(|channels| channels.first());
        first.copied().unwrap_or(self.ch)
    }

    /// Pixels on a latent cell's side.
    pub fn downsample(&self) -> usize {
        1 << self.channels().len().saturating_sub(1)
    }
}

/// One image transform's sizes in pixels.
#[derive(Clone, Debug, Deserialize)]
pub struct TransformConfig {
    /// The longer side is at most this.
    pub max_image_size: u32,
    /// The shorter side is at least this.
    pub min_image_size: u32,
    /// Both sides are multiples of this.
    pub image_stride: u32,
}

/// Image sizes and normalisation, `preprocessor_config.json`.
#[derive(Clone, Debug, Deserialize)]
#[serde(default)]
pub struct PreprocessorConfig {
    /// For the autoencoder; applied first, and its result is what `vit` sees.
    pub vae: TransformConfig,
    /// For the vision encoder.
    pub vit: TransformConfig,
    /// The most pixels of an image.
    pub max_pixels: u32,
    /// Subtracted from each channel in [0, 1].
    pub image_mean: [f32; 3],
    /// Divides each channel afterwards.
    pub image_std: [f32; 3],
}

impl Default for PreprocessorConfig {
    fn default() -> Self {
        let transform = |max_image_size, min_image_size, image_stride| TransformConfig {
            max_image_size,
            min_image_size,
            image_stride,
        };
        Self {
            vae: transform(1024, 512, 16),
            vit: transform(518, 224, 14),
            max_pixels: 14 * 14 * 9 * 1024,
            image_mean: [0.5; 3],
            image_std: [0.5; 3],
        }
    }
}

impl PreprocessorConfig {
    /// The rule of one transform.
    pub fn rule(&self, transform: &TransformConfig) -> ResizeRule {
        ResizeRule {
            max_size: transform.max_image_size,
            min_size: transform.min_image_size,
            stride: transform.image_stride,
            max_pixels: self.max_pixels,
        }
    }
}

/// All sizes of a model directory.
#[derive(Clone, Debug)]
pub struct ModelConfig {
    /// The language model.
    pub llm: LlmConfig,
    /// The vision encoder.
    pub vit: VitConfig,
    /// What joins the parts.
    pub bagel: BagelConfig,
    /// The autoencoder.
    pub vae: VaeConfig,
    /// Image sizes.
    pub preprocessor: PreprocessorConfig,
    /// How depth is drawn.
    pub depth: DepthConfig,
    /// The classes of drawn segmentations; none if they are drawn without classes.
    pub palette: Option<Palette>,
}

impl ModelConfig {
    /// Read the configs of a model directory.
    ///
    /// # Errors
    /// One text with every file that is missing or wrong, and every size that cannot be.
    pub fn load(dir: &Path) -> Result<Self, String> {
        let mut problems = Vec::new();
        let llm = keep(required(dir, "llm_config.json"), &mut problems);
        let vit = keep(required(dir, "vit_config.json"), &mut problems);
        let bagel = keep(optional(dir, "config.json"), &mut problems);
        let vae = keep(optional(dir, "ae_config.json"), &mut problems);
        let preprocessor = keep(optional(dir, "preprocessor_config.json"), &mut problems);
        let depth = keep(optional(dir, "depth_config.json"), &mut problems);
        let palette = keep(optional(dir, "palette.json"), &mut problems);
        let (
            Some(llm),
            Some(vit),
            Some(bagel),
            Some(vae),
            Some(preprocessor),
            Some(depth),
            Some(palette),
        ) = (llm, vit, bagel, vae, preprocessor, depth, palette)
        else {
            return Err(problems.join("; "));
        };
        let config = Self {
            llm,
            vit,
            bagel,
            vae,
            preprocessor,
            depth,
            palette,
        };
        let problems = config.problems();
        if problems.is_empty() {
            Ok(config)
        } else {
            Err(problems.join("; "))
        }
    }

    /// Numbers of a latent token.
    pub fn patch_latent_dim(&self) -> usize {
        self.bagel.latent_patch_size.pow(2) * self.vae.z_channels
    }

    /// Pixels on a latent token's side.
    pub fn latent_downsample(&self) -> usize {
        self.vae.downsample() * self.bagel.latent_patch_size
    }
}

fn keep<T>(read: Result<T, String>, problems: &mut Vec<String>) -> Option<T> {
    read.map_err(|problem| problems.push(problem)).ok()
}

fn required<T: DeserializeOwned>(dir: &Path, name: &str) -> Result<T, String> {
    let text = std::fs::read_to_string(dir.join(name)).map_err(|e| format!("{name}: {e}"))?;
    serde_json::from_str(&text).map_err(|e| format!("{name}: {e}"))
}

fn optional<T: DeserializeOwned + Default>(dir: &Path, name: &str) -> Result<T, String> {
    if dir.join(name).exists() {
        required(dir, name)
    } else {
        Ok(T::default())
    }
}
