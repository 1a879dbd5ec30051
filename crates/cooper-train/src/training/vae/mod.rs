//! The autoencoder of a small model: images, their depth maps and their segmentations, in crops.
//!
//! The released autoencoder is FLUX's and is never trained; a small model needs one of its own size.

mod maps;
mod rescale;

use candle_core::{Device, Tensor};
use cooper_kernels::ConvPrecision;
use cooper_model::engine::VAE_NAME;
use cooper_model::model::{DepthCurve, FluxVae, ModelConfig};
use cooper_model::{Error, Result};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand_distr::{Distribution, StandardNormal};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::training::checks::check_depth_range;
use crate::training::dense::{DenseData, DenseImages, DenseTarget, ValidationSet};
use crate::training::draws::rng_at;
use crate::training::parameters::Parameters;
use crate::training::run_config::RunConfig;
use crate::training::settings::settings_of;
use crate::training::source_counts::SourceCounts;
use crate::training::stage::{Counts, Layout, Metrics, Stage};

use maps::{Maps, crop};
use rescale::rescaled;

/// `cooper train vae`.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct VaeTraining {
    /// The settings that all stages have in common.
    pub run: RunConfig,
    /// Weights of the parts of the loss.
    pub loss: VaeLoss,
    /// Where images come from.
    pub data: DenseData,
    /// Images whose errors go into the log at each checkpoint.
    pub validation: Vec<ValidationSet>,
    /// Images of a micro-batch, at least 1; each gives a crop of itself, of its depth map and of its segmentation.
    /// Required.
    pub samples: usize,
    /// Rows and columns of the crops, multiples of a latent cell's side in pixels. Required.
    pub crop: [usize; 2],
    /// The depths that are drawn as 0 and 1, metres. Required.
    pub depth_range_m: [f32; 2],
    /// How depth maps are drawn: one of these for each, at least one.
    pub depth_curves: Vec<DepthCurve>,
    /// Before the first step, scale and shift each latent channel to mean 0 and standard deviation 1.
    pub normalize_first: bool,
}

impl Default for VaeTraining {
    fn default() -> Self {
        Self {
            run: RunConfig::default(),
            loss: VaeLoss::default(),
            data: DenseData::default(),
            validation: Vec::new(),
            samples: 0,
            crop: [0; 2],
            depth_range_m: [0.0; 2],
            depth_curves: vec![DepthCurve::Linear],
            normalize_first: false,
        }
    }
}

impl VaeTraining {
    /// Whether all images are at least as large as the crops.
    fn check_crop(&self, sizes: &[[u32; 2]]) -> Result<()> {
        let [rows, columns] = self.crop;
        let is_small =
            |[width, height]: &&[u32; 2]| rows > *height as usize || columns > *width as usize;
        match sizes.iter().find(is_small) {
            None => Ok(()),
            Some([width, height]) => {
                let why = format!(
                    "expected at most the images' [{height}, {width}], got [{rows}, {columns}]"
                );
                Err(Error::invalid("crop", why))
            }
        }
    }
}

/// Weights of the parts of the loss; the mean absolute and the mean squared error count as they are.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct VaeLoss {
    /// Weight of the mean KL divergence of latent values from a standard normal distribution.
    pub kl: f64,
}

impl Default for VaeLoss {
    fn default() -> Self {
        Self { kl: 1e-3 }
    }
}

/// The stage.
#[derive(Debug)]
pub struct VaeStage<'c> {
    config: &'c VaeTraining,
    images: DenseImages<'c>,
    maps: Maps,
    vae: FluxVae,
    z_channels: usize,
    downsample: usize,
}

/// Pixels (b, 3, hh, ww) in [−1, 1] and noise of the latents' shape.
#[derive(Debug)]
pub struct VaeBatch {
    pixels: Tensor,
    noise: Tensor,
    by_source: SourceCounts,
}

