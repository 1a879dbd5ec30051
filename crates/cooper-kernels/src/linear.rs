//! Linear layers, and where their matrices come from: as stored, quantised while loading, or quantised in a file.

use std::sync::Arc;

use candle_core::quantized::QTensor;
use candle_core::{Module, Result, Tensor, bail};
use candle_nn::VarBuilder;

use super::activation::swiglu;
use super::attention::KeyPrecision;
use super::gguf::GgufFile;
use super::linear_backward;
use super::quantization::Quantization;
use super::quantized_matrix::{QuantizedMatrix, quantized_matmul, quantized_swiglu};

/// Where the matrices of the transformer's layers come from. Biases are always in the weights file.
#[derive(Clone, Debug)]
pub enum Matrices {
    /// From the weights file; quantised while they are read.
    Stored(Quantization),
    /// From a file of quantised matrices; those that are not in it, from the weights file as they are.
    Gguf(Arc<GgufFile>),
}

impl Default for Matrices {
    fn default() -> Self {
        Self::Stored(Quantization::None)
    }
}

impl Matrices {
    /// A layer with a bias: `weight` (out, input) and `bias` (out) below `vb`.
    ///
    /// # Errors
    /// If a tensor is missing or misshapen.
    pub fn linear(&self, input: usize, out: usize, vb: VarBuilder) -> Result<Linear> {
        let bias = vb.get(out, "bias")?;
        self.build(input, out, &vb, Some(bias))
    }

    /// A layer without a bias.
    ///
    /// # Errors
    /// If the tensor is missing or misshapen.
    pub fn linear_no_bias(&self, input: usize, out: usize, vb: VarBuilder) -> Result<Linear> {
        self.build(input, out, &vb, None)
    }

    /// The precision for keys and values of attention between such matrices.
    pub fn key_precision(&self) -> KeyPrecision {
        match self {
            Self::Stored(quantization) => quantization.key_precision(),
            Self::Gguf(_) => KeyPrecision::Reduced,
        }
    }

    fn build(
        &self,
        input: usize,
        out: usize,
        vb: &VarBuilder,
        bias: Option<Tensor>,
    ) -> Result<Linear> {
        let name = format!("{}.weight", vb.prefix());
        let quantization = match self {
            Self::Gguf(file) if file.has(&name) => {
                let matrix = file.matrix(&name, (out, input), bias, vb.device())?;
                return Ok(Linear::Quantized(matrix));
            }
            // The file leaves out matrices whose rows are not whole blocks.
            Self::Gguf(_) => Quantization::None,
            Self::Stored(quantization) => *quantization,
        };
        let weight = vb.get((out, input), "weight")?;
        match quantization.block_dtype(input) {
            Some(dtype) => {
                let matrix = QTensor::quantize(&weight, dtype)?;
                QuantizedMatrix::new(matrix, bias).map(Linear::Quantized)
            }
            None => Ok(Linear::Plain(candle_nn::Linear::new(weight, bias))),
        }
    }
}

/// A linear layer, (n, input) → (n, out).
#[derive(Clone, Debug)]
pub enum Linear {
    /// With a matrix in the weights' number format. It has gradients.
    Plain(candle_nn::Linear),
    /// With a quantised matrix. It has no gradients.
    Quantized(QuantizedMatrix),
}

impl Linear {
    /// The outputs of layers of the same input width, as [`Module::forward`] of each gives them.
    ///
    /// # Errors
    /// If shapes do not fit.
    pub fn forward_all<const N: usize>(layers: [&Self; N], xs: &Tensor) -> Result<[Tensor; N]> {
        let done = match all_quantized(layers) {
            Some(matrices) => quantized_matmul(xs, &matrices)?,
            None => {
                let each = layers.iter().map(|layer| layer.forward(xs));
                each.collect::<Result<_>>()?
            }
        };
        match done.try_into() {
            Ok(done) => Ok(done),
            Err(_) => bail!("linear layers: expected {N} results, got others"),
        }
    }

    /// SwiGLU: `down(silu(gate(xs)) · up(xs))`.
    ///
    /// # Errors
    /// If shapes do not fit.
    pub fn gated(layers: [&Self; 3], xs: &Tensor) -> Result<Tensor> {
        if let Some(matrices) = all_quantized(layers)
            && let Ok(matrices) = matrices.try_into()
            && let Some(done) = quantized_swiglu(xs, matrices)?
        {
            return Ok(done);
        }
        let [gate, up, down] = layers;
        let [gate, up] = Self::forward_all([gate, up], xs)?;
        down.forward(&swiglu(&gate, &up)?)
    }
}

/// The matrices, if all are quantised.
fn all_quantized<const N: usize>(layers: [&Linear; N]) -> Option<Vec<&QuantizedMatrix>> {
    let matrices = layers.into_iter().map(|layer| match layer {
        Linear::Quantized(matrix) => Some(matrix),
        Linear::Plain(_) => None,
    });
    matrices.collect()
}

impl Module for Linear {
    fn forward(&self, xs: &Tensor) -> Result<Tensor> {
        match self {
            Self::Plain(plain) => linear_backward::forward(plain, xs),
            Self::Quantized(_) => Self::forward_all([self], xs).map(|[ys]| ys),
        }
    }
}
