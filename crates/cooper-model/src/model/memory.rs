//! Bytes that the network's passes hold at most beside the weights and the contexts, on a CPU.
//!
//! Sums over the tensors that are alive at once while `qwen2_mot`, `siglip_navit` and `flux_vae` compute: whoever changes
//! what is alive there changes it here. `tests/limits/memory.rs` compares them with real runs.

use candle_core::{DType, Device};
use cooper_kernels::{
    ConvPrecision, IM2COL_BAND, MIN_WINOGRAD_CHANNELS, Quantization, has_tiles, keys_dtype,
    winograd_scratch,
};

use super::experts::Expert;
use super::kv_context::buffer_tokens;
use super::network::{
    Block, Conv2d, DecoderLayer, LanguageModel, Linear, VisionEncoder, VisionLayer,
};
use super::qwen2_mot::N_MARKERS;

/// Bytes of a number in f32.
const F32: usize = 4;
/// Scores of a block of attention and what is made of them; rows of a band of the autoencoder.
const SCRATCH: usize = 2 * IM2COL_BAND * F32;

/// How the language model keeps its numbers.
#[derive(Clone, Copy, Debug)]
pub struct Numbers {
    /// Bytes of a number that is not quantised.
    pub plain: usize,
    /// Bytes of a number in keys and values.
    pub keys: usize,
    /// Whether SwiGLU is computed some rows at a time, from end to end.
    pub are_gated_in_parts: bool,
}

impl Numbers {
    /// Of a model that computes in `dtype` on the CPU, with matrices quantised like this.
    pub fn new(network: &LanguageModel, dtype: DType, quantization: Quantization) -> Self {
        let precision = quantization.key_precision();
        let layers = || network.decoder.iter();
        let keys = |layer: &DecoderLayer| {
            let dtype = keys_dtype(dtype, precision, layer.head_dim, &Device::Cpu);
            dtype.size_in_bytes()
        };
        let is_tiled = |matrix: &Linear| {
            let dtype = quantization.block_dtype(matrix.input);
            dtype.is_some_and(|dtype| has_tiles(dtype, matrix.output, matrix.input))
        };
        let is_gated_in_parts = |layer: &DecoderLayer| {
            let expert = layer.experts.get(Expert::Und);
            is_tiled(&expert.gate_proj) && is_tiled(&expert.down_proj)
        };
        Self {
            plain: dtype.size_in_bytes(),
            keys: layers().map(keys).max().unwrap_or(0),
            are_gated_in_parts: layers().all(is_gated_in_parts),
        }
    }
}

/// The sizes of a pass through the decoder.
#[derive(Clone, Copy, Debug)]
pub struct Pass {
    /// Tokens of all branches.
    pub n_tokens: usize,
    /// Branches: tokens of one do not attend to another's.
    pub n_branches: usize,
    /// Tokens that each token attends to.
    pub n_keys: usize,
}

impl Pass {
    /// A flow step: `n_latents` tokens of each branch with their markers, behind contexts of at most `n_context` tokens.
    pub fn flow_step(n_latents: usize, n_branches: usize, n_context: usize) -> Self {
        let n = n_latents + N_MARKERS;
        Self {
            n_tokens: n * n_branches,
            n_branches,
            n_keys: n_context + n,
        }
    }
}

/// Bytes of a context's buffers that were made for `n_tokens`.
pub fn context_bytes(network: &LanguageModel, n_tokens: usize, numbers: Numbers) -> u64 {
    let layers = network.decoder.iter();
    let keys_and_values = layers.map(|layer| 2 * layer.n_key_heads * layer.head_dim);
    let token_bytes = keys_and_values.sum::<usize>() * numbers.keys;
    (buffer_tokens(n_tokens) * token_bytes) as u64
}

/// Peak bytes of a pass through the decoder.
pub fn decoder_bytes(network: &LanguageModel, pass: Pass, numbers: Numbers) -> u64 {
    let layers = network.decoder.iter();
    let peak = layers.map(|layer| decoder_layer_bytes(layer, pass, numbers));
    (peak.max().unwrap_or(0) + SCRATCH) as u64
}