impl<'c> VaeStage<'c> {
    /// The stage, and the weights that it trains.
    ///
    /// # Errors
    /// If the model directory or the configuration cannot be used.
    pub fn new(config: &'c VaeTraining) -> Result<(Self, Parameters)> {
        config.run.check()?;
        let model = ModelConfig::load(&config.run.init).map_err(|why| Error::Weights {
            path: config.run.init.clone(),
            why,
        })?;
        let side = model.vae.downsample();
        if config.samples == 0 || config.crop.iter().any(|n| *n == 0 || n % side != 0) {
            let (samples, crop) = (config.samples, config.crop);
            let why = format!(
                "expected samples from 1 and crops of multiples of {side}, got {samples} and {crop:?}"
            );
            return Err(Error::invalid("samples, crop", why));
        }
        check_depth_range(config.depth_range_m)?;
        if config.depth_curves.is_empty() {
            let why = "expected at least one, got none";
            return Err(Error::invalid("depth_curves", why));
        }
        let target = DenseTarget::of_model(&model, side);
        let (data, seed) = (&config.data, config.run.seed);
        let images = DenseImages::open(data, &config.validation, &target, seed)?;
        config.check_crop(&images.sources.sizes())?;
        let file = config.run.init.join(VAE_NAME);
        let mut parameters = Parameters::read(&file, &config.run.freeze)?;
        let network = |parameters: &Parameters| {
            FluxVae::new(&model.vae, ConvPrecision::F32, parameters.builder())
        };
        let mut stage = Self {
            config,
            maps: Maps {
                classes: target.classes,
                range_m: config.depth_range_m,
                normalization: model.normalization(),
            },
            images,
            vae: network(&parameters)?,
            z_channels: model.vae.z_channels,
            downsample: side,
        };
        if config.normalize_first {
            parameters = stage.normalized(&parameters, &model)?;
            stage.vae = network(&parameters)?;
        }
        Ok((stage, parameters))
    }

    /// Crops (n, 3, rows, columns) of some images, their depth maps and their segmentations.
    fn pixels(
        &self,
        numbers: std::ops::Range<u64>,
        rng: &mut StdRng,
    ) -> Result<(Tensor, SourceCounts)> {
        let mut crops = Vec::new();
        let mut by_source = SourceCounts::new(self.images.sources.names());
        for number in numbers {
            let (source, mut image) = self.images.sources.image(number, rng)?;
            by_source.count(source);
            image.fill();
            let curve = self.config.depth_curves.choose(rng).copied();
            for pixels in self.maps.three(&image, curve.unwrap_or_default())? {
                crops.push(crop(&pixels, self.config.crop, rng)?);
            }
        }
        Ok((Tensor::stack(&crops, 0)?, by_source))
    }

    /// The weights with which every latent channel has mean 0 and deviation 1 over some scenes.
    fn normalized(&self, parameters: &Parameters, model: &ModelConfig) -> Result<Parameters> {
        let mut rng = rng_at(self.config.run.seed, usize::MAX, 0);
        let (pixels, _) = self.pixels(0..64, &mut rng)?;
        let moments = self.vae.moments(&pixels)?.detach();
        let means = moments
            .narrow(1, 0, self.z_channels)?
            .transpose(0, 1)?
            .flatten_from(1)?;
        let mean = means.mean(1)?;
        let variance = means.broadcast_sub(&mean.unsqueeze(1)?)?.sqr()?.mean(1)?;
        let mean: Vec<f64> = mean.to_dtype(candle_core::DType::F64)?.to_vec1()?;
        let variance: Vec<f64> = variance.to_dtype(candle_core::DType::F64)?.to_vec1()?;
        // The file's own scale and shift come on top: z' = gain·z + offset, (z' − shift)·scale ~ N(0, 1).
        let gain = variance
            .iter()
            .map(|v| 1.0 / (v.sqrt() * model.vae.scale_factor).max(1e-6));
        let gain: Vec<f64> = gain.collect();
        let offset = mean
            .iter()
            .zip(&gain)
            .map(|(m, g)| model.vae.shift_factor - m * g);
        let offset: Vec<f64> = offset.collect();
        let weights = rescaled(parameters, &gain, &offset)?;
        Parameters::new(weights, &self.config.run.freeze)
    }
}

