//! Reading what many requests begin with: once for all of them, while it is in the prefix cache.

use candle_core::Tensor;
use cooper_kernels::Noise;
use image::RgbImage;

use super::Engine;
use super::context::{Images, Views};
use super::control::Control;
use super::prefix_cache::{CacheKey, Key, Value};
use crate::error::Result;
use crate::model::KvContext;

/// An image of the autoencoder's size, and the key of the context behind it.
struct FrameToRead {
    image: RgbImage,
    posterior: Option<Tensor>,
    key: Key,
}

impl Engine {
    /// A context that has read an opening text and nothing else; an empty one without a text.
    ///
    /// # Errors
    /// If the network fails.
    pub fn read_opening(&self, text: Option<&str>) -> Result<KvContext> {
        let mut context = KvContext::default();
        let Some(text) = text else {
            return Ok(context);
        };
        let key = CacheKey::new("opening").text(text).key();
        if let Some(cached) = self.cached_context(&key) {
            return Ok(cached);
        }
        self.prefill_text(&mut context, text)?;
        self.cache(key, Value::Context(context.clone()));
        Ok(context)
    }

    /// A context that has read an opening text (or none) and images behind it, one after another as
    /// [`Self::prefill_image`] does. The same again, with the same noise, is a fork of the cached context; so is the
    /// part that begins the same.
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
        let known =
            from_last.find_map(|(i, frame)| Some((i + 1, self.cached_context(&frame.key)?)));
        let (n_known, mut context) = match known {
            Some(known) => known,
            None => (0, self.read_opening(opening)?),
        };
        for frame in &frames[n_known..] {
            for view in views.blocks() {
                control.check()?;
                self.add_blocks(&mut context, &frame.image, *view, frame.posterior.as_ref())?;
            }
            self.cache(frame.key, Value::Context(context.clone()));
        }
        Ok(context)
    }

    /// Each image with the key of the context behind it, which covers all that was read before.
    fn frames(
        &self,
        opening: Option<&str>,
        images: &Images,
        views: Views,
        noise: &mut Noise,
    ) -> Result<Vec<FrameToRead>> {
        let mut key = CacheKey::new("frame").text(&format!("{views:?}"));
        if let Some(opening) = opening {
            key = key.text(opening);
        }
        let mut frames = Vec::new();
        for image in images.iter() {
            let image = self.vae_rule().apply(image);
            key = key.image(&image);
            // Drawn in any case, so that what is drawn later is the same.
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

    fn cached_context(&self, key: &Key) -> Option<KvContext> {
        match self.cached(key) {
            Some(Value::Context(context)) => Some(context),
            _ => None,
        }
    }
}
