//! What memory a model will take, from its configs and headers: before anything of it is read.

use std::fmt;

use candle_core::DType;
use cooper_kernels::checkpoint::{SafetensorsHeader, TensorInfo};
use cooper_kernels::{ConvPrecision, Quantization, Vocabulary, quantized_bytes};
use safetensors::Dtype;
use serde::Serialize;

use super::frame::kept_bytes;
use crate::error::{Error, Result};
use crate::model::memory::{
    Numbers, Pass, context_bytes, decode_bytes, drawing, encode_bytes, layers_bytes, vision_bytes,
};
use crate::model::qwen2_mot::N_MARKERS;
use crate::model::{ModelConfig, flux_vae, inventory};

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
    /// A question that draws both maps and looks at them, after others whose frames are kept; else one map and no more.
    pub is_question: bool,
}

impl Workload {
    /// What a robot's camera gives, unless something else is known.
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

/// The number formats of a model.
#[derive(Clone, Copy, Debug)]
pub struct Format {
    /// What is not quantised, the autoencoder aside.
    pub dtype: DType,
    /// The autoencoder.
    pub vae_dtype: DType,
    /// Of the transformer's matrices.
    pub quantization: Quantization,
    /// Whether they are quantised in their file already.
    pub is_in_file: bool,
}

impl Format {
    /// What the autoencoder multiplies in: beside quantised matrices nothing is exact, so it need not be, either.
    pub fn vae_products(self) -> ConvPrecision {
        match self.quantization != Quantization::None && self.vae_dtype == DType::F32 {
            true => ConvPrecision::I16,
            false => ConvPrecision::F32,
        }
    }

