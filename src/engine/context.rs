//! Reading texts and pictures into contexts.

use candle_core::{IndexOp, Result as CandleResult, Tensor};
use image::RgbImage;

use super::Engine;
use crate::error::{Error, Result};
use crate::model::Grid;
use crate::model::KvContext;
use crate::model::qwen2_mot::Expert;
use crate::tensor::Noise;

/// With which encoders a picture is read, each a block of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Views {
    /// The autoencoder's clean latents, then the ViT.
    VaeAndVit,
    /// The autoencoder's clean latents.
    Vae,
    /// The ViT.
    Vit,
}

impl Views {
    /// The blocks one by one, for whoever looks for a stop between them.
    pub fn blocks(self) -> &'static [Self] {
        match self {
            Self::VaeAndVit => &[Self::Vae, Self::Vit],
            Self::Vae => &[Self::Vae],
            Self::Vit => &[Self::Vit],
        }
    }
}

impl Engine {
    /// Read a text of ours or the model's; control tokens in it count.
    ///
    /// # Errors
    /// If the network fails.
    pub fn add_text(&self, context: &mut KvContext, text: &str) -> Result<()> {
        let ids = self.tokenizer.encode(text)?;
        self.read_text(context, &ids)
    }

    /// Read a text that a user typed; it cannot inject control tokens.
    ///
    /// # Errors
    /// If the network fails.
    pub fn add_user_text(&self, context: &mut KvContext, text: &str) -> Result<()> {
        let ids = self.tokenizer.encode_plain(text)?;
        self.read_text(context, &ids)
    }

    fn read_text(&self, context: &mut KvContext, ids: &[u32]) -> Result<()> {
        let (needed, limit) = (context.len() + ids.len() + 2, self.max_tokens());
        if needed > limit {
            return Err(Error::ContextFull { limit, needed });
        }
        Ok(self.model.read_text(context, ids)?)
    }

    /// The most tokens of a context.
    pub fn max_tokens(&self) -> usize {
        self.config.llm.max_position_embeddings
    }

    /// Read a picture, resized by the rules; the latents are sampled with `noise`, as the model was trained.
    ///
    /// # Errors
    /// If the network fails.
    pub fn add_picture(
        &self,
        context: &mut KvContext,
        picture: &RgbImage,
        views: Views,
        noise: &mut Noise,
    ) -> Result<()> {
        let picture = self.vae_rule().apply(picture);
        if views != Views::Vit {
            let (latent, grid) = self.latent_tokens(&picture, noise)?;
            let tokens = self.model.embed_latent(&latent, 0.0, grid)?;
            self.model.read_picture(context, tokens, Expert::Gen)?;
        }
        if views != Views::Vae {
            let (patches, grid) = self.vit_patches(&picture)?;
            let features = self.model.vit_features(&patches, grid)?;
            let tokens = self.model.embed_vit(&features, &[grid])?;
            self.model.read_picture(context, tokens, Expert::Und)?;
        }
        Ok(())
    }

    /// ViT patches (n, p·p·3) of a picture that has the autoencoder's size already, and their grid.
    ///
    /// # Errors
    /// If the network fails.
    pub fn vit_patches(&self, picture: &RgbImage) -> CandleResult<(Tensor, Grid)> {
        self.config.vit_patches(picture, self.model.device())
    }

    /// Sampled latent tokens (n, p·p·z) of a picture of the autoencoder's size, and their grid.
    fn latent_tokens(&self, picture: &RgbImage, noise: &mut Noise) -> CandleResult<(Tensor, Grid)> {
        let device = self.model.device();
        let pixels = self.normalization().pixels(picture, device)?.unsqueeze(0)?;
        let moments = self.vae.moments(&pixels.to_dtype(self.vae_dtype())?)?;
        let (_, _, lh, lw) = moments.dims4()?;
        let posterior = noise.normal((1, self.config.vae.z_channels, lh, lw), device)?;
        let latent = self.vae.latent(&moments, Some(&posterior))?;
        let grid = self.latent_grid(picture.width(), picture.height());
        Ok((self.patchify_latent(&latent.i(0)?, grid)?, grid))
    }

    /// The grid of latent tokens of a picture of the autoencoder's size, in pixels.
    pub fn latent_grid(&self, width: u32, height: u32) -> Grid {
        self.config.latent_grid(width, height)
    }

    /// A latent (z, lh, lw) → tokens (n, p·p·z) in (row, column, channel) order.
    ///
    /// # Errors
    /// If the latent is smaller than the grid.
    pub fn patchify_latent(&self, latent: &Tensor, grid: Grid) -> CandleResult<Tensor> {
        self.config.patchify_latent(latent, grid)
    }
}
