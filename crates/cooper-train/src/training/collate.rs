//! Samples become a packed batch with everything that the losses need.

use std::ops::Range;

use candle_core::{Device, IndexOp, Tensor};
use cooper_model::engine::Views;
use cooper_model::model::{DepthCurve, FluxVae, Grid};
use cooper_model::{Error, Result};
use image::RgbImage;
use rand::Rng;
use rand::rngs::StdRng;
use rand_distr::{Distribution, StandardNormal};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::model_directory::ModelDirectory;
use super::packing::{Packed, Packer};
use super::sample::{Author, Part, Sample, Target, Visibility};

/// The chances, 0 to 1, that a part without a loss is left out, for guidance.
/// An image that is left out keeps its rope position.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Dropout {
    /// The chance that a text without loss is left out, 0 to 1.
    pub text: f64,
    /// The chance that an image's ViT tokens are left out, 0 to 1.
    pub vit: f64,
    /// The chance that an image's latent tokens are left out, 0 to 1.
    pub vae: f64,
}

/// Makes packed batches of samples.
#[derive(Debug)]
pub struct Collator {
    /// The model's sizes and tokenizer.
    pub directory: ModelDirectory,
    vae: FluxVae,
    /// See [`Dropout`].
    pub dropout: Dropout,
    /// Above 1, more flow times lie near the noise.
    pub timestep_shift: f64,
}

/// Where a text's loss is taken.
#[derive(Clone, Debug)]
pub struct TextTarget {
    /// Rows of [`super::Hidden::text`].
    pub rows: Range<usize>,
    /// The token that each of them predicts.
    pub labels: Vec<u32>,
}

/// Where a drawing's loss is taken.
#[derive(Clone, Debug)]
pub struct DrawingTarget {
    /// Rows of [`super::Hidden::latents`].
    pub rows: Range<usize>,
    /// The image's latent tokens (n, p·p·z).
    pub data: Tensor,
    /// The noise that they are mixed with (n, p·p·z).
    pub noise: Tensor,
}

/// A packed batch with its losses.
#[derive(Clone, Debug)]
pub struct Collated {
    /// The tokens.
    pub packed: Packed,
    /// Texts with a loss.
    pub texts: Vec<TextTarget>,
    /// Images with a loss.
    pub drawings: Vec<DrawingTarget>,
    /// Samples in it.
    pub n_samples: usize,
}

impl Collator {
    /// A collator for a model directory.
    ///
    /// # Errors
    /// [`Error::Weights`] if the autoencoder cannot be read.
    pub fn new(directory: ModelDirectory, dropout: Dropout, timestep_shift: f64) -> Result<Self> {
        Ok(Self {
            vae: directory.vae()?,
            directory,
            dropout,
            timestep_shift,
        })
    }

    /// Pack samples.
    ///
    /// # Errors
    /// If a text or an image cannot be encoded, or a sample is longer than the model can read.
    pub fn collate(&self, samples: &[Sample], rng: &mut StdRng) -> Result<Collated> {
        let mut batch = Batch {
            collator: self,
            packer: Packer::new(self.directory.tokenizer.control),
            texts: Vec::new(),
            drawings: Vec::new(),
        };
        let limit = self.directory.config.llm.max_position_embeddings;
        for sample in samples {
            batch.packer.begin_sample();
            let trunk = batch.add(&sample.trunk, rng)?;
            let mut longest = 0;
            for branch in &sample.branches {
                batch.packer.begin_branch();
                longest = longest.max(batch.add(branch, rng)?);
            }
            let needed = trunk + longest;
            if needed > limit {
                return Err(Error::ContextFull { limit, needed });
            }
        }
        Ok(Collated {
            packed: batch.packer.finish(&Device::Cpu)?,
            texts: batch.texts,
            drawings: batch.drawings,
            n_samples: samples.len(),
        })
    }

    /// Sampled latent tokens (n, p·p·z) of pixels (3, hh, ww) in [−1, 1], and their grid.
    fn latent(&self, pixels: &Tensor, rng: &mut StdRng) -> Result<(Tensor, Grid)> {
        let (_, hh, ww) = pixels.dims3()?;
        let config = &self.directory.config;
        let side = config.latent_downsample();
        if !hh.is_multiple_of(side) || !ww.is_multiple_of(side) {
            let why = format!("expected sides that are multiples of {side}, got {ww}x{hh}");
            return Err(Error::invalid("image", why));
        }
        let grid = config.latent_grid(ww as u32, hh as u32);
        let moments = self.vae.moments(&pixels.unsqueeze(0)?)?;
        let (_, moments_c, lh, lw) = moments.dims4()?;
        let noise = normal(&[1, moments_c / 2, lh, lw], rng)?;
        let latent = self.vae.latent(&moments, Some(&noise))?.i(0)?;
        Ok((config.patchify_latent(&latent, grid)?, grid))
    }

    /// The pixels (3, hh, ww) in [−1, 1] of a target, at the autoencoder's size.
    fn target_pixels(&self, target: &Target) -> Result<Tensor> {
        let normalization = self.directory.config.normalization();
        match target {
            Target::Image(image) => Ok(normalization.pixels(&self.vae_sized(image), &Device::Cpu)?),
            Target::Depth {
                values,
                width,
                height,
            } => {
                let curve = self.directory.config.depth.curve;
                depth_pixels(values, (*width, *height), curve)
            }
        }
    }

    fn vae_sized(&self, image: &RgbImage) -> RgbImage {
        self.directory.config.vae_rule().apply(image)
    }