impl Stage for VaeStage<'_> {
    type Batch = VaeBatch;

    const LAYOUT: Layout = Layout {
        weights: VAE_NAME,
        left_out: None,
    };

    fn run_config(&self) -> &RunConfig {
        &self.config.run
    }

    fn batch(&self, step: usize, micro: usize) -> Result<VaeBatch> {
        let mut rng = rng_at(self.config.run.seed, step, micro);
        let n = self.config.samples;
        let first = ((step * self.config.run.micro_batches + micro) * n) as u64;
        let (pixels, by_source) = self.pixels(first..first + n as u64, &mut rng)?;
        let [rows, columns] = self.config.crop.map(|side| side / self.downsample);
        let shape = (3 * n, self.z_channels, rows, columns);
        let count = 3 * n * self.z_channels * rows * columns;
        let noise: Vec<f32> = StandardNormal.sample_iter(&mut rng).take(count).collect();
        let noise = Tensor::from_vec(noise, shape, &Device::Cpu)?;
        Ok(VaeBatch {
            pixels,
            noise,
            by_source,
        })
    }

    fn validate(&self) -> Result<Metrics> {
        let mut metrics = Metrics::new();
        for set in &self.images.validation {
            for i in 0..set.len() {
                let mut image = set.image(i)?;
                image.fill();
                let curve = self.config.depth_curves[i % self.config.depth_curves.len()];
                let pixels = Tensor::stack(&self.maps.three(&image, curve)?, 0)?;
                let moments = self.vae.moments(&pixels)?.detach();
                let decoded = self.vae.decode(&self.vae.latent(&moments, None)?)?.detach();
                let name = |what: &str| format!("{}_{what}", set.name());
                add_psnr(&mut metrics, &(&decoded - &pixels)?, name)?;
                let share = self.maps.share_of_paints(&image, &decoded.get(2)?)?;
                let entry = metrics.entry(name("palette_pixels")).or_default();
                entry.0 += share;
                entry.1 += 1.0;
            }
        }
        Ok(metrics)
    }

    fn settings(&self) -> Result<serde_json::Value> {
        settings_of(self.config)
    }

    fn counts(&self, batch: &VaeBatch) -> Counts {
        Counts {
            samples: batch.pixels.dims()[0] as f64,
            ..Counts::default()
        }
    }

    fn loss(&self, batch: &VaeBatch, totals: &Counts) -> Result<(Tensor, Metrics)> {
        let n = batch.pixels.dim(0)?;
        let share = n as f64 / totals.samples;
        let moments = self.vae.moments(&batch.pixels)?;
        let latent = self.vae.latent(&moments, Some(&batch.noise))?;
        let error = (self.vae.decode(&latent)? - &batch.pixels)?;
        let squared = error.sqr()?;
        let recon = (error.abs()?.mean_all()? + squared.mean_all()?)?;
        let halves = moments.chunk(2, 1)?;
        let (mean, log_variance) = (&halves[0], &halves[1]);
        let kl = ((mean.sqr()? + log_variance.exp()?)? - log_variance)?;
        let kl = ((kl.mean_all()? - 1.0)? * 0.5)?;
        let loss = ((recon + (&kl * self.config.loss.kl)?)? * share)?;
        let mut metrics = Metrics::new();
        metrics.insert(
            "kl".into(),
            (f64::from(kl.to_scalar::<f32>()?) * share, share),
        );
        add_psnr(&mut metrics, &error.detach(), str::to_owned)?;
        batch.by_source.add_to(&mut metrics);
        Ok((loss, metrics))
    }
}

/// Add the signal-to-noise ratios of errors (n, 3, hh, ww) of images, depth maps and segmentations in turn.
fn add_psnr(metrics: &mut Metrics, error: &Tensor, name: impl Fn(&str) -> String) -> Result<()> {
    let squared: Vec<f32> = error.sqr()?.flatten_from(1)?.mean(1)?.to_vec1()?;
    for (i, squared) in squared.iter().enumerate() {
        let kind = ["psnr_rgb_db", "psnr_depth_db", "psnr_segmentation_db"][i % 3];
        let entry = metrics.entry(name(kind)).or_default();
        // The range of [−1, 1] is 2.
        entry.0 += 10.0 * (4.0 / f64::from(squared.max(1e-10))).log10();
        entry.1 += 1.0;
    }
    Ok(())
}