    /// Bytes of a number that is not quantised.
    fn number(self) -> u64 {
        self.dtype.size_in_bytes() as u64
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
    /// What loading takes for a while beyond all weights.
    pub loading: u64,
    /// Frames that are kept for further questions.
    pub kept: u64,
    /// Contexts of the work.
    pub contexts: u64,
    /// The step that takes most beside them.
    pub step: &'static str,
    /// And how much that is.
    pub step_bytes: u64,
}

impl MemoryPlan {
    /// Of a model with these headers, the transformer's with its quantised matrices.
    pub fn new(
        config: &ModelConfig,
        transformer: &SafetensorsHeader,
        vae: &SafetensorsHeader,
        format: Format,
        work: Workload,
    ) -> Self {
        let weights = Weights::new(config, transformer, vae, format);
        let (other_weights, vae) = (weights.language + weights.others, weights.vae);
        let weights_bytes = weights.matrices + other_weights + vae;
        let tokens = Tokens::new(config, work);
        let numbers = Numbers::new(config, format.dtype, format.quantization);
        let context = |n: usize| context_bytes(config, n, numbers.keys);
        // Two forks of a conversation: with the instruction and without it.
        let n_long = if work.is_question { 2 } else { 1 };
        let kept = if work.is_question {
            kept_bytes(weights_bytes) as u64
        } else {
            0
        };
        let (step, step_bytes) = steps(config, &tokens, numbers, format.vae_products())
            .into_iter()
            .max_by_key(|(_, n_bytes)| *n_bytes)
            .unwrap_or_default();
        Self {
            process: PROCESS,
            matrices: weights.matrices,
            other_weights,
            vae,
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

fn gigabytes(n_bytes: u64) -> String {
    format!("{:.2} GB", n_bytes as f64 * 1e-9)
}

/// Tokens of the work.
struct Tokens {
    /// The image's size for the autoencoder.
    size: (u32, u32),
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
            size,
            latents,
            patches,
            full: (image + maps + text).min(limit),
            alone: (maps + text).min(limit),
        }
    }
}

/// What each step of the work takes beside weights and contexts.
fn steps(
    config: &ModelConfig,
    tokens: &Tokens,
    numbers: Numbers,
    products: ConvPrecision,
) -> [(&'static str, u64); 5] {
    let read = tokens.latents.max(tokens.patches) + N_MARKERS;
    let prefill = Pass {
        n_tokens: read,
        n_branches: 1,
        n_seen: tokens.full,
    };
    let flow_step = drawing(tokens.latents, 3, tokens.full);
    [
        (
            "encoding the image",
            encode_bytes(&config.vae, tokens.size, products),
        ),
        (
            "vision encoder",
            vision_bytes(config, tokens.patches, numbers.plain),
        ),
        ("reading the image", layers_bytes(config, prefill, numbers)),
        ("a flow step", layers_bytes(config, flow_step, numbers)),
        (
            "decoding a map",
            decode_bytes(&config.vae, tokens.size, products),
        ),
    ]
}

/// Bytes of weights in the order in which they are read.
struct Weights {
    matrices: u64,
    /// Of the language model, its matrices aside.
    language: u64,
    /// Of the rest of the transformer's file.
    others: u64,
    vae: u64,
    loading: u64,
}

impl Weights {
    fn new(
        config: &ModelConfig,
        transformer: &SafetensorsHeader,
        vae: &SafetensorsHeader,
        format: Format,
    ) -> Self {
        let in_layers = inventory::layer_matrices(config);
        let (mut matrices, mut language, mut others) = (0, 0, 0);
        // A tensor is mapped and copied as it is stored before it takes its own number format.
        let (mut of_language, mut of_others) = (0, 0);
        for (name, info) in &transformer.tensors {
            let n = info.elements();
            let stored = n * info.dtype.bitsize() as u64 / 8;
            let is_in_language = name.starts_with("language_model.");
            let mut passing = if format.number() * n == stored {
                stored
            } else {
                2 * stored
            };
            if let Some(shape) = in_layers.get(name) {
                let (bytes, is_plain) = matrix_bytes(shape[0], shape[1], format);
                matrices += bytes;
                passing = match (is_plain, format.is_in_file) {
                    (true, _) => passing,
                    (false, true) => bytes,
                    // Read in the number format, quantised from f32.
                    (false, false) => passing + 4 * n,
                };
            } else if inventory::is_vocabulary(name)
                && info.dtype == Dtype::BF16
                && format.dtype == DType::F32
            {
                // It stays in 16 bits, but is read in 32: see `tensor::Vocabulary`.
                language += stored;
                if name == inventory::HEAD {
                    language += Vocabulary::draft_bytes(&info.shape);
                }
                passing += n * format.number();
            } else if is_in_language {
                language += n * format.number();
            } else {
                others += n * format.number();
            }
            let largest = if is_in_language {
                &mut of_language
            } else {
                &mut of_others
            };
            *largest = passing.max(*largest);
        }
        let number = format.vae_dtype.size_in_bytes() as u64;
        let bytes = |info: &TensorInfo| {
            let is_rounded = flux_vae::is_rounded(format.vae_products(), &info.shape);
            info.elements() * if is_rounded { 2 } else { number }
        };
        let largest_of_vae = vae.tensors.values().map(|info| info.elements() * number);
        let largest_of_vae = largest_of_vae.max().unwrap_or(0);
        let vae = vae.tensors.values().map(bytes).sum::<u64>();
        // Beyond all weights: while the language model is read, those behind it are not there yet.
        let loading = of_language
            .saturating_sub(others + vae)
            .max(of_others.saturating_sub(vae))
            .max(largest_of_vae);
        Self {
            matrices,
            language,
            others,
            vae,
            loading,
        }
    }
}

/// Bytes of a matrix of the layers, and whether it is not quantised.
fn matrix_bytes(out: usize, width: usize, format: Format) -> (u64, bool) {
    let n = (out * width) as u64;
    let Some(dtype) = format.quantization.of_rows(width) else {
        return (n * format.number(), true);
    };
    let bytes = quantized_bytes(dtype, (out, width), format.is_in_file);
    (bytes, false)
}

/// What a refusal is told with.
pub(super) struct Refusal<'a> {
    pub(super) plan: MemoryPlan,
    pub(super) available: u64,
    pub(super) work: Workload,
    /// Less demanding formats by their names, and what they take.
    pub(super) others: Vec<(&'a str, u64)>,
}

impl Refusal<'_> {
    /// The error, if the plan does not fit.
    pub(super) fn check(&self, dir: &std::path::Path) -> Result<()> {
        let (needed, available) = (self.plan.peak(), self.available);
        if needed <= available {
            return Ok(());
        }
        let (width, height) = self.work.image;
        let fits = self.others.iter().filter(|(_, peak)| *peak <= available);
        let fits: Vec<_> = fits
            .map(|(name, peak)| format!("{name} ({})", gigabytes(*peak)))
            .collect();
        let helps = match fits.as_slice() {
            [] => "no number format of it fits here".to_owned(),
            fits => format!("what fits: {}", fits.join(", ")),
        };
        Err(Error::weights(
            dir,
            format!(
                "expected at least {} of free memory for questions about images of {width}x{height}, got {} \
                 ({}); {helps}; to load it all the same: --ignore-memory, parameter model.ignore_memory",
                gigabytes(needed),
                gigabytes(available),
                self.plan,
            ),
        ))
    }
}
