//! What memory a model will take, from its configs and headers: before anything of it is read.

use std::fmt;

use cooper_kernels::ConvPrecision;
use cooper_kernels::SafetensorsHeader;
use serde::Serialize;

use super::format::Format;
use super::prefix_cache::PrefixCache;
use super::weight_bytes::WeightBytes;
use crate::model::ModelConfig;
use crate::model::memory::{Numbers, Pass, context_bytes, conv_bytes, decoder_bytes, vision_bytes};
use crate::model::network::{Autoencoder, PositionSides, Transformer};
use crate::model::qwen2_mot::N_MARKERS;

/// The program itself: code, tokenizer, stacks, and what the allocator keeps of small blocks.
const PROCESS: u64 = 30_000_000;
/// Tokens of a short text: the instruction that asks for a map.
const INSTRUCTION: usize = 300;
/// Tokens of all texts of a question with its thoughts, generously.
const CONVERSATION: usize = 2_500;

/// Workload that memory is planned for.
#[derive(Clone, Copy, Debug)]
pub struct Workload {
    /// Width and height of the image as it comes, pixels.
    pub image: (u32, u32),
    /// A question that draws and reads both maps, after others whose frames are in the prefix cache; else one map.
    pub is_question: bool,
}

impl Workload {
    /// A usual camera image of a robot.
    pub const USUAL_IMAGE: (u32, u32) = (640, 480);

    /// A question about an image of this size.
    pub fn question(image: (u32, u32)) -> Self {
        Self {
            image,
            is_question: true,
        }
    }

    /// A map of an image of this size.
    pub fn map(image: (u32, u32)) -> Self {
        Self {
            image,
            is_question: false,
        }
    }
}

/// Bytes of the parts.
#[derive(Clone, Debug, Serialize)]
pub struct MemoryPlan {
    /// The program without a model.
    pub process: u64,
    /// The matrices of the transformer's layers, with the forms that candle makes of them.
    pub matrices: u64,
    /// Embeddings, head, vision encoder, norms.
    pub other_weights: u64,
    /// The autoencoder's weights.
    pub vae: u64,
    /// What loading takes for a while beyond the weights.
    pub loading: u64,
    /// The prefix cache: frames for further questions.
    pub kept: u64,
    /// Contexts of the work.
    pub contexts: u64,
    /// The step that takes most beside them.
    pub step: &'static str,
    /// Bytes of that step.
    pub step_bytes: u64,
}

impl MemoryPlan {
    /// The plan of a model with these headers, the transformer's with its quantised matrices.
    pub fn new(
        config: &ModelConfig,
        transformer: &SafetensorsHeader,
        vae: &SafetensorsHeader,
        format: Format,
        work: Workload,
    ) -> Self {
        let network = Transformer::new(config, PositionSides::new(config, transformer));
        let autoencoder = Autoencoder::new(&config.vae);
        let weights = WeightBytes::new(&network, transformer, (&autoencoder, vae), format);
        let language_model = &network.language_model;
        let numbers = Numbers::new(language_model, format.dtype, format.quantization);
        let tokens = Tokens::new(config, work);
        let context = |n: usize| context_bytes(language_model, n, numbers);
        let (n_long, kept) = match work.is_question {
            // Two forks of a conversation: with the instruction and without it.
            true => (2, PrefixCache::default_limit(weights.total()) as u64),
            false => (1, 0),
        };
        let steps = step_bytes(&network, &tokens, numbers);
        let maps = autoencoder_step_bytes(&autoencoder, &tokens, format.vae_precision());
        let steps = steps.into_iter().chain(maps);
        let (step, step_bytes) = steps.max_by_key(|step| step.1).unwrap_or_default();
        Self {
            process: PROCESS,
            matrices: weights.matrices,
            other_weights: weights.language + weights.others,
            vae: weights.vae,
            loading: weights.loading,
            kept,
            contexts: n_long * context(tokens.full) + context(tokens.alone),
            step,
            step_bytes,
        }
    }

