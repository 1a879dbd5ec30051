//! Layers of the [description](super::network), read from weights.

use candle_core::{Result, Tensor, bail};
use candle_nn::VarBuilder;
use cooper_kernels::{ConvPrecision, GroupNorm, LayerNorm, Matrices, RmsNorm};

use super::network::{Conv2d, ConvWeight, Linear, Norm, NormKind, Table};

/// A linear layer that is never quantised.
pub(super) fn linear(layer: &Linear, vb: &VarBuilder) -> Result<cooper_kernels::Linear> {
    matrix(layer, vb, &Matrices::default())
}

/// A linear layer, its matrix from `matrices` if it is quantised.
pub(super) fn matrix(
    layer: &Linear,
    vb: &VarBuilder,
    matrices: &Matrices,
) -> Result<cooper_kernels::Linear> {
    let (input, output, vb) = (layer.input, layer.output, vb.pp(&layer.name));
    match layer.has_bias {
        true => matrices.linear(input, output, vb),
        false => matrices.linear_no_bias(input, output, vb),
    }
}

/// A convolution that computes in `precision`.
pub(super) fn conv(
    layer: &Conv2d,
    precision: ConvPrecision,
    vb: &VarBuilder,
) -> Result<cooper_kernels::Conv2d> {
    let channels = (layer.c_in, layer.c_out);
    let vb = vb.pp(&layer.name);
    let conv = match layer.stored {
        ConvWeight::Kernel => cooper_kernels::Conv2d::new(channels, layer.shape, vb)?,
        ConvWeight::Matrix => {
            cooper_kernels::Conv2d::new(channels, layer.shape, with_kernel(channels, &vb)?)?
        }
    };
    conv.with_precision(precision)
}

/// The weights of a 1×1 convolution that are stored as those of a linear layer.
fn with_kernel((c_in, c_out): (usize, usize), vb: &VarBuilder) -> Result<VarBuilder<'static>> {
    let kernel = vb.get((c_out, c_in), "weight")?;
    let tensors = [
        ("weight".to_owned(), kernel.reshape((c_out, c_in, 1, 1))?),
        ("bias".to_owned(), vb.get(c_out, "bias")?),
    ];
    let (dtype, device) = (vb.dtype(), vb.device());
    Ok(VarBuilder::from_tensors(tensors.into(), dtype, device))
}

/// A table (rows, width).
pub(super) fn table(layer: &Table, vb: &VarBuilder) -> Result<Tensor> {
    vb.get((layer.rows, layer.width), &layer.name)
}

pub(super) fn rms_norm(layer: &Norm, vb: &VarBuilder) -> Result<RmsNorm> {
    RmsNorm::new(layer.width, layer.eps, vb.pp(&layer.name))
}

pub(super) fn layer_norm(layer: &Norm, vb: &VarBuilder) -> Result<LayerNorm> {
    LayerNorm::new(layer.width, layer.eps, vb.pp(&layer.name))
}

pub(super) fn group_norm(layer: &Norm, vb: &VarBuilder) -> Result<GroupNorm> {
    match layer.kind {
        NormKind::Group { n_groups } => {
            GroupNorm::new(n_groups, layer.width, layer.eps, vb.pp(&layer.name))
        }
        kind => bail!("{}: expected a group norm, got {kind:?}", layer.name),
    }
}
