//! Bytes that the network's passes hold at most beside the weights and the contexts, on a CPU.
//!
//! These are sums over the tensors that are alive at once in `qwen2_mot`, `siglip_navit` and `flux_vae`; whoever changes
//! what is alive there changes it here. `tests/memory.rs` holds them against real runs.

use candle_core::{DType, Device};
use cooper_kernels::im2col::BAND;
use cooper_kernels::winograd::{self, FEWEST_CHANNELS};
use cooper_kernels::{ConvPrecision, Quantization, has_tiles, keys_dtype};

use super::config::{ModelConfig, VaeConfig};
use super::kv_context::buffer_tokens;
use super::qwen2_mot::N_MARKERS;

/// Bytes of a number in f32.
const F32: usize = 4;
/// Scores of a block of attention and what is made of them; rows of a band of the autoencoder.
const SCRATCH: usize = 2 * BAND * F32;

/// The numbers of the decoder.
#[derive(Clone, Copy, Debug)]
pub struct Numbers {
    /// Bytes of one that is not quantised.
    pub plain: usize,
    /// Bytes of one in keys and values.
    pub keys: usize,
    /// Whether SwiGLU goes from end to end some rows at a time.
    pub are_gated_in_parts: bool,
}

impl Numbers {
    /// Of a model that computes in `dtype` on the CPU, with matrices quantised like this.
    pub fn new(config: &ModelConfig, dtype: DType, quantization: Quantization) -> Self {
        let (c, inner) = (config.llm.hidden_size, config.llm.intermediate_size);
        let are_quantized = quantization != Quantization::None;
        let keys = keys_dtype(dtype, are_quantized, config.llm.head_dim(), &Device::Cpu);
        let is_tiled = |out, width| {
            let dtype = quantization.of_rows(width);
            dtype.is_some_and(|dtype| has_tiles(dtype, out, width))
        };
        Self {
            plain: dtype.size_in_bytes(),
            keys: keys.size_in_bytes(),
            are_gated_in_parts: is_tiled(inner, c) && is_tiled(c, inner),
        }
    }
}

/// The sizes of a pass through the decoder's layers.
#[derive(Clone, Copy, Debug)]
pub struct Pass {
    /// Tokens that go through it, of all branches.
    pub n_tokens: usize,
    /// Branches: as many tokens of each see each other.
    pub n_branches: usize,
    /// Tokens that one sees.
    pub n_seen: usize,
}

/// Bytes of a context's buffers that were made for `n_tokens`, in numbers of `number` bytes.
pub fn context_bytes(config: &ModelConfig, n_tokens: usize, number: usize) -> u64 {
    (buffer_tokens(n_tokens) * token_bytes(config, number)) as u64
}

/// Bytes of a token's keys and values.
pub fn token_bytes(config: &ModelConfig, number: usize) -> usize {
    let llm = &config.llm;
    2 * llm.num_hidden_layers * llm.num_key_value_heads * llm.head_dim() * number
}

/// Of a pass through the decoder's layers.
pub fn layers_bytes(config: &ModelConfig, pass: Pass, numbers: Numbers) -> u64 {
    let number = numbers.plain;
    let llm = &config.llm;
    let (c, inner) = (llm.hidden_size, llm.intermediate_size);
    let keys = llm.num_key_value_heads * llm.head_dim();
    let n = pass.n_tokens;
    // A block's queries, keys and values in f32, normed and rotated, and those of all as they were projected.
    let n_block = n / pass.n_branches;
    let qkv = (c + 2 * keys) * (2 * n_block * F32 + n * number);
    // The keys and values that a block sees, and all scores where they are not computed in parts.
    let keys_seen = 2 * pass.n_seen * keys * numbers.keys;
    let scores = match number < F32 {
        true => llm.num_attention_heads * n_block * pass.n_seen * (2 * F32 + 2 * number),
        false => 0,
    };
    // The residual stream, and what was seen, by heads and by tokens.
    let attention = 3 * n * c * number + qkv + keys_seen + scores;
    // Gate, up and their product; 16-bit ones are multiplied with quantised matrices in f32.
    let wide = match numbers.are_gated_in_parts {
        // What goes in, rounded; the middle is in the cache.
        true => n * c * F32 / 2,
        false => n * inner * (3 * number + if number < F32 { F32 } else { 0 }),
    };
    // The stream before and behind attention, the norm of it, and what comes out.
    let feed_forward = 4 * n * c * number + wide;
    (attention.max(feed_forward) + SCRATCH) as u64
}

