//! The number formats in which a model is loaded.

use candle_core::DType;
use cooper_kernels::{ConvPrecision, MatrixSource, Quantization};

/// The number formats of a model.
#[derive(Clone, Copy, Debug)]
pub struct Format {
    /// What is not quantised, the autoencoder aside.
    pub dtype: DType,
    /// The autoencoder.
    pub vae_dtype: DType,
    /// How the transformer's matrices are quantised.
    pub quantization: Quantization,
    /// Where the quantised matrices come from.
    pub quantized_from: MatrixSource,
}

impl Format {
    /// Precision of the autoencoder's convolutions: with quantised matrices nothing is exact, so it need not be, either.
    pub fn vae_precision(self) -> ConvPrecision {
        match self.quantization != Quantization::None && self.vae_dtype == DType::F32 {
            true => ConvPrecision::I16,
            false => ConvPrecision::F32,
        }
    }
}