    /// A logit-normal flow time, shifted.
    fn time(&self, rng: &mut StdRng) -> f32 {
        let raw: f64 = StandardNormal.sample(rng);
        shifted_time(raw, self.timestep_shift)
    }
}

/// Relative depth, row-major, as the pixels (3, hh, ww) in [−1, 1] of the grey image that is drawn.
///
/// # Errors
/// If there are not as many values as the width and the height say.
pub(super) fn depth_pixels(
    relative: &[f32],
    (width, height): (u32, u32),
    curve: DepthCurve,
) -> Result<Tensor> {
    let (hh, ww) = (height as usize, width as usize);
    let brightness: Vec<f32> = relative.iter().map(|v| curve.encode(*v)).collect();
    let plane = Tensor::from_vec(brightness, (1, hh, ww), &Device::Cpu)?;
    let plane = ((plane * 2.0)? - 1.0)?;
    Ok(plane.broadcast_as((3, hh, ww))?.contiguous()?)
}

/// The flow time of a normal number: its sigmoid, shifted.
pub fn shifted_time(raw: f64, shift: f64) -> f32 {
    let t = 1.0 / (1.0 + (-raw).exp());
    (shift * t / (1.0 + (shift - 1.0) * t)) as f32
}

fn normal(shape: &[usize], rng: &mut StdRng) -> Result<Tensor> {
    let n = shape.iter().product();
    let numbers: Vec<f32> = StandardNormal.sample_iter(rng).take(n).collect();
    Ok(Tensor::from_vec(numbers, shape, &Device::Cpu)?)
}

struct Batch<'c> {
    collator: &'c Collator,
    packer: Packer,
    texts: Vec<TextTarget>,
    drawings: Vec<DrawingTarget>,
}

impl Batch<'_> {
    /// Add parts; returns the number of their tokens without asides.
    fn add(&mut self, parts: &[Part], rng: &mut StdRng) -> Result<usize> {
        let mut n_tokens = 0;
        for part in parts {
            let before = self.packer.n_tokens();
            match part {
                Part::Text { text, by } => self.prefill_text(text, *by, rng)?,
                Part::Ids {
                    ids,
                    n_labels,
                    visibility,
                } => self.add_ids(ids, *n_labels, *visibility),
                Part::Read { image, views } => self.prefill_image(image, *views, rng)?,
                Part::Draw(target) => self.add_drawing(target, rng)?,
            }
            let is_aside = matches!(
                part,
                Part::Ids {
                    visibility: Visibility::Aside,
                    ..
                }
            );
            if !is_aside {
                n_tokens += self.packer.n_tokens() - before;
            }
        }
        Ok(n_tokens)
    }

    fn prefill_text(&mut self, text: &str, by: Author, rng: &mut StdRng) -> Result<()> {
        let dropout = self.collator.dropout.text;
        if by != Author::Model && dropout > 0.0 && rng.random_bool(dropout) {
            return Ok(());
        }
        let tokenizer = &self.collator.directory.tokenizer;
        let words = match by {
            Author::User => tokenizer.encode_plain(text)?,
            Author::Prompt | Author::Model => tokenizer.encode(text)?,
        };
        let control = tokenizer.control;
        let mut ids = vec![control.im_start];
        ids.extend(words);
        ids.push(control.im_end);
        let n_labels = if by == Author::Model {
            ids.len() - 1
        } else {
            0
        };
        self.add_ids(&ids, n_labels, Visibility::Context);
        Ok(())
    }

    /// Each of the first `n_labels` tokens predicts the one behind it.
    fn add_ids(&mut self, ids: &[u32], n_labels: usize, visibility: Visibility) {
        let rows = match visibility {
            Visibility::Aside => self.packer.add_aside(ids),
            Visibility::Context => self.packer.prefill_text(ids),
        };
        if n_labels > 0 {
            self.texts.push(TextTarget {
                rows: rows.start..rows.start + n_labels,
                labels: ids[1..=n_labels].to_vec(),
            });
        }
    }

    fn prefill_image(&mut self, image: &RgbImage, views: Views, rng: &mut StdRng) -> Result<()> {
        let collator = self.collator;
        let image = collator.vae_sized(image);
        for view in views.blocks() {
            let dropout = match view {
                Views::Vit => collator.dropout.vit,
                _ => collator.dropout.vae,
            };
            if dropout > 0.0 && rng.random_bool(dropout) {
                self.packer.skip_image();
            } else if *view == Views::Vit {
                let (patches, grid) = collator
                    .directory
                    .config
                    .vit_patches(&image, &Device::Cpu)?;
                self.packer.add_vit(patches, grid);
            } else {
                let pixels = collator
                    .directory
                    .config
                    .normalization()
                    .pixels(&image, &Device::Cpu)?;
                let (latent, grid) = collator.latent(&pixels, rng)?;
                self.packer.add_clean(latent, grid);
            }
        }
        Ok(())
    }

    fn add_drawing(&mut self, target: &Target, rng: &mut StdRng) -> Result<()> {
        let collator = self.collator;
        let pixels = collator.target_pixels(target)?;
        let (data, grid) = collator.latent(&pixels, rng)?;
        let t = collator.time(rng);
        let noise = normal(data.dims(), rng)?;
        let x_t = ((&data * f64::from(1.0 - t))? + (&noise * f64::from(t))?)?;
        let rows = self.packer.add_noised(x_t, t, grid);
        self.drawings.push(DrawingTarget { rows, data, noise });
        Ok(())
    }
}
