//! Candle operations that the network needs, each in one place.
//!
//! Candle's fused norm, softmax and rope have no backward, silently. So each op here, where something in its input
//! is tracked for gradients, brings a backward of its own or takes the differentiable form.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

pub mod activation;
pub mod attention;
pub mod autograd;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(not(target_arch = "x86_64"))]
#[path = "no_avx512.rs"]
mod avx512;
pub mod checkpoint;
pub mod conv;
pub mod device;
pub mod gguf;
pub mod group_norm;
pub mod heads;
pub mod im2col;
pub mod linear;
pub mod mapped;
pub mod matmul;
pub mod memory;
pub mod norm;
pub mod packed_attention;
pub mod quantization;
mod quantized_lm_head;
pub mod quantized_matrix;
pub mod random;
pub mod repacked;
pub mod rope;
pub mod simd;
pub mod threads;
pub mod upsample;
pub mod vocabulary;
pub mod winograd;

pub use activation::{gelu, silu, swiglu};
pub use attention::{AttentionMask, attention, causal_mask, keys_dtype};
pub use conv::Conv2d;
pub use device::{DeviceChoice, DtypeChoice};
pub use gguf::{GgufFile, MatrixInfo, write_gguf};
pub use group_norm::GroupNorm;
pub use heads::{HeadRows, head_rows, heads};
pub use im2col::Shape as ConvShape;
pub use linear::{Linear, Matrices};
pub use mapped::stored_tensors;
pub use memory::{give_back_memory, keep_one_heap, use_large_pages};
pub use norm::{LayerNorm, RmsNorm};
pub use packed_attention::{Segment, Segments, packed_attention};
pub use quantization::Quantization;
pub use quantized_matrix::{QuantizedFrom, QuantizedMatrix, has_tiles, quantized_bytes};
pub use random::Noise;
pub use rope::RotaryEmbedding;
pub use threads::use_threads;
pub use upsample::upsample_2x;
pub use vocabulary::Vocabulary;
pub use winograd::ConvPrecision;
