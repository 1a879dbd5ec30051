//! What the network is given of an image: sizes, normalisation, patches. Reading and training share it.

use candle_core::{Device, Result, Tensor};
use cooper_imaging::ResizeRule;
use image::RgbImage;

use super::config::ModelConfig;
use super::grid::Grid;
use crate::model::pixels::{Normalization, patchify};

impl ModelConfig {
    /// The size rule that every image goes through first.
    pub fn vae_rule(&self) -> ResizeRule {
        self.preprocessor.rule(&self.preprocessor.vae)
    }

    /// The size rule for the vision encoder, applied to the result of the first.
    pub fn vit_rule(&self) -> ResizeRule {
        self.preprocessor.rule(&self.preprocessor.vit)
    }

    /// How channels are normalised.
    pub fn normalization(&self) -> Normalization {
        Normalization {
            mean: self.preprocessor.image_mean,
            std: self.preprocessor.image_std,
        }
    }

    /// ViT patches (n, p·p·3) of an image that has the autoencoder's size already, and their grid.
    ///
    /// # Errors
    /// If the device fails.
    pub fn vit_patches(&self, image: &RgbImage, device: &Device) -> Result<(Tensor, Grid)> {
        let p = self.vit.patch_size;
        let image = self.vit_rule().apply(image);
        let pixels = self.normalization().pixels(&image, device)?;
        let (_, hh, ww) = pixels.dims3()?;
        let grid = Grid {
            rows: hh / p,
            columns: ww / p,
        };
        Ok((patchify(&pixels, p)?, grid))
    }

    /// The grid of latent tokens of an image of the autoencoder's size, in pixels.
    pub fn latent_grid(&self, width: u32, height: u32) -> Grid {
        let side = self.latent_downsample();
        Grid {
            rows: height as usize / side,
            columns: width as usize / side,
        }
    }

    /// A latent (z, lh, lw) → tokens (n, p·p·z) in (row, column, channel) order.
    ///
    /// # Errors
    /// If the latent is smaller than the grid.
    pub fn patchify_latent(&self, latent: &Tensor, grid: Grid) -> Result<Tensor> {
        let p = self.bagel.latent_patch_size;
        let latent = latent
            .narrow(1, 0, grid.rows * p)?
            .narrow(2, 0, grid.columns * p)?;
        patchify(&latent.contiguous()?, p)
    }
}