/// Of the vision encoder reading `n` patches, in numbers of `number` bytes.
pub fn vision_bytes(config: &ModelConfig, n: usize, number: usize) -> u64 {
    let vit = &config.vit;
    let (c, inner) = (vit.hidden_size, vit.intermediate_size);
    let wide = 2 * n * inner * number;
    let scores = vit.num_attention_heads * n * n * (2 * F32 + 2 * number);
    let seen = 5 * n * c * number + if number < F32 { scores } else { 0 };
    (4 * n * c * number + wide.max(seen) + SCRATCH) as u64
}

/// Of the autoencoder reading an image (width, height).
pub fn encode_bytes(
    config: &VaeConfig,
    (width, height): (u32, u32),
    products: ConvPrecision,
) -> u64 {
    let mut held = PeakMemory::new((width * height) as usize, products);
    let mut c = config.ch;
    held.at_most(config.in_channels + c);
    for (i, c_out) in channels(config).into_iter().enumerate() {
        for _ in 0..config.num_res_blocks {
            held.res_block(c, c_out);
            c = c_out;
        }
        if i + 1 < config.ch_mult.len() {
            held.at_most(c + c / 4);
            held.n_pixels /= 4;
        }
    }
    held.middle(c);
    held.activated_conv(c, 2 * config.z_channels);
    held.bytes()
}

/// Of the autoencoder drawing an image (width, height).
pub fn decode_bytes(
    config: &VaeConfig,
    (width, height): (u32, u32),
    products: ConvPrecision,
) -> u64 {
    let channels = channels(config);
    let n_pixels = (width * height) as usize >> (2 * (channels.len() - 1));
    let mut held = PeakMemory::new(n_pixels, products);
    let mut c = channels.last().copied().unwrap_or(config.ch);
    held.at_most(config.z_channels + c);
    held.middle(c);
    for (i, c_out) in channels.into_iter().enumerate().rev() {
        for _ in 0..=config.num_res_blocks {
            held.res_block(c, c_out);
            c = c_out;
        }
        if i > 0 {
            held.n_pixels *= 4;
            held.conv(c / 4 + c, c, c);
        }
    }
    held.activated_conv(c, config.out_ch);
    held.bytes()
}

fn channels(config: &VaeConfig) -> Vec<usize> {
    config.ch_mult.iter().map(|m| config.ch * m).collect()
}

/// Numbers that are held at most, from level to level.
struct PeakMemory {
    /// Of the present level.
    n_pixels: usize,
    most: usize,
    products: ConvPrecision,
}

impl PeakMemory {
    fn new(n_pixels: usize, products: ConvPrecision) -> Self {
        Self {
            n_pixels,
            most: 0,
            products,
        }
    }

    fn at_most(&mut self, channels: usize) {
        self.most = self.most.max(self.n_pixels * channels);
    }

    /// A convolution while so many channels are alive, its result among them.
    fn conv(&mut self, alive: usize, c: usize, c_out: usize) {
        let scratch = winograd::scratch(c, c_out, self.n_pixels, self.products);
        // With few channels, what norm and SiLU make of the input is written down.
        let activated = if c < FEWEST_CHANNELS { c } else { 0 };
        let channels = alive + activated;
        self.most = self.most.max(self.n_pixels * channels + scratch);
    }

    /// Input and result.
    fn activated_conv(&mut self, c: usize, c_out: usize) {
        self.conv(c + c_out, c, c_out);
    }

    /// The input is held for the shortcut; the sum is where the shortcut was.
    fn res_block(&mut self, c: usize, c_out: usize) {
        self.activated_conv(c, c_out);
        if c != c_out {
            self.at_most(c + 2 * c_out);
        }
        self.conv(2 * c_out, c_out, c_out);
    }

    /// Two blocks, and attention: its input, the norm, queries, keys and values before and behind their transposition.
    fn middle(&mut self, c: usize) {
        self.res_block(c, c);
        self.at_most(8 * c);
    }

    fn bytes(&self) -> u64 {
        (self.most * F32 + SCRATCH) as u64
    }
}

/// A drawing's pass: the latents of as many branches, each with its markers, behind contexts of at most `n_read` tokens.
pub fn drawing(n_latents: usize, n_branches: usize, n_read: usize) -> Pass {
    let n = n_latents + N_MARKERS;
    Pass {
        n_tokens: n * n_branches,
        n_branches,
        n_seen: n_read + n,
    }
}
