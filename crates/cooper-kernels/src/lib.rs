//! Tensor operations of the COOPER model: candle's, and our own where a measurement shows the gain.
//!
//! - It knows tensors, number formats, weights files and this machine. It must never know the network: no layer's name, width
//!   or number comes from here.
//! - All `unsafe` code of the workspace is here: memory maps, the environment, glibc's settings, AVX-512.
//! - Start at [`attention`], [`Conv2d`] and [`Linear`], the three operations that take nearly all of the time.
//!
//! Candle's fused norm, softmax and rope have no backward and do not say so. Each operation here that gets a tensor which is
//! tracked for gradients has a backward of its own or takes a differentiable form; `tests/operations.rs` checks it.
//!
//! Shapes in comments: `b` images, `n` tokens, `m` keys, `c` channels, `h` query heads, `kv` key heads, `d` numbers of a head,
//! `(hh, ww)` pixels.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]
// What only kernels for x86-64 read.
#![cfg_attr(not(target_arch = "x86_64"), allow(dead_code))]

mod activation;
mod attention;
mod autograd;
mod avx512;
mod bf16_attention;
mod bf16_head;
mod conv;
mod conv_precision;
mod device;
mod gguf;
mod group_norm;
mod heads;
mod im2col;
mod int16_matmul;
mod key_heads;
mod linear;
mod linear_backward;
mod mapped;
mod matmul;
mod memory;
mod norm;
mod packed_attention;
mod quantization;
mod quantized_lm_head;
mod quantized_matrix;
mod random;
mod repacked;
mod rope;
mod safetensors_header;
mod simd;
mod softmax;
mod threads;
mod tile;
mod tiled_matrix;
mod upsample;
mod vocabulary;
mod winograd;
mod winograd_conv;

pub use activation::{gelu, silu, swiglu};
pub use attention::{AttentionMask, KeyPrecision, attention, causal_mask, keys_dtype};
pub use autograd::with_slices;
pub use conv::Conv2d;
pub use conv_precision::{ConvPrecision, MIN_WINOGRAD_CHANNELS};
pub use device::{DeviceChoice, DtypeChoice};
pub use gguf::{GgufFile, MatrixInfo, write_gguf};
pub use group_norm::GroupNorm;
pub use heads::{TokenRows, merge_heads, split_heads};
pub use im2col::{ConvShape, IM2COL_BAND};
pub use linear::{Linear, Matrices};
pub use mapped::stored_tensors;
pub use memory::{give_back_memory, keep_one_heap, use_large_pages};
pub use norm::{LayerNorm, RmsNorm};
pub use packed_attention::{Segment, Segments, packed_attention};
pub use quantization::Quantization;
pub use quantized_matrix::{
    MatrixSource, QuantizedMatrix, has_tiles, quantized_bytes, quantized_matmul,
};
pub use random::Noise;
pub use rope::{RotaryEmbedding, rotate};
pub use safetensors_header::{SafetensorsHeader, TensorInfo};
pub use simd::dot;
pub use threads::use_threads;
pub use upsample::upsample_2x;
pub use vocabulary::Vocabulary;
pub use winograd::winograd_scratch;
