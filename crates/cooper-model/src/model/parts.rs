//! What joins encoders and transformer: connector, time embedder, position tables.

use candle_core::{DType, Device, Module, Result, Tensor};
use candle_nn::VarBuilder;
use cooper_kernels::{Linear, gelu, silu};

use super::network::{self, TIME_CODE_DIM};
use super::weights::linear;

/// ViT features to the transformer's width: linear, GELU (tanh), linear.
#[derive(Clone, Debug)]
pub struct Connector {
    fc1: Linear,
    fc2: Linear,
}

impl Connector {
    /// Reads its two layers.
    ///
    /// # Errors
    /// If a tensor is missing or misshapen.
    pub fn new([fc1, fc2]: &[network::Linear; 2], vb: &VarBuilder) -> Result<Self> {
        Ok(Self {
            fc1: linear(fc1, vb)?,
            fc2: linear(fc2, vb)?,
        })
    }

    /// (n, vit) → (n, c)
    ///
    /// # Errors
    /// If shapes do not fit.
    pub fn forward(&self, features: &Tensor) -> Result<Tensor> {
        self.fc2.forward(&gelu(&self.fc1.forward(features)?)?)
    }
}

/// A flow time in [0, 1], used as it is, as a vector of the transformer's width.
#[derive(Clone, Debug)]
pub struct TimeEmbedder {
    mlp_0: Linear,
    mlp_2: Linear,
    /// (1, 128)
    frequencies: Tensor,
    /// Of the weights.
    dtype: DType,
}

impl TimeEmbedder {
    /// Reads its two layers.
    ///
    /// # Errors
    /// If a tensor is missing or misshapen.
    pub fn new([mlp_0, mlp_2]: &[network::Linear; 2], vb: &VarBuilder) -> Result<Self> {
        let half = TIME_CODE_DIM / 2;
        let frequencies: Vec<f32> = (0..half)
            .map(|i| (-(10_000f32.ln()) * i as f32 / half as f32).exp())
            .collect();
        Ok(Self {
            mlp_0: linear(mlp_0, vb)?,
            mlp_2: linear(mlp_2, vb)?,
            frequencies: Tensor::from_vec(frequencies, (1, half), vb.device())?,
            dtype: vb.dtype(),
        })
    }

    /// Times (b) → (b, c), in the weights' dtype.
    ///
    /// # Errors
    /// If the device fails.
    pub fn forward(&self, times: &Tensor) -> Result<Tensor> {
        let angles = times
            .to_dtype(DType::F32)?
            .unsqueeze(1)?
            .matmul(&self.frequencies)?;
        let code = Tensor::cat(&[angles.cos()?, angles.sin()?], 1)?;
        let code = code.to_dtype(self.dtype)?;
        self.mlp_2.forward(&silu(&self.mlp_0.forward(&code)?)?)
    }
}

/// The fixed 2-D position table (side², c): the column in the first half, the row in the second,
/// each as sines, then cosines, of `position · 10000^(−k/(c/4))`.
///
/// Source: BAGEL `modeling/bagel/modeling_utils.py`, `get_2d_sincos_pos_embed`.
///
/// # Errors
/// If the device fails.
pub fn sincos_table(side: usize, c: usize, device: &Device) -> Result<Tensor> {
    let quarter = c / 4;
    let frequencies: Vec<f64> = (0..quarter)
        .map(|k| 10_000f64.powf(-(k as f64) / quarter as f64))
        .collect();
    let code = |position: usize| {
        let angles = frequencies.iter().map(move |f| position as f64 * f);
        let sines = angles.clone().map(|a| a.sin() as f32);
        sines.chain(angles.map(|a| a.cos() as f32))
    };
    let mut table = Vec::with_capacity(side * side * c);
    for row in 0..side {
        for column in 0..side {
            table.extend(code(column));
            table.extend(code(row));
        }
    }
    Tensor::from_vec(table, (side * side, c), device)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_encodes_the_column_first() {
        let table = sincos_table(3, 8, &Device::Cpu).unwrap();
        let row_1_column_2 = &table.to_vec2::<f32>().unwrap()[5];
        let expected = [2f32.sin(), 0.02f32.sin(), 2f32.cos(), 0.02f32.cos()]
            .into_iter()
            .chain([1f32.sin(), 0.01f32.sin(), 1f32.cos(), 0.01f32.cos()]);
        for (got, expected) in row_1_column_2.iter().zip(expected) {
            assert!((got - expected).abs() < 1e-6, "{row_1_column_2:?}");
        }
    }
}
