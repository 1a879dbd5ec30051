//! Bytes of weights in memory, from the headers of their files.

use std::collections::BTreeSet;

use candle_core::DType;
use cooper_kernels::{MatrixSource, Vocabulary, quantized_bytes};
use cooper_kernels::{SafetensorsHeader, TensorInfo};
use safetensors::Dtype;

use super::format::Format;
use crate::model::network::{Autoencoder, HEAD, Layer, Transformer, is_vocabulary};

/// Bytes of weights in the order in which they are read.
#[derive(Default)]
pub(super) struct WeightBytes {
    /// The matrices of the transformer's layers.
    pub(super) matrices: u64,
    /// The rest of the language model.
    pub(super) language: u64,
    /// The rest of the transformer's file.
    pub(super) others: u64,
    /// The autoencoder.
    pub(super) vae: u64,
    /// What loading takes for a while beyond all of them.
    pub(super) loading: u64,
}

impl WeightBytes {
    pub(super) fn new(
        network: &Transformer,
        transformer: &SafetensorsHeader,
        vae: (&Autoencoder, &SafetensorsHeader),
        format: Format,
    ) -> Self {
        let quantizable: BTreeSet<String> = quantizable(network).collect();
        let mut weights = Self::default();
        let (mut largest_of_language, mut largest_of_others) = (0, 0);
        for (name, info) in &transformer.tensors {
            let (sum, largest, bytes) = if quantizable.contains(name) {
                let bytes = TensorBytes::of_matrix(info, format);
                (&mut weights.matrices, &mut largest_of_language, bytes)
            } else if name.starts_with("language_model.") {
                let bytes = TensorBytes::of_language(name, info, format);
                (&mut weights.language, &mut largest_of_language, bytes)
            } else {
                let bytes = TensorBytes::plain(info, format.dtype);
                (&mut weights.others, &mut largest_of_others, bytes)
            };
            *sum += bytes.loaded;
            *largest = bytes.passing.max(*largest);
        }
        let (vae, largest_of_vae) = vae_bytes(vae, format);
        weights.vae = vae;
        // While the language model is read, what is read behind it does not take memory yet.
        weights.loading = largest_of_language
            .saturating_sub(weights.others + vae)
            .max(largest_of_others.saturating_sub(vae))
            .max(largest_of_vae);
        weights
    }

    /// All weights as loaded.
    pub(super) fn total(&self) -> u64 {
        self.matrices + self.language + self.others + self.vae
    }
}

fn quantizable(network: &Transformer) -> impl Iterator<Item = String> {
    let layers = network.layers().into_iter();
    layers.filter_map(|layer| match layer {
        Layer::Linear(linear) if linear.is_quantizable => Some(linear.weight()),
        _ => None,
    })
}

/// The autoencoder's bytes as loaded, and the largest tensor's while it is read.
fn vae_bytes((network, header): (&Autoencoder, &SafetensorsHeader), format: Format) -> (u64, u64) {
    let number = format.vae_dtype.size_in_bytes() as u64;
    let rounded = network.layers().filter_map(|layer| match layer {
        Layer::Conv2d(conv) if conv.is_rounded(format.vae_precision()) => Some(conv.weight()),
        _ => None,
    });
    let rounded: BTreeSet<String> = rounded.collect();
    let bytes = |(name, info): (&String, &TensorInfo)| {
        info.elements() * if rounded.contains(name) { 2 } else { number }
    };
    let read = header.tensors.values().map(|info| info.elements() * number);
    let largest = read.max().unwrap_or(0);
    (header.tensors.iter().map(bytes).sum(), largest)
}

/// Bytes of a tensor.
struct TensorBytes {
    loaded: u64,
    /// While it is read.
    passing: u64,
}

impl TensorBytes {
    /// A tensor that takes the number format.
    fn plain(info: &TensorInfo, dtype: DType) -> Self {
        let loaded = info.elements() * dtype.size_in_bytes() as u64;
        let stored = stored_bytes(info);
        // It is mapped and copied as it is stored before it takes its own number format.
        let passing = if loaded == stored { stored } else { 2 * stored };
        Self { loaded, passing }
    }

    /// A tensor of the language model that is no matrix of a layer.
    fn of_language(name: &str, info: &TensorInfo, format: Format) -> Self {
        let plain = Self::plain(info, format.dtype);
        let stays_stored = info.dtype == Dtype::BF16 && format.dtype == DType::F32;
        if !is_vocabulary(name) || !stays_stored {
            return plain;
        }
        // It stays in 16 bits, but is read in 32: see `cooper_kernels::Vocabulary`.
        let head = match name == HEAD {
            true => Vocabulary::quantized_head_bytes(&info.shape),
            false => 0,
        };
        Self {
            loaded: stored_bytes(info) + head,
            passing: plain.passing + plain.loaded,
        }
    }

    /// A matrix of a layer.
    fn of_matrix(info: &TensorInfo, format: Format) -> Self {
        let plain = Self::plain(info, format.dtype);
        let &[out, width] = info.shape.as_slice() else {
            return plain;
        };
        let Some(dtype) = format.quantization.block_dtype(width) else {
            return plain;
        };
        let loaded = quantized_bytes(dtype, (out, width), format.quantized_from);
        let passing = match format.quantized_from {
            MatrixSource::File => loaded,
            // Read in the number format, quantised from f32.
            MatrixSource::Weights => plain.passing + 4 * info.elements(),
        };
        Self { loaded, passing }
    }
}

fn stored_bytes(info: &TensorInfo) -> u64 {
    info.elements() * info.dtype.bitsize() as u64 / 8
}
