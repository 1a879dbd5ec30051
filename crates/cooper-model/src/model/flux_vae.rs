//! The autoencoder: images to latents of a fraction of the size and back.
//!
//! Source: BAGEL `modeling/autoencoder.py`. The posterior is sampled with given noise, never drawn inside.

use candle_core::{Result, Tensor};
use candle_nn::VarBuilder;
use cooper_kernels::ConvPrecision;

use super::config::VaeConfig;
use super::conv_blocks::ConvBlocks;
use super::network::Autoencoder;

/// Encoder and decoder with the latent's scale and shift.
#[derive(Clone, Debug)]
pub struct FluxVae {
    encoder: ConvBlocks,
    decoder: ConvBlocks,
    scale_factor: f64,
    shift_factor: f64,
}

impl FluxVae {
    /// Reads the layers of the config's description.
    ///
    /// # Errors
    /// If a tensor is missing or misshapen.
    pub fn new(config: &VaeConfig, precision: ConvPrecision, vb: VarBuilder) -> Result<Self> {
        let Autoencoder { encoder, decoder } = Autoencoder::new(config);
        Ok(Self {
            encoder: ConvBlocks::new(&encoder, precision, &vb)?,
            decoder: ConvBlocks::new(&decoder, precision, &vb)?,
            scale_factor: config.scale_factor,
            shift_factor: config.shift_factor,
        })
    }

    /// Pixels (b, 3, hh, ww) in [−1, 1] → mean and log-variance (b, 2z, lh, lw).
    ///
    /// # Errors
    /// If shapes do not fit.
    pub fn moments(&self, pixels: &Tensor) -> Result<Tensor> {
        self.encoder.forward(pixels.clone())
    }

    /// Moments (b, 2z, …) → a latent (b, z, …): `mean + exp(logvar / 2) · noise`, scaled; the mean without noise.
    ///
    /// # Errors
    /// If shapes do not fit.
    pub fn latent(&self, moments: &Tensor, noise: Option<&Tensor>) -> Result<Tensor> {
        let halves = moments.chunk(2, 1)?;
        let (mean, log_variance) = (&halves[0], &halves[1]);
        let z = match noise {
            Some(noise) => {
                (mean + ((log_variance * 0.5)?.exp()? * noise.to_dtype(mean.dtype())?)?)?
            }
            None => mean.clone(),
        };
        (z - self.shift_factor)? * self.scale_factor
    }

    /// Latent (b, z, lh, lw) → pixels (b, 3, hh, ww), about [−1, 1].
    ///
    /// # Errors
    /// If shapes do not fit.
    pub fn decode(&self, latent: &Tensor) -> Result<Tensor> {
        let z = ((latent / self.scale_factor)? + self.shift_factor)?;
        self.decoder.forward(z)
    }
}