    /// All weights as loaded.
    pub fn weights(&self) -> u64 {
        self.matrices + self.other_weights + self.vae
    }

    /// The most that is held at once.
    pub fn peak(&self) -> u64 {
        let working = self.kept + self.contexts + self.step_bytes;
        self.process + self.weights() + working.max(self.loading)
    }
}

impl fmt::Display for MemoryPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = vec![
            ("matrices of the transformer", self.matrices),
            ("its other weights", self.other_weights),
            ("autoencoder", self.vae),
            (self.step, self.step_bytes),
            ("contexts", self.contexts),
            ("kept frames", self.kept),
            ("loading, for a while", self.loading),
            ("the program", self.process),
        ];
        parts.retain(|(_, n_bytes)| *n_bytes > 0);
        parts.sort_by_key(|(_, n_bytes)| std::cmp::Reverse(*n_bytes));
        let parts = parts
            .iter()
            .map(|(name, n_bytes)| format!("{name} {}", gigabytes(*n_bytes)));
        f.write_str(&parts.collect::<Vec<_>>().join(", "))
    }
}

pub(super) fn gigabytes(n_bytes: u64) -> String {
    format!("{:.2} GB", n_bytes as f64 * 1e-9)
}

/// Tokens of the work.
struct Tokens {
    /// Pixels of the image at the autoencoder's size.
    n_pixels: usize,
    /// Cells of its latent.
    n_cells: usize,
    latents: usize,
    patches: usize,
    /// Of the longest context.
    full: usize,
    /// Of the one without the image.
    alone: usize,
}

impl Tokens {
    fn new(config: &ModelConfig, work: Workload) -> Self {
        let size = config.vae_rule().output_size(work.image.0, work.image.1);
        let n_pixels = size.0 as usize * size.1 as usize;
        let (width, height) = config.vit_rule().output_size(size.0, size.1);
        let side = config.vit.patch_size;
        let patches = (width as usize / side) * (height as usize / side);
        let latents = config.latent_grid(size.0, size.1).n_tokens();
        let image = latents + patches + 2 * N_MARKERS;
        let (maps, text) = match work.is_question {
            true => (2 * (patches + N_MARKERS), CONVERSATION),
            false => (0, INSTRUCTION),
        };
        let limit = config.llm.max_position_embeddings;
        Self {
            n_pixels,
            n_cells: n_pixels / config.vae.downsample().pow(2),
            latents,
            patches,
            full: (image + maps + text).min(limit),
            alone: (maps + text).min(limit),
        }
    }
}

/// Peak bytes of the transformer's steps beside weights and contexts.
fn step_bytes(
    network: &Transformer,
    tokens: &Tokens,
    numbers: Numbers,
) -> [(&'static str, u64); 3] {
    let language_model = &network.language_model;
    let prefill = Pass {
        n_tokens: tokens.latents.max(tokens.patches) + N_MARKERS,
        n_branches: 1,
        n_keys: tokens.full,
    };
    let flow_step = Pass::flow_step(tokens.latents, 3, tokens.full);
    let vision = vision_bytes(&network.vision, tokens.patches, numbers.plain);
    [
        ("vision encoder", vision),
        (
            "reading the image",
            decoder_bytes(language_model, prefill, numbers),
        ),
        (
            "a flow step",
            decoder_bytes(language_model, flow_step, numbers),
        ),
    ]
}

/// Peak bytes of the autoencoder's steps.
fn autoencoder_step_bytes(
    network: &Autoencoder,
    tokens: &Tokens,
    precision: ConvPrecision,
) -> [(&'static str, u64); 2] {
    let (pixels, cells) = (tokens.n_pixels, tokens.n_cells);
    let encoding = conv_bytes(&network.encoder, pixels, precision);
    let decoding = conv_bytes(&network.decoder, cells, precision);
    [
        ("encoding the image", encoding),
        ("decoding a map", decoding),
    ]
}