fn decoder_layer_bytes(layer: &DecoderLayer, pass: Pass, numbers: Numbers) -> usize {
    let number = numbers.plain;
    // Both experts have the same sizes.
    let expert = layer.experts.get(Expert::Und);
    let (c, inner) = (expert.gate_proj.input, expert.gate_proj.output);
    let keys = expert.k_proj.output;
    let n = pass.n_tokens;
    // A block's queries, keys and values in f32, normed and rotated, and those of all blocks as they were projected.
    let n_block = n / pass.n_branches;
    let qkv = (c + 2 * keys) * (2 * n_block * F32 + n * number);
    // The keys and values that a block attends to, and all scores where they are not computed in parts.
    let attended_keys = 2 * pass.n_keys * keys * numbers.keys;
    let scores = match number < F32 {
        true => layer.n_heads * n_block * pass.n_keys * (2 * F32 + 2 * number),
        false => 0,
    };
    // The residual stream, and attention's result by heads and by tokens.
    let attention = 3 * n * c * number + qkv + attended_keys + scores;
    // Gate, up and their product; 16-bit ones are multiplied with quantised matrices in f32.
    let wide = match numbers.are_gated_in_parts {
        // The rounded input; the middle stays in the cache.
        true => n * c * F32 / 2,
        false => n * inner * (3 * number + if number < F32 { F32 } else { 0 }),
    };
    // The stream before and behind attention, its norm, and the result.
    let feed_forward = 4 * n * c * number + wide;
    attention.max(feed_forward)
}

/// Peak bytes of the vision encoder on `n` patches, in numbers of `number` bytes.
pub fn vision_bytes(network: &VisionEncoder, n: usize, number: usize) -> u64 {
    let layers = network.encoder.iter();
    let peak = layers.map(|layer| vision_layer_bytes(layer, n, number));
    let layers = (peak.max().unwrap_or(0) + SCRATCH) as u64;
    let n_pixels = n * network.patch_size.pow(2);
    layers.max(conv_bytes(&network.stem, n_pixels, ConvPrecision::F32))
}

fn vision_layer_bytes(layer: &VisionLayer, n: usize, number: usize) -> usize {
    let (c, inner) = (layer.fc1.input, layer.fc1.output);
    let wide = 2 * n * inner * number;
    let scores = layer.n_heads * n * n * (2 * F32 + 2 * number);
    let attention = 5 * n * c * number + if number < F32 { scores } else { 0 };
    4 * n * c * number + wide.max(attention)
}

/// Peak bytes of convolutional blocks, on a CPU, where the first has `n_pixels` pixels as input.
pub fn conv_bytes(blocks: &[Block], n_pixels: usize, precision: ConvPrecision) -> u64 {
    let mut peak = PeakMemory {
        n_pixels,
        n_numbers: 0,
        precision,
    };
    for block in blocks {
        peak.add(block);
    }
    (peak.n_numbers * F32 + SCRATCH) as u64
}

/// The most numbers that are alive at once, from block to block.
struct PeakMemory {
    /// Pixels of the present level.
    n_pixels: usize,
    n_numbers: usize,
    precision: ConvPrecision,
}

impl PeakMemory {
    fn add(&mut self, block: &Block) {
        match block {
            Block::Conv(conv) => self.alive(conv.c_in + conv.c_out),
            Block::Resnet {
                conv1,
                conv2,
                shortcut,
                ..
            } => {
                // The input is alive for the shortcut; the sum takes the shortcut's place.
                self.conv(conv1.c_in + conv1.c_out, conv1);
                if shortcut.is_some() {
                    self.alive(conv1.c_in + 2 * conv1.c_out);
                }
                self.conv(2 * conv2.c_out, conv2);
            }
            // Its input, the norm, and queries, keys and values before and behind their transposition.
            Block::Attention { norm, .. } => self.alive(8 * norm.width),
            Block::Downsample(conv) => {
                self.alive(conv.c_in + conv.c_out / 4);
                self.n_pixels /= 4;
            }
            Block::Upsample(conv) => {
                self.n_pixels *= 4;
                self.conv(conv.c_in / 4 + conv.c_out, conv);
            }
            Block::Output { conv, .. } => self.conv(conv.c_in + conv.c_out, conv),
        }
    }

    fn alive(&mut self, channels: usize) {
        self.n_numbers = self.n_numbers.max(self.n_pixels * channels);
    }

    /// A convolution while so many channels are alive, its result among them.
    fn conv(&mut self, channels: usize, conv: &Conv2d) {
        let scratch = winograd_scratch(conv.c_in, conv.c_out, self.n_pixels, self.precision);
        // With few channels, what norm and SiLU make of the input is written down.
        let activated = if conv.c_in < MIN_WINOGRAD_CHANNELS {
            conv.c_in
        } else {
            0
        };
        let n_numbers = self.n_pixels * (channels + activated) + scratch;
        self.n_numbers = self.n_numbers.max(n_numbers);
    }
}
