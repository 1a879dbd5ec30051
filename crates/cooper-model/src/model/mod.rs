//! The network: BAGEL's two-expert transformer, its two image encoders, and what joins them.
//!
//! Weights and forward passes only; contexts are values that are passed in (see [`KvContext`]).

pub mod config;
mod conv_blocks;
pub mod drawing;
pub mod experts;
pub mod flux_vae;
mod grid;
mod images;
pub mod inventory;
pub mod kv_context;
pub mod memory;
pub mod network;
mod palette;
pub mod parts;
pub mod pixels;
pub mod qwen2_mot;
pub mod siglip_navit;
pub mod tokenizer;
pub mod unified;
mod weights;

pub use config::{DepthConfig, DepthCurve, ModelConfig};
pub use flux_vae::FluxVae;
pub use grid::Grid;
pub use kv_context::KvContext;
pub use palette::{Palette, PaletteClass};
pub use tokenizer::{ControlTokens, Tokenizer};
pub use unified::UnifiedModel;
