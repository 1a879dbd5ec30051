//! Reading texts and images into contexts.

use candle_core::{IndexOp, Result as CandleResult, Tensor};
use cooper_kernels::Noise;
use image::RgbImage;

use super::Engine;
use super::prefix_cache::CacheKey;
use super::speed::Part;
use crate::error::{Error, Result};
use crate::model::experts::Expert;
use crate::model::qwen2_mot::N_MARKERS;
use crate::model::{Grid, KvContext};

/// With which encoders an image is read, each a block of its own.
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

/// The images that a question is about, in the order in which they are read: at least one.
#[derive(Clone, Debug)]
pub struct Images<'a> {
    first: &'a RgbImage,
    further: Vec<&'a RgbImage>,
}

impl<'a> Images<'a> {
    /// The first one and those behind it.
    pub fn new(first: &'a RgbImage, further: impl IntoIterator<Item = &'a RgbImage>) -> Self {
        Self {
            first,
            further: further.into_iter().collect(),
        }
    }

    /// The first one.
    pub fn first(&self) -> &'a RgbImage {
        self.first
    }

    /// The last one, and its number, counted from 0.
    pub fn last(&self) -> (usize, &'a RgbImage) {
        let last = self.further.last().copied().unwrap_or(self.first);
        (self.further.len(), last)
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &'a RgbImage> {
        std::iter::once(self.first).chain(self.further.iter().copied())
    }
}

impl<'a> From<&'a RgbImage> for Images<'a> {
    fn from(image: &'a RgbImage) -> Self {
        Self::new(image, [])
    }
}

impl Engine {
    /// Read a text of ours or the model's; control tokens in it count.
    ///
    /// # Errors
    /// If the network fails.
    pub fn prefill_text(&self, context: &mut KvContext, text: &str) -> Result<()> {
        let ids = self.tokenizer.encode(text)?;
        self.prefill_ids(context, &ids)
    }

    /// Read a text that a user typed; it cannot inject control tokens.
    ///
    /// # Errors
    /// If the network fails.
    pub fn add_user_text(&self, context: &mut KvContext, text: &str) -> Result<()> {
        let ids = self.tokenizer.encode_plain(text)?;
        self.prefill_ids(context, &ids)
    }

    fn prefill_ids(&self, context: &mut KvContext, ids: &[u32]) -> Result<()> {
        let (needed, limit) = (context.len() + ids.len() + 2, self.max_tokens());
        if needed > limit {
            return Err(Error::ContextFull { limit, needed });
        }
        self.model.prefill_text(context, ids)?;
        self.note(|work| work.text_tokens += ids.len() as u64 + 2);
        Ok(())
    }

    /// The most tokens of a context.
    pub fn max_tokens(&self) -> usize {
        self.config.llm.max_position_embeddings
    }

    /// Read an image, resized by the rules; the latents are sampled with `noise`, as the model was trained.
    ///
    /// # Errors
    /// If the network fails.
    pub fn prefill_image(
        &self,
        context: &mut KvContext,
        image: &RgbImage,
        views: Views,
        noise: &mut Noise,
    ) -> Result<()> {
        let image = self.vae_rule().apply(image);
        let posterior = self.posterior(&image, views, noise)?;
        self.add_blocks(context, &image, views, posterior.as_ref())
    }

    /// As [`Self::prefill_image`], of an image of the autoencoder's size with [`Self::posterior`].
    pub(super) fn add_blocks(
        &self,
        context: &mut KvContext,
        image: &RgbImage,
        views: Views,
        posterior: Option<&Tensor>,
    ) -> Result<()> {
        let before = context.len();
        let read = || -> Result<usize> {
            self.add_views(context, image, views, posterior)?;
            Ok(context.len() - before)
        };
        self.timed(Part::Prefill, |n_tokens| *n_tokens, read)
            .map(drop)
    }

    fn add_views(
        &self,
        context: &mut KvContext,
        image: &RgbImage,
        views: Views,
        posterior: Option<&Tensor>,
    ) -> Result<()> {
        if views != Views::Vit {
            let (latent, grid) = self.latent_tokens(image, posterior)?;
            let tokens = self.model.embed_latent(&latent, 0.0, grid)?;
            self.read_image(context, tokens, Expert::Gen)?;
        }
        if views != Views::Vae {
            let key = CacheKey::new("vit").image(image);
            let tokens = self.encoded(key, || {
                self.note(|work| work.vit_encoded += 1);
                let (patches, grid) = self.vit_patches(image)?;
                let features = self.model.vit_features(&patches, grid)?;
                self.model.embed_vit(&features, &[grid])
            })?;
            self.read_image(context, tokens, Expert::Und)?;
        }
        Ok(())
    }

    fn read_image(&self, context: &mut KvContext, tokens: Tensor, expert: Expert) -> Result<()> {
        let before = context.len();
        let (needed, limit) = (before + tokens.dim(0)? + N_MARKERS, self.max_tokens());
        if needed > limit {
            return Err(Error::ContextFull { limit, needed });
        }
        self.model.read_image(context, tokens, expert)?;
        self.note(|work| work.image_tokens += (context.len() - before) as u64);
        Ok(())
    }

    /// The noise (1, z, lh, lw) that the latents of an image of the autoencoder's size are sampled with; none where
    /// they are not read.
    pub(super) fn posterior(
        &self,
        image: &RgbImage,
        views: Views,
        noise: &mut Noise,
    ) -> CandleResult<Option<Tensor>> {
        if views == Views::Vit {
            return Ok(None);
        }
        let side = self.config.vae.downsample();
        let cells = |pixels: u32| pixels as usize / side;
        let (lw, lh) = (cells(image.width()), cells(image.height()));
        let shape = (1, self.config.vae.z_channels, lh, lw);
        noise.normal(shape, self.model.device()).map(Some)
    }

    /// ViT patches (n, p·p·3) of an image that has the autoencoder's size already, and their grid.
    ///
    /// # Errors
    /// If the network fails.
    pub fn vit_patches(&self, image: &RgbImage) -> CandleResult<(Tensor, Grid)> {
        self.config.vit_patches(image, self.model.device())
    }

    /// Sampled latent tokens (n, p·p·z) of an image of the autoencoder's size, and their grid.
    fn latent_tokens(
        &self,
        image: &RgbImage,
        posterior: Option<&Tensor>,
    ) -> CandleResult<(Tensor, Grid)> {
        let moments = self.encoded(CacheKey::new("vae").image(image), || {
            self.note(|work| work.vae_encoded += 1);
            let device = self.model.device();
            let pixels = self.normalization().pixels(image, device)?.unsqueeze(0)?;
            self.vae.moments(&pixels.to_dtype(self.vae_dtype())?)
        })?;
        let latent = self.vae.latent(&moments, posterior)?;
        let grid = self.latent_grid(image.width(), image.height());
        Ok((self.patchify_latent(&latent.i(0)?, grid)?, grid))
    }

    /// The grid of latent tokens of an image of the autoencoder's size, in pixels.
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
