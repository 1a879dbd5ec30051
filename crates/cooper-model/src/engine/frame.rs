//! Reading what many requests begin with: once for all of them, as long as it is kept.

use std::sync::{MutexGuard, PoisonError};

use candle_core::{Result as CandleResult, Tensor};
use cooper_kernels::Noise;
use image::RgbImage;

use super::Engine;
use super::context::{Images, Views};
use super::control::Control;
use super::prefix_cache::{CacheKey, Key, PrefixCache, Value};
use crate::error::Result;
use crate::model::KvContext;

/// An engine keeps openings and images up to this part of its weights' bytes: about ten frames of the released model.
const KEPT_PART: u64 = 16;
/// Bytes that may be kept in any case.
const KEPT_LEAST: usize = 64 << 20;

/// How many bytes an engine with weights of this many bytes keeps, where nobody says otherwise.
pub(super) fn kept_bytes(weights_bytes: u64) -> usize {
    usize::try_from(weights_bytes / KEPT_PART).map_or(usize::MAX, |part| part.max(KEPT_LEAST))
}

/// How much work an engine has done since it was made. What was kept and used again is no work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WorkDone {
    /// Images that the autoencoder encoded.
    pub vae_encoded: u64,
    /// Images that the vision encoder encoded.
    pub vit_encoded: u64,
    /// Tokens of images, markers among them, that contexts read.
    pub image_tokens: u64,
    /// Tokens of texts that contexts read, or that were written.
    pub text_tokens: u64,
    /// Branches of flow steps: up to three in each.
    pub flow_branches: u64,
    /// Flow steps whose velocity the step cache forecast: no branch was computed.
    pub flow_forecasts: u64,
}

/// An image of the autoencoder's size, and the key of the context behind it.
struct FrameToRead {
    image: RgbImage,
    posterior: Option<Tensor>,
    key: Key,
}

impl Engine {
    /// What a context is that has read an opening text and nothing else; none reads nothing.
    ///
    /// # Errors
    /// If the network fails.
    pub fn read_opening(&self, text: Option<&str>) -> Result<KvContext> {
        let mut context = KvContext::default();
        let Some(text) = text else {
            return Ok(context);
        };
        let key = CacheKey::new("opening").text(text).key();
        if let Some(kept) = self.kept_context(&key) {
            return Ok(kept);
        }
        self.prefill_text(&mut context, text)?;
        self.keep(key, Value::Context(context.clone()));
        Ok(context)
    }

    /// A context that has read an opening text (or none) and images behind it, one after another as
    /// [`Self::prefill_image`] does. The same again, with the same noise, is a fork of what was kept; so is the part
    /// that begins the same.
    ///
    /// # Errors
    /// [`crate::Error::Canceled`] after a stop; [`crate::Error::ContextFull`] if there are too many images;
    /// otherwise if the network fails.
    pub fn read_frame<'a>(
        &self,
        opening: Option<&str>,
        images: impl Into<Images<'a>>,
        views: Views,
        noise: &mut Noise,
        control: &Control,
    ) -> Result<KvContext> {
        let frames = self.frames(opening, &images.into(), views, noise)?;
        let mut from_last = frames.iter().enumerate().rev();
        let known = from_last.find_map(|(i, frame)| Some((i + 1, self.kept_context(&frame.key)?)));
        let (n_known, mut context) = match known {
            Some(known) => known,
            None => (0, self.read_opening(opening)?),
        };
        for frame in &frames[n_known..] {
            for view in views.blocks() {
                control.check()?;
                self.add_blocks(&mut context, &frame.image, *view, frame.posterior.as_ref())?;
            }
            self.keep(frame.key, Value::Context(context.clone()));
        }
        Ok(context)
    }

    /// What reading each image follows from, with all that was read before it.
    fn frames(
        &self,
        opening: Option<&str>,
        images: &Images,
        views: Views,
        noise: &mut Noise,
    ) -> Result<Vec<FrameToRead>> {
        let mut key = CacheKey::new("frame").views(views);
        if let Some(opening) = opening {
            key = key.text(opening);
        }
        let mut frames = Vec::new();
        for image in images.iter() {
            let image = self.vae_rule().apply(image);
            key = key.image(&image);
            // Drawn in any case, so that the noise behind it is the same.
            let posterior = self.posterior(&image, views, noise)?;
            if let Some(posterior) = &posterior {
                key = key.numbers(&posterior.flatten_all()?.to_vec1::<f32>()?);
            }
            frames.push(FrameToRead {
                image,
                posterior,
                key: key.clone().key(),
            });
        }
        Ok(frames)
    }

    /// Keep at most so many bytes of openings and images; 0 keeps nothing. What is kept now is forgotten.
    pub fn keep_at_most(&self, n_bytes: usize) {
        *self.kept() = PrefixCache::new(n_bytes);
    }

    /// Forget all openings and images.
    pub fn forget(&self) {
        self.kept().clear();
    }

    /// See [`WorkDone`].
    pub fn work_done(&self) -> WorkDone {
        *self.work.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Note work.
    pub(super) fn note(&self, note: impl FnOnce(&mut WorkDone)) {
        note(&mut self.work.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// What an encoder makes of an image, or what it made of it before.
    pub(super) fn encoded(
        &self,
        key: CacheKey,
        encode: impl FnOnce() -> CandleResult<Tensor>,
    ) -> CandleResult<Tensor> {
        let key = key.key();
        if let Some(Value::Encoded(kept)) = self.kept().get(&key) {
            return Ok(kept);
        }
        let encoded = encode()?;
        self.keep(key, Value::Encoded(encoded.clone()));
        Ok(encoded)
    }

    fn kept_context(&self, key: &Key) -> Option<KvContext> {
        match self.kept().get(key) {
            Some(Value::Context(context)) => Some(context),
            _ => None,
        }
    }

    fn keep(&self, key: Key, value: Value) {
        self.kept().put(key, value);
    }

    fn kept(&self) -> MutexGuard<'_, PrefixCache> {
        // Each change is one call, so a panic while it is locked leaves it whole.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
