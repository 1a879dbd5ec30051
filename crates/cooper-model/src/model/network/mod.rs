//! The network as data: its layers, what their tensors are called, and how large they are.
//!
//! Whoever needs the network's shape walks this description: loading, the inventory of expected tensors
//! ([`super::inventory`]), the memory plan ([`super::memory`]), and the cost model of `cooper bench`.

mod autoencoder;
mod blocks;
mod layer;
mod transformer;
mod vision;

pub use autoencoder::Autoencoder;
pub use blocks::Block;
pub use layer::{Conv2d, ConvWeight, Layer, Linear, Norm, NormKind, Table};
pub use transformer::{
    DecoderExpert, DecoderLayer, HEAD, LATENT_POSITIONS, LanguageModel, PositionSides,
    TIME_CODE_DIM, Transformer, VIT_POSITIONS, is_vocabulary,
};
pub use vision::{VIT_PATCH_POSITIONS, VisionEncoder, VisionLayer};
