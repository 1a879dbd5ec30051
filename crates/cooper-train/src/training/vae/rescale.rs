//! Another scale of latents in the same weights.

use std::collections::HashMap;

use candle_core::{D, Device, Tensor};
use cooper_model::{Error, Result};

use crate::training::parameters::Parameters;

/// Encoder and decoder of the latent `gain·z + offset` in place of `z`, by channel.
pub(super) fn rescaled(
    parameters: &Parameters,
    gain: &[f64],
    offset: &[f64],
) -> Result<HashMap<String, Tensor>> {
    let mut weights: HashMap<String, Tensor> = parameters
        .all()
        .map(|(name, var)| (name.clone(), var.as_detached_tensor()))
        .collect();
    let n = gain.len();
    let column = |numbers: Vec<f32>| Tensor::from_vec(numbers, n, &Device::Cpu);
    let gains = column(gain.iter().map(|g| *g as f32).collect())?;
    let offsets = column(offset.iter().map(|o| *o as f32).collect())?;
    let log_gains = column(gain.iter().map(|g| (2.0 * g.ln()) as f32).collect())?;
    let missing =
        |name: &str| Error::invalid(name, "expected such a weight in the autoencoder, got none");
    let mut change = |name: &str, f: &dyn Fn(&Tensor) -> candle_core::Result<Tensor>| {
        let old = weights.get(name).ok_or_else(|| missing(name))?;
        let new = f(old)?;
        weights.insert(name.into(), new);
        Ok::<_, Error>(())
    };
    change("encoder.conv_out.weight", &|w| {
        let means = w
            .narrow(0, 0, n)?
            .broadcast_mul(&gains.reshape((n, 1, 1, 1))?)?;
        Tensor::cat(&[means, w.narrow(0, n, n)?], 0)
    })?;
    change("encoder.conv_out.bias", &|b| {
        let means = ((b.narrow(0, 0, n)? * &gains)? + &offsets)?;
        Tensor::cat(&[means, (b.narrow(0, n, n)? + &log_gains)?], 0)
    })?;
    let decoder = weights.get("decoder.conv_in.weight").cloned();
    let decoder = decoder.ok_or_else(|| missing("decoder.conv_in.weight"))?;
    let by_input = decoder.broadcast_div(&gains.reshape((1, n, 1, 1))?)?;
    let shift = by_input
        .sum((2, 3))?
        .broadcast_mul(&offsets.reshape((1, n))?)?
        .sum(D::Minus1)?;
    let bias = weights.get("decoder.conv_in.bias").cloned();
    let bias = (bias.ok_or_else(|| missing("decoder.conv_in.bias"))? - shift)?;
    weights.insert("decoder.conv_in.weight".into(), by_input);
    weights.insert("decoder.conv_in.bias".into(), bias);
    Ok(weights)
}
