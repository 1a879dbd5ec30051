//! Which tensors a model must have, and how a checkpoint differs from that: everything at once.
//!
//! Names and shapes come from the [description of the network](super::network).
//! Where a config is known to lie about a table's size (`max_latent_size`), the table itself is asked.

use std::collections::BTreeMap;

use cooper_kernels::SafetensorsHeader;

use super::config::{ModelConfig, VaeConfig};
use super::network::{Autoencoder, Layer, Transformer};

mod mismatch;

pub use mismatch::{Mismatch, Misshapen, check, check_vae};

pub use super::network::{
    HEAD, LATENT_POSITIONS, PositionSides, VIT_PATCH_POSITIONS, VIT_POSITIONS, is_vocabulary,
};

/// Names with their shapes.
pub type Shapes = BTreeMap<String, Vec<usize>>;

/// Every tensor of the transformer file (`ema.safetensors` or `model.safetensors`).
pub fn expected_tensors(config: &ModelConfig, header: &SafetensorsHeader) -> Shapes {
    tensors(config, PositionSides::new(config, header))
}

/// As [`expected_tensors`], with position tables of these sides.
pub fn tensors(config: &ModelConfig, sides: PositionSides) -> Shapes {
    let network = Transformer::new(config, sides);
    let layers = network.layers().into_iter();
    layers.flat_map(Layer::tensors).collect()
}

/// Every tensor of the autoencoder file (`ae.safetensors`).
pub fn expected_vae_tensors(config: &VaeConfig) -> Shapes {
    let network = Autoencoder::new(config);
    network.layers().flat_map(Layer::tensors).collect()
}

/// The matrices of the transformer's layers, which may be quantised, each with its shape (out, input).
pub fn layer_matrices(config: &ModelConfig) -> Shapes {
    // The sides of position tables do not matter here.
    let sides = PositionSides::new(config, &SafetensorsHeader::default());
    let network = Transformer::new(config, sides);
    let matrices = network
        .layers()
        .into_iter()
        .filter_map(|layer| match layer {
            Layer::Linear(linear) if linear.is_quantizable => {
                Some((linear.weight(), vec![linear.output, linear.input]))
            }
            _ => None,
        });
    matrices.collect()
}

#[cfg(test)]
mod tests;
